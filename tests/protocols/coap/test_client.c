/* SPDX-License-Identifier: MIT
 *
 * Claims about the client, message by message.
 */
#include "client_kit.h"

START_TEST(an_answer_comes_with_the_acknowledgement)
{
    struct told told;
    begin();
    const struct kirim_coap_message m = start(&told, KIRIM_COAP_GET);
    ck_assert_uint_eq(m.type, KIRIM_COAP_CON);
    ck_assert_uint_eq(m.token_bytes, 8);
    reply(&m, KIRIM_COAP_ACK, KIRIM_COAP_CONTENT, m.id, NULL, "x");
    ck_assert_uint_eq(told.answers, 1);
    ck_assert_uint_eq(told.ends, 1);
    ck_assert_int_eq(told.err, KIRIM_OK);
    ck_assert_uint_eq(told.code, KIRIM_COAP_CONTENT);
    kit_expect_silence(&client);
    ck_assert(!kit_tick(&client, client.now_ns + 1000 * SECOND));
    kit_close(&client);
}
END_TEST

START_TEST(an_answer_comes_later)
{
    struct told told;
    begin();
    const struct kirim_coap_message m = start(&told, KIRIM_COAP_GET);
    const struct kit_message ack = { .type = KIRIM_COAP_ACK, .id = m.id };
    kit_say(&client, &ack);
    ck_assert(!kit_tick(&client, client.now_ns + 50 * SECOND)); /* nothing is sent again */
    kit_expect_silence(&client);
    reply(&m, KIRIM_COAP_CON, KIRIM_COAP_CONTENT, 700, NULL, "x");
    ck_assert_uint_eq(kit_expect(&client, KIRIM_COAP_ACK, KIRIM_COAP_EMPTY).id, 700);
    ck_assert_uint_eq(told.ends, 1);
    reply(&m, KIRIM_COAP_CON, KIRIM_COAP_CONTENT, 700, NULL, "x"); /* our ACK was lost */
    ck_assert_uint_eq(kit_expect(&client, KIRIM_COAP_ACK, KIRIM_COAP_EMPTY).id, 700);
    ck_assert_uint_eq(told.answers, 1);
    kit_close(&client);
}
END_TEST

START_TEST(an_answer_overtakes_the_acknowledgement)
{
    struct told told;
    begin();
    const struct kirim_coap_message m = start(&told, KIRIM_COAP_GET);
    reply(&m, KIRIM_COAP_CON, KIRIM_COAP_CONTENT, 700, NULL, "x");
    (void)kit_expect(&client, KIRIM_COAP_ACK, KIRIM_COAP_EMPTY);
    ck_assert_uint_eq(told.ends, 1);
    const struct kit_message ack = { .type = KIRIM_COAP_ACK, .id = m.id };
    kit_say(&client, &ack);
    kit_expect_silence(&client);
    ck_assert(!kit_tick(&client, client.now_ns + 1000 * SECOND));
    kit_close(&client);
}
END_TEST

START_TEST(a_late_copy_of_the_answer_counts)
{
    struct told told;
    begin();
    const struct kirim_coap_message m = start(&told, KIRIM_COAP_GET);
    ck_assert(kit_tick(&client, client.now_ns + 100 * SECOND));
    ck_assert_uint_eq(kit_expect(&client, KIRIM_COAP_CON, KIRIM_COAP_GET).id, m.id);
    reply(&m, KIRIM_COAP_ACK, KIRIM_COAP_CONTENT, m.id, NULL, "x");
    ck_assert_uint_eq(told.ends, 1);
    kit_close(&client);
}
END_TEST

