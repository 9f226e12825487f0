/* SPDX-License-Identifier: MIT
 *
 * Claims about keys of sessions and about peers that move: classifiers, connection ids, paths. On
 * the scripted reactor.
 */
#include "session_kit.h"

#include <stdlib.h>
#include <string.h>

static struct kit *keyed_kit(void)
{
    struct kit *k = kit_new();
    k->options.classify = kit_by_first_byte;
    kit_open(k);
    return k;
}

START_TEST(classifier_says_whose_it_is)
{
    struct kit *k = keyed_kit();
    kit_arrive_keyed(k, 1, 0, 0);   /* dropped */
    kit_arrive_keyed(k, 1, 1, 1);   /* nobody's */
    kit_arrive_keyed(k, 1, 'A', 2); /* begins one */
    kit_arrive_keyed(k, 1, 'B', 3); /* and another one, of the same address */
    kit_arrive_keyed(k, 1, 'a', 4); /* only for who is known */
    kit_arrive_keyed(k, 1, 'A', 5);
    ks_turn(&k->t);
    KIT_NUMBERS(&k->peers[0], 2, 5);
    KIT_NUMBERS(&k->peers[1], 3);
    KS_EQ(2, k->peer_count);
    KS_EQ(2, k->stateless_count);
    KS_EQ(1, kit_stats(k).rx_dropped);
    KS_EQ(2, kit_stats(k).rx_stateless);
    kit_close(k);
}
END_TEST

START_TEST(known_is_who_has_that_key)
{
    struct kit *k = keyed_kit();
    kit_arrive_keyed(k, 1, '@', 1); /* by its address */
    ks_turn(&k->t);
    KS_OK(kirim_session_add_key(k->peers[0].session, "a", 1));
    KS_ERR(KIRIM_EEXIST, kirim_session_add_key(k->peers[0].session, "a", 1));
    kit_arrive_keyed(k, 2, 'a', 2);
    ks_turn(&k->t);
    KIT_NUMBERS(&k->peers[0], 1, 2);
    KS_OK(kirim_session_remove_key(k->peers[0].session, "a", 1));
    KS_ERR(KIRIM_EINVAL, kirim_session_remove_key(k->peers[0].session, "a", 1));
    kit_arrive_keyed(k, 2, 'a', 3);
    ks_turn(&k->t);
    KIT_NUMBERS(&k->peers[0], 1, 2);
    KS_EQ(1, k->stateless_count);
    KS_OK(kirim_session_add_key(k->peers[0].session, "b", 1));
    KS_OK(kirim_session_close(k->peers[0].session));
    KS_ERR(KIRIM_ECLOSED, kirim_session_add_key(k->peers[0].session, "c", 1));
    KS_CHECK(kirim_sessions_find_key(k->set, NULL, "b", 1) == NULL);
    kit_close(k);
}
END_TEST

START_TEST(keys_differ_in_length_and_kind)
{
    struct kit *k = keyed_kit();
    const uint8_t zeros[KIRIM_SESSION_KEY_BYTES_MAX + 1] = { 0 };
    kit_arrive_keyed(k, 1, 'A', 1);
    kit_arrive_keyed(k, 1, 'B', 1);
    ks_turn(&k->t);
    struct kirim_session *a = k->peers[0].session;
    struct kirim_session *b = k->peers[1].session;
    for (size_t n = 1; n <= KIRIM_SESSION_KEY_BYTES_MAX; n++) {
        KS_OK(kirim_session_add_key(n % 2 == 0 ? a : b, zeros, n));
    }
    for (size_t n = 1; n <= KIRIM_SESSION_KEY_BYTES_MAX; n++) {
        KS_CHECK(kirim_sessions_find_key(k->set, NULL, zeros, n) == (n % 2 == 0 ? a : b));
    }
    KS_ERR(KIRIM_EINVAL, kirim_session_add_key(a, zeros, 0));
    KS_ERR(KIRIM_EINVAL, kirim_session_add_key(a, zeros, sizeof zeros));
    KS_ERR(KIRIM_EINVAL, kirim_session_add_key(a, NULL, 1));
    const struct kirim_addr peer = kit_addr(1);
    KS_CHECK(kirim_sessions_find_key(k->set, &peer, NULL, 0) == NULL);
    KS_OK(kirim_session_close(a));
    KS_CHECK(kirim_sessions_find_key(k->set, NULL, zeros, 2) == NULL);
    KS_CHECK(kirim_sessions_find_key(k->set, NULL, zeros, 3) == b);
    kit_close(k);
}
END_TEST

