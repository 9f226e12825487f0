/* SPDX-License-Identifier: MIT
 *
 * Claims about a connection as a whole: how it begins, moves, waits and ends; what it bounds; and
 * that a hostile peer ends it, and nothing else.
 */
#include "kit.h"

static size_t wide(uint32_t stream, uint64_t number)
{
    (void)number;
    return stream % 3 == 0 ? 100000 : 10;
}

static struct kit_pair *open_pair(uint64_t seed)
{
    struct kit_pair *const p = kit_pair_new(seed);
    kit_pair_open(p);
    kit_pair_connect(p);
    kit_pair_run(p, p->now_ns + SECOND);
    return p;
}

static struct kirim_channel_stats stats_of(const struct kit_end *end)
{
    struct kirim_channel_stats stats;
    kirim_channel_read_stats(end->ch, &stats);
    return stats;
}

static void check_end(const struct kit_end *end, kirim_err err, uint32_t code, bool is_by_peer)
{
    ck_assert_uint_eq(end->ledger.closed, 1);
    ck_assert_int_eq(end->ledger.end.err, err);
    ck_assert_uint_eq(end->ledger.end.code, code);
    ck_assert_int_eq(end->ledger.end.is_by_peer, is_by_peer);
    ck_assert_ptr_null(end->ch);
}

/* ---- the beginning --------------------------------------------------------------------------- */

START_TEST(hello_is_repeated_and_given_up)
{
    struct kit_pair *const p = kit_pair_new(1);
    p->client.link.is_down = true;
    kit_pair_open(p);
    const uint64_t start_ns = p->now_ns;
    kit_pair_run(p, KIRIM_NEVER);
    ck_assert_uint_eq(p->client.sent_count, 4); /* after 0, 1, 3 and 7 s */
    ck_assert_uint_eq(p->client.sent_bytes, 4 * KIRIM_CHANNEL_HELLO_BYTES);
    ck_assert_uint_eq(p->now_ns - start_ns, 10 * SECOND);
    check_end(&p->client, KIRIM_ETIMEDOUT, 0, false);
    kit_pair_free(p);
}
END_TEST

START_TEST(begin_is_repeated_until_it_is_heard)
{
    struct kit_pair *const p = kit_pair_new(2);
    kit_pair_open(p);
    ck_assert_int_eq(kit_send(&p->client, 0, KIRIM_CHANNEL_ORDERED, 0), KIRIM_OK);
    kit_pair_run(p, p->now_ns + 20 * MS);
    p->server.link.is_down = true;
    kit_pair_run(p, p->now_ns + 4 * SECOND);
    ck_assert_uint_eq(p->server.ledger.count[0], 1);
    ck_assert_uint_eq(p->client.ledger.ready, 0);
    p->server.link.is_down = false;
    kit_pair_run(p, p->now_ns + 4 * SECOND);
    ck_assert_uint_eq(p->client.ledger.ready, 1);
    ck_assert_uint_eq(p->server.ledger.count[0], 1); /* once, for all that */
    kit_pair_free(p);
}
END_TEST

START_TEST(other_version_is_told)
{
    struct kit_pair *const p = kit_pair_new(3);
    struct kirim_channel_packet v;
    uint8_t room[64];
    p->client.link.is_down = true;
    kit_pair_open(p);
    kit_pair_run(p, p->now_ns + MS);
    memset(&v, 0, sizeof v);
    v.kind = KIRIM_CHANNEL_VERSIONS;
    v.version = KIRIM_CHANNEL_VERSION;
    memcpy(v.to, kirim_channel_id(p->client.ch), sizeof v.to);
    const size_t bytes = kirim_channel_packet_write(&v, room, sizeof room);
    const struct kirim_channel_arrival a = { room, bytes, &p->server.addr, 0 };
    kirim_channel_input(p->client.ch, &a, p->now_ns);
    ck_assert_uint_eq(p->client.ledger.closed, 0); /* it names ours: somebody is joking */
    room[11] = 2;
    kirim_channel_input(p->client.ch, &a, p->now_ns);
    kit_pair_run(p, p->now_ns + MS);
    ck_assert_uint_eq(p->client.ledger.closed, 1);
    ck_assert_int_eq(p->client.ledger.end.err, KIRIM_EOPNOTSUPP);
    kit_pair_free(p);
}
END_TEST

static const struct {
    uint32_t field;
    uint32_t value;
} bad_options[] = { { 0, 255 }, { 1, 65 << 20 }, { 2, 0 }, { 3, 0 }, { 4, 0 } };

