/* SPDX-License-Identifier: MIT
 *
 * Claims about reactors/posix_train.c: what is found out about segmentation and receive offload,
 * and what becomes of it in a port.
 */
#include "support/posix_rig.h"

#include <check.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <unistd.h>

enum { BOTH = KIRIM_CAP_TRAINS | KIRIM_CAP_COALESCED, SEGMENTS_OF_OLD = 64 };

static struct rig rig;

static uint64_t segments_max(void)
{
    return ((struct ki_posix *)(void *)rig.reactor)->segments_max;
}

static int option_of(const struct ki_port *p, int name)
{
    int value = -1;
    socklen_t bytes = sizeof value;
    ck_assert_int_eq(getsockopt((int)p->descriptor, IPPROTO_UDP, name, &value, &bytes), 0);
    return value;
}

/* What this system can: 0 where it is too old for any of it. */
static uint32_t expected(void)
{
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int value;
    socklen_t bytes = sizeof value;
    uint32_t caps = 0;
    ck_assert_int_ge(fd, 0);
    caps |= getsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &value, &bytes) == 0 ? KIRIM_CAP_TRAINS : 0U;
    caps |= getsockopt(fd, IPPROTO_UDP, UDP_GRO, &value, &bytes) == 0 ? KIRIM_CAP_COALESCED : 0U;
    (void)close(fd);
    return caps;
}

static void check_caps(uint32_t wanted)
{
    ck_assert_uint_eq(rig.caps & BOTH, wanted & expected());
    ck_assert_int_eq(segments_max() > 1, (wanted & expected() & KIRIM_CAP_TRAINS) != 0);
    struct ki_port *p = rig_port(&rig, KIRIM_IPV4);
    if (expected() == BOTH) {
        ck_assert_int_eq(option_of(p, UDP_GRO), (wanted & KIRIM_CAP_COALESCED) != 0);
        ck_assert_int_eq(option_of(p, UDP_SEGMENT), 0); /* L8 */
    }
    rig_port_close(&rig, p);
    rig_close(&rig);
}

START_TEST(what_the_system_can_is_found_out)
{
    script_reset();
    rig_open(&rig, _i == 0 ? "epoll" : "select", NULL);
    check_caps(BOTH);
}
END_TEST

START_TEST(options_that_cannot_be_asked_for_are_not_there) /* L25 */
{
    script_reset();
    script_break(SCRIPT_GETSOCKOPT, ENOPROTOOPT);
    rig_open(&rig, "epoll", NULL);
    script_break(SCRIPT_GETSOCKOPT, 0);
    check_caps(0);
}
END_TEST

START_TEST(one_send_tells_how_many_segments_there_may_be)
{
    if ((expected() & KIRIM_CAP_TRAINS) == 0) {
        return;
    }
    script_reset();
    script_break(SCRIPT_SENDMSG, EINVAL);
    rig_open(&rig, "epoll", NULL);
    script_break(SCRIPT_SENDMSG, 0);
    ck_assert_uint_eq(segments_max(), SEGMENTS_OF_OLD);
    check_caps(BOTH);
}
END_TEST

START_TEST(the_environment_switches_it_off)
{
    const bool is_out_off = (_i & 1) != 0;
    const bool is_in_off = (_i & 2) != 0;
    ck_assert_int_eq(setenv("KIRIM_GSO", is_out_off ? "0" : "1", 1), 0);
    ck_assert_int_eq(setenv("KIRIM_GRO", is_in_off ? "0" : "1", 1), 0);
    script_reset();
    rig_open(&rig, "epoll", NULL);
    check_caps((is_out_off ? 0 : (uint32_t)KIRIM_CAP_TRAINS) |
               (is_in_off ? 0 : (uint32_t)KIRIM_CAP_COALESCED));
    ck_assert_int_eq(unsetenv("KIRIM_GSO"), 0);
    ck_assert_int_eq(unsetenv("KIRIM_GRO"), 0);
}
END_TEST

START_TEST(nothing_is_asked_for_if_both_are_off)
{
    ck_assert_int_eq(setenv("KIRIM_GSO", "0", 1), 0);
    ck_assert_int_eq(setenv("KIRIM_GRO", "0", 1), 0);
    script_reset();
    script_break(SCRIPT_BIND, EADDRNOTAVAIL); /* the probe would say so in the log */
    rig_open(&rig, "epoll", NULL);
    script_break(SCRIPT_BIND, 0);
    check_caps(0);
}
END_TEST

