/* SPDX-License-Identifier: MIT
 *
 * Keys of sessions, and how many sessions a prefix has. Both are looked up by a hash that is keyed
 * for each set by the loop's random bytes, as strangers choose what is hashed. Loop thread.
 */
#include "session.h"
#include "siphash13.h"

#include <string.h>

/* Where an address has its family and its port; no family is so large. */
#define BYTES_MARK UINT64_C(0xff00000000000000)

/* What a prefix is hashed with behind its words, so that it is no key. */
#define PREFIX_MARK UINT64_C(0xfe00000000000000)

enum { LENGTH_SHIFT = 32, TAIL_AT = 2 * sizeof(uint64_t) };

struct ki_session_key ki_key_of_bytes(const void *bytes, size_t count)
{
    struct ki_session_key key = { { 0, 0, 0 } };
    const size_t head_bytes = count < TAIL_AT ? count : TAIL_AT;
    uint32_t tail = 0;
    memcpy(key.word, bytes, head_bytes);
    memcpy(&tail, (const uint8_t *)bytes + head_bytes, count - head_bytes);
    key.word[2] = BYTES_MARK | (uint64_t)count << LENGTH_SHIFT | tail;
    return key;
}

uint64_t ki_key_hash(const struct kirim_sessions *set, const struct ki_session_key *key)
{
    return ki_siphash13(set->hash_key, key->word, sizeof key->word / sizeof key->word[0]);
}

static bool key_equals(const struct ki_session_key *a, const struct ki_session_key *b)
{
    return ((a->word[0] ^ b->word[0]) | (a->word[1] ^ b->word[1]) | (a->word[2] ^ b->word[2])) == 0;
}

struct kirim_session *ki_key_find(const struct kirim_sessions *set,
                                  const struct ki_session_key *key, uint64_t hash)
{
    const uint64_t *value = ki_map_find(&set->keys, hash);
    if (value == NULL) {
        return NULL;
    }
    if ((*value & KI_IS_EXTRA) != 0) {
        struct ki_extra_key *extra = (struct ki_extra_key *)(uintptr_t)(*value - KI_IS_EXTRA);
        return key_equals(&extra->key, key) ? extra->session : NULL;
    }
    struct kirim_session *s = (struct kirim_session *)(uintptr_t)*value;
    return key_equals(&s->key, key) ? s : NULL;
}

void ki_key_prefetch(const struct kirim_sessions *set, uint64_t hash)
{
    const uint64_t *value = ki_map_find(&set->keys, hash);
    if (value != NULL) {
        const char *at = (const char *)(uintptr_t)(*value & ~(uint64_t)KI_IS_EXTRA);
        for (size_t i = 0; i < KI_SESSION_HOT_BYTES; i += KI_LINE_BYTES) {
            KI_PREFETCH(at + i);
        }
    }
}

/* Takes an extra key out of the map and out of memory; not out of its session's list. */
static void drop_extra(struct kirim_sessions *set, struct ki_extra_key *extra)
{
    ki_map_remove(&set->keys, ki_key_hash(set, &extra->key));
    ki_free(set->loop, extra, sizeof *extra);
}

void ki_keys_remove(struct kirim_session *s)
{
    ki_map_remove(&s->set->keys, s->hash);
    while (s->extras != NULL) {
        struct ki_extra_key *extra = s->extras;
        s->extras = extra->next;
        drop_extra(s->set, extra);
    }
}

/* What a caller may do with a key of a session. */
static kirim_err check(const struct kirim_session *session, const void *key, size_t key_bytes)
{
    if (session == NULL || key == NULL || key_bytes == 0 ||
        key_bytes > KIRIM_SESSION_KEY_BYTES_MAX) {
        return KIRIM_EINVAL;
    }
    return session->state == KI_SESSION_OPEN ? KIRIM_OK : KIRIM_ECLOSED;
}

