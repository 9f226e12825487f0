/* SPDX-License-Identifier: MIT
 *
 * Claims about whom a service answers, what it says, and how much it takes upon itself, on a
 * simulated network.
 */
#include "world.h"

#include <stdio.h>

enum { ANSWER_RATIO_MAX = 3 };

/* A peer that says what a test wants, and keeps the last answer. */
struct raw {
    struct kirim_endpoint *ep;
    size_t count;
    uint8_t data[2048];
    size_t bytes;
    struct kirim_addr from;
};

static void on_raw(struct kirim_endpoint *ep, const struct kirim_batch *batch, void *user)
{
    struct raw *const raw = user;
    (void)ep;
    for (size_t i = 0; i < batch->count; i++) {
        const struct kirim_datagram *const d = kirim_batch_at(batch, i);
        raw->count++;
        raw->bytes = d->bytes;
        raw->from = d->peer;
        memcpy(raw->data, d->data, d->bytes < sizeof raw->data ? d->bytes : sizeof raw->data);
    }
}

static void open_raw_at(struct kirim_loop *loop, const char *local, struct raw *raw)
{
    static const struct kirim_handler handler = { KIRIM_HANDLER_INIT, .received = on_raw };
    struct kirim_endpoint_options options = KIRIM_ENDPOINT_OPTIONS_INIT;
    memset(raw, 0, sizeof *raw);
    options.local = simnet_addr(local);
    options.flags = KIRIM_ENDPOINT_BROADCAST;
    options.handler = &handler;
    options.user = raw;
    ck_assert_int_eq(kirim_endpoint_open(loop, &options, &raw->ep), KIRIM_OK);
}

static void open_raw(struct world *w, struct raw *raw)
{
    open_raw_at(w->client_loop, "10.0.0.2:0", raw);
}

static void say(struct world *w, struct raw *raw, const char *data, size_t bytes,
                const struct kirim_addr *to)
{
    ck_assert_int_eq(kirim_endpoint_send_to(raw->ep, data, bytes, to), KIRIM_OK);
    world_run(w, 10 * MS);
}

static const char rrq[] = "\0\1f\0octet";

START_TEST(transfer_has_its_port_and_the_address_that_was_asked)
{
    struct world *const w = world_open(1);
    struct raw raw;
    const struct kirim_addr second = simnet_addr("10.0.0.9:69");
    (void)kit_put_pattern(&w->there, "f", 600);
    open_raw(w, &raw);
    say(w, &raw, rrq, sizeof rrq, &second);
    ck_assert_uint_eq(raw.count, 1);
    ck_assert_uint_eq(raw.bytes, 516);
    ck_assert_uint_ne(kirim_addr_port(&raw.from), 69);
    struct kirim_addr at = raw.from;
    kirim_addr_set_port(&at, 69);
    ck_assert(kirim_addr_equal(&at, &second));
    say(w, &raw, rrq, sizeof rrq, &second); /* once more: no second transfer */
    ck_assert_uint_eq(w->service.stats.duplicates, 1);
    ck_assert_uint_eq(raw.count, 1);
    say(w, &raw, "\0\4\0\1", 4, &raw.from);
    say(w, &raw, "\0\4\0\2", 4, &raw.from);
    ck_assert_uint_eq(raw.count, 2);
    ck_assert_uint_eq(w->service.stats.done, 1);
    say(w, &raw, rrq, sizeof rrq, &second); /* from now on it is a new one */
    ck_assert_uint_eq(w->service.stats.accepted, 2);
    world_close(w);
}
END_TEST

