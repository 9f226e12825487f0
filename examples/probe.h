/* SPDX-License-Identifier: MIT
 *
 * What kirim-probe has found out: plain values, filled by probe.c and printed by probe_print.c.
 */
#ifndef EXAMPLES_PROBE_H
#define EXAMPLES_PROBE_H

#include "common/cli.h"

enum {
    PROBE_REACTOR_MAX = 16,
    PROBE_FAMILY_COUNT = 2,
    PROBE_TIMER_COUNT = 20, /* timers measured, one after the other */
    PROBE_HINT_MAX = 16,
    PROBE_HINT_BYTES = 200,
    PROBE_BUFFER_BYTES = 4 * 1024 * 1024 /* what is asked of the system */
};

/* Sizes of an endpoint's socket buffers, as the system says they are. */
struct probe_buffers {
    kirim_err err; /* why there are none, or KIRIM_OK */
    uint32_t receive_bytes;
    uint32_t send_bytes;
};

struct probe_family {
    int family;    /* KIRIM_IPV4, KIRIM_IPV6 */
    kirim_err err; /* why no endpoint opens, or KIRIM_OK */
    size_t payload_bytes_max;
    bool has_largest_arrived; /* a datagram of that size, sent to itself */
    struct probe_buffers by_default;
    struct probe_buffers plain;  /* PROBE_BUFFER_BYTES asked */
    struct probe_buffers forced; /* the same, with KIRIM_ENDPOINT_FORCE_BUFFERS */
};

struct probe_reactor {
    const char *name;
    kirim_err err; /* why it does not open, or KIRIM_OK */
    uint32_t caps;
    uint64_t timer_resolution_ns;        /* as the reactor states it */
    size_t timer_count;                  /* how many were measured */
    uint64_t late_ns[PROBE_TIMER_COUNT]; /* in ascending order */
    struct probe_family family[PROBE_FAMILY_COUNT];
};

/* Something that is missing here, and how to get it. */
struct probe_hint {
    char what[PROBE_HINT_BYTES];
    char how[PROBE_HINT_BYTES];
};

struct probe {
    struct cli cli;
    struct probe_reactor reactor[PROBE_REACTOR_MAX];
    size_t reactor_count;
    struct probe_hint hint[PROBE_HINT_MAX];
    size_t hint_count;
};

/* Bits of KIRIM_CAP_ that this library knows. */
uint32_t probe_caps_known(void);

/* Adds a hint; more than PROBE_HINT_MAX are left out. */
void probe_add_hint(struct probe *p, const char *what, const char *how);

/* Adds what only the platform knows: probe_linux.c, probe_windows.c. */
void probe_add_platform_hints(struct probe *p);

/* Print everything to stdout. */
void probe_print_text(const struct probe *p);
void probe_print_json(const struct probe *p);

#endif
