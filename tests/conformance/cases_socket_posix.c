/* SPDX-License-Identifier: MIT
 *
 * What needs sockets of the caller's own, and other things of POSIX: adopting, raw sockets, the
 * pollable handle, signals, the environment (S3, S29, S35, S42, S44, S51).
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "conformance.h"
#include "namespace.h"

union name {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

/* The loopback address with this port. */
static socklen_t make_name(union name *name, int family, uint16_t port)
{
    memset(name, 0, sizeof *name);
    if (family == KIRIM_IPV4) {
        name->v4.sin_family = AF_INET;
        name->v4.sin_port = htons(port);
        name->v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        return sizeof name->v4;
    }
    name->v6.sin6_family = AF_INET6;
    name->v6.sin6_port = htons(port);
    name->v6.sin6_addr = in6addr_loopback;
    return sizeof name->v6;
}

/* A blocking socket of the caller's. */
static int make_socket(const struct ks *t, int type, int protocol, bool is_bound)
{
    union name name;
    const socklen_t bytes = make_name(&name, t->family, 0);
    const int fd = socket(t->family == KIRIM_IPV4 ? AF_INET : AF_INET6, type, protocol);
    KS_CHECK(fd >= 0);
    if (is_bound) {
        KS_EQ(0, bind(fd, &name.any, bytes));
    }
    return fd;
}

static void connect_socket(int fd, const struct ks_node *n)
{
    union name name;
    const socklen_t bytes = make_name(&name, n->t->family, kirim_addr_port(&n->addr));
    KS_EQ(0, connect(fd, &name.any, bytes));
}

