/* SPDX-License-Identifier: MIT
 *
 * Claims about one end of a transfer, message by message: what it answers, when it sends again,
 * when it gives up, and what becomes of the file.
 */
#include "kit.h"

enum { ROOM_BYTES = 65536, QUEUE_MAX = 256 };

/* One end, driven by hand. */
struct end {
    struct kit_store store;
    struct kirim_tftp_server server;
    struct kirim_tftp_transfer t;
    uint8_t out[ROOM_BYTES];
    size_t out_bytes;
    uint64_t now;
};

static void init_end(struct end *e)
{
    memset(e, 0, sizeof *e);
    kit_store_init(&e->store);
    kirim_tftp_server_init(&e->server, &e->store.storage);
    e->server.is_writable = true;
    e->now = SECOND;
}

static kirim_err accept_request(struct end *e, const struct kirim_tftp_request *request)
{
    uint8_t wire[KIRIM_TFTP_CONTROL_BYTES_MAX];
    struct kirim_tftp_room room = { wire, sizeof wire, 0 };
    struct kirim_tftp_packet packet;
    ck_assert_int_eq(kirim_tftp_write_request(request, &room), KIRIM_OK);
    const struct kirim_tftp_span span = { wire, room.bytes };
    ck_assert_int_eq(kirim_tftp_packet_read(span, &packet), KIRIM_OK);
    return kirim_tftp_server_accept(&e->server, &packet, KIRIM_TFTP_BLOCK_BYTES_MAX, &e->t, e->now);
}

/* A server that was asked for "f". */
static void serve(struct end *e, uint16_t kind, struct kirim_tftp_options options)
{
    const struct kirim_tftp_request request = { kind, KIRIM_TFTP_OCTET, "f", options };
    ck_assert_int_eq(accept_request(e, &request), KIRIM_OK);
}

static void ask(struct end *e, uint16_t kind, struct kirim_tftp_options options)
{
    struct kirim_tftp_client_options o = KIRIM_TFTP_CLIENT_OPTIONS_INIT;
    o.request = (struct kirim_tftp_request){ kind, KIRIM_TFTP_OCTET, "f", options };
    o.storage = &e->store.storage;
    o.local_name = "f";
    ck_assert_int_eq(kirim_tftp_transfer_ask(&e->t, &o, e->now), KIRIM_OK);
}

static bool take(struct end *e)
{
    struct kirim_tftp_room room = { e->out, sizeof e->out, 0 };
    if (kirim_tftp_transfer_output_bytes(&e->t) == 0) {
        return false;
    }
    kirim_tftp_transfer_output(&e->t, &room, e->now);
    e->out_bytes = room.bytes;
    return room.bytes > 0;
}

static unsigned number_at(const struct end *e, size_t at)
{
    return (unsigned)e->out[at] << 8 | e->out[at + 1];
}

/* The next message is of this kind and has this number. */
static void expect(struct end *e, unsigned kind, unsigned number)
{
    ck_assert(take(e));
    ck_assert_uint_eq(number_at(e, 0), kind);
    if (kind != KIRIM_TFTP_OACK && kind != KIRIM_TFTP_RRQ && kind != KIRIM_TFTP_WRQ) {
        ck_assert_uint_eq(number_at(e, 2), number);
    }
}

static void expect_silence(struct end *e)
{
    ck_assert(!take(e));
}

static void give(struct end *e, unsigned kind, unsigned number, size_t bytes)
{
    static uint8_t wire[ROOM_BYTES];
    wire[0] = 0;
    wire[1] = (uint8_t)kind;
    wire[2] = (uint8_t)(number >> 8);
    wire[3] = (uint8_t)number;
    memset(wire + 4, 'd', bytes);
    kirim_tftp_transfer_input(&e->t, (struct kirim_tftp_span){ wire, bytes + 4 }, e->now);
}

