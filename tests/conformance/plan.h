/* SPDX-License-Identifier: MIT
 *
 * The plan of a run: which case runs on which reactor and family, in which mode, and what is
 * skipped and why.
 *
 * Made before anything runs, in the program's own process, so that a case that Check runs in a
 * child has nothing to hand back but its result. Owns its entries; one thread.
 */
#ifndef KC_PLAN_H
#define KC_PLAN_H

#include "conformance.h"

enum { KC_LABEL_BYTES = 160 };

/* What to run; NULL, 0: everything. */
struct kc_choice {
    const char *reactor;
    const char *subject;
    const char *name; /* of one case */
    int family;
    int row;
};

struct kc_entry {
    const struct kc_case *c;
    const struct kc_subject *subject;
    const char *reactor;
    int family;
    uint32_t mode;
    char label[KC_LABEL_BYTES];
    char skip[KC_REASON_BYTES]; /* why it is skipped; "": it runs */
};

struct kc_plan {
    struct kc_entry *entry;
    size_t count, room;
};

/* Plans everything that `choice` names. False, with a message on stderr: a reactor does not open at
 * all. */
bool kc_plan_make(struct kc_plan *plan, const struct kc_choice *choice);
void kc_plan_free(struct kc_plan *plan);

/* Whether Check runs each case in a child of its own. Set before the plan is made. */
extern bool kc_is_forking;

/* Whether a case is skipped for want of a right that the process has not. */
bool kc_entry_is_not_permitted(const struct kc_entry *e);

/* Whether a case is skipped for what the system does not show (kc_case.gap). */
bool kc_entry_is_gap(const struct kc_entry *e);

#endif
