/* SPDX-License-Identifier: MIT
 *
 * Claims about address translators: what they map, whom they let in, and how mappings end.
 */
#include "sim_kit.h"

#include <string.h>

#define COUNT_OF(array) ((int)(sizeof(array) / sizeof((array)[0])))

/* "in" and "beside" stand behind a translator, "out" and "far" do not; each has an endpoint. */
struct scene {
    struct kit k;
    struct kirim_sim_nat *nat;
    struct kit_host *inner, *beside, *outer, *far;
    struct kit_end *in, *near, *out, *out_too, *other;
};

static struct kirim_sim_nat *add_nat(struct kit *k, const char *name, const char *first,
                                     const char *second, uint32_t mapping, uint32_t filtering)
{
    struct kirim_sim_nat_options options = KIRIM_SIM_NAT_OPTIONS_INIT;
    const struct kirim_addr addrs[2] = { kit_addr(first), kit_addr(second) };
    struct kirim_sim_nat *nat = NULL;
    options.name = name;
    options.addrs = addrs;
    options.addr_count = second != NULL ? 2 : 1;
    options.mapping = mapping;
    options.filtering = filtering;
    ck_assert_int_eq(kirim_sim_nat_add(k->sim, &options, &nat), KIRIM_OK);
    return nat;
}

static void attach(struct kirim_sim_nat *nat, const struct kit_host *h)
{
    ck_assert_int_eq(kirim_sim_nat_attach(nat, h->host), KIRIM_OK);
}

static void scene_open(struct scene *s, uint32_t mapping, uint32_t filtering)
{
    struct kit *k = &s->k;
    kit_open(k, 1);
    s->nat = add_nat(k, "nat", "198.51.100.1", "198.51.100.2", mapping, filtering);
    s->inner = kit_host(k, "in", "10.0.0.1", "2001:db8::1");
    s->beside = kit_host(k, "beside", "10.0.0.2", NULL);
    s->outer = kit_host(k, "out", "203.0.113.1", "2001:db8::2");
    s->far = kit_host(k, "far", "203.0.113.2", NULL);
    attach(s->nat, s->inner);
    attach(s->nat, s->beside);
    s->in = kit_bind(s->inner, "10.0.0.1:5000", 0);
    s->near = kit_bind(s->beside, "10.0.0.2:5000", 0);
    s->out = kit_bind(s->outer, "203.0.113.1:7", 0);
    s->out_too = kit_bind(s->outer, "203.0.113.1:8", 0);
    s->other = kit_bind(s->far, "203.0.113.2:7", 0);
}

/* Sends `text`, and gives it a while. */
static void say(struct scene *s, struct kit_end *end, const char *text, const char *to)
{
    kit_send(end, text, to);
    kit_run(&s->k, MS);
}

static void answer(struct scene *s, struct kit_end *end, const char *text,
                   const struct kirim_addr *to)
{
    ck_assert_int_eq(kirim_endpoint_send_to(end->ep, text, strlen(text), to), KIRIM_OK);
    kit_run(&s->k, MS);
}

/* Who sent what the endpoint received last. */
static struct kirim_addr last_peer(const struct kit_end *end)
{
    ck_assert_uint_gt(end->rx_count, 0);
    return end->rx[end->rx_count - 1].peer;
}

static bool is_of(const struct kirim_addr *addr, const char *host)
{
    struct kirim_addr wanted = kit_addr(host);
    kirim_addr_set_port(&wanted, kirim_addr_port(addr));
    return kirim_addr_equal(addr, &wanted);
}

/* ---- mapping --------------------------------------------------------------------------------- */

START_TEST(peer_sees_the_outer_address_and_answers_reach_the_inner_one)
{
    struct scene s;
    scene_open(&s, 0, 2);
    say(&s, s.in, "hello", "203.0.113.1:7");
    const struct kirim_addr seen = last_peer(s.out);
    ck_assert(is_of(&seen, "198.51.100.1"));
    ck_assert_uint_ge(kirim_addr_port(&seen), 1024);
    answer(&s, s.out, "welcome", &seen);
    kit_expect(s.in, "welcome", "203.0.113.1:7");
    say(&s, s.in, "again", "203.0.113.1:7");
    const struct kirim_addr same = last_peer(s.out);
    ck_assert(kirim_addr_equal(&seen, &same));
    ck_assert_uint_eq(kit_stats(&s.k).nat_dropped, 0);
    kit_close(&s.k);
}
END_TEST

