/* SPDX-License-Identifier: MIT
 *
 * Claims about loss, congestion, pace, ECN and sizes: what an end takes for lost, when it probes,
 * how far its window opens and closes, and that no packet leaves beyond it (which the kit checks of
 * each).
 */
#include "kit.h"

static size_t bulk(uint32_t stream, uint64_t number)
{
    (void)stream;
    (void)number;
    return 60000;
}

static struct kit_pair *open_pair(uint64_t seed, const struct kit_link *link)
{
    struct kit_pair *const p = kit_pair_new(seed);
    if (link != NULL) {
        kit_set_links(p, link);
    }
    p->client.length = p->server.length = bulk;
    kit_pair_open(p);
    kit_pair_connect(p);
    return p;
}

static struct kirim_channel_stats stats_of(const struct kit_end *end)
{
    struct kirim_channel_stats stats;
    kirim_channel_read_stats(end->ch, &stats);
    return stats;
}

/* Messages 0 .. count-1 of stream 0 from the client, as there is room. */
static void send_bulk(struct kit_pair *p, uint64_t count, uint64_t limit_ns)
{
    uint64_t number = 0;
    while (p->server.ledger.count[0] < count && p->now_ns < limit_ns) {
        while (number < count &&
               kit_send(&p->client, 0, KIRIM_CHANNEL_ORDERED, number) == KIRIM_OK) {
            number++;
        }
        kit_pair_run(p, p->now_ns + 5 * MS);
    }
    ck_assert_uint_eq(p->server.ledger.count[0], count);
}

/* ---- loss ------------------------------------------------------------------------------------ */

START_TEST(packet_three_before_an_acknowledged_one_is_lost)
{
    struct kit_pair *const p = open_pair(1, NULL);
    uint8_t ack[] = { KIRIM_CHANNEL_ACK, 0x40, 0, 0, 0, 0 };
    kit_pair_run(p, p->now_ns + SECOND);
    p->server.link.is_down = true; /* what is forged is all that comes */
    p->client.link.is_down = true;
    for (uint64_t i = 0; i < 4; i++) {
        ck_assert_int_eq(kit_send(&p->client, 0, KIRIM_CHANNEL_ORDERED, i), KIRIM_OK);
    }
    kit_pair_run(p, p->now_ns + MS);
    const uint64_t first = p->client.ch->recovery.ring[p->client.ch->recovery.first].number;
    ck_assert_uint_ge(p->client.ch->recovery.open_count, 5);
    ack[2] = (uint8_t)(first + 2);
    kit_forge(&p->client, 1000, ack, sizeof ack);
    ck_assert_uint_eq(stats_of(&p->client).tx_lost, 0); /* two behind: not yet */
    ack[2] = (uint8_t)(first + 3);
    kit_forge(&p->client, 1001, ack, sizeof ack);
    ck_assert_uint_eq(stats_of(&p->client).tx_lost, 1);
    ck_assert_uint_eq(stats_of(&p->client).congestion, 1);
    ack[2] = (uint8_t)(first + 4);
    kit_forge(&p->client, 1002, ack, sizeof ack);
    ck_assert_uint_eq(stats_of(&p->client).tx_lost, 2);
    ck_assert_uint_eq(stats_of(&p->client).congestion,
                      1); /* it was sent before the window shrank */
    kit_pair_free(p);
}
END_TEST

START_TEST(packet_before_an_acknowledged_one_is_lost_in_time)
{
    struct kit_pair *const p = open_pair(2, NULL);
    uint8_t ack[] = { KIRIM_CHANNEL_ACK, 0x40, 0, 0, 0, 0 };
    kit_pair_run(p, p->now_ns + SECOND);
    p->client.link.is_down = p->server.link.is_down = true;
    ck_assert_int_eq(kit_send(&p->client, 0, KIRIM_CHANNEL_ORDERED, 0), KIRIM_OK);
    kit_pair_run(p, p->now_ns + MS);
    const struct ki_channel_recovery *const r = &p->client.ch->recovery;
    const uint64_t sent_ns = r->ring[r->first].time_ns;
    ack[2] = (uint8_t)(r->ring[r->first].number + 1);
    p->now_ns += 10 * MS;
    kit_forge(&p->client, 1000, ack, sizeof ack);
    ck_assert_uint_eq(stats_of(&p->client).tx_lost, 0);
    const uint64_t rtt_ns =
        r->rtt.smoothed_ns > r->rtt.latest_ns ? r->rtt.smoothed_ns : r->rtt.latest_ns;
    ck_assert_uint_eq(r->loss_ns, sent_ns + rtt_ns / 8 * 9);
    kit_pair_run(p, r->loss_ns);
    ck_assert_uint_ge(stats_of(&p->client).tx_lost, 1);
    kit_pair_free(p);
}
END_TEST

