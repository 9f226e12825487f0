/* SPDX-License-Identifier: MIT
 *
 * Claims about lib/multicast.c: what is refused before the reactor is asked, what it is asked, and
 * what is remembered. On the scripted reactor, with functions of multicast of the test's own.
 */
#include "support/stage.h"

#include <string.h>

#include "core.h"

/* What the reactor was asked last, and what it answers. */
static struct {
    size_t calls;
    struct ki_membership m;
    struct kirim_multicast_options options;
    bool is_joining;
    kirim_err answer;
} asked;

static kirim_err on_membership(struct ki_reactor *r, struct ki_port *p,
                               const struct ki_membership *m, bool is_joining)
{
    (void)r;
    (void)p;
    asked.calls++;
    asked.m = *m;
    asked.is_joining = is_joining;
    return asked.answer;
}

static kirim_err on_multicast(struct ki_reactor *r, struct ki_port *p,
                              const struct kirim_multicast_options *options)
{
    (void)r;
    (void)p;
    asked.calls++;
    asked.options = *options;
    return asked.answer;
}

static struct kirim_addr addr(const char *text)
{
    struct kirim_addr a = { { 0, 0, 0 } };
    if (text != NULL) {
        KS_OK(kirim_addr_parse(text, &a));
    }
    return a;
}

static struct kirim_membership member(const char *group, const char *source, uint32_t ifindex)
{
    struct kirim_membership m = KIRIM_MEMBERSHIP_INIT;
    m.group = addr(group);
    m.source = addr(source);
    m.ifindex = ifindex;
    return m;
}

/* An endpoint at this address, on a reactor that has multicast. */
static struct stage *open_at(const char *local, uint32_t flags)
{
    struct stage *x = stage_new(KIRIM_CAP_IPV6 | KIRIM_CAP_DUAL_STACK);
    struct kirim_endpoint_options options = KIRIM_ENDPOINT_OPTIONS_INIT;
    x->s->ops.set_membership = on_membership;
    x->s->ops.set_multicast = on_multicast;
    memset(&asked, 0, sizeof asked);
    script_open(x->s);
    options.local = addr(local);
    options.flags = flags;
    x->n = ks_node_with(&x->t, &options);
    return x;
}

static kirim_err join(struct stage *x, const char *group, const char *source, uint32_t ifindex)
{
    const struct kirim_membership m = member(group, source, ifindex);
    return kirim_endpoint_join(x->n->ep, &m);
}

static kirim_err leave(struct stage *x, const char *group, const char *source, uint32_t ifindex)
{
    const struct kirim_membership m = member(group, source, ifindex);
    return kirim_endpoint_leave(x->n->ep, &m);
}

/* ---- what is refused ------------------------------------------------------------------------- */

static const struct refused {
    const char *local, *group, *source;
    uint32_t ifindex;
} refusals[] = {
    { "0.0.0.0:9", NULL, NULL, 0 },
    { "0.0.0.0:9", "192.0.2.1", NULL, 0 },
    { "0.0.0.0:9", "223.255.255.255", NULL, 0 },
    { "0.0.0.0:9", "240.0.0.0", NULL, 0 },
    { "0.0.0.0:9", "255.255.255.255", NULL, 0 },
    { "0.0.0.0:9", "ff15::1", NULL, 0 },
    { "[::]:9", "239.1.2.3", NULL, 0 },
    { "[::]:9", "fe80::1", NULL, 0 },
    { "0.0.0.0:9", "232.1.2.3", "::1", 0 },
    { "[::]:9", "ff35::1", "192.0.2.1", 0 },
    { "0.0.0.0:9", "232.1.2.3", "232.1.2.4", 0 },
    { "0.0.0.0:9", "232.1.2.3", "0.0.0.0", 0 },
    { "[::]:9", "ff02::1%3", NULL, 4 },
    { "127.0.0.1:9", "239.1.2.3", NULL, 0 },
    { "[::1]:9", "ff15::1", NULL, 0 },
    { "239.1.2.3:9", "239.1.2.4", NULL, 0 },
};

START_TEST(what_cannot_be_a_membership_is_refused_before_the_reactor_is_asked)
{
    const struct refused *r = &refusals[_i];
    struct stage *x = open_at(r->local, 0);
    KS_ERR(KIRIM_EINVAL, join(x, r->group, r->source, r->ifindex));
    KS_ERR(KIRIM_EINVAL, leave(x, r->group, r->source, r->ifindex));
    KS_EQ(0, asked.calls);
    stage_close(x);
}
END_TEST

