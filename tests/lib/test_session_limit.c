/* SPDX-License-Identifier: MIT
 *
 * Claims about what strangers cannot do to a set of sessions: caps, eviction, admission, and the
 * bound of what is sent to an address that was not validated. On the scripted reactor.
 */
#include "session_kit.h"

#include <stdlib.h>
#include <string.h>

/* One session from each of the addresses `first` .. `first + count - 1`, in turns of their own. */
static void open_some(struct kit *k, unsigned first, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        kit_arrive(k, first + i, i);
        ks_turn(&k->t);
        k->s->now_ns += 10;
    }
    ks_turn(&k->t);
}

static bool is_open(const struct kit *k, size_t index)
{
    return k->peers[index].session != NULL;
}

/* ---- caps ------------------------------------------------------------------------------------ */

START_TEST(full_set_refuses)
{
    struct kit *k = kit_new();
    k->options.count_max = 3;
    kit_open(k);
    open_some(k, 1, 5);
    KS_EQ(3, k->peer_count);
    KS_EQ(3, kit_stats(k).count);
    KS_EQ(2, kit_stats(k).refused_full);
    KS_TRACE(&k->t, "?AoAr?BoBr?CoCr"); /* who has no chance is not asked about */
    KS_OK(kirim_session_close(k->peers[1].session));
    open_some(k, 9, 1);
    KS_EQ(3, kit_stats(k).count);
    const struct kirim_addr peer = kit_addr(50);
    struct kirim_session *s;
    KS_ERR(KIRIM_EWOULDBLOCK, kirim_session_open(k->set, &peer, NULL, 0, NULL, &s));
    kit_close(k);
}
END_TEST

START_TEST(oldest_that_is_not_validated_makes_room)
{
    struct kit *k = kit_new();
    k->options.count_max = 3;
    k->options.eviction = KIRIM_EVICT_UNVALIDATED;
    kit_open(k);
    open_some(k, 1, 3);
    KS_OK(kirim_session_validate(k->peers[0].session));
    open_some(k, 10, 1);
    KS_CHECK(is_open(k, 0) && !is_open(k, 1) && is_open(k, 2) && is_open(k, 3));
    KS_EQ(KIRIM_SESSION_EVICTED, k->peers[1].reason);
    KS_OK(kirim_session_validate(k->peers[2].session));
    KS_OK(kirim_session_validate(k->peers[3].session));
    open_some(k, 11, 1);
    KS_EQ(4, k->peer_count);
    KS_EQ(1, kit_stats(k).refused_full);
    KS_EQ(1, kit_stats(k).evicted);
    kit_close(k);
}
END_TEST

START_TEST(most_idle_makes_room_where_all_are_validated)
{
    struct kit *k = kit_new();
    k->options.count_max = 2;
    k->options.eviction = KIRIM_EVICT_IDLE;
    k->is_validating = true;
    kit_open(k);
    open_some(k, 1, 2);
    for (uint32_t i = 0; i < 40; i++) {
        kit_arrive(k, 2, i); /* the second one goes on speaking */
        ks_turn(&k->t);
        k->s->now_ns += 10;
    }
    open_some(k, 3, 1);
    KS_CHECK(!is_open(k, 0) && is_open(k, 1) && is_open(k, 2)); /* but for one chance in 256 */
    kit_close(k);
}
END_TEST

/* Who makes room may have sent something in the same batch, before or behind the new one. */
START_TEST(datagrams_of_who_makes_room_are_counted)
{
    struct kit *k = kit_new();
    k->options.count_max = 2;
    k->options.eviction = KIRIM_EVICT_UNVALIDATED;
    kit_open(k);
    open_some(k, 1, 2);
    kit_arrive(k, 1, 7);
    kit_arrive(k, 1, 8);
    kit_arrive(k, 3, 9); /* ends the first, whose two datagrams are waiting to be handed over */
    ks_turn(&k->t);
    KS_CHECK(!is_open(k, 0) && is_open(k, 1) && is_open(k, 2));
    KS_EQ(2, kit_stats(k).rx_dropped);
    kit_close(k);
}
END_TEST