START_TEST(two_hosts_have_two_mappings)
{
    struct scene s;
    scene_open(&s, 0, 2);
    say(&s, s.in, "a", "203.0.113.1:7");
    const struct kirim_addr first = last_peer(s.out);
    say(&s, s.near, "b", "203.0.113.1:7");
    const struct kirim_addr second = last_peer(s.out);
    ck_assert(is_of(&second, "198.51.100.1"));
    ck_assert_uint_ne(kirim_addr_port(&first), kirim_addr_port(&second));
    answer(&s, s.out, "to b", &second);
    kit_expect(s.near, "to b", NULL);
    ck_assert_uint_eq(s.in->rx_count, 0);
    kit_close(&s.k);
}
END_TEST

START_TEST(mapping_depends_on_what_it_should)
{
    static const bool is_other_for_port[] = { false, false, true };
    static const bool is_other_for_address[] = { false, true, true };
    struct scene s;
    scene_open(&s, (uint32_t)_i, 0);
    say(&s, s.in, "x", "203.0.113.1:7");
    say(&s, s.in, "x", "203.0.113.1:8");
    say(&s, s.in, "x", "203.0.113.2:7");
    const struct kirim_addr first = last_peer(s.out);
    const struct kirim_addr port = last_peer(s.out_too);
    const struct kirim_addr address = last_peer(s.other);
    ck_assert_int_eq(!kirim_addr_equal(&first, &port), is_other_for_port[_i]);
    ck_assert_int_eq(!kirim_addr_equal(&first, &address), is_other_for_address[_i]);
    kit_close(&s.k);
}
END_TEST

START_TEST(family_that_is_not_translated_goes_through)
{
    struct scene s;
    scene_open(&s, 0, 2);
    struct kit_end *in = kit_bind(s.inner, "[2001:db8::1]:1", 0);
    struct kit_end *out = kit_bind(s.outer, "[2001:db8::2]:1", 0);
    say(&s, in, "plain", "[2001:db8::2]:1");
    kit_expect(out, "plain", "[2001:db8::1]:1");
    say(&s, out, "back", "[2001:db8::1]:1");
    kit_expect(in, "back", NULL);
    kit_close(&s.k);
}
END_TEST

START_TEST(link_between_the_hosts_is_the_one_that_is_crossed)
{
    struct kirim_link_rules link = KIRIM_SIM_LINK_INIT;
    struct scene s;
    scene_open(&s, 0, 2);
    link.delay_ns = 30 * MS;
    kit_link(&s.k, s.inner, s.outer, link);
    link.delay_ns = 7 * MS;
    kit_link(&s.k, s.outer, s.inner, link);
    s.out->on_received = kit_echo;
    kit_send(s.in, "x", "203.0.113.1:7");
    kit_run(&s.k, SECOND);
    ck_assert_uint_eq(s.out->rx[0].time_ns, SECOND + 30 * MS);
    ck_assert_uint_eq(s.in->rx[0].time_ns, SECOND + 37 * MS);
    kit_close(&s.k);
}
END_TEST

/* ---- filters --------------------------------------------------------------------------------- */

START_TEST(filter_lets_in_whom_it_should)
{
    static const bool is_port_let_in[] = { true, true, false };
    static const bool is_address_let_in[] = { true, false, false };
    struct scene s;
    scene_open(&s, 0, (uint32_t)_i);
    say(&s, s.in, "x", "203.0.113.1:7");
    const struct kirim_addr to = last_peer(s.out);
    answer(&s, s.out, "asked", &to);
    ck_assert_uint_eq(s.in->rx_count, 1);
    answer(&s, s.out_too, "port", &to);
    ck_assert_uint_eq(s.in->rx_count, is_port_let_in[_i] ? 2 : 1);
    answer(&s, s.other, "address", &to);
    const size_t let_in = 1 + (is_port_let_in[_i] ? 1U : 0U) + (is_address_let_in[_i] ? 1U : 0U);
    ck_assert_uint_eq(s.in->rx_count, let_in);
    ck_assert_uint_eq(kit_stats(&s.k).nat_dropped, 3 - let_in);
    kit_close(&s.k);
}
END_TEST

