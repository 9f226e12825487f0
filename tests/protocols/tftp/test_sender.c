/* SPDX-License-Identifier: MIT
 *
 * Claims about the end of a transfer that sends blocks, message by message: what it answers, when
 * it sends again, and when it gives up.
 */
#include "end.h"

START_TEST(blocks_leave_one_by_one_without_options)
{
    static struct end e;
    end_init(&e);
    (void)kit_put_pattern(&e.store, "f", 1024);
    end_serve(&e, KIRIM_TFTP_RRQ, end_no_options);
    end_expect(&e, KIRIM_TFTP_DATA, 1);
    ck_assert_uint_eq(e.out_bytes, 516);
    end_expect_silence(&e);
    end_ack(&e, 1);
    end_expect(&e, KIRIM_TFTP_DATA, 2);
    end_ack(&e, 2);
    end_expect(&e, KIRIM_TFTP_DATA, 3); /* an exact multiple ends with an empty block */
    ck_assert_uint_eq(e.out_bytes, 4);
    end_ack(&e, 3);
    ck_assert_int_eq(e.t.state, KIRIM_TFTP_DONE);
    ck_assert_uint_eq(e.t.moved_bytes, 1024);
    end_expect_silence(&e);
    kit_store_fini(&e.store);
}
END_TEST

START_TEST(empty_file_is_one_empty_block)
{
    static struct end e;
    end_init(&e);
    (void)kit_put(&e.store, "f", "", 0);
    end_serve(&e, KIRIM_TFTP_RRQ, end_no_options);
    end_expect(&e, KIRIM_TFTP_DATA, 1);
    ck_assert_uint_eq(e.out_bytes, 4);
    end_ack(&e, 1);
    ck_assert_int_eq(e.t.state, KIRIM_TFTP_DONE);
    kit_store_fini(&e.store);
}
END_TEST

/* RFC 1123 section 4.2.3.1: a second ACK of a block brings nothing on its way. */
START_TEST(duplicate_ack_sends_nothing)
{
    static struct end e;
    end_init(&e);
    (void)kit_put_pattern(&e.store, "f", 5000);
    end_serve(&e, KIRIM_TFTP_RRQ, end_no_options);
    end_expect(&e, KIRIM_TFTP_DATA, 1);
    end_ack(&e, 1);
    end_expect(&e, KIRIM_TFTP_DATA, 2);
    end_ack(&e, 1);
    end_ack(&e, 1);
    end_ack(&e, 0);
    end_expect_silence(&e);
    end_ack(&e, 3); /* not sent yet */
    end_expect_silence(&e);
    ck_assert_uint_eq(e.t.stats.duplicates, 4);
    end_expire(&e); /* but time does */
    end_expect(&e, KIRIM_TFTP_DATA, 2);
    kirim_tftp_transfer_fail(&e.t, KIRIM_EABORTED, false);
    kit_store_fini(&e.store);
}
END_TEST

START_TEST(window_leaves_at_once)
{
    static struct end e;
    end_init(&e);
    (void)kit_put_pattern(&e.store, "f", 10 * 512);
    end_serve(&e, KIRIM_TFTP_RRQ, end_window4);
    end_expect(&e, KIRIM_TFTP_OACK, 0);
    end_expect_silence(&e);
    end_ack(&e, 0);
    for (unsigned block = 1; block <= 4; block++) {
        end_expect(&e, KIRIM_TFTP_DATA, block);
    }
    end_expect_silence(&e);
    end_ack(&e, 2); /* 3 is missing: sending goes on behind 2 */
    for (unsigned block = 3; block <= 6; block++) {
        end_expect(&e, KIRIM_TFTP_DATA, block);
    }
    end_expect_silence(&e);
    end_ack(&e, 2);
    end_expect_silence(&e);
    end_ack(&e, 6);
    for (unsigned block = 7; block <= 10; block++) {
        end_expect(&e, KIRIM_TFTP_DATA, block);
    }
    end_expire(&e);
    for (unsigned block = 7; block <= 10; block++) {
        end_expect(&e, KIRIM_TFTP_DATA, block);
    }
    end_ack(&e, 10);
    end_expect(&e, KIRIM_TFTP_DATA, 11);
    end_expect_silence(&e);
    end_ack(&e, 11);
    ck_assert_int_eq(e.t.state, KIRIM_TFTP_DONE);
    ck_assert_uint_eq(e.t.stats.resent, 6);
    kit_store_fini(&e.store);
}
END_TEST