static void give_text(struct end *e, const char *data, size_t bytes)
{
    const struct kirim_tftp_span span = { (const uint8_t *)data, bytes };
    kirim_tftp_transfer_input(&e->t, span, e->now);
}

static void ack(struct end *e, unsigned block)
{
    give(e, KIRIM_TFTP_ACK, block, 0);
}

/* The deadline passes. */
static void expire(struct end *e)
{
    e->now = e->t.deadline_ns;
    kirim_tftp_transfer_expire(&e->t, e->now);
}

static const struct kirim_tftp_options none = { 0, 0, 0, 0, 0 };
static const struct kirim_tftp_options window4 = { KIRIM_TFTP_HAS_WINDOWSIZE, 0, 0, 4, 0 };

/* ---- the sender ------------------------------------------------------------------------------ */

START_TEST(blocks_leave_one_by_one_without_options)
{
    static struct end e;
    init_end(&e);
    (void)kit_put_pattern(&e.store, "f", 1024);
    serve(&e, KIRIM_TFTP_RRQ, none);
    expect(&e, KIRIM_TFTP_DATA, 1);
    ck_assert_uint_eq(e.out_bytes, 516);
    expect_silence(&e);
    ack(&e, 1);
    expect(&e, KIRIM_TFTP_DATA, 2);
    ack(&e, 2);
    expect(&e, KIRIM_TFTP_DATA, 3); /* an exact multiple ends with an empty block */
    ck_assert_uint_eq(e.out_bytes, 4);
    ack(&e, 3);
    ck_assert_int_eq(e.t.state, KIRIM_TFTP_DONE);
    ck_assert_uint_eq(e.t.moved_bytes, 1024);
    expect_silence(&e);
    kit_store_fini(&e.store);
}
END_TEST

START_TEST(empty_file_is_one_empty_block)
{
    static struct end e;
    init_end(&e);
    (void)kit_put(&e.store, "f", "", 0);
    serve(&e, KIRIM_TFTP_RRQ, none);
    expect(&e, KIRIM_TFTP_DATA, 1);
    ck_assert_uint_eq(e.out_bytes, 4);
    ack(&e, 1);
    ck_assert_int_eq(e.t.state, KIRIM_TFTP_DONE);
    kit_store_fini(&e.store);
}
END_TEST

/* RFC 1123 section 4.2.3.1: a second ACK of a block brings nothing on its way. */
START_TEST(duplicate_ack_sends_nothing)
{
    static struct end e;
    init_end(&e);
    (void)kit_put_pattern(&e.store, "f", 5000);
    serve(&e, KIRIM_TFTP_RRQ, none);
    expect(&e, KIRIM_TFTP_DATA, 1);
    ack(&e, 1);
    expect(&e, KIRIM_TFTP_DATA, 2);
    ack(&e, 1);
    ack(&e, 1);
    ack(&e, 0);
    expect_silence(&e);
    ack(&e, 3); /* not sent yet */
    expect_silence(&e);
    ck_assert_uint_eq(e.t.stats.duplicates, 4);
    expire(&e); /* but time does */
    expect(&e, KIRIM_TFTP_DATA, 2);
    kirim_tftp_transfer_fail(&e.t, KIRIM_EABORTED, false);
    kit_store_fini(&e.store);
}
END_TEST

START_TEST(window_leaves_at_once)
{
    static struct end e;
    init_end(&e);
    (void)kit_put_pattern(&e.store, "f", 10 * 512);
    serve(&e, KIRIM_TFTP_RRQ, window4);
    expect(&e, KIRIM_TFTP_OACK, 0);
    expect_silence(&e);
    ack(&e, 0);
    for (unsigned block = 1; block <= 4; block++) {
        expect(&e, KIRIM_TFTP_DATA, block);
    }
    expect_silence(&e);
    ack(&e, 2); /* 3 is missing: sending goes on behind 2 */
    for (unsigned block = 3; block <= 6; block++) {
        expect(&e, KIRIM_TFTP_DATA, block);
    }
    expect_silence(&e);
    ack(&e, 2);
    expect_silence(&e);
    ack(&e, 6);
    for (unsigned block = 7; block <= 10; block++) {
        expect(&e, KIRIM_TFTP_DATA, block);
    }
    expire(&e);
    for (unsigned block = 7; block <= 10; block++) {
        expect(&e, KIRIM_TFTP_DATA, block);
    }
    ack(&e, 10);
    expect(&e, KIRIM_TFTP_DATA, 11);
    expect_silence(&e);
    ack(&e, 11);
    ck_assert_int_eq(e.t.state, KIRIM_TFTP_DONE);
    ck_assert_uint_eq(e.t.stats.resent, 6);
    kit_store_fini(&e.store);
}
END_TEST

