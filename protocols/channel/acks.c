/* SPDX-License-Identifier: MIT
 *
 * Acknowledgements that this side owes: see acks.h. Source: RFC 9000 section 13.2.
 */
#include "acks.h"

#include <string.h>

enum { ECN_ECT1 = 1, ECN_ECT0 = 2, ECN_CE = 3, ACK_EVERY = 2 };

static const uint64_t NS_PER_US = 1000;

void ki_channel_acks_init(struct ki_channel_acks *a)
{
    memset(a, 0, sizeof *a);
    a->deadline_ns = KIRIM_NEVER;
}

bool ki_channel_acks_is_highest(const struct ki_channel_acks *a, uint64_t number)
{
    return a->range_count == 0 ? number >= a->floor : number >= a->range[0].end;
}

bool ki_channel_acks_is_new(const struct ki_channel_acks *a, uint64_t number)
{
    if (number < a->floor) {
        return false;
    }
    for (uint32_t i = 0; i < a->range_count && number < a->range[i].end; i++) {
        if (number >= a->range[i].first) {
            return false;
        }
    }
    return true;
}

/* The lowest range is given up: it, and all below, counts as seen. */
static void drop_lowest(struct ki_channel_acks *a)
{
    a->range_count--;
    a->floor = a->range[a->range_count].end;
}

static void insert(struct ki_channel_acks *a, uint64_t number)
{
    uint32_t i = 0;
    while (i < a->range_count && a->range[i].first > number + 1) {
        i++;
    }
    if (i < a->range_count && a->range[i].first == number + 1) {
        a->range[i].first = number;
        if (i + 1 < a->range_count && a->range[i + 1].end == number) {
            a->range[i].first = a->range[i + 1].first;
            a->range_count--;
            memmove(&a->range[i + 1], &a->range[i + 2],
                    (a->range_count - i - 1) * sizeof a->range[0]);
        }
        return;
    }
    if (i < a->range_count && a->range[i].end == number) {
        a->range[i].end = number + 1;
        return;
    }
    if (a->range_count == KIRIM_CHANNEL_RANGES_MAX) {
        if (i == a->range_count) {
            a->floor = number + 1; /* lower than all that are held: it is never told */
            return;
        }
        drop_lowest(a);
    }
    memmove(&a->range[i + 1], &a->range[i], (a->range_count - i) * sizeof a->range[0]);
    a->range[i] = (struct kirim_channel_range){ number, number + 1 };
    a->range_count++;
}

void ki_channel_acks_note(struct ki_channel_acks *a, uint64_t number, bool is_eliciting,
                          uint8_t ecn, uint64_t delay_ns, uint64_t now_ns)
{
    const bool is_next = number == (a->range_count == 0 ? a->floor : a->range[0].end);
    if (ki_channel_acks_is_highest(a, number)) {
        a->largest_ns = now_ns;
    }
    insert(a, number);
    a->ect0 += ecn == ECN_ECT0 ? 1 : 0;
    a->ect1 += ecn == ECN_ECT1 ? 1 : 0;
    a->ce += ecn == ECN_CE ? 1 : 0;
    if (!is_eliciting) {
        return;
    }
    a->unacked_count++;
    if (!is_next || ecn == ECN_CE || a->unacked_count >= ACK_EVERY) {
        a->deadline_ns = now_ns;
    } else if (a->deadline_ns == KIRIM_NEVER) {
        a->deadline_ns = now_ns + delay_ns;
    }
}

bool ki_channel_acks_fill(const struct ki_channel_acks *a, size_t range_max,
                          struct kirim_channel_frame *out, uint64_t now_ns)
{
    if (a->range_count == 0 || range_max == 0) {
        return false;
    }
    memset(out, 0, offsetof(struct kirim_channel_frame, ack));
    out->type = KIRIM_CHANNEL_ACK;
    if (a->ect0 + a->ect1 + a->ce > 0) {
        out->type = KIRIM_CHANNEL_ACK_ECN;
    }
    out->ack.range_count = a->range_count < range_max ? a->range_count : range_max;
    memcpy(out->ack.range, a->range, out->ack.range_count * sizeof a->range[0]);
    out->ack.delay_us = now_ns > a->largest_ns ? (now_ns - a->largest_ns) / NS_PER_US : 0;
    out->ack.ect0 = a->ect0;
    out->ack.ect1 = a->ect1;
    out->ack.ce = a->ce;
    return true;
}

void ki_channel_acks_sent(struct ki_channel_acks *a)
{
    a->unacked_count = 0;
    a->deadline_ns = KIRIM_NEVER;
}

void ki_channel_acks_forget(struct ki_channel_acks *a, uint64_t number)
{
    /* The highest range stays: the next ACK must say something, and largest numbers never fall. */
    while (a->range_count > 1 && a->range[a->range_count - 1].end <= number + 1) {
        drop_lowest(a);
    }
}
