/* SPDX-License-Identifier: MIT
 *
 * Claims about who may be answered: nobody is at port 0, at the wildcard, at the address of many,
 * or at the endpoint's own; and sets of sessions hear of none of these. On the scripted reactor.
 */
#include "session_kit.h"

#include <stdlib.h>

enum { OWN_PORT = 4711 };

/* Where it comes from, to an endpoint of that port on the wildcard, and on one address. The
 * datagram was sent to 127.0.0.9, or to 2001:db8::9. */
struct claim {
    const char *from;
    bool on_wildcard, on_address, on_raw;
};

static const char *const asked_text[] = { "127.0.0.9", "2001:db8::9" };

static const struct claim claims[] = {
    { "192.0.2.1:1", true, true, true },
    { "192.0.2.1:4711", true, true, true }, /* another machine's */
    { "127.0.0.9:4712", true, true, true }, /* this machine's, another port */
    { "127.0.0.8:4711", true, true, true }, /* not the address that was asked */
    { "127.0.0.9:4711", false, false, true },
    { "192.0.2.1:0", false, false, true },
    { "0.0.0.0:53", false, false, false },
    { "0.0.0.1:53", true, true, true },
    { "223.255.255.255:53", true, true, true },
    { "224.0.0.1:53", false, false, false },
    { "239.255.255.255:53", false, false, false },
    { "240.0.0.1:53", true, true, true },
    { "255.255.255.254:53", true, true, true },
    { "255.255.255.255:53", false, false, false },
    { "[2001:db8::1]:4711", true, true, true },
    { "[2001:db8::9]:4712", true, true, true },
    { "[2001:db8::9]:4711", false, false, true },
    { "[2001:db8::1]:0", false, false, true },
    { "[::]:53", false, false, false },
    { "[::1]:53", true, true, true },
    { "[fe80::1]:53", true, true, true },
    { "[e000::1]:53", true, true, true },
    { "[ff02::1]:53", false, false, false },
    { "[ffff:ffff::1]:53", false, false, false },
};

static struct kirim_addr addr_of(const char *text)
{
    struct kirim_addr addr;
    KS_OK(kirim_addr_parse(text, &addr));
    return addr;
}

/* A set whose endpoint is at `local`, and gets what was sent to `asked`. */
static struct kit *kit_at(struct kirim_addr local, struct kirim_addr asked)
{
    struct kit *k = kit_new();
    k->endpoint.local = local;
    kirim_addr_set_port(&k->endpoint.local, OWN_PORT);
    kit_open(k);
    k->p->local = asked;
    return k;
}

static void judge(const struct claim *claim, struct kit *k, bool is_right)
{
    const struct kirim_addr from = addr_of(claim->from);
    const struct kirim_arrival arrival = { .local = k->p->local };
    struct kirim_datagram d = { .peer = from, .arrival = &arrival };
    struct kirim_endpoint *ep = kirim_sessions_endpoint(k->set);
    KS_EQ(is_right, kirim_endpoint_may_answer(ep, &d));
    k->p->port->is_raw = 1;
    KS_EQ(claim->on_raw, kirim_endpoint_may_answer(ep, &d));
    k->p->port->is_raw = 0;
    script_arrive_numbers(k->p, 1, 1, &from);
    ks_turn(&k->t);
    KS_EQ(is_right, k->peer_count);
    KS_EQ(!is_right, kit_stats(k).rx_forged);
    KS_EQ(!is_right, kit_stats(k).rx_dropped);
    kit_close(k);
}

START_TEST(nobody_is_where_nobody_can_be)
{
    const struct claim *claim = &claims[_i];
    const struct kirim_addr from = addr_of(claim->from);
    const int family = kirim_addr_family(&from);
    const struct kirim_addr asked = addr_of(asked_text[family == KIRIM_IPV6]);
    judge(claim, kit_at(ks_wildcard(family, 0), asked), claim->on_wildcard);
    judge(claim, kit_at(asked, asked), claim->on_address);
}
END_TEST

/* What the system does not tell cannot be compared; what was bound to can. */
START_TEST(own_address_that_is_not_told_is_the_bound_one)
{
    const struct kirim_addr asked = addr_of("127.0.0.9:4711");
    struct kit *k = kit_at(asked, asked);
    struct kirim_arrival arrival = { .local = asked };
    struct kirim_datagram d = { .peer = asked };
    KS_CHECK(!kirim_endpoint_may_answer(kirim_sessions_endpoint(k->set), &d));
    kit_close(k);
    k = kit_at(ks_wildcard(KIRIM_IPV4, 0), asked);
    KS_CHECK(kirim_endpoint_may_answer(kirim_sessions_endpoint(k->set), &d));
    d.arrival = &arrival;
    KS_CHECK(!kirim_endpoint_may_answer(kirim_sessions_endpoint(k->set), &d));
    d.flags = KIRIM_RX_NO_LOCAL;
    KS_CHECK(kirim_endpoint_may_answer(kirim_sessions_endpoint(k->set), &d));
    kit_close(k);
}
END_TEST

static void must_not_be_asked(const struct kirim_datagram *d, struct kirim_class *out, void *user)
{
    KS_EQ(1000 + 2, kirim_addr_port(&d->peer));
    out->verdict = KIRIM_CLASS_STATELESS;
    (void)user;
}

/* In the middle of a batch, and where all is for `stateless`. */
START_TEST(forged_ones_are_left_out_of_a_batch)
{
    struct kit *k = kit_new();
    k->options.classify = must_not_be_asked;
    kit_open(k);
    struct kirim_addr forged = kit_addr(2);
    kirim_addr_set_port(&forged, 0);
    kit_arrive(k, 2, 1);
    script_arrive_numbers(k->p, 2, 3, &forged);
    kit_arrive(k, 2, 5);
    ks_turn(&k->t);
    KS_EQ(2, k->stateless_count);
    KS_EQ(3, kit_stats(k).rx_forged);
    KS_EQ(3, kit_stats(k).rx_dropped);
    KS_EQ(2, kit_stats(k).rx_stateless);
    kit_close(k);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("who may be answered");
    TCase *tcase = tcase_create("answers");
    tcase_add_loop_test(tcase, nobody_is_where_nobody_can_be, 0,
                        (int)(sizeof claims / sizeof claims[0]));
    tcase_add_test(tcase, own_address_that_is_not_told_is_the_bound_one);
    tcase_add_test(tcase, forged_ones_are_left_out_of_a_batch);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed_count = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
