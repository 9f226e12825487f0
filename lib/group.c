/* SPDX-License-Identifier: MIT
 *
 * Order per peer: brings together what waits for one peer, so that it leaves in trains.
 *
 * Keeps the order of each peer's datagrams, and peers in the order of their first one. Entries
 * change their places in the queue, and thereby their numbers; what their bytes lie in is given
 * back when all that was brought together has left, since stores are first in, first out. One
 * scratch for each loop, made when the first endpoint asks for it. Loop thread.
 */
#include "core.h"

#include <string.h>

enum {
    WINDOW_MAX = 1024, /* entries that are looked at together */
    TABLE_BITS = 11,
    NOBODY = UINT16_MAX
};
_Static_assert(1 << TABLE_BITS >= 2 * WINDOW_MAX, "the table is at most half full");

struct ki_grouper {
    uint64_t key[2]; /* odd; a peer chooses its address, but not these */
    uint32_t group_count;
    uint16_t table[1 << TABLE_BITS]; /* groups by the hash of their peer */
    uint16_t first[WINDOW_MAX];      /* of a group: its first and last entry */
    uint16_t last[WINDOW_MAX];
    uint16_t next[WINDOW_MAX]; /* of an entry: the next of its group */
    struct ki_entry copy[WINDOW_MAX];
};

kirim_err ki_grouper_open(struct kirim_loop *loop)
{
    if (loop->grouper != NULL) {
        return KIRIM_OK;
    }
    struct ki_grouper *g = ki_alloc(loop, sizeof *g);
    if (g == NULL) {
        return KIRIM_ENOMEM;
    }
    const kirim_err err = loop->ops->random(loop->reactor, g->key, sizeof g->key);
    if (err < 0) {
        ki_free(loop, g, sizeof *g);
        return err;
    }
    g->key[0] |= 1;
    g->key[1] |= 1;
    loop->grouper = g;
    return KIRIM_OK;
}

void ki_grouper_close(struct kirim_loop *loop)
{
    ki_free(loop, loop->grouper, sizeof *loop->grouper);
    loop->grouper = NULL;
}

/* Whom an entry goes to: on a connected endpoint it need not say so. */
static inline const struct kirim_addr *peer_of(const struct kirim_endpoint *ep, uint64_t number)
{
    const struct ki_entry *e = ki_queue_at(&ep->queue, number);
    return kirim_addr_family(&e->peer) != KIRIM_FAMILY_NONE ? &e->peer : &ep->port->remote;
}

static inline bool is_same_peer(const struct kirim_addr *a, const struct kirim_addr *b)
{
    return ((a->word[0] ^ b->word[0]) | (a->word[1] ^ b->word[1]) | (a->word[2] ^ b->word[2])) == 0;
}

static inline uint32_t hash_of(const struct ki_grouper *g, const struct kirim_addr *peer)
{
    const uint64_t folded =
        (peer->word[0] ^ (peer->word[1] << 7 | peer->word[1] >> 57)) * g->key[0];
    return (uint32_t)(((folded ^ folded >> 29 ^ peer->word[2]) * g->key[1]) >> (64 - TABLE_BITS));
}

/* Puts entry `i` at the end of its peer's group, which may be new. */
static void add_entry(struct ki_grouper *g, const struct kirim_endpoint *ep, uint32_t i)
{
    const uint64_t next = ep->queue.next;
    const struct kirim_addr *peer = peer_of(ep, next + i);
    uint32_t at = hash_of(g, peer);
    while (g->table[at] != NOBODY) {
        const uint16_t group = g->table[at];
        if (is_same_peer(peer, peer_of(ep, next + g->first[group]))) {
            g->next[g->last[group]] = (uint16_t)i;
            g->last[group] = (uint16_t)i;
            return;
        }
        at = (at + 1) & ((1U << TABLE_BITS) - 1);
    }
    g->table[at] = (uint16_t)g->group_count;
    g->first[g->group_count] = (uint16_t)i;
    g->last[g->group_count] = (uint16_t)i;
    g->group_count++;
}

/* Writes the entries back, one group after the other. */
static void write_groups(struct ki_grouper *g, const struct ki_queue *q, uint32_t n)
{
    uint64_t number = q->next;
    for (uint32_t i = 0; i < n; i++) {
        g->copy[i] = *ki_queue_at(q, q->next + i);
    }
    for (uint32_t group = 0; group < g->group_count; group++) {
        uint16_t i = g->first[group];
        while (i != NOBODY) {
            struct ki_entry *e = ki_queue_at(q, number);
            *e = g->copy[i];
            if (e->op != NULL) {
                e->op->ki_number = number;
            }
            number++;
            i = g->next[i];
        }
    }
}

void ki_group(struct kirim_endpoint *ep)
{
    struct ki_grouper *g = ep->loop->grouper;
    struct ki_queue *q = &ep->queue;
    const uint64_t waiting = q->tail - q->next;
    const uint32_t n = waiting < WINDOW_MAX ? (uint32_t)waiting : (uint32_t)WINDOW_MAX;
    uint32_t run_count = 1;
    /* What was brought together before has to be gone. */
    if (n < 3 || q->head < ep->group_end) {
        return;
    }
    g->group_count = 0;
    memset(g->table, 0xff, sizeof g->table);
    memset(g->next, 0xff, n * sizeof g->next[0]);
    for (uint32_t i = 0; i < n; i++) {
        add_entry(g, ep, i);
        run_count += i > 0 && !is_same_peer(peer_of(ep, q->next + i - 1), peer_of(ep, q->next + i));
    }
    if (run_count != g->group_count) {
        write_groups(g, q, n);
        ep->group_end = q->next + n;
    }
}

void ki_group_release_later(struct kirim_endpoint *ep, uint32_t status)
{
    ep->group_stored_count += (status & KI_STORED) != 0;
    ep->group_copied_count += (status & KI_COPIED) != 0;
}

void ki_group_release(struct kirim_endpoint *ep)
{
    for (; ep->group_stored_count > 0; ep->group_stored_count--) {
        ki_store_release(ep->loop, &ep->store);
    }
    for (; ep->group_copied_count > 0; ep->group_copied_count--) {
        ki_store_release(ep->loop, &ep->copies);
    }
}