static void answer_nonsense(const struct kirim_datagram *d, struct kirim_class *out, void *user)
{
    (void)user;
    out->verdict = d->data[0] == 'V' ? 99 : KIRIM_CLASS_ADMIT;
    out->key = d->data[0] == 'N' ? NULL : d->data;
    out->key_bytes = d->data[0] == 'L' ? KIRIM_SESSION_KEY_BYTES_MAX + 1 : 1;
}

START_TEST(nonsense_of_a_classifier_is_dropped)
{
    struct kit *k = kit_new();
    k->options.classify = answer_nonsense;
    kit_open(k);
    kit_arrive_keyed(k, 1, 'V', 1);
    kit_arrive_keyed(k, 1, 'N', 1);
    kit_arrive_keyed(k, 1, 'L', 1);
    ks_turn(&k->t);
    KS_EQ(3, kit_stats(k).rx_dropped);
    KS_EQ(0, k->peer_count);
    kit_close(k);
}
END_TEST

/* ---- paths ----------------------------------------------------------------------------------- */

static const uint8_t bytes[64];

static kirim_err send_over(struct kirim_session *s, const struct kirim_addr *to, size_t count)
{
    const struct kirim_buf buf = { (void *)(uintptr_t)bytes, count };
    const struct kirim_msg msg = { &buf, to, NULL, 1, 0 };
    return kirim_session_send(s, &msg, 0, NULL, NULL);
}

/* Challenges whoever shows up. */
static void challenge(struct kit_peer *peer, const struct kirim_addr *addr)
{
    KS_OK(send_over(peer->session, addr, 4));
}

START_TEST(peer_that_moves_is_challenged_and_followed)
{
    struct kit *k = keyed_kit();
    const struct kirim_addr home = kit_addr(1);
    const struct kirim_addr away = kit_addr(2);
    k->on_path = challenge;
    kit_arrive_keyed(k, 1, 'A', 1);
    ks_turn(&k->t);
    struct kirim_session *s = k->peers[0].session;
    kit_arrive_keyed(k, 2, 'A', 2); /* 5 bytes: it earns 15 */
    ks_turn(&k->t);
    KS_TRACE(&k->t, "?AoArApAr");
    KS_EQ(1, k->p->sent_count);
    KS_CHECK(kirim_addr_equal(&away, &k->p->sent[0].peer));
    struct kirim_addr peer = kirim_session_peer(s);
    KS_CHECK(kirim_addr_equal(&home, &peer));
    KS_OK(send_over(s, &away, 11));
    KS_ERR(KIRIM_EWOULDBLOCK, send_over(s, &away, 1));
    const struct kirim_addr other = kit_addr(3);
    KS_ERR(KIRIM_EINVAL, send_over(s, &other, 1));
    KS_ERR(KIRIM_EINVAL, kirim_session_accept_path(s, &other));
    KS_OK(kirim_session_accept_path(s, &away));
    peer = kirim_session_peer(s);
    KS_CHECK(kirim_addr_equal(&away, &peer));
    KS_CHECK(kirim_session_is_validated(s));
    KS_ERR(KIRIM_EINVAL, kirim_session_accept_path(s, &away));
    KS_OK(send_over(s, NULL, 64));
    KS_ERR(KIRIM_EINVAL, send_over(s, &home, 1));
    KS_EQ(0, kit_stats(k).unvalidated_count);
    KS_EQ(1, kit_stats(k).paths_accepted);
    kit_close(k);
}
END_TEST