static struct kirim_endpoint_options adopting(int fd)
{
    struct kirim_endpoint_options options = KIRIM_ENDPOINT_OPTIONS_INIT;
    options.adopt = fd;
    options.flags = KIRIM_ENDPOINT_ADOPT;
    return options;
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

/* Refused, and the socket stays the caller's, open, as it was. */
static void is_refused(struct ks *t, int fd, const struct kirim_endpoint_options *options,
                       kirim_err err)
{
    struct ks_node *n = NULL;
    const int flags = fcntl(fd, F_GETFL);
    KS_ERR(err, ks_node_try(t, options, &n));
    KS_CHECK(is_open(fd));
    KS_EQ(flags, fcntl(fd, F_GETFL));
    (void)close(fd);
}

/* ---- adopting -------------------------------------------------------------------------------- */

static void stream_is_refused(struct ks *t)
{
    const int fd = make_socket(t, SOCK_STREAM, 0, true);
    const struct kirim_endpoint_options options = adopting(fd);
    is_refused(t, fd, &options, KIRIM_EOPNOTSUPP);
}

static void no_socket_is_refused(struct ks *t)
{
    int ends[2];
    struct ks_node *n = NULL;
    KS_EQ(0, pipe(ends));
    (void)close(ends[1]);
    struct kirim_endpoint_options options = adopting(ends[0]);
    is_refused(t, ends[0], &options, KIRIM_ENOTSOCK);
    KS_ERR(KIRIM_ENOTSOCK, ks_node_try(t, &options, &n)); /* closed by now */
    options = adopting(-1);
    KS_ERR(KIRIM_ENOTSOCK, ks_node_try(t, &options, &n));
    options.adopt = INTPTR_MAX;
    KS_ERR(KIRIM_ENOTSOCK, ks_node_try(t, &options, &n));
}

static void unbound_is_refused(struct ks *t)
{
    const int fd = make_socket(t, SOCK_DGRAM, 0, false);
    struct kirim_endpoint_options options = adopting(fd);
    is_refused(t, fd, &options, KIRIM_EINVAL);
    options = adopting(make_socket(t, SOCK_DGRAM, 0, false));
    options.flags |= KIRIM_ENDPOINT_BIND_ADOPTED;
    options.local = ks_loopback(t->family, 0);
    struct ks_node *a = ks_node_with(t, &options);
    KS_CHECK(kirim_addr_port(&a->addr) != 0);
    KS_EXPECT_END(a, a);
}

static void adopted_serves(struct ks *t)
{
    const int fd = make_socket(t, SOCK_DGRAM, 0, true);
    const struct kirim_endpoint_options options = adopting(fd);
    struct ks_node *a = ks_node_with(t, &options);
    struct ks_node *b = ks_node(t);
    KS_EQ(fd, kirim_endpoint_descriptor(a->ep));
    KS_CHECK((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
    KS_CHECK((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    KS_SEND(b, "hello", 5, &a->addr);
    KS_EXPECT(a, "hello", 5);
    KS_SEND_OP(a, "you", 3, &b->addr, ks_op(t, 0));
    KS_EXPECT(b, "you", 3);
    ks_node_close_and_wait(a);
    KS_CHECK(!is_open(fd)); /* it was the endpoint's */
}

static void adopted_stays_connected(struct ks *t)
{
    const int fd = make_socket(t, SOCK_DGRAM, 0, true);
    struct ks_node *b = ks_node(t);
    struct ks_node *other = ks_node(t);
    connect_socket(fd, b);
    const struct kirim_endpoint_options options = adopting(fd);
    struct ks_node *a = ks_node_with(t, &options);
    const struct kirim_addr peer = kirim_endpoint_peer(a->ep);
    KS_CHECK(kirim_addr_equal(&b->addr, &peer));
    KS_SEND(other, "not for you", 11, &a->addr);
    ks_settle(t);
    KS_SEND(a, "hello", 5, NULL);
    KS_EXPECT(b, "hello", 5);
    KS_EXPECT_END(a, b);
}

static void shut_down_is_told(struct ks *t)
{
    const int fd = make_socket(t, SOCK_DGRAM, 0, true);
    struct ks_node *b = ks_node(t);
    struct ks_op *o = ks_op(t, 0);
    connect_socket(fd, b);
    KS_EQ(0, shutdown(fd, SHUT_WR));
    const struct kirim_endpoint_options options = adopting(fd);
    struct ks_node *a = ks_node_with(t, &options);
    t->mode = KIRIM_SEND_NOW;
    KS_ERR(KIRIM_ESHUTDOWN, ks_send(a, "x", 1, NULL, NULL));
    t->mode = 0;
    KS_OK(ks_send(a, "x", 1, NULL, NULL));
    KS_ERR(KIRIM_PENDING, ks_send(a, "x", 1, NULL, o));
    KS_UNTIL(t, a->failed_count == 1 && o->done_count == 1);
    KS_ERR(KIRIM_ESHUTDOWN, o->err);
    KS_ERR(KIRIM_ESHUTDOWN, a->event.err);
    KS_EQ(EPIPE, a->event.system_code);
    KS_EQ(KIRIM_DROP_SHUTDOWN, a->event.drop_reason);
    KS_SEND(b, "still here?", 11, &a->addr); /* the other side is not concerned */
    KS_EXPECT(a, "still here?", 11);
}

static void own_sockets_do_not_block(struct ks *t)
{
    struct kirim_endpoint_options options = ks_endpoint_options(t);
    struct ks_node *a = ks_node(t);
    options.flags = KIRIM_ENDPOINT_INHERIT;
    struct ks_node *b = ks_node_with(t, &options);
    const int fd = (int)kirim_endpoint_descriptor(a->ep);
    KS_CHECK((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
    KS_CHECK((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    KS_CHECK((fcntl((int)kirim_endpoint_descriptor(b->ep), F_GETFD) & FD_CLOEXEC) == 0);
}

/* ---- raw sockets ----------------------------------------------------------------------------- */

enum { ECHO_BYTES = 16, ECHO_ID = 0x4b52 };

/* An echo request; the checksum of ICMPv6 is the system's task. */
static void make_echo(uint8_t out[ECHO_BYTES], int family)
{
    memset(out, 0, ECHO_BYTES);
    out[0] = family == KIRIM_IPV4 ? 8 : 128;
    out[4] = ECHO_ID >> 8;
    out[5] = ECHO_ID & 0xff;
    memcpy(out + 8, "kirim", 5);
    uint32_t sum = 0;
    for (int i = 0; i < ECHO_BYTES; i += 2) {
        sum += (uint32_t)out[i] << 8 | out[i + 1];
    }
    sum = (sum & 0xffff) + (sum >> 16);
    sum = ~(sum + (sum >> 16)) & 0xffff;
    if (family == KIRIM_IPV4) {
        out[2] = (uint8_t)(sum >> 8);
        out[3] = (uint8_t)sum;
    }
}

/* Whether a datagram is our echo, of this ICMP type. */
static bool is_echo(const struct kirim_datagram *d, bool is_ipv4, uint8_t type)
{
    const size_t header = is_ipv4 ? (size_t)(d->data[0] & 15) * 4 : 0; /* IPv4 has its own */
    const uint8_t *icmp = d->data + header;
    return d->bytes >= header + ECHO_BYTES && icmp[0] == type &&
           (icmp[4] << 8 | icmp[5]) == ECHO_ID && memcmp(icmp + 8, "kirim", 5) == 0;
}

static void look_for_reply(struct ks_node *n, const struct kirim_batch *batch)
{
    const bool is_ipv4 = n->t->family == KIRIM_IPV4;
    for (size_t i = 0; i < batch->count; i++) {
        if (is_echo(kirim_batch_at(batch, i), is_ipv4, is_ipv4 ? 0 : 129)) {
            n->ctx = n;
        }
    }
}

static struct kirim_addr requester;

/* The host hears its own request, too, and from whom it came. */
static void look_for_request(struct ks_node *n, const struct kirim_batch *batch)
{
    const bool is_ipv4 = n->t->family == KIRIM_IPV4;
    for (size_t i = 0; i < batch->count; i++) {
        const struct kirim_datagram *d = kirim_batch_at(batch, i);
        if (is_echo(d, is_ipv4, is_ipv4 ? 8 : 128)) {
            requester = d->peer;
            n->ctx = n;
        }
    }
}

static void raw_socket_sends_an_echo(struct ks *t)
{
    kc_raw_prepare();
    ks_open(t);
    const int fd =
        make_socket(t, SOCK_RAW, t->family == KIRIM_IPV4 ? IPPROTO_ICMP : IPPROTO_ICMPV6, true);
    const struct kirim_endpoint_options options = adopting(fd);
    struct ks_node *a = ks_node_with(t, &options);
    const struct kirim_addr to = ks_loopback(t->family, 0);
    uint8_t echo[ECHO_BYTES];
    make_echo(echo, t->family);
    a->on_received = look_for_reply;
    KS_SEND(a, echo, sizeof echo, &to);
    KS_UNTIL(t, a->ctx == a);
}

static void raw_socket_names_its_source(struct ks *t)
{
    kc_raw_prepare();
    ks_open(t);
    const int fd =
        make_socket(t, SOCK_RAW, t->family == KIRIM_IPV4 ? IPPROTO_ICMP : IPPROTO_ICMPV6, true);
    const struct kirim_endpoint_options options = adopting(fd);
    struct ks_node *a = ks_node_with(t, &options);
    const struct kirim_addr to = ks_loopback(t->family, 0);
    struct kirim_control control = KIRIM_CONTROL_INIT;
    uint8_t echo[ECHO_BYTES];
    const struct kirim_buf one = { echo, sizeof echo };
    const struct kirim_msg msg = { &one, &to, &control, 1, 0 };
    const char *source = t->family == KIRIM_IPV4 ? "127.0.0.9:0" : "[::1]:0";
    KS_OK(kirim_addr_parse(source, &control.source));
    make_echo(echo, t->family);
    a->on_received = look_for_request;
    KS_OK(ks_post_msg(a, &msg, t->mode, NULL));
    KS_UNTIL(t, a->ctx == a);
    KS_CHECK(kirim_addr_equal(&requester, &control.source));
}

/* ---- a host that polls ----------------------------------------------------------------------- */

/* Waits as a host does: on the handle, until the deadline. */
static void host_turn(struct ks *t, intptr_t handle)
{
    struct pollfd fd = { .fd = (int)handle, .events = POLLIN };
    const uint64_t deadline_ns = kirim_loop_deadline(t->loop);
    const uint64_t now_ns = kirim_loop_now(t->loop);
    int timeout_ms = 10000;
    if (deadline_ns <= now_ns) {
        timeout_ms = 0;
    } else if (deadline_ns != KIRIM_NEVER && deadline_ns - now_ns < 10ULL * KS_SECOND_NS) {
        timeout_ms = (int)((deadline_ns - now_ns + 999999) / 1000000);
    }
    KS_CHECK(poll(&fd, 1, timeout_ms) > 0 || timeout_ms < 10000);
    ks_turn(t);
}

static void handle_wakes_a_host(struct ks *t)
{
    intptr_t handle = -1;
    struct ks_node *a = ks_node(t);
    const int fd = make_socket(t, SOCK_DGRAM, 0, true);
    struct ks_timer *timer = ks_timer(t, 0);
    struct kirim_remote *remote = kirim_loop_remote(t->loop);
    struct ks_post *post = ks_post(t, 0);
    KS_OK(kirim_loop_pollable(t->loop, &handle));
    connect_socket(fd, a);
    for (size_t i = 1; i <= 10; i++) {
        KS_EQ(1, send(fd, "x", 1, 0));
        while (a->rx_count < i) {
            host_turn(t, handle);
        }
    }
    ks_arm_in(timer, 3 * KS_MILLISECOND_NS);
    while (timer->fired_count == 0) {
        host_turn(t, handle);
    }
    KS_OK(kirim_remote_post(remote, &post->post));
    while (post->run_count == 0) {
        host_turn(t, handle);
    }
    KS_OK(kirim_endpoint_send_to(a->ep, "me", 2, &a->addr));
    while (a->rx_count < 11) {
        host_turn(t, handle);
    }
    struct pollfd quiet = { .fd = (int)handle, .events = POLLIN };
    ks_settle(t);
    KS_EQ(0, poll(&quiet, 1, 0)); /* with nothing to do it is not readable */
    (void)close(fd);
    kirim_remote_release(remote);
}

/* ---- signals and the environment ------------------------------------------------------------- */

static struct kirim_remote *signalled;

static void on_signal(int number)
{
    (void)number;
    (void)kirim_remote_stop(signalled);
}

static void signal_ends_a_run(struct ks *t)
{
    const struct itimerval soon = { { 0, 0 }, { 0, 20000 } };
    struct sigaction action;
    struct sigaction old;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    (void)ks_node(t);
    signalled = kirim_loop_remote(t->loop);
    KS_EQ(0, sigaction(SIGALRM, &action, &old));
    for (int i = 0; i < 3; i++) {
        KS_EQ(0, setitimer(ITIMER_REAL, &soon, NULL));
        t->is_turn = true;
        KS_OK(kirim_loop_run(t->loop));
        t->is_turn = false;
    }
    KS_EQ(0, sigaction(SIGALRM, &old, NULL));
    kirim_remote_release(signalled);
}

static void environment_names_the_reactor(struct ks *t)
{
    struct kirim_loop_options options = KIRIM_LOOP_OPTIONS_INIT;
    struct kirim_loop *loop = NULL;
    const char *old = getenv("KIRIM_REACTOR");
    char *const saved = old != NULL ? strdup(old) : NULL;
    KS_EQ(0, setenv("KIRIM_REACTOR", t->reactor, 1));
    KS_OK(kirim_loop_open(NULL, &loop));
    KS_CHECK(strcmp(kirim_loop_reactor(loop), t->reactor) == 0);
    KS_OK(kirim_loop_close(loop));
    KS_EQ(0, setenv("KIRIM_REACTOR", "no such reactor", 1));
    loop = NULL;
    KS_ERR(KIRIM_ENOENT, kirim_loop_open(&options, &loop));
    KS_CHECK(loop == NULL);
    options.reactor = t->reactor; /* a name in the options goes before */
    KS_OK(kirim_loop_open(&options, &loop));
    KS_OK(kirim_loop_close(loop));
    KS_EQ(0, saved != NULL ? setenv("KIRIM_REACTOR", saved, 1) : unsetenv("KIRIM_REACTOR"));
    free(saved);
}

static const struct kc_case cases[] = {
    KC_CAPS("stream_socket_is_refused", "S3", stream_is_refused, KC_LIVE, 0, KIRIM_CAP_ADOPT),
    KC_CAPS("descriptor_that_is_no_socket_is_refused", "S42", no_socket_is_refused, KC_LIVE, 0,
            KIRIM_CAP_ADOPT),
    KC_CAPS("unbound_socket_is_refused_or_bound_on_request", "S35", unbound_is_refused, KC_LIVE, 0,
            KIRIM_CAP_ADOPT),
    KC_CAPS("adopted_socket_serves_and_does_not_block", "S51", adopted_serves, KC_LIVE, KC_MODES,
            KIRIM_CAP_ADOPT),
    KC_CAPS("adopted_socket_stays_connected", "S1", adopted_stays_connected, KC_LIVE,
            KC_MODES | KC_EXTRA, KIRIM_CAP_ADOPT),
    KC_CAPS("socket_that_was_shut_down_is_told", "S44", shut_down_is_told, KC_LIVE, 0,
            KIRIM_CAP_ADOPT),
    KC_CAPS("own_sockets_do_not_block_and_are_not_inherited", "S29", own_sockets_do_not_block,
            KC_LIVE, KC_SYSTEM | KC_EXTRA, 0),
    { .name = "raw_socket_sends_an_icmp_echo",
      .rows = "S3",
      .run = raw_socket_sends_an_echo,
      .kind = KC_LIVE,
      .flags = KC_MODES | KC_UNOPENED,
      .caps = KIRIM_CAP_ADOPT,
      .obstacle = kc_raw_obstacle },
    { .name = "raw_socket_names_its_source",
      .rows = "S7 S8",
      .run = raw_socket_names_its_source,
      .kind = KC_LIVE,
      .flags = KC_MODES | KC_UNOPENED | KC_EXTRA,
      .caps = KIRIM_CAP_ADOPT | KIRIM_CAP_SOURCE,
      .obstacle = kc_raw_obstacle },
    KC_CAPS("handle_wakes_a_host", "", handle_wakes_a_host, KC_LIVE, 0, KIRIM_CAP_POLLABLE),
    KC("signal_handler_ends_a_run", "", signal_ends_a_run, KC_LIVE, 0),
    KC("environment_names_the_reactor", "", environment_names_the_reactor, KC_LIVE, KC_UNOPENED),
};

const struct kc_subject kc_socket = KC_SUBJECT("socket", cases);
