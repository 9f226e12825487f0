/* SPDX-License-Identifier: MIT
 *
 * Claims about multicast in the simulator: who hears what, over which links, and that a run stays a
 * function of its seed.
 */
#include "sim.h"
#include "sim_kit.h"

#include <string.h>

enum { DUAL = KIRIM_ENDPOINT_DUAL_STACK, SHARE = KIRIM_ENDPOINT_SHARE_PORT };

static const char *const groups[2] = { "239.1.2.3", "ff15::123" };
static const char *const group_ports[2] = { "239.1.2.3:9", "[ff15::123]:9" };
static const char *const wildcards[2] = { "0.0.0.0:9", "[::]:9" };
static const char *const senders[2] = { "0.0.0.0:1", "[::]:1" };
static const char *const sources[2][2] = { { "10.0.0.1:1", "10.0.0.2:1" },
                                           { "[2001:db8::1]:1", "[2001:db8::2]:1" } };

/* Three hosts with addresses of both families; what a sends arrives, if it does, within a run. */
struct net {
    struct kit k;
    struct kit_host *a, *b, *c;
};

static void net_open(struct net *n)
{
    kit_open(&n->k, 1);
    n->a = kit_host(&n->k, "a", "10.0.0.1", "2001:db8::1");
    n->b = kit_host(&n->k, "b", "10.0.0.2", "2001:db8::2");
    n->c = kit_host(&n->k, "c", "10.0.0.3", "2001:db8::3");
}

static void net_run(struct net *n)
{
    kit_run(&n->k, SECOND);
}

static struct kirim_membership member(const char *group, const char *source, uint32_t ifindex)
{
    struct kirim_membership m = KIRIM_MEMBERSHIP_INIT;
    m.group = kit_addr(group);
    m.source = kit_addr(source);
    m.ifindex = ifindex;
    return m;
}

static void join(const struct kit_end *end, const char *group, const char *source)
{
    const struct kirim_membership m = member(group, source, 0);
    ck_assert_int_eq(kirim_endpoint_join(end->ep, &m), KIRIM_OK);
}

static void leave(const struct kit_end *end, const char *group, const char *source)
{
    const struct kirim_membership m = member(group, source, 0);
    ck_assert_int_eq(kirim_endpoint_leave(end->ep, &m), KIRIM_OK);
}

/* An endpoint on port 9 that has joined the group of the family. */
static struct kit_end *listener(struct kit_host *h, int family)
{
    struct kit_end *end = kit_bind(h, wildcards[family], SHARE);
    join(end, groups[family], NULL);
    return end;
}

static void set_sending(const struct kit_end *end, uint32_t ttl, uint32_t flags)
{
    struct kirim_multicast_options options = KIRIM_MULTICAST_OPTIONS_INIT;
    options.ttl = ttl;
    options.flags = flags;
    ck_assert_int_eq(kirim_endpoint_set_multicast(end->ep, &options), KIRIM_OK);
}

static void expect_local(const struct kit_end *end, const char *local)
{
    const struct kirim_addr wanted = kit_addr(local);
    ck_assert_uint_ge(end->rx_count, 1);
    ck_assert(kirim_addr_equal(&end->rx[0].local, &wanted));
}

/* ---- who hears ------------------------------------------------------------------------------- */

START_TEST(group_reaches_every_endpoint_that_joined_and_no_other)
{
    struct net n;
    net_open(&n);
    struct kit_end *own = listener(n.a, _i);
    struct kit_end *first = listener(n.b, _i);
    struct kit_end *second = listener(n.b, _i);
    struct kit_end *beside = kit_bind(n.b, wildcards[_i], SHARE);
    struct kit_end *elsewhere = kit_bind(n.c, wildcards[_i], SHARE);
    struct kit_end *sender = kit_bind(n.a, senders[_i], 0);
    join(beside, _i == 0 ? "239.1.2.4" : "ff15::124", NULL);
    kit_send(sender, "all", group_ports[_i]);
    net_run(&n);
    kit_expect(own, "all", sources[_i][0]);
    kit_expect(first, "all", sources[_i][0]);
    kit_expect(second, "all", sources[_i][0]);
    expect_local(first, group_ports[_i]);
    ck_assert_uint_eq(first->rx[0].ifindex, KI_SIM_IFINDEX);
    ck_assert_uint_eq(beside->rx_count + elsewhere->rx_count, 0);
    ck_assert_uint_eq(kit_stats(&n.k).sent, 1);
    ck_assert_uint_eq(kit_stats(&n.k).delivered, 3);
    kit_close(&n.k);
}
END_TEST