START_TEST(refused_admission_evicts_nobody)
{
    struct kit *k = kit_new();
    k->options.count_max = 2;
    k->options.eviction = KIRIM_EVICT_UNVALIDATED;
    kit_open(k);
    open_some(k, 1, 2);
    k->verdict = KIRIM_EACCES;
    open_some(k, 9, 3);
    KS_CHECK(is_open(k, 0) && is_open(k, 1));
    KS_EQ(3, kit_stats(k).refused);
    KS_EQ(2, k->peer_count);
    kit_close(k);
}
END_TEST

START_TEST(half_open_sessions_have_a_cap_of_their_own)
{
    struct kit *k = kit_new();
    k->options.unvalidated_count_max = 2;
    kit_open(k);
    open_some(k, 1, 3);
    KS_EQ(2, kit_stats(k).count);
    KS_EQ(1, kit_stats(k).refused_full);
    k->is_validating = true;
    open_some(k, 5, 3);
    KS_EQ(5, kit_stats(k).count);
    KS_EQ(2, kit_stats(k).unvalidated_count);
    KS_OK(kirim_session_validate(k->peers[0].session));
    KS_OK(kirim_session_validate(k->peers[0].session));
    KS_EQ(1, kit_stats(k).unvalidated_count);
    kit_close(k);
}
END_TEST

START_TEST(half_open_sessions_are_half_of_all_by_default)
{
    struct kit *k = kit_new();
    k->options.unvalidated_count_max = 0;
    k->options.count_max = 5;
    kit_open(k);
    open_some(k, 1, 5);
    KS_EQ(3, kit_stats(k).count);
    kit_close(k);
}
END_TEST

START_TEST(prefix_has_a_cap)
{
    struct kit *k = kit_new();
    k->options.prefix_count_max = 2;
    k->options.eviction = KIRIM_EVICT_IDLE; /* does not help a prefix */
    kit_open(k);
    open_some(k, 1, 4);   /* 10.0.0.x */
    open_some(k, 256, 3); /* 10.0.1.x */
    KS_EQ(4, kit_stats(k).count);
    KS_EQ(3, kit_stats(k).refused_prefix);
    KS_OK(kirim_session_close(k->peers[0].session));
    open_some(k, 7, 2);
    KS_EQ(4, kit_stats(k).count);
    kit_close(k);
}
END_TEST

START_TEST(prefix_is_as_long_as_it_is_said_to_be)
{
    struct kit *k = kit_new();
    k->options.prefix_count_max = 1;
    k->options.prefix_ipv4_bits = 31;
    kit_open(k);
    open_some(k, 2, 2); /* 10.0.0.2 and .3 */
    open_some(k, 4, 1);
    KS_EQ(2, kit_stats(k).count);
    kit_close(k);
}
END_TEST

/* ---- what may be sent ------------------------------------------------------------------------ */

static const uint8_t bytes[64];
static const uint8_t long_bytes[KIRIM_PAYLOAD_IPV6_BYTES_MAX + 1];

START_TEST(answers_to_strangers_are_bounded)
{
    struct kit *k = kit_opened();
    k->verdict = KIRIM_EACCES;
    k->answer_bytes = 3 * KS_NUMBER_BYTES;
    open_some(k, 1, 1);
    KS_OK(k->answer_err);
    KS_EQ(1, k->p->sent_count);
    KS_EQ(3 * KS_NUMBER_BYTES, k->p->sent[0].bytes);
    k->answer_bytes++;
    open_some(k, 1, 1);
    KS_ERR(KIRIM_EMSGSIZE, k->answer_err);
    KS_EQ(1, k->p->sent_count);
    KS_EQ(0, kit_stats(k).opened);
    const struct kirim_datagram forged = { .data = NULL };
    KS_ERR(KIRIM_EINVAL, kirim_sessions_answer(k->set, &forged, bytes, 1));
    KS_ERR(KIRIM_EINVAL, kirim_sessions_answer(k->set, NULL, bytes, 1));
    kit_close(k);
}
END_TEST

