/* SPDX-License-Identifier: MIT
 *
 * Claims about the cache: what is found and until when, and what gives way when there is no room.
 */
#include "kit.h"
#include "protocols/dns/cache.h"
#include "support/random.h"

#include <stdio.h>

#define SECOND UINT64_C(1000000000)

enum { NAME_COUNT = 400, STEP_COUNT = 5000 };

struct place {
    struct kit_memory memory;
    struct kirim_dns_cache cache;
    struct kirim_dns_kept kept;
};

static kirim_err open_cache(struct place *p, size_t bytes)
{
    struct kirim_dns_cache_options options = { .alloc = kit_alloc,
                                               .alloc_user = &p->memory,
                                               .bytes_max = bytes };
    memcpy(options.key, "sixteen byte key", sizeof options.key);
    return kirim_dns_cache_open(&p->cache, &options);
}

static struct place *open_place(void)
{
    struct place *const p = calloc(1, sizeof *p);
    ck_assert_ptr_nonnull(p);
    ck_assert_int_eq(open_cache(p, KIRIM_DNS_CACHE_BYTES_MIN), KIRIM_OK);
    return p;
}

static void close_place(struct place *p)
{
    kirim_dns_cache_close(&p->cache);
    ck_assert_uint_eq(p->memory.blocks, 0);
    ck_assert_uint_eq(p->memory.bytes, 0);
    free(p);
}

static struct kirim_dns_cache_key key_of(const char *name, uint16_t type, uint8_t bits)
{
    return (struct kirim_dns_cache_key){ { kit_name(name), type, KIRIM_DNS_CLASS_IN }, bits };
}

static struct kirim_dns_cache_key key_number(unsigned number)
{
    char name[64];
    (void)snprintf(name, sizeof name, "n%u.example.", number);
    return key_of(name, KIRIM_DNS_A, 0);
}

/* Keeps an answer whose result says which one it is. */
static void store(struct place *p, const struct kirim_dns_cache_key *key, uint16_t rcode,
                  uint32_t lifetime_s, uint64_t now_ns)
{
    kirim_dns_kept_make(&key->question, rcode, lifetime_s, &p->kept);
    kirim_dns_cache_store(&p->cache, key, &p->kept, now_ns);
}

/* The result of what is found, or -1. */
static int find(struct place *p, const struct kirim_dns_cache_key *key, uint64_t now_ns)
{
    struct kirim_dns_kept_view view;
    return kirim_dns_cache_find(&p->cache, key, now_ns, &view) ? view.form->rcode : -1;
}

START_TEST(answer_is_found_by_all_of_its_question)
{
    static const struct {
        const char *name;
        uint16_t type;
        uint8_t bits;
    } others[] = { { "a.example.", 28, 0 }, { "a.example.", 1, 1 }, { "b.example.", 1, 0 },
                   { "a.examplf.", 1, 0 },  { "example.", 1, 0 },   { "a.a.example.", 1, 0 } };
    struct place *const p = open_place();
    const struct kirim_dns_cache_key key = key_of("a.example.", 1, 0);
    struct kirim_dns_cache_key other_class = key;
    other_class.question.dns_class = 3;
    ck_assert_int_eq(find(p, &key, SECOND), -1);
    store(p, &key, 3, 10, SECOND);
    ck_assert_int_eq(find(p, &key, SECOND), 3);
    for (size_t i = 0; i < COUNT_OF(others); i++) {
        const struct kirim_dns_cache_key other =
            key_of(others[i].name, others[i].type, others[i].bits);
        ck_assert_int_eq(find(p, &other, SECOND), -1);
    }
    ck_assert_int_eq(find(p, &other_class, SECOND), -1);
    store(p, &key, 5, 10, SECOND); /* in place of the other */
    ck_assert_int_eq(find(p, &key, SECOND), 5);
    ck_assert_uint_eq(p->cache.stats.entry_count, 1);
    close_place(p);
}
END_TEST

START_TEST(answer_is_good_for_its_lifetime)
{
    struct place *const p = open_place();
    struct kirim_dns_kept_view view;
    const struct kirim_dns_cache_key key = key_of("a.example.", 1, 0);
    store(p, &key, 3, 10, SECOND);
    ck_assert(kirim_dns_cache_find(&p->cache, &key, 11 * SECOND - 1, &view));
    ck_assert_uint_eq(view.age_s, 9);
    ck_assert(kirim_dns_cache_find(&p->cache, &key, 0, &view)); /* a clock that went back */
    ck_assert_uint_eq(view.age_s, 0);
    ck_assert(!kirim_dns_cache_find(&p->cache, &key, 11 * SECOND, &view));
    ck_assert_uint_eq(p->cache.stats.expired, 1);
    ck_assert_uint_eq(p->cache.stats.entry_count, 0);
    store(p, &key, 3, 10, SECOND);
    store(p, &key, 3, 0, SECOND); /* not to be kept: what was before is not true any more */
    ck_assert_int_eq(find(p, &key, SECOND), -1);
    close_place(p);
}
END_TEST

