/* SPDX-License-Identifier: MIT
 *
 * The limit of descriptors on POSIX systems: the soft one is raised to the hard one. Sources:
 * getrlimit(2).
 */
#include "descriptors.h"

#include <sys/resource.h>

uint64_t descriptors_allow(uint64_t count)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0) {
        return UINT64_MAX;
    }
    const struct rlimit before = limit;
    limit.rlim_cur = limit.rlim_max;
    if (before.rlim_cur < count && setrlimit(RLIMIT_NOFILE, &limit) < 0) {
        limit = before;
    }
    return before.rlim_cur < count ? limit.rlim_cur : before.rlim_cur;
}
