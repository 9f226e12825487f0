/* SPDX-License-Identifier: MIT
 *
 * Claims about lib/share.c: who may take what, who makes room, and what a flood of networks can do.
 */
#include <kirim/share.h>

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "support/random.h"

enum { PLACES = 60, STEPS = 20000, NETWORKS = 8 };

static struct kirim_shares shares;
static struct kirim_share place[PLACES];
static struct kirim_addr holder[PLACES];

static struct kirim_addr address_of(const char *text)
{
    struct kirim_addr addr;
    ck_assert_int_eq(kirim_addr_parse(text, &addr), KIRIM_OK);
    return addr;
}

/* A host of a network of its own. */
static struct kirim_addr host_of(uint32_t network, uint8_t number)
{
    const uint8_t bytes[4] = { 10, (uint8_t)(network >> 8), (uint8_t)network, number };
    return kirim_addr_ipv4(bytes, number);
}

static void begin(void)
{
    kirim_shares_init(&shares, (const uint8_t *)"sixteen byte key");
    memset(place, 0, sizeof place);
}

/* Takes a place for a host: one that is left, or one that is owed. False: there is none for it. */
static bool ask(const struct kirim_addr *peer)
{
    size_t i = 0;
    while (i < PLACES && place[i].ki_number != 0) {
        i++;
    }
    if (i == PLACES) {
        bool is_owed = false;
        struct kirim_share *const found = kirim_shares_find(&shares, peer, &is_owed);
        if (!is_owed) {
            return false;
        }
        kirim_shares_give(&shares, found);
        i = (size_t)(found - place);
    }
    holder[i] = *peer;
    kirim_shares_take(&shares, &place[i], peer);
    return true;
}

static size_t count_of(uint32_t network)
{
    size_t count = 0;
    for (size_t i = 0; i < PLACES; i++) {
        uint8_t bytes[16];
        (void)kirim_addr_bytes(&holder[i], bytes);
        count += place[i].ki_number != 0 && bytes[2] == network ? 1 : 0;
    }
    return count;
}

static const struct network_case {
    const char *a, *b;
    bool is_same;
} networks[] = {
    { "192.0.2.1:1", "192.0.2.1:2", true },
    { "192.0.2.0", "192.0.2.255", true },
    { "192.0.2.1", "192.0.3.1", false },
    { "2001:db8:0:1200::", "2001:db8:0:12ff:ffff::1", true },
    { "2001:db8:0:1200::", "2001:db8:0:1300::", false },
    { "::ffff:192.0.2.1", "192.0.2.2", true },
};

START_TEST(network_is_that_of_the_prefix)
{
    const struct kirim_addr a = address_of(networks[_i].a);
    const struct kirim_addr b = address_of(networks[_i].b);
    bool is_owed = false;
    begin();
    ck_assert_ptr_null(kirim_shares_find(&shares, &a, &is_owed));
    ck_assert(!is_owed);
    kirim_shares_take(&shares, &place[0], &a);
    kirim_shares_take(&shares, &place[1], &a);
    ck_assert_ptr_eq(kirim_shares_find(&shares, &b, &is_owed), &place[0]);
    ck_assert(is_owed != networks[_i].is_same);
}
END_TEST

START_TEST(who_is_alone_may_have_all)
{
    begin();
    for (size_t i = 0; i < PLACES; i++) {
        const struct kirim_addr peer = host_of(1, (uint8_t)i);
        ck_assert(ask(&peer));
    }
    const struct kirim_addr peer = host_of(1, 200);
    ck_assert(!ask(&peer)); /* there are no more */
    ck_assert_ptr_eq(kirim_shares_find(&shares, &peer, NULL), &place[0]);
    ck_assert_uint_eq(shares.count, PLACES);
}
END_TEST

START_TEST(who_comes_later_gets_an_even_share)
{
    begin();
    for (uint32_t network = 1; network <= 4; network++) {
        const struct kirim_addr peer = host_of(network, 1);
        size_t count = 0;
        while (count < 2 * PLACES && ask(&peer)) {
            count++;
        }
        for (uint32_t other = 1; other <= network; other++) {
            ck_assert_uint_eq(count_of(other), PLACES / network);
        }
    }
    kirim_shares_give(&shares, &place[PLACES / 2]);
    kirim_shares_give(&shares, &place[PLACES / 2]); /* once is all there is */
    ck_assert_uint_eq(shares.count, PLACES - 1);
}
END_TEST

