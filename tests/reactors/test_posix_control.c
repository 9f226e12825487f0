/* SPDX-License-Identifier: MIT
 *
 * Claims about reactors/posix_control.c: what a message says arrives, over loopback, in both
 * families and for IPv4 on a dual-stack socket. The receiving side is the judge: Linux accepts
 * control data of the wrong level and ignores it (L29).
 */
#include "support/posix_rig.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Ways for a datagram to travel. */
enum { WAY_IPV4, WAY_IPV6, WAY_MAPPED, WAY_COUNT };

static struct rig rig;
static struct ki_port *from;
static struct ki_port *to;
static struct kirim_addr at; /* where `to` is, seen from `from` */
static struct kirim_datagram batch[KI_BATCH_MAX];

static struct ki_port *port_at(const char *text, uint32_t flags)
{
    struct kirim_endpoint_options o = rig_at(text);
    o.flags = flags;
    return rig_port_with(&rig, &o);
}

/* Opens a pair of wildcard ports. False: the host lacks IPv6. */
static bool open_way(int way, uint32_t to_flags)
{
    script_reset();
    if (way != WAY_IPV4 && !rig_has_ipv6()) {
        return false;
    }
    rig_open(&rig, "epoll", NULL);
    const char *wildcard = way == WAY_IPV4 ? "0.0.0.0:0" : "[::]:0";
    const uint32_t dual = way == WAY_MAPPED ? (uint32_t)KIRIM_ENDPOINT_DUAL_STACK : 0;
    from = port_at(wildcard, dual);
    to = port_at(wildcard, dual | to_flags);
    at = rig_addr(way == WAY_IPV6 ? "[::1]:0" : "127.0.0.1:0");
    kirim_addr_set_port(&at, kirim_addr_port(&to->local));
    return true;
}

static void close_way(void)
{
    rig_port_close(&rig, from);
    rig_port_close(&rig, to);
    rig_close(&rig);
}

/* Sends one datagram with control data from `from` to `at`, and receives it. */
static const struct kirim_datagram *pass(const struct kirim_control *control)
{
    struct ki_entry e = rig_entry("x", 1, &at);
    struct ki_refusal why;
    e.control = control;
    ck_assert_uint_eq(rig_submit(&rig, from, &e, 1, &why), 1);
    ck_assert_uint_eq(rig_receive(&rig, to, batch, KI_BATCH_MAX), 1);
    return &batch[0];
}

START_TEST(reactor_says_that_it_can)
{
    const uint32_t wanted = KIRIM_CAP_SOURCE | KIRIM_CAP_ECN | KIRIM_CAP_TTL;
    ck_assert(open_way(WAY_IPV4, 0));
    ck_assert_uint_eq(rig.caps & wanted, wanted);
    close_way();
}
END_TEST

START_TEST(ecn_and_dscp_arrive)
{
    static const uint8_t dscps[] = { 0, 1, 46, 63 };
    if (!open_way(_i, KIRIM_ENDPOINT_RECEIVE_CONTROL)) {
        return;
    }
    for (uint8_t ecn = 0; ecn < 4; ecn++) {
        for (size_t i = 0; i < sizeof dscps; i++) {
            struct kirim_control control = KIRIM_CONTROL_INIT;
            control.ecn = ecn;
            control.dscp = dscps[i];
            ck_assert_uint_eq(pass(&control)->ecn, ecn);
        }
    }
    close_way();
}
END_TEST

START_TEST(ttl_arrives)
{
    static const uint8_t ttls[] = { 1, 2, 64, 255 };
    if (!open_way(_i, KIRIM_ENDPOINT_RECEIVE_CONTROL)) {
        return;
    }
    for (size_t i = 0; i < sizeof ttls; i++) {
        struct kirim_control control = KIRIM_CONTROL_INIT;
        control.ttl = ttls[i];
        const struct kirim_datagram *d = pass(&control);
        ck_assert_ptr_nonnull(d->arrival);
        ck_assert_uint_eq(d->arrival->ttl, ttls[i]);
        ck_assert_uint_eq(d->ecn, 0);
    }
    close_way();
}
END_TEST

START_TEST(wildcard_port_is_told_the_local_address)
{
    if (!open_way(_i, 0)) {
        return;
    }
    const struct kirim_datagram *d = pass(NULL);
    ck_assert_ptr_nonnull(d->arrival);
    ck_assert(kirim_addr_equal(&d->arrival->local, &at));
    ck_assert_uint_ne(d->arrival->ifindex, 0);
    ck_assert_uint_eq(d->arrival->ttl, 0); /* nobody asked */
    ck_assert_uint_eq(d->flags, 0);
    close_way();
}
END_TEST

