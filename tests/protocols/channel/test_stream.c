/* SPDX-License-Identifier: MIT
 *
 * Claims about messages from one end to the other: what each kind of stream promises, over networks
 * that lose, repeat and disorder.
 */
#include "kit.h"

static size_t large(uint32_t stream, uint64_t number)
{
    (void)stream;
    return number % 3 == 0 ? 50000 : number % 3 == 1 ? 0 : 1300;
}

static void check_all(const struct kit_ledger *l, uint32_t stream, uint64_t count)
{
    ck_assert_uint_eq(l->count[stream], count);
    for (uint64_t i = 0; i < count; i++) {
        ck_assert_uint_eq(l->seen[stream][i], 1);
    }
}

START_TEST(connects_in_one_round_trip)
{
    struct kit_pair *const p = kit_pair_new(1);
    kit_pair_open(p);
    ck_assert_int_eq(kit_send(&p->client, 0, KIRIM_CHANNEL_ORDERED, 0), KIRIM_OK);
    kit_pair_run(p, p->now_ns + 30 * MS);
    check_all(&p->server.ledger, 0, 1); /* after one and a half */
    ck_assert_uint_eq(p->stateless, 1);
    kit_pair_run(p, p->now_ns + 10 * MS);
    ck_assert_uint_eq(p->client.ledger.ready, 1);
    kit_pair_free(p);
}
END_TEST

static const uint32_t losses[] = { 0, 10000, 50000, 200000 };

/* All kinds at once, both ways. */
START_TEST(streams_keep_their_promises)
{
    const struct kit_link link = {
        .delay_ns = 10 * MS, .jitter_ns = 5 * MS, .loss_ppm = losses[_i], .duplicate_ppm = 50000
    };
    struct kit_pair *const p = kit_pair_new((uint64_t)_i + 1);
    struct kit_end *const ends[2] = { &p->client, &p->server };
    kit_set_links(p, &link);
    p->client.length = p->server.length = large;
    kit_pair_open(p);
    kit_pair_connect(p);
    for (uint64_t i = 0; i < 60; i++) {
        for (size_t e = 0; e < 2; e++) {
            while (kit_send(ends[e], 0, KIRIM_CHANNEL_ORDERED, i) == KIRIM_EWOULDBLOCK) {
                kit_pair_run(p, p->now_ns + 10 * MS);
            }
            while (kit_send(ends[e], 1, KIRIM_CHANNEL_UNORDERED, i) == KIRIM_EWOULDBLOCK) {
                kit_pair_run(p, p->now_ns + 10 * MS);
            }
            while (kit_send(ends[e], 2, KIRIM_CHANNEL_SEQUENCED, i) == KIRIM_EWOULDBLOCK) {
                kit_pair_run(p, p->now_ns + 10 * MS);
            }
        }
        kit_pair_run(p, p->now_ns + MS);
    }
    kit_pair_run(p, p->now_ns + 120 * SECOND);
    for (size_t e = 0; e < 2; e++) {
        check_all(&ends[e]->ledger, 0, 60);
        check_all(&ends[e]->ledger, 1, 60);
        ck_assert_uint_gt(ends[e]->ledger.count[2], 0);
        ck_assert_uint_eq(ends[e]->ledger.closed, 0);
        ck_assert_uint_eq(ends[e]->ch->in_bytes, 16 * 2 * sizeof(void *));
    }
    ck_assert_int_eq(kirim_channel_finish(p->client.ch), KIRIM_OK);
    kit_pair_run(p, KIRIM_NEVER);
    for (size_t e = 0; e < 2; e++) {
        ck_assert_uint_eq(ends[e]->ledger.closed, 1);
        ck_assert_int_eq(ends[e]->ledger.end.err, KIRIM_OK);
        ck_assert_uint_eq(ends[e]->ledger.end.code, KIRIM_CHANNEL_CODE_DONE);
    }
    kit_pair_free(p);
}
END_TEST

int main(void)
{
    const struct kit_claim claims[] = {
        { connects_in_one_round_trip, 0 },
        { streams_keep_their_promises, COUNT_OF(losses) },
        { NULL, 0 },
    };
    return kit_main("protocols/channel stream", claims);
}