START_TEST(ack_of_what_was_sent_before_going_back_counts)
{
    static struct end e;
    init_end(&e);
    (void)kit_put_pattern(&e.store, "f", 5000);
    serve(&e, KIRIM_TFTP_RRQ, window4);
    expect(&e, KIRIM_TFTP_OACK, 0);
    ack(&e, 0);
    for (unsigned block = 1; block <= 4; block++) {
        expect(&e, KIRIM_TFTP_DATA, block);
    }
    expire(&e);
    expect(&e, KIRIM_TFTP_DATA, 1);
    ack(&e, 4); /* late */
    expect(&e, KIRIM_TFTP_DATA, 5);
    kirim_tftp_transfer_fail(&e.t, KIRIM_EABORTED, false);
    kit_store_fini(&e.store);
}
END_TEST

START_TEST(waits_double_until_it_gives_up)
{
    static struct end e;
    init_end(&e);
    (void)kit_put_pattern(&e.store, "f", 5000);
    serve(&e, KIRIM_TFTP_RRQ, none);
    expect(&e, KIRIM_TFTP_DATA, 1);
    e.now += 10 * MS;
    ack(&e, 1);
    expect(&e, KIRIM_TFTP_DATA, 2);
    const uint64_t begin = e.now;
    uint64_t delay = 50 * MS; /* three times the round trip is less */
    while (!kirim_tftp_transfer_has_ended(&e.t)) {
        const uint64_t sent = e.now;
        const uint64_t wait = e.t.deadline_ns - sent;
        ck_assert(wait == delay || sent + wait == begin + 30 * SECOND);
        expire(&e);
        delay = delay < 4 * SECOND ? 2 * delay : 8 * SECOND;
        if (!kirim_tftp_transfer_has_ended(&e.t)) {
            expect(&e, KIRIM_TFTP_DATA, 2);
        }
    }
    ck_assert_uint_eq(e.now - begin, 30 * SECOND);
    ck_assert_int_eq(e.t.err, KIRIM_ETIMEDOUT);
    expect(&e, KIRIM_TFTP_ERROR, 0);
    expect_silence(&e);
    ck_assert_uint_eq(e.t.deadline_ns, KIRIM_NEVER);
    kit_store_fini(&e.store);
}
END_TEST

START_TEST(forged_asker_is_sent_little)
{
    static struct end e;
    init_end(&e);
    (void)kit_put_pattern(&e.store, "f", 5000);
    serve(&e, KIRIM_TFTP_RRQ, none);
    size_t count = 0;
    while (!kirim_tftp_transfer_has_ended(&e.t)) {
        count += take(&e) ? 1 : 0;
        expect_silence(&e);
        expire(&e);
    }
    ck_assert_uint_eq(count, 5);
    ck_assert_uint_eq(e.now, 21 * SECOND);
    expect_silence(&e); /* no ERROR either */
    kit_store_fini(&e.store);
}
END_TEST

