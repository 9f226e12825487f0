/* SPDX-License-Identifier: MIT
 *
 * Claims about what a hostile peer can make a connection spend: memory, time, timers, datagrams to
 * others; and that it cannot make it write where there is no room, or stand still.
 */
#include "kit.h"

static struct kit_pair *open_pair(uint64_t seed)
{
    struct kit_pair *const p = kit_pair_new(seed);
    kit_pair_open(p);
    kit_pair_connect(p);
    kit_pair_run(p, p->now_ns + SECOND);
    return p;
}

static size_t give_bytes(struct kirim_channel_frame *f, uint8_t *room, size_t room_bytes,
                         uint64_t offset)
{
    static const uint8_t byte = 7;
    f->type = KIRIM_CHANNEL_MESSAGE;
    f->is_fragment = true;
    f->offset = offset;
    f->data = (struct kirim_channel_span){ &byte, 1 };
    return kirim_channel_frame_write(f, room, room_bytes);
}

static size_t big(uint32_t stream, uint64_t number)
{
    (void)stream;
    (void)number;
    return 1000000;
}

/* A server that wants small datagrams and gives a long token: a BEGIN is longer than they are. */
START_TEST(close_fits_into_its_room_whatever_the_token)
{
    enum { ROOM = 340 };
    struct kit_pair *const p = kit_pair_new(1);
    uint8_t packet[600], token[255] = { 0 }, text[300];
    p->client.options.payload_bytes_max = ROOM;
    kit_pair_open(p);
    struct kirim_channel_packet t = { .kind = KIRIM_CHANNEL_TOKEN, .version = 1 };
    memcpy(t.to, kirim_channel_id(p->client.ch), sizeof t.to);
    t.params = p->server.options.params;
    t.params.datagram_bytes_max = 256;
    t.token = (struct kirim_channel_span){ token, sizeof token };
    const size_t bytes = kirim_channel_packet_write(&t, packet, sizeof packet);
    const struct kirim_channel_arrival a = { packet, bytes, &p->server.addr, 0 };
    kirim_channel_input(p->client.ch, &a, p->now_ns);
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = 0;
    ck_assert_int_eq(kirim_channel_close(p->client.ch, 300, (const char *)text), KIRIM_OK);
    uint8_t *const room = malloc(ROOM); /* so that a sanitizer sees its end */
    ck_assert_ptr_nonnull(room);
    for (size_t i = 0; i < 8; i++) {
        struct kirim_channel_departure d = { .data = room, .room_bytes = ROOM };
        while (kirim_channel_output(p->client.ch, &d, p->now_ns)) {
            ck_assert_uint_le(d.bytes, 256);
        }
        p->now_ns += 20 * SECOND;
        kirim_channel_expire(p->client.ch, p->now_ns);
    }
    ck_assert(kirim_channel_has_ended(p->client.ch)); /* though no CLOSE fits */
    free(room);
    kit_pair_free(p);
}
END_TEST

/* A second address that does not answer costs five challenges, not a timer for ever. */
START_TEST(challenge_without_an_answer_is_given_up)
{
    struct kit_pair *const p = open_pair(2);
    struct kirim_addr victim;
    uint8_t data[16] = { KIRIM_CHANNEL_DATA }, room[2000];
    size_t steps = 0;
    ck_assert_int_eq(kirim_addr_parse("198.51.100.1:1", &victim), KIRIM_OK);
    memcpy(data + 1, kirim_channel_id(p->server.ch), 8);
    data[13] = 4;
    data[15] = KIRIM_CHANNEL_PING;
    const struct kirim_channel_arrival a = { data, sizeof data, &victim, 0 };
    kirim_channel_input(p->server.ch, &a, p->now_ns);
    const uint64_t until_ns = p->now_ns + 25 * SECOND;
    while (p->now_ns < until_ns && steps < 10000) {
        struct kirim_channel_departure d = { .data = room, .room_bytes = sizeof room };
        while (kirim_channel_output(p->server.ch, &d, p->now_ns)) {}
        const uint64_t due_ns = kirim_channel_deadline(p->server.ch);
        p->now_ns = due_ns > p->now_ns ? due_ns : p->now_ns;
        kirim_channel_expire(p->server.ch, p->now_ns);
        steps++;
    }
    ck_assert_uint_lt(steps, 30);
    kit_pair_free(p);
}
END_TEST

/* An answer to a challenge from an address that has proven nothing counts as well. */
START_TEST(strangers_get_three_times_what_they_sent)
{
    struct kit_pair *const p = open_pair(3);
    uint8_t data[24] = { KIRIM_CHANNEL_DATA }, room[2000];
    struct kirim_addr victim;
    size_t sent = 0;
    size_t came = 0;
    ck_assert_int_eq(kirim_addr_parse("198.51.100.1:1", &victim), KIRIM_OK);
    memcpy(data + 1, kirim_channel_id(p->server.ch), 8);
    data[13] = 4;
    data[15] = KIRIM_CHANNEL_PATH_CHALLENGE;
    const struct kirim_channel_arrival a = { data, sizeof data, &victim, 0 };
    for (size_t i = 0; i < 20; i++) {
        data[14]++;
        kirim_channel_input(p->server.ch, &a, p->now_ns);
        came += sizeof data;
        struct kirim_channel_departure d = { .data = room, .room_bytes = sizeof room };
        while (kirim_channel_output(p->server.ch, &d, p->now_ns)) {
            sent += d.is_elsewhere ? d.bytes : 0;
        }
        ck_assert_uint_le(sent, 3 * came);
        p->now_ns += 10 * MS;
        kirim_channel_expire(p->server.ch, p->now_ns);
    }
    ck_assert_uint_gt(sent, 0);
    kit_pair_free(p);
}
END_TEST