/* The mapping is in use, but nothing went to this peer for long. */
START_TEST(permission_ends_for_each_peer_by_itself)
{
    struct scene s;
    scene_open(&s, 0, 2);
    say(&s, s.in, "x", "203.0.113.1:7");
    const struct kirim_addr to = last_peer(s.out);
    for (int i = 0; i < 3; i++) {
        kit_run(&s.k, 50 * SECOND);
        say(&s, s.in, "x", "203.0.113.2:7");
    }
    answer(&s, s.out, "too late", &to);
    ck_assert_uint_eq(s.in->rx_count, 0);
    answer(&s, s.other, "in time", &to);
    kit_expect(s.in, "in time", NULL);
    kit_close(&s.k);
}
END_TEST

START_TEST(arrival_tells_the_inner_address)
{
    const struct kirim_addr own = kit_addr("10.0.0.1:6000");
    struct scene s;
    scene_open(&s, 0, 0);
    struct kit_end *in = kit_bind(s.inner, "0.0.0.0:6000", 0);
    say(&s, in, "x", "203.0.113.1:7");
    const struct kirim_addr to = last_peer(s.out);
    answer(&s, s.out, "y", &to);
    ck_assert_uint_eq(in->rx_count, 1);
    ck_assert(kirim_addr_equal(&in->rx[0].local, &own));
    kit_close(&s.k);
}
END_TEST

START_TEST(inner_addresses_are_not_reached_from_outside)
{
    struct scene s;
    scene_open(&s, 0, 0);
    say(&s, s.out, "x", "10.0.0.1:5000");
    say(&s, s.out, "x", "198.51.100.1:1024");
    ck_assert_uint_eq(s.in->rx_count, 0);
    ck_assert_uint_eq(s.out->failed_count, 0);
    ck_assert_uint_eq(kit_stats(&s.k).nat_dropped, 2);
    kit_close(&s.k);
}
END_TEST

START_TEST(neighbours_reach_each_other_by_both_addresses)
{
    struct scene s;
    scene_open(&s, 0, 0);
    say(&s, s.in, "inside", "10.0.0.2:5000");
    kit_expect(s.near, "inside", "10.0.0.1:5000");
    say(&s, s.near, "x", "203.0.113.1:7");
    const struct kirim_addr outer = last_peer(s.out);
    answer(&s, s.in, "hairpin", &outer);
    const struct kirim_addr from = last_peer(s.near);
    ck_assert_str_eq(s.near->rx[1].text, "hairpin");
    ck_assert(is_of(&from, "198.51.100.1"));
    answer(&s, s.near, "back", &from);
    const struct kirim_addr back = last_peer(s.in);
    ck_assert(kirim_addr_equal(&back, &outer));
    kit_close(&s.k);
}
END_TEST

/* Each sends to where the other was seen: the first datagram opens its own side only. */
START_TEST(two_translators_are_punched)
{
    struct scene s;
    scene_open(&s, 0, 2);
    struct kirim_sim_nat *second = add_nat(&s.k, "nat2", "198.51.100.9", NULL, 0, 2);
    attach(second, s.far);
    say(&s, s.in, "x", "203.0.113.1:7");
    const struct kirim_addr in = last_peer(s.out);
    say(&s, s.other, "x", "203.0.113.1:7");
    const struct kirim_addr other = last_peer(s.out);
    answer(&s, s.in, "lost", &other);
    ck_assert_uint_eq(s.other->rx_count, 0);
    answer(&s, s.other, "comes", &in);
    kit_expect(s.in, "comes", NULL);
    answer(&s, s.in, "too", &other);
    kit_expect(s.other, "too", NULL);
    kit_close(&s.k);
}
END_TEST

/* ---- how mappings end ------------------------------------------------------------------------ */