START_TEST(source_is_the_one_that_was_named) /* S7, S8, S9, L34 */
{
    if (!open_way(_i, 0)) {
        return;
    }
    struct kirim_control control = KIRIM_CONTROL_INIT;
    control.source = rig_addr(_i == WAY_IPV6 ? "[::1]:0" : "127.0.0.5:0");
    const struct kirim_datagram *d = pass(&control);
    struct kirim_addr wanted = control.source;
    kirim_addr_set_port(&wanted, kirim_addr_port(&from->local));
    ck_assert(kirim_addr_equal(&d->peer, &wanted));
    close_way();
}
END_TEST

START_TEST(source_goes_with_an_interface)
{
    if (!open_way(_i, 0)) {
        return;
    }
    struct kirim_control control = KIRIM_CONTROL_INIT;
    control.ifindex = pass(NULL)->arrival->ifindex;
    control.source = rig_addr(_i == WAY_IPV6 ? "[::1]:0" : "127.0.0.5:0");
    const struct kirim_datagram *d = pass(&control);
    struct kirim_addr wanted = control.source;
    kirim_addr_set_port(&wanted, kirim_addr_port(&from->local));
    ck_assert(kirim_addr_equal(&d->peer, &wanted));
    ck_assert_uint_eq(d->arrival->ifindex, control.ifindex);
    close_way();
}
END_TEST

START_TEST(source_of_another_host_is_refused)
{
    if (!open_way(_i, 0)) {
        return;
    }
    struct kirim_control control = KIRIM_CONTROL_INIT;
    struct ki_entry e = rig_entry("x", 1, &at);
    struct ki_refusal why;
    control.source = rig_addr(_i == WAY_IPV6 ? "[2001:db8::1]:0" : "192.0.2.1:0");
    e.control = &control;
    ck_assert_uint_eq(rig_submit(&rig, from, &e, 1, &why), 0);
    ck_assert_int_lt(why.err, 0);
    ck_assert_int_ne(why.err, KIRIM_EWOULDBLOCK);
    close_way();
}
END_TEST

START_TEST(all_fields_arrive_together)
{
    if (!open_way(_i, KIRIM_ENDPOINT_RECEIVE_CONTROL)) {
        return;
    }
    struct kirim_control control = KIRIM_CONTROL_INIT;
    control.source = rig_addr(_i == WAY_IPV6 ? "[::1]:0" : "127.0.0.9:0");
    control.ecn = 3;
    control.dscp = 10;
    control.ttl = 77;
    const struct kirim_datagram *d = pass(&control);
    struct kirim_addr wanted = control.source;
    kirim_addr_set_port(&wanted, kirim_addr_port(&from->local));
    ck_assert(kirim_addr_equal(&d->peer, &wanted));
    ck_assert(kirim_addr_equal(&d->arrival->local, &at));
    ck_assert_uint_eq(d->arrival->ttl, 77);
    ck_assert_uint_eq(d->ecn, 3);
    ck_assert_uint_eq(d->flags, 0); /* all of it fits */
    close_way();
}
END_TEST

START_TEST(control_data_holds_for_its_own_entry_only)
{
    if (!open_way(_i, KIRIM_ENDPOINT_RECEIVE_CONTROL)) {
        return;
    }
    struct kirim_control marked = KIRIM_CONTROL_INIT;
    const struct kirim_control nothing = KIRIM_CONTROL_INIT;
    struct ki_entry e[4];
    struct ki_refusal why;
    marked.ecn = 2;
    for (int i = 0; i < 4; i++) {
        e[i] = rig_entry("x", 1, &at);
    }
    e[1].control = &marked;
    e[2].control = &nothing;
    ck_assert_uint_eq(rig_submit(&rig, from, e, 4, &why), 4);
    e[1].control = NULL;
    ck_assert_uint_eq(rig_submit(&rig, from, e, 4, &why), 4);
    ck_assert_uint_eq(rig_receive(&rig, to, batch, KI_BATCH_MAX), 8);
    for (int i = 0; i < 8; i++) {
        ck_assert_uint_eq(batch[i].ecn, i == 1 ? 2 : 0);
    }
    close_way();
}
END_TEST

START_TEST(connected_port_sends_control_data_of_its_peers_family)
{
    if (!open_way(_i, KIRIM_ENDPOINT_RECEIVE_CONTROL)) {
        return;
    }
    struct kirim_endpoint_options o = KIRIM_ENDPOINT_OPTIONS_INIT;
    struct kirim_control control = KIRIM_CONTROL_INIT;
    struct ki_entry e = rig_entry("x", 1, NULL);
    struct ki_refusal why;
    o.peer = at;
    struct ki_port *p = rig_port_with(&rig, &o);
    control.ecn = 1;
    e.control = &control;
    ck_assert_uint_eq(rig_submit(&rig, p, &e, 1, &why), 1);
    ck_assert_uint_eq(rig_receive(&rig, to, batch, KI_BATCH_MAX), 1);
    ck_assert_uint_eq(batch[0].ecn, 1);
    rig_port_close(&rig, p);
    close_way();
}
END_TEST