START_TEST(wait_that_was_asked_for_is_kept)
{
    static struct end e;
    const struct kirim_tftp_options wanted = { KIRIM_TFTP_HAS_TIMEOUT, 0, 3, 0, 0 };
    init_end(&e);
    (void)kit_put_pattern(&e.store, "f", 5000);
    serve(&e, KIRIM_TFTP_RRQ, wanted);
    expect(&e, KIRIM_TFTP_OACK, 0);
    ck_assert_int_eq(memcmp(e.out + 2,
                            "timeout\0"
                            "3",
                            10),
                     0);
    ck_assert_uint_eq(e.t.deadline_ns - e.now, 3 * SECOND);
    ack(&e, 0);
    expect(&e, KIRIM_TFTP_DATA, 1);
    ck_assert_uint_eq(e.t.deadline_ns - e.now, 3 * SECOND);
    kirim_tftp_transfer_fail(&e.t, KIRIM_EABORTED, false);
    kit_store_fini(&e.store);
}
END_TEST

/* The first answer, of a client to an OACK or of a server to a request, tells the round trip,
 * unless what it answers was sent twice. */
START_TEST(first_answer_is_measured)
{
    static struct end e;
    init_end(&e);
    (void)kit_put_pattern(&e.store, "f", 5000);
    if (_i % 2 == 0) {
        serve(&e, KIRIM_TFTP_RRQ, window4);
        expect(&e, KIRIM_TFTP_OACK, 0);
    } else {
        ask(&e, KIRIM_TFTP_WRQ, none);
        expect(&e, KIRIM_TFTP_WRQ, 0);
    }
    if (_i >= 2) {
        expire(&e);
        ck_assert(take(&e));
    }
    e.now += 100 * MS;
    ack(&e, 0);
    expect(&e, KIRIM_TFTP_DATA, 1);
    ck_assert_uint_eq(e.t.deadline_ns - e.now, _i < 2 ? 300 * MS : 2 * SECOND);
    kirim_tftp_transfer_fail(&e.t, KIRIM_EABORTED, false);
    kit_store_fini(&e.store);
}
END_TEST

START_TEST(linger_is_as_long_as_is_wished)
{
    static struct end e;
    struct kirim_tftp_client_options o = KIRIM_TFTP_CLIENT_OPTIONS_INIT;
    init_end(&e);
    o.request.name = "f";
    o.local_name = "f";
    o.storage = &e.store.storage;
    o.linger_ns = _i == 0 ? 0 : 7 * MS;
    ck_assert_int_eq(kirim_tftp_transfer_ask(&e.t, &o, e.now), KIRIM_OK);
    expect(&e, KIRIM_TFTP_RRQ, 0);
    give(&e, KIRIM_TFTP_DATA, 1, 5);
    expect(&e, KIRIM_TFTP_ACK, 1);
    ck_assert_uint_eq(e.t.deadline_ns - e.now, _i == 0 ? 1500 * MS : 7 * MS);
    expire(&e);
    ck_assert_int_eq(e.t.state, KIRIM_TFTP_DONE);
    kit_store_fini(&e.store);
}
END_TEST

START_TEST(numbers_wrap_to_zero)
{
    static struct end e;
    init_end(&e);
    (void)kit_put_pattern(&e.store, "f", (size_t)8 * 65540);
    serve(&e, KIRIM_TFTP_RRQ, (struct kirim_tftp_options){ 1, 8, 0, 0, 0 });
    expect(&e, KIRIM_TFTP_OACK, 0);
    ack(&e, 0);
    for (unsigned block = 1; block <= 65541; block++) {
        expect(&e, KIRIM_TFTP_DATA, block & 0xffff);
        ack(&e, block & 0xffff);
    }
    ck_assert_int_eq(e.t.state, KIRIM_TFTP_DONE);
    kit_store_fini(&e.store);
}
END_TEST