/* Ranges of bytes that have come are memory, too: it is that of the budget. */
START_TEST(ranges_count_against_the_budget)
{
    struct kit_pair *const p = kit_pair_new(4);
    uint8_t frames[40];
    p->budget.bytes_max = 20000;
    p->server.options.budget = &p->budget;
    kit_pair_open(p);
    kit_pair_connect(p);
    kit_pair_run(p, p->now_ns + SECOND);
    const size_t before = p->server.memory.bytes;
    struct kirim_channel_frame f = { .number = 0, .total_bytes = 10000 };
    for (uint32_t i = 0; i < 5000; i++) {
        const size_t bytes = give_bytes(&f, frames, sizeof frames, 2 * i);
        kit_forge(&p->server, 1000 + i, frames, bytes);
    }
    ck_assert_uint_le(p->budget.bytes, p->budget.bytes_max);
    ck_assert_uint_le(p->server.memory.bytes - before, p->budget.bytes_max + 4096);
    kit_pair_free(p);
}
END_TEST

/* A message in single bytes, every second one: what is kept of it is not longer than the message,
 * and what it lacks ends it, not the connection. */
START_TEST(crumbs_of_a_message_are_kept_for_less_than_it_takes)
{
    enum { MESSAGE = 200000, PART = 1000 };
    static const struct kirim_channel_handler mute = { .size = sizeof mute };
    static const uint8_t part[PART] = { 0 };
    struct kit_pair *const p = open_pair(11);
    uint8_t frames[PART + 40];
    uint64_t number = 1000;
    struct kirim_channel_frame f = { .total_bytes = MESSAGE };
    const size_t before = p->server.memory.bytes;
    kirim_channel_set_handler(p->server.ch, &mute);
    for (uint32_t i = 0; i < 3000; i++) {
        const size_t bytes = give_bytes(&f, frames, sizeof frames, MESSAGE - 2 * i - 1);
        kit_forge(&p->server, number++, frames, bytes);
    }
    ck_assert_uint_gt(p->server.ch->stats.rx_refused, 0);
    ck_assert_uint_lt(p->server.memory.bytes - before, MESSAGE + MESSAGE / 10);
    for (uint32_t at = 0; at < MESSAGE; at += PART) { /* 12 s */
        p->now_ns += 60 * MS;
        f.offset = at;
        f.data = (struct kirim_channel_span){ part, PART };
        kit_forge(&p->server, number++, frames,
                  kirim_channel_frame_write(&f, frames, sizeof frames));
        f.offset = MESSAGE - 6001;
        f.data.bytes = 1;
        kit_forge(&p->server, number++, frames,
                  kirim_channel_frame_write(&f, frames, sizeof frames));
    }
    ck_assert_uint_eq(p->server.ch->stats.rx_messages, 1);
    ck_assert_uint_eq(p->server.ledger.closed, 0);
    kit_pair_free(p);
}
END_TEST

/* Who begins and never ends leaves as much for others as it takes. */
START_TEST(nobody_takes_the_whole_budget)
{
    struct kit_pair *const p = kit_pair_new(7);
    struct kit_pair *const q = kit_pair_new(8);
    uint8_t frames[40];
    p->budget.bytes_max = 4 << 20;
    p->server.options.budget = q->server.options.budget = &p->budget;
    q->client.length = big;
    kit_pair_open(p);
    kit_pair_connect(p);
    kit_pair_open(q);
    kit_pair_connect(q);
    for (uint32_t i = 0; i < 4; i++) {
        struct kirim_channel_frame f = { .stream = i, .total_bytes = 1000000 };
        kit_forge(&p->server, 1000 + i, frames, give_bytes(&f, frames, sizeof frames, 0));
    }
    ck_assert_uint_gt(p->budget.refused, 0);
    ck_assert_int_eq(kit_send(&q->client, 0, KIRIM_CHANNEL_ORDERED, 0), KIRIM_OK);
    kit_pair_run(q, q->now_ns + 20 * SECOND);
    ck_assert_uint_eq(q->server.ledger.closed, 0);
    ck_assert_uint_eq(q->server.ledger.count[0], 1);
    kit_pair_free(q);
    kit_pair_free(p);
}
END_TEST