/* What is converted has no place in the file that could be computed: it is found again. */
START_TEST(text_that_is_sent_again_is_the_same)
{
    static struct end e;
    static uint8_t lines[10 * 512], sent[5][516];
    for (size_t i = 0; i < sizeof lines; i++) {
        lines[i] = i % 7 == 6 ? '\n' : (uint8_t)('a' + i / 7 % 26);
    }
    end_init(&e);
    (void)kit_put(&e.store, "f", lines, sizeof lines);
    end_serve_text(&e, KIRIM_TFTP_RRQ, end_window4);
    end_expect(&e, KIRIM_TFTP_OACK, 0);
    end_ack(&e, 0);
    for (unsigned block = 1; block <= 4; block++) {
        end_expect(&e, KIRIM_TFTP_DATA, block);
        ck_assert_uint_eq(e.out_bytes, sizeof sent[block]);
        memcpy(sent[block], e.out, e.out_bytes);
    }
    end_ack(&e, 2); /* 3 is missing */
    for (unsigned block = 3; block <= 4; block++) {
        end_expect(&e, KIRIM_TFTP_DATA, block);
        ck_assert_mem_eq(e.out, sent[block], sizeof sent[block]);
    }
    kirim_tftp_transfer_fail(&e.t, KIRIM_EABORTED, false);
    kit_store_fini(&e.store);
}
END_TEST

START_TEST(ack_of_what_was_sent_before_going_back_counts)
{
    static struct end e;
    end_init(&e);
    (void)kit_put_pattern(&e.store, "f", 5000);
    end_serve(&e, KIRIM_TFTP_RRQ, end_window4);
    end_expect(&e, KIRIM_TFTP_OACK, 0);
    end_ack(&e, 0);
    for (unsigned block = 1; block <= 4; block++) {
        end_expect(&e, KIRIM_TFTP_DATA, block);
    }
    end_expire(&e);
    end_expect(&e, KIRIM_TFTP_DATA, 1);
    end_ack(&e, 4); /* late */
    end_expect(&e, KIRIM_TFTP_DATA, 5);
    kirim_tftp_transfer_fail(&e.t, KIRIM_EABORTED, false);
    kit_store_fini(&e.store);
}
END_TEST

START_TEST(waits_double_until_it_gives_up)
{
    static struct end e;
    end_init(&e);
    (void)kit_put_pattern(&e.store, "f", 5000);
    end_serve(&e, KIRIM_TFTP_RRQ, end_no_options);
    end_expect(&e, KIRIM_TFTP_DATA, 1);
    e.now += 10 * MS;
    end_ack(&e, 1);
    end_expect(&e, KIRIM_TFTP_DATA, 2);
    const uint64_t begin = e.now;
    uint64_t delay = 50 * MS; /* three times the round trip is less */
    while (!kirim_tftp_transfer_has_ended(&e.t)) {
        const uint64_t sent = e.now;
        const uint64_t wait = e.t.deadline_ns - sent;
        ck_assert(wait == delay || sent + wait == begin + 30 * SECOND);
        end_expire(&e);
        delay = delay < 4 * SECOND ? 2 * delay : 8 * SECOND;
        if (!kirim_tftp_transfer_has_ended(&e.t)) {
            end_expect(&e, KIRIM_TFTP_DATA, 2);
        }
    }
    ck_assert_uint_eq(e.now - begin, 30 * SECOND);
    ck_assert_int_eq(e.t.err, KIRIM_ETIMEDOUT);
    end_expect(&e, KIRIM_TFTP_ERROR, 0);
    end_expect_silence(&e);
    ck_assert_uint_eq(e.t.deadline_ns, KIRIM_NEVER);
    kit_store_fini(&e.store);
}
END_TEST

START_TEST(forged_asker_is_sent_little)
{
    static struct end e;
    end_init(&e);
    (void)kit_put_pattern(&e.store, "f", 5000);
    end_serve(&e, KIRIM_TFTP_RRQ, end_no_options);
    size_t count = 0;
    while (!kirim_tftp_transfer_has_ended(&e.t)) {
        count += end_take(&e) ? 1 : 0;
        end_expect_silence(&e);
        end_expire(&e);
    }
    ck_assert_uint_eq(count, 5);
    ck_assert_uint_eq(e.now, 21 * SECOND);
    end_expect_silence(&e); /* no ERROR either */
    kit_store_fini(&e.store);
}
END_TEST