START_TEST(nobody_hears_a_group_that_was_left_or_whose_endpoint_is_closed)
{
    struct net n;
    net_open(&n);
    struct kit_end *left = listener(n.b, _i);
    struct kit_end *closed = listener(n.c, _i);
    struct kit_end *sender = kit_bind(n.a, senders[_i], 0);
    leave(left, groups[_i], NULL);
    kit_end_close(closed);
    kit_send(sender, "x", group_ports[_i]);
    net_run(&n);
    ck_assert_uint_eq(left->rx_count + closed->rx_count, 0);
    ck_assert_uint_eq(kit_stats(&n.k).sent, 1);
    ck_assert_uint_eq(kit_stats(&n.k).no_port, 0);
    ck_assert_uint_eq(sender->failed_count, 0);
    join(left, groups[_i], NULL);
    kit_send(sender, "again", group_ports[_i]);
    net_run(&n);
    kit_expect(left, "again", NULL);
    kit_close(&n.k);
}
END_TEST

/* Leaving counts when it arrives, too. */
START_TEST(what_is_under_way_is_not_heard_after_leaving)
{
    struct net n;
    net_open(&n);
    struct kit_end *end = listener(n.b, 0);
    struct kit_end *sender = kit_bind(n.a, senders[0], 0);
    ck_assert_int_eq(kit_try_send(sender, 4, group_ports[0], NULL), KIRIM_OK);
    leave(end, groups[0], NULL);
    net_run(&n);
    ck_assert_uint_eq(end->rx_count, 0);
    kit_close(&n.k);
}
END_TEST

START_TEST(source_specific_membership_hears_its_sources_only)
{
    struct net n;
    net_open(&n);
    struct kit_end *end = kit_bind(n.c, wildcards[_i], 0);
    struct kit_end *a = kit_bind(n.a, senders[_i], 0);
    struct kit_end *b = kit_bind(n.b, senders[_i], 0);
    join(end, groups[_i], sources[_i][0]);
    kit_send(b, "refused", group_ports[_i]);
    kit_send(a, "heard", group_ports[_i]);
    net_run(&n);
    kit_expect(end, "heard", sources[_i][0]);
    join(end, groups[_i], sources[_i][1]);
    leave(end, groups[_i], sources[_i][0]);
    kit_send(b, "now", group_ports[_i]);
    kit_send(a, "refused", group_ports[_i]);
    net_run(&n);
    ck_assert_uint_eq(end->rx_count, 2);
    ck_assert_str_eq(end->rx[1].text, "now");
    kit_close(&n.k);
}
END_TEST

START_TEST(dual_stack_endpoint_hears_groups_of_both_families)
{
    struct net n;
    net_open(&n);
    struct kit_end *end = kit_bind(n.b, "[::]:9", DUAL);
    struct kit_end *sender = kit_bind(n.a, "[::]:1", DUAL);
    join(end, groups[0], NULL);
    join(end, "ff02::123", NULL);
    kit_send(sender, "four", group_ports[0]);
    kit_send(sender, "six", "[ff02::123]:9");
    net_run(&n);
    ck_assert_uint_eq(end->rx_count, 2);
    ck_assert_str_eq(end->rx[0].text, "four");
    ck_assert_str_eq(end->rx[1].text, "six");
    expect_local(end, group_ports[0]);
    const struct kirim_addr scoped = kit_addr("[ff02::123%1]:9");
    ck_assert(kirim_addr_equal(&end->rx[1].local, &scoped));
    kit_close(&n.k);
}
END_TEST

