/* SPDX-License-Identifier: MIT
 *
 * Claims about transfers over paths with one peculiarity each, on a simulated network: one that
 * doubles, one that dies, a long one, a narrow one, and one that many share.
 */
#include "world.h"

#include <stdio.h>

/* Every datagram comes twice, and none is sent for the second one. */
START_TEST(doubled_datagrams_are_not_doubled_again)
{
    static const uint16_t kinds[] = { KIRIM_TFTP_RRQ, KIRIM_TFTP_WRQ };
    struct world *const w = world_open(1);
    struct kirim_link_rules link = KIRIM_SIM_LINK_INIT;
    struct kirim_sim_stats stats = KIRIM_SIM_STATS_INIT;
    link.delay_ns = 5 * MS;
    link.duplicate_ppm = PPM;
    world_set_links(w, &link);
    (void)world_start_plain(w, kinds[_i], 100000);
    world_run(w, 20 * SECOND);
    ck_assert_uint_eq(w->done, 1);
    ck_assert_uint_eq(w->client[0].link.transfer.stats.resent, 0);
    ck_assert_int_eq(kirim_sim_read_stats(w->sim, &stats), KIRIM_OK);
    /* 71 blocks in 5 windows, and some ACKs for what came twice. */
    ck_assert_uint_le(stats.sent, 71 + 2 * 6 + 4);
    ck_assert_uint_eq(w->service.stats.accepted, 1);
    ck_assert_uint_eq(w->service.stats.duplicates, 1);
    kit_check_same(&w->there, "f0", &w->here, "f0");
    world_close(w);
}
END_TEST

START_TEST(dead_link_ends_both_ends_and_leaves_nothing)
{
    static const uint16_t kinds[] = { KIRIM_TFTP_RRQ, KIRIM_TFTP_WRQ };
    struct world *const w = world_open(1);
    struct kirim_link_rules link = KIRIM_SIM_LINK_INIT;
    link.delay_ns = 20 * MS;
    world_set_links(w, &link);
    (void)world_start_plain(w, kinds[_i], 1000000);
    world_run(w, SECOND);
    ck_assert_uint_eq(w->service.transfer_count, 1);
    link.is_down = true;
    world_set_links(w, &link);
    world_run(w, 31 * SECOND);
    ck_assert_uint_eq(w->failed, 1);
    ck_assert_int_eq(w->client[0].link.transfer.err, KIRIM_ETIMEDOUT);
    ck_assert_uint_eq(w->service.transfer_count, 0);
    ck_assert_uint_eq(w->service.stats.failed, 1);
    ck_assert_ptr_null(kit_find(_i == 0 ? &w->here : &w->there, "f0"));
    world_close(w);
}
END_TEST

START_TEST(client_that_dies_is_known_by_its_closed_port)
{
    struct world *const w = world_open(1);
    struct kirim_link_rules link = KIRIM_SIM_LINK_INIT;
    link.delay_ns = 20 * MS;
    world_set_links(w, &link);
    (void)world_start_plain(w, KIRIM_TFTP_RRQ, 1000000);
    world_run(w, SECOND);
    ck_assert_int_eq(kirim_endpoint_close(w->client[0].link.endpoint), KIRIM_OK); /* no ERROR */
    world_run(w, SECOND);
    ck_assert_uint_eq(w->service.transfer_count, 0);
    ck_assert_int_eq(w->client[0].link.transfer.err, KIRIM_EABORTED);
    world_close(w);
}
END_TEST

START_TEST(cancelled_transfer_is_told)
{
    struct world *const w = world_open(1);
    (void)world_start_plain(w, KIRIM_TFTP_WRQ, 1000000);
    (void)world_start_plain(w, KIRIM_TFTP_RRQ, 1000000);
    struct kirim_link_rules link = KIRIM_SIM_LINK_INIT;
    link.delay_ns = 20 * MS;
    world_set_links(w, &link);
    world_run(w, SECOND / 2);
    kirim_tftp_client_cancel(&w->client[0]);
    kirim_tftp_client_cancel(&w->client[0]);
    world_run(w, SECOND / 10);
    ck_assert_uint_eq(w->service.transfer_count, 1);
    kirim_tftp_service_close(&w->service);
    world_run(w, SECOND);
    ck_assert_uint_eq(w->ended, 2);
    ck_assert_int_eq(w->client[1].link.transfer.err, KIRIM_TFTP_EREMOTE);
    ck_assert_str_eq(w->client[1].link.transfer.peer_text, "cancelled");
    ck_assert_ptr_null(w->service.endpoint);
    world_close(w);
}
END_TEST

/* At 50 ms there and back a window of 16 is some sixteen times as fast as one block. */
START_TEST(windows_fill_a_long_path)
{
    uint64_t took_ns[2];
    for (size_t i = 0; i < 2; i++) {
        struct world *const w = world_open(1);
        struct kirim_link_rules link = KIRIM_SIM_LINK_INIT;
        struct kirim_tftp_client_options options = world_options(w, KIRIM_TFTP_RRQ);
        link.delay_ns = 25 * MS;
        world_set_links(w, &link);
        (void)snprintf(w->name[0], sizeof w->name[0], "f");
        (void)kit_put_pattern(&w->there, "f", 1 << 20);
        options.request.options.windowsize = i == 0 ? 1 : 16;
        const struct kirim_tftp_client *const client = world_start(w, &options, "10.0.0.1:69");
        world_run(w, 100 * SECOND);
        ck_assert_uint_eq(w->done, 1);
        ck_assert_uint_eq(client->link.transfer.stats.duplicates, 0);
        took_ns[i] = client->moved_ns - client->started_ns;
        world_close(w);
    }
    ck_assert_uint_ge(took_ns[0], 735 * 50 * MS);
    ck_assert_uint_le(took_ns[1], 48 * 50 * MS);
}
END_TEST

START_TEST(thousand_transfers_at_once)
{
    struct world *const w = world_open(1);
    struct kirim_link_rules link = KIRIM_SIM_LINK_INIT;
    link.delay_ns = 10 * MS;
    world_set_links(w, &link);
    (void)kit_put_pattern(&w->there, "f", 20000);
    w->here.is_overwriting = true;
    w->service.prefix_count_max = 0;
    for (size_t i = 0; i < WORLD_CLIENT_MAX; i++) {
        struct kirim_tftp_client_options options = world_options(w, KIRIM_TFTP_RRQ);
        options.request.name = "f";
        options.local_name = "f";
        (void)world_start(w, &options, "10.0.0.1:69");
        if (i % 50 == 49) {
            world_run(w, 2 * MS);
        }
    }
    world_run(w, 60 * SECOND);
    ck_assert_uint_eq(w->done, WORLD_CLIENT_MAX);
    ck_assert_uint_eq(w->service.stats.done, WORLD_CLIENT_MAX);
    kit_check_same(&w->there, "f", &w->here, "f");
    world_close(w);
}
END_TEST

int main(void)
{
    const struct kit_claim claims[] = {
        { doubled_datagrams_are_not_doubled_again, 2 },
        { dead_link_ends_both_ends_and_leaves_nothing, 2 },
        { client_that_dies_is_known_by_its_closed_port, 0 },
        { cancelled_transfer_is_told, 0 },
        { windows_fill_a_long_path, 0 },
        { thousand_transfers_at_once, 0 },
        { NULL, 0 },
    };
    return kit_main("protocols/tftp paths", claims);
}
