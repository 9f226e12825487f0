/* SPDX-License-Identifier: MIT
 *
 * Opening endpoints: addresses, ports, buffers, flags, and how their structures grow.
 */
#include <string.h>

#include "conformance.h"

static void port_0_is_chosen(struct ks *t)
{
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    KS_CHECK(kirim_addr_port(&a->addr) != 0);
    KS_CHECK(kirim_addr_port(&b->addr) != 0);
    KS_CHECK(!kirim_addr_equal(&a->addr, &b->addr));
    const struct kirim_addr remote = kirim_endpoint_peer(a->ep);
    KS_EQ(KIRIM_FAMILY_NONE, kirim_addr_family(&remote));
    KS_CHECK(kirim_endpoint_loop(a->ep) == t->loop);
    KS_CHECK(kirim_endpoint_user(a->ep) == a);
    const bool has_socket = kirim_endpoint_descriptor(a->ep) != KIRIM_NO_DESCRIPTOR;
    KS_CHECK(has_socket == ((t->caps & KIRIM_CAP_VIRTUAL_TIME) == 0));
}

/* Connecting alone binds as well. */
static void remote_is_enough(struct ks *t)
{
    struct kirim_endpoint_options options = KIRIM_ENDPOINT_OPTIONS_INIT;
    struct ks_node *b = ks_node(t);
    options.peer = b->addr;
    struct ks_node *a = ks_node_with(t, &options);
    KS_CHECK(kirim_addr_port(&a->addr) != 0);
    KS_OK(kirim_endpoint_send_to(a->ep, "x", 1, NULL));
    KS_EXPECT(b, "x", 1);
    KS_EQ(kirim_addr_port(&a->addr), kirim_addr_port(&b->rx[0].peer));
}

static void address_is_taken(struct ks *t)
{
    struct kirim_endpoint_options options = ks_endpoint_options(t);
    struct ks_node *a = ks_node(t);
    struct ks_node *b = NULL;
    options.local = a->addr;
    KS_ERR(KIRIM_EADDRINUSE, ks_node_try(t, &options, &b));
    options.flags = KIRIM_ENDPOINT_SHARE_PORT; /* both have to say so */
    KS_ERR(KIRIM_EADDRINUSE, ks_node_try(t, &options, &b));
    KS_EXPECT_END(a, a);
}

static void port_is_shared(struct ks *t)
{
    struct kirim_endpoint_options options = ks_endpoint_options(t);
    options.flags = KIRIM_ENDPOINT_SHARE_PORT;
    struct ks_node *a = ks_node_with(t, &options);
    options.local = a->addr;
    struct ks_node *b = ks_node_with(t, &options);
    struct ks_node *c = ks_node(t);
    for (int i = 0; i < 20; i++) {
        KS_OK(kirim_endpoint_send_to(c->ep, "x", 1, &a->addr));
    }
    KS_UNTIL(t, a->rx_count + b->rx_count == 20);
}

static void address_is_not_ours(struct ks *t)
{
    static const uint8_t v4[4] = { 192, 0, 2, 1 };
    static const uint8_t v6[16] = { 0x20, 0x01, 0x0d, 0xb8, [15] = 1 };
    struct kirim_endpoint_options options = ks_endpoint_options(t);
    struct ks_node *n = NULL;
    options.local = t->family == KIRIM_IPV4 ? kirim_addr_ipv4(v4, 0) : kirim_addr_ipv6(v6, 0, 0);
    KS_ERR(KIRIM_EADDRNOTAVAIL, ks_node_try(t, &options, &n));
}