START_TEST(bad_options_are_refused)
{
    struct kit_pair *const p = kit_pair_new(4);
    struct kirim_channel_options o = p->client.options;
    struct kirim_channel *ch = NULL;
    switch (bad_options[_i].field) {
    case 0:
        o.payload_bytes_max = bad_options[_i].value;
        break;
    case 1:
        o.window_bytes_max = bad_options[_i].value;
        break;
    case 2:
        o.handler = NULL;
        break;
    case 3:
        o.params.stream_count = 0;
        break;
    default:
        o.size--;
        break;
    }
    ck_assert_int_eq(kirim_channel_connect(&o, &p->server.addr, p->now_ns, &ch), KIRIM_EINVAL);
    ck_assert_ptr_null(ch);
    ck_assert_int_eq(kirim_channel_connect(&p->client.options, NULL, p->now_ns, &ch), KIRIM_EINVAL);
    kit_pair_free(p);
}
END_TEST

/* Memory runs out at every allocation in turn: nothing is left, nothing breaks. */
START_TEST(without_memory_it_fails_whole)
{
    for (size_t i = 1; i < 60; i++) {
        struct kit_pair *const p = kit_pair_new(5);
        struct kirim_channel *ch = NULL;
        p->client.memory.fail_at = i;
        p->client.memory.is_lasting = true;
        uint8_t keys[2][KIRIM_SIPHASH_KEY_BYTES] = { { 1 }, { 2 } };
        ck_assert_int_eq(
            kirim_channel_gate_init(&p->gate, &p->server.options.params, keys[0], keys[1]),
            KIRIM_OK);
        const kirim_err err =
            kirim_channel_connect(&p->client.options, &p->server.addr, p->now_ns, &ch);
        ck_assert(err == KIRIM_OK || err == KIRIM_ENOMEM);
        if (err == KIRIM_OK) {
            p->client.ch = ch;
            for (uint64_t n = 0; n < 5; n++) {
                (void)kit_send(&p->client, 0, KIRIM_CHANNEL_ORDERED, n);
            }
            kit_pair_run(p, p->now_ns + 5 * SECOND);
            p->client.memory.fail_at = 0;
            kit_pair_run(p, p->now_ns + 20 * SECOND);
        }
        kit_pair_free(p);
    }
}
END_TEST

/* ---- the end --------------------------------------------------------------------------------- */

START_TEST(finish_waits_for_what_was_sent)
{
    struct kit_pair *const p = open_pair(6);
    const struct kit_link bad = { .delay_ns = 10 * MS, .loss_ppm = 300000 };
    kit_set_links(p, &bad);
    p->client.length = wide;
    for (uint64_t i = 0; i < 5; i++) {
        ck_assert_int_eq(kit_send(&p->client, 0, KIRIM_CHANNEL_ORDERED, i), KIRIM_OK);
    }
    ck_assert_int_eq(kirim_channel_finish(p->client.ch), KIRIM_OK);
    ck_assert_int_eq(kirim_channel_finish(p->client.ch), KIRIM_ECLOSED);
    ck_assert_int_eq(kit_send(&p->client, 0, KIRIM_CHANNEL_ORDERED, 5), KIRIM_ECLOSED);
    kit_pair_run(p, KIRIM_NEVER);
    ck_assert_uint_eq(p->server.ledger.count[0], 5);
    check_end(&p->client, KIRIM_OK, KIRIM_CHANNEL_CODE_DONE, false);
    ck_assert_uint_eq(p->server.ledger.closed, 1);
    kit_pair_free(p);
}
END_TEST

START_TEST(close_says_why)
{
    struct kit_pair *const p = open_pair(7);
    ck_assert_int_eq(kirim_channel_close(p->server.ch, 1, "no"), KIRIM_EINVAL);
    ck_assert_int_eq(kirim_channel_close(p->server.ch, 300, "be\ngone"), KIRIM_OK);
    ck_assert_int_eq(kirim_channel_close(p->server.ch, 300, ""), KIRIM_ECLOSED);
    kit_pair_run(p, KIRIM_NEVER);
    check_end(&p->client, KIRIM_OK, 300, true);
    check_end(&p->server, KIRIM_OK, 300, false);
    ck_assert_str_eq(p->client.ledger.end_text, "be?gone");
    kit_pair_free(p);
}
END_TEST

START_TEST(close_without_an_answer_ends_too)
{
    struct kit_pair *const p = open_pair(8);
    p->server.link.is_down = p->client.link.is_down = true;
    const uint64_t sent = p->client.sent_count;
    const uint64_t start_ns = p->now_ns;
    ck_assert_int_eq(kirim_channel_close(p->client.ch, 0, NULL), KIRIM_OK);
    while (p->client.ch != NULL) {
        kit_pair_run(p, p->now_ns + 10 * MS);
    }
    ck_assert_uint_eq(p->client.sent_count - sent, 5);
    ck_assert_uint_lt(p->now_ns - start_ns, SECOND);
    check_end(&p->client, KIRIM_OK, 0, false);
    kit_pair_run(p, p->now_ns + 31 * SECOND);
    check_end(&p->server, KIRIM_ETIMEDOUT, 0, false);
    kit_pair_free(p);
}
END_TEST

