/* SPDX-License-Identifier: MIT
 *
 * Claims about sessions: whose each datagram is, in which order it is told; how sessions begin and
 * end; their numbers, timers and handlers. On the scripted reactor.
 */
#include "core.h"
#include "session_kit.h"

#include <stdlib.h>
#include <string.h>

/* ---- batches --------------------------------------------------------------------------------- */

START_TEST(each_peer_gets_its_own_in_one_piece_and_in_order)
{
    struct kit *k = kit_opened();
    const unsigned from[] = { 1, 2, 1, 3, 2, 1, 1, 3 };
    for (uint32_t i = 0; i < 8; i++) {
        kit_arrive(k, from[i], i);
    }
    ks_turn(&k->t);
    KIT_NUMBERS(&k->peers[0], 0, 2, 5, 6);
    KIT_NUMBERS(&k->peers[1], 1, 4);
    KIT_NUMBERS(&k->peers[2], 3, 7);
    KS_TRACE(&k->t, "?Ao?Bo?CoArBrCr");
    KS_EQ(3, kit_stats(k).count);
    kit_close(k);
}
END_TEST

START_TEST(neighbours_of_one_peer_are_not_moved)
{
    struct kit *k = kit_opened();
    for (uint32_t i = 0; i < 6; i++) {
        kit_arrive(k, 1 + i / 3, i);
    }
    ks_turn(&k->t);
    KIT_NUMBERS(&k->peers[0], 0, 1, 2);
    KIT_NUMBERS(&k->peers[1], 3, 4, 5);
    KS_EQ(1, k->peers[0].batch_count);
    kit_close(k);
}
END_TEST

/* Answers all with their own bytes, which are lent. */
static void reply_all(struct kit_peer *peer, const struct kirim_batch *batch)
{
    size_t count = 0;
    KS_OK(kirim_endpoint_reply(kirim_sessions_endpoint(peer->kit->set), batch->first, batch->count,
                               &count));
    KS_EQ(batch->count, count);
}

START_TEST(what_was_sorted_can_be_answered_in_place)
{
    struct kit *k = kit_opened();
    k->on_received = reply_all;
    const uint32_t wanted[] = { 0, 2, 1, 3 };
    for (uint32_t i = 0; i < 4; i++) {
        kit_arrive(k, i % 2, i);
    }
    ks_turn(&k->t);
    KS_EQ(4, k->p->sent_count);
    for (size_t i = 0; i < 4; i++) {
        const struct kirim_addr to = kit_addr(wanted[i] % 2);
        KS_EQ(wanted[i], k->p->sent[i].value);
        KS_CHECK(kirim_addr_equal(&to, &k->p->sent[i].peer));
    }
    kit_close(k);
}
END_TEST

START_TEST(full_batches_of_strangers_are_sorted)
{
    struct kit *k = kit_opened();
    for (uint32_t i = 0; i < 3 * KI_BATCH_MAX; i++) {
        kit_arrive(k, i % 61, i);
    }
    ks_settle(&k->t);
    uint32_t heard = 0;
    for (size_t i = 0; i < k->peer_count; i++) {
        const struct kit_peer *peer = &k->peers[i];
        for (size_t n = 0; n < peer->number_count; n++, heard++) {
            KS_EQ(i + n * 61, peer->numbers[n]);
        }
    }
    KS_EQ(3 * KI_BATCH_MAX, heard);
    kit_close(k);
}
END_TEST

/* Closes the one before. */
static void close_first(struct kit_peer *peer, const struct kirim_batch *batch)
{
    struct kit *k = peer->kit;
    (void)batch;
    if (peer == &k->peers[0]) {
        KS_OK(kirim_session_close(peer->session));
        KS_ERR(KIRIM_ECLOSED, kirim_session_close(peer->session));
        KS_OK(kirim_session_close(k->peers[2].session));
    }
}

START_TEST(who_is_closed_on_the_way_gets_no_more)
{
    struct kit *k = kit_opened();
    k->on_received = close_first;
    for (uint32_t i = 0; i < 6; i++) {
        kit_arrive(k, i % 3, i);
    }
    ks_turn(&k->t);
    ks_turn(&k->t);
    KS_TRACE(&k->t, "?Ao?Bo?CoArBrAcCc");
    KS_EQ(KIRIM_SESSION_CLOSED, k->peers[0].reason);
    KS_EQ(1, kit_stats(k).count);
    KS_EQ(2, kit_stats(k).closed);
    kit_close(k);
}
END_TEST

