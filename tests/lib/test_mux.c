/* SPDX-License-Identifier: MIT
 *
 * Claims about lib/mux.c: every first byte of the table of RFC 7983 and RFC 9443, and tables of
 * one's own.
 */
#include <kirim/mux.h>

#include <check.h>
#include <stdlib.h>
#include <string.h>

/* Written anew from the figures of the two documents. */
static uint8_t expected_of(unsigned byte)
{
    return byte <= 3     ? KIRIM_MUX_STUN
           : byte <= 15  ? KIRIM_MUX_NONE
           : byte <= 19  ? KIRIM_MUX_ZRTP
           : byte <= 63  ? KIRIM_MUX_DTLS
           : byte <= 79  ? KIRIM_MUX_TURN
           : byte <= 127 ? KIRIM_MUX_QUIC
           : byte <= 191 ? KIRIM_MUX_RTP
                         : KIRIM_MUX_QUIC;
}

START_TEST(first_byte_tells_the_protocol)
{
    struct kirim_mux mux;
    const uint8_t data[2] = { (uint8_t)_i, 0 };
    kirim_mux_init_rfc7983(&mux);
    ck_assert_uint_eq(kirim_mux_find(&mux, data, 2), expected_of((unsigned)_i));
    ck_assert_uint_eq(kirim_mux_find(&mux, data, 1), expected_of((unsigned)_i));
}
END_TEST

START_TEST(second_byte_tells_rtcp_from_rtp)
{
    struct kirim_mux mux;
    kirim_mux_init_rfc7983(&mux);
    for (unsigned second = 0; second < 256; second++) {
        const uint8_t rtp[2] = { 0x80, (uint8_t)second };
        const uint8_t dtls[2] = { 22, (uint8_t)second };
        const bool is_rtcp = second >= 192 && second <= 223;
        ck_assert_uint_eq(kirim_mux_find(&mux, rtp, 2), is_rtcp ? KIRIM_MUX_RTCP : KIRIM_MUX_RTP);
        ck_assert_uint_eq(kirim_mux_find(&mux, dtls, 2), KIRIM_MUX_DTLS);
    }
}
END_TEST

START_TEST(empty_datagram_is_nobodys)
{
    struct kirim_mux mux;
    kirim_mux_init_rfc7983(&mux);
    ck_assert_uint_eq(kirim_mux_find(&mux, NULL, 0), KIRIM_MUX_NONE);
}
END_TEST

START_TEST(nothing_is_read_beyond_the_end)
{
    struct kirim_mux mux;
    const uint8_t data[2] = { 0x80, 200 };
    kirim_mux_init_rfc7983(&mux);
    ck_assert_uint_eq(kirim_mux_find(&mux, data, 1), KIRIM_MUX_RTP);
    ck_assert_uint_eq(kirim_mux_find(&mux, data, 2), KIRIM_MUX_RTCP);
}
END_TEST

START_TEST(range_is_given_once)
{
    struct kirim_mux mux = { { 0 } };
    struct kirim_mux before;
    ck_assert_int_eq(kirim_mux_add(&mux, 10, 20, KIRIM_MUX_OWN), KIRIM_OK);
    ck_assert_int_eq(kirim_mux_add(&mux, 15, 25, KIRIM_MUX_OWN), KIRIM_OK); /* the same */
    before = mux;
    ck_assert_int_eq(kirim_mux_add(&mux, 0, 10, KIRIM_MUX_OWN + 1), KIRIM_EEXIST);
    ck_assert_int_eq(kirim_mux_add(&mux, 25, 255, KIRIM_MUX_OWN + 1), KIRIM_EEXIST);
    ck_assert_int_eq(kirim_mux_add(&mux, 2, 1, KIRIM_MUX_OWN + 1), KIRIM_EINVAL);
    ck_assert_int_eq(kirim_mux_add(&mux, 1, 2, KIRIM_MUX_NONE), KIRIM_EINVAL);
    ck_assert_mem_eq(&mux, &before, sizeof mux);
    ck_assert_int_eq(kirim_mux_add(&mux, 0, 9, KIRIM_MUX_OWN + 1), KIRIM_OK);
    ck_assert_int_eq(kirim_mux_add(&mux, 26, 255, KIRIM_MUX_OWN + 1), KIRIM_OK);
    ck_assert_uint_eq(mux.protocol[9], KIRIM_MUX_OWN + 1);
    ck_assert_uint_eq(mux.protocol[10], KIRIM_MUX_OWN);
    ck_assert_uint_eq(mux.protocol[25], KIRIM_MUX_OWN);
    ck_assert_uint_eq(mux.protocol[255], KIRIM_MUX_OWN + 1);
}
END_TEST

int main(void)
{
    Suite *const suite = suite_create("mux");
    TCase *const t = tcase_create("mux");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, first_byte_tells_the_protocol, 0, 256);
    tcase_add_test(t, second_byte_tells_rtcp_from_rtp);
    tcase_add_test(t, empty_datagram_is_nobodys);
    tcase_add_test(t, nothing_is_read_beyond_the_end);
    tcase_add_test(t, range_is_given_once);
    suite_add_tcase(suite, t);
    SRunner *const runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed_count = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