START_TEST(silence_ends_it_and_keep_alive_prevents_that)
{
    struct kit_pair *const p = open_pair(9);
    const uint64_t sent = p->client.sent_count;
    kit_pair_run(p, p->now_ns + 300 * SECOND);
    ck_assert_uint_eq(p->client.ledger.closed, 0);
    ck_assert_uint_ge(p->client.sent_count - sent, 20); /* one in 15 s, or a little sooner */
    ck_assert_uint_le(p->client.sent_count - sent, 60);
    p->client.link.is_down = true;
    kit_pair_run(p, p->now_ns + 31 * SECOND);
    check_end(&p->server, KIRIM_ETIMEDOUT, 0, false);
    kit_pair_free(p);
}
END_TEST

START_TEST(abort_tells_the_owner)
{
    struct kit_pair *const p = open_pair(10);
    kirim_channel_abort(p->client.ch, KIRIM_OK);
    ck_assert_uint_eq(p->client.ledger.closed, 1);
    ck_assert_int_eq(p->client.ledger.end.err, KIRIM_EABORTED);
    ck_assert(kirim_channel_has_ended(p->client.ch));
    ck_assert_uint_eq(kirim_channel_deadline(p->client.ch), KIRIM_NEVER);
    kit_pair_free(p);
}
END_TEST

START_TEST(guessed_close_and_reset_do_nothing)
{
    struct kit_pair *const p = open_pair(11);
    uint8_t close[19] = { KIRIM_CHANNEL_CLOSE, 0 };
    uint8_t reset[17] = { KIRIM_CHANNEL_RESET };
    const struct kirim_channel_arrival a = { reset, sizeof reset, &p->server.addr, 0 };
    kit_forge(&p->client, 1000, close, sizeof close);
    kirim_channel_input(p->client.ch, &a, p->now_ns);
    memcpy(reset + 1, kirim_channel_peer_reset(p->client.ch), 16);
    reset[16] ^= 1;
    kirim_channel_input(p->client.ch, &a, p->now_ns);
    kit_pair_run(p, p->now_ns + SECOND);
    ck_assert_uint_eq(p->client.ledger.closed, 0);
    reset[16] ^= 1;
    kirim_channel_input(p->client.ch, &a, p->now_ns);
    kit_pair_run(p, p->now_ns);
    ck_assert_uint_eq(p->client.ledger.closed, 1);
    ck_assert_int_eq(p->client.ledger.end.err, KIRIM_ECONNRESET);
    kit_pair_free(p);
}
END_TEST

/* ---- hostile peers --------------------------------------------------------------------------- */

#define FRAMES(text) (text), sizeof(text) - 1

static const struct {
    const char *frames;
    size_t bytes;
    uint32_t code;
} crimes[] = {
    { FRAMES(""), KIRIM_CHANNEL_CODE_PROTOCOL },                         /* no frame at all */
    { FRAMES("\x01\x3f"), KIRIM_CHANNEL_CODE_PROTOCOL },                 /* an unknown type */
    { FRAMES("\x10\x00\x00\x05hi"), KIRIM_CHANNEL_CODE_PROTOCOL },       /* cut short */
    { FRAMES("\x02\x7f\xff\x00\x00\x00"), KIRIM_CHANNEL_CODE_PROTOCOL }, /* never sent */
    { FRAMES("\x05\x08\x01"), KIRIM_CHANNEL_CODE_PROTOCOL },             /* stream 8 of 8 */
    { FRAMES("\x05\x01\x01"), KIRIM_CHANNEL_CODE_PROTOCOL },  /* a stream that sent nothing */
    { FRAMES("\x10\x08\x00\x00"), KIRIM_CHANNEL_CODE_LIMIT }, /* stream 8 of 8 */
    { FRAMES("\x11\x00\x00\x80\x10\x00\x01\x00\x01x"), KIRIM_CHANNEL_CODE_LIMIT }, /* 1 MiB + 1 */
    { FRAMES("\x10\x00\x50\x00\x00"), KIRIM_CHANNEL_CODE_LIMIT },                  /* number 4096 */
    { FRAMES("\x11\x01\x00\x05\x00\x01x\x12\x01\x01\x00"),
      KIRIM_CHANNEL_CODE_PROTOCOL }, /* two modes */
    { FRAMES("\x11\x01\x00\x05\x00\x01x\x11\x01\x00\x06\x01\x01x"),
      KIRIM_CHANNEL_CODE_PROTOCOL }, /* two lengths */
};