START_TEST(what_is_not_the_answer_is_not_taken)
{
    struct told told;
    begin();
    const struct kirim_coap_message m = start(&told, KIRIM_COAP_GET);
    struct kirim_coap_message other = m;
    other.token[3] ^= 1;
    reply(&other, KIRIM_COAP_CON, KIRIM_COAP_CONTENT, 5, NULL, "x");
    ck_assert_uint_eq(kit_expect(&client, KIRIM_COAP_RST, KIRIM_COAP_EMPTY).id, 5);
    reply(&other, KIRIM_COAP_NON, KIRIM_COAP_CONTENT, 6, NULL, "x");
    (void)kit_expect(&client, KIRIM_COAP_RST, KIRIM_COAP_EMPTY);
    reply(&m, KIRIM_COAP_ACK, KIRIM_COAP_CONTENT, (uint16_t)(m.id + 1), NULL, "x");
    kit_expect_silence(&client);
    ck_assert_uint_eq(told.answers, 0);
    static const struct kit_option critical[] = { { 9, "x", 0 }, { 0, NULL, 0 } };
    reply(&m, KIRIM_COAP_CON, KIRIM_COAP_CONTENT, 7, critical, "x");
    (void)kit_expect(&client, KIRIM_COAP_RST, KIRIM_COAP_EMPTY);
    ck_assert_uint_eq(told.answers, 0);
    ck_assert_int_eq(told.err, KIRIM_EOPNOTSUPP);
    kit_close(&client);
}
END_TEST

START_TEST(a_reset_an_error_and_silence_end_a_call)
{
    static const kirim_err errs[] = { KIRIM_ECONNRESET, KIRIM_ECONNRESET, KIRIM_ETIMEDOUT,
                                      KIRIM_EABORTED };
    begin();
    for (size_t way = 0; way < COUNT_OF(errs); way++) {
        struct told told;
        const struct kirim_coap_message m = start(&told, KIRIM_COAP_GET);
        const struct kit_message rst = { .type = KIRIM_COAP_RST, .id = m.id };
        if (way == 0) {
            kit_say(&client, &rst);
        } else if (way == 1) {
            kirim_coap_peer_gone(&client.peer, KIRIM_ECONNRESET, client.now_ns);
        } else if (way == 2) {
            while (told.ends == 0) {
                ck_assert(kit_tick(&client, client.now_ns + 100 * SECOND));
            }
            ck_assert_uint_eq(client.count, 4); /* five with the first */
            client.count = 0;
        } else {
            kirim_coap_call_cancel(&told.call, client.now_ns);
        }
        ck_assert_uint_eq(told.ends, 1);
        ck_assert_int_eq(told.err, errs[way]);
        ck_assert_uint_eq(told.answers, 0);
    }
    kit_close(&client);
}
END_TEST

START_TEST(an_answer_that_cannot_be_understood_is_reset)
{
    static const struct kit_option unknown[] = { { 2049, "x", 0 }, { 0, NULL, 0 } };
    struct told told;
    begin();
    for (uint8_t type = KIRIM_COAP_CON; type <= KIRIM_COAP_ACK; type++) {
        const struct kirim_coap_message m = start(&told, KIRIM_COAP_GET);
        const uint16_t id = type == KIRIM_COAP_ACK ? m.id : 700;
        reply(&m, type, KIRIM_COAP_CONTENT, id, unknown, "x");
        ck_assert_uint_eq(told.answers, 0);
        ck_assert_uint_eq(told.ends, 1);
        ck_assert_int_eq(told.err, KIRIM_EOPNOTSUPP);
        if (type == KIRIM_COAP_CON) {
            ck_assert_uint_eq(kit_expect(&client, KIRIM_COAP_RST, KIRIM_COAP_EMPTY).id, id);
        }
        kit_expect_silence(&client);
    }
    ck_assert_uint_eq(client.node.stats.ignored, 3);
    kit_close(&client);
}
END_TEST

START_TEST(one_call_at_a_time)
{
    static struct told told[3];
    struct kirim_coap_message m = { 0 };
    begin();
    for (size_t i = 0; i < 3; i++) {
        prepare(&told[i], KIRIM_COAP_GET);
        ck_assert_int_eq(kirim_coap_call_start(&client.peer, &told[i].call, client.now_ns), 0);
    }
    ck_assert(kit_tick(&client, client.now_ns));
    for (size_t i = 0; i < 3; i++) {
        ck_assert_uint_eq(client.count, 1);
        ck_assert(kit_take(&client, &m));
        reply(&m, KIRIM_COAP_ACK, KIRIM_COAP_CONTENT, m.id, NULL, "x");
        ck_assert_uint_eq(told[i].ends, 1);
    }
    kit_expect_silence(&client);
    kit_close(&client);
}
END_TEST

