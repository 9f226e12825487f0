/* SPDX-License-Identifier: MIT
 *
 * Windows has no limit of sockets of a process but its memory.
 */
#include "descriptors.h"

uint64_t descriptors_allow(uint64_t count)
{
    (void)count;
    return UINT64_MAX;
}