START_TEST(misuse_is_refused)
{
    struct stage *x = open_at("0.0.0.0:9", 0);
    struct kirim_membership m = member("239.1.2.3", NULL, 0);
    KS_ERR(KIRIM_EINVAL, kirim_endpoint_join(x->n->ep, NULL));
    KS_ERR(KIRIM_EINVAL, kirim_endpoint_leave(x->n->ep, NULL));
    KS_ERR(KIRIM_EINVAL, kirim_endpoint_set_multicast(x->n->ep, NULL));
    KS_ERR(KIRIM_EINVAL, kirim_endpoint_join(NULL, &m));
    m.ki_reserved = 1;
    KS_ERR(KIRIM_EINVAL, kirim_endpoint_join(x->n->ep, &m));
    ks_node_close(x->n);
    m.ki_reserved = 0;
    KS_ERR(KIRIM_ECLOSED, kirim_endpoint_join(x->n->ep, &m));
    KS_ERR(KIRIM_ECLOSED, kirim_endpoint_leave(x->n->ep, &m));
    KS_EQ(0, asked.calls);
    stage_close(x);
}
END_TEST

/* ---- what is asked --------------------------------------------------------------------------- */

START_TEST(reactor_gets_bare_addresses_and_the_interface_of_the_scope)
{
    struct stage *x = open_at("[::]:9", KIRIM_ENDPOINT_DUAL_STACK);
    const struct kirim_addr group = addr("ff02::123");
    const struct kirim_addr source = addr("fe80::1");
    KS_OK(join(x, "[ff02::123%3]:77", "[fe80::1%3]:88", 0));
    KS_CHECK(asked.is_joining);
    KS_CHECK(kirim_addr_equal(&group, &asked.m.group));
    KS_CHECK(kirim_addr_equal(&source, &asked.m.source));
    KS_EQ(3, asked.m.ifindex);
    KS_ERR(KIRIM_EEXIST, join(x, "ff02::123", "fe80::1", 3));
    KS_EQ(1, asked.calls);
    KS_OK(join(x, "239.1.2.3", NULL, 5)); /* with both stacks */
    KS_EQ(5, asked.m.ifindex);
    KS_CHECK(kirim_addr_family(&asked.m.source) == KIRIM_FAMILY_NONE);
    KS_OK(leave(x, "ff02::123%3", "fe80::1", 3));
    KS_CHECK(!asked.is_joining);
    KS_CHECK(kirim_addr_equal(&source, &asked.m.source));
    stage_close(x);
}
END_TEST

START_TEST(endpoint_bound_to_the_group_may_join_it)
{
    struct stage *x = open_at("239.1.2.3:9", 0);
    KS_OK(join(x, "239.1.2.3", NULL, 0));
    stage_close(x);
}
END_TEST

START_TEST(options_are_checked_and_handed_on)
{
    struct stage *x = open_at("0.0.0.0:9", 0);
    struct kirim_multicast_options o = KIRIM_MULTICAST_OPTIONS_INIT;
    KS_EQ(1, o.ttl);
    o.ttl = 255;
    o.ifindex = 3;
    o.flags = KIRIM_MULTICAST_NO_LOOP;
    KS_OK(kirim_endpoint_set_multicast(x->n->ep, &o));
    KS_CHECK(memcmp(&o, &asked.options, sizeof o) == 0);
    o.ttl = 256;
    KS_ERR(KIRIM_EINVAL, kirim_endpoint_set_multicast(x->n->ep, &o));
    o.ttl = 0;
    o.flags = 2;
    KS_ERR(KIRIM_EINVAL, kirim_endpoint_set_multicast(x->n->ep, &o));
    o.flags = 0;
    o.ki_reserved = 1;
    KS_ERR(KIRIM_EINVAL, kirim_endpoint_set_multicast(x->n->ep, &o));
    KS_EQ(1, asked.calls);
    o.ki_reserved = 0;
    asked.answer = KIRIM_EADDRNOTAVAIL;
    KS_ERR(KIRIM_EADDRNOTAVAIL, kirim_endpoint_set_multicast(x->n->ep, &o));
    stage_close(x);
}
END_TEST