/* A sequenced message needs no window: its first byte must not cost a megabyte of work. */
START_TEST(sequenced_parts_are_cheap)
{
    enum { PARTS = 400 };
    struct kit_pair *const p = open_pair(5);
    uint8_t frames[40];
    struct kirim_channel_frame f = { .mode = KIRIM_CHANNEL_SEQUENCED, .total_bytes = 1 << 20 };
    const size_t before = p->server.memory.calls;
    for (uint32_t i = 0; i < PARTS; i++) {
        f.number = i;
        f.total_bytes = _i == 0 ? (1 << 20) - i % 7 : 600000 + i;
        kit_forge(&p->server, 1000 + i, frames, give_bytes(&f, frames, sizeof frames, 0));
    }
    ck_assert_uint_lt(p->server.memory.calls - before, PARTS / 4);
    ck_assert_uint_gt(p->server.ch->stats.rx_stale, PARTS / 2);
    kit_pair_free(p);
}
END_TEST

/* More packets than are remembered, all lost: those of a probe timeout leave nevertheless. */
START_TEST(full_record_of_packets_is_no_dead_end)
{
    struct kit_pair *const p = kit_pair_new(6);
    p->client.options.send_bytes_max = 4 << 20;
    kit_pair_open(p);
    kit_pair_connect(p);
    kit_pair_run(p, p->now_ns + SECOND);
    p->client.ch->congestion.window_bytes = 4 << 20;
    p->client.link.is_down = true;
    uint64_t sent = 0;
    for (uint32_t i = 0; i < 20000; i++) {
        if (kirim_channel_send(p->client.ch, i % 8, KIRIM_CHANNEL_UNORDERED, "0123456789", 10) ==
            KIRIM_OK) {
            sent++;
        }
        uint8_t room[2000];
        struct kirim_channel_departure d = { .data = room, .room_bytes = sizeof room };
        p->client.ch->congestion.budget_bytes = 1 << 20;
        while (kirim_channel_output(p->client.ch, &d, p->now_ns)) {}
    }
    ck_assert_uint_eq(sent, 20000);
    p->now_ns += SECOND;
    p->client.link.is_down = false;
    static const struct kirim_channel_handler mute = { .size = sizeof mute };
    kirim_channel_set_handler(p->server.ch, &mute);
    kit_pair_run(p, p->now_ns + 20 * SECOND);
    ck_assert_ptr_nonnull(p->server.ch);
    ck_assert_uint_eq(p->server.ch->stats.rx_messages, sent);
    kit_pair_free(p);
}
END_TEST

/* A server that bears little silence: the client speaks often enough. */
START_TEST(keep_alive_comes_before_silence_ends_it)
{
    struct kit_pair *const p = kit_pair_new(9);
    p->server.options.params.idle_ms = 4000;
    kit_pair_open(p);
    kit_pair_connect(p);
    kit_pair_run(p, p->now_ns + 60 * SECOND);
    ck_assert_uint_eq(p->client.ledger.closed, 0);
    ck_assert_uint_eq(p->server.ledger.closed, 0);
    ck_assert_uint_lt(p->client.sent_count, 100);
    kit_pair_free(p);
}
END_TEST

/* Numbers that were left out tell who acknowledges what he has not got. */
START_TEST(ack_of_what_has_not_come_ends_it)
{
    struct kit_pair *const p = open_pair(10);
    p->client.length = big;
    p->server.link.is_down = true; /* what is acknowledged was never received */
    p->server.length = big;
    ck_assert_int_eq(kit_send(&p->server, 0, KIRIM_CHANNEL_ORDERED, 0), KIRIM_OK);
    uint64_t number = 1000;
    uint8_t room[2000];
    for (size_t i = 0; i < 4000 && kirim_channel_is_ready(p->server.ch); i++) {
        struct kirim_channel_departure d = { .data = room, .room_bytes = sizeof room };
        while (kirim_channel_output(p->server.ch, &d, p->now_ns)) {}
        struct kirim_channel_frame f = { .type = KIRIM_CHANNEL_ACK };
        f.ack.range_count = 1;
        f.ack.range[0] = (struct kirim_channel_range){ 0, p->server.ch->next_number };
        uint8_t frames[60];
        const size_t bytes = kirim_channel_frame_write(&f, frames, sizeof frames);
        kit_forge(&p->server, number++, frames, bytes);
        p->now_ns += MS;
        kirim_channel_expire(p->server.ch, p->now_ns);
    }
    ck_assert(!kirim_channel_is_ready(p->server.ch));
    ck_assert_uint_eq(p->server.ch->end_code, KIRIM_CHANNEL_CODE_PROTOCOL);
    kit_pair_free(p);
}
END_TEST

int main(void)
{
    const struct kit_claim claims[] = {
        { close_fits_into_its_room_whatever_the_token, 0 },
        { challenge_without_an_answer_is_given_up, 0 },
        { strangers_get_three_times_what_they_sent, 0 },
        { ranges_count_against_the_budget, 0 },
        { crumbs_of_a_message_are_kept_for_less_than_it_takes, 0 },
        { nobody_takes_the_whole_budget, 0 },
        { sequenced_parts_are_cheap, 2 },
        { full_record_of_packets_is_no_dead_end, 0 },
        { keep_alive_comes_before_silence_ends_it, 0 },
        { ack_of_what_has_not_come_ends_it, 0 },
        { NULL, 0 },
    };
    return kit_main("protocols/channel hostile", claims);
}