START_TEST(storage_that_fails_is_told)
{
    static struct end e;
    init_end(&e);
    struct kit_file *const file = kit_put_pattern(&e.store, "f", 5000);
    serve(&e, KIRIM_TFTP_RRQ, none);
    expect(&e, KIRIM_TFTP_DATA, 1);
    if (_i == 0) {
        e.store.read_err = KIRIM_ESYSTEM;
    } else {
        file->bytes = 600; /* it became shorter */
    }
    ack(&e, 1);
    expect(&e, KIRIM_TFTP_ERROR, 0);
    ck_assert_int_eq(e.t.state, KIRIM_TFTP_FAILED);
    ck_assert_int_eq(e.t.err, _i == 0 ? KIRIM_ESYSTEM : KIRIM_TFTP_ECHANGED);
    kit_store_fini(&e.store);
}
END_TEST

/* ---- the receiver ---------------------------------------------------------------------------- */

START_TEST(blocks_are_taken_and_the_last_ack_repeated)
{
    static struct end e;
    init_end(&e);
    serve(&e, KIRIM_TFTP_WRQ, none);
    expect(&e, KIRIM_TFTP_ACK, 0);
    give(&e, KIRIM_TFTP_DATA, 1, 512);
    expect(&e, KIRIM_TFTP_ACK, 1);
    give(&e, KIRIM_TFTP_DATA, 1, 512); /* its ACK was lost */
    expect(&e, KIRIM_TFTP_ACK, 1);
    ck_assert_ptr_null(kit_find(&e.store, "f"));
    give(&e, KIRIM_TFTP_DATA, 2, 100);
    ck_assert_ptr_nonnull(kit_find(&e.store, "f")); /* before it is acknowledged */
    expect(&e, KIRIM_TFTP_ACK, 2);
    ck_assert_int_eq(e.t.state, KIRIM_TFTP_LINGERING);
    give(&e, KIRIM_TFTP_DATA, 2, 100);
    expect(&e, KIRIM_TFTP_ACK, 2);
    give(&e, KIRIM_TFTP_DATA, 1, 512);
    expect_silence(&e);
    expire(&e);
    ck_assert_int_eq(e.t.state, KIRIM_TFTP_DONE);
    ck_assert_uint_eq(kit_find(&e.store, "f")->bytes, 612);
    kit_store_fini(&e.store);
}
END_TEST

/* A sender that waits 5 s from whatever came last must get to it. */
START_TEST(repeated_acks_leave_the_sender_time)
{
    static struct end e;
    init_end(&e);
    serve(&e, KIRIM_TFTP_WRQ, none);
    expect(&e, KIRIM_TFTP_ACK, 0);
    give(&e, KIRIM_TFTP_DATA, 1, 512);
    expect(&e, KIRIM_TFTP_ACK, 1);
    const uint64_t begin = e.now;
    for (unsigned i = 0; i < 4; i++) {
        ck_assert_uint_le(e.now - begin, SECOND);
        expire(&e);
        expect(&e, KIRIM_TFTP_ACK, 1);
    }
    ck_assert_uint_ge(e.t.deadline_ns - e.now, 8 * SECOND);
    give(&e, KIRIM_TFTP_DATA, 2, 0);
    expect(&e, KIRIM_TFTP_ACK, 2);
    kirim_tftp_transfer_fail(&e.t, KIRIM_EABORTED, true);
    kit_store_fini(&e.store);
}
END_TEST

START_TEST(full_window_and_gap_are_acknowledged_once)
{
    static struct end e;
    init_end(&e);
    serve(&e, KIRIM_TFTP_WRQ, window4);
    expect(&e, KIRIM_TFTP_OACK, 0);
    for (unsigned block = 1; block <= 4; block++) {
        expect_silence(&e);
        give(&e, KIRIM_TFTP_DATA, block, 512);
    }
    expect(&e, KIRIM_TFTP_ACK, 4);
    give(&e, KIRIM_TFTP_DATA, 5, 512);
    give(&e, KIRIM_TFTP_DATA, 7, 512);
    expect(&e, KIRIM_TFTP_ACK, 5);
    give(&e, KIRIM_TFTP_DATA, 8, 512);
    expect_silence(&e);
    for (unsigned block = 6; block <= 9; block++) {
        give(&e, KIRIM_TFTP_DATA, block, 512);
    }
    expect(&e, KIRIM_TFTP_ACK, 9);
    give(&e, KIRIM_TFTP_DATA, 10, 512);
    expire(&e); /* the rest of the window did not come */
    expect(&e, KIRIM_TFTP_ACK, 10);
    give(&e, KIRIM_TFTP_DATA, 11, 0);
    expect(&e, KIRIM_TFTP_ACK, 11);
    ck_assert_uint_eq(kit_find(&e.store, "f")->bytes, 5120);
    kirim_tftp_transfer_fail(&e.t, KIRIM_EABORTED, true); /* it has ended well */
    ck_assert_int_eq(e.t.state, KIRIM_TFTP_DONE);
    kit_store_fini(&e.store);
}
END_TEST

