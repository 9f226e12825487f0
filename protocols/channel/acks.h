/* SPDX-License-Identifier: MIT
 *
 * Which packets have arrived, and when to say so: docs/channel.md, section 6. A fixed size; what is
 * older than the ranges that it holds counts as seen. One thread.
 */
#ifndef KI_CHANNEL_ACKS_H
#define KI_CHANNEL_ACKS_H

#include "frame.h"

struct ki_channel_acks {
    struct kirim_channel_range range[KIRIM_CHANNEL_RANGES_MAX]; /* the highest first */
    uint32_t range_count;
    uint32_t unacked_count; /* packets that ask for an ACK and have none */
    uint64_t floor;         /* below it all counts as seen */
    uint64_t largest_ns;    /* when the largest number came */
    uint64_t deadline_ns;   /* when an ACK is due; KIRIM_NEVER: none is owed */
    uint64_t ect0, ect1, ce;
};

void ki_channel_acks_init(struct ki_channel_acks *a);

/* Whether a packet was not seen before. */
bool ki_channel_acks_is_new(const struct ki_channel_acks *a, uint64_t number);

/* Whether none with a higher number has come. */
bool ki_channel_acks_is_highest(const struct ki_channel_acks *a, uint64_t number);

/* A packet that is new was taken; an ACK is due now, or after `delay_ns`, or as before. */
void ki_channel_acks_note(struct ki_channel_acks *a, uint64_t number, bool is_eliciting,
                          uint8_t ecn, uint64_t delay_ns, uint64_t now_ns);

/* What an ACK says, with `range_max` ranges at the most; false: there is nothing to say. */
bool ki_channel_acks_fill(const struct ki_channel_acks *a, size_t range_max,
                          struct kirim_channel_frame *out, uint64_t now_ns);

/* An ACK has left: none is owed. */
void ki_channel_acks_sent(struct ki_channel_acks *a);

/* The peer has an ACK that said `number` and all below: these need not be said again. */
void ki_channel_acks_forget(struct ki_channel_acks *a, uint64_t number);

#endif