static kirim_err answer_twice(struct kirim_sessions *set, const struct kirim_datagram *d,
                              struct kirim_admission *out, void *user)
{
    (void)out;
    (void)user;
    KS_OK(kirim_sessions_answer(set, d, bytes, 8));
    KS_ERR(KIRIM_EMSGSIZE, kirim_sessions_answer(set, d, bytes, 5));
    KS_OK(kirim_sessions_answer(set, d, bytes, 4));
    KS_ERR(KIRIM_EMSGSIZE, kirim_sessions_answer(set, d, bytes, 1));
    return KIRIM_EACCES;
}

START_TEST(answers_to_one_datagram_are_bounded_together)
{
    struct kit *k = kit_new();
    k->handler.admit = answer_twice;
    kit_open(k);
    open_some(k, 1, 2);
    KS_EQ(4, k->p->sent_count);
    kit_close(k);
}
END_TEST

static void greet(struct kit_peer *peer)
{
    KS_OK(kirim_session_send_bytes(peer->session, bytes, 12));
    KS_ERR(KIRIM_EWOULDBLOCK, kirim_session_send_bytes(peer->session, bytes, 1));
}

START_TEST(first_datagram_has_earned_a_greeting)
{
    struct kit *k = kit_opened();
    k->on_opened = greet;
    kit_arrive(k, 1, 1);
    kit_arrive(k, 1, 2);
    ks_turn(&k->t);
    ks_turn(&k->t);
    KS_TRACE(&k->t, "?AoArAw");
    KS_OK(kirim_session_send_bytes(k->peers[0].session, bytes, 12));
    KS_ERR(KIRIM_EWOULDBLOCK, kirim_session_send_bytes(k->peers[0].session, bytes, 1));
    kit_close(k);
}
END_TEST

/* Opens what is asked for by itself. */
static kirim_err open_it(struct kirim_sessions *set, const struct kirim_datagram *d,
                         struct kirim_admission *out, void *user)
{
    struct kirim_session *s = NULL;
    (void)out;
    (void)user;
    KS_OK(kirim_session_open(set, &d->peer, NULL, 0, NULL, &s));
    return KIRIM_OK;
}

START_TEST(admission_may_open_the_session_itself)
{
    struct kit *k = kit_new();
    k->handler.admit = open_it;
    kit_open(k);
    open_some(k, 1, 1);
    KS_TRACE(&k->t, "AoAr");
    KIT_NUMBERS(&k->peers[0], 0);
    KS_CHECK(kirim_session_is_validated(k->peers[0].session));
    kit_close(k);
}
END_TEST

START_TEST(unvalidated_peer_gets_three_times_what_it_sent)
{
    struct kit *k = kit_opened();
    open_some(k, 1, 1);
    struct kirim_session *s = k->peers[0].session;
    KS_OK(kirim_session_send_bytes(s, bytes, 8));
    KS_OK(kirim_session_send_bytes(s, bytes, 4));
    KS_ERR(KIRIM_EWOULDBLOCK, kirim_session_send_bytes(s, bytes, 1));
    KS_ERR(KIRIM_EMSGSIZE, kirim_session_send_bytes(s, long_bytes, sizeof long_bytes));
    KS_OK(kirim_session_send_bytes(s, bytes, 0));
    KS_EQ(1, kit_stats(k).tx_limited);
    ks_turn(&k->t);
    KS_TRACE(&k->t, "?AoAr");
    kit_arrive(k, 1, 7);
    ks_turn(&k->t);
    ks_turn(&k->t);
    KS_TRACE(&k->t, "?AoArArAw");
    KS_OK(kirim_session_send_bytes(s, bytes, 12));
    KS_ERR(KIRIM_EWOULDBLOCK, kirim_session_send_bytes(s, bytes, 64));
    KS_OK(kirim_session_validate(s));
    ks_turn(&k->t);
    ks_turn(&k->t);
    KS_TRACE(&k->t, "?AoArArAwAw");
    KS_OK(kirim_session_send_bytes(s, bytes, 64));
    struct kirim_session_stats stats = KIRIM_SESSION_STATS_INIT;
    KS_OK(kirim_session_read_stats(s, &stats));
    KS_EQ(5, stats.tx_datagrams);
    KS_EQ(8 + 4 + 12 + 64, stats.tx_bytes);
    KS_EQ(2, stats.rx_datagrams);
    kit_close(k);
}
END_TEST