START_TEST(window_that_comes_again_is_given_a_moment)
{
    static struct end e;
    init_end(&e);
    serve(&e, KIRIM_TFTP_WRQ, window4);
    expect(&e, KIRIM_TFTP_OACK, 0);
    give(&e, KIRIM_TFTP_DATA, 1, 512);
    give(&e, KIRIM_TFTP_DATA, 2, 512);
    give(&e, KIRIM_TFTP_DATA, 1, 512);
    give(&e, KIRIM_TFTP_DATA, 2, 512);
    expect_silence(&e);
    ck_assert_uint_eq(e.t.deadline_ns - e.now, 20 * MS);
    expire(&e);
    expect(&e, KIRIM_TFTP_ACK, 2);
    kirim_tftp_transfer_fail(&e.t, KIRIM_EABORTED, true);
    expect(&e, KIRIM_TFTP_ERROR, 0);
    kit_store_fini(&e.store);
}
END_TEST

static const struct {
    unsigned code;
    kirim_err err;
} ends[] = {
    { 4, KIRIM_TFTP_EFORM }, /* a block that is too long */
    { 3, KIRIM_TFTP_EFULL }, /* the storage is full */
    { 3, KIRIM_TFTP_EFULL }, /* the server takes no more */
    { 0, KIRIM_ESYSTEM },    /* the commit fails */
};

START_TEST(upload_that_fails_leaves_nothing)
{
    static struct end e;
    init_end(&e);
    e.server.upload_bytes_max = _i == 2 ? 600 : KIRIM_NEVER;
    serve(&e, KIRIM_TFTP_WRQ, none);
    expect(&e, KIRIM_TFTP_ACK, 0);
    give(&e, KIRIM_TFTP_DATA, 1, 512);
    expect(&e, KIRIM_TFTP_ACK, 1);
    e.store.bytes_max = _i == 1 ? 600 : KIRIM_NEVER;
    e.store.commit_err = _i == 3 ? KIRIM_ESYSTEM : KIRIM_OK;
    give(&e, KIRIM_TFTP_DATA, 2, _i == 0 ? 513 : 100);
    expect(&e, KIRIM_TFTP_ERROR, ends[_i].code);
    ck_assert_int_eq(e.t.err, ends[_i].err);
    give(&e, KIRIM_TFTP_DATA, 2, 100);
    expect_silence(&e);
    ck_assert_ptr_null(kit_find(&e.store, "f"));
    kit_store_fini(&e.store);
}
END_TEST

/* ---- the client's beginning ------------------------------------------------------------------ */

static const struct kirim_tftp_options all = { 15, 1024, 2, 8, 0 };

/* OACKs to a request with all options, and whether they are taken. */
static const struct {
    const char *data;
    size_t bytes;
    bool is_good;
} oacks[] = {
#define OACK(text, good)             \
    {                                \
        text, sizeof(text) - 1, good \
    }
    OACK("\0\6", true),
    OACK("\0\6blksize\0"
         "1024\0"
         "windowsize\0"
         "8\0"
         "timeout\0"
         "2\0"
         "tsize\0"
         "99\0",
         true),
    OACK("\0\6BLKSIZE\0"
         "512\0",
         true),
    OACK("\0\6blksize\0"
         "1025\0",
         false),
    OACK("\0\6blksize\0"
         "4\0",
         false),
    OACK("\0\6windowsize\0"
         "9\0",
         false),
    OACK("\0\6timeout\0"
         "3\0",
         false),
    OACK("\0\6multicast\0"
         "x\0",
         false),
};

