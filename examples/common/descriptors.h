/* SPDX-License-Identifier: MIT
 *
 * For programs with a socket for each peer: descriptors_posix.c and descriptors_windows.c.
 */
#ifndef EXAMPLES_COMMON_DESCRIPTORS_H
#define EXAMPLES_COMMON_DESCRIPTORS_H

#include <stdint.h>

/* Has the system permit as many descriptors as it may permit this process, if it permits fewer than
 * `count` now. Returns how many that are; UINT64_MAX where nobody counts. */
uint64_t descriptors_allow(uint64_t count);

#endif