START_TEST(probe_timeouts_double_and_send_two_packets)
{
    struct kit_pair *const p = open_pair(3, NULL);
    kit_pair_run(p, p->now_ns + SECOND);
    p->client.link.is_down = true;
    ck_assert_int_eq(kit_send(&p->client, 0, KIRIM_CHANNEL_ORDERED, 0), KIRIM_OK);
    kit_pair_run(p, p->now_ns + 10 * MS);
    uint64_t last_ns = p->now_ns - 10 * MS;
    uint64_t interval_ns = 0;
    for (size_t i = 0; i < 4; i++) {
        const uint64_t before = stats_of(&p->client).timeouts;
        const uint64_t sent = p->client.sent_count;
        while (stats_of(&p->client).timeouts == before) {
            kit_pair_run(p, p->now_ns + MS);
        }
        ck_assert_uint_eq(p->client.sent_count - sent, 2);
        const uint64_t took_ns = p->now_ns - last_ns;
        ck_assert(i == 0 ||
                  (took_ns + 4 * MS > 2 * interval_ns && took_ns < 2 * interval_ns + 4 * MS));
        interval_ns = took_ns;
        last_ns = p->now_ns;
    }
    p->client.link.is_down = false;
    kit_pair_run(p, p->now_ns + 10 * SECOND);
    ck_assert_uint_eq(p->server.ledger.count[0], 1);
    kit_pair_free(p);
}
END_TEST

/* The path is away from the silence's beginning until shortly before its end; nobody but the probe
 * timeouts asks whether it is back. */
START_TEST(path_that_comes_back_before_silence_ends_it_is_found)
{
    struct kit_pair *const p = kit_pair_new(17);
    p->client.options.keepalive_ns = 0;
    p->server.options.params.idle_ms = 12000;
    p->client.length = bulk;
    kit_pair_open(p);
    kit_pair_connect(p);
    kit_pair_run(p, p->now_ns + SECOND);
    const uint64_t start_ns = p->now_ns;
    p->client.link.is_down = p->server.link.is_down = true;
    ck_assert_int_eq(kit_send(&p->client, 0, KIRIM_CHANNEL_ORDERED, 0), KIRIM_OK);
    const uint64_t sent = p->client.sent_count;
    kit_pair_run(p, start_ns + 4 * SECOND);
    const uint64_t timeouts = stats_of(&p->client).timeouts;
    kit_pair_run(p, start_ns + 10 * SECOND);
    ck_assert_uint_eq(stats_of(&p->client).timeouts, timeouts + 2);
    ck_assert_uint_lt(p->client.sent_count - sent, 35); /* ten that filled the window, and probes */
    p->client.link.is_down = p->server.link.is_down = false;
    kit_pair_run(p, start_ns + 20 * SECOND);
    ck_assert_uint_eq(p->server.ledger.count[0], 1);
    kit_pair_free(p);
}
END_TEST

/* A round trip that is longer than a quarter of the silence: no probe comes before its answer. */
START_TEST(probe_timeouts_are_not_cut_below_the_round_trip)
{
    const struct kit_link link = { .delay_ns = 300 * MS };
    struct kit_pair *const p = kit_pair_new(18);
    kit_set_links(p, &link);
    p->client.options.params.idle_ms = 2000;
    kit_pair_open(p);
    kit_pair_connect(p);
    p->client.length = p->server.length = bulk;
    send_bulk(p, 2, p->now_ns + 60 * SECOND);
    ck_assert_uint_eq(stats_of(&p->client).timeouts, 0);
    kit_pair_free(p);
}
END_TEST