START_TEST(unused_mapping_ends_and_the_next_is_another)
{
    struct scene s;
    scene_open(&s, 0, 0);
    say(&s, s.in, "x", "203.0.113.1:7");
    const struct kirim_addr old = last_peer(s.out);
    kit_run(&s.k, 119 * SECOND);
    say(&s, s.in, "x", "203.0.113.1:7");
    const struct kirim_addr same = last_peer(s.out);
    ck_assert(kirim_addr_equal(&old, &same));
    kit_run(&s.k, 119 * SECOND);
    answer(&s, s.out, "let in, but that is no use", &old);
    ck_assert_uint_eq(s.in->rx_count, 1);
    kit_run(&s.k, SECOND);
    answer(&s, s.out, "too late", &old);
    ck_assert_uint_eq(s.in->rx_count, 1);
    say(&s, s.in, "x", "203.0.113.1:7");
    const struct kirim_addr fresh = last_peer(s.out);
    ck_assert(is_of(&fresh, "198.51.100.1"));
    ck_assert_uint_ne(kirim_addr_port(&fresh), kirim_addr_port(&old));
    kit_close(&s.k);
}
END_TEST

START_TEST(mapping_can_be_kept_by_what_comes_in)
{
    struct kirim_sim_nat_options options = KIRIM_SIM_NAT_OPTIONS_INIT;
    const struct kirim_addr addr = kit_addr("198.51.100.7");
    struct scene s;
    scene_open(&s, 0, 0);
    options.name = "inward";
    options.addrs = &addr;
    options.addr_count = 1;
    options.filtering = KIRIM_SIM_NAT_ENDPOINT_INDEPENDENT;
    options.expiry_ns = 10 * SECOND;
    options.is_refreshed_inward = true;
    ck_assert_int_eq(kirim_sim_nat_add(s.k.sim, &options, &s.nat), KIRIM_OK);
    attach(s.nat, s.inner);
    say(&s, s.in, "x", "203.0.113.1:7");
    const struct kirim_addr to = last_peer(s.out);
    for (size_t i = 1; i <= 5; i++) {
        kit_run(&s.k, 9 * SECOND);
        answer(&s, s.out, "x", &to);
        ck_assert_uint_eq(s.in->rx_count, i);
    }
    kit_close(&s.k);
}
END_TEST

START_TEST(rebinding_changes_the_address_in_mid_flow)
{
    struct scene s;
    scene_open(&s, 0, 2);
    s.out->on_received = kit_echo;
    say(&s, s.in, "1", "203.0.113.1:7");
    const struct kirim_addr old = last_peer(s.out);
    kit_send(s.in, "2", "203.0.113.1:7"); /* its answer will find the mapping gone */
    kit_run(&s.k, 60 * US);
    ck_assert_int_eq(kirim_sim_nat_rebind(s.nat), KIRIM_OK);
    kit_run(&s.k, MS);
    ck_assert_uint_eq(s.in->rx_count, 1);
    ck_assert_uint_eq(kit_stats(&s.k).nat_dropped, 1);
    say(&s, s.in, "3", "203.0.113.1:7");
    const struct kirim_addr fresh = last_peer(s.out);
    ck_assert(is_of(&old, "198.51.100.1"));
    ck_assert(is_of(&fresh, "198.51.100.2"));
    ck_assert_uint_eq(s.in->rx_count, 2);
    ck_assert_int_eq(kirim_sim_nat_rebind(s.nat), KIRIM_OK);
    say(&s, s.in, "4", "203.0.113.1:7");
    const struct kirim_addr third = last_peer(s.out);
    ck_assert(is_of(&third, "198.51.100.1"));
    ck_assert_uint_ne(kirim_addr_port(&third), kirim_addr_port(&old));
    kit_close(&s.k);
}
END_TEST

START_TEST(host_that_moves_leaves_its_mappings)
{
    struct scene s;
    scene_open(&s, 0, 0);
    say(&s, s.in, "x", "203.0.113.1:7");
    const struct kirim_addr old = last_peer(s.out);
    attach(NULL, s.inner);
    answer(&s, s.out, "nobody there", &old);
    ck_assert_uint_eq(s.in->rx_count, 0);
    say(&s, s.in, "y", "203.0.113.1:7");
    const struct kirim_addr own = kit_addr("10.0.0.1:5000");
    const struct kirim_addr seen = last_peer(s.out);
    ck_assert(kirim_addr_equal(&seen, &own));
    answer(&s, s.out, "direct", &own);
    kit_expect(s.in, "direct", NULL);
    kit_close(&s.k);
}
END_TEST

