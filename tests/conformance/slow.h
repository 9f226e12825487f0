/* SPDX-License-Identifier: MIT
 *
 * A loopback behind a token bucket that lets 400,000 bytes pass in a second, with a queue for all
 * that a case sends.
 */
#ifndef KC_SLOW_H
#define KC_SLOW_H

/* Why there is none, or NULL. */
const char *kc_slow_obstacle(void);

/* Has the process use it from now on; for cases that run in a child, where there are any. */
void kc_slow_enter(void);

#endif
