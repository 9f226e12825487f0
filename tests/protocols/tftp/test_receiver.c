/* SPDX-License-Identifier: MIT
 *
 * Claims about the end of a transfer that takes blocks, message by message: what it answers, and
 * what becomes of the file.
 */
#include "end.h"

START_TEST(blocks_are_taken_and_the_last_ack_repeated)
{
    static struct end e;
    end_init(&e);
    end_serve(&e, KIRIM_TFTP_WRQ, end_no_options);
    end_expect(&e, KIRIM_TFTP_ACK, 0);
    end_give(&e, KIRIM_TFTP_DATA, 1, 512);
    end_expect(&e, KIRIM_TFTP_ACK, 1);
    end_give(&e, KIRIM_TFTP_DATA, 1, 512); /* its ACK was lost */
    end_expect(&e, KIRIM_TFTP_ACK, 1);
    ck_assert_ptr_null(kit_find(&e.store, "f"));
    end_give(&e, KIRIM_TFTP_DATA, 2, 100);
    ck_assert_ptr_nonnull(kit_find(&e.store, "f")); /* before it is acknowledged */
    end_expect(&e, KIRIM_TFTP_ACK, 2);
    ck_assert_int_eq(e.t.state, KIRIM_TFTP_LINGERING);
    end_give(&e, KIRIM_TFTP_DATA, 2, 100);
    end_expect(&e, KIRIM_TFTP_ACK, 2);
    end_give(&e, KIRIM_TFTP_DATA, 1, 512);
    end_expect_silence(&e);
    end_expire(&e);
    ck_assert_int_eq(e.t.state, KIRIM_TFTP_DONE);
    ck_assert_uint_eq(kit_find(&e.store, "f")->bytes, 612);
    kit_store_fini(&e.store);
}
END_TEST

/* A sender that waits 5 s from whatever came last must get to it. */
START_TEST(repeated_acks_leave_the_sender_time)
{
    static struct end e;
    end_init(&e);
    end_serve(&e, KIRIM_TFTP_WRQ, end_no_options);
    end_expect(&e, KIRIM_TFTP_ACK, 0);
    end_give(&e, KIRIM_TFTP_DATA, 1, 512);
    end_expect(&e, KIRIM_TFTP_ACK, 1);
    const uint64_t begin = e.now;
    for (unsigned i = 0; i < 4; i++) {
        ck_assert_uint_le(e.now - begin, SECOND);
        end_expire(&e);
        end_expect(&e, KIRIM_TFTP_ACK, 1);
    }
    ck_assert_uint_ge(e.t.deadline_ns - e.now, 8 * SECOND);
    end_give(&e, KIRIM_TFTP_DATA, 2, 0);
    end_expect(&e, KIRIM_TFTP_ACK, 2);
    kirim_tftp_transfer_fail(&e.t, KIRIM_EABORTED, true);
    kit_store_fini(&e.store);
}
END_TEST

START_TEST(full_window_and_gap_are_acknowledged_once)
{
    static struct end e;
    end_init(&e);
    end_serve(&e, KIRIM_TFTP_WRQ, end_window4);
    end_expect(&e, KIRIM_TFTP_OACK, 0);
    for (unsigned block = 1; block <= 4; block++) {
        end_expect_silence(&e);
        end_give(&e, KIRIM_TFTP_DATA, block, 512);
    }
    end_expect(&e, KIRIM_TFTP_ACK, 4);
    end_give(&e, KIRIM_TFTP_DATA, 5, 512);
    end_give(&e, KIRIM_TFTP_DATA, 7, 512);
    end_expect(&e, KIRIM_TFTP_ACK, 5);
    end_give(&e, KIRIM_TFTP_DATA, 8, 512);
    end_expect_silence(&e);
    for (unsigned block = 6; block <= 9; block++) {
        end_give(&e, KIRIM_TFTP_DATA, block, 512);
    }
    end_expect(&e, KIRIM_TFTP_ACK, 9);
    end_give(&e, KIRIM_TFTP_DATA, 10, 512);
    end_expire(&e); /* the rest of the window did not come */
    end_expect(&e, KIRIM_TFTP_ACK, 10);
    end_give(&e, KIRIM_TFTP_DATA, 11, 0);
    end_expect(&e, KIRIM_TFTP_ACK, 11);
    ck_assert_uint_eq(kit_find(&e.store, "f")->bytes, 5120);
    kirim_tftp_transfer_fail(&e.t, KIRIM_EABORTED, true); /* it has ended well */
    ck_assert_int_eq(e.t.state, KIRIM_TFTP_DONE);
    kit_store_fini(&e.store);
}
END_TEST

START_TEST(window_that_comes_again_is_given_a_moment)
{
    static struct end e;
    end_init(&e);
    end_serve(&e, KIRIM_TFTP_WRQ, end_window4);
    end_expect(&e, KIRIM_TFTP_OACK, 0);
    end_give(&e, KIRIM_TFTP_DATA, 1, 512);
    end_give(&e, KIRIM_TFTP_DATA, 2, 512);
    end_give(&e, KIRIM_TFTP_DATA, 1, 512);
    end_give(&e, KIRIM_TFTP_DATA, 2, 512);
    end_expect_silence(&e);
    ck_assert_uint_eq(e.t.deadline_ns - e.now, 20 * MS);
    end_expire(&e);
    end_expect(&e, KIRIM_TFTP_ACK, 2);
    kirim_tftp_transfer_fail(&e.t, KIRIM_EABORTED, true);
    end_expect(&e, KIRIM_TFTP_ERROR, 0);
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
    end_init(&e);
    e.server.upload_bytes_max = _i == 2 ? 600 : KIRIM_NEVER;
    end_serve(&e, KIRIM_TFTP_WRQ, end_no_options);
    end_expect(&e, KIRIM_TFTP_ACK, 0);
    end_give(&e, KIRIM_TFTP_DATA, 1, 512);
    end_expect(&e, KIRIM_TFTP_ACK, 1);
    e.store.bytes_max = _i == 1 ? 600 : KIRIM_NEVER;
    e.store.commit_err = _i == 3 ? KIRIM_ESYSTEM : KIRIM_OK;
    end_give(&e, KIRIM_TFTP_DATA, 2, _i == 0 ? 513 : 100);
    end_expect(&e, KIRIM_TFTP_ERROR, ends[_i].code);
    ck_assert_int_eq(e.t.err, ends[_i].err);
    end_give(&e, KIRIM_TFTP_DATA, 2, 100);
    end_expect_silence(&e);
    ck_assert_ptr_null(kit_find(&e.store, "f"));
    kit_store_fini(&e.store);
}
END_TEST

int main(void)
{
    const struct kit_claim claims[] = {
        { blocks_are_taken_and_the_last_ack_repeated, 0 },
        { repeated_acks_leave_the_sender_time, 0 },
        { full_window_and_gap_are_acknowledged_once, 0 },
        { window_that_comes_again_is_given_a_moment, 0 },
        { upload_that_fails_leaves_nothing, COUNT_OF(ends) },
        { NULL, 0 },
    };
    return kit_main("protocols/tftp receiver", claims);
}
