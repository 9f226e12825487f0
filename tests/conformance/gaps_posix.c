/* SPDX-License-Identifier: MIT
 *
 * POSIX systems show what the cases claim: no gaps. Owns nothing. Any thread.
 */
#include "conformance.h"

const char *kc_gap_send_control(const struct kc_where *where)
{
    (void)where;
    return NULL;
}

const char *kc_gap_bind(const struct kc_where *where)
{
    (void)where;
    return NULL;
}

const char *kc_gap_port_unreachable(const struct kc_where *where)
{
    (void)where;
    return NULL;
}

const char *kc_gap_groups(const struct kc_where *where)
{
    (void)where;
    return NULL;
}

const char *kc_gap_groups_of_others(const struct kc_where *where)
{
    (void)where;
    return NULL;
}

const char *kc_gap_groups_by_control(const struct kc_where *where)
{
    (void)where;
    return NULL;
}

const char *kc_gap_groups_unlooped(const struct kc_where *where)
{
    (void)where;
    return NULL;
}

const char *kc_gap_broadcast_mark(const struct kc_where *where)
{
    (void)where;
    return NULL;
}

const char *kc_gap_sources(const struct kc_where *where)
{
    (void)where;
    return NULL;
}

const char *kc_gap_sources_of_others(const struct kc_where *where)
{
    (void)where;
    return NULL;
}

const char *kc_gap_no_interface(const struct kc_where *where)
{
    (void)where;
    return NULL;
}