START_TEST(a_ping_is_answered_by_a_reset)
{
    struct told told;
    begin();
    const struct kirim_coap_message m = start(&told, KIRIM_COAP_EMPTY);
    ck_assert_uint_eq(m.type, KIRIM_COAP_CON);
    ck_assert_uint_eq(m.code, KIRIM_COAP_EMPTY);
    const struct kit_message rst = { .type = KIRIM_COAP_RST, .id = m.id };
    kit_say(&client, &rst);
    ck_assert_uint_eq(told.ends, 1);
    ck_assert_int_eq(told.err, KIRIM_OK);
    kit_close(&client);
}
END_TEST

START_TEST(wrong_calls_are_refused)
{
    static const struct kirim_coap_option bad[] = {
        { KIRIM_COAP_URI_QUERY, { NULL, 0 } },
        { KIRIM_COAP_URI_PATH, { NULL, 0 } },
        { KIRIM_COAP_OBSERVE, { NULL, 0 } },
    };
    struct told told;
    begin();
    prepare(&told, 8);
    ck_assert_int_eq(kirim_coap_call_start(&client.peer, &told.call, 1), KIRIM_EINVAL);
    prepare(&told, KIRIM_COAP_GET);
    told.call.type = KIRIM_COAP_ACK;
    ck_assert_int_eq(kirim_coap_call_start(&client.peer, &told.call, 1), KIRIM_EINVAL);
    told.call.type = KIRIM_COAP_CON;
    told.call.ended = NULL;
    ck_assert_int_eq(kirim_coap_call_start(&client.peer, &told.call, 1), KIRIM_EINVAL);
    prepare(&told, KIRIM_COAP_PUT);
    told.call.is_observing = true;
    ck_assert_int_eq(kirim_coap_call_start(&client.peer, &told.call, 1), KIRIM_EINVAL);
    prepare(&told, KIRIM_COAP_GET);
    told.call.options = bad; /* not sorted */
    told.call.option_count = 2;
    ck_assert_int_eq(kirim_coap_call_start(&client.peer, &told.call, 1), KIRIM_EINVAL);
    told.call.options = bad + 2; /* one of the call's own */
    told.call.option_count = 1;
    ck_assert_int_eq(kirim_coap_call_start(&client.peer, &told.call, 1), KIRIM_EINVAL);
    kit_expect_silence(&client);
    kit_close(&client);
}
END_TEST

START_TEST(message_ids_are_not_used_twice)
{
    enum { COUNT = 65536 };
    static uint8_t is_used[COUNT];
    uint32_t count = 0;
    struct told told;
    begin();
    memset(is_used, 0, sizeof is_used);
    for (;;) {
        prepare(&told, KIRIM_COAP_GET);
        told.call.type = KIRIM_COAP_NON;
        ck_assert_int_eq(kirim_coap_call_start(&client.peer, &told.call, client.now_ns), 0);
        kirim_coap_peer_expire(&client.peer, client.now_ns);
        struct kirim_coap_message m;
        if (!kit_take(&client, &m)) {
            break; /* it waits until some are free */
        }
        ck_assert(!is_used[m.id]);
        is_used[m.id] = 1;
        count++;
        reply(&m, KIRIM_COAP_NON, KIRIM_COAP_CONTENT, (uint16_t)count, NULL, "x");
        ck_assert_uint_eq(told.ends, 1);
    }
    ck_assert_uint_gt(count, COUNT / 2 - 2049); /* the other half is for answers */
    ck_assert_uint_eq(told.ends, 0);
    const uint64_t then_ns = client.now_ns;
    while (client.count == 0) {
        ck_assert(kit_tick(&client, then_ns + 250 * SECOND));
    }
    ck_assert(client.now_ns - then_ns <= 247 * SECOND);
    kit_close(&client);
}
END_TEST

/* ---- observation ----------------------------------------------------------------------------- */

static const struct kit_option observe_5[] = { { 6, NULL, 5 }, { 0, NULL, 0 } };

