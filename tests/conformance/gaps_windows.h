/* SPDX-License-Identifier: MIT
 *
 * What of Wine a case on Windows may have to know. Any thread.
 */
#ifndef KC_GAPS_WINDOWS_H
#define KC_GAPS_WINDOWS_H

#include <stdbool.h>

/* A question that is asked once. */
struct kc_question {
    bool is_asked;
    bool is_so;
};

/* Whether this is Wine. */
bool kc_is_wine(void);

/* The reason, if this is Wine and the question is answered in the negative. */
const char *kc_gap_judge(struct kc_question *q, bool (*ask)(void), const char *reason);

#endif