kirim_err kirim_session_add_key(struct kirim_session *session, const void *key, size_t key_bytes)
{
    const kirim_err err = check(session, key, key_bytes);
    if (err < 0) {
        return err;
    }
    struct kirim_sessions *set = session->set;
    const struct ki_session_key words = ki_key_of_bytes(key, key_bytes);
    const uint64_t hash = ki_key_hash(set, &words);
    /* A hash that another key has, once in an age, is as good as taken. */
    if (ki_map_find(&set->keys, hash) != NULL) {
        return KIRIM_EEXIST;
    }
    struct ki_extra_key *extra = ki_alloc(set->loop, sizeof *extra);
    if (extra == NULL) {
        return KIRIM_ENOMEM;
    }
    if (!ki_map_add(&set->keys, hash, (uint64_t)(uintptr_t)extra | KI_IS_EXTRA)) {
        ki_free(set->loop, extra, sizeof *extra);
        return KIRIM_ENOMEM;
    }
    *extra = (struct ki_extra_key){ words, session->extras, session };
    session->extras = extra;
    return KIRIM_OK;
}

kirim_err kirim_session_remove_key(struct kirim_session *session, const void *key, size_t key_bytes)
{
    const kirim_err err = check(session, key, key_bytes);
    if (err < 0) {
        return err;
    }
    const struct ki_session_key words = ki_key_of_bytes(key, key_bytes);
    for (struct ki_extra_key **at = &session->extras; *at != NULL; at = &(*at)->next) {
        struct ki_extra_key *extra = *at;
        if (key_equals(&extra->key, &words)) {
            *at = extra->next;
            drop_extra(session->set, extra);
            return KIRIM_OK;
        }
    }
    return KIRIM_EINVAL;
}

struct kirim_session *kirim_sessions_find_key(struct kirim_sessions *set,
                                              const struct kirim_addr *peer, const void *key,
                                              size_t key_bytes)
{
    if (set == NULL || (key == NULL && peer == NULL) || key_bytes > KIRIM_SESSION_KEY_BYTES_MAX ||
        (key != NULL && key_bytes == 0)) {
        return NULL;
    }
    const struct ki_session_key words =
        key != NULL ? ki_key_of_bytes(key, key_bytes) : ki_key_of_peer(peer);
    return ki_key_find(set, &words, ki_key_hash(set, &words));
}

/* ---- prefixes -------------------------------------------------------------------------------- */

static uint64_t prefix_hash(const struct kirim_sessions *set, const struct kirim_addr *peer)
{
    const int family = kirim_addr_family(peer);
    const uint64_t *mask = family == KIRIM_IPV4 ? set->prefix_mask_ipv4 : set->prefix_mask_ipv6;
    const uint64_t words[3] = { peer->word[0] & mask[0], peer->word[1] & mask[1],
                                PREFIX_MARK | (uint64_t)family };
    return ki_siphash13(set->hash_key, words, sizeof words / sizeof words[0]);
}

uint64_t *ki_prefix_find(const struct kirim_sessions *set, const struct kirim_addr *peer)
{
    return set->prefix_count_max != 0 ? ki_map_find(&set->prefixes, prefix_hash(set, peer)) : NULL;
}

bool ki_prefix_count(struct kirim_sessions *set, const struct kirim_addr *peer)
{
    if (set->prefix_count_max == 0) {
        return true;
    }
    const uint64_t hash = prefix_hash(set, peer);
    uint64_t *count = ki_map_find(&set->prefixes, hash);
    if (count == NULL) {
        return ki_map_add(&set->prefixes, hash, 1);
    }
    ++*count;
    return true;
}

void ki_prefix_uncount(struct kirim_sessions *set, const struct kirim_addr *peer)
{
    if (set->prefix_count_max == 0) {
        return;
    }
    const uint64_t hash = prefix_hash(set, peer);
    uint64_t *count = ki_map_find(&set->prefixes, hash);
    if (--*count == 0) {
        *count = 1; /* a place in the map is never 0 */
        ki_map_remove(&set->prefixes, hash);
    }
}