START_TEST(connected_endpoint_sends_to_its_group)
{
    struct net n;
    net_open(&n);
    struct kit_end *end = listener(n.b, _i);
    struct kit_end *sender = kit_connect(n.a, NULL, group_ports[_i]);
    kit_send(sender, "x", NULL);
    net_run(&n);
    ck_assert_uint_eq(end->rx_count, 1);
    kit_close(&n.k);
}
END_TEST

START_TEST(answer_leaves_from_an_address_of_the_host)
{
    struct net n;
    net_open(&n);
    struct kit_end *end = listener(n.b, _i);
    struct kit_end *sender = kit_bind(n.a, senders[_i], 0);
    end->on_received = kit_echo;
    kit_send(sender, "who?", group_ports[_i]);
    net_run(&n);
    kit_expect(sender, "who?", _i == 0 ? "10.0.0.2:9" : "[2001:db8::2]:9");
    kit_close(&n.k);
}
END_TEST

START_TEST(host_without_an_address_of_the_family_is_alone)
{
    struct net n;
    net_open(&n);
    struct kit_host *lone = kit_host(&n.k, "lone", NULL, NULL);
    struct kit_end *own = listener(lone, _i);
    struct kit_end *other = listener(n.b, _i);
    kit_send(kit_bind(lone, senders[_i], 0), "own", group_ports[_i]);
    kit_send(kit_bind(n.a, senders[_i], 0), "other", group_ports[_i]);
    net_run(&n);
    kit_expect(own, "own", _i == 0 ? "127.0.0.1:1" : "[::1]:1");
    kit_expect(other, "other", NULL);
    kit_close(&n.k);
}
END_TEST

/* ---- how it is sent -------------------------------------------------------------------------- */

START_TEST(time_to_live_of_0_stays_on_the_host)
{
    struct net n;
    net_open(&n);
    const uint32_t told = SHARE | KIRIM_ENDPOINT_RECEIVE_CONTROL;
    struct kit_end *own = kit_bind(n.a, wildcards[_i], told);
    struct kit_end *other = kit_bind(n.b, wildcards[_i], told);
    struct kit_end *sender = kit_bind(n.a, senders[_i], 0);
    join(own, groups[_i], NULL);
    join(other, groups[_i], NULL);
    kit_send(sender, "default", group_ports[_i]);
    net_run(&n);
    set_sending(sender, 0, 0);
    net_run(&n);
    kit_send(sender, "host", group_ports[_i]);
    net_run(&n);
    set_sending(sender, 7, 0);
    kit_send(sender, "seven", group_ports[_i]);
    net_run(&n);
    ck_assert_uint_eq(own->rx_count, 3);
    ck_assert_uint_eq(other->rx_count, 2);
    ck_assert_uint_eq(own->rx[1].ttl, 0);
    ck_assert_uint_eq(other->rx[0].ttl, 1);
    ck_assert_str_eq(other->rx[1].text, "seven");
    ck_assert_uint_eq(other->rx[1].ttl, 7);
    kit_close(&n.k);
}
END_TEST

START_TEST(time_to_live_of_a_message_goes_before)
{
    struct kirim_control control = KIRIM_CONTROL_INIT;
    struct net n;
    net_open(&n);
    struct kit_end *other = kit_bind(n.b, wildcards[_i], KIRIM_ENDPOINT_RECEIVE_CONTROL);
    struct kit_end *sender = kit_bind(n.a, senders[_i], 0);
    join(other, groups[_i], NULL);
    set_sending(sender, 0, 0);
    control.ttl = 9;
    ck_assert_int_eq(kit_try_send(sender, 4, group_ports[_i], &control), KIRIM_OK);
    net_run(&n);
    ck_assert_uint_eq(other->rx_count, 1);
    ck_assert_uint_eq(other->rx[0].ttl, 9);
    kit_close(&n.k);
}
END_TEST