START_TEST(path_leads_to_the_address_that_was_asked_there)
{
    struct kit *k = keyed_kit();
    const struct kirim_addr away = kit_addr(2);
    const struct kirim_addr here = kit_addr(90);
    const struct kirim_addr there = kit_addr(91);
    k->on_path = challenge;
    k->p->local = here;
    kit_arrive_keyed(k, 1, 'A', 1);
    ks_turn(&k->t);
    struct kirim_session *s = k->peers[0].session;
    k->p->local = there;
    kit_arrive_keyed(k, 2, 'A', 2);
    ks_turn(&k->t);
    KS_CHECK(kirim_addr_equal(&there, &k->p->sent[0].control.source));
    KS_OK(send_over(s, NULL, 1));
    KS_OK(kirim_session_accept_path(s, &away));
    KS_OK(send_over(s, NULL, 1));
    ks_turn(&k->t);
    KS_CHECK(kirim_addr_equal(&here, &k->p->sent[1].control.source));
    KS_CHECK(kirim_addr_equal(&there, &k->p->sent[2].control.source));
    const struct kirim_addr local = kirim_session_local(s);
    KS_CHECK(kirim_addr_equal(&there, &local));
    kit_close(k);
}
END_TEST

static void close_here(struct kit_peer *peer, const struct kirim_addr *addr)
{
    (void)addr;
    KS_OK(kirim_session_close(peer->session));
}

START_TEST(path_is_not_told_to_who_has_ended)
{
    struct kit *k = keyed_kit();
    k->on_path = close_here;
    kit_arrive_keyed(k, 1, 'A', 0);
    kit_arrive_keyed(k, 2, 'A', 0);
    kit_arrive_keyed(k, 3, 'A', 0);
    ks_turn(&k->t);
    ks_turn(&k->t);
    KS_TRACE(&k->t, "?AoApAc");
    kit_close(k);
}
END_TEST

START_TEST(path_is_told_once_in_a_row)
{
    struct kit *k = keyed_kit();
    for (uint32_t i = 0; i < 3; i++) {
        kit_arrive_keyed(k, 1, 'A', i);
        kit_arrive_keyed(k, 2, 'A', i);
    }
    kit_arrive_keyed(k, 3, 'A', 9);
    kit_arrive_keyed(k, 2, 'A', 9);
    ks_turn(&k->t);
    KS_TRACE(&k->t, "?AoApApApAr");
    kit_close(k);
}
END_TEST

START_TEST(moving_takes_the_count_of_the_prefix_along)
{
    struct kit *k = kit_new();
    k->options.classify = kit_by_first_byte;
    k->options.prefix_count_max = 1;
    kit_open(k);
    kit_arrive_keyed(k, 1, 'A', 1);
    kit_arrive_keyed(k, 257, 'A', 1);
    ks_turn(&k->t);
    const struct kirim_addr away = kit_addr(257);
    KS_OK(kirim_session_accept_path(k->peers[0].session, &away));
    kit_arrive_keyed(k, 258, 'B', 1); /* no room beside it */
    kit_arrive_keyed(k, 2, 'C', 1);   /* where it was there is */
    ks_turn(&k->t);
    KS_EQ(1, kit_stats(k).refused_prefix);
    KS_EQ(2, kit_stats(k).count);
    kit_close(k);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("session keys");
    TCase *tcase = tcase_create("keys");
    tcase_add_test(tcase, classifier_says_whose_it_is);
    tcase_add_test(tcase, known_is_who_has_that_key);
    tcase_add_test(tcase, keys_differ_in_length_and_kind);
    tcase_add_test(tcase, nonsense_of_a_classifier_is_dropped);
    tcase_add_test(tcase, peer_that_moves_is_challenged_and_followed);
    tcase_add_test(tcase, path_leads_to_the_address_that_was_asked_there);
    tcase_add_test(tcase, path_is_not_told_to_who_has_ended);
    tcase_add_test(tcase, path_is_told_once_in_a_row);
    tcase_add_test(tcase, moving_takes_the_count_of_the_prefix_along);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed_count = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
