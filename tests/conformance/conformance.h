/* SPDX-License-Identifier: MIT
 *
 * The conformance suite: its table of cases, its table of expectations, and the verdict on each row
 * of docs/send-contract.md.
 *
 * A case is a claim with a function that proves it on any reactor and family. What the table of
 * cases says of it (the rows it cites, the kind of proof, what it needs) decides where it runs;
 * where it cannot, it is skipped with a reason. A row's verdict is the best proof among its cases
 * if none of them failed or was skipped, else that. Owns nothing; one thread.
 */
#ifndef KC_CONFORMANCE_H
#define KC_CONFORMANCE_H

#include "support/ks.h"

enum { KC_ROW_COUNT = 53, KC_REASON_BYTES = 64 };

/* Kinds of proof, the weakest first. */
enum kc_kind {
    KC_NONE,
    KC_SKIP,    /* not proven; the reason stands beside it */
    KC_MAPPED,  /* the translation is tested */
    KC_CHECKED, /* kirim decides before the system is asked */
    KC_SPY,     /* a replacement plays what the system would do */
    KC_LIVE     /* the real system, or the simulated network, does it in the test */
};

/* Flags of a case. */
enum {
    KC_MODES = 1,      /* runs in both modes of the send primitive (ks.mode) */
    KC_SPIED = 2,      /* its loop is opened with a spy in front of the reactor */
    KC_UNOPENED = 4,   /* opens its loop itself */
    KC_IPV4_ONLY = 8,  /* speaks of IPv4 */
    KC_IPV6_ONLY = 16, /* speaks of IPv6 */
    KC_SYSTEM = 32,    /* needs a reactor that makes system calls */
    KC_EXTRA = 64      /* one proof more, not missed by its rows where it cannot run */
};

/* Where a case is to run. */
struct kc_where {
    const char *reactor;
    int family;
    uint32_t caps;
};

struct kc_case {
    const char *name; /* the claim */
    const char *rows; /* "S5 S24"; "" if it cites none */
    void (*run)(struct ks *t);
    enum kc_kind kind;
    uint32_t flags;
    uint32_t caps; /* KIRIM_CAP_ bits without which it is skipped */
    int arg;       /* ks.arg */
    /* Why it cannot run here although the reactor could: a reason, or NULL. A reason that begins
     * with "not-permitted" is one of this process, not of the reactor. Nothing stands in the way of
     * a simulated network. May be NULL. */
    const char *(*obstacle)(void);
    /* What this system does not show although what it stands for would: a reason that begins with
     * "wine-", or NULL. Its rows do not miss it if others prove them. Asked as the obstacle is. May
     * be NULL. */
    const char *(*gap)(const struct kc_where *where);
    const char *missing; /* not NULL: what this build lacks altogether; `run` is NULL */
};

/* An entry of a table of cases; one that needs capabilities; one that a system may not show; one
 * with an argument; and one that this build lacks. */
#define KC(claim, cites, function, proof, how)                                               \
    {                                                                                        \
        .name = (claim), .rows = (cites), .run = (function), .kind = (proof), .flags = (how) \
    }
#define KC_CAPS(claim, cites, function, proof, how, needs)                                    \
    {                                                                                         \
        .name = (claim), .rows = (cites), .run = (function), .kind = (proof), .flags = (how), \
        .caps = (needs)                                                                       \
    }
#define KC_GAP(claim, cites, function, proof, how, needs, lack)                               \
    {                                                                                         \
        .name = (claim), .rows = (cites), .run = (function), .kind = (proof), .flags = (how), \
        .caps = (needs), .gap = (lack)                                                        \
    }
#define KC_ARG(claim, cites, function, proof, how, number)                                    \
    {                                                                                         \
        .name = (claim), .rows = (cites), .run = (function), .kind = (proof), .flags = (how), \
        .arg = (number)                                                                       \
    }