START_TEST(without_loop_the_host_itself_does_not_hear)
{
    struct net n;
    net_open(&n);
    struct kit_end *own = listener(n.a, _i);
    struct kit_end *other = listener(n.b, _i);
    struct kit_end *sender = kit_bind(n.a, senders[_i], 0);
    set_sending(sender, 1, KIRIM_MULTICAST_NO_LOOP);
    kit_send(sender, "out", group_ports[_i]);
    net_run(&n);
    ck_assert_uint_eq(own->rx_count, 0);
    kit_expect(other, "out", NULL);
    set_sending(sender, 1, 0);
    kit_send(sender, "both", group_ports[_i]);
    net_run(&n);
    kit_expect(own, "both", NULL);
    kit_close(&n.k);
}
END_TEST

START_TEST(there_is_one_interface)
{
    struct kirim_multicast_options options = KIRIM_MULTICAST_OPTIONS_INIT;
    struct net n;
    net_open(&n);
    struct kit_end *end = kit_bind(n.a, wildcards[_i], 0);
    struct kirim_membership m = member(groups[_i], NULL, 2);
    ck_assert_int_eq(kirim_endpoint_join(end->ep, &m), KIRIM_EADDRNOTAVAIL);
    m.ifindex = KI_SIM_IFINDEX;
    ck_assert_int_eq(kirim_endpoint_join(end->ep, &m), KIRIM_OK);
    options.ifindex = 2;
    ck_assert_int_eq(kirim_endpoint_set_multicast(end->ep, &options), KIRIM_EADDRNOTAVAIL);
    options.ifindex = KI_SIM_IFINDEX;
    ck_assert_int_eq(kirim_endpoint_set_multicast(end->ep, &options), KIRIM_OK);
    kit_send(end, "x", group_ports[_i]);
    net_run(&n);
    ck_assert_uint_eq(end->rx_count, 1);
    kit_close(&n.k);
}
END_TEST

/* ---- links ----------------------------------------------------------------------------------- */

START_TEST(each_link_has_its_own_faults)
{
    struct kirim_link_rules link = KIRIM_SIM_LINK_INIT;
    struct net n;
    net_open(&n);
    struct kit_end *b = listener(n.b, 0);
    struct kit_end *c = listener(n.c, 0);
    struct kit_end *sender = kit_bind(n.a, senders[0], 0);
    link.is_down = true;
    kit_link(&n.k, n.a, n.b, link);
    link.is_down = false;
    link.duplicate_ppm = 1000000;
    link.delay_ns = 3 * MS;
    kit_link(&n.k, n.a, n.c, link);
    kit_send(sender, "x", group_ports[0]);
    net_run(&n);
    ck_assert_uint_eq(b->rx_count, 0);
    ck_assert_uint_eq(c->rx_count, 2);
    ck_assert_uint_eq(c->rx[0].time_ns, SECOND + 3 * MS);
    ck_assert_uint_eq(kit_stats(&n.k).lost, 1);
    ck_assert_uint_eq(kit_stats(&n.k).duplicated, 1);
    kit_close(&n.k);
}
END_TEST

START_TEST(too_large_for_one_link_is_refused_whole_or_lost_there)
{
    struct kirim_link_rules link = KIRIM_SIM_LINK_INIT;
    struct net n;
    net_open(&n);
    struct kit_end *b = listener(n.b, 0);
    struct kit_end *c = listener(n.c, 0);
    struct kit_end *sender = kit_bind(n.a, senders[0], 0);
    link.mtu = 1000;
    kit_link(&n.k, n.a, n.b, link);
    ck_assert_int_eq(kit_try_send(sender, 1000, group_ports[0], NULL), KIRIM_EMSGSIZE);
    net_run(&n);
    ck_assert_uint_eq(b->rx_count + c->rx_count, 0);
    ck_assert_uint_eq(kit_stats(&n.k).sent, 0);
    link.mtu_action = KIRIM_SIM_MTU_REPORT;
    kit_link(&n.k, n.a, n.b, link);
    ck_assert_int_eq(kit_try_send(sender, 1000, group_ports[0], NULL), KIRIM_OK);
    net_run(&n);
    ck_assert_uint_eq(b->rx_count, 0);
    ck_assert_uint_eq(c->rx_count, 1);
    ck_assert_uint_eq(sender->failed_count, 0); /* nobody reports about what many get */
    kit_close(&n.k);
}
END_TEST

