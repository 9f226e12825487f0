/* SPDX-License-Identifier: MIT
 *
 * Memory of messages that wait, within the budget of all channels. One thread.
 */
#include "parts.h"

enum { RANGES_MIN = 4, BYTES_OF_RANGE = 1024 };

void *ki_channel_room_take(struct kirim_channel *ch, size_t bytes)
{
    struct kirim_channel_budget *const budget = ch->options.budget;
    if (budget != NULL && ch->in_bytes + bytes > budget->bytes_max - budget->bytes) {
        budget->refused++;
        return NULL;
    }
    void *const block = ch->memory.alloc(ch->memory.user, NULL, 0, bytes);
    if (block != NULL) {
        ch->in_bytes += bytes;
        if (budget != NULL) {
            budget->bytes += bytes;
        }
    }
    return block;
}

void ki_channel_room_give(struct kirim_channel *ch, void *block, size_t bytes)
{
    if (block == NULL) {
        return;
    }
    ch->in_bytes -= bytes;
    if (ch->options.budget != NULL) {
        ch->options.budget->bytes -= bytes;
    }
    ki_channel_delete(ch, block, bytes);
}

static void *alloc_ranges(void *user, void *old, size_t old_bytes, size_t new_bytes)
{
    if (new_bytes > 0) {
        return ki_channel_room_take(user, new_bytes);
    }
    ki_channel_room_give(user, old, old_bytes);
    return NULL;
}

struct ki_channel_memory ki_channel_range_memory(struct kirim_channel *ch)
{
    return (struct ki_channel_memory){ alloc_ranges, ch };
}

void ki_channel_waiting_free(struct kirim_channel *ch, struct ki_channel_in *x)
{
    const struct ki_channel_memory memory = ki_channel_range_memory(ch);
    ki_channel_ranges_free(&x->have, &memory);
    ki_channel_room_give(ch, x, sizeof *x + x->room);
}

/* A peer that cuts its messages into single bytes pays for that, and not this side: there is a
 * range for each 1,024 bytes, which real fragments need at the most if every second one is lost,
 * and ranges are neither longer than a part of the message nor much work to keep in order. */
static void bound_ranges(struct ki_channel_in *x)
{
    x->have.count_max = RANGES_MIN + x->bytes / BYTES_OF_RANGE;
}

bool ki_channel_waiting_reuse(struct ki_channel_in *x, const struct kirim_channel_frame *f)
{
    if (f->total_bytes > x->room) {
        return false;
    }
    x->number = f->number;
    x->bytes = (uint32_t)f->total_bytes;
    x->have.count = 0;
    x->have_bytes = 0;
    bound_ranges(x);
    return true;
}

struct ki_channel_in *ki_channel_waiting_new(struct kirim_channel *ch,
                                             const struct kirim_channel_frame *f, uint64_t room)
{
    struct ki_channel_in *const x = ki_channel_room_take(ch, sizeof *x + (size_t)room);
    if (x != NULL) { /* its bytes are written before they are read: clearing them is for nobody */
        memset(x, 0, sizeof *x);
        x->number = f->number;
        x->bytes = (uint32_t)f->total_bytes;
        x->room = (uint32_t)room;
        bound_ranges(x);
    }
    return x;
}