#define KC_MISSING(claim, cites, how, reason)                                 \
    {                                                                         \
        .name = (claim), .rows = (cites), .flags = (how), .missing = (reason) \
    }

/* The cases of one subject. */
struct kc_subject {
    const char *name;
    const struct kc_case *cases;
    size_t count;
};

#define KC_SUBJECT(subject, table)                           \
    {                                                        \
        (subject), (table), sizeof(table) / sizeof(table)[0] \
    }

/* All subjects of this build; NULL ends them. Which file defines it is chosen by CMake. */
extern const struct kc_subject *const kc_subjects[];

extern const struct kc_subject kc_multicast;
extern const struct kc_subject kc_close, kc_control, kc_error, kc_fairness, kc_guest, kc_late,
    kc_loop, kc_mode, kc_mtu, kc_op, kc_open, kc_order, kc_pace, kc_place, kc_pressure, kc_receive,
    kc_remote, kc_send, kc_slow, kc_stats, kc_timer, kc_train, kc_handover;
/* Of one system, or of each in its own way. */
extern const struct kc_subject kc_icmp, kc_narrow, kc_socket, kc_system, kc_threads,
    kc_train_system, kc_winsock;

/* ---- gaps: what a system does not show, asked once for each process ----------------------------
 */

/* It ignores the control data of what is sent. */
const char *kc_gap_send_control(const struct kc_where *where);

/* It binds addresses that this host does not have, and all of 127.0.0.0/8 but the first as any
 * address. */
const char *kc_gap_bind(const struct kc_where *where);

/* What it hears of a closed port does not make a socket readable, and may be told to nobody. */
const char *kc_gap_port_unreachable(const struct kc_where *where);

/* It does not let the only interface of this host carry groups of the family; besides: everybody at
 * the port hears what anybody has joined; no single source can be joined; the two of them; what is
 * said with a message is ignored; who sends hears itself whatever it says. */
const char *kc_gap_groups(const struct kc_where *where);
const char *kc_gap_groups_of_others(const struct kc_where *where);
const char *kc_gap_sources(const struct kc_where *where);
const char *kc_gap_sources_of_others(const struct kc_where *where);
const char *kc_gap_groups_by_control(const struct kc_where *where);
const char *kc_gap_groups_unlooped(const struct kc_where *where);

/* It names another error for an interface that is not there. */
const char *kc_gap_no_interface(const struct kc_where *where);

/* It does not say of a broadcast that it is one. */
const char *kc_gap_broadcast_mark(const struct kc_where *where);

/* The reactor of a loop whose endpoints are another loop's guests: one that leaves what arrives in
 * the socket until it is stepped, as one that posts receives ahead does not. */
static inline const char *kc_guest_host(const struct ks *t)
{
    return (t->caps & KIRIM_CAP_ALERTABLE) != 0 ? "select" : t->reactor;
}

/* ---- expectations ---------------------------------------------------------------------------- */

/* What the table says of one row on one reactor and family. */
struct kc_expected {
    enum kc_kind kind;            /* KC_NONE: the table does not say */
    char reason[KC_REASON_BYTES]; /* of KC_SKIP */
};

struct kc_table;

/* Reads a table; NULL with a message on stderr if it is none. */
struct kc_table *kc_table_read(const char *path);
void kc_table_free(struct kc_table *table);

/* What it says; kind KC_NONE if it says nothing. Rows count from 1. */
struct kc_expected kc_table_find(const struct kc_table *table, int row, const char *reactor,
                                 int family);

/* Name of a column, NULL behind the last; and what stands in one of its fields. */
const char *kc_table_column(const struct kc_table *table, size_t index);
enum kc_kind kc_table_kind(const struct kc_table *table, int row, size_t column);

const char *kc_kind_name(enum kc_kind kind);

/* Whether a case cites a row; whether all that it cites are rows. */
bool kc_case_cites(const struct kc_case *c, int row);
bool kc_case_rows_are_good(const struct kc_case *c);

#endif