/* ---- reports and groups ---------------------------------------------------------------------- */

START_TEST(reports_find_their_way_through)
{
    struct scene s;
    scene_open(&s, 0, 2);
    const struct kirim_addr closed = kit_addr("203.0.113.1:9");
    say(&s, s.in, "x", "203.0.113.1:9");
    ck_assert_uint_eq(s.in->failed_count, 1);
    ck_assert_int_eq(s.in->event.err, KIRIM_ECONNRESET);
    ck_assert(kirim_addr_equal(&s.in->event.peer, &closed));
    say(&s, s.in, "x", "203.0.113.1:7");
    const struct kirim_addr mapped = last_peer(s.out);
    kit_end_close(s.in); /* and now the other way: the port behind the mapping is closed */
    kit_run(&s.k, MS);
    answer(&s, s.out, "x", &mapped);
    ck_assert_uint_eq(s.out->failed_count, 1);
    ck_assert(kirim_addr_equal(&s.out->event.peer, &mapped));
    kit_close(&s.k);
}
END_TEST

START_TEST(broadcasts_stay_on_their_side)
{
    struct scene s;
    scene_open(&s, 0, 0);
    struct kit_end *all[4] = { kit_bind(s.inner, "0.0.0.0:9", KIRIM_ENDPOINT_BROADCAST),
                               kit_bind(s.beside, "0.0.0.0:9", 0),
                               kit_bind(s.outer, "0.0.0.0:9", KIRIM_ENDPOINT_BROADCAST),
                               kit_bind(s.far, "0.0.0.0:9", 0) };
    say(&s, all[0], "inner", "255.255.255.255:9");
    say(&s, all[2], "outer", "255.255.255.255:9");
    for (size_t i = 0; i < 4; i++) {
        kit_expect(all[i], i < 2 ? "inner" : "outer", NULL);
    }
    kit_close(&s.k);
}
END_TEST

/* ---- many ------------------------------------------------------------------------------------ */

START_TEST(expired_mappings_do_not_pile_up)
{
    struct kirim_sim_nat_options options = KIRIM_SIM_NAT_OPTIONS_INIT;
    const struct kirim_addr addr = kit_addr("198.51.100.7");
    struct scene s;
    char to[32] = "203.0.113.1:1000";
    scene_open(&s, 0, 0);
    options.name = "small";
    options.addrs = &addr;
    options.addr_count = 1;
    options.mapping = KIRIM_SIM_NAT_ADDRESS_AND_PORT_DEPENDENT;
    options.expiry_ns = 10 * MS;
    ck_assert_int_eq(kirim_sim_nat_add(s.k.sim, &options, &s.nat), KIRIM_OK);
    attach(s.nat, s.inner);
    size_t most = 0;
    for (int i = 0; i < 2000; i++) { /* 10 of them at one time */
        for (size_t at = 0; at < 3; at++) {
            static const int power[3] = { 100, 10, 1 };
            to[13 + at] = (char)('0' + i / power[at] % 10);
        }
        say(&s, s.in, "x", to);
        most = s.k.memory.blocks > most ? s.k.memory.blocks : most;
    }
    ck_assert_uint_lt(most, 400);
    kit_close(&s.k);
}
END_TEST

START_TEST(ports_that_have_run_out_lose_what_comes_next)
{
    struct kirim_sim_stats stats;
    struct scene s;
    scene_open(&s, KIRIM_SIM_NAT_ADDRESS_AND_PORT_DEPENDENT, 0);
    uint8_t bytes[4] = { 203, 0, 113, 1 };
    for (uint32_t i = 0; i <= 65536 - 1024; i++) {
        const struct kirim_addr to = kirim_addr_ipv4(bytes, (uint16_t)(1 + i));
        ck_assert_int_eq(kirim_endpoint_send_to(s.in->ep, "x", 1, &to), KIRIM_OK);
        if (i % 64 == 0) {
            kit_run(&s.k, US);
        }
    }
    kit_run(&s.k, SECOND);
    stats = kit_stats(&s.k);
    ck_assert_uint_eq(stats.sent, 65536 - 1024 + 1);
    ck_assert_uint_eq(stats.nat_dropped, 1);
    kit_close(&s.k);
}
END_TEST

