/* SPDX-License-Identifier: MIT
 *
 * See win_clock.h. Sources: QueryPerformanceCounter and QueryPerformanceFrequency, which cannot
 * fail since Windows XP and whose frequency is fixed while the system runs.
 */
#include "win_clock.h"

#include <windows.h>

#define SECOND_NS UINT64_C(1000000000)

uint64_t ki_win_ticks_to_ns(uint64_t ticks, uint64_t frequency)
{
    /* Divided first and then scaled: the whole product would leave 64 bits within half an hour at
     * the usual 10 MHz. */
    return ticks / frequency * SECOND_NS + ticks % frequency * SECOND_NS / frequency;
}

uint64_t ki_win_time_of(uint64_t ticks)
{
    LARGE_INTEGER frequency;
    (void)QueryPerformanceFrequency(&frequency);
    return ki_win_ticks_to_ns(ticks, (uint64_t)frequency.QuadPart);
}

uint64_t ki_win_now(void)
{
    LARGE_INTEGER ticks;
    (void)QueryPerformanceCounter(&ticks);
    return ki_win_time_of((uint64_t)ticks.QuadPart);
}
