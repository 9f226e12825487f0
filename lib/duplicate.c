/* SPDX-License-Identifier: MIT
 *
 * The duplicate cache: slots are filled in turn, so the next to be filled is the oldest; a table of
 * chains finds them, keyed against who would fill one chain. The heads of the chains lie in the
 * slots, too: slot i has the head of chain i, which has nothing else to do with it. In the same way
 * slot i has share i, a list of what the peers have whose hash is i, the oldest first. Links are
 * slot numbers from 1; 0 is the end. Owns nothing. One thread at a time.
 */
#include <kirim/duplicate.h>

#include <string.h>

#include "pack.h"

enum { EMPTY = 0 };

kirim_err kirim_duplicates_init(struct kirim_duplicates *cache,
                                const struct kirim_duplicates_options *options)
{
    if (options->slots == NULL || options->slot_count == 0 || options->slot_count > INT32_MAX ||
        (options->answers == NULL && options->answer_bytes_max > 0)) {
        return KIRIM_EINVAL;
    }
    memset(cache, 0, sizeof *cache);
    cache->options = *options;
    memset(options->slots, 0, options->slot_count * sizeof *options->slots);
    return KIRIM_OK;
}

static uint32_t *head_of(struct kirim_duplicates *cache, const struct kirim_addr *peer, uint64_t id)
{
    uint8_t packed[KI_PACKED_ADDR_BYTES + 8];
    ki_pack_addr(peer, packed);
    ki_store_le64(packed + KI_PACKED_ADDR_BYTES, id);
    const uint64_t hash = kirim_siphash_number(cache->options.key, packed, sizeof packed);
    return &cache->options.slots[ki_place_of(hash, cache->options.slot_count)].ki_first;
}

/* The link to the slot of a request, or to the end of its chain. */
static uint32_t *find_link(struct kirim_duplicates *cache, const struct kirim_addr *peer,
                           uint64_t id)
{
    uint32_t *link = head_of(cache, peer, id);
    while (*link != 0) {
        struct kirim_duplicate_slot *const slot = &cache->options.slots[*link - 1];
        if (slot->ki_id == id && kirim_addr_equal(&slot->ki_peer, peer)) {
            break;
        }
        link = &slot->ki_next;
    }
    return link;
}

static struct kirim_duplicate_slot *slot_of(const struct kirim_duplicates *cache, uint32_t number)
{
    return &cache->options.slots[number - 1];
}

/* ---- shares ---------------------------------------------------------------------------------- */

/* The number of the slot that has the share of a peer; 0: there are no shares. */
static uint32_t share_of(const struct kirim_duplicates *cache, const struct kirim_addr *peer)
{
    uint8_t packed[KI_PACKED_ADDR_BYTES];
    if (cache->options.peer_slot_max == 0) {
        return 0;
    }
    ki_pack_addr(peer, packed);
    const uint64_t hash = kirim_siphash_number(cache->options.key, packed, sizeof packed);
    return (uint32_t)ki_place_of(hash, cache->options.slot_count) + 1;
}

static void join_share(struct kirim_duplicates *cache, uint32_t number, uint32_t share_number)
{
    struct kirim_duplicate_slot *const slot = slot_of(cache, number);
    slot->ki_share = share_number;
    if (share_number == 0) {
        return;
    }
    struct kirim_duplicate_slot *const share = slot_of(cache, share_number);
    slot->ki_share_older = share->ki_share_newest;
    slot->ki_share_newer = 0;
    if (share->ki_share_newest != 0) {
        slot_of(cache, share->ki_share_newest)->ki_share_newer = number;
    } else {
        share->ki_share_oldest = number;
    }
    share->ki_share_newest = number;
    if (++share->ki_share_count > cache->options.peer_slot_max) {
        cache->ki_greedy = share_number;
    }
}

static void leave_share(struct kirim_duplicates *cache, const struct kirim_duplicate_slot *slot)
{
    if (slot->ki_share == 0) {
        return;
    }
    struct kirim_duplicate_slot *const share = slot_of(cache, slot->ki_share);
    if (slot->ki_share_older != 0) {
        slot_of(cache, slot->ki_share_older)->ki_share_newer = slot->ki_share_newer;
    } else {
        share->ki_share_oldest = slot->ki_share_newer;
    }
    if (slot->ki_share_newer != 0) {
        slot_of(cache, slot->ki_share_newer)->ki_share_older = slot->ki_share_older;
    } else {
        share->ki_share_newest = slot->ki_share_older;
    }
    share->ki_share_count--;
}

/* ---- slots ----------------------------------------------------------------------------------- */