START_TEST(long_silence_is_persistent_congestion)
{
    struct kit_pair *const p = open_pair(4, NULL);
    send_bulk(p, 20, p->now_ns + 60 * SECOND);
    const uint64_t open = stats_of(&p->client).window_bytes;
    uint64_t count = 20;
    while (kit_send(&p->client, 0, KIRIM_CHANNEL_ORDERED, count) == KIRIM_OK) {
        count++;
    }
    p->client.link.is_down = true;
    kit_pair_run(p, p->now_ns + 5 * SECOND);
    p->client.link.is_down = false;
    while (stats_of(&p->client).congestion == 0) {
        kit_pair_run(p, p->now_ns + MS);
    }
    ck_assert_uint_eq(stats_of(&p->client).congestion_persistent, 1);
    ck_assert_uint_lt(stats_of(&p->client).window_bytes, open / 4);
    kit_pair_run(p, p->now_ns + 20 * SECOND);
    ck_assert_uint_eq(p->server.ledger.count[0], count);
    kit_pair_free(p);
}
END_TEST

/* ---- the window and the pace ----------------------------------------------------------------- */

START_TEST(window_opens_only_when_it_is_used)
{
    static const struct kirim_channel_handler deaf = { .size = KIRIM_CHANNEL_HANDLER_INIT };
    struct kit_pair *const p = open_pair(5, NULL);
    const uint64_t first = stats_of(&p->client).window_bytes;
    kirim_channel_set_handler(p->server.ch, &deaf);
    for (uint64_t i = 0; i < 100; i++) {
        ck_assert_int_eq(kirim_channel_send(p->client.ch, 1, KIRIM_CHANNEL_SEQUENCED, NULL, 0),
                         KIRIM_OK);
        kit_pair_run(p, p->now_ns + 30 * MS);
    }
    ck_assert_uint_eq(stats_of(&p->client).window_bytes, first);
    kit_pair_free(p);
}
END_TEST

START_TEST(bulk_fills_a_link_and_stays_within_its_queue)
{
    const struct kit_link link = { .delay_ns = 20 * MS,
                                   .rate_bytes = 1250000, /* 10 Mbit/s */
                                   .queue_ns = 50 * MS };
    struct kit_pair *const p = open_pair(6, &link);
    const uint64_t start_ns = p->now_ns;
    send_bulk(p, 100, p->now_ns + 60 * SECOND);
    const uint64_t took_ns = p->now_ns - start_ns;
    /* 6 MB at 1.25 MB/s are 4.8 s. */
    ck_assert_uint_lt(took_ns, 6500 * MS);
    ck_assert_uint_ge(stats_of(&p->client).congestion, 1);
    ck_assert_uint_lt(stats_of(&p->client).tx_lost, 300);
    kit_pair_free(p);
}
END_TEST

START_TEST(bursts_are_ten_datagrams)
{
    const struct kit_link link = { .delay_ns = 100 * MS };
    struct kit_pair *const p = open_pair(7, &link);
    send_bulk(p, 10, p->now_ns + 60 * SECOND);
    kit_pair_run(p, p->now_ns + SECOND);
    const uint64_t payload = stats_of(&p->client).payload_bytes;
    const uint64_t before = p->client.sent_bytes;
    for (uint64_t i = 10; i < 20; i++) {
        ck_assert_int_eq(kit_send(&p->client, 0, KIRIM_CHANNEL_ORDERED, i), KIRIM_OK);
    }
    ck_assert_uint_gt(stats_of(&p->client).window_bytes, 20 * payload);
    kit_pair_run(p, p->now_ns); /* now, and not later */
    ck_assert_uint_le(p->client.sent_bytes - before, 10 * payload);
    ck_assert_uint_gt(p->client.sent_bytes - before, 8 * payload);
    kit_pair_free(p);
}
END_TEST

/* ---- ECN ------------------------------------------------------------------------------------- */

START_TEST(ce_marks_reduce_the_window_without_loss)
{
    const struct kit_link link = { .delay_ns = 10 * MS, .ce_ppm = 20000 };
    struct kit_pair *const p = open_pair(8, &link);
    send_bulk(p, 50, p->now_ns + 60 * SECOND);
    const struct kirim_channel_stats s = stats_of(&p->client);
    ck_assert_uint_gt(s.congestion_ce, 0);
    ck_assert_uint_eq(s.tx_lost, 0);
    ck_assert_uint_eq(s.ecn_failed, 0);
    kit_pair_free(p);
}
END_TEST

START_TEST(bleached_path_is_no_path_for_ecn)
{
    struct kit_link link = { .delay_ns = 10 * MS, .is_bleached = true };
    struct kit_pair *const p = open_pair(9, &link);
    send_bulk(p, 10, p->now_ns + 60 * SECOND);
    ck_assert_uint_eq(stats_of(&p->client).ecn_failed, 1);
    kit_pair_free(p);
}
END_TEST

