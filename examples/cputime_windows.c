/* SPDX-License-Identifier: MIT
 *
 * cputime.h for Windows. Source: GetProcessTimes, FILETIME (units of 100 ns).
 */
#include "cputime.h"

#include <windows.h>

static uint64_t read_units(const FILETIME *time)
{
    return (uint64_t)time->dwHighDateTime << 32 | time->dwLowDateTime;
}

uint64_t cputime_us(void)
{
    FILETIME created, ended, system, user;
    if (GetProcessTimes(GetCurrentProcess(), &created, &ended, &system, &user) == 0) {
        return 0;
    }
    return (read_units(&system) + read_units(&user)) / 10;
}
