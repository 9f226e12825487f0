/* SPDX-License-Identifier: MIT
 *
 * The policy table: what follows from a refused send. A pure function, the same for what a system
 * says at once and for what it says late.
 */
#ifndef KI_POLICY_H
#define KI_POLICY_H

#include "reactor.h"

enum {
    KI_ACT_WAIT,  /* stop; the reactor tells when to go on */
    KI_ACT_RETRY, /* submit the same entry once more: the error may be somebody else's */
    KI_ACT_DROP   /* this entry is lost: report it, go on with the next */
};

struct ki_verdict {
    uint32_t action; /* KI_ACT_... */
    uint32_t reason; /* of a drop: KIRIM_DROP_... */
};

/* Judges a refusal of an entry whose status is `status`. */
struct ki_verdict ki_judge(kirim_err err, uint32_t status);

#endif