START_TEST(stranger_is_told_and_disturbs_nothing)
{
    struct world *const w = world_open(1);
    struct raw raw;
    struct raw stranger;
    const struct kirim_addr server = simnet_addr("10.0.0.1:69");
    (void)kit_put_pattern(&w->there, "f", 600);
    open_raw(w, &raw);
    open_raw(w, &stranger);
    say(w, &raw, rrq, sizeof rrq, &server);
    say(w, &stranger, "\0\4\0\1", 4, &raw.from);
    ck_assert_uint_eq(stranger.count, 1);
    ck_assert_int_eq(memcmp(stranger.data, "\0\5\0\5", 4), 0);
    ck_assert_uint_le(stranger.bytes, ANSWER_RATIO_MAX * 4);
    say(w, &stranger, "\0\5\0\1no", 7, &raw.from); /* an ERROR is never answered */
    say(w, &stranger, "x", 1, &raw.from);
    ck_assert_uint_eq(stranger.count, 1);
    ck_assert_uint_eq(raw.count, 1);
    say(w, &raw, "\0\4\0\1", 4, &raw.from);
    ck_assert_uint_eq(raw.count, 2);
    say(w, &raw, "\0\4\0\2", 4, &raw.from);
    ck_assert_uint_eq(w->service.stats.done, 1);
    ck_assert_uint_eq(w->service.stats.strangers, 3);
    world_close(w);
}
END_TEST

START_TEST(who_asks_everybody_is_not_answered)
{
    struct world *const w = world_open(1);
    struct raw raw;
    const struct kirim_addr all = simnet_addr("255.255.255.255:69");
    (void)kit_put_pattern(&w->there, "f", 600);
    open_raw(w, &raw);
    say(w, &raw, rrq, sizeof rrq, &all);
    ck_assert_uint_eq(raw.count, 0);
    ck_assert_uint_eq(w->service.stats.forged, 1);
    world_close(w);
}
END_TEST

START_TEST(server_does_not_answer_itself)
{
    struct world *const w = world_open(1);
    const struct kirim_addr own = simnet_addr("10.0.0.1:69");
    (void)kit_put_pattern(&w->there, "f", 600);
    ck_assert_int_eq(kirim_endpoint_send_to(w->service.endpoint, rrq, sizeof rrq, &own), KIRIM_OK);
    world_run(w, SECOND);
    ck_assert_uint_eq(w->service.stats.forged, 1);
    ck_assert_uint_eq(w->service.stats.accepted, 0);
    world_close(w);
}
END_TEST

/* A cut block ends a transfer, as it is too long in any case; nothing else that is cut counts. */
START_TEST(what_was_cut_is_not_taken_for_whole)
{
    static const char wrq[] = "\0\2new\0octet";
    static char error[1200] = { 0, KIRIM_TFTP_ERROR };
    static char data[1200] = { 0, KIRIM_TFTP_DATA, 0, 1 };
    struct world *const w = world_open(1);
    struct raw raw;
    const struct kirim_addr server = simnet_addr("10.0.0.1:69");
    open_raw(w, &raw);
    say(w, &raw, wrq, sizeof wrq, &server);
    say(w, &raw, error, sizeof error, &raw.from);
    ck_assert_uint_eq(w->service.transfer_count, 1);
    say(w, &raw, data, sizeof data, &raw.from);
    ck_assert_uint_eq(w->service.transfer_count, 0);
    ck_assert_int_eq(memcmp(raw.data, "\0\5\0\4", 4), 0);
    say(w, &raw, error, sizeof error, &server);
    ck_assert_uint_eq(raw.count, 2);
    world_close(w);
}
END_TEST

/* What a server says to a request, by its code; -1: nothing. */
static const struct {
    const char *wire;
    size_t bytes;
    int code;
} refusals[] = {
#define SAYS(text, number)             \
    {                                  \
        text, sizeof(text) - 1, number \
    }
    SAYS("\0\1nothing\0octet\0", 1),
    SAYS("\0\1../f\0octet\0", 2),
    SAYS("\0\1f\0mail\0", 4),
    SAYS("\0\1f\0octet", 4),
    SAYS("\0\1", 4),
    SAYS("\0\2f\0octet\0", 6),
    SAYS("\0\2big\0octet\0tsize\0"
         "1001\0",
         3),
    SAYS("\0\3\0\1data", -1),
    SAYS("\0\4\0\1", -1),
    SAYS("\0\5\0\1x\0", -1),
    SAYS("\0\6", -1),
    SAYS("\1\1f\0octet\0", -1),
    SAYS("\0", -1),
    SAYS("", -1),
};