/* Three places and two networks: the odd one stays where it is. */
START_TEST(odd_place_does_not_go_to_and_fro)
{
    const struct kirim_addr a = host_of(1, 1);
    const struct kirim_addr b = host_of(2, 1);
    bool is_owed = true;
    begin();
    kirim_shares_take(&shares, &place[0], &a);
    kirim_shares_take(&shares, &place[1], &a);
    kirim_shares_take(&shares, &place[2], &b);
    ck_assert_ptr_eq(kirim_shares_find(&shares, &b, &is_owed), &place[2]);
    ck_assert(!is_owed);
    ck_assert_ptr_eq(kirim_shares_find(&shares, &a, &is_owed), &place[0]);
    ck_assert(!is_owed);
}
END_TEST

/* In all groups, a flood has the places of all; who comes then is as one of it, no worse. */
START_TEST(flood_of_networks_ends_in_the_order_of_arrival)
{
    enum { COUNT = 1024 };
    struct kirim_share *const many = calloc(COUNT, sizeof *many);
    ck_assert_ptr_nonnull(many);
    begin();
    for (uint32_t i = 0; i < COUNT; i++) {
        const struct kirim_addr peer = host_of(i, 1);
        kirim_shares_take(&shares, &many[i], &peer);
    }
    uint32_t fullest = 0;
    for (uint32_t i = 0; i < KIRIM_SHARE_GROUPS; i++) {
        ck_assert_uint_lt(shares.ki_group[i].ki_count, 20); /* 4 on average */
        fullest = shares.ki_group[i].ki_count > shares.ki_group[fullest].ki_count ? i : fullest;
    }
    const struct kirim_addr peer = address_of("[2001:db8::1]:1");
    const struct kirim_share *const found = kirim_shares_find(&shares, &peer, NULL);
    ck_assert_uint_eq(shares.ki_group[found->ki_group].ki_count, shares.ki_group[fullest].ki_count);
    ck_assert_ptr_null(found->ki_older);
    for (uint32_t i = 0; i < COUNT; i++) {
        kirim_shares_give(&shares, &many[i]);
    }
    ck_assert_uint_eq(shares.count, 0);
    free(many);
}
END_TEST

START_TEST(who_has_none_among_single_ones_is_named_the_oldest)
{
    begin();
    for (uint32_t i = 0; i < 10; i++) {
        const struct kirim_addr peer = host_of(20 + i, 1);
        kirim_shares_take(&shares, &place[9 - i], &peer);
    }
    uint32_t twins = 0; /* the key is such that no two are together */
    for (uint32_t i = 0; i < 10; i++) {
        twins += place[i].ki_older != NULL ? 1 : 0;
    }
    ck_assert_uint_eq(twins, 0);
    const struct kirim_addr peer = host_of(98, 1);
    bool is_owed = true;
    ck_assert_ptr_eq(kirim_shares_find(&shares, &peer, &is_owed), &place[9]);
    ck_assert(!is_owed);
}
END_TEST

/* The same told by counting: a network that asks is refused only if none has two more. */
START_TEST(nobody_is_refused_while_another_has_two_more)
{
    struct test_random random = test_random_start("share");
    begin();
    for (size_t step = 0; step < STEPS; step++) {
        const uint32_t network = (uint32_t)test_random_below(&random, NETWORKS);
        const struct kirim_addr peer = host_of(network, (uint8_t)test_random_next(&random));
        const size_t left = (size_t)test_random_below(&random, PLACES);
        if (test_random_below(&random, 8) == 0) {
            kirim_shares_give(&shares, &place[left]);
            continue;
        }
        size_t before[NETWORKS], most = 0;
        for (uint32_t i = 0; i < NETWORKS; i++) {
            before[i] = count_of(i);
            most = before[i] > most ? before[i] : most;
        }
        const bool is_full = shares.count == PLACES;
        const bool is_taken = ask(&peer);
        ck_assert_int_eq(is_taken, !is_full || most > before[network] + 1);
        ck_assert_uint_eq(count_of(network), before[network] + (is_taken ? 1 : 0));
        ck_assert_uint_le(shares.count, PLACES);
    }
}
END_TEST

int main(void)
{
    Suite *const suite = suite_create("share");
    TCase *const t = tcase_create("share");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, network_is_that_of_the_prefix, 0,
                        (int)(sizeof networks / sizeof networks[0]));
    tcase_add_test(t, who_is_alone_may_have_all);
    tcase_add_test(t, who_comes_later_gets_an_even_share);
    tcase_add_test(t, odd_place_does_not_go_to_and_fro);
    tcase_add_test(t, flood_of_networks_ends_in_the_order_of_arrival);
    tcase_add_test(t, who_has_none_among_single_ones_is_named_the_oldest);
    tcase_add_test(t, nobody_is_refused_while_another_has_two_more);
    suite_add_tcase(suite, t);
    SRunner *const runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed_count = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
