/* SPDX-License-Identifier: MIT
 *
 * CPU time of this process, for kirim-bench. One file for each platform: cputime_posix.c and
 * cputime_windows.c.
 */
#ifndef EXAMPLES_CPUTIME_H
#define EXAMPLES_CPUTIME_H

#include <stdint.h>

/* User and system time of all threads so far, in microseconds. */
uint64_t cputime_us(void);

#endif
