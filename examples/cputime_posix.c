/* SPDX-License-Identifier: MIT
 *
 * cputime.h for POSIX systems. Source: getrusage(2).
 */
#define _XOPEN_SOURCE 700
#include "cputime.h"

#include <sys/resource.h>
#include <sys/time.h>

uint64_t cputime_us(void)
{
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) != 0) {
        return 0;
    }
    return ((uint64_t)usage.ru_utime.tv_sec + (uint64_t)usage.ru_stime.tv_sec) * 1000000 +
           (uint64_t)usage.ru_utime.tv_usec + (uint64_t)usage.ru_stime.tv_usec;
}