/* ---- rules ----------------------------------------------------------------------------------- */

START_TEST(options_out_of_range_are_refused)
{
    const struct kirim_addr addrs[2] = { kit_addr("198.51.100.1"), kit_addr("127.0.0.1") };
    struct kirim_sim_nat *nat;
    struct kit k;
    kit_open(&k, 1);
    struct kit_host *h = kit_host(&k, "h", "198.51.100.3", NULL);
    for (int i = 0; i < 10; i++) {
        struct kirim_sim_nat_options o = KIRIM_SIM_NAT_OPTIONS_INIT;
        o.name = i == 0 ? "" : i == 1 ? "h" : "n";
        o.addrs = i == 2 ? NULL : addrs;
        o.addr_count = i == 3 ? 0 : i == 4 ? 17 : i == 5 ? 2 : 1;
        o.mapping = i == 6 ? 3 : 0;
        o.filtering = i == 7 ? 3 : 0;
        o.expiry_ns = i == 8 ? 0 : 1;
        o.size = i == 9 ? 8 : sizeof o;
        ck_assert_int_eq(kirim_sim_nat_add(k.sim, &o, &nat), i == 1 ? KIRIM_EEXIST : KIRIM_EINVAL);
    }
    ck_assert_int_eq(kirim_sim_nat_add(k.sim, NULL, &nat), KIRIM_EINVAL);
    ck_assert_int_eq(kirim_sim_nat_rebind(NULL), KIRIM_EINVAL);
    ck_assert_int_eq(kirim_sim_nat_attach(NULL, NULL), KIRIM_EINVAL);
    nat = add_nat(&k, "n", "198.51.100.1", NULL, 0, 0);
    struct kirim_sim_host *gateway = kirim_sim_host_find(k.sim, "n");
    struct kirim_loop_options options = KIRIM_LOOP_OPTIONS_INIT;
    struct kirim_loop *loop;
    options.reactor = "sim";
    options.reactor_context = gateway;
    ck_assert_int_eq(kirim_loop_open(&options, &loop), KIRIM_EINVAL);
    ck_assert_int_eq(kirim_sim_nat_attach(nat, gateway), KIRIM_EINVAL);
    ck_assert_int_eq(kirim_sim_nat_attach(nat, h->host), KIRIM_OK);
    kit_close(&k);
}
END_TEST

int main(void)
{
    const struct kit_claim claims[] = {
        { peer_sees_the_outer_address_and_answers_reach_the_inner_one, 0 },
        { two_hosts_have_two_mappings, 0 },
        { mapping_depends_on_what_it_should, 3 },
        { family_that_is_not_translated_goes_through, 0 },
        { link_between_the_hosts_is_the_one_that_is_crossed, 0 },
        { filter_lets_in_whom_it_should, 3 },
        { permission_ends_for_each_peer_by_itself, 0 },
        { arrival_tells_the_inner_address, 0 },
        { inner_addresses_are_not_reached_from_outside, 0 },
        { neighbours_reach_each_other_by_both_addresses, 0 },
        { two_translators_are_punched, 0 },
        { unused_mapping_ends_and_the_next_is_another, 0 },
        { mapping_can_be_kept_by_what_comes_in, 0 },
        { rebinding_changes_the_address_in_mid_flow, 0 },
        { host_that_moves_leaves_its_mappings, 0 },
        { reports_find_their_way_through, 0 },
        { broadcasts_stay_on_their_side, 0 },
        { expired_mappings_do_not_pile_up, 0 },
        { ports_that_have_run_out_lose_what_comes_next, 0 },
        { options_out_of_range_are_refused, 0 },
        { NULL, 0 },
    };
    return kit_main("sim_nat", claims);
}
