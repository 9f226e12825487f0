/* SPDX-License-Identifier: MIT
 *
 * Claims about don't-fragment and the path MTU in the simulator: what a narrow link does to
 * endpoints that keep their datagrams whole, and what a host knows of it.
 */
#include "sim_kit.h"

enum {
    MTU = 1400,
    MOST_IPV4 = MTU - 28, /* payload that fits */
    MOST_IPV6 = MTU - 48,
    LARGEST_IPV4 = 65535, /* MTU of a network without one */
    LARGEST_IPV6 = 65575
};

static const char *const peers[] = { "10.0.0.2:1", "[2001:db8::2]:1" };
static const uint32_t most[] = { MOST_IPV4, MOST_IPV6 };

/* Two hosts, and an endpoint with both stacks on the first. */
struct pair {
    struct kit k;
    struct kit_host *host;
    struct kit_end *a, *b;
};

static void set_link(struct pair *p, uint32_t mtu, uint32_t action)
{
    kit_link(&p->k, p->host, &p->k.hosts[1],
             (struct kirim_link_rules){ .size = sizeof(struct kirim_link_rules),
                                        .delay_ns = 50 * US,
                                        .mtu = mtu,
                                        .mtu_action = action });
}

static void pair_open(struct pair *p, uint32_t flags, uint32_t action)
{
    kit_open(&p->k, 1);
    p->host = kit_host(&p->k, "a", "10.0.0.1", "2001:db8::1");
    struct kit_host *other = kit_host(&p->k, "b", "10.0.0.2", "2001:db8::2");
    set_link(p, MTU, action);
    p->a = kit_bind(p->host, "[::]:1", KIRIM_ENDPOINT_DUAL_STACK | flags);
    p->b = kit_bind(other, "[::]:1", KIRIM_ENDPOINT_DUAL_STACK);
}

static uint32_t path_mtu(const struct kit_end *end, const char *peer)
{
    const struct kirim_addr addr = kit_addr(peer);
    uint32_t mtu = 0;
    ck_assert_int_eq(kirim_endpoint_path_mtu(end->ep, &addr, &mtu), KIRIM_OK);
    return mtu;
}

/* ---- endpoints ------------------------------------------------------------------------------- */

static const uint32_t modes[] = { KIRIM_ENDPOINT_DONT_FRAGMENT, KIRIM_ENDPOINT_PROBE_MTU };

START_TEST(mtu_of_the_own_interface_limits_whole_endpoints)
{
    struct pair p;
    pair_open(&p, modes[_i], KIRIM_SIM_MTU_FRAGMENT);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(kit_try_send(p.a, most[i], peers[i], NULL), KIRIM_OK);
        ck_assert_int_eq(kit_try_send(p.a, most[i] + 1, peers[i], NULL), KIRIM_EMSGSIZE);
    }
    kit_run(&p.k, MS);
    ck_assert_uint_eq(p.b->rx_count, 2);
    ck_assert_uint_eq(p.a->failed_count, 0);
    kit_close(&p.k);
}
END_TEST

START_TEST(whole_endpoint_is_limited_by_what_was_reported)
{
    struct pair p;
    pair_open(&p, KIRIM_ENDPOINT_DONT_FRAGMENT, KIRIM_SIM_MTU_REPORT);
    ck_assert_int_eq(kit_try_send(p.a, MOST_IPV4 + 1, peers[0], NULL), KIRIM_OK); /* who knows? */
    kit_run(&p.k, MS);
    ck_assert_uint_eq(p.a->failed_count, 1);
    ck_assert_uint_eq(p.a->event.path_mtu, MTU);
    ck_assert_int_eq(kit_try_send(p.a, MOST_IPV4 + 1, peers[0], NULL), KIRIM_EMSGSIZE);
    ck_assert_int_eq(kit_try_send(p.a, MOST_IPV4, peers[0], NULL), KIRIM_OK);
    kit_run(&p.k, MS);
    ck_assert_uint_eq(p.b->rx_count, 1);
    ck_assert_uint_eq(p.a->failed_count, 1);
    kit_close(&p.k);
}
END_TEST

START_TEST(whole_datagram_is_limited_by_what_was_reported)
{
    struct kirim_control whole = KIRIM_CONTROL_INIT;
    struct pair p;
    whole.flags = KIRIM_CONTROL_DONT_FRAGMENT;
    pair_open(&p, 0, KIRIM_SIM_MTU_REPORT);
    ck_assert_int_eq(kit_try_send(p.a, MOST_IPV4 + 1, peers[0], &whole), KIRIM_OK);
    kit_run(&p.k, MS);
    ck_assert_int_eq(kit_try_send(p.a, MOST_IPV4 + 1, peers[0], &whole), KIRIM_EMSGSIZE);
    ck_assert_int_eq(kit_try_send(p.a, MOST_IPV4 + 1, peers[0], NULL), KIRIM_OK);
    kit_run(&p.k, MS);
    ck_assert_uint_eq(p.a->failed_count, 2); /* lost, and reported once more */
    kit_close(&p.k);
}
END_TEST