START_TEST(refusals_have_their_codes)
{
    struct world *const w = world_open(1);
    struct raw raw;
    const struct kirim_addr server = simnet_addr("10.0.0.1:69");
    w->server.upload_bytes_max = 1000;
    (void)kit_put_pattern(&w->there, "f", 600);
    open_raw(w, &raw);
    say(w, &raw, refusals[_i].wire, refusals[_i].bytes, &server);
    ck_assert_uint_eq(raw.count, refusals[_i].code < 0 ? 0 : 1);
    if (refusals[_i].code >= 0) {
        ck_assert_uint_eq(raw.data[1], KIRIM_TFTP_ERROR);
        ck_assert_int_eq(raw.data[3], refusals[_i].code);
        ck_assert_uint_eq(w->service.stats.refused, 1);
        ck_assert_uint_le(raw.bytes, ANSWER_RATIO_MAX * refusals[_i].bytes);
        ck_assert_uint_eq(raw.data[raw.bytes - 1], 0);
    }
    ck_assert_uint_eq(w->service.transfer_count, 0);
    world_close(w);
}
END_TEST

START_TEST(server_that_only_gives_takes_nothing)
{
    struct world *const w = world_open(1);
    w->server.is_writable = false;
    (void)world_start_plain(w, KIRIM_TFTP_WRQ, 100);
    world_run(w, SECOND);
    ck_assert_int_eq(w->client[0].link.transfer.err, KIRIM_TFTP_EREMOTE);
    ck_assert_uint_eq(w->client[0].link.transfer.peer_code, KIRIM_TFTP_CODE_ACCESS);
    world_close(w);
}
END_TEST

START_TEST(transfers_are_capped)
{
    struct world *const w = world_open(1);
    struct kirim_link_rules link = KIRIM_SIM_LINK_INIT;
    link.delay_ns = 20 * MS;
    world_set_links(w, &link);
    w->service.transfer_count_max = 2;
    for (size_t i = 0; i < 3; i++) {
        (void)world_start_plain(w, KIRIM_TFTP_RRQ, 200000);
    }
    world_run(w, 30 * SECOND);
    ck_assert_uint_eq(w->done, 2);
    ck_assert_str_eq(w->client[2].link.transfer.peer_text, "too many transfers");
    world_close(w);
}
END_TEST

START_TEST(transfers_of_a_prefix_are_capped)
{
    struct world *const w = world_open(1);
    struct kirim_link_rules link = KIRIM_SIM_LINK_INIT;
    struct raw raw;
    const struct kirim_addr server = simnet_addr("10.0.0.1:69");
    link.delay_ns = 20 * MS;
    world_set_links(w, &link);
    w->service.prefix_count_max = 2;
    for (size_t i = 0; i < 3; i++) {
        (void)world_start_plain(w, KIRIM_TFTP_RRQ, 200000);
    }
    world_run(w, 100 * MS);
    ck_assert_uint_eq(w->service.transfer_count, 2);
    (void)kit_put_pattern(&w->there, "f", 5);
    open_raw_at(w->other_loop, "10.9.0.2:0", &raw);
    say(w, &raw, rrq, sizeof rrq, &server); /* of another prefix */
    ck_assert_uint_eq(w->service.transfer_count, 3);
    say(w, &raw, "\0\4\0\1", 4, &raw.from);
    world_run(w, 30 * SECOND);
    ck_assert_uint_eq(w->done, 2);
    ck_assert_str_eq(w->client[2].link.transfer.peer_text, "too many transfers");
    (void)world_start_plain(w, KIRIM_TFTP_RRQ, 1000); /* they have made room */
    world_run(w, 30 * SECOND);
    ck_assert_uint_eq(w->done, 3);
    world_close(w);
}
END_TEST