START_TEST(broken_rules_end_it)
{
    struct kit_pair *const p = open_pair(12);
    kit_forge(&p->server, 1000, crimes[_i].frames, crimes[_i].bytes);
    kit_pair_run(p, p->now_ns + 5 * SECOND);
    check_end(&p->server, KIRIM_OK, crimes[_i].code, false);
    check_end(&p->client, KIRIM_OK, crimes[_i].code, true);
    kit_pair_free(p);
}
END_TEST

START_TEST(windows_are_kept_to_the_byte)
{
    struct kit_pair *const p = kit_pair_new(13);
    p->server.options.params.message_bytes_max = 1000;
    p->server.options.params.stream_window_bytes = 2128;
    p->server.options.params.window_bytes = 3000;
    kit_pair_open(p);
    kit_pair_connect(p);
    /* Two messages of 1,000 bytes in stream 1 fill its window; each begins with number 1 or 2, so
     * that none is handed over. */
    kit_forge(&p->server, 1000, FRAMES("\x11\x01\x01\x43\xe8\x00\x01x"));
    kit_forge(&p->server, 1001, FRAMES("\x11\x01\x02\x43\xe8\x00\x01x"));
    ck_assert(kirim_channel_is_ready(p->server.ch));
    kit_forge(&p->server, 1002, FRAMES("\x11\x02\x01\x43\x28\x00\x01x")); /* 808 of stream 2 */
    ck_assert(kirim_channel_is_ready(p->server.ch));
    if (_i == 0) {
        kit_forge(&p->server, 1003, FRAMES("\x10\x01\x03\x00")); /* 64 more of stream 1 */
    } else {
        kit_forge(&p->server, 1003, FRAMES("\x10\x03\x01\x00")); /* of the connection */
    }
    ck_assert(!kirim_channel_is_ready(p->server.ch));
    kit_pair_run(p, p->now_ns + 5 * SECOND);
    check_end(&p->server, KIRIM_OK, KIRIM_CHANNEL_CODE_LIMIT, false);
    kit_pair_free(p);
}
END_TEST

START_TEST(strangers_are_not_heard)
{
    struct kit_pair *const p = open_pair(14);
    const uint64_t before = stats_of(&p->client).rx_dropped;
    uint8_t data[16] = { KIRIM_CHANNEL_DATA };
    data[15] = 0x3f;
    struct kirim_channel_arrival a = { data, sizeof data, &p->server.addr, 0 };
    kirim_channel_input(p->client.ch, &a, p->now_ns); /* another's id */
    memcpy(data + 1, kirim_channel_id(p->client.ch), 8);
    a.peer = &p->client.addr;
    kirim_channel_input(p->client.ch, &a, p->now_ns); /* not from the server */
    ck_assert_uint_eq(stats_of(&p->client).rx_dropped, before + 2);
    ck_assert(kirim_channel_is_ready(p->client.ch));
    kit_pair_free(p);
}
END_TEST

/* A BEGIN of the same connection is from who began it, in all that it says. */
START_TEST(begin_of_another_is_not_heard)
{
    static const size_t places[] = { 16, 31, 40, 63 }; /* ids, reset token, parameters */
    struct kit_pair *const p = open_pair(25);
    struct kirim_channel_packet b;
    uint8_t room[256];
    memset(&b, 0, sizeof b);
    b.kind = KIRIM_CHANNEL_BEGIN;
    b.version = KIRIM_CHANNEL_VERSION;
    b.number = 1000;
    b.params = p->client.options.params;
    memcpy(b.to, p->server.ch->id, sizeof b.to);
    memcpy(b.from, p->client.ch->id, sizeof b.from);
    memcpy(b.reset, p->client.ch->reset, sizeof b.reset);
    size_t bytes = kirim_channel_packet_write(&b, room, sizeof room);
    room[bytes++] = KIRIM_CHANNEL_PING;
    const struct kirim_channel_arrival a = { room, bytes, &p->client.addr, 0 };
    const uint64_t before = stats_of(&p->server).rx_packets;
    room[places[_i]] ^= 1;
    kirim_channel_input(p->server.ch, &a, p->now_ns);
    ck_assert_uint_eq(stats_of(&p->server).rx_packets, before);
    room[places[_i]] ^= 1;
    kirim_channel_input(p->server.ch, &a, p->now_ns);
    ck_assert_uint_eq(stats_of(&p->server).rx_packets, before + 1);
    kit_pair_free(p);
}
END_TEST