/* ---- a function of the seed ------------------------------------------------------------------ */

enum { MEMBER_COUNT = 6, TICK_COUNT = 200 };

/* The digest holds every build to the same run; see test_sim_determinism.c. */
#define GOLDEN_DIGEST UINT64_C(0xe970f3af313b1066)

struct chatter {
    struct kit_host *host;
    struct kit_end *end;
    struct kirim_timer timer;
    size_t tick_count;
    bool is_member;
};

struct run {
    struct kit k;
    struct chatter chatters[MEMBER_COUNT];
};

/* Sends to the group, and joins or leaves it, as chance has it. */
static void tick(struct kirim_timer *timer)
{
    struct chatter *c = timer->user;
    uint8_t chance[4];
    ck_assert_int_eq(kirim_loop_random(c->host->loop, chance, sizeof chance), KIRIM_OK);
    if (chance[0] < 40) {
        const struct kirim_membership m = member(groups[0], NULL, 0);
        ck_assert_int_eq(c->is_member ? kirim_endpoint_leave(c->end->ep, &m)
                                      : kirim_endpoint_join(c->end->ep, &m),
                         KIRIM_OK);
        c->is_member = !c->is_member;
    }
    for (int i = 0; i < chance[1] % 3; i++) {
        kit_send_bytes(c->end, chance[2], group_ports[chance[2] % 2]);
    }
    c->tick_count++;
    if (c->tick_count < TICK_COUNT) {
        const uint64_t next_ns = kirim_loop_now(c->host->loop) + 20 * US * chance[3];
        ck_assert_int_eq(kirim_timer_arm(c->host->loop, timer, next_ns), KIRIM_OK);
    }
}

static uint64_t run_whole(uint64_t seed, bool has_guest)
{
    static const char *const names[MEMBER_COUNT] = { "m1", "m2", "m3", "m4", "m5", "m6" };
    static const char *const addrs[MEMBER_COUNT][2] = {
        { "10.0.1.1", "2001:db8::1:1" }, { "10.0.1.2", "2001:db8::1:2" },
        { "10.0.1.3", "2001:db8::1:3" }, { "10.0.1.4", NULL },
        { "2001:db8::1:5", NULL },       { "10.0.1.6", NULL },
    };
    static struct run r;
    struct kirim_link_rules link = KIRIM_SIM_LINK_INIT;
    memset(&r, 0, sizeof r);
    kit_open(&r.k, seed);
    link.jitter_ns = 500 * US;
    link.loss_ppm = 50000;
    link.duplicate_ppm = 30000;
    link.reorder_ppm = 40000;
    link.reorder_ns = 2 * MS;
    kit_link(&r.k, NULL, NULL, link);
    for (size_t i = 0; i < MEMBER_COUNT; i++) {
        struct chatter *c = &r.chatters[i];
        c->host = kit_host(&r.k, names[i], addrs[i][0], addrs[i][1]);
        c->end = kit_bind(c->host, "[::]:9", DUAL);
        join(c->end, groups[1], NULL);
        c->timer = (struct kirim_timer)KIRIM_TIMER_INIT(tick, c);
        ck_assert_int_eq(kirim_timer_arm(c->host->loop, &c->timer, SECOND + i), KIRIM_OK);
    }
    if (has_guest) {
        /* It is a member, but of a group that nobody sends to. */
        join(kit_bind(kit_host(&r.k, "guest", "10.9.9.9", NULL), "0.0.0.0:9", 0), "239.9.9.9",
             NULL);
    }
    ck_assert_int_eq(kirim_sim_run(r.k.sim, KIRIM_NEVER), KIRIM_OK);
    const struct kirim_sim_stats s = kit_stats(&r.k);
    ck_assert_uint_gt(s.sent, 500);
    ck_assert_uint_gt(s.delivered, s.sent);
    ck_assert_uint_eq(s.no_port + s.reported, 0);
    const uint64_t digest = kirim_sim_digest(r.k.sim);
    kit_close(&r.k);
    return digest;
}