static void close_set(struct kit_peer *peer, const struct kirim_batch *batch)
{
    (void)batch;
    KS_OK(kirim_sessions_close(peer->kit->set));
    KS_ERR(KIRIM_ECLOSED, kirim_sessions_close(peer->kit->set));
    KS_ERR(KIRIM_ECLOSED, kirim_session_send_bytes(peer->session, "x", 1));
}

START_TEST(set_closed_in_a_callback_ends_all)
{
    struct kit *k = kit_opened();
    k->on_received = close_set;
    for (uint32_t i = 0; i < 4; i++) {
        kit_arrive(k, i % 2, i);
    }
    ks_turn(&k->t);
    ks_turn(&k->t);
    KS_TRACE(&k->t, "?Ao?BoArAcBc.");
    KS_EQ(KIRIM_SESSION_SET_CLOSED, k->peers[1].reason);
    kit_close(k);
}
END_TEST

START_TEST(set_that_drains_lets_nobody_in)
{
    struct kit *k = kit_opened();
    const struct kirim_addr peer = kit_addr(9);
    struct kirim_session *s = NULL;
    kit_arrive(k, 1, 0);
    ks_turn(&k->t);
    KS_ERR(KIRIM_EINVAL, kirim_sessions_drain(NULL, KIRIM_NEVER));
    KS_OK(kirim_sessions_drain(k->set, KIRIM_NEVER));
    KS_ERR(KIRIM_ECLOSED, kirim_session_open(k->set, &peer, NULL, 0, NULL, &s));
    kit_arrive(k, 2, 1);
    ks_turn(&k->t);
    ks_turn(&k->t);
    ks_turn(&k->t);
    KS_TRACE(&k->t, "?AoArAc."); /* without layers there is nothing to wait for */
    KS_EQ(KIRIM_SESSION_CLOSED, k->peers[0].reason);
    kit_close(k);
    k = kit_opened();
    KS_OK(kirim_sessions_drain(k->set, KIRIM_NEVER));
    ks_turn(&k->t);
    ks_turn(&k->t);
    KS_TRACE(&k->t, ".");
    kit_close(k);
}
END_TEST

START_TEST(loop_that_closes_ends_all)
{
    struct kit *k = kit_opened();
    kit_arrive(k, 1, 0);
    ks_turn(&k->t);
    kit_arrive(k, 2, 0);
    ks_turn(&k->t);
    KS_OK(kirim_session_close(k->peers[0].session)); /* its last callback is still to come */
    ks_close_loop(&k->t);
    KS_TRACE(&k->t, "?AoAr?BoBrAcBc.");
    KS_EQ(KIRIM_SESSION_CLOSED, k->peers[0].reason);
    KS_EQ(KIRIM_SESSION_SET_CLOSED, k->peers[1].reason);
    kit_close(k);
}
END_TEST

/* ---- numbers, timers, handlers --------------------------------------------------------------- */

START_TEST(number_of_the_past_finds_nobody)
{
    struct kit *k = kit_opened();
    kit_arrive(k, 1, 0);
    ks_turn(&k->t);
    const uint64_t first = k->peers[0].id;
    KS_OK(kirim_session_close(k->peers[0].session));
    KS_CHECK(kirim_sessions_find(k->set, first) == NULL);
    ks_turn(&k->t);
    kit_arrive(k, 1, 1);
    ks_turn(&k->t);
    KS_EQ(2, k->peer_count);
    KS_CHECK(k->peers[1].id != first && k->peers[1].id != 0);
    KS_CHECK(kirim_sessions_find(k->set, first) == NULL);
    KS_CHECK(kirim_sessions_find(k->set, 0) == NULL);
    KS_CHECK(kirim_sessions_find(k->set, UINT64_MAX) == NULL);
    KS_CHECK(kirim_sessions_find(k->set, k->peers[1].id) == k->peers[1].session);
    kit_close(k);
}
END_TEST

START_TEST(walk_meets_all_that_are_open)
{
    struct kit *k = kit_opened();
    for (uint32_t i = 0; i < 5; i++) {
        kit_arrive(k, i, i);
    }
    ks_turn(&k->t);
    KS_OK(kirim_session_close(k->peers[2].session));
    size_t count = 0;
    struct kirim_session *s = NULL;
    while ((s = kirim_sessions_next(k->set, s)) != NULL) {
        KS_CHECK(s != k->peers[2].session);
        KS_OK(kirim_session_close(s));
        count++;
    }
    KS_EQ(4, count);
    kit_close(k);
}
END_TEST

