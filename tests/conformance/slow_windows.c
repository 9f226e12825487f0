/* SPDX-License-Identifier: MIT
 *
 * The slow loopback on Windows: the whole program runs on one, if tests/windows/slow has started
 * it. Owns nothing.
 */
#include "slow.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

const char *kc_slow_obstacle(void)
{
    const char *text = getenv("KIRIM_TEST_SLOW_LOOPBACK");
    return text != NULL && strcmp(text, "1") == 0 ? NULL : "slow-loopback";
}

void kc_slow_enter(void) {}
