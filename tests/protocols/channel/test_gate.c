/* SPDX-License-Identifier: MIT
 *
 * Claims about a server before there is a connection: whom it answers, how shortly, and whose BEGIN
 * it believes.
 */
#include "kit.h"

static const uint8_t keys[2][KIRIM_SIPHASH_KEY_BYTES] = { "a key of tokens", "a key of resets" };

struct scene {
    struct kirim_channel_gate gate;
    struct kirim_addr peer;
    uint8_t hello[KIRIM_CHANNEL_HELLO_BYTES];
    uint8_t answer[KIRIM_CHANNEL_ANSWER_BYTES_MAX];
    uint8_t begin[256];
    size_t begin_bytes;
};

static struct kirim_channel_visit visit_of(struct scene *s, const uint8_t *data, size_t bytes)
{
    return (struct kirim_channel_visit){ data, bytes, &s->peer, SECOND, "offered" };
}

/* A gate, and a BEGIN with the token that it has given. */
static void set_up(struct scene *s)
{
    static const struct kirim_channel_params params = { 1452, 4096, 2048, 1024, 16, 25, 30000 };
    struct kirim_channel_packet p;
    memset(s, 0, sizeof *s);
    ck_assert_int_eq(kirim_channel_gate_init(&s->gate, &params, keys[0], keys[1]), KIRIM_OK);
    ck_assert_int_eq(kirim_addr_parse("192.0.2.1:1000", &s->peer), KIRIM_OK);
    memset(&p, 0, sizeof p);
    p.kind = KIRIM_CHANNEL_HELLO;
    p.version = KIRIM_CHANNEL_VERSION;
    memcpy(p.from, "client--", sizeof p.from);
    ck_assert_uint_gt(kirim_channel_packet_write(&p, s->hello, sizeof s->hello), 0);
    const struct kirim_channel_visit v = visit_of(s, s->hello, sizeof s->hello);
    const size_t bytes = kirim_channel_gate_answer(&s->gate, &v, s->answer);
    ck_assert_int_eq(kirim_channel_packet_read(s->answer, bytes, &p), KIRIM_OK);
    ck_assert_uint_eq(p.kind, KIRIM_CHANNEL_TOKEN);
    ck_assert_mem_eq(p.to, "client--", 8);
    ck_assert_mem_eq(p.from, "offered", 8);
    struct kirim_channel_packet begin = p;
    begin.kind = KIRIM_CHANNEL_BEGIN;
    memcpy(begin.to, p.from, sizeof p.from);
    memcpy(begin.from, p.to, sizeof p.to);
    s->begin_bytes = kirim_channel_packet_write(&begin, s->begin, sizeof s->begin);
    s->begin[s->begin_bytes++] = KIRIM_CHANNEL_PING;
}

static kirim_err check(struct scene *s, uint64_t now_ns)
{
    struct kirim_channel_visit v = visit_of(s, s->begin, s->begin_bytes);
    struct kirim_channel_packet p;
    v.now_ns = now_ns;
    return kirim_channel_gate_check(&s->gate, &v, &p);
}

START_TEST(token_is_good_for_whom_it_was_given)
{
    struct scene s;
    set_up(&s);
    ck_assert_int_eq(check(&s, SECOND), KIRIM_OK);
    ck_assert_int_eq(check(&s, 15 * SECOND), KIRIM_OK);
    ck_assert_int_eq(check(&s, 30 * SECOND), KIRIM_ETIMEDOUT);
    kirim_channel_gate_rotate(&s.gate, keys[1]);
    ck_assert_int_eq(check(&s, SECOND), KIRIM_OK); /* the key before still counts */
    kirim_channel_gate_rotate(&s.gate, keys[1]);
    ck_assert_int_eq(check(&s, SECOND), KIRIM_EACCES);
}
END_TEST

START_TEST(token_of_before_is_refused_if_that_is_asked_for)
{
    struct scene s;
    set_up(&s); /* at 1 s */
    kirim_channel_gate_refuse_until(&s.gate, SECOND - 1);
    ck_assert_int_eq(check(&s, 3 * SECOND), KIRIM_OK);
    kirim_channel_gate_refuse_until(&s.gate, SECOND);
    ck_assert_int_eq(check(&s, 3 * SECOND), KIRIM_ETIMEDOUT);
    kirim_channel_gate_refuse_until(&s.gate, SECOND - 1); /* no way back */
    ck_assert_int_eq(check(&s, 3 * SECOND), KIRIM_ETIMEDOUT);
}
END_TEST