static void remove_at(struct kirim_duplicates *cache, uint32_t *link)
{
    struct kirim_duplicate_slot *const slot = slot_of(cache, *link);
    *link = slot->ki_next;
    slot->ki_next = 0;
    slot->ki_state = EMPTY;
    leave_share(cache, slot);
}

/* The slot that a new request of a peer gets: the oldest, unless that is still of use. Then it is
 * the peer's own oldest if it has its share, else that of one who has more. */
static uint32_t choose(struct kirim_duplicates *cache, uint32_t share, uint64_t now_ns)
{
    const uint32_t bound = cache->options.peer_slot_max;
    const uint32_t oldest = cache->ki_oldest + 1;
    const struct kirim_duplicate_slot *const slot = slot_of(cache, oldest);
    if (share != 0 && slot->ki_state != EMPTY && now_ns < slot->ki_expires_ns) {
        const uint32_t greedy = cache->ki_greedy;
        if (slot_of(cache, share)->ki_share_count >= bound) {
            return slot_of(cache, share)->ki_share_oldest;
        }
        if (greedy != 0 && slot_of(cache, greedy)->ki_share_count > bound) {
            return slot_of(cache, greedy)->ki_share_oldest;
        }
    }
    cache->ki_oldest = oldest < cache->options.slot_count ? oldest : 0;
    return oldest;
}

/* Enters a new request. */
static void enter(struct kirim_duplicates *cache, const struct kirim_request *request,
                  uint64_t now_ns)
{
    const uint32_t share = share_of(cache, &request->peer);
    const uint32_t number = choose(cache, share, now_ns);
    struct kirim_duplicate_slot *const slot = slot_of(cache, number);
    if (slot->ki_state != EMPTY) {
        cache->stats.displaced += now_ns < slot->ki_expires_ns ? 1 : 0;
        remove_at(cache, find_link(cache, &slot->ki_peer, slot->ki_id));
    }
    uint32_t *const head = head_of(cache, &request->peer, request->id);
    slot->ki_peer = request->peer;
    slot->ki_id = request->id;
    slot->ki_expires_ns = ki_after(now_ns, request->lifetime_ns);
    slot->ki_answer_bytes = 0;
    slot->ki_state = KIRIM_REQUEST_PENDING;
    slot->ki_next = *head;
    *head = number;
    join_share(cache, number, share);
}

static uint8_t *answer_of(const struct kirim_duplicates *cache, uint32_t number)
{
    return cache->options.answers == NULL
               ? NULL
               : cache->options.answers + (size_t)(number - 1) * cache->options.answer_bytes_max;
}

int kirim_duplicates_see(struct kirim_duplicates *cache, const struct kirim_request *request,
                         uint64_t now_ns, const uint8_t **answer, size_t *bytes)
{
    uint32_t *const link = find_link(cache, &request->peer, request->id);
    *answer = NULL;
    *bytes = 0;
    if (*link != 0) {
        const uint32_t number = *link;
        const struct kirim_duplicate_slot *const slot = &cache->options.slots[number - 1];
        if (now_ns < slot->ki_expires_ns) {
            cache->stats.repeated++;
            if (slot->ki_state == KIRIM_REQUEST_ANSWERED) {
                *answer = answer_of(cache, number);
                *bytes = slot->ki_answer_bytes;
            }
            return (int)slot->ki_state;
        }
        remove_at(cache, link);
    }
    cache->stats.fresh++;
    enter(cache, request, now_ns);
    return KIRIM_REQUEST_NEW;
}

kirim_err kirim_duplicates_answer(struct kirim_duplicates *cache,
                                  const struct kirim_request *request, const uint8_t *data,
                                  size_t bytes)
{
    const uint32_t number = *find_link(cache, &request->peer, request->id);
    if (data == NULL && bytes > 0) {
        return KIRIM_EFAULT;
    }
    if (number == 0) {
        return KIRIM_ENOENT;
    }
    struct kirim_duplicate_slot *const slot = &cache->options.slots[number - 1];
    if (bytes > cache->options.answer_bytes_max) {
        slot->ki_state = KIRIM_REQUEST_UNKEPT;
        slot->ki_answer_bytes = 0;
        return KIRIM_EMSGSIZE;
    }
    if (bytes > 0) {
        memcpy(answer_of(cache, number), data, bytes);
    }
    slot->ki_state = KIRIM_REQUEST_ANSWERED;
    slot->ki_answer_bytes = (uint32_t)bytes;
    return KIRIM_OK;
}

void kirim_duplicates_forget(struct kirim_duplicates *cache, const struct kirim_request *request)
{
    uint32_t *const link = find_link(cache, &request->peer, request->id);
    if (*link != 0) {
        remove_at(cache, link);
    }
}