START_TEST(least_used_gives_way)
{
    struct place *const p = open_place();
    const struct kirim_dns_cache_key kept = key_of("kept.example.", 1, 0);
    store(p, &kept, 1, 1000, SECOND);
    unsigned number = 0;
    while (p->cache.stats.evicted == 0) {
        const struct kirim_dns_cache_key key = key_number(number++);
        store(p, &key, 2, 1000, SECOND);
        ck_assert_int_eq(find(p, &kept, SECOND), 1); /* in use all the time */
        ck_assert_uint_le(p->memory.bytes, KIRIM_DNS_CACHE_BYTES_MIN);
        ck_assert_uint_eq(p->memory.bytes, p->cache.stats.bytes);
        ck_assert_uint_lt(number, 10000);
    }
    const struct kirim_dns_cache_key first = key_number(0);
    const struct kirim_dns_cache_key second = key_number(1);
    ck_assert_int_eq(find(p, &first, SECOND), -1);
    ck_assert_int_eq(find(p, &second, SECOND), 2);
    close_place(p);
}
END_TEST

/* Against a model: what is found is what was stored last, and while there is room all is found. */
START_TEST(cache_tells_no_wrong_answer)
{
    struct place *const p = open_place();
    static struct {
        int rcode;
        uint64_t end_ns;
    } model[NAME_COUNT];
    struct test_random random = test_random_start("cache");
    uint64_t now_ns = SECOND;
    memset(model, 0, sizeof model);
    for (size_t i = 0; i < STEP_COUNT; i++) {
        const unsigned number = (unsigned)test_random_below(&random, NAME_COUNT);
        const struct kirim_dns_cache_key key = key_number(number);
        now_ns += test_random_below(&random, SECOND / 10);
        if (test_random_below(&random, 2) == 0) {
            const uint32_t lifetime_s = (uint32_t)test_random_below(&random, 100);
            const int rcode = (int)test_random_below(&random, 16);
            store(p, &key, (uint16_t)rcode, lifetime_s, now_ns);
            model[number].rcode = rcode;
            model[number].end_ns = now_ns + lifetime_s * SECOND;
        }
        const int found = find(p, &key, now_ns);
        const bool is_good = model[number].end_ns > now_ns;
        ck_assert(found == (is_good ? model[number].rcode : -1) ||
                  (found == -1 && p->cache.stats.evicted > 0));
        ck_assert_uint_le(p->memory.bytes, KIRIM_DNS_CACHE_BYTES_MIN);
        ck_assert_uint_eq(p->memory.blocks, 1 + p->cache.stats.entry_count);
    }
    ck_assert_uint_gt(p->cache.stats.expired, 0);
    close_place(p);
}
END_TEST

START_TEST(without_memory_nothing_is_kept)
{
    struct place *const p = calloc(1, sizeof *p);
    const struct kirim_dns_cache_key key = key_of("a.example.", 1, 0);
    ck_assert_ptr_nonnull(p);
    ck_assert_int_eq(open_cache(p, KIRIM_DNS_CACHE_BYTES_MIN - 1), KIRIM_EINVAL);
    p->memory.fail_at = 1;
    ck_assert_int_eq(open_cache(p, KIRIM_DNS_CACHE_BYTES_MIN), KIRIM_ENOMEM);
    ck_assert_int_eq(open_cache(p, KIRIM_DNS_CACHE_BYTES_MIN), KIRIM_OK);
    p->memory.fail_at = p->memory.calls + 1;
    store(p, &key, 3, 10, SECOND);
    ck_assert_int_eq(find(p, &key, SECOND), -1);
    ck_assert_uint_eq(p->cache.stats.stored, 0);
    store(p, &key, 3, 10, SECOND);
    ck_assert_int_eq(find(p, &key, SECOND), 3);
    close_place(p);
}
END_TEST

int main(void)
{
    const struct kit_claim claims[] = {
        { answer_is_found_by_all_of_its_question, 0 },
        { answer_is_good_for_its_lifetime, 0 },
        { least_used_gives_way, 0 },
        { cache_tells_no_wrong_answer, 0 },
        { without_memory_nothing_is_kept, 0 },
        { NULL, 0 },
    };
    return kit_main("protocols/dns cache", claims);
}