/* In each mode: again in another packet, and behind a gap. */
START_TEST(message_that_is_sent_twice_comes_once)
{
    static const uint8_t numbers[] = { 0, 2, 0, 2, 2 };
    struct kit_pair *const p = kit_pair_new(24);
    uint8_t frame[16] = { (uint8_t)(KIRIM_CHANNEL_MESSAGE + 2 * _i), 1, 0, 10 };
    p->client.length = wide;
    kit_pair_open(p);
    kit_pair_connect(p);
    for (size_t i = 0; i < COUNT_OF(numbers); i++) {
        frame[2] = numbers[i];
        kit_fill(frame + 4, 1, numbers[i], 10);
        kit_forge(&p->server, 1000 + i, frame, 14);
        ck_assert(kirim_channel_is_ready(p->server.ch));
    }
    ck_assert_uint_eq(p->server.ledger.count[1], _i == KIRIM_CHANNEL_ORDERED ? 1 : 2);
    frame[2] = 1; /* what was missing; sequenced: too late */
    kit_fill(frame + 4, 1, 1, 10);
    kit_forge(&p->server, 2000, frame, 14);
    ck_assert_uint_eq(p->server.ledger.count[1], _i == KIRIM_CHANNEL_SEQUENCED ? 2 : 3);
    kit_pair_free(p);
}
END_TEST

/* ---- bounds ---------------------------------------------------------------------------------- */

START_TEST(sender_waits_for_room_and_is_told)
{
    struct kit_pair *const p = kit_pair_new(15);
    uint64_t count = 0;
    p->client.length = wide;
    p->client.options.send_bytes_max = 500000;
    kit_pair_open(p);
    while (kit_send(&p->client, 0, KIRIM_CHANNEL_ORDERED, count) == KIRIM_OK) {
        count++;
    }
    ck_assert_uint_eq(count, 4); /* a fifth would pass the bound by what messages count */
    kit_pair_run(p, p->now_ns + SECOND);
    ck_assert_uint_eq(p->client.ledger.writable, 1);
    ck_assert_int_eq(kit_send(&p->client, 0, KIRIM_CHANNEL_ORDERED, count), KIRIM_OK);
    kit_pair_free(p);
}
END_TEST

static size_t small_and_huge(uint32_t stream, uint64_t number)
{
    (void)stream;
    return number < 4 ? 20000 : 450000;
}

static void send_huge(struct kit_end *end)
{
    ck_assert_int_eq(kit_send(end, 0, KIRIM_CHANNEL_ORDERED, 4), KIRIM_OK);
}

/* Less than half waits, so that room was always free, but not enough of it. */
START_TEST(sender_is_told_when_what_was_refused_has_room)
{
    struct kit_pair *const p = kit_pair_new(15);
    p->client.length = small_and_huge;
    p->client.on_writable = send_huge;
    p->client.options.send_bytes_max = 500000;
    kit_pair_open(p);
    for (uint64_t i = 0; i < 4; i++) {
        ck_assert_int_eq(kit_send(&p->client, 0, KIRIM_CHANNEL_ORDERED, i), KIRIM_OK);
    }
    ck_assert_int_eq(kit_send(&p->client, 0, KIRIM_CHANNEL_ORDERED, 4), KIRIM_EWOULDBLOCK);
    kit_pair_run(p, p->now_ns + 5 * SECOND);
    ck_assert_uint_eq(p->client.ledger.writable, 1);
    ck_assert_uint_eq(p->server.ledger.count[0], 5);
    kit_pair_free(p);
}
END_TEST

START_TEST(stream_that_is_held_stops_its_sender_and_no_other)
{
    struct kit_pair *const p = kit_pair_new(16);
    uint64_t count = 0;
    p->client.length = wide;
    p->client.options.send_bytes_max = 8 << 20;
    p->server.options.params.message_bytes_max = 200000;
    p->server.options.params.stream_window_bytes = 500000;
    kit_pair_open(p);
    kit_pair_connect(p);
    ck_assert_int_eq(kirim_channel_hold(p->server.ch, 0, true), KIRIM_OK);
    ck_assert_int_eq(kirim_channel_hold(p->server.ch, 8, true), KIRIM_EINVAL);
    for (; count < 20; count++) {
        ck_assert_int_eq(kit_send(&p->client, 0, KIRIM_CHANNEL_ORDERED, count), KIRIM_OK);
    }
    ck_assert_int_eq(kit_send(&p->client, 1, KIRIM_CHANNEL_UNORDERED, 0), KIRIM_OK);
    ck_assert_int_eq(kit_send(&p->client, 2, KIRIM_CHANNEL_SEQUENCED, 0), KIRIM_OK);
    kit_pair_run(p, p->now_ns + 10 * SECOND);
    ck_assert_uint_eq(p->server.ledger.count[0], 0);
    ck_assert_uint_eq(p->server.ledger.count[1], 1);
    ck_assert_uint_eq(p->server.ledger.count[2], 1);
    ck_assert_uint_le(stats_of(&p->server).reassembly_bytes, 510000);
    ck_assert_int_eq(kirim_channel_hold(p->server.ch, 0, false), KIRIM_OK);
    ck_assert_uint_eq(p->server.ledger.count[0], 4); /* at once */
    kit_pair_run(p, p->now_ns + 10 * SECOND);
    ck_assert_uint_eq(p->server.ledger.count[0], 20);
    kit_pair_free(p);
}
END_TEST

