/* SPDX-License-Identifier: MIT
 *
 * Hash tables of a world: chains of nodes that stand in the structures they find.
 *
 * Adding cannot fail once room was reserved; if there is no memory to grow, the chains get longer
 * instead. Owns the array of buckets only. The world's thread.
 */
#include "sim.h"

#include <string.h>

enum { BUCKETS_MIN = 16 };

static struct ki_sim_node **bucket_of(const struct ki_sim_table *t, uint64_t hash)
{
    return &t->bucket[(size_t)hash & (t->bucket_count - 1)];
}

static bool rehash(struct kirim_sim *sim, struct ki_sim_table *t, size_t bucket_count)
{
    struct ki_sim_node **bucket = ki_sim_alloc(sim, bucket_count * sizeof(struct ki_sim_node *));
    if (bucket == NULL) {
        return false;
    }
    const struct ki_sim_table old = *t;
    t->bucket = bucket;
    t->bucket_count = bucket_count;
    for (size_t i = 0; i < old.bucket_count; i++) {
        struct ki_sim_node *node = old.bucket[i];
        while (node != NULL) {
            struct ki_sim_node *next = node->next;
            struct ki_sim_node **place = bucket_of(t, node->hash);
            node->next = *place;
            *place = node;
            node = next;
        }
    }
    ki_sim_free(sim, old.bucket, old.bucket_count * sizeof(struct ki_sim_node *));
    return true;
}

bool ki_sim_table_reserve(struct kirim_sim *sim, struct ki_sim_table *t, size_t count)
{
    size_t wanted = t->bucket_count == 0 ? (size_t)BUCKETS_MIN : t->bucket_count;
    while (wanted < 2 * (t->count + count)) { /* a chain of two is one cache miss more */
        wanted *= 2;
    }
    if (wanted == t->bucket_count || rehash(sim, t, wanted)) {
        return true;
    }
    return t->bucket_count > 0;
}

void ki_sim_table_add(struct ki_sim_table *t, struct ki_sim_node *node, uint64_t hash)
{
    struct ki_sim_node **place = bucket_of(t, hash);
    node->hash = hash;
    node->next = *place;
    *place = node;
    t->count++;
}

void ki_sim_table_remove(struct ki_sim_table *t, struct ki_sim_node *node)
{
    struct ki_sim_node **place = bucket_of(t, node->hash);
    while (*place != node) {
        place = &(*place)->next;
    }
    *place = node->next;
    t->count--;
}

void ki_sim_table_fini(struct kirim_sim *sim, struct ki_sim_table *t)
{
    ki_sim_free(sim, t->bucket, t->bucket_count * sizeof(struct ki_sim_node *));
    memset(t, 0, sizeof *t);
}

static struct ki_sim_node *skip_to(struct ki_sim_node *node, uint64_t hash)
{
    while (node != NULL && node->hash != hash) {
        node = node->next;
    }
    return node;
}

struct ki_sim_node *ki_sim_table_first(const struct ki_sim_table *t, uint64_t hash)
{
    return t->bucket_count == 0 ? NULL : skip_to(*bucket_of(t, hash), hash);
}

struct ki_sim_node *ki_sim_table_next(const struct ki_sim_node *node)
{
    return skip_to(node->next, node->hash);
}