START_TEST(requests_of_a_prefix_are_limited)
{
    struct kirim_limiter_slot slots[KIRIM_LIMITER_WAYS];
    struct kirim_limiter_options options = KIRIM_LIMITER_OPTIONS_INIT;
    struct kirim_limiter limiter;
    struct world *const w = world_open(1);
    struct raw raw;
    const struct kirim_addr server = simnet_addr("10.0.0.1:69");
    options.rate = (struct kirim_rate){ 1, 2 };
    options.slots = slots;
    options.slot_count = KIRIM_LIMITER_WAYS;
    ck_assert_int_eq(kirim_limiter_init(&limiter, &options), KIRIM_OK);
    w->service.limiter = &limiter;
    open_raw(w, &raw);
    for (size_t i = 0; i < 4; i++) {
        say(w, &raw, rrq, sizeof rrq, &server); /* there is no such file */
    }
    ck_assert_uint_eq(raw.count, 2);
    ck_assert_uint_eq(w->service.stats.limited, 2);
    world_run(w, SECOND);
    say(w, &raw, rrq, sizeof rrq, &server);
    ck_assert_uint_eq(raw.count, 3);
    world_close(w);
}
END_TEST

START_TEST(silent_client_delays_nobody)
{
    uint64_t took_ns[2];
    for (size_t i = 0; i < 2; i++) {
        struct world *const w = world_open(1);
        struct raw raw;
        const struct kirim_addr server = simnet_addr("10.0.0.1:69");
        (void)kit_put_pattern(&w->there, "f", 200000);
        open_raw(w, &raw);
        if (i == 1) {
            say(w, &raw, rrq, sizeof rrq, &server);
        }
        const struct kirim_tftp_client *const client = world_start_plain(w, KIRIM_TFTP_RRQ, 200000);
        world_run(w, 60 * SECOND);
        ck_assert_uint_eq(w->done, 1);
        took_ns[i] = client->moved_ns - client->started_ns;
        world_close(w);
    }
    ck_assert_uint_eq(took_ns[0], took_ns[1]);
}
END_TEST

START_TEST(blocks_fit_the_path_unless_they_may_be_cut)
{
    struct world *const w = world_open(1);
    struct kirim_link_rules link = KIRIM_SIM_LINK_INIT;
    struct kirim_tftp_client_options options = world_options(w, KIRIM_TFTP_RRQ);
    link.mtu = 1500;
    link.mtu_action = KIRIM_SIM_MTU_FRAGMENT;
    world_set_links(w, &link);
    w->service.is_fragmenting = _i == 1;
    (void)snprintf(w->name[0], sizeof w->name[0], "f");
    (void)kit_put_pattern(&w->there, "f", 100000);
    options.request.options.blksize = 60000;
    (void)world_start(w, &options, "10.0.0.1:69");
    world_run(w, 10 * SECOND);
    ck_assert_uint_eq(w->done, 1);
    const uint32_t got = w->client[0].link.transfer.agreed.blksize;
    ck_assert(_i == 1 ? got == 60000 : got <= 1468);
    world_close(w);
}
END_TEST

START_TEST(every_failed_allocation_leaves_nothing)
{
    for (size_t at = 1; at < 40; at++) {
        struct world *const w = world_open(1);
        w->memory[1].fail_at = w->memory[1].calls + at;
        (void)world_start_plain(w, KIRIM_TFTP_WRQ, 5000);
        (void)world_start_plain(w, KIRIM_TFTP_RRQ, 5000);
        world_run(w, 100 * SECOND);
        ck_assert_uint_eq(w->ended, 2);
        ck_assert_uint_eq(w->there.open_count, 0);
        world_close(w);
    }
}
END_TEST

int main(void)
{
    const struct kit_claim claims[] = {
        { transfer_has_its_port_and_the_address_that_was_asked, 0 },
        { stranger_is_told_and_disturbs_nothing, 0 },
        { who_asks_everybody_is_not_answered, 0 },
        { server_does_not_answer_itself, 0 },
        { what_was_cut_is_not_taken_for_whole, 0 },
        { refusals_have_their_codes, COUNT_OF(refusals) },
        { server_that_only_gives_takes_nothing, 0 },
        { transfers_are_capped, 0 },
        { transfers_of_a_prefix_are_capped, 0 },
        { requests_of_a_prefix_are_limited, 0 },
        { silent_client_delays_nobody, 0 },
        { blocks_fit_the_path_unless_they_may_be_cut, 2 },
        { every_failed_allocation_leaves_nothing, 0 },
        { NULL, 0 },
    };
    return kit_main("protocols/tftp service", claims);
}