static struct kirim_coap_message start_observing(struct told *told)
{
    struct kirim_coap_message m;
    prepare(told, KIRIM_COAP_GET);
    told->call.is_observing = true;
    ck_assert_int_eq(kirim_coap_call_start(&client.peer, &told->call, client.now_ns), KIRIM_OK);
    ck_assert(kit_tick(&client, client.now_ns));
    ck_assert(kit_take(&client, &m));
    ck_assert(kit_fields(&m).has & KIRIM_COAP_HAS_OBSERVE);
    reply(&m, KIRIM_COAP_ACK, KIRIM_COAP_CONTENT, m.id, observe_5, "x");
    ck_assert_uint_eq(told->answers, 1);
    ck_assert_uint_eq(told->ends, 0);
    return m;
}

/* Sequence numbers one after the other, seconds between them, and whether the second is news. */
static const struct {
    uint32_t sequence;
    uint64_t after_s;
    bool is_fresh;
} news[] = {
    { 6, 1, true },
    { 5, 1, false },
    { 4, 1, false },
    { 5 + (1 << 23) - 1, 1, true },
    { 5 + (1 << 23), 1, false },
    { 0xffffff, 1, false },
    { 4, 129, true },
    { 5, 129, true },
    { 4, 128, false },
};

START_TEST(old_news_is_no_news)
{
    struct told told;
    struct kit_option options[] = { { 6, NULL, news[_i].sequence },
                                    { 14, NULL, 1000 },
                                    { 0, NULL, 0 } };
    begin();
    const struct kirim_coap_message m = start_observing(&told);
    client.now_ns += SECOND;
    client.now_ns += (news[_i].after_s - 1) * SECOND;
    reply(&m, KIRIM_COAP_NON, KIRIM_COAP_CONTENT, 900, options, "y");
    ck_assert_uint_eq(told.answers, news[_i].is_fresh ? 2 : 1);
    kit_close(&client);
}
END_TEST

START_TEST(an_observation_is_taken_back)
{
    struct told told;
    begin();
    struct kirim_coap_message m = start_observing(&told);
    static const struct kit_option next[] = { { 6, NULL, 9 }, { 0, NULL, 0 } };
    reply(&m, KIRIM_COAP_CON, KIRIM_COAP_CONTENT, 900, next, "y");
    (void)kit_expect(&client, KIRIM_COAP_ACK, KIRIM_COAP_EMPTY);
    ck_assert_uint_eq(told.answers, 2);
    kirim_coap_call_cancel(&told.call, client.now_ns);
    ck_assert_uint_eq(told.ends, 0);
    struct kirim_coap_message last = kit_expect(&client, KIRIM_COAP_CON, KIRIM_COAP_GET);
    ck_assert_uint_eq(kit_fields(&last).observe, 1);
    ck_assert_int_eq(memcmp(last.token, m.token, 8), 0);
    reply(&last, KIRIM_COAP_ACK, KIRIM_COAP_CONTENT, last.id, NULL, "z");
    ck_assert_uint_eq(told.ends, 1);
    ck_assert_int_eq(told.err, KIRIM_OK);
    ck_assert_uint_eq(told.answers, 2);
    reply(&m, KIRIM_COAP_NON, KIRIM_COAP_CONTENT, 901, next, "y"); /* the server has not heard */
    (void)kit_expect(&client, KIRIM_COAP_RST, KIRIM_COAP_EMPTY);
    kit_close(&client);
}
END_TEST

START_TEST(a_registration_is_renewed_when_its_answer_is_old)
{
    struct told told;
    begin();
    const struct kirim_coap_message m = start_observing(&told);
    const uint64_t then_ns = client.now_ns;
    ck_assert(kit_tick(&client, then_ns + 100 * SECOND));
    ck_assert(client.now_ns >= then_ns + 65 * SECOND && client.now_ns <= then_ns + 75 * SECOND);
    struct kirim_coap_message again = kit_expect(&client, KIRIM_COAP_CON, KIRIM_COAP_GET);
    ck_assert_int_eq(memcmp(again.token, m.token, 8), 0);
    ck_assert_uint_eq(kit_fields(&again).observe, 0);
    static const struct kit_option next[] = { { 6, NULL, 9 }, { 0, NULL, 0 } };
    reply(&again, KIRIM_COAP_ACK, KIRIM_COAP_CONTENT, again.id, next, "y");
    ck_assert_uint_eq(told.answers, 2);
    static const struct kit_option none[] = { { 0, NULL, 0 } };
    reply(&again, KIRIM_COAP_CON, KIRIM_COAP_NOT_FOUND, 950, none, NULL);
    ck_assert_uint_eq(told.ends, 1);
    ck_assert_uint_eq(told.code, KIRIM_COAP_NOT_FOUND);
    kit_close(&client);
}
END_TEST

