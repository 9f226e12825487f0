/* SPDX-License-Identifier: MIT
 *
 * Places that networks share: a list for each group of networks, the oldest first, and a look over
 * all groups where somebody has to make room. Owns nothing. One thread at a time. Sources: see
 * kirim/share.h.
 */
#include <kirim/share.h>

#include <string.h>

#include "pack.h"

enum { IPV4_BITS = 24, IPV6_BITS = 56 };

static uint32_t group_of(const struct kirim_shares *shares, const struct kirim_addr *peer)
{
    uint8_t packed[KI_PACKED_ADDR_BYTES];
    ki_pack_prefix(peer, IPV4_BITS, IPV6_BITS, packed);
    return ki_place_of(kirim_siphash_number(shares->ki_key, packed, sizeof packed),
                       KIRIM_SHARE_GROUPS);
}

void kirim_shares_init(struct kirim_shares *shares, const uint8_t key[KIRIM_SIPHASH_KEY_BYTES])
{
    memset(shares, 0, sizeof *shares);
    memcpy(shares->ki_key, key, sizeof shares->ki_key);
}

void kirim_shares_take(struct kirim_shares *shares, struct kirim_share *share,
                       const struct kirim_addr *peer)
{
    const uint32_t index = group_of(shares, peer);
    struct kirim_share_group *const group = &shares->ki_group[index];
    share->ki_group = index;
    share->ki_number = ++shares->ki_last;
    share->ki_newer = NULL;
    share->ki_older = group->ki_newest;
    *(share->ki_older != NULL ? &share->ki_older->ki_newer : &group->ki_oldest) = share;
    group->ki_newest = share;
    group->ki_count++;
    shares->count++;
}

void kirim_shares_give(struct kirim_shares *shares, struct kirim_share *share)
{
    if (share->ki_number == 0) {
        return;
    }
    struct kirim_share_group *const group = &shares->ki_group[share->ki_group];
    *(share->ki_older != NULL ? &share->ki_older->ki_newer : &group->ki_oldest) = share->ki_newer;
    *(share->ki_newer != NULL ? &share->ki_newer->ki_older : &group->ki_newest) = share->ki_older;
    group->ki_count--;
    shares->count--;
    share->ki_number = 0;
}

struct kirim_share *kirim_shares_find(const struct kirim_shares *shares,
                                      const struct kirim_addr *peer, bool *is_owed)
{
    const struct kirim_share_group *const own = &shares->ki_group[group_of(shares, peer)];
    struct kirim_share *oldest = NULL;
    uint64_t most = 0;
    for (uint32_t i = 0; i < KIRIM_SHARE_GROUPS; i++) {
        struct kirim_share *const first = shares->ki_group[i].ki_oldest;
        const uint64_t count = shares->ki_group[i].ki_count;
        if (count > most || (count == most && count > 0 && first->ki_number < oldest->ki_number)) {
            oldest = first;
            most = count;
        }
    }
    /* A place more or less is no reason to take it from somebody else: so nothing goes to and fro
     * where places cannot be shared out evenly. */
    const bool is_over = most > own->ki_count + 1;
    if (is_owed != NULL) {
        *is_owed = is_over;
    }
    return is_over || own->ki_count == 0 ? oldest : own->ki_oldest;
}
