/* SPDX-License-Identifier: MIT
 *
 * Faults, one at a time: the n-th allocation or the n-th system call of a scenario fails, or does
 * less than it was asked for.
 *
 * A plan says what fails. The memory and the table of system calls carry it out, and count what a
 * scenario has taken and must give back. One plan at a time, since system calls are told no
 * context; one thread. What is wrong ends the program with a line that repeats the run.
 */
#ifndef FAULTS_H
#define FAULTS_H

#include <kirim/kirim.h>

/* What fails. */
enum fault_kind {
    FAULT_NONE,
    FAULT_MEMORY,  /* an allocation */
    FAULT_CALL,    /* a system call that may answer `code` */
    FAULT_PARTIAL, /* a system call that may do less than it was asked for */
};

struct fault_plan {
    enum fault_kind kind;
    int code;        /* of the system */
    uint64_t nth;    /* of the allocations, or of the calls it is legitimate for, from 1 on */
    bool is_lasting; /* all after it fail too */

    /* what happened */
    uint64_t eligible_count; /* that could have failed */
    uint64_t hit_count;      /* that did */
    size_t block_count;      /* of memory, given and not taken back */
    size_t byte_count;
    int64_t descriptor_count; /* opened and not closed: sockets, event objects, Winsock itself */
    uint64_t left_count;      /* datagrams that the system took */
    uint64_t arrived_count;   /* datagrams that the system gave */
    bool is_posting; /* into receives that wait: those of an endpoint that closes may be dropped */
};

extern struct fault_plan fault_plan;

/* The number and the name of each code that a plan may have; NULL behind the last one. */
struct fault_code {
    int code;
    const char *name;
};
extern const struct fault_code fault_codes[];

/* Whether what comes now is to fail. */
bool fault_strikes(void);

/* A kirim_alloc_fn. */
void *fault_alloc(void *user, void *old, size_t old_bytes, size_t new_bytes);

/* A table for kirim_loop_options.system_calls. */
const void *fault_system_calls(void);

/* Whether a system call is lost in an interruption: no system does that for ever. */
bool fault_code_is_passing(int code);

/* A readable descriptor, for a guest; its end. */
intptr_t fault_guest_open(void);
void fault_guest_close(void);

/* The interface on which groups are joined: the first, or 0 where it cannot be named. */
uint32_t fault_group_ifindex(void);

/* Begins a scenario, and ends it: the table forgets what the last one left. */
void fault_table_reset(void);

/* What the process has open by the system's own account: descriptors, or handles. */
uint64_t fault_count_open(void);

/* Runs the scenario once on a reactor under fault_plan; false: there is no such reactor here. Ends
 * the program if anything is wrong. */
bool fault_run_scenario(const char *reactor);

#if defined(__GNUC__)
__attribute__((format(printf, 1, 2), noreturn))
#endif
void fault_fail(const char *format, ...);

#define FAULT_CHECK(cond)                    \
    do {                                     \
        if (!(cond)) {                       \
            fault_fail("not so: %s", #cond); \
        }                                    \
    } while (0)

#endif