START_TEST(a_call_may_be_cancelled_in_its_answer)
{
    struct told told;
    begin();
    prepare(&told, KIRIM_COAP_GET);
    told.is_cancelling = true;
    ck_assert_int_eq(kirim_coap_call_start(&client.peer, &told.call, client.now_ns), KIRIM_OK);
    ck_assert(kit_tick(&client, client.now_ns));
    struct kirim_coap_message m = kit_expect(&client, KIRIM_COAP_CON, KIRIM_COAP_GET);
    reply(&m, KIRIM_COAP_ACK, KIRIM_COAP_CONTENT, m.id, NULL, "x");
    ck_assert_uint_eq(told.ends, 1);
    ck_assert_int_eq(told.err, KIRIM_OK);
    kit_close(&client);
}
END_TEST

START_TEST(an_observation_outlives_any_number_of_echoes)
{
    static const struct kit_option echo[] = { { 252, "e", 0 }, { 0, NULL, 0 } };
    struct told told;
    begin();
    (void)start_observing(&told);
    for (uint32_t i = 0; i < 10; i++) {
        const struct kit_option next[] = { { 6, NULL, 100 + i }, { 0, NULL, 0 } };
        ck_assert(kit_tick(&client, client.now_ns + 100 * SECOND));
        struct kirim_coap_message m = kit_expect(&client, KIRIM_COAP_CON, KIRIM_COAP_GET);
        reply(&m, KIRIM_COAP_ACK, KIRIM_COAP_UNAUTHORIZED, m.id, echo, NULL);
        m = kit_expect(&client, KIRIM_COAP_CON, KIRIM_COAP_GET);
        reply(&m, KIRIM_COAP_ACK, KIRIM_COAP_CONTENT, m.id, next, "y");
        ck_assert_uint_eq(told.ends, 0);
    }
    kit_close(&client);
}
END_TEST

START_TEST(the_longest_life_is_not_the_shortest)
{
    static const struct kit_option next[] = { { 6, NULL, 99 },
                                              { 14, NULL, UINT32_MAX },
                                              { 0, NULL, 0 } };
    struct told told;
    begin();
    const struct kirim_coap_message m = start_observing(&told);
    reply(&m, KIRIM_COAP_NON, KIRIM_COAP_CONTENT, 1, next, "y");
    ck_assert_uint_eq(told.answers, 2);
    ck_assert(!kit_tick(&client, client.now_ns + 100000 * SECOND));
    kit_expect_silence(&client);
    kit_close(&client);
}
END_TEST

int main(void)
{
    const struct kit_claim claims[] = {
        { an_answer_comes_with_the_acknowledgement, 0 },
        { an_answer_comes_later, 0 },
        { an_answer_overtakes_the_acknowledgement, 0 },
        { a_late_copy_of_the_answer_counts, 0 },
        { what_is_not_the_answer_is_not_taken, 0 },
        { a_reset_an_error_and_silence_end_a_call, 0 },
        { an_answer_that_cannot_be_understood_is_reset, 0 },
        { one_call_at_a_time, 0 },
        { a_ping_is_answered_by_a_reset, 0 },
        { wrong_calls_are_refused, 0 },
        { message_ids_are_not_used_twice, 0 },
        { old_news_is_no_news, COUNT_OF(news) },
        { an_observation_is_taken_back, 0 },
        { a_registration_is_renewed_when_its_answer_is_old, 0 },
        { a_call_may_be_cancelled_in_its_answer, 0 },
        { an_observation_outlives_any_number_of_echoes, 0 },
        { the_longest_life_is_not_the_shortest, 0 },
        { NULL, 0 },
    };
    return kit_main("protocols/coap client", claims);
}