START_TEST(structures_of_another_version_are_understood_or_refused)
{
    struct stage *x = open_at("0.0.0.0:9", 0);
    struct {
        struct kirim_membership known;
        uint64_t later;
    } m = { member("239.1.2.3", NULL, 0), 1 };
    struct {
        struct kirim_multicast_options known;
        uint64_t later;
    } o = { KIRIM_MULTICAST_OPTIONS_INIT, 1 };
    for (int is_new = 0; is_new < 2; is_new++) {
        m.known.size = is_new != 0 ? sizeof m : sizeof m.known - 1;
        o.known.size = is_new != 0 ? sizeof o : sizeof o.known - 1;
        KS_ERR(KIRIM_EINVAL, kirim_endpoint_join(x->n->ep, &m.known));
        KS_ERR(KIRIM_EINVAL, kirim_endpoint_leave(x->n->ep, &m.known));
        KS_ERR(KIRIM_EINVAL, kirim_endpoint_set_multicast(x->n->ep, &o.known));
    }
    m.later = 0;
    o.later = 0;
    KS_OK(kirim_endpoint_join(x->n->ep, &m.known));
    KS_OK(kirim_endpoint_set_multicast(x->n->ep, &o.known));
    stage_close(x);
}
END_TEST

START_TEST(reactor_without_multicast_refuses)
{
    struct stage *x = open_at("0.0.0.0:9", 0);
    const struct kirim_multicast_options o = KIRIM_MULTICAST_OPTIONS_INIT;
    x->s->ops.set_membership = NULL;
    x->s->ops.set_multicast = NULL;
    KS_ERR(KIRIM_EOPNOTSUPP, join(x, "239.1.2.3", NULL, 0));
    KS_ERR(KIRIM_EOPNOTSUPP, leave(x, "239.1.2.3", NULL, 0));
    KS_ERR(KIRIM_EOPNOTSUPP, kirim_endpoint_set_multicast(x->n->ep, &o));
    stage_close(x);
}
END_TEST

/* ---- what is remembered ---------------------------------------------------------------------- */

/* Beside one membership another one is joined. */
static const struct beside {
    const char *source;
    uint32_t ifindex;
    const char *other_source;
    uint32_t other_ifindex;
    kirim_err err;
} besides[] = {
    { NULL, 0, NULL, 0, KIRIM_EEXIST },
    { NULL, 2, NULL, 2, KIRIM_EEXIST },
    { NULL, 2, NULL, 3, KIRIM_OK },
    { NULL, 0, NULL, 3, KIRIM_EEXIST }, /* 0 may be 3 */
    { NULL, 3, NULL, 0, KIRIM_EEXIST },
    { NULL, 2, "192.0.2.1", 2, KIRIM_EEXIST },
    { "192.0.2.1", 2, NULL, 2, KIRIM_EEXIST },
    { "192.0.2.1", 2, "192.0.2.1", 2, KIRIM_EEXIST },
    { "192.0.2.1", 2, "192.0.2.2", 2, KIRIM_OK },
    { "192.0.2.1", 2, NULL, 3, KIRIM_OK },
    { "192.0.2.1", 0, "192.0.2.2", 0, KIRIM_OK },
    { "192.0.2.1", 0, "192.0.2.2", 2, KIRIM_EEXIST },
};

START_TEST(what_is_joined_already_is_told_and_no_matter_of_the_reactor)
{
    const struct beside *b = &besides[_i];
    struct stage *x = open_at("0.0.0.0:9", 0);
    KS_OK(join(x, "232.1.2.3", b->source, b->ifindex));
    KS_ERR(b->err, join(x, "232.1.2.3", b->other_source, b->other_ifindex));
    KS_EQ(b->err == KIRIM_OK ? 2 : 1, asked.calls);
    KS_OK(join(x, "232.1.2.4", b->other_source, b->other_ifindex)); /* another group */
    KS_OK(leave(x, "232.1.2.3", b->source, b->ifindex));
    KS_ERR(KIRIM_ENOENT, leave(x, "232.1.2.3", b->source, b->ifindex));
    KS_ERR(b->err == KIRIM_OK ? KIRIM_EEXIST : KIRIM_OK,
           join(x, "232.1.2.3", b->other_source, b->other_ifindex));
    stage_close(x);
}
END_TEST

