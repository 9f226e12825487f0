/* SPDX-License-Identifier: MIT
 *
 * A network of one's own for a case: a fresh namespace with a loopback and nothing else.
 */
#ifndef KC_NAMESPACE_H
#define KC_NAMESPACE_H

#include <stdint.h>

/* Why a case could not enter one: a reason that begins with "not-permitted", or NULL. */
const char *kc_namespace_obstacle(void);

/* Moves the process into one; for cases that run in a child. */
void kc_namespace_enter(void);

/* Makes the loopback of the namespace slow; and why that could not be done, or NULL. */
const char *kc_slow_network_obstacle(void);
void kc_namespace_slow_down(uint32_t bytes_per_second);

/* Makes it slow, and what waits for it more than so many bytes is lost. */
void kc_namespace_choke(uint32_t bytes_per_second, uint32_t queue_bytes);

/* Why a raw socket cannot be made, with or without a namespace, or NULL; and what is needed first.
 */
const char *kc_raw_obstacle(void);
void kc_raw_prepare(void);

#endif
