/* SPDX-License-Identifier: MIT
 *
 * Claims about kirim_session_reply(): the datagrams of a session's batch, answered without a copy,
 * counted, and within what their address has earned. On the scripted reactor.
 */
#include "session_kit.h"

#include <stdlib.h>

enum { KEYED_BYTES = 1 + KS_NUMBER_BYTES };

/* What the last call said. */
static kirim_err reply_err;
static size_t reply_count;
static const struct kirim_datagram *lent; /* the first of the last batch */

static void reply_all(struct kit_peer *peer, const struct kirim_batch *batch)
{
    lent = batch->first;
    reply_err = kirim_session_reply(peer->session, batch->first, batch->count, &reply_count);
}

static struct kit *replying_kit(kirim_classify_fn classify)
{
    struct kit *k = kit_new();
    k->options.classify = classify;
    k->on_received = reply_all;
    kit_open(k);
    return k;
}

static struct kirim_session_stats stats_of(const struct kit_peer *peer)
{
    struct kirim_session_stats stats = KIRIM_SESSION_STATS_INIT;
    KS_OK(kirim_session_read_stats(peer->session, &stats));
    return stats;
}

START_TEST(batch_is_answered_in_place_and_counted)
{
    struct kit *k = replying_kit(NULL);
    const uint32_t wanted[] = { 0, 2, 1, 3 };
    for (uint32_t i = 0; i < 4; i++) {
        kit_arrive(k, i % 2, i);
    }
    ks_turn(&k->t);
    KS_OK(reply_err);
    KS_EQ(4, k->p->sent_count);
    for (size_t i = 0; i < 4; i++) {
        const struct kirim_addr to = kit_addr(wanted[i] % 2);
        KS_EQ(wanted[i], k->p->sent[i].value);
        KS_CHECK(kirim_addr_equal(&to, &k->p->sent[i].peer));
        KS_CHECK(kirim_addr_equal(&k->p->local, &k->p->sent[i].control.source));
    }
    for (size_t i = 0; i < 2; i++) {
        KS_EQ(2, stats_of(&k->peers[i]).tx_datagrams);
        KS_EQ(2 * KS_NUMBER_BYTES, stats_of(&k->peers[i]).tx_bytes);
    }
    kit_close(k);
}
END_TEST

static const uint8_t *arrived_at;

static void reply_and_look(struct kit_peer *peer, const struct kirim_batch *batch)
{
    arrived_at = batch->first->data;
    reply_all(peer, batch);
}

START_TEST(nothing_is_copied)
{
    struct kit *k = replying_kit(NULL);
    k->on_received = reply_and_look;
    kit_arrive(k, 1, 7);
    ks_turn(&k->t);
    KS_CHECK(k->p->sent_count == 1 && k->p->sent[0].data == arrived_at);
    kit_close(k);
}
END_TEST

/* Spends but 5 bytes of what the batch has earned. */
static void spend_first(struct kit_peer *peer, const struct kirim_batch *batch)
{
    static const uint8_t bytes[3 * KS_NUMBER_BYTES * 2 - 5];
    KS_EQ(2, batch->count);
    KS_OK(kirim_session_send_bytes(peer->session, bytes, sizeof bytes));
    reply_all(peer, batch);
}

START_TEST(replies_take_from_what_the_peer_has_earned)
{
    struct kit *k = replying_kit(NULL);
    k->on_received = spend_first;
    kit_arrive(k, 1, 1);
    kit_arrive(k, 1, 2);
    ks_turn(&k->t);
    KS_ERR(KIRIM_EWOULDBLOCK, reply_err);
    KS_EQ(1, reply_count);
    KS_EQ(1, kit_stats(k).tx_limited);
    KS_EQ(2, stats_of(&k->peers[0]).tx_datagrams);
    KS_EQ(6 * KS_NUMBER_BYTES - 5 + KS_NUMBER_BYTES, stats_of(&k->peers[0]).tx_bytes);
    const uint8_t byte = 0;
    KS_OK(kirim_session_send_bytes(k->peers[0].session, &byte, 1));
    KS_ERR(KIRIM_EWOULDBLOCK, kirim_session_send_bytes(k->peers[0].session, &byte, 1));
    k->on_received = NULL;
    kit_arrive(k, 1, 3);
    ks_turn(&k->t);
    ks_turn(&k->t);
    KS_TRACE(&k->t, "?AoArAwArAw");
    kit_close(k);
}
END_TEST

START_TEST(full_queue_takes_what_it_can)
{
    struct kit *k = kit_new();
    k->endpoint.queue_count_max = 2;
    k->on_received = reply_all;
    k->is_validating = true;
    kit_open(k);
    k->p->room = 0;
    for (uint32_t i = 0; i < 3; i++) {
        kit_arrive(k, 1, i);
    }
    ks_turn(&k->t);
    KS_ERR(KIRIM_EWOULDBLOCK, reply_err);
    KS_EQ(2, reply_count);
    KS_EQ(2, stats_of(&k->peers[0]).tx_datagrams);
    k->p->room = SCRIPT_NO_LIMIT;
    ks_settle(&k->t);
    ks_turn(&k->t);
    ks_turn(&k->t);
    KS_TRACE(&k->t, "?AoArAw");
    kit_close(k);
}
END_TEST