static void hold_again(struct kit_end *end, const struct kirim_channel_message *m)
{
    ck_assert_int_eq(kirim_channel_hold(end->ch, m->stream, true), KIRIM_OK);
}

static void count_wake(void *user)
{
    size_t *const count = user;
    (*count)++;
}

/* Who lets each stream go after each message does not have all of them looked through. */
START_TEST(letting_go_what_was_not_held_is_nothing)
{
    struct kit_pair *const p = kit_pair_new(24);
    size_t wakes = 0;
    p->server.options.wake = count_wake;
    p->server.options.wake_user = &wakes;
    kit_pair_open(p);
    kit_pair_connect(p);
    ck_assert_int_eq(kirim_channel_hold(p->server.ch, 0, false), KIRIM_OK);
    ck_assert_uint_eq(wakes, 0);
    ck_assert_int_eq(kirim_channel_hold(p->server.ch, 0, true), KIRIM_OK);
    ck_assert_int_eq(kirim_channel_hold(p->server.ch, 0, false), KIRIM_OK);
    ck_assert_uint_eq(wakes, 1);
    kit_pair_free(p);
}
END_TEST

START_TEST(what_is_held_is_not_lost_when_the_peer_finishes)
{
    struct kit_pair *const p = open_pair(25);
    p->server.on_message = hold_again; /* it never asks for the second one */
    for (uint64_t n = 0; n < 10; n++) {
        ck_assert_int_eq(kit_send(&p->client, 0, KIRIM_CHANNEL_ORDERED, n), KIRIM_OK);
        ck_assert_int_eq(kit_send(&p->client, 1, KIRIM_CHANNEL_UNORDERED, n), KIRIM_OK);
    }
    ck_assert_int_eq(kirim_channel_finish(p->client.ch), KIRIM_OK);
    kit_pair_run(p, p->now_ns + 5 * SECOND);
    check_end(&p->client, KIRIM_OK, KIRIM_CHANNEL_CODE_DONE, false);
    check_end(&p->server, KIRIM_OK, KIRIM_CHANNEL_CODE_DONE, true);
    ck_assert_uint_eq(p->server.ledger.count[0], 10);
    ck_assert_uint_eq(p->server.ledger.count[1], 10);
    kit_pair_free(p);
}
END_TEST

START_TEST(longest_message_passes_the_smallest_window)
{
    struct kit_pair *const p = kit_pair_new(17);
    p->client.length = wide;
    p->server.options.params.message_bytes_max = 100000;
    p->server.options.params.stream_window_bytes = 100064;
    p->server.options.params.window_bytes = 100064;
    kit_pair_open(p);
    ck_assert_int_eq(kit_send(&p->client, 1, KIRIM_CHANNEL_ORDERED, 0), KIRIM_OK);
    for (uint64_t i = 0; i < 4; i++) {
        ck_assert_int_eq(kit_send(&p->client, 0, KIRIM_CHANNEL_ORDERED, i), KIRIM_OK);
    }
    kit_pair_run(p, p->now_ns + 20 * SECOND);
    ck_assert_uint_eq(p->server.ledger.count[0], 4);
    kit_pair_free(p);
}
END_TEST

/* Room that others have taken, and give back, or do not. */
START_TEST(budget_of_all_delays_what_does_not_fit)
{
    struct kit_pair *const p = kit_pair_new(18);
    p->client.length = wide;
    p->budget.bytes_max = 1000000;
    p->budget.bytes = 950000;
    p->server.options.budget = &p->budget;
    kit_pair_open(p);
    ck_assert_int_eq(kit_send(&p->client, 0, KIRIM_CHANNEL_ORDERED, 0), KIRIM_OK);
    ck_assert_int_eq(kit_send(&p->client, 1, KIRIM_CHANNEL_ORDERED, 0), KIRIM_OK);
    kit_pair_run(p, p->now_ns + 3 * SECOND);
    ck_assert_uint_eq(p->server.ledger.count[0], 0);
    ck_assert_uint_eq(p->server.ledger.count[1], 1); /* needs none */
    ck_assert_uint_gt(stats_of(&p->server).rx_refused, 0);
    ck_assert_uint_gt(p->budget.refused, 0);
    p->budget.bytes -= _i == 0 ? 950000 : 0;
    kit_pair_run(p, p->now_ns + 20 * SECOND);
    ck_assert_uint_eq(p->server.ledger.count[0], _i == 0 ? 1 : 0);
    if (_i == 0) {
        ck_assert_uint_eq(p->server.ledger.closed, 0);
    } else {
        check_end(&p->server, KIRIM_OK, KIRIM_CHANNEL_CODE_INTERNAL, false);
        p->budget.bytes -= 950000;
    }
    kit_pair_free(p);
}
END_TEST