START_TEST(oack_holds_what_was_asked_for)
{
    static struct end e;
    init_end(&e);
    ask(&e, KIRIM_TFTP_RRQ, all);
    expect(&e, KIRIM_TFTP_RRQ, 0);
    give_text(&e, oacks[_i].data, oacks[_i].bytes);
    if (oacks[_i].is_good) {
        expect(&e, KIRIM_TFTP_ACK, 0);
        give(&e, KIRIM_TFTP_DATA, 1, 5);
        expect(&e, KIRIM_TFTP_ACK, 1);
        kirim_tftp_transfer_fail(&e.t, KIRIM_EABORTED, true);
        ck_assert_uint_eq(kit_find(&e.store, "f")->bytes, 5);
    } else {
        expect(&e, KIRIM_TFTP_ERROR, 8);
        ck_assert_uint_eq(e.store.opened_count, 0);
    }
    kit_store_fini(&e.store);
}
END_TEST

START_TEST(option_that_was_not_asked_for_is_refused)
{
    static const char oack[] = "\0\6blksize\0"
                               "512";
    static struct end e;
    init_end(&e);
    ask(&e, KIRIM_TFTP_RRQ, window4);
    expect(&e, KIRIM_TFTP_RRQ, 0);
    give_text(&e, oack, sizeof oack);
    expect(&e, KIRIM_TFTP_ERROR, 8);
    kit_store_fini(&e.store);
}
END_TEST

START_TEST(server_without_options_is_understood)
{
    static struct end e;
    init_end(&e);
    (void)kit_put_pattern(&e.store, "f", 600);
    ask(&e, KIRIM_TFTP_WRQ, all);
    expect(&e, KIRIM_TFTP_WRQ, 0);
    struct kirim_tftp_packet packet;
    const struct kirim_tftp_span wire = { e.out, e.out_bytes };
    ck_assert_int_eq(kirim_tftp_packet_read(wire, &packet), KIRIM_OK);
    ck_assert_uint_eq(packet.options.tsize, 600);
    give(&e, KIRIM_TFTP_DATA, 1, 0); /* no answer to a put */
    expect_silence(&e);
    ack(&e, 0);
    expect(&e, KIRIM_TFTP_DATA, 1);
    ck_assert_uint_eq(e.out_bytes, 516);
    expect_silence(&e);
    ack(&e, 1);
    expect(&e, KIRIM_TFTP_DATA, 2);
    ack(&e, 2);
    ck_assert_int_eq(e.t.state, KIRIM_TFTP_DONE);
    kit_store_fini(&e.store);
}
END_TEST

START_TEST(silent_server_is_given_up)
{
    static struct end e;
    init_end(&e);
    ask(&e, KIRIM_TFTP_RRQ, all);
    size_t count = 0;
    while (!kirim_tftp_transfer_has_ended(&e.t)) {
        count += take(&e) ? 1 : 0;
        expect_silence(&e);
        expire(&e);
    }
    ck_assert_uint_eq(count, 6); /* at 0, 1, 3, 7, 15 and 23 s */
    ck_assert_uint_eq(e.now, 31 * SECOND);
    ck_assert_int_eq(e.t.err, KIRIM_ETIMEDOUT);
    expect_silence(&e);
    ck_assert_uint_eq(e.store.opened_count, 0);
    kit_store_fini(&e.store);
}
END_TEST