START_TEST(timers_of_a_session_end_with_it)
{
    struct kit *k = kit_opened();
    kit_arrive(k, 1, 0);
    kit_arrive(k, 2, 0);
    ks_turn(&k->t);
    struct ks_timer *mine = ks_timer(&k->t, '1');
    struct ks_timer *other = ks_timer(&k->t, '2');
    const uint64_t soon_ns = kirim_loop_now(k->t.loop) + 5;
    KS_OK(kirim_session_timer_arm(k->peers[0].session, &mine->timer, soon_ns));
    KS_OK(kirim_session_timer_arm(k->peers[1].session, &other->timer, soon_ns));
    KS_ERR(KIRIM_EINVAL, kirim_session_timer_arm(k->peers[1].session, &mine->timer, soon_ns));
    KS_OK(kirim_session_close(k->peers[0].session));
    KS_CHECK(!kirim_timer_is_armed(&mine->timer));
    KS_ERR(KIRIM_ECLOSED, kirim_session_timer_arm(k->peers[0].session, &mine->timer, soon_ns));
    k->s->now_ns = soon_ns;
    ks_turn(&k->t);
    KS_EQ(0, mine->fired_count);
    KS_EQ(1, other->fired_count);
    kit_close(k);
}
END_TEST

static size_t other_count;

static void other_received(struct kirim_session *session, const struct kirim_batch *batch,
                           void *user)
{
    KS_CHECK(user == &other_count && session != NULL);
    other_count += batch->count;
}

START_TEST(session_of_this_side_may_have_a_handler_of_its_own)
{
    struct kit *k = kit_opened();
    const struct kirim_session_handler handler = { KIRIM_SESSION_HANDLER_INIT,
                                                   .received = other_received };
    const struct kirim_admission admission = { sizeof admission, 0, &handler, &other_count };
    const struct kirim_addr peer = kit_addr(1);
    struct kirim_session *s;
    other_count = 0;
    k->handler.opened = NULL;
    KS_OK(kirim_session_open(k->set, &peer, NULL, 0, &admission, &s));
    KS_CHECK(kirim_session_is_validated(s));
    KS_CHECK(kirim_sessions_find_key(k->set, &peer, NULL, 0) == s);
    k->peers[0].session = NULL; /* its handler has no `closed` */
    struct kirim_session *again;
    KS_ERR(KIRIM_EEXIST, kirim_session_open(k->set, &peer, NULL, 0, NULL, &again));
    kit_arrive(k, 1, 0);
    kit_arrive(k, 1, 1);
    ks_turn(&k->t);
    KS_EQ(2, other_count);
    kit_close(k);
}
END_TEST

/* ---- silence --------------------------------------------------------------------------------- */

START_TEST(silence_ends_a_session)
{
    struct kit *k = kit_new();
    k->is_validating = true;
    k->options.idle_ns = 100;
    kit_open(k);
    kit_arrive(k, 1, 0);
    ks_turn(&k->t);
    const uint64_t start_ns = k->peers[0].session != NULL ? k->s->now_ns : 0;
    k->s->now_ns = start_ns + 60;
    kit_arrive(k, 1, 1);
    ks_turn(&k->t);
    k->s->now_ns = start_ns + 159;
    ks_turn(&k->t);
    ks_turn(&k->t);
    KS_CHECK(k->peers[0].session != NULL);
    k->s->now_ns = start_ns + 160;
    ks_turn(&k->t);
    ks_turn(&k->t);
    KS_CHECK(k->peers[0].session == NULL);
    KS_EQ(KIRIM_SESSION_IDLE, k->peers[0].reason);
    KS_EQ(1, kit_stats(k).idle);
    kit_close(k);
}
END_TEST

START_TEST(who_is_not_validated_has_less_time)
{
    struct kit *k = kit_new();
    k->options.idle_ns = KIRIM_NEVER;
    k->options.unvalidated_idle_ns = 50;
    kit_open(k);
    kit_arrive(k, 1, 0);
    kit_arrive(k, 2, 0);
    ks_turn(&k->t);
    KS_OK(kirim_session_validate(k->peers[0].session));
    k->s->now_ns += 50;
    ks_turn(&k->t);
    ks_turn(&k->t);
    KS_CHECK(k->peers[0].session != NULL && k->peers[1].session == NULL);
    k->s->now_ns += UINT64_C(1) << 60;
    ks_turn(&k->t);
    KS_CHECK(k->peers[0].session != NULL);
    kit_close(k);
}
END_TEST

