/* SPDX-License-Identifier: MIT
 *
 * The rate limiter per prefix: a set-associative table of buckets. Which set is told by the upper
 * half of a keyed hash; the whole hash names the prefix, so two prefixes share a bucket with a
 * chance of 2^-64. Owns nothing. One thread at a time. Sources: see kirim/limiter.h.
 */
#include <kirim/limiter.h>

#include <string.h>

#include "bucket.h"
#include "pack.h"

enum { TOPIC_BYTES = 8 };

kirim_err kirim_limiter_init(struct kirim_limiter *limiter,
                             const struct kirim_limiter_options *options)
{
    if (options->slots == NULL || options->slot_count == 0 ||
        options->slot_count % KIRIM_LIMITER_WAYS != 0 || options->ipv4_bits > 32 ||
        options->ipv6_bits > 128) {
        return KIRIM_EINVAL;
    }
    memset(limiter, 0, sizeof *limiter);
    limiter->options = *options;
    memset(options->slots, 0, options->slot_count * sizeof *options->slots);
    return KIRIM_OK;
}

/* Hash of a prefix, and of a topic if there is one. Never 0: that is an empty slot. */
static uint64_t hash_prefix(const struct kirim_limiter_options *options,
                            const struct kirim_addr *peer, const uint64_t *topic)
{
    uint8_t packed[KI_PACKED_ADDR_BYTES + TOPIC_BYTES];
    ki_pack_prefix(peer, options->ipv4_bits, options->ipv6_bits, packed);
    size_t bytes = KI_PACKED_ADDR_BYTES;
    for (unsigned i = 0; topic != NULL && i < TOPIC_BYTES; i++) {
        packed[bytes++] = (uint8_t)(*topic >> (8 * i));
    }
    return kirim_siphash_number(options->key, packed, bytes) | 1;
}

/* The slot of a prefix: its own, an empty one, or that of the prefix which owes least. */
static struct kirim_limiter_slot *find_slot(struct kirim_limiter *limiter, uint64_t tag,
                                            uint64_t now_ns)
{
    const struct kirim_limiter_options *const options = &limiter->options;
    const uint32_t set = ki_place_of(tag, options->slot_count / KIRIM_LIMITER_WAYS);
    struct kirim_limiter_slot *const slots = options->slots + (size_t)set * KIRIM_LIMITER_WAYS;
    struct kirim_limiter_slot *least = NULL;
    uint64_t least_debt = UINT64_MAX;
    for (unsigned i = 0; i < KIRIM_LIMITER_WAYS; i++) {
        if (slots[i].ki_tag == tag) {
            return &slots[i];
        }
    }
    for (unsigned i = 0; i < KIRIM_LIMITER_WAYS; i++) {
        const uint64_t debt = ki_bucket_debt(&slots[i].ki_bucket, &options->rate, now_ns);
        if (debt < least_debt) {
            least = &slots[i];
            least_debt = debt;
        }
    }
    limiter->stats.displaced += least_debt > 0 ? 1 : 0;
    least->ki_tag = tag;
    least->ki_refused = 0;
    return least;
}

static int judge(struct kirim_limiter *limiter, uint64_t tag, uint64_t now_ns, uint32_t units)
{
    const struct kirim_limiter_options *const options = &limiter->options;
    struct kirim_limiter_slot *const slot = find_slot(limiter, tag, now_ns);
    if (kirim_bucket_take(&slot->ki_bucket, &options->rate, now_ns, units)) {
        limiter->stats.passed++;
        return KIRIM_LIMITER_PASS;
    }
    slot->ki_refused++;
    if (options->slip > 0 && slot->ki_refused >= options->slip) {
        slot->ki_refused = 0;
        limiter->stats.slipped++;
        return KIRIM_LIMITER_SLIP;
    }
    limiter->stats.dropped++;
    return KIRIM_LIMITER_DROP;
}

int kirim_limiter_judge(struct kirim_limiter *limiter, const struct kirim_addr *peer,
                        uint64_t now_ns, uint32_t units)
{
    return judge(limiter, hash_prefix(&limiter->options, peer, NULL), now_ns, units);
}

int kirim_limiter_judge_topic(struct kirim_limiter *limiter, const struct kirim_addr *peer,
                              uint64_t topic, uint64_t now_ns)
{
    return judge(limiter, hash_prefix(&limiter->options, peer, &topic), now_ns, 1);
}