/* ECT(0), ECT(1), CE as the peer tells them, of one packet that was sent with ECT(0). */
static const struct {
    uint8_t ect0, ect1, ce;
    uint64_t failed;
} counts[] = { { 0, 0, 0, 1 }, { 1, 1, 0, 1 }, { 60, 0, 0, 1 }, { 2, 0, 60, 1 } };

START_TEST(wrong_counts_end_ecn)
{
    struct kit_pair *const p = open_pair(10, NULL);
    kit_pair_run(p, p->now_ns + SECOND);
    p->client.link.is_down = p->server.link.is_down = true;
    ck_assert_int_eq(kit_send(&p->client, 0, KIRIM_CHANNEL_ORDERED, 0), KIRIM_OK);
    kit_pair_run(p, p->now_ns + MS);
    const struct ki_channel_recovery *const r = &p->client.ch->recovery;
    const uint8_t ack[] = { KIRIM_CHANNEL_ACK_ECN,
                            0x40,
                            (uint8_t)r->ring[r->first].number,
                            0,
                            0,
                            0,
                            counts[_i].ect0,
                            counts[_i].ect1,
                            counts[_i].ce };
    kit_forge(&p->client, 1000, ack, sizeof ack);
    ck_assert_uint_eq(stats_of(&p->client).ecn_failed, counts[_i].failed);
    kit_pair_free(p);
}
END_TEST

/* ---- size ------------------------------------------------------------------------------------ */

static const size_t mtus[] = { 1200, 1201, 1300, 1452, 0 };

START_TEST(size_of_the_path_is_found)
{
    const struct kit_link link = { .delay_ns = 10 * MS, .mtu = mtus[_i] };
    struct kit_pair *const p = open_pair(11, &link);
    kit_pair_run(p, p->now_ns + 60 * SECOND);
    const size_t mtu = mtus[_i] == 0 ? 1452 : mtus[_i];
    const uint64_t found = stats_of(&p->client).payload_bytes;
    ck_assert_uint_le(found, mtu);
    ck_assert_uint_gt(found + 16, mtu);
    ck_assert_uint_eq(stats_of(&p->client).congestion, 0); /* lost probes are none */
    kit_pair_free(p);
}
END_TEST

START_TEST(black_hole_is_left_within_three_probe_timeouts)
{
    struct kit_pair *const p = open_pair(12, NULL);
    kit_pair_run(p, p->now_ns + 10 * SECOND);
    ck_assert_uint_gt(stats_of(&p->client).payload_bytes, 1400);
    p->client.link.mtu = 1250;
    ck_assert_int_eq(kit_send(&p->client, 0, KIRIM_CHANNEL_ORDERED, 0), KIRIM_OK);
    while (stats_of(&p->client).black_holes == 0) {
        kit_pair_run(p, p->now_ns + MS);
    }
    ck_assert_uint_le(stats_of(&p->client).timeouts, 3);
    ck_assert_uint_eq(stats_of(&p->client).payload_bytes, 1200);
    kit_pair_run(p, p->now_ns + 5 * SECOND);
    ck_assert_uint_eq(p->server.ledger.count[0], 1);
    kit_pair_free(p);
}
END_TEST

static size_t nine_packets(uint32_t stream, uint64_t number)
{
    (void)stream;
    (void)number;
    return 13000;
}

/* Its last packet is short, and tells by its acknowledgement that the long ones are lost. */
START_TEST(black_hole_is_seen_by_what_short_packets_tell)
{
    struct kit_pair *const p = open_pair(15, NULL);
    send_bulk(p, 4, p->now_ns + 60 * SECOND); /* so that all ten may leave at once */
    kit_pair_run(p, p->now_ns + 10 * SECOND);
    p->client.length = nine_packets;
    p->client.link.mtu = 1250;
    ck_assert_int_eq(kit_send(&p->client, 0, KIRIM_CHANNEL_ORDERED, 4), KIRIM_OK);
    kit_pair_run(p, p->now_ns + 100 * MS);
    ck_assert_uint_eq(stats_of(&p->client).black_holes, 1);
    ck_assert_uint_eq(stats_of(&p->client).timeouts, 0);
    kit_pair_run(p, p->now_ns + 5 * SECOND);
    ck_assert_uint_eq(p->server.ledger.count[0], 5);
    kit_pair_free(p);
}
END_TEST