/* A peer whose handshake is not answered asks again after 1, 2, 4 ... seconds. Returns how often it
 * was heard in one session. */
static size_t hear_handshake(struct kit *k, unsigned n)
{
    enum { ASKED_COUNT = 6 };
    const size_t index = k->peer_count;
    uint64_t gap_ns = UINT64_C(1000000000);
    kit_arrive(k, n, 0);
    ks_turn(&k->t);
    for (uint32_t i = 1; i < ASKED_COUNT; i++) {
        k->s->now_ns += gap_ns;
        gap_ns *= 2;
        ks_turn(&k->t); /* silence is noticed before the next datagram */
        kit_arrive(k, n, i);
        ks_turn(&k->t);
    }
    return k->peers[index].number_count;
}

START_TEST(silence_between_two_attempts_of_a_handshake)
{
    struct kit *k = kit_opened();
    KS_EQ(5, hear_handshake(k, 1)); /* 8 s are borne, 16 s are not, unless the options say so */
    KS_EQ(KIRIM_SESSION_IDLE, k->peers[0].reason);
    kit_close(k);
    k = kit_new();
    k->options.unvalidated_idle_ns = UINT64_C(20000000000);
    kit_open(k);
    KS_EQ(6, hear_handshake(k, 1));
    kit_close(k);
    k = kit_new();
    k->is_validating = true; /* as after a token: 60 s */
    kit_open(k);
    KS_EQ(6, hear_handshake(k, 1));
    kit_close(k);
}
END_TEST

START_TEST(what_this_side_sends_does_not_break_the_silence)
{
    struct kit *k = kit_opened();
    struct kirim_session *s = NULL;
    const struct kirim_addr peer = kit_addr(3);
    KS_OK(kirim_session_open(k->set, &peer, NULL, 0, NULL, &s));
    for (unsigned i = 0; i < 6; i++) {
        KS_OK(kirim_session_send_bytes(s, "hello", 5));
        k->s->now_ns += UINT64_C(10000000000);
        ks_turn(&k->t);
    }
    ks_turn(&k->t);
    KS_EQ(KIRIM_SESSION_IDLE,
          k->peers[0].reason); /* a handshake that is tried for longer: idle_ns */
    kit_close(k);
}
END_TEST

/* ---- refusals -------------------------------------------------------------------------------- */

START_TEST(options_are_checked)
{
    struct kit *k = kit_new();
    script_open(k->s);
    struct kirim_sessions *set = NULL;
    const struct kirim_sessions_options good = k->options;
    struct kirim_sessions_options bad = good;
    KS_ERR(KIRIM_EINVAL, kirim_sessions_open(NULL, &good, &set));
    KS_ERR(KIRIM_EINVAL, kirim_sessions_open(k->t.loop, NULL, &set));
    KS_ERR(KIRIM_EINVAL, kirim_sessions_open(k->t.loop, &good, NULL));
#define BAD(member, value)                                                \
    do {                                                                  \
        bad = good;                                                       \
        bad.member = (value);                                             \
        KS_ERR(KIRIM_EINVAL, kirim_sessions_open(k->t.loop, &bad, &set)); \
    } while (0)
    BAD(size, 8);
    BAD(endpoint, NULL);
    BAD(count_max, (1U << 24) + 1);
    BAD(prefix_ipv4_bits, 33);
    BAD(prefix_ipv6_bits, 129);
    BAD(eviction, 3);
    BAD(state_bytes, 65537);
    BAD(stack_bytes, (1U << 21) + 1);
    BAD(amplification, 65537);
    bad = good;
    bad.idle_ns = 5;
    bad.unvalidated_idle_ns = 6;
    KS_ERR(KIRIM_EINVAL, kirim_sessions_open(k->t.loop, &bad, &set));
#undef BAD
    KS_CHECK(set == NULL);
    KS_OK(kirim_sessions_open(k->t.loop, &good, &k->set));
    k->p = script_port_of(k->s, kirim_sessions_endpoint(k->set));
    kit_close(k);
}
END_TEST

static unsigned complaint_count;

static void hear_log(void *user, int level, const char *line)
{
    (void)user;
    complaint_count += level == KIRIM_LOG_ERROR && strstr(line, "INIT macro") != NULL;
}