/* What a listener needs at the least is what one channel needs for its longest message. */
START_TEST(least_budget_takes_the_longest_message)
{
    struct kit_pair *const p = kit_pair_new(23);
    p->client.length = wide;
    p->server.options.params.message_bytes_max = (uint32_t)wide(0, 0);
    p->budget.bytes_max = KIRIM_CHANNEL_BUDGET_BYTES_MIN(wide(0, 0));
    p->server.options.budget = &p->budget;
    kit_pair_open(p);
    for (uint64_t i = 0; i < 3; i++) {
        ck_assert_int_eq(kit_send(&p->client, 0, KIRIM_CHANNEL_ORDERED, i), KIRIM_OK);
    }
    kit_pair_run(p, p->now_ns + 20 * SECOND);
    ck_assert_uint_eq(p->server.ledger.count[0], 3);
    kit_pair_free(p);
}
END_TEST

START_TEST(message_too_long_is_refused)
{
    struct kit_pair *const p = kit_pair_new(19);
    static uint8_t bytes[2000];
    p->server.options.params.message_bytes_max = 1000;
    kit_pair_open(p);
    kit_pair_connect(p);
    ck_assert_uint_eq(kirim_channel_message_bytes_max(p->client.ch), 1000);
    ck_assert_int_eq(kirim_channel_send(p->client.ch, 0, KIRIM_CHANNEL_ORDERED, bytes, 1001),
                     KIRIM_EMSGSIZE);
    ck_assert_int_eq(kirim_channel_send(p->client.ch, 8, KIRIM_CHANNEL_ORDERED, bytes, 1),
                     KIRIM_EINVAL);
    ck_assert_int_eq(kirim_channel_send(p->client.ch, 0, 3, bytes, 1), KIRIM_EINVAL);
    ck_assert_int_eq(kirim_channel_send(p->client.ch, 0, KIRIM_CHANNEL_ORDERED, NULL, 1),
                     KIRIM_EFAULT);
    ck_assert_int_eq(kit_send(&p->client, 0, KIRIM_CHANNEL_ORDERED, 0), KIRIM_OK);
    ck_assert_int_eq(kit_send(&p->client, 0, KIRIM_CHANNEL_UNORDERED, 1), KIRIM_EINVAL);
    kit_pair_free(p);
}
END_TEST

START_TEST(sequenced_messages_give_way_to_newer_ones)
{
    struct kit_pair *const p = kit_pair_new(20);
    kit_pair_open(p);
    for (uint64_t i = 0; i < 100; i++) {
        ck_assert_int_eq(kit_send(&p->client, 2, KIRIM_CHANNEL_SEQUENCED, i), KIRIM_OK);
    }
    kit_pair_run(p, p->now_ns + SECOND);
    ck_assert_uint_eq(p->server.ledger.count[2], 16);
    ck_assert_uint_eq(p->server.ledger.next[2], 100); /* the newest is there */
    ck_assert_uint_eq(stats_of(&p->client).tx_abandoned, 84);
    kit_pair_free(p);
}
END_TEST

/* ---- moving ---------------------------------------------------------------------------------- */

START_TEST(server_follows_when_the_challenge_was_answered)
{
    struct kit_pair *const p = open_pair(21);
    p->client.length = p->server.length = wide;
    ck_assert_int_eq(kit_send(&p->server, 0, KIRIM_CHANNEL_ORDERED, 0), KIRIM_OK);
    kit_pair_run(p, p->now_ns + SECOND);
    kirim_addr_set_port(&p->client.addr, 4242);
    ck_assert_int_eq(kit_send(&p->client, 1, KIRIM_CHANNEL_ORDERED, 0), KIRIM_OK);
    kit_pair_run(p, p->now_ns + 15 * MS);
    ck_assert_uint_eq(p->server.ledger.count[1], 1); /* what it said counts at once */
    ck_assert_uint_eq(p->server.ledger.moved, 0);
    ck_assert_uint_eq(stats_of(&p->server).challenges, 1);
    kit_pair_run(p, p->now_ns + 25 * MS);
    ck_assert_uint_eq(p->server.ledger.moved, 1);
    const struct kirim_channel_stats s = stats_of(&p->server);
    ck_assert_uint_le(s.window_bytes, 14720); /* nothing is known of the new path */
    ck_assert_int_eq(kit_send(&p->server, 0, KIRIM_CHANNEL_ORDERED, 1), KIRIM_OK);
    kit_pair_run(p, p->now_ns + SECOND);
    ck_assert_uint_eq(p->client.ledger.count[0], 2);
    kit_pair_free(p);
}
END_TEST

