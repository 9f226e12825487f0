/* SPDX-License-Identifier: MIT
 *
 * Don't-fragment and the path MTU as far as every network shows them; the narrow one is in
 * cases_mtu_linux.c (S6, S10).
 */
#include "conformance.h"

enum { SMALLEST_MTU = 576 }; /* that any IPv4 host takes */

static uint32_t told_mtu(const struct ks_node *n, const struct kirim_addr *peer)
{
    uint32_t mtu = 0;
    KS_OK(kirim_endpoint_path_mtu(n->ep, peer, &mtu));
    return mtu;
}

static void path_mtu_is_told(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    struct ks_node *c = ks_node_connected(t, &b->addr);
    struct kirim_addr portless = b->addr;
    kirim_addr_set_port(&portless, 0);
    const uint32_t mtu = told_mtu(a, &b->addr);
    KS_CHECK(mtu >= SMALLEST_MTU);
    KS_EQ(mtu, told_mtu(a, &portless));
    KS_EQ(mtu, told_mtu(c, NULL));
    KS_EQ(mtu, told_mtu(c, &b->addr));
    KS_EQ(mtu, told_mtu(c, &a->addr));
    KS_EXPECT_END(b, a); /* nothing was sent for it */
}

static void path_mtu_is_refused(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    const struct kirim_addr none = { { 0, 0, 0 } };
    const struct kirim_addr other =
        ks_loopback(t->family == KIRIM_IPV4 ? KIRIM_IPV6 : KIRIM_IPV4, 9);
    uint32_t mtu = 77;
    KS_ERR(KIRIM_EINVAL, kirim_endpoint_path_mtu(NULL, &a->addr, &mtu));
    KS_ERR(KIRIM_EINVAL, kirim_endpoint_path_mtu(a->ep, &a->addr, NULL));
    KS_ERR(KIRIM_EINVAL, kirim_endpoint_path_mtu(a->ep, &none, &mtu));
    KS_ERR(KIRIM_EINVAL, kirim_endpoint_path_mtu(a->ep, &other, &mtu));
    KS_ERR(KIRIM_ENOTCONN, kirim_endpoint_path_mtu(a->ep, NULL, &mtu));
    KS_EQ(77, mtu);
}

static void path_mtu_of_both_stacks(struct ks *t)
{
    struct kirim_endpoint_options options = ks_endpoint_options(t);
    options.local = ks_wildcard(KIRIM_IPV6, 0);
    options.flags = KIRIM_ENDPOINT_DUAL_STACK;
    struct ks_node *dual = ks_node_with(t, &options);
    const struct kirim_addr v4 = ks_loopback(KIRIM_IPV4, 9);
    const struct kirim_addr v6 = ks_loopback(KIRIM_IPV6, 9);
    KS_CHECK(told_mtu(dual, &v4) >= SMALLEST_MTU);
    KS_CHECK(told_mtu(dual, &v6) >= SMALLEST_MTU);
}

/* An endpoint whose datagrams are all kept whole sends what fits, and can be asked for more than
 * one thing, but not for both. */
static void modes_are_honoured_or_refused(struct ks *t)
{
    static const struct {
        uint32_t flag;
        uint32_t caps;
    } modes[] = {
        { KIRIM_ENDPOINT_DONT_FRAGMENT, KIRIM_CAP_DONT_FRAGMENT },
        { KIRIM_ENDPOINT_PROBE_MTU, KIRIM_CAP_DONT_FRAGMENT | KIRIM_CAP_PATH_MTU },
    };
    struct kirim_endpoint_options options = ks_endpoint_options(t);
    struct ks_node *b = ks_node(t);
    struct ks_node *n = NULL;
    for (size_t i = 0; i < 2; i++) {
        options.flags = modes[i].flag;
        if ((t->caps & modes[i].caps) != modes[i].caps) {
            KS_ERR(KIRIM_EOPNOTSUPP, ks_node_try(t, &options, &n));
        } else {
            struct kirim_control control = KIRIM_CONTROL_INIT;
            const struct kirim_buf one = { &control, 8 };
            const struct kirim_msg msg = { &one, &b->addr, &control, 1, 0 };
            control.flags = KIRIM_CONTROL_DONT_FRAGMENT; /* says what is so anyway */
            n = ks_node_with(t, &options);
            KS_SEND(n, "it fits", 7, &b->addr);
            KS_EXPECT(b, "it fits", 7);
            KS_OK(ks_post_msg(n, &msg, t->mode, NULL));
            KS_EXPECT(b, &control, 8);
        }
    }
    options.flags = KIRIM_ENDPOINT_DONT_FRAGMENT | KIRIM_ENDPOINT_PROBE_MTU;
    KS_ERR(KIRIM_EINVAL, ks_node_try(t, &options, &n));
}

static const struct kc_case cases[] = {
    KC_CAPS("path_mtu_is_told", "", path_mtu_is_told, KC_LIVE, 0, KIRIM_CAP_PATH_MTU),
    KC("path_mtu_of_nobody_is_refused", "", path_mtu_is_refused, KC_CHECKED, 0),
    KC_CAPS("path_mtu_of_a_dual_stack_is_told_for_both", "", path_mtu_of_both_stacks, KC_LIVE,
            KC_IPV6_ONLY, KIRIM_CAP_DUAL_STACK | KIRIM_CAP_PATH_MTU),
    KC("endpoints_keep_their_datagrams_whole_or_refuse", "S10", modes_are_honoured_or_refused,
       KC_CHECKED, KC_MODES),
};

const struct kc_subject kc_mtu = KC_SUBJECT("mtu", cases);