START_TEST(handlers_that_were_mixed_up_are_refused)
{
    struct kit *k = kit_opened();
    struct kirim_sessions *set = NULL;
    struct kirim_session *s = NULL;
    k->t.loop->log = hear_log;
    complaint_count = 0;
    k->handler.size = KIRIM_SESSION_HANDLER_INIT;
    KS_ERR(KIRIM_EINVAL, kirim_sessions_open(k->t.loop, &k->options, &set));
    k->handler.size = KIRIM_SESSIONS_HANDLER_INIT;
    k->session_handler.size = KIRIM_SESSIONS_HANDLER_INIT;
    KS_ERR(KIRIM_EINVAL, kirim_sessions_open(k->t.loop, &k->options, &set));
    const struct kirim_admission admission = { sizeof admission, 0, &k->session_handler, NULL };
    const struct kirim_addr peer = kit_addr(4);
    KS_ERR(KIRIM_EINVAL, kirim_session_open(k->set, &peer, NULL, 0, &admission, &s));
    KS_EQ(3, complaint_count);
    const struct kirim_handler plain = { .size = KIRIM_SESSION_HANDLER_INIT };
    struct kirim_endpoint_options options = ks_endpoint_options(&k->t);
    struct kirim_endpoint *ep = NULL;
    options.handler = &plain;
    KS_ERR(KIRIM_EINVAL, kirim_endpoint_open(k->t.loop, &options, &ep));
    KS_EQ(4, complaint_count);
    KS_CHECK(set == NULL && s == NULL && ep == NULL);
    k->t.loop->log = NULL;
    kit_close(k);
}
END_TEST

START_TEST(no_allocation_that_fails_costs_more_than_a_datagram)
{
    for (uint64_t fail_at = 1;; fail_at++) {
        struct kit *k = kit_new();
        k->options.prefix_count_max = 1000;
        k->handler.admit = NULL;
        script_open(k->s);
        k->t.memory.fail_at = k->t.memory.calls + fail_at;
        k->t.memory.is_lasting = false;
        if (kirim_sessions_open(k->t.loop, &k->options, &k->set) != KIRIM_OK) {
            KS_CHECK(k->set == NULL);
            ks_close(&k->t);
            script_free(k->s);
            free(k);
            continue;
        }
        k->p = script_port_of(k->s, kirim_sessions_endpoint(k->set));
        const uint64_t before = k->t.memory.fail_at;
        for (uint32_t i = 0; i < 4; i++) {
            kit_arrive(k, i, i);
        }
        ks_turn(&k->t);
        const bool has_failed = k->t.memory.calls >= before;
        const struct kirim_sessions_stats stats = kit_stats(k);
        KS_EQ(4, stats.opened + stats.refused_memory);
        kit_arrive(k, 9, 9);
        ks_turn(&k->t);
        KS_EQ(stats.opened + 1, kit_stats(k).opened);
        kit_close(k);
        if (!has_failed) {
            break;
        }
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("session");
    TCase *tcase = tcase_create("session");
    tcase_add_test(tcase, each_peer_gets_its_own_in_one_piece_and_in_order);
    tcase_add_test(tcase, neighbours_of_one_peer_are_not_moved);
    tcase_add_test(tcase, what_was_sorted_can_be_answered_in_place);
    tcase_add_test(tcase, full_batches_of_strangers_are_sorted);
    tcase_add_test(tcase, who_is_closed_on_the_way_gets_no_more);
    tcase_add_test(tcase, set_closed_in_a_callback_ends_all);
    tcase_add_test(tcase, set_that_drains_lets_nobody_in);
    tcase_add_test(tcase, loop_that_closes_ends_all);
    tcase_add_test(tcase, number_of_the_past_finds_nobody);
    tcase_add_test(tcase, walk_meets_all_that_are_open);
    tcase_add_test(tcase, timers_of_a_session_end_with_it);
    tcase_add_test(tcase, session_of_this_side_may_have_a_handler_of_its_own);
    tcase_add_test(tcase, silence_ends_a_session);
    tcase_add_test(tcase, silence_between_two_attempts_of_a_handshake);
    tcase_add_test(tcase, what_this_side_sends_does_not_break_the_silence);
    tcase_add_test(tcase, who_is_not_validated_has_less_time);
    tcase_add_test(tcase, options_are_checked);
    tcase_add_test(tcase, handlers_that_were_mixed_up_are_refused);
    tcase_add_test(tcase, no_allocation_that_fails_costs_more_than_a_datagram);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed_count = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