START_TEST(wait_that_was_asked_for_is_kept)
{
    static struct end e;
    const struct kirim_tftp_options wanted = { KIRIM_TFTP_HAS_TIMEOUT, 0, 3, 0, 0 };
    end_init(&e);
    (void)kit_put_pattern(&e.store, "f", 5000);
    end_serve(&e, KIRIM_TFTP_RRQ, wanted);
    end_expect(&e, KIRIM_TFTP_OACK, 0);
    ck_assert_int_eq(memcmp(e.out + 2,
                            "timeout\0"
                            "3",
                            10),
                     0);
    ck_assert_uint_eq(e.t.deadline_ns - e.now, 3 * SECOND);
    end_ack(&e, 0);
    end_expect(&e, KIRIM_TFTP_DATA, 1);
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
    end_init(&e);
    (void)kit_put_pattern(&e.store, "f", 5000);
    if (_i % 2 == 0) {
        end_serve(&e, KIRIM_TFTP_RRQ, end_window4);
        end_expect(&e, KIRIM_TFTP_OACK, 0);
    } else {
        end_ask(&e, KIRIM_TFTP_WRQ, end_no_options);
        end_expect(&e, KIRIM_TFTP_WRQ, 0);
    }
    if (_i >= 2) {
        end_expire(&e);
        ck_assert(end_take(&e));
    }
    e.now += 100 * MS;
    end_ack(&e, 0);
    end_expect(&e, KIRIM_TFTP_DATA, 1);
    ck_assert_uint_eq(e.t.deadline_ns - e.now, _i < 2 ? 300 * MS : 2 * SECOND);
    kirim_tftp_transfer_fail(&e.t, KIRIM_EABORTED, false);
    kit_store_fini(&e.store);
}
END_TEST

START_TEST(linger_is_as_long_as_is_wished)
{
    static struct end e;
    struct kirim_tftp_client_options o = KIRIM_TFTP_CLIENT_OPTIONS_INIT;
    end_init(&e);
    o.request.name = "f";
    o.local_name = "f";
    o.storage = &e.store.storage;
    o.linger_ns = _i == 0 ? 0 : 7 * MS;
    ck_assert_int_eq(kirim_tftp_transfer_ask(&e.t, &o, e.now), KIRIM_OK);
    end_expect(&e, KIRIM_TFTP_RRQ, 0);
    end_give(&e, KIRIM_TFTP_DATA, 1, 5);
    end_expect(&e, KIRIM_TFTP_ACK, 1);
    ck_assert_uint_eq(e.t.deadline_ns - e.now, _i == 0 ? 1500 * MS : 7 * MS);
    end_expire(&e);
    ck_assert_int_eq(e.t.state, KIRIM_TFTP_DONE);
    kit_store_fini(&e.store);
}
END_TEST

START_TEST(numbers_wrap_to_zero)
{
    static struct end e;
    end_init(&e);
    (void)kit_put_pattern(&e.store, "f", (size_t)8 * 65540);
    end_serve(&e, KIRIM_TFTP_RRQ, (struct kirim_tftp_options){ 1, 8, 0, 0, 0 });
    end_expect(&e, KIRIM_TFTP_OACK, 0);
    end_ack(&e, 0);
    for (unsigned block = 1; block <= 65541; block++) {
        end_expect(&e, KIRIM_TFTP_DATA, block & 0xffff);
        end_ack(&e, block & 0xffff);
    }
    ck_assert_int_eq(e.t.state, KIRIM_TFTP_DONE);
    kit_store_fini(&e.store);
}
END_TEST

START_TEST(storage_that_fails_is_told)
{
    static struct end e;
    end_init(&e);
    struct kit_file *const file = kit_put_pattern(&e.store, "f", 5000);
    end_serve(&e, KIRIM_TFTP_RRQ, end_no_options);
    end_expect(&e, KIRIM_TFTP_DATA, 1);
    if (_i == 0) {
        e.store.read_err = KIRIM_ESYSTEM;
    } else {
        file->bytes = 600; /* it became shorter */
    }
    end_ack(&e, 1);
    end_expect(&e, KIRIM_TFTP_ERROR, 0);
    ck_assert_int_eq(e.t.state, KIRIM_TFTP_FAILED);
    ck_assert_int_eq(e.t.err, _i == 0 ? KIRIM_ESYSTEM : KIRIM_TFTP_ECHANGED);
    kit_store_fini(&e.store);
}
END_TEST

int main(void)
{
    const struct kit_claim claims[] = {
        { blocks_leave_one_by_one_without_options, 0 },
        { empty_file_is_one_empty_block, 0 },
        { duplicate_ack_sends_nothing, 0 },
        { window_leaves_at_once, 0 },
        { text_that_is_sent_again_is_the_same, 0 },
        { ack_of_what_was_sent_before_going_back_counts, 0 },
        { waits_double_until_it_gives_up, 0 },
        { forged_asker_is_sent_little, 0 },
        { wait_that_was_asked_for_is_kept, 0 },
        { first_answer_is_measured, 4 },
        { linger_is_as_long_as_is_wished, 2 },
        { numbers_wrap_to_zero, 0 },
        { storage_that_fails_is_told, 2 },
        { NULL, 0 },
    };
    return kit_main("protocols/tftp sender", claims);
}
