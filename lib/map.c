/* SPDX-License-Identifier: MIT
 *
 * The map; see map.h.
 *
 * Keeps true: a hash is in one table only; `now` is never more than three quarters full; `old` is
 * empty before `next` is needed, since a change looks at more places than it takes. Loop thread.
 */
#include "map.h"

#include <string.h>

enum {
    PLACES_AT_FIRST = 64,
    PLACES_PER_CHANGE = 16, /* of the old table; 2 would do */
    CLEARED_PER_CHANGE = 64 /* of the next one; 8 would do */
};

void ki_map_init(struct ki_map *map, struct kirim_loop *loop)
{
    memset(map, 0, sizeof *map);
    map->loop = loop;
}

static void free_table(struct ki_map *map, struct ki_map_table *table)
{
    ki_free(map->loop, table->entries, (size_t)(table->mask + 1) * sizeof *table->entries);
    *table = (struct ki_map_table){ NULL, 0 };
}

void ki_map_fini(struct ki_map *map)
{
    free_table(map, &map->now);
    free_table(map, &map->old);
    free_table(map, &map->next);
    map->count = 0;
    map->now_count = 0;
}

/* The place of a hash, or the free one behind its likes. The table has a free place. */
static struct ki_map_entry *look(const struct ki_map_table *table, uint64_t hash)
{
    uint64_t at = hash & table->mask;
    while (table->entries[at].value != 0 &&
           (table->entries[at].hash != hash || table->entries[at].value == KI_MAP_MOVED)) {
        at = (at + 1) & table->mask;
    }
    return &table->entries[at];
}

uint64_t *ki_map_find(const struct ki_map *map, uint64_t hash)
{
    if (map->now.entries == NULL) {
        return NULL;
    }
    struct ki_map_entry *entry = look(&map->now, hash);
    if (map->old.entries != NULL && entry->value == 0) {
        entry = look(&map->old, hash);
    }
    return entry->value != 0 ? &entry->value : NULL;
}

/* Moves what lies in some places of the old table, and gives that up when it is empty. */
static void move_some(struct ki_map *map)
{
    for (int i = 0; i < PLACES_PER_CHANGE && map->old.entries != NULL; i++) {
        struct ki_map_entry *from = &map->old.entries[map->moved];
        if (from->value != 0 && from->value != KI_MAP_MOVED) {
            *look(&map->now, from->hash) = *from;
            from->value = KI_MAP_MOVED;
            map->now_count++;
        }
        if (map->moved++ == map->old.mask) {
            free_table(map, &map->old);
        }
    }
}

static bool make_table(struct ki_map *map, struct ki_map_table *table, uint64_t places)
{
    if (places > SIZE_MAX / sizeof *table->entries) {
        return false;
    }
    table->entries = kirim_loop_alloc(map->loop, NULL, 0, (size_t)places * sizeof *table->entries);
    table->mask = table->entries != NULL ? places - 1 : 0;
    return table->entries != NULL;
}

/* Clears some places of the next table. */
static void clear_some(struct ki_map *map, uint64_t most)
{
    const uint64_t left = map->next.mask + 1 - map->cleared;
    const uint64_t count = left < most ? left : most;
    memset(&map->next.entries[map->cleared], 0, (size_t)count * sizeof *map->next.entries);
    map->cleared += count;
}

/* Begins to use the next table. The old one was emptied long ago. */
static void change_tables(struct ki_map *map)
{
    clear_some(map, map->next.mask + 1);
    map->old = map->now;
    map->now = map->next;
    map->next = (struct ki_map_table){ NULL, 0 };
    map->now_count = 0;
    map->moved = 0;
}

/* Sees to it that `now` takes one more. */
static bool make_room(struct ki_map *map)
{
    const uint64_t places = map->now.mask + 1;
    if (map->now.entries == NULL) {
        map->cleared = 0;
        if (!make_table(map, &map->next, PLACES_AT_FIRST)) {
            return false;
        }
        change_tables(map);
        return true;
    }
    if (map->next.entries != NULL) {
        clear_some(map, CLEARED_PER_CHANGE);
    } else if (map->old.entries == NULL && map->now_count >= places / 2) {
        map->cleared = 0;
        /* Without memory there is another chance with the next one, for some time. */
        (void)make_table(map, &map->next, places * 2);
    }
    if (map->now_count < places / 4 * 3) {
        return true;
    }
    if (map->next.entries == NULL) {
        return false;
    }
    change_tables(map);
    return true;
}

bool ki_map_add(struct ki_map *map, uint64_t hash, uint64_t value)
{
    move_some(map);
    if (!make_room(map)) {
        return false;
    }
    *look(&map->now, hash) = (struct ki_map_entry){ hash, value };
    map->now_count++;
    map->count++;
    return true;
}

/* Takes out a place, and moves up those behind it that would not be found across a hole. */
static void close_gap(struct ki_map_table *table, uint64_t hole)
{
    uint64_t at = hole;
    for (;;) {
        at = (at + 1) & table->mask;
        const struct ki_map_entry *entry = &table->entries[at];
        if (entry->value == 0) {
            break;
        }
        const uint64_t distance = (at - (entry->hash & table->mask)) & table->mask;
        if (distance >= ((at - hole) & table->mask)) {
            table->entries[hole] = *entry;
            hole = at;
        }
    }
    table->entries[hole].value = 0;
}

void ki_map_remove(struct ki_map *map, uint64_t hash)
{
    struct ki_map_entry *entry = look(&map->now, hash);
    if (entry->value != 0) {
        close_gap(&map->now, (uint64_t)(entry - map->now.entries));
        map->now_count--;
    } else {
        look(&map->old, hash)->value = KI_MAP_MOVED;
    }
    map->count--;
    move_some(map);
}