START_TEST(probing_endpoint_goes_on_to_ask_the_network)
{
    struct pair p;
    pair_open(&p, KIRIM_ENDPOINT_PROBE_MTU, KIRIM_SIM_MTU_REPORT);
    for (size_t i = 1; i <= 3; i++) {
        ck_assert_int_eq(kit_try_send(p.a, MOST_IPV4 + 1, peers[0], NULL), KIRIM_OK);
        kit_run(&p.k, MS);
        ck_assert_uint_eq(p.a->failed_count, i);
        ck_assert_int_eq(p.a->event.err, KIRIM_EMSGSIZE);
    }
    set_link(&p, MTU, KIRIM_SIM_MTU_BLACK_HOLE);
    ck_assert_int_eq(kit_try_send(p.a, MOST_IPV4 + 1, peers[0], NULL), KIRIM_OK);
    kit_run(&p.k, MS);
    ck_assert_uint_eq(p.a->failed_count, 3); /* silence */
    ck_assert_uint_eq(p.b->rx_count, 0);
    kit_close(&p.k);
}
END_TEST

/* ---- what a host knows ----------------------------------------------------------------------- */

START_TEST(path_mtu_is_that_of_the_own_interface)
{
    static const uint32_t actions[] = { KIRIM_SIM_MTU_ERROR, KIRIM_SIM_MTU_FRAGMENT };
    struct pair p;
    pair_open(&p, 0, actions[_i]);
    ck_assert_uint_eq(path_mtu(p.a, peers[0]), MTU);
    ck_assert_uint_eq(path_mtu(p.a, peers[1]), MTU);
    ck_assert_uint_eq(path_mtu(p.b, "10.0.0.1:1"), LARGEST_IPV4); /* the other direction */
    ck_assert_uint_eq(path_mtu(p.a, "127.0.0.1:1"), LARGEST_IPV4);
    ck_assert_uint_eq(path_mtu(p.a, "[::1]:1"), LARGEST_IPV6);
    ck_assert_uint_eq(kit_stats(&p.k).sent, 0);
    kit_close(&p.k);
}
END_TEST

START_TEST(path_mtu_further_on_is_known_once_it_was_reported)
{
    struct pair p;
    pair_open(&p, 0, KIRIM_SIM_MTU_REPORT);
    ck_assert_uint_eq(path_mtu(p.a, peers[0]), LARGEST_IPV4);
    kit_send_bytes(p.a, MOST_IPV4 + 1, peers[0]);
    kit_run(&p.k, 90 * US);
    ck_assert_uint_eq(path_mtu(p.a, peers[0]), LARGEST_IPV4); /* the report is under way */
    kit_run(&p.k, MS);
    ck_assert_uint_eq(path_mtu(p.a, peers[0]), MTU);
    ck_assert_uint_eq(path_mtu(p.b, "10.0.0.1:1"), LARGEST_IPV4);
    set_link(&p, MTU + 100, KIRIM_SIM_MTU_REPORT); /* another way, of which nothing is known */
    ck_assert_uint_eq(path_mtu(p.a, peers[0]), LARGEST_IPV4);
    kit_close(&p.k);
}
END_TEST

START_TEST(black_hole_never_tells_its_mtu)
{
    struct pair p;
    pair_open(&p, 0, KIRIM_SIM_MTU_BLACK_HOLE);
    kit_send_bytes(p.a, MOST_IPV4 + 1, peers[0]);
    kit_run(&p.k, MS);
    ck_assert_uint_eq(path_mtu(p.a, peers[0]), LARGEST_IPV4);
    kit_close(&p.k);
}
END_TEST

START_TEST(path_mtu_of_nobody_is_unreachable)
{
    const struct kirim_addr nobody = kit_addr("10.9.9.9:1");
    const struct kirim_addr broadcast = kit_addr("127.255.255.255:1");
    struct pair p;
    uint32_t mtu = 77;
    pair_open(&p, 0, KIRIM_SIM_MTU_ERROR);
    ck_assert_int_eq(kirim_endpoint_path_mtu(p.a->ep, &nobody, &mtu), KIRIM_ENETUNREACH);
    ck_assert_int_eq(kirim_endpoint_path_mtu(p.a->ep, &broadcast, &mtu), KIRIM_EACCES);
    ck_assert_uint_eq(mtu, 77);
    kit_close(&p.k);
}
END_TEST

int main(void)
{
    const struct kit_claim claims[] = {
        { mtu_of_the_own_interface_limits_whole_endpoints, 2 },
        { whole_endpoint_is_limited_by_what_was_reported, 0 },
        { whole_datagram_is_limited_by_what_was_reported, 0 },
        { probing_endpoint_goes_on_to_ask_the_network, 0 },
        { path_mtu_is_that_of_the_own_interface, 2 },
        { path_mtu_further_on_is_known_once_it_was_reported, 0 },
        { black_hole_never_tells_its_mtu, 0 },
        { path_mtu_of_nobody_is_unreachable, 0 },
        { NULL, 0 },
    };
    return kit_main("sim_mtu", claims);
}