START_TEST(challenge_is_no_weapon)
{
    struct kit_pair *const p = open_pair(22);
    struct kirim_addr victim;
    uint8_t data[17] = { KIRIM_CHANNEL_DATA };
    uint8_t room[2000];
    size_t sent = 0;
    ck_assert_int_eq(kirim_addr_parse("198.51.100.1:1", &victim), KIRIM_OK);
    memcpy(data + 1, kirim_channel_id(p->server.ch), 8);
    data[13] = 4; /* a number above all */
    data[15] = KIRIM_CHANNEL_PING;
    const struct kirim_channel_arrival a = { data, sizeof data, &victim, 0 };
    kirim_channel_input(p->server.ch, &a, p->now_ns);
    for (size_t i = 0; i < 20; i++) {
        struct kirim_channel_departure d = { .data = room, .room_bytes = sizeof room };
        while (kirim_channel_output(p->server.ch, &d, p->now_ns)) {
            sent += d.is_elsewhere ? d.bytes : 0;
            ck_assert(!d.is_elsewhere || kirim_addr_equal(&d.peer, &victim));
        }
        p->now_ns += SECOND;
        kirim_channel_expire(p->server.ch, p->now_ns);
    }
    ck_assert_uint_gt(sent, 0);
    ck_assert_uint_le(sent, 3 * sizeof data);
    ck_assert_uint_eq(p->server.ledger.moved, 0);
    kit_pair_free(p);
}
END_TEST

START_TEST(late_packet_from_before_moves_nothing)
{
    struct kit_pair *const p = open_pair(23);
    struct kirim_addr before = p->client.addr;
    uint8_t data[16] = { KIRIM_CHANNEL_DATA };
    kirim_addr_set_port(&p->client.addr, 4242);
    ck_assert_int_eq(kit_send(&p->client, 1, KIRIM_CHANNEL_ORDERED, 0), KIRIM_OK);
    kit_pair_run(p, p->now_ns + SECOND);
    ck_assert_uint_eq(p->server.ledger.moved, 1);
    p->client.ch->next_number += 2; /* a gap, as of a packet that is late */
    ck_assert_int_eq(kit_send(&p->client, 1, KIRIM_CHANNEL_ORDERED, 1), KIRIM_OK);
    kit_pair_run(p, p->now_ns + SECOND);
    const uint64_t number = p->server.ch->acks.range[0].first - 1;
    memcpy(data + 1, kirim_channel_id(p->server.ch), 8);
    data[14] = (uint8_t)number;
    data[15] = KIRIM_CHANNEL_PING;
    const struct kirim_channel_arrival a = { data, sizeof data, &before, 0 };
    const uint64_t taken = stats_of(&p->server).rx_packets;
    kirim_channel_input(p->server.ch, &a, p->now_ns);
    ck_assert_uint_eq(stats_of(&p->server).rx_packets, taken + 1);
    kit_pair_run(p, p->now_ns + SECOND);
    ck_assert_uint_eq(stats_of(&p->server).challenges, 1);
    kit_pair_free(p);
}
END_TEST

int main(void)
{
    const struct kit_claim claims[] = {
        { hello_is_repeated_and_given_up, 0 },
        { begin_is_repeated_until_it_is_heard, 0 },
        { other_version_is_told, 0 },
        { bad_options_are_refused, COUNT_OF(bad_options) },
        { without_memory_it_fails_whole, 0 },
        { finish_waits_for_what_was_sent, 0 },
        { close_says_why, 0 },
        { close_without_an_answer_ends_too, 0 },
        { silence_ends_it_and_keep_alive_prevents_that, 0 },
        { abort_tells_the_owner, 0 },
        { guessed_close_and_reset_do_nothing, 0 },
        { broken_rules_end_it, COUNT_OF(crimes) },
        { windows_are_kept_to_the_byte, 2 },
        { strangers_are_not_heard, 0 },
        { begin_of_another_is_not_heard, 4 },
        { message_that_is_sent_twice_comes_once, 3 },
        { sender_waits_for_room_and_is_told, 0 },
        { sender_is_told_when_what_was_refused_has_room, 0 },
        { stream_that_is_held_stops_its_sender_and_no_other, 0 },
        { letting_go_what_was_not_held_is_nothing, 0 },
        { what_is_held_is_not_lost_when_the_peer_finishes, 0 },
        { longest_message_passes_the_smallest_window, 0 },
        { budget_of_all_delays_what_does_not_fit, 2 },
        { least_budget_takes_the_longest_message, 0 },
        { message_too_long_is_refused, 0 },
        { sequenced_messages_give_way_to_newer_ones, 0 },
        { server_follows_when_the_challenge_was_answered, 0 },
        { challenge_is_no_weapon, 0 },
        { late_packet_from_before_moves_nothing, 0 },
        { NULL, 0 },
    };
    return kit_main("protocols/channel connection", claims);
}
