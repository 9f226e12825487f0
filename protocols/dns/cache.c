/* SPDX-License-Identifier: MIT
 *
 * A cache of answers: see cache.h.
 */
#include "cache.h"

#include <string.h>

#include "wire.h"

#define NS_PER_S UINT64_C(1000000000)

/* One entry for so many bytes of memory is what the table is made for. */
enum { BYTES_PER_PLACE = 512 };

/* An answer. Behind it lie the places of its times to live, then the name, then its bytes. */
struct kirim_dns_cache_entry {
    struct kirim_dns_cache_entry *next; /* with the same place in the table */
    struct kirim_dns_cache_entry *newer, *older;
    uint64_t hash;
    uint64_t stored_ns, expires_ns;
    struct kirim_dns_kept_form form;
    uint16_t type, dns_class;
    uint8_t bits, name_bytes;
    uint16_t ttl_at[];
};

static size_t bytes_of(size_t record_count, size_t name_bytes, size_t wire_bytes)
{
    return sizeof(struct kirim_dns_cache_entry) + 2 * record_count + name_bytes + wire_bytes;
}

static const uint8_t *name_of(const struct kirim_dns_cache_entry *entry)
{
    return (const uint8_t *)(entry->ttl_at + kirim_dns_kept_record_count(&entry->form));
}

static size_t entry_bytes(const struct kirim_dns_cache_entry *entry)
{
    return bytes_of(kirim_dns_kept_record_count(&entry->form), entry->name_bytes,
                    entry->form.end[KIRIM_DNS_SECTION_ADDITIONAL]);
}

kirim_err kirim_dns_cache_open(struct kirim_dns_cache *cache,
                               const struct kirim_dns_cache_options *options)
{
    size_t count = 1;
    if (options->alloc == NULL || options->bytes_max < KIRIM_DNS_CACHE_BYTES_MIN) {
        return KIRIM_EINVAL;
    }
    while (count <= options->bytes_max / BYTES_PER_PLACE / 2) {
        count *= 2;
    }
    const size_t bytes = count * sizeof(void *);
    *cache = (struct kirim_dns_cache){ .options = *options, .table_count = count };
    cache->table = options->alloc(options->alloc_user, NULL, 0, bytes);
    if (cache->table == NULL) {
        return KIRIM_ENOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        cache->table[i] = NULL;
    }
    cache->stats.bytes = bytes;
    return KIRIM_OK;
}

/* ---- the table and the order ----------------------------------------------------------------- */

static struct kirim_dns_cache_entry **place_of(const struct kirim_dns_cache *cache, uint64_t hash)
{
    return &cache->table[hash & (cache->table_count - 1)];
}

static void unlink_order(struct kirim_dns_cache *cache, struct kirim_dns_cache_entry *entry)
{
    *(entry->newer != NULL ? &entry->newer->older : &cache->newest) = entry->older;
    *(entry->older != NULL ? &entry->older->newer : &cache->oldest) = entry->newer;
}

static void make_newest(struct kirim_dns_cache *cache, struct kirim_dns_cache_entry *entry)
{
    entry->newer = NULL;
    entry->older = cache->newest;
    *(cache->newest != NULL ? &cache->newest->newer : &cache->oldest) = entry;
    cache->newest = entry;
}

static void drop_entry(struct kirim_dns_cache *cache, struct kirim_dns_cache_entry *entry)
{
    const size_t bytes = entry_bytes(entry);
    struct kirim_dns_cache_entry **link = place_of(cache, entry->hash);
    while (*link != entry) {
        link = &(*link)->next;
    }
    *link = entry->next;
    unlink_order(cache, entry);
    (void)cache->options.alloc(cache->options.alloc_user, entry, bytes, 0);
    cache->stats.bytes -= bytes;
    cache->stats.entry_count--;
}

void kirim_dns_cache_close(struct kirim_dns_cache *cache)
{
    while (cache->oldest != NULL) {
        drop_entry(cache, cache->oldest);
    }
    (void)cache->options.alloc(cache->options.alloc_user, cache->table,
                               cache->table_count * sizeof(void *), 0);
    cache->table = NULL;
}