START_TEST(only_what_was_joined_is_left)
{
    struct stage *x = open_at("0.0.0.0:9", 0);
    KS_ERR(KIRIM_ENOENT, leave(x, "232.1.2.3", NULL, 0));
    KS_OK(join(x, "232.1.2.3", "192.0.2.1", 2));
    KS_ERR(KIRIM_ENOENT, leave(x, "232.1.2.3", NULL, 2));
    KS_ERR(KIRIM_ENOENT, leave(x, "232.1.2.3", "192.0.2.2", 2));
    KS_ERR(KIRIM_ENOENT, leave(x, "232.1.2.3", "192.0.2.1", 0));
    KS_ERR(KIRIM_ENOENT, leave(x, "232.1.2.4", "192.0.2.1", 2));
    KS_EQ(1, asked.calls);
    KS_OK(leave(x, "232.1.2.3", "192.0.2.1", 2));
    stage_close(x);
}
END_TEST

START_TEST(what_the_reactor_refuses_has_not_happened)
{
    struct stage *x = open_at("0.0.0.0:9", 0);
    asked.answer = KIRIM_ENOBUFS;
    KS_ERR(KIRIM_ENOBUFS, join(x, "239.1.2.3", NULL, 0));
    asked.answer = KIRIM_OK;
    KS_ERR(KIRIM_ENOENT, leave(x, "239.1.2.3", NULL, 0));
    KS_OK(join(x, "239.1.2.3", NULL, 0));
    asked.answer = KIRIM_EADDRNOTAVAIL;
    KS_ERR(KIRIM_EADDRNOTAVAIL, leave(x, "239.1.2.3", NULL, 0));
    asked.answer = KIRIM_OK;
    KS_ERR(KIRIM_EEXIST, join(x, "239.1.2.3", NULL, 0)); /* still a member */
    KS_OK(leave(x, "239.1.2.3", NULL, 0));
    stage_close(x);
}
END_TEST

START_TEST(without_memory_nothing_is_joined)
{
    struct stage *x = open_at("0.0.0.0:9", 0);
    x->t.memory.fail_at = x->t.memory.calls + 1;
    KS_ERR(KIRIM_ENOMEM, join(x, "239.1.2.3", NULL, 0));
    KS_EQ(0, asked.calls);
    x->t.memory.fail_at = 0;
    KS_OK(join(x, "239.1.2.3", NULL, 0));
    stage_close(x); /* and what is joined still goes with the endpoint */
}
END_TEST

START_TEST(memberships_have_a_bound)
{
    struct stage *x = open_at("0.0.0.0:9", 0);
    for (uint32_t i = 1; i <= 4096; i++) {
        KS_OK(join(x, "239.1.2.3", NULL, i));
    }
    KS_ERR(KIRIM_ENOBUFS, join(x, "239.1.2.3", NULL, 4097));
    KS_OK(leave(x, "239.1.2.3", NULL, 1));
    KS_OK(join(x, "239.1.2.3", NULL, 4097));
    stage_close(x);
}
END_TEST

#define COUNT_OF(array) ((int)(sizeof(array) / sizeof((array)[0])))

int main(void)
{
    Suite *const suite = suite_create("multicast");
    TCase *const tcase = tcase_create("multicast");
    tcase_add_loop_test(tcase, what_cannot_be_a_membership_is_refused_before_the_reactor_is_asked,
                        0, COUNT_OF(refusals));
    tcase_add_test(tcase, misuse_is_refused);
    tcase_add_test(tcase, reactor_gets_bare_addresses_and_the_interface_of_the_scope);
    tcase_add_test(tcase, endpoint_bound_to_the_group_may_join_it);
    tcase_add_test(tcase, options_are_checked_and_handed_on);
    tcase_add_test(tcase, structures_of_another_version_are_understood_or_refused);
    tcase_add_test(tcase, reactor_without_multicast_refuses);
    tcase_add_loop_test(tcase, what_is_joined_already_is_told_and_no_matter_of_the_reactor, 0,
                        COUNT_OF(besides));
    tcase_add_test(tcase, only_what_was_joined_is_left);
    tcase_add_test(tcase, what_the_reactor_refuses_has_not_happened);
    tcase_add_test(tcase, without_memory_nothing_is_joined);
    tcase_add_test(tcase, memberships_have_a_bound);
    suite_add_tcase(suite, tcase);
    SRunner *const runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed_count = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