START_TEST(replies_follow_each_datagram_to_its_address)
{
    struct kit *k = replying_kit(kit_by_first_byte);
    const struct kirim_addr home = kit_addr(1);
    const struct kirim_addr away = kit_addr(2);
    kit_arrive_keyed(k, 1, 'A', 1);
    ks_turn(&k->t);
    kit_arrive_keyed(k, 1, 'A', 2);
    kit_arrive_keyed(k, 2, 'A', 3);
    kit_arrive_keyed(k, 1, 'A', 4);
    ks_turn(&k->t);
    KS_OK(reply_err);
    KS_EQ(4, k->p->sent_count);
    KS_CHECK(kirim_addr_equal(&home, &k->p->sent[1].peer));
    KS_CHECK(kirim_addr_equal(&away, &k->p->sent[2].peer));
    KS_CHECK(kirim_addr_equal(&home, &k->p->sent[3].peer));
    /* The new path has paid for its own answer, and for no other. */
    const uint8_t bytes[2 * KEYED_BYTES + 1] = { 0 };
    const struct kirim_buf buf = { (void *)(uintptr_t)bytes, sizeof bytes };
    struct kirim_msg msg = { &buf, &away, NULL, 1, 0 };
    KS_ERR(KIRIM_EWOULDBLOCK, kirim_session_send(k->peers[0].session, &msg, 0, NULL, NULL));
    const struct kirim_buf less = { (void *)(uintptr_t)bytes, sizeof bytes - 1 };
    msg.buf = &less;
    KS_OK(kirim_session_send(k->peers[0].session, &msg, 0, NULL, NULL));
    kit_close(k);
}
END_TEST

START_TEST(addresses_that_came_and_went_are_not_answered)
{
    struct kit *k = replying_kit(kit_by_first_byte);
    kit_arrive_keyed(k, 1, 'A', 1);
    ks_turn(&k->t);
    kit_arrive_keyed(k, 1, 'A', 2);
    kit_arrive_keyed(k, 2, 'A', 3);
    kit_arrive_keyed(k, 3, 'A', 4);
    ks_turn(&k->t);
    KS_ERR(KIRIM_EINVAL, reply_err);
    KS_EQ(1, reply_count);
    KS_EQ(2, k->p->sent_count);
    kit_close(k);
}
END_TEST

/* Asks for what is not its own. */
static void reply_wrongly(struct kit_peer *peer, const struct kirim_batch *batch)
{
    struct kirim_session *s = peer->session;
    const struct kirim_datagram view = *batch->first;
    size_t count = 9;
    KS_ERR(KIRIM_EINVAL, kirim_session_reply(NULL, batch->first, 1, &count));
    KS_EQ(0, count);
    KS_ERR(KIRIM_EINVAL, kirim_session_reply(s, NULL, 1, NULL));
    KS_ERR(KIRIM_EINVAL, kirim_session_reply(s, &view, 1, NULL));
    KS_ERR(KIRIM_EINVAL, kirim_session_reply(s, batch->first, 0, NULL));
    KS_ERR(KIRIM_EINVAL, kirim_session_reply(s, batch->first, batch->count + 1, NULL));
    KS_ERR(KIRIM_EINVAL, kirim_session_reply(s, batch->first - 1, 1, NULL));
    KS_ERR(KIRIM_EINVAL, kirim_session_reply(s, batch->first + batch->count, 1, NULL));
    const struct kit_peer *other = &peer->kit->peers[peer->letter == 'A' ? 1 : 0];
    KS_ERR(KIRIM_EINVAL, kirim_session_reply(other->session, batch->first, 1, NULL));
    KS_OK(kirim_session_reply(s, batch->first, 1, NULL));
}

START_TEST(only_what_was_handed_over_can_be_answered)
{
    struct kit *k = replying_kit(NULL);
    for (uint32_t i = 0; i < 2; i++) {
        kit_arrive(k, i, i);
    }
    ks_turn(&k->t);
    k->on_received = reply_wrongly;
    for (uint32_t i = 0; i < 4; i++) {
        kit_arrive(k, i % 2, i);
    }
    ks_turn(&k->t);
    KS_EQ(4, k->p->sent_count);
    KS_ERR(KIRIM_EINVAL, kirim_session_reply(k->peers[0].session, lent, 1, NULL));
    struct kirim_session *s = k->peers[0].session;
    KS_OK(kirim_session_close(s));
    KS_ERR(KIRIM_ECLOSED, kirim_session_reply(s, lent, 1, NULL));
    kit_close(k);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("session reply");
    TCase *tcase = tcase_create("reply");
    tcase_add_test(tcase, batch_is_answered_in_place_and_counted);
    tcase_add_test(tcase, nothing_is_copied);
    tcase_add_test(tcase, replies_take_from_what_the_peer_has_earned);
    tcase_add_test(tcase, full_queue_takes_what_it_can);
    tcase_add_test(tcase, replies_follow_each_datagram_to_its_address);
    tcase_add_test(tcase, addresses_that_came_and_went_are_not_answered);
    tcase_add_test(tcase, only_what_was_handed_over_can_be_answered);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed_count = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