/* Each byte of ids and token counts. */
START_TEST(token_is_bound_to_both_ids)
{
    static const size_t places[] = { 1, 8, 16, 23, 65, 70, 71, 80, 94 };
    struct scene s;
    set_up(&s);
    for (size_t i = 0; i < COUNT_OF(places); i++) {
        s.begin[places[i]] ^= 1;
        ck_assert_int_lt(check(&s, SECOND), 0);
        s.begin[places[i]] ^= 1;
    }
    ck_assert_int_eq(check(&s, SECOND), KIRIM_OK);
    kirim_addr_set_port(&s.peer, 1001);
    ck_assert_int_eq(check(&s, SECOND), KIRIM_EACCES);
}
END_TEST

START_TEST(short_hello_gets_nothing)
{
    struct scene s;
    set_up(&s);
    const struct kirim_channel_visit v = visit_of(&s, s.hello, sizeof s.hello - 1);
    ck_assert_uint_eq(kirim_channel_gate_answer(&s.gate, &v, s.answer), 0);
    s.gate.is_open = true; /* the layer below knows whom it is */
    const size_t bytes = kirim_channel_gate_answer(&s.gate, &v, s.answer);
    ck_assert_uint_eq(bytes, 59);
    ck_assert_int_lt(check(&s, SECOND), 0); /* where no tokens are given none are taken */
}
END_TEST

START_TEST(other_version_is_told_ours)
{
    struct scene s;
    struct kirim_channel_packet p;
    set_up(&s);
    s.hello[1] = 200;
    const struct kirim_channel_visit v = visit_of(&s, s.hello, sizeof s.hello);
    const size_t bytes = kirim_channel_gate_answer(&s.gate, &v, s.answer);
    ck_assert_int_eq(kirim_channel_packet_read(s.answer, bytes, &p), KIRIM_OK);
    ck_assert_uint_eq(p.kind, KIRIM_CHANNEL_VERSIONS);
    ck_assert_uint_eq(p.version, 200);
    ck_assert_uint_eq(p.rest.bytes, 1);
    ck_assert_uint_eq(p.rest.data[0], KIRIM_CHANNEL_VERSION);
}
END_TEST

START_TEST(unknown_data_gets_the_reset_of_its_id)
{
    struct scene s;
    struct kirim_channel_packet p;
    uint8_t data[18] = { KIRIM_CHANNEL_DATA, 'o', 'f', 'f', 'e', 'r', 'e', 'd', 0 };
    uint8_t reset[KIRIM_CHANNEL_RESET_BYTES];
    set_up(&s);
    ck_assert_int_eq(kirim_channel_packet_read(s.answer, 89, &p), KIRIM_OK);
    memcpy(reset, p.reset, sizeof reset);
    struct kirim_channel_visit v = visit_of(&s, data, sizeof data);
    const size_t bytes = kirim_channel_gate_answer(&s.gate, &v, s.answer);
    ck_assert_int_eq(kirim_channel_packet_read(s.answer, bytes, &p), KIRIM_OK);
    ck_assert_uint_eq(p.kind, KIRIM_CHANNEL_RESET);
    ck_assert_mem_eq(p.reset, reset, sizeof reset); /* as its TOKEN has said */
    v.bytes = 17;
    ck_assert_uint_eq(kirim_channel_gate_answer(&s.gate, &v, s.answer), 0); /* not shorter */
}
END_TEST

START_TEST(nobody_else_is_answered)
{
    struct scene s;
    uint8_t data[1200] = { 0 };
    set_up(&s);
    for (unsigned kind = 0; kind < 256; kind++) {
        data[0] = (uint8_t)kind;
        const struct kirim_channel_visit v = visit_of(&s, data, sizeof data);
        const size_t bytes = kirim_channel_gate_answer(&s.gate, &v, s.answer);
        ck_assert(bytes == 0 || kind == KIRIM_CHANNEL_HELLO || kind == KIRIM_CHANNEL_DATA);
    }
}
END_TEST

int main(void)
{
    const struct kit_claim claims[] = {
        { token_is_good_for_whom_it_was_given, 0 },
        { token_of_before_is_refused_if_that_is_asked_for, 0 },
        { token_is_bound_to_both_ids, 0 },
        { short_hello_gets_nothing, 0 },
        { other_version_is_told_ours, 0 },
        { unknown_data_gets_the_reset_of_its_id, 0 },
        { nobody_else_is_answered, 0 },
        { NULL, 0 },
    };
    return kit_main("protocols/channel gate", claims);
}