/* As a full queue drops them: then long ones get through again. */
START_TEST(lost_row_before_an_acknowledged_one_is_no_black_hole)
{
    const struct kit_link link = { .delay_ns = 25 * MS, .rate_bytes = 12500000 };
    struct kit_pair *const p = open_pair(16, &link);
    uint64_t number = 0;
    kit_pair_run(p, p->now_ns + 5 * SECOND);
    ck_assert_uint_gt(stats_of(&p->client).payload_bytes, 1400);
    for (size_t turn = 0; turn < 40; turn++) {
        while (kit_send(&p->client, 0, KIRIM_CHANNEL_ORDERED, number) == KIRIM_OK) {
            number++;
        }
        p->client.link.is_down = turn == 30;
        kit_pair_run(p, p->now_ns + 10 * MS);
    }
    kit_pair_run(p, p->now_ns + 10 * SECOND);
    ck_assert_uint_eq(p->server.ledger.count[0], number);
    ck_assert_uint_ge(stats_of(&p->client).tx_lost, 8);
    ck_assert_uint_eq(stats_of(&p->client).timeouts, 0);
    ck_assert_uint_eq(stats_of(&p->client).black_holes, 0);
    kit_pair_free(p);
}
END_TEST

START_TEST(smaller_datagrams_of_the_peer_are_kept)
{
    struct kit_pair *const p = kit_pair_new(13);
    p->server.options.params.datagram_bytes_max = 1000;
    p->client.length = bulk;
    kit_pair_open(p);
    ck_assert_int_eq(kit_send(&p->client, 0, KIRIM_CHANNEL_ORDERED, 0), KIRIM_OK);
    kit_pair_connect(p);
    p->client.longest = 0;
    kit_pair_run(p, p->now_ns + 10 * SECOND);
    ck_assert_uint_eq(p->client.longest, 1000);
    ck_assert_uint_eq(p->server.ledger.count[0], 1);
    kit_pair_free(p);
}
END_TEST

START_TEST(refused_probe_is_a_lost_one)
{
    struct kit_pair *const p = kit_pair_new(14);
    kit_pair_open(p);
    kit_pair_connect(p);
    while (p->client.ch->pmtu.probed_bytes <= 1200) {
        kit_pair_run(p, p->now_ns + MS);
    }
    const uint32_t probed = p->client.ch->pmtu.probed_bytes;
    p->client.link.mtu = 1300;
    kirim_channel_refuse_probe(p->client.ch, probed - 1, p->now_ns);
    ck_assert_uint_eq(p->client.ch->pmtu.probed_bytes, probed);
    kirim_channel_refuse_probe(p->client.ch, probed, p->now_ns);
    ck_assert_uint_eq(p->client.ch->pmtu.probed_bytes, 0);
    kit_pair_free(p);
}
END_TEST

int main(void)
{
    const struct kit_claim claims[] = {
        { packet_three_before_an_acknowledged_one_is_lost, 0 },
        { packet_before_an_acknowledged_one_is_lost_in_time, 0 },
        { probe_timeouts_double_and_send_two_packets, 0 },
        { path_that_comes_back_before_silence_ends_it_is_found, 0 },
        { probe_timeouts_are_not_cut_below_the_round_trip, 0 },
        { long_silence_is_persistent_congestion, 0 },
        { window_opens_only_when_it_is_used, 0 },
        { bulk_fills_a_link_and_stays_within_its_queue, 0 },
        { bursts_are_ten_datagrams, 0 },
        { ce_marks_reduce_the_window_without_loss, 0 },
        { bleached_path_is_no_path_for_ecn, 0 },
        { wrong_counts_end_ecn, COUNT_OF(counts) },
        { size_of_the_path_is_found, COUNT_OF(mtus) },
        { black_hole_is_left_within_three_probe_timeouts, 0 },
        { black_hole_is_seen_by_what_short_packets_tell, 0 },
        { lost_row_before_an_acknowledged_one_is_no_black_hole, 0 },
        { smaller_datagrams_of_the_peer_are_kept, 0 },
        { refused_probe_is_a_lost_one, 0 },
        { NULL, 0 },
    };
    return kit_main("protocols/channel recovery", claims);
}
