/* SPDX-License-Identifier: MIT
 *
 * Monotonic time on Windows, in nanoseconds. Owns nothing. Any thread.
 */
#ifndef KI_WIN_CLOCK_H
#define KI_WIN_CLOCK_H

#include <stdint.h>

/* `ticks` of a clock with `frequency` ticks a second (1 .. 18,446,744,074), in ns, rounded down.
 * Right for all ticks of 584 years. */
uint64_t ki_win_ticks_to_ns(uint64_t ticks, uint64_t frequency);

/* The same of the performance counter. */
uint64_t ki_win_time_of(uint64_t ticks);

/* The time since an unspecified moment, which never goes back. */
uint64_t ki_win_now(void);

#endif
