/* SPDX-License-Identifier: MIT
 *
 * The slow loopback on Linux: each case makes its own, in a namespace. Owns nothing.
 */
#include "namespace.h"
#include "slow.h"

enum { BYTES_PER_SECOND = 400000 };

const char *kc_slow_obstacle(void)
{
    return kc_slow_network_obstacle();
}

void kc_slow_enter(void)
{
    kc_namespace_enter();
    kc_namespace_slow_down(BYTES_PER_SECOND);
}