START_TEST(bound_port_pays_nothing)
{
    ck_assert(open_way(WAY_IPV4, 0));
    struct ki_port *bound = rig_port(&rig, KIRIM_IPV4);
    const struct ki_posix_port *p = (const struct ki_posix_port *)bound;
    ck_assert_uint_eq(p->has_control, 0);
    rig_send(&rig, from, "x", 1, &bound->local);
    ck_assert_uint_eq(rig_receive(&rig, bound, batch, KI_BATCH_MAX), 1);
    ck_assert_ptr_null(batch[0].arrival);
    rig_port_close(&rig, bound);
    close_way();
}
END_TEST

START_TEST(bound_port_that_asks_is_told)
{
    struct kirim_control control = KIRIM_CONTROL_INIT;
    ck_assert(open_way(WAY_IPV4, 0));
    rig_port_close(&rig, to);
    to = port_at("127.0.0.1:0", KIRIM_ENDPOINT_RECEIVE_CONTROL);
    at = to->local;
    control.ecn = 1;
    const struct kirim_datagram *d = pass(&control);
    ck_assert_uint_eq(d->ecn, 1);
    ck_assert(kirim_addr_equal(&d->arrival->local, &at)); /* it can be no other */
    ck_assert_uint_eq(d->flags, 0);
    close_way();
}
END_TEST

START_TEST(local_address_that_was_not_told_is_flagged)
{
    script_reset();
    rig_open(&rig, "epoll", NULL);
    script_break(SCRIPT_SETSOCKOPT, ENOPROTOOPT);
    from = port_at("0.0.0.0:0", 0);
    to = port_at("0.0.0.0:0", 0);
    script_break(SCRIPT_SETSOCKOPT, 0);
    at = rig_addr("127.0.0.1:0");
    kirim_addr_set_port(&at, kirim_addr_port(&to->local));
    const struct kirim_datagram *d = pass(NULL);
    ck_assert_uint_eq(d->flags, KIRIM_RX_NO_LOCAL);
    ck_assert_int_eq(kirim_addr_family(&d->arrival->local), KIRIM_FAMILY_NONE);
    close_way();
}
END_TEST

START_TEST(local_address_of_a_broadcast_is_one_to_answer_from)
{
    ck_assert(open_way(WAY_IPV4, 0));
    rig_port_close(&rig, from);
    from = port_at("0.0.0.0:0", KIRIM_ENDPOINT_BROADCAST);
    at = rig_addr("127.255.255.255:0");
    kirim_addr_set_port(&at, kirim_addr_port(&to->local));
    const struct kirim_datagram *d = pass(NULL);
    struct kirim_addr wanted = rig_addr("127.0.0.1:0");
    kirim_addr_set_port(&wanted, kirim_addr_port(&to->local));
    ck_assert(kirim_addr_equal(&d->arrival->local, &wanted));
    close_way();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("reactors/posix_control");
    TCase *tcase = tcase_create("control");
    tcase_add_test(tcase, reactor_says_that_it_can);
    tcase_add_loop_test(tcase, ecn_and_dscp_arrive, 0, WAY_COUNT);
    tcase_add_loop_test(tcase, ttl_arrives, 0, WAY_COUNT);
    tcase_add_loop_test(tcase, wildcard_port_is_told_the_local_address, 0, WAY_COUNT);
    tcase_add_loop_test(tcase, source_is_the_one_that_was_named, 0, WAY_COUNT);
    tcase_add_loop_test(tcase, source_goes_with_an_interface, 0, WAY_COUNT);
    tcase_add_loop_test(tcase, source_of_another_host_is_refused, 0, WAY_COUNT);
    tcase_add_loop_test(tcase, all_fields_arrive_together, 0, WAY_COUNT);
    tcase_add_loop_test(tcase, control_data_holds_for_its_own_entry_only, 0, WAY_COUNT);
    tcase_add_loop_test(tcase, connected_port_sends_control_data_of_its_peers_family, 0, WAY_COUNT);
    tcase_add_test(tcase, bound_port_pays_nothing);
    tcase_add_test(tcase, bound_port_that_asks_is_told);
    tcase_add_test(tcase, local_address_that_was_not_told_is_flagged);
    tcase_add_test(tcase, local_address_of_a_broadcast_is_one_to_answer_from);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed_count = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