START_TEST(sends_leave_from_the_address_that_was_asked)
{
    struct kit *k = kit_opened();
    open_some(k, 1, 1);
    KS_OK(kirim_session_send_bytes(k->peers[0].session, bytes, 1));
    ks_turn(&k->t);
    const struct kirim_addr local = kirim_session_local(k->peers[0].session);
    KS_CHECK(kirim_addr_family(&local) == KIRIM_IPV4 && !kirim_addr_is_wildcard(&local));
    KS_CHECK(k->p->sent[0].has_control);
    KS_CHECK(kirim_addr_equal(&local, &k->p->sent[0].control.source));
    kit_close(k);
}
END_TEST

/* Sends as much as it may. */
static void send_all(struct kit_peer *peer)
{
    while (kirim_session_send_bytes(peer->session, bytes, 1) == KIRIM_OK) {}
}

START_TEST(sessions_that_wait_for_room_are_told_in_turn)
{
    struct kit *k = kit_new();
    k->endpoint.queue_count_max = 4;
    k->is_validating = true;
    k->on_writable = send_all;
    kit_open(k);
    open_some(k, 1, 3);
    k->p->room = 0;
    for (size_t i = 0; i < 3; i++) {
        send_all(&k->peers[i]);
    }
    KS_OK(kirim_session_close(k->peers[1].session));
    ks_turn(&k->t);
    KS_TRACE(&k->t, "?AoAr?BoBr?CoCrBc");
    k->p->room = 4;
    ks_turn(&k->t);
    ks_turn(&k->t);
    ks_turn(&k->t);
    KS_TRACE(&k->t, "?AoAr?BoBr?CoCrBcAw");
    k->p->room = SCRIPT_NO_LIMIT;
    k->on_writable = NULL;
    ks_settle(&k->t);
    ks_turn(&k->t);
    ks_turn(&k->t);
    KS_TRACE(&k->t, "?AoAr?BoBr?CoCrBcAwCwAw");
    kit_close(k);
}
END_TEST

START_TEST(loss_is_told_to_whom_it_concerns)
{
    struct kit *k = kit_opened();
    open_some(k, 1, 2);
    const struct kirim_addr second = kit_addr(2);
    const struct kirim_addr nobody = kit_addr(77);
    script_arrive_error(k->p, KIRIM_ECONNRESET, 0, &second, 0);
    ks_turn(&k->t);
    script_arrive_error(k->p, KIRIM_ECONNRESET, 0, &nobody, 0);
    ks_turn(&k->t);
    ks_turn(&k->t);
    KS_TRACE(&k->t, "?AoAr?BoBrBf!");
    kit_close(k);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("session limits");
    TCase *tcase = tcase_create("limits");
    tcase_add_test(tcase, full_set_refuses);
    tcase_add_test(tcase, oldest_that_is_not_validated_makes_room);
    tcase_add_test(tcase, most_idle_makes_room_where_all_are_validated);
    tcase_add_test(tcase, datagrams_of_who_makes_room_are_counted);
    tcase_add_test(tcase, refused_admission_evicts_nobody);
    tcase_add_test(tcase, half_open_sessions_have_a_cap_of_their_own);
    tcase_add_test(tcase, half_open_sessions_are_half_of_all_by_default);
    tcase_add_test(tcase, prefix_has_a_cap);
    tcase_add_test(tcase, prefix_is_as_long_as_it_is_said_to_be);
    tcase_add_test(tcase, answers_to_strangers_are_bounded);
    tcase_add_test(tcase, answers_to_one_datagram_are_bounded_together);
    tcase_add_test(tcase, first_datagram_has_earned_a_greeting);
    tcase_add_test(tcase, admission_may_open_the_session_itself);
    tcase_add_test(tcase, unvalidated_peer_gets_three_times_what_it_sent);
    tcase_add_test(tcase, sends_leave_from_the_address_that_was_asked);
    tcase_add_test(tcase, sessions_that_wait_for_room_are_told_in_turn);
    tcase_add_test(tcase, loss_is_told_to_whom_it_concerns);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed_count = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