static void misuse_is_refused(struct ks *t)
{
    const int other = t->family == KIRIM_IPV4 ? KIRIM_IPV6 : KIRIM_IPV4;
    struct kirim_endpoint_options options = KIRIM_ENDPOINT_OPTIONS_INIT;
    struct kirim_endpoint *ep = NULL;
    KS_ERR(KIRIM_EINVAL,
           kirim_endpoint_open(t->loop, &options, &ep)); /* neither local nor remote nor adopt */
    options.local = ks_loopback(t->family, 0);
    KS_ERR(KIRIM_EINVAL, kirim_endpoint_open(NULL, &options, &ep));
    KS_ERR(KIRIM_EINVAL, kirim_endpoint_open(t->loop, NULL, &ep));
    KS_ERR(KIRIM_EINVAL, kirim_endpoint_open(t->loop, &options, NULL));
    options.peer = ks_loopback(other, 9);
    KS_ERR(KIRIM_EINVAL, kirim_endpoint_open(t->loop, &options, &ep));
    options.peer = (struct kirim_addr){ { 0, 0, 0 } };
    for (uint32_t bit = KIRIM_ENDPOINT_TXTIME << 1; bit != 0; bit <<= 1) {
        options.flags = bit;
        KS_ERR(KIRIM_EINVAL, kirim_endpoint_open(t->loop, &options, &ep));
    }
    options.flags = KIRIM_ENDPOINT_BIND_ADOPTED; /* of nothing */
    KS_ERR(KIRIM_EINVAL, kirim_endpoint_open(t->loop, &options, &ep));
    KS_CHECK(ep == NULL);
}

static void dual_stack_needs_a_wildcard(struct ks *t)
{
    struct kirim_endpoint_options options = ks_endpoint_options(t);
    struct ks_node *n = NULL;
    options.flags = KIRIM_ENDPOINT_DUAL_STACK;
    KS_CHECK(ks_node_try(t, &options, &n) < 0);
    options.flags = 0;
    options.local = ks_wildcard(KIRIM_IPV6, 0);
    n = ks_node_with(t, &options); /* without the flag it takes IPv6 only */
    struct kirim_endpoint_options v4 = ks_endpoint_options(t);
    v4.local = ks_loopback(KIRIM_IPV4, 0);
    struct ks_node *peer = ks_node_with(t, &v4);
    const struct kirim_addr to = ks_loopback(KIRIM_IPV4, kirim_addr_port(&n->addr));
    KS_OK(kirim_endpoint_send_to(peer->ep, "x", 1, &to));
    KS_ERR(KIRIM_EINVAL, kirim_endpoint_send_to(n->ep, "x", 1, &peer->addr));
    struct kirim_endpoint_options v6 = ks_endpoint_options(t);
    v6.local = ks_loopback(KIRIM_IPV6, 0);
    struct ks_node *other = ks_node_with(t, &v6);
    const struct kirim_addr to6 = ks_loopback(KIRIM_IPV6, kirim_addr_port(&n->addr));
    KS_OK(kirim_endpoint_send_to(other->ep, "y", 1, &to6));
    KS_EXPECT(n, "y", 1);
    KS_EQ(1, n->rx_count);
}

static void options_grow(struct ks *t)
{
    struct {
        struct kirim_endpoint_options known;
        uint64_t later;
    } options = { KIRIM_ENDPOINT_OPTIONS_INIT, 0 };
    struct kirim_endpoint *ep = NULL;
    options.known.local = ks_loopback(t->family, 0);
    options.known.size = 0;
    KS_ERR(KIRIM_EINVAL, kirim_endpoint_open(t->loop, &options.known, &ep));
    options.known.size = sizeof options.known - 8;
    KS_ERR(KIRIM_EINVAL, kirim_endpoint_open(t->loop, &options.known, &ep));
    options.known.size = sizeof options;
    options.later = 1;
    KS_ERR(KIRIM_EINVAL, kirim_endpoint_open(t->loop, &options.known, &ep));
    KS_CHECK(ep == NULL);
    options.later = 0;
    KS_OK(kirim_endpoint_open(t->loop, &options.known, &ep));
    KS_OK(kirim_endpoint_close(ep));
    struct kirim_handler handler = { .size = 0 };
    options.known.handler = &handler;
    ep = NULL;
    KS_ERR(KIRIM_EINVAL, kirim_endpoint_open(t->loop, &options.known, &ep));
    KS_CHECK(ep == NULL);
}

