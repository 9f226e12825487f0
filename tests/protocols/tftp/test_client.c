/* SPDX-License-Identifier: MIT
 *
 * Claims about how a client's transfer begins, and what it makes of the answers.
 */
#include "end.h"

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
    end_init(&e);
    end_ask(&e, KIRIM_TFTP_RRQ, all);
    end_expect(&e, KIRIM_TFTP_RRQ, 0);
    end_give_text(&e, oacks[_i].data, oacks[_i].bytes);
    if (oacks[_i].is_good) {
        end_expect(&e, KIRIM_TFTP_ACK, 0);
        end_give(&e, KIRIM_TFTP_DATA, 1, 5);
        end_expect(&e, KIRIM_TFTP_ACK, 1);
        kirim_tftp_transfer_fail(&e.t, KIRIM_EABORTED, true);
        ck_assert_uint_eq(kit_find(&e.store, "f")->bytes, 5);
    } else {
        end_expect(&e, KIRIM_TFTP_ERROR, 8);
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
    end_init(&e);
    end_ask(&e, KIRIM_TFTP_RRQ, end_window4);
    end_expect(&e, KIRIM_TFTP_RRQ, 0);
    end_give_text(&e, oack, sizeof oack);
    end_expect(&e, KIRIM_TFTP_ERROR, 8);
    kit_store_fini(&e.store);
}
END_TEST

START_TEST(server_without_options_is_understood)
{
    static struct end e;
    end_init(&e);
    (void)kit_put_pattern(&e.store, "f", 600);
    end_ask(&e, KIRIM_TFTP_WRQ, all);
    end_expect(&e, KIRIM_TFTP_WRQ, 0);
    struct kirim_tftp_packet packet;
    const struct kirim_tftp_span wire = { e.out, e.out_bytes };
    ck_assert_int_eq(kirim_tftp_packet_read(wire, &packet), KIRIM_OK);
    ck_assert_uint_eq(packet.options.tsize, 600);
    end_give(&e, KIRIM_TFTP_DATA, 1, 0); /* no answer to a put */
    end_expect_silence(&e);
    end_ack(&e, 0);
    end_expect(&e, KIRIM_TFTP_DATA, 1);
    ck_assert_uint_eq(e.out_bytes, 516);
    end_expect_silence(&e);
    end_ack(&e, 1);
    end_expect(&e, KIRIM_TFTP_DATA, 2);
    end_ack(&e, 2);
    ck_assert_int_eq(e.t.state, KIRIM_TFTP_DONE);
    kit_store_fini(&e.store);
}
END_TEST

START_TEST(silent_server_is_given_up)
{
    static struct end e;
    end_init(&e);
    end_ask(&e, KIRIM_TFTP_RRQ, all);
    size_t count = 0;
    while (!kirim_tftp_transfer_has_ended(&e.t)) {
        count += end_take(&e) ? 1 : 0;
        end_expect_silence(&e);
        end_expire(&e);
    }
    ck_assert_uint_eq(count, 6); /* at 0, 1, 3, 7, 15 and 23 s */
    ck_assert_uint_eq(e.now, 31 * SECOND);
    ck_assert_int_eq(e.t.err, KIRIM_ETIMEDOUT);
    end_expect_silence(&e);
    ck_assert_uint_eq(e.store.opened_count, 0);
    kit_store_fini(&e.store);
}
END_TEST

START_TEST(error_ends_it_and_is_not_answered)
{
    static const char error[] = "\0\5\0\1not\033here";
    static struct end e;
    end_init(&e);
    if (_i == 0) {
        end_ask(&e, KIRIM_TFTP_RRQ, all);
        end_expect(&e, KIRIM_TFTP_RRQ, 0);
    } else {
        end_serve(&e, KIRIM_TFTP_WRQ, end_no_options);
        end_expect(&e, KIRIM_TFTP_ACK, 0);
        end_give(&e, KIRIM_TFTP_DATA, 1, 512);
        end_expect(&e, KIRIM_TFTP_ACK, 1);
    }
    end_give_text(&e, error, sizeof error);
    ck_assert_int_eq(e.t.err, KIRIM_TFTP_EREMOTE);
    ck_assert_uint_eq(e.t.peer_code, 1);
    ck_assert_str_eq(e.t.peer_text, "not?here");
    end_expect_silence(&e);
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
        { oack_holds_what_was_asked_for, COUNT_OF(oacks) },
        { option_that_was_not_asked_for_is_refused, 0 },
        { server_without_options_is_understood, 0 },
        { silent_server_is_given_up, 0 },
        { error_ends_it_and_is_not_answered, 2 },
        { impossible_wishes_are_refused, 0 },
        { NULL, 0 },
    };
    return kit_main("protocols/tftp client", claims);
}