START_TEST(run_with_groups_is_the_same_on_every_compiler_and_system)
{
    ck_assert_uint_eq(run_whole(1, false), GOLDEN_DIGEST);
    ck_assert_uint_eq(run_whole(1, true), GOLDEN_DIGEST);
    ck_assert_uint_ne(run_whole(2, false), GOLDEN_DIGEST);
}
END_TEST

START_TEST(twin_runs_with_groups_have_equal_digests)
{
    for (uint64_t seed = 3; seed < 8; seed++) {
        ck_assert_uint_eq(run_whole(seed, false), run_whole(seed, seed % 2 == 0));
    }
}
END_TEST

/* ---- without memory -------------------------------------------------------------------------- */

/* Sends to three hosts with double copies; the call number `fail_at` of the sending finds no
 * memory. Returns how many there were. */
static uint64_t send_without_memory(uint64_t fail_at)
{
    struct kirim_link_rules link = KIRIM_SIM_LINK_INIT;
    struct net n;
    net_open(&n);
    struct kit_end *ends[3] = { listener(n.a, 0), listener(n.b, 0), listener(n.c, 0) };
    struct kit_end *sender = kit_bind(n.a, senders[0], 0);
    link.duplicate_ppm = 1000000;
    kit_link(&n.k, NULL, NULL, link);
    const uint64_t before = n.k.memory.calls;
    n.k.memory.fail_at = fail_at == 0 ? 0 : before + fail_at;
    const kirim_err err = kit_try_send(sender, 1000, group_ports[0], NULL);
    const uint64_t calls = n.k.memory.calls - before;
    ck_assert(fail_at != 0 || err == KIRIM_OK);
    n.k.memory.fail_at = 0;
    net_run(&n);
    const size_t heard = ends[0]->rx_count + ends[1]->rx_count + ends[2]->rx_count;
    ck_assert_uint_eq(heard, err == KIRIM_OK ? 5 : 0); /* the own host's link has no fault */
    ck_assert_uint_eq(kit_stats(&n.k).sent, err == KIRIM_OK);
    if (err != KIRIM_OK) {
        ck_assert(err == KIRIM_ENOBUFS || err == KIRIM_ENOMEM);
        ck_assert_int_eq(kit_try_send(sender, 1000, group_ports[0], NULL), KIRIM_OK);
        net_run(&n);
        ck_assert_uint_eq(ends[0]->rx_count + ends[1]->rx_count + ends[2]->rx_count, 5);
    }
    kit_close(&n.k);
    return calls;
}

START_TEST(without_memory_it_leaves_whole_or_not_at_all)
{
    const uint64_t calls = send_without_memory(0);
    ck_assert_uint_gt(calls, 5);
    for (uint64_t i = 1; i <= calls; i++) {
        (void)send_without_memory(i);
    }
}
END_TEST

int main(void)
{
    const struct kit_claim claims[] = {
        { group_reaches_every_endpoint_that_joined_and_no_other, 2 },
        { nobody_hears_a_group_that_was_left_or_whose_endpoint_is_closed, 2 },
        { what_is_under_way_is_not_heard_after_leaving, 0 },
        { source_specific_membership_hears_its_sources_only, 2 },
        { dual_stack_endpoint_hears_groups_of_both_families, 0 },
        { connected_endpoint_sends_to_its_group, 2 },
        { answer_leaves_from_an_address_of_the_host, 2 },
        { host_without_an_address_of_the_family_is_alone, 2 },
        { time_to_live_of_0_stays_on_the_host, 2 },
        { time_to_live_of_a_message_goes_before, 2 },
        { without_loop_the_host_itself_does_not_hear, 2 },
        { there_is_one_interface, 2 },
        { each_link_has_its_own_faults, 0 },
        { too_large_for_one_link_is_refused_whole_or_lost_there, 0 },
        { run_with_groups_is_the_same_on_every_compiler_and_system, 0 },
        { twin_runs_with_groups_have_equal_digests, 0 },
        { without_memory_it_leaves_whole_or_not_at_all, 0 },
        { NULL, 0 },
    };
    return kit_main("sim_multicast", claims);
}