uint64_t kirim_dns_cache_hash(const struct kirim_dns_cache *cache,
                              const struct kirim_dns_cache_key *key)
{
    uint8_t input[5 + KIRIM_DNS_NAME_BYTES_MAX];
    const struct kirim_dns_name *const name = &key->question.name;
    ki_dns_put16(input, key->question.type);
    ki_dns_put16(input + 2, key->question.dns_class);
    input[4] = key->bits;
    memcpy(input + 5, name->wire, name->bytes);
    return kirim_siphash_number(cache->options.key, input, 5U + name->bytes);
}

static struct kirim_dns_cache_entry *find_entry(const struct kirim_dns_cache *cache,
                                                const struct kirim_dns_cache_key *key,
                                                uint64_t hash)
{
    const struct kirim_dns_question *const question = &key->question;
    struct kirim_dns_cache_entry *entry = *place_of(cache, hash);
    while (entry != NULL &&
           !(entry->hash == hash && entry->type == question->type &&
             entry->dns_class == question->dns_class && entry->bits == key->bits &&
             entry->name_bytes == question->name.bytes &&
             memcmp(name_of(entry), question->name.wire, question->name.bytes) == 0)) {
        entry = entry->next;
    }
    return entry;
}

/* ---- answers --------------------------------------------------------------------------------- */

bool kirim_dns_cache_find(struct kirim_dns_cache *cache, const struct kirim_dns_cache_key *key,
                          uint64_t now_ns, struct kirim_dns_kept_view *out)
{
    struct kirim_dns_cache_entry *const entry =
        find_entry(cache, key, kirim_dns_cache_hash(cache, key));
    if (entry == NULL) {
        return false;
    }
    if (now_ns >= entry->expires_ns) {
        drop_entry(cache, entry);
        cache->stats.expired++;
        return false;
    }
    unlink_order(cache, entry);
    make_newest(cache, entry);
    *out = (struct kirim_dns_kept_view){
        .form = &entry->form,
        .ttl_at = entry->ttl_at,
        .wire = name_of(entry) + entry->name_bytes,
        .age_s = now_ns > entry->stored_ns ? (uint32_t)((now_ns - entry->stored_ns) / NS_PER_S) : 0,
    };
    return true;
}

/* Makes room for so many bytes. */
static void make_room(struct kirim_dns_cache *cache, size_t bytes, uint64_t now_ns)
{
    while (cache->oldest != NULL && cache->stats.bytes + bytes > cache->options.bytes_max) {
        cache->stats.evicted += cache->oldest->expires_ns > now_ns ? 1 : 0;
        cache->stats.expired += cache->oldest->expires_ns > now_ns ? 0 : 1;
        drop_entry(cache, cache->oldest);
    }
}

void kirim_dns_cache_store(struct kirim_dns_cache *cache, const struct kirim_dns_cache_key *key,
                           const struct kirim_dns_kept *kept, uint64_t now_ns)
{
    const struct kirim_dns_name *const name = &key->question.name;
    const size_t record_count = kirim_dns_kept_record_count(&kept->form);
    const size_t wire_bytes = kept->form.end[KIRIM_DNS_SECTION_ADDITIONAL];
    const size_t bytes = bytes_of(record_count, name->bytes, wire_bytes);
    const uint64_t hash = kirim_dns_cache_hash(cache, key);
    struct kirim_dns_cache_entry *const before = find_entry(cache, key, hash);
    if (before != NULL) {
        drop_entry(cache, before);
    }
    if (kept->form.lifetime_s == 0) {
        return;
    }
    make_room(cache, bytes, now_ns);
    struct kirim_dns_cache_entry *const entry =
        cache->options.alloc(cache->options.alloc_user, NULL, 0, bytes);
    if (entry == NULL) {
        return;
    }
    entry->hash = hash;
    entry->stored_ns = now_ns;
    entry->expires_ns = now_ns + kept->form.lifetime_s * NS_PER_S;
    entry->form = kept->form;
    entry->type = key->question.type;
    entry->dns_class = key->question.dns_class;
    entry->bits = key->bits;
    entry->name_bytes = name->bytes;
    memcpy(entry->ttl_at, kept->ttl_at, 2 * record_count);
    uint8_t *const tail = (uint8_t *)(entry->ttl_at + record_count);
    memcpy(tail, name->wire, name->bytes);
    memcpy(tail + name->bytes, kept->wire, wire_bytes);
    struct kirim_dns_cache_entry **const place = place_of(cache, hash);
    entry->next = *place;
    *place = entry;
    make_newest(cache, entry);
    cache->stats.bytes += bytes;
    cache->stats.entry_count++;
    cache->stats.stored++;
}
