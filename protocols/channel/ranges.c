/* SPDX-License-Identifier: MIT
 *
 * Sets of numbers as ranges: see ranges.h.
 */
#include "ranges.h"

#include <string.h>

enum { ROOM_MIN = 4 };

void *ki_channel_get_memory(const struct ki_channel_memory *memory, size_t bytes)
{
    void *const block = memory->alloc(memory->user, NULL, 0, bytes);
    if (block != NULL) {
        memset(block, 0, bytes);
    }
    return block;
}

void ki_channel_put_memory(const struct ki_channel_memory *memory, void *block, size_t bytes)
{
    if (block != NULL) {
        (void)memory->alloc(memory->user, block, bytes, 0);
    }
}

void ki_channel_ranges_free(struct ki_channel_ranges *r, const struct ki_channel_memory *memory)
{
    ki_channel_put_memory(memory, r->item, r->room * sizeof *r->item);
    *r = (struct ki_channel_ranges){ NULL, 0, 0, 0 };
}

bool ki_channel_ranges_are_full(const struct ki_channel_ranges *r, uint64_t first)
{
    const uint32_t most = r->count_max > 0 && r->count_max < KI_CHANNEL_RANGES_MAX
                              ? r->count_max
                              : (uint32_t)KI_CHANNEL_RANGES_MAX;
    const bool has_first = first == 0 || (r->count > 0 && r->item[0].first == 0);
    return r->count + (has_first ? 0 : 1) >= most;
}

static bool grow(struct ki_channel_ranges *r, const struct ki_channel_memory *memory)
{
    if (r->count < r->room) {
        return true;
    }
    const uint32_t room = r->room == 0 ? ROOM_MIN : 2 * r->room;
    struct kirim_channel_range *const item = ki_channel_get_memory(memory, room * sizeof *item);
    if (item == NULL) {
        return false;
    }
    if (r->count > 0) {
        memcpy(item, r->item, r->count * sizeof *item);
    }
    ki_channel_put_memory(memory, r->item, r->room * sizeof *r->item);
    r->item = item;
    r->room = room;
    return true;
}

/* Index of the first range that ends at `first` or later; the last one is tried first, since most
 * numbers come in order. */
static uint32_t find(const struct ki_channel_ranges *r, uint64_t first)
{
    uint32_t low = 0;
    uint32_t high = r->count;
    if (high > 0 && r->item[high - 1].end < first) {
        return high;
    }
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (r->item[middle].end < first) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

bool ki_channel_ranges_add(struct ki_channel_ranges *r, const struct ki_channel_memory *memory,
                           uint64_t first, uint64_t end, uint64_t *added)
{
    struct kirim_channel_range whole = { first, end };
    *added = 0;
    if (first >= end) {
        return true;
    }
    const uint32_t at = find(r, first);
    uint32_t behind = at;
    uint64_t present = 0;
    while (behind < r->count && r->item[behind].first <= end) {
        const struct kirim_channel_range *const x = &r->item[behind];
        const uint64_t from = x->first > first ? x->first : first;
        const uint64_t to = x->end < end ? x->end : end;
        present += to > from ? to - from : 0;
        whole.first = x->first < whole.first ? x->first : whole.first;
        whole.end = x->end > whole.end ? x->end : whole.end;
        behind++;
    }
    if (behind == at) {
        if (ki_channel_ranges_are_full(r, first) || !grow(r, memory)) {
            return false;
        }
        memmove(r->item + at + 1, r->item + at, (r->count - at) * sizeof *r->item);
        r->count++;
    } else if (behind > at + 1) {
        memmove(r->item + at + 1, r->item + behind, (r->count - behind) * sizeof *r->item);
        r->count -= behind - at - 1;
    }
    r->item[at] = whole;
    *added = end - first - present;
    return true;
}

struct kirim_channel_range ki_channel_ranges_gap(const struct ki_channel_ranges *r, uint64_t first,
                                                 uint64_t end)
{
    for (uint32_t i = find(r, first); i < r->count && r->item[i].first < end; i++) {
        if (r->item[i].first > first) {
            return (struct kirim_channel_range){ first, r->item[i].first };
        }
        first = r->item[i].end > first ? r->item[i].end : first;
        if (first >= end) {
            return (struct kirim_channel_range){ end, end };
        }
    }
    return (struct kirim_channel_range){ first, end };
}