START_TEST(without_a_loopback_there_is_nothing)
{
    static const enum script_call calls[] = { SCRIPT_BIND, SCRIPT_CONNECT, SCRIPT_GETSOCKNAME };
    script_reset();
    script_break(calls[_i], EADDRNOTAVAIL);
    rig_open(&rig, "epoll", NULL);
    script_break(calls[_i], 0);
    check_caps(0);
}
END_TEST

START_TEST(slots_have_to_hold_a_whole_train) /* L23 */
{
    struct kirim_loop_options options = KIRIM_LOOP_OPTIONS_INIT;
    options.datagram_bytes_max = 65534 + (uint32_t)_i;
    script_reset();
    rig_open(&rig, "epoll", &options);
    check_caps(_i == 0 ? (uint32_t)KIRIM_CAP_TRAINS : (uint32_t)BOTH);
}
END_TEST

START_TEST(a_port_may_do_without)
{
    struct kirim_endpoint_options o = rig_at("127.0.0.1:0");
    o.flags = KIRIM_ENDPOINT_NO_COALESCING;
    script_reset();
    rig_open(&rig, "epoll", NULL);
    struct ki_port *p = rig_port_with(&rig, &o);
    if ((expected() & KIRIM_CAP_COALESCED) != 0) {
        ck_assert_int_eq(option_of(p, UDP_GRO), 0);
    }
    rig_port_close(&rig, p);
    rig_close(&rig);
}
END_TEST

START_TEST(a_port_that_cannot_be_switched_is_served_all_the_same)
{
    script_reset();
    rig_open(&rig, "epoll", NULL);
    struct ki_port *from = rig_port(&rig, KIRIM_IPV4);
    script_break(SCRIPT_SETSOCKOPT, ENOPROTOOPT);
    struct kirim_endpoint_options o = rig_at("127.0.0.1:0");
    struct kirim_datagram d[2];
    struct ki_port *p = rig_port_with(&rig, &o);
    script_break(SCRIPT_SETSOCKOPT, 0);
    rig_send_numbers(&rig, from, p, 0, 2);
    ck_assert_uint_eq(rig_receive(&rig, p, d, 2), 2);
    rig_check_numbers(d, 0, 2);
    rig_port_close(&rig, p);
    rig_port_close(&rig, from);
    rig_close(&rig);
}
END_TEST

START_TEST(no_failing_call_leaves_a_descriptor)
{
    struct kirim_loop_options options = KIRIM_LOOP_OPTIONS_INIT;
    struct kirim_loop *loop = NULL;
    script_reset();
    options.reactor = "epoll";
    options.system_calls = script_table();
    ck_assert_int_eq(kirim_loop_open(&options, &loop), KIRIM_OK);
    ck_assert_int_eq(kirim_loop_close(loop), KIRIM_OK);
    const uint64_t total = script_total();
    for (uint64_t n = 1; n <= total; n++) {
        script_reset();
        script_fail_at(n, EMFILE);
        const kirim_err err = kirim_loop_open(&options, &loop);
        script_fail_at(0, 0);
        if (err == KIRIM_OK) {
            ck_assert_int_eq(kirim_loop_close(loop), KIRIM_OK);
        }
        ck_assert_int_eq(script_open_descriptors(), 0);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("reactors/posix_train");
    TCase *tcase = tcase_create("train");
    tcase_add_loop_test(tcase, what_the_system_can_is_found_out, 0, 2);
    tcase_add_test(tcase, options_that_cannot_be_asked_for_are_not_there);
    tcase_add_test(tcase, one_send_tells_how_many_segments_there_may_be);
    tcase_add_loop_test(tcase, the_environment_switches_it_off, 0, 4);
    tcase_add_test(tcase, nothing_is_asked_for_if_both_are_off);
    tcase_add_loop_test(tcase, without_a_loopback_there_is_nothing, 0, 3);
    tcase_add_loop_test(tcase, slots_have_to_hold_a_whole_train, 0, 2);
    tcase_add_test(tcase, a_port_may_do_without);
    tcase_add_test(tcase, a_port_that_cannot_be_switched_is_served_all_the_same);
    tcase_add_test(tcase, no_failing_call_leaves_a_descriptor);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed_count = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
