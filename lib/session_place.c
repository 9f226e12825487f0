/* SPDX-License-Identifier: MIT
 *
 * Places of sessions, in chunks that stay where they are until the set is gone. Loop thread.
 */
#include "session.h"

#include <string.h>

enum { CHUNKS_AT_FIRST = 8, GENERATION_SHIFT = 32 };

/* Places begin where a line of the cache does. */
static size_t chunk_bytes(const struct kirim_sessions *set)
{
    return KI_CHUNK_SESSIONS * set->place_bytes + KI_LINE_BYTES - 1;
}

static bool add_chunk(struct kirim_sessions *set)
{
    if (set->chunk_count == set->chunk_room) {
        const uint64_t room = set->chunk_room != 0 ? set->chunk_room * 2 : CHUNKS_AT_FIRST;
        unsigned char **chunks =
            kirim_loop_alloc(set->loop, set->chunks, (size_t)set->chunk_room * sizeof *chunks,
                             (size_t)room * sizeof *chunks);
        if (chunks == NULL) {
            return false;
        }
        set->chunks = chunks;
        set->chunk_room = room;
    }
    unsigned char *chunk = kirim_loop_alloc(set->loop, NULL, 0, chunk_bytes(set));
    if (chunk == NULL) {
        return false;
    }
    set->chunks[set->chunk_count++] = chunk;
    return true;
}

struct kirim_session *ki_place_at(const struct kirim_sessions *set, uint64_t index)
{
    unsigned char *chunk = set->chunks[index / KI_CHUNK_SESSIONS];
    chunk += (KI_LINE_BYTES - (uintptr_t)chunk % KI_LINE_BYTES) % KI_LINE_BYTES;
    return (struct kirim_session *)(void *)(chunk + index % KI_CHUNK_SESSIONS * set->place_bytes);
}

struct kirim_session *ki_place_take(struct kirim_sessions *set)
{
    struct kirim_session *s = set->free;
    uint64_t id;
    if (s != NULL) {
        set->free = s->next;
        id = s->id + ((uint64_t)1 << GENERATION_SHIFT);
    } else {
        if (set->place_count == set->chunk_count * KI_CHUNK_SESSIONS && !add_chunk(set)) {
            return NULL;
        }
        s = ki_place_at(set, set->place_count++);
        id = set->place_count; /* so that no number is 0 */
    }
    memset(s, 0, set->place_bytes);
    s->id = id;
    s->set = set;
    return s;
}

void ki_place_give(struct kirim_session *s)
{
    struct kirim_sessions *set = s->set;
    s->state = KI_SESSION_FREE;
    s->next = set->free;
    set->free = s;
}

void ki_places_free(struct kirim_sessions *set)
{
    for (uint64_t i = 0; i < set->chunk_count; i++) {
        ki_free(set->loop, set->chunks[i], chunk_bytes(set));
    }
    ki_free(set->loop, set->chunks, (size_t)set->chunk_room * sizeof *set->chunks);
}

struct kirim_session *kirim_sessions_find(const struct kirim_sessions *set, uint64_t id)
{
    const uint64_t index = (id & UINT32_MAX) - 1;
    if (set == NULL || index >= set->place_count) {
        return NULL;
    }
    struct kirim_session *s = ki_place_at(set, index);
    return s->id == id && s->state == KI_SESSION_OPEN ? s : NULL;
}

struct kirim_session *kirim_sessions_next(const struct kirim_sessions *set,
                                          const struct kirim_session *session)
{
    if (set == NULL) {
        return NULL;
    }
    for (uint64_t i = session != NULL ? session->id & UINT32_MAX : 0; i < set->place_count; i++) {
        struct kirim_session *s = ki_place_at(set, i);
        if (s->state == KI_SESSION_OPEN) {
            return s;
        }
    }
    return NULL;
}
