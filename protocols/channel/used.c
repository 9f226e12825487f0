/* SPDX-License-Identifier: MIT
 *
 * Connection ids that have begun a channel: see used.h. Open addressing, at most half full.
 */
#include "used.h"

#include <string.h>

enum { ROOM_MIN = 64, ROOM_MAX = 2 * KI_CHANNEL_USED_MAX };

static const uint8_t nobody[KIRIM_CHANNEL_ID_BYTES];

/* The place of an id, or the empty one where it would be. The table is never full. */
static uint8_t *place_of(const struct ki_channel_used *u, const struct ki_channel_generation *g,
                         const uint8_t *id)
{
    uint64_t at = kirim_siphash_number(u->key, id, KIRIM_CHANNEL_ID_BYTES);
    uint8_t *place = g->id[at & (g->room - 1)];
    while (memcmp(place, nobody, sizeof nobody) != 0 && memcmp(place, id, sizeof nobody) != 0) {
        at++;
        place = g->id[at & (g->room - 1)];
    }
    return place;
}

static void clear(struct ki_channel_used *u, struct ki_channel_generation *g)
{
    ki_channel_put_memory(&u->memory, g->id, g->room * sizeof *g->id);
    *g = (struct ki_channel_generation){ NULL, 0, 0, 0 };
}

void ki_channel_used_init(struct ki_channel_used *u, const struct ki_channel_memory *memory,
                          uint64_t lifetime_ns, const uint8_t key[KIRIM_SIPHASH_KEY_BYTES])
{
    memset(u, 0, sizeof *u);
    u->memory = *memory;
    u->lifetime_ns = lifetime_ns;
    memcpy(u->key, key, sizeof u->key);
}

void ki_channel_used_free(struct ki_channel_used *u)
{
    clear(u, &u->now);
    clear(u, &u->before);
}

static bool has(const struct ki_channel_used *u, const struct ki_channel_generation *g,
                const uint8_t *id)
{
    return g->room > 0 && memcmp(place_of(u, g, id), id, KIRIM_CHANNEL_ID_BYTES) == 0;
}

bool ki_channel_used_has(const struct ki_channel_used *u, const uint8_t *id)
{
    /* Zeros are no id here: one in 2^64 asks again. */
    return memcmp(id, nobody, sizeof nobody) == 0 || has(u, &u->now, id) || has(u, &u->before, id);
}

/* Room for one more; false: no memory, or as many as there may be. */
static bool grow(struct ki_channel_used *u, struct ki_channel_generation *g)
{
    if (2 * g->count < g->room) {
        return true;
    }
    struct ki_channel_generation more = *g;
    more.room = g->room == 0 ? ROOM_MIN : 2 * g->room;
    more.id = more.room <= ROOM_MAX ? ki_channel_get_memory(&u->memory, more.room * sizeof *more.id)
                                    : NULL;
    if (more.id == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < g->room; i++) {
        if (memcmp(g->id[i], nobody, sizeof nobody) != 0) {
            memcpy(place_of(u, &more, g->id[i]), g->id[i], KIRIM_CHANNEL_ID_BYTES);
        }
    }
    ki_channel_put_memory(&u->memory, g->id, g->room * sizeof *g->id);
    *g = more;
    return true;
}

/* A new generation begins. Returns since when ids are remembered, if some are forgotten. */
static uint64_t turn(struct ki_channel_used *u)
{
    const uint64_t since_ns = u->before.count > 0 ? u->now.since_ns : 0;
    clear(u, &u->before);
    u->before = u->now;
    u->now = (struct ki_channel_generation){ NULL, 0, 0, 0 };
    return since_ns;
}

uint64_t ki_channel_used_add(struct ki_channel_used *u, const uint8_t *id, uint64_t now_ns)
{
    uint64_t forgotten_ns = 0;
    if (u->now.count > 0 && now_ns - u->now.since_ns >= u->lifetime_ns) {
        (void)turn(u); /* those were added so long ago */
    }
    if (!grow(u, &u->now)) {
        forgotten_ns = turn(u);
        if (!grow(u, &u->now)) {
            return now_ns; /* no memory: this one is forgotten already */
        }
    }
    u->now.since_ns = u->now.count == 0 ? now_ns : u->now.since_ns;
    memcpy(place_of(u, &u->now, id), id, KIRIM_CHANNEL_ID_BYTES);
    u->now.count++;
    return forgotten_ns;
}
