/* SPDX-License-Identifier: MIT
 *
 * The sessions of a service by their peers, and how many each prefix has: see endpoint_parts.h.
 *
 * Peers choose their addresses, so both are found by a keyed hash.
 */
#include "endpoint_parts.h"

enum { IPV4_PREFIX_BYTES = 3, IPV6_PREFIX_BYTES = 7, ADDR_BYTES_MAX = 16 };

static size_t place_of(const struct kirim_tftp_service *service, const uint64_t *words,
                       size_t bytes)
{
    return kirim_siphash_number(service->hash_key, words, bytes) % KIRIM_TFTP_BUCKET_COUNT;
}

static size_t peer_place(const struct kirim_tftp_service *service, const struct kirim_addr *peer)
{
    return place_of(service, peer->word, sizeof peer->word);
}

struct kirim_tftp_session *ki_tftp_find_session(const struct kirim_tftp_service *service,
                                                const struct kirim_addr *peer)
{
    struct kirim_tftp_session *s = service->bucket[peer_place(service, peer)];
    while (s != NULL && (!kirim_addr_equal(&s->link.peer, peer) ||
                         kirim_tftp_transfer_has_ended(&s->link.transfer))) {
        s = s->next;
    }
    return s;
}

void ki_tftp_list_session(struct kirim_tftp_session *s)
{
    struct kirim_tftp_session **const bucket =
        &s->service->bucket[peer_place(s->service, &s->link.peer)];
    s->next = *bucket;
    *bucket = s;
    s->is_listed = true;
}

void ki_tftp_unlist_session(struct kirim_tftp_session *s)
{
    struct kirim_tftp_session **at = &s->service->bucket[peer_place(s->service, &s->link.peer)];
    if (s->is_listed) {
        while (*at != s) {
            at = &(*at)->next;
        }
        *at = s->next;
        s->is_listed = false;
    }
}

/* ---- prefixes -------------------------------------------------------------------------------- */

/* An IPv4 /24 or an IPv6 /56, with its family. */
static uint64_t prefix_of(const struct kirim_addr *peer)
{
    const bool is_ipv4 = kirim_addr_family(peer) == KIRIM_IPV4;
    const size_t kept = is_ipv4 ? IPV4_PREFIX_BYTES : IPV6_PREFIX_BYTES;
    uint8_t bytes[ADDR_BYTES_MAX];
    uint64_t word = is_ipv4 ? KIRIM_IPV4 : KIRIM_IPV6;
    (void)kirim_addr_bytes(peer, bytes);
    for (size_t i = 0; i < kept; i++) {
        word = word << 8 | bytes[i];
    }
    return word;
}

static struct kirim_tftp_prefix *find_prefix(const struct kirim_tftp_service *service,
                                             uint64_t word)
{
    struct kirim_tftp_prefix *prefix = service->prefix[place_of(service, &word, sizeof word)];
    while (prefix != NULL && prefix->word != word) {
        prefix = prefix->next;
    }
    return prefix;
}

uint32_t ki_tftp_prefix_count(const struct kirim_tftp_service *service,
                              const struct kirim_addr *peer)
{
    const struct kirim_tftp_prefix *const prefix = find_prefix(service, prefix_of(peer));
    return prefix != NULL ? prefix->count : 0;
}

kirim_err ki_tftp_count_prefix(struct kirim_tftp_session *s)
{
    struct kirim_tftp_service *const service = s->service;
    const uint64_t word = prefix_of(&s->link.peer);
    s->prefix = find_prefix(service, word);
    if (s->prefix == NULL) {
        struct kirim_tftp_prefix **const bucket =
            &service->prefix[place_of(service, &word, sizeof word)];
        s->prefix = kirim_loop_alloc(service->loop, NULL, 0, sizeof *s->prefix);
        if (s->prefix == NULL) {
            return KIRIM_ENOMEM;
        }
        *s->prefix = (struct kirim_tftp_prefix){ .next = *bucket, .word = word };
        *bucket = s->prefix;
    }
    s->prefix->count++;
    return KIRIM_OK;
}

void ki_tftp_uncount_prefix(struct kirim_tftp_session *s)
{
    struct kirim_tftp_prefix *const prefix = s->prefix;
    if (prefix == NULL || --prefix->count > 0) {
        return;
    }
    struct kirim_tftp_prefix **at =
        &s->service->prefix[place_of(s->service, &prefix->word, sizeof prefix->word)];
    while (*at != prefix) {
        at = &(*at)->next;
    }
    *at = prefix->next;
    (void)kirim_loop_alloc(s->service->loop, prefix, sizeof *prefix, 0);
}
