/* SPDX-License-Identifier: MIT
 *
 * Stands for a network of several interfaces on systems where a test cannot make one: nobody enters
 * it. Owns nothing.
 */
#include "namespace_multicast.h"

#include <stdlib.h>

const char *kc_segments_obstacle(void)
{
    return "two-networks";
}

void kc_segments_enter(struct kc_segment segment[2], int family)
{
    (void)segment;
    (void)family;
    abort();
}

void kc_far_join(const struct kc_segment *segment, const struct kirim_addr *group)
{
    (void)segment;
    (void)group;
    abort();
}

void kc_far_send(const struct kc_segment *segment, const void *data, size_t bytes,
                 const struct kirim_addr *to)
{
    (void)segment;
    (void)data;
    (void)bytes;
    (void)to;
    abort();
}

int kc_far_receive(const struct kc_segment *segment, void *out, size_t bytes)
{
    (void)segment;
    (void)out;
    (void)bytes;
    abort();
}