START_TEST(error_ends_it_and_is_not_answered)
{
    static const char error[] = "\0\5\0\1not\033here";
    static struct end e;
    init_end(&e);
    if (_i == 0) {
        ask(&e, KIRIM_TFTP_RRQ, all);
        expect(&e, KIRIM_TFTP_RRQ, 0);
    } else {
        serve(&e, KIRIM_TFTP_WRQ, none);
        expect(&e, KIRIM_TFTP_ACK, 0);
        give(&e, KIRIM_TFTP_DATA, 1, 512);
        expect(&e, KIRIM_TFTP_ACK, 1);
    }
    give_text(&e, error, sizeof error);
    ck_assert_int_eq(e.t.err, KIRIM_TFTP_EREMOTE);
    ck_assert_uint_eq(e.t.peer_code, 1);
    ck_assert_str_eq(e.t.peer_text, "not?here");
    expect_silence(&e);
    ck_assert_ptr_null(kit_find(&e.store, "f"));
    kit_store_fini(&e.store);
}
END_TEST

START_TEST(impossible_wishes_are_refused)
{
    struct kit_store store;
    struct kirim_tftp_transfer t;
    kit_store_init(&store);
    for (int i = 0; i < 8; i++) {
        struct kirim_tftp_client_options o = KIRIM_TFTP_CLIENT_OPTIONS_INIT;
        struct kirim_tftp_options *const wanted = &o.request.options;
        wanted->has = 15;
        wanted->timeout_s = 1;
        o.storage = i == 0 ? NULL : &store.storage;
        o.local_name = i == 1 ? NULL : "f";
        o.request.name = i == 2 ? "" : "f";
        o.request.kind = i == 3 ? KIRIM_TFTP_ACK : KIRIM_TFTP_RRQ;
        o.request.mode = i == 4 ? 0 : KIRIM_TFTP_OCTET;
        wanted->blksize = i == 5 ? 7 : 65464;
        wanted->windowsize = i == 6 ? 32768 : 32767;
        wanted->timeout_s = i == 7 ? 256 : 255;
        ck_assert_int_eq(kirim_tftp_transfer_ask(&t, &o, 0), KIRIM_EINVAL);
    }
    struct kirim_tftp_client_options o = KIRIM_TFTP_CLIENT_OPTIONS_INIT;
    o.storage = &store.storage;
    o.local_name = "f";
    o.request.name = "f";
    o.request.kind = KIRIM_TFTP_WRQ;
    ck_assert_int_eq(kirim_tftp_transfer_ask(&t, &o, 0), KIRIM_ENOENT);
    kit_store_fini(&store);
}
END_TEST

int main(void)
{
    const struct kit_claim claims[] = {
        { blocks_leave_one_by_one_without_options, 0 },
        { empty_file_is_one_empty_block, 0 },
        { duplicate_ack_sends_nothing, 0 },
        { window_leaves_at_once, 0 },
        { ack_of_what_was_sent_before_going_back_counts, 0 },
        { waits_double_until_it_gives_up, 0 },
        { forged_asker_is_sent_little, 0 },
        { wait_that_was_asked_for_is_kept, 0 },
        { first_answer_is_measured, 4 },
        { linger_is_as_long_as_is_wished, 2 },
        { numbers_wrap_to_zero, 0 },
        { storage_that_fails_is_told, 2 },
        { blocks_are_taken_and_the_last_ack_repeated, 0 },
        { repeated_acks_leave_the_sender_time, 0 },
        { full_window_and_gap_are_acknowledged_once, 0 },
        { window_that_comes_again_is_given_a_moment, 0 },
        { upload_that_fails_leaves_nothing, COUNT_OF(ends) },
        { oack_holds_what_was_asked_for, COUNT_OF(oacks) },
        { option_that_was_not_asked_for_is_refused, 0 },
        { server_without_options_is_understood, 0 },
        { silent_server_is_given_up, 0 },
        { error_ends_it_and_is_not_answered, 2 },
        { impossible_wishes_are_refused, 0 },
        { NULL, 0 },
    };
    return kit_main("protocols/tftp transfer", claims);
}