static void buffers_are_asked_and_told(struct ks *t)
{
    struct kirim_endpoint_options options = ks_endpoint_options(t);
    struct ks_node *plain = ks_node(t);
    uint32_t receive = 0;
    uint32_t send = 0;
    options.receive_buffer_bytes = 65536;
    options.send_buffer_bytes = 32768;
    struct ks_node *n = ks_node_with(t, &options);
    KS_OK(kirim_endpoint_buffers(n->ep, &receive, &send));
    KS_CHECK(receive >= 65536 && receive <= 4 * 65536);
    KS_CHECK(send >= 32768 && send <= 4 * 32768);
    KS_OK(kirim_endpoint_buffers(plain->ep, &receive, NULL));
    KS_OK(kirim_endpoint_buffers(plain->ep, NULL, &send));
    KS_CHECK(receive > 0 && send > 0);
    KS_OK(kirim_endpoint_buffers(plain->ep, NULL, NULL));
    KS_ERR(KIRIM_EINVAL, kirim_endpoint_buffers(NULL, &receive, &send));
}

static void endpoints_are_walked(struct ks *t)
{
    unsigned seen = 0;
    struct ks_node *nodes[4];
    KS_CHECK(kirim_loop_endpoint_next(t->loop, NULL) == NULL);
    for (size_t i = 0; i < 4; i++) {
        nodes[i] = ks_node(t);
    }
    ks_node_close_and_wait(nodes[1]);
    ks_node_close(nodes[3]); /* closing ones are still there */
    const struct kirim_endpoint *ep = NULL;
    for (size_t count = 0; (ep = kirim_loop_endpoint_next(t->loop, ep)) != NULL; count++) {
        KS_CHECK(count < 3);
        for (size_t i = 0; i < 4; i++) {
            seen |= nodes[i]->ep == ep ? 1U << i : 0;
        }
    }
    KS_EQ(1 + 4 + 8, seen);
}

static void many_endpoints(struct ks *t)
{
    enum { COUNT = 300 };
    struct ks_node *nodes[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        nodes[i] = ks_node(t);
    }
    for (uint32_t i = 0; i < COUNT; i++) {
        ks_send_number(nodes[i], i, &nodes[(i + 1) % COUNT]->addr);
    }
    for (uint32_t i = 0; i < COUNT; i++) {
        KS_EXPECT_NUMBERS(nodes[(i + 1) % COUNT], i, 1);
    }
    for (size_t i = 0; i < COUNT; i += 2) {
        ks_node_close(nodes[i]);
    }
    ks_settle(t);
    for (uint32_t i = 1; i + 2 < COUNT; i += 2) {
        ks_send_number(nodes[i], i, &nodes[i + 2]->addr);
        KS_EXPECT_NUMBERS(nodes[i + 2], i, 1);
    }
}

static const struct kc_case cases[] = {
    KC("port_0_is_chosen_and_told", "", port_0_is_chosen, KC_LIVE, 0),
    KC("connecting_alone_binds", "S1", remote_is_enough, KC_LIVE, 0),
    KC("taken_address_is_refused", "", address_is_taken, KC_LIVE, 0),
    KC("port_is_shared_if_all_say_so", "", port_is_shared, KC_LIVE, 0),
    KC_GAP("foreign_address_is_refused", "", address_is_not_ours, KC_LIVE, 0, 0, kc_gap_bind),
    KC("misuse_of_open_is_refused", "", misuse_is_refused, KC_CHECKED, 0),
    KC("ipv6_only_is_the_default", "", dual_stack_needs_a_wildcard, KC_LIVE, KC_IPV6_ONLY),
    KC("endpoint_options_of_another_version_are_understood_or_refused", "", options_grow,
       KC_CHECKED, 0),
    KC("buffer_sizes_are_asked_and_told", "", buffers_are_asked_and_told, KC_LIVE, 0),
    KC("endpoints_of_a_loop_are_walked", "", endpoints_are_walked, KC_LIVE, 0),
    KC("many_endpoints_live_together", "", many_endpoints, KC_LIVE, 0),
};

const struct kc_subject kc_open = KC_SUBJECT("open", cases);
