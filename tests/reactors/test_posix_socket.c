/* SPDX-License-Identifier: MIT
 *
 * Claims about reactors/posix_socket.c: what a socket is after a port was opened on it, made or
 * adopted, and that a failed open leaves nothing behind.
 */
#include "support/posix_rig.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct rig rig;

static void set_up(void)
{
    script_reset();
    rig_open(&rig, "epoll", NULL);
}

static void tear_down(void)
{
    rig_close(&rig);
}

static int option(intptr_t fd, int level, int name)
{
    int value = -1;
    socklen_t bytes = sizeof value;
    ck_assert_int_eq(getsockopt((int)fd, level, name, &value, &bytes), 0);
    return value;
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

/* A datagram socket of the test's own, bound to the loopback address or not at all. */
static int make_socket(int domain, int type, bool is_bound)
{
    union ki_posix_name name;
    const int fd = socket(domain, type, 0);
    ck_assert_int_ge(fd, 0);
    if (is_bound) {
        const struct kirim_addr at = rig_addr(domain == AF_INET6 ? "[::1]:0" : "127.0.0.1:0");
        const socklen_t bytes = ki_name_write(&name, &at, domain == AF_INET6);
        ck_assert_int_eq(bind(fd, &name.any, bytes), 0);
    }
    return fd;
}

static struct kirim_endpoint_options adopting(int fd)
{
    struct kirim_endpoint_options o = KIRIM_ENDPOINT_OPTIONS_INIT;
    o.flags = KIRIM_ENDPOINT_ADOPT;
    o.adopt = fd;
    return o;
}

/* Closes a port whose socket the test made. */
static void close_adopted(struct ki_port *p)
{
    script_note_descriptor();
    rig_port_close(&rig, p);
}

/* Adopting `fd` fails, and it stays open and is closed here. */
static void check_not_adopted(int fd, kirim_err wanted)
{
    const struct kirim_endpoint_options o = adopting(fd);
    struct ki_port *p;
    ck_assert_int_eq(rig_try_port(&rig, &o, &p), wanted);
    ck_assert(is_open(fd));
    (void)close(fd);
}

/* ---- made ------------------------------------------------------------------------------------ */

START_TEST(made_socket_is_private_and_never_blocks)
{
    struct ki_port *p = rig_port(&rig, KIRIM_IPV4);
    ck_assert_int_ne(fcntl((int)p->descriptor, F_GETFL) & O_NONBLOCK, 0);
    ck_assert_int_ne(fcntl((int)p->descriptor, F_GETFD) & FD_CLOEXEC, 0);
    ck_assert_int_eq(option(p->descriptor, SOL_SOCKET, SO_REUSEADDR), 0);
    ck_assert_int_eq(option(p->descriptor, SOL_SOCKET, SO_REUSEPORT), 0);
    ck_assert_int_eq(option(p->descriptor, SOL_SOCKET, SO_BROADCAST), 0);
    ck_assert_int_eq(kirim_addr_family(&p->local), KIRIM_IPV4);
    ck_assert_uint_ne(kirim_addr_port(&p->local), 0);
    ck_assert_int_eq(kirim_addr_family(&p->remote), KIRIM_FAMILY_NONE);
    rig_port_close(&rig, p);
}
END_TEST

START_TEST(flags_set_their_options)
{
    struct kirim_endpoint_options o = rig_at("127.0.0.1:0");
    o.flags = KIRIM_ENDPOINT_BROADCAST | KIRIM_ENDPOINT_INHERIT | KIRIM_ENDPOINT_SHARE_PORT;
    struct ki_port *p = rig_port_with(&rig, &o);
    ck_assert_int_eq(fcntl((int)p->descriptor, F_GETFD) & FD_CLOEXEC, 0);
    ck_assert_int_eq(option(p->descriptor, SOL_SOCKET, SO_BROADCAST), 1);
    ck_assert_int_eq(option(p->descriptor, SOL_SOCKET, SO_REUSEPORT), 1);
    rig_port_close(&rig, p);
}
END_TEST

START_TEST(port_is_exclusive_unless_both_share_it)
{
    const bool is_first_sharing = (_i & 1) != 0;
    const bool is_second_sharing = (_i & 2) != 0;
    struct kirim_endpoint_options o = rig_at("127.0.0.1:0");
    struct ki_port *second = NULL;
    o.flags = is_first_sharing ? KIRIM_ENDPOINT_SHARE_PORT : 0;
    struct ki_port *first = rig_port_with(&rig, &o);
    o.local = first->local;
    o.flags = is_second_sharing ? KIRIM_ENDPOINT_SHARE_PORT : 0;
    const bool are_sharing = is_first_sharing && is_second_sharing;
    ck_assert_int_eq(rig_try_port(&rig, &o, &second), are_sharing ? KIRIM_OK : KIRIM_EADDRINUSE);
    if (are_sharing) {
        rig_port_close(&rig, second);
    }
    rig_port_close(&rig, first);
}
END_TEST

START_TEST(ipv6_is_ipv6_only_unless_dual_stack)
{
    if (!rig_has_ipv6()) {
        return;
    }
    struct kirim_endpoint_options o = rig_at("[::]:0");
    o.flags = _i != 0 ? KIRIM_ENDPOINT_DUAL_STACK : 0;
    struct ki_port *p = rig_port_with(&rig, &o);
    ck_assert_int_eq(option(p->descriptor, IPPROTO_IPV6, IPV6_V6ONLY), _i == 0);
    ck_assert_int_eq(kirim_addr_family(&p->local), KIRIM_IPV6);
    rig_port_close(&rig, p);
}
END_TEST

START_TEST(address_of_another_host_is_refused)
{
    const struct kirim_endpoint_options o = rig_at("192.0.2.1:0");
    struct ki_port *p;
    ck_assert_int_eq(rig_try_port(&rig, &o, &p), KIRIM_EADDRNOTAVAIL);
}
END_TEST

START_TEST(port_is_connected_before_it_is_open)
{
    struct ki_port *peer = rig_port(&rig, KIRIM_IPV4);
    struct kirim_endpoint_options o = KIRIM_ENDPOINT_OPTIONS_INIT;
    o.peer = peer->local;
    struct ki_port *p = rig_port_with(&rig, &o);
    ck_assert(kirim_addr_equal(&p->remote, &peer->local));
    ck_assert(kirim_addr_is_loopback(&p->local)); /* chosen by the route */
    ck_assert_uint_ne(kirim_addr_port(&p->local), 0);
    rig_port_close(&rig, p);
    rig_port_close(&rig, peer);
}
END_TEST

START_TEST(buffers_are_what_was_asked)
{
    struct kirim_endpoint_options o = rig_at("127.0.0.1:0");
    uint32_t receive_bytes = 0;
    uint32_t send_bytes = 0;
    o.receive_buffer_bytes = 50000;
    o.send_buffer_bytes = 30000;
    struct ki_port *p = rig_port_with(&rig, &o);
    ck_assert_int_eq(rig.ops->port_buffers(rig.reactor, p, &receive_bytes, &send_bytes), KIRIM_OK);
    ck_assert_uint_eq(receive_bytes, 100000); /* as Linux counts */
    ck_assert_uint_eq(send_bytes, 60000);
    rig_port_close(&rig, p);
}
END_TEST

START_TEST(forced_buffers_fall_back_to_what_is_permitted)
{
    struct kirim_endpoint_options o = rig_at("127.0.0.1:0");
    uint32_t bytes[2] = { 0, 0 };
    o.receive_buffer_bytes = 50000;
    o.flags = KIRIM_ENDPOINT_FORCE_BUFFERS;
    script_answer(SCRIPT_SETSOCKOPT, EPERM);
    struct ki_port *p = rig_port_with(&rig, &o);
    ck_assert_int_eq(rig.ops->port_buffers(rig.reactor, p, &bytes[0], &bytes[1]), KIRIM_OK);
    ck_assert_uint_eq(bytes[0], 100000);
    rig_port_close(&rig, p);
}
END_TEST

START_TEST(drops_of_a_full_buffer_are_counted)
{
    enum { SENT = 200 };
    struct kirim_endpoint_options o = rig_at("127.0.0.1:0");
    struct kirim_datagram batch[KI_BATCH_MAX];
    uint32_t received = 0;
    o.receive_buffer_bytes = 1; /* the system's least */
    struct ki_port *p = rig_port_with(&rig, &o);
    struct ki_port *from = rig_port(&rig, KIRIM_IPV4);
    ck_assert_uint_eq(rig.ops->port_drops(rig.reactor, p), 0);
    for (int i = 0; i < SENT; i++) {
        rig_send(&rig, from, "dropped?", 8, &p->local);
    }
    const uint64_t drops = rig.ops->port_drops(rig.reactor, p);
    ck_assert_uint_gt(drops, 0);
    ck_assert_uint_eq(rig.ops->port_drops(rig.reactor, p), drops);
    uint32_t n;
    do {
        n = rig.ops->receive(rig.reactor, p, batch, KI_BATCH_MAX);
        received += n;
    } while (n > 0);
    ck_assert_uint_eq(received + drops, SENT);
    script_break(SCRIPT_GETSOCKOPT, EIO);
    ck_assert_uint_eq(rig.ops->port_drops(rig.reactor, p), drops);
    rig_port_close(&rig, p);
    rig_port_close(&rig, from);
}
END_TEST

/* ---- adopted --------------------------------------------------------------------------------- */

START_TEST(adopted_socket_serves_and_is_closed_with_its_port)
{
    const int fd = make_socket(AF_INET, SOCK_DGRAM, true);
    const struct kirim_endpoint_options o = adopting(fd);
    struct kirim_datagram d;
    struct ki_port *p = rig_port_with(&rig, &o);
    struct ki_port *from = rig_port(&rig, KIRIM_IPV4);
    ck_assert_int_eq((int)p->descriptor, fd);
    ck_assert_int_ne(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
    ck_assert_int_ne(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
    rig_send(&rig, from, "in", 2, &p->local);
    ck_assert_uint_eq(rig_receive(&rig, p, &d, 1), 1);
    ck_assert_mem_eq(d.data, "in", 2);
    close_adopted(p);
    rig_port_close(&rig, from);
    ck_assert(!is_open(fd));
}
END_TEST

START_TEST(what_is_no_socket_is_not_adopted) /* S42 */
{
    int pipe_fds[2];
    ck_assert_int_eq(pipe(pipe_fds), 0);
    check_not_adopted(pipe_fds[0], KIRIM_ENOTSOCK);
    (void)close(pipe_fds[1]);
    const struct kirim_endpoint_options closed = adopting(pipe_fds[1]);
    const struct kirim_endpoint_options negative = adopting(-1);
    struct ki_port *p;
    ck_assert_int_eq(rig_try_port(&rig, &closed, &p), KIRIM_ENOTSOCK);
    ck_assert_int_eq(rig_try_port(&rig, &negative, &p), KIRIM_ENOTSOCK);
}
END_TEST

START_TEST(stream_socket_is_not_adopted) /* S3, S43 */
{
    check_not_adopted(make_socket(AF_INET, SOCK_STREAM, false), KIRIM_EOPNOTSUPP);
    check_not_adopted(make_socket(AF_UNIX, SOCK_STREAM, false), KIRIM_EOPNOTSUPP);
    check_not_adopted(make_socket(AF_UNIX, SOCK_SEQPACKET, false), KIRIM_EOPNOTSUPP);
    check_not_adopted(make_socket(AF_UNIX, SOCK_DGRAM, false), KIRIM_EAFNOSUPPORT);
}
END_TEST

START_TEST(unbound_socket_is_not_adopted) /* S35 */
{
    check_not_adopted(make_socket(AF_INET, SOCK_DGRAM, false), KIRIM_EINVAL);
}
END_TEST

START_TEST(unbound_socket_is_bound_on_request) /* S35 */
{
    struct kirim_endpoint_options o = adopting(make_socket(AF_INET, SOCK_DGRAM, false));
    o.flags |= KIRIM_ENDPOINT_BIND_ADOPTED;
    o.local = rig_addr("127.0.0.1:0");
    struct ki_port *p = rig_port_with(&rig, &o);
    ck_assert(kirim_addr_is_loopback(&p->local));
    ck_assert_uint_ne(kirim_addr_port(&p->local), 0);
    close_adopted(p);
}
END_TEST

START_TEST(peer_of_a_connected_socket_is_found)
{
    struct ki_port *peer = rig_port(&rig, KIRIM_IPV4);
    const int fd = make_socket(AF_INET, SOCK_DGRAM, true);
    const struct kirim_endpoint_options o = adopting(fd);
    union ki_posix_name name;
    const socklen_t bytes = ki_name_write(&name, &peer->local, false);
    ck_assert_int_eq(connect(fd, &name.any, bytes), 0);
    struct ki_port *p = rig_port_with(&rig, &o);
    ck_assert(kirim_addr_equal(&p->remote, &peer->local));
    close_adopted(p);
    rig_port_close(&rig, peer);
}
END_TEST

START_TEST(foreign_options_are_switched_off) /* L8 */
{
    const int fd = make_socket(AF_INET, SOCK_DGRAM, true);
    const int one = 1;
    const int many = 1500;
    struct kirim_endpoint_options o = adopting(fd);
    o.flags |= KIRIM_ENDPOINT_NO_COALESCING;
    ck_assert_int_eq(setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &many, sizeof many), 0);
    ck_assert_int_eq(setsockopt(fd, IPPROTO_UDP, UDP_GRO, &one, sizeof one), 0);
    struct ki_port *p = rig_port_with(&rig, &o);
    ck_assert_int_eq(option(fd, IPPROTO_UDP, UDP_SEGMENT), 0);
    ck_assert_int_eq(option(fd, IPPROTO_UDP, UDP_GRO), 0);
    close_adopted(p);
}
END_TEST

START_TEST(adopted_dual_stack_socket_serves_both_families)
{
    if (!rig_has_ipv6()) {
        return;
    }
    const int is_alone = _i;
    const struct kirim_addr wildcard = rig_addr("[::]:0");
    union ki_posix_name name;
    const int fd = make_socket(AF_INET6, SOCK_DGRAM, false);
    const struct kirim_endpoint_options o = adopting(fd);
    ck_assert_int_eq(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &is_alone, sizeof is_alone), 0);
    ck_assert_int_eq(bind(fd, &name.any, ki_name_write(&name, &wildcard, true)), 0);
    struct ki_port *p = rig_port_with(&rig, &o);
    ck_assert_uint_eq(p->is_dual_stack, is_alone == 0);
    close_adopted(p);
}
END_TEST

START_TEST(raw_socket_is_adopted) /* S3 */
{
    const int fd = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
    if (fd < 0) {
        return; /* needs a privilege */
    }
    const struct kirim_endpoint_options o = adopting(fd);
    struct ki_port *p = rig_port_with(&rig, &o);
    ck_assert_int_eq(kirim_addr_family(&p->local), KIRIM_IPV4);
    ck_assert_uint_eq(kirim_addr_port(&p->local), 0);
    ck_assert_uint_eq(p->is_raw, 1);
    close_adopted(p);
}
END_TEST

/* What an owner can see of a socket. */
struct look {
    int values[12];
};

static struct look look_at(int fd)
{
    return (struct look){ {
        fcntl(fd, F_GETFL),
        fcntl(fd, F_GETFD),
        option(fd, SOL_SOCKET, SO_RCVBUF),
        option(fd, SOL_SOCKET, SO_SNDBUF),
        option(fd, SOL_SOCKET, SO_BROADCAST),
        option(fd, SOL_SOCKET, SO_REUSEADDR),
        option(fd, SOL_SOCKET, SO_REUSEPORT),
        option(fd, IPPROTO_UDP, UDP_SEGMENT),
        option(fd, IPPROTO_UDP, UDP_GRO),
        option(fd, IPPROTO_IP, IP_RECVERR),
        option(fd, IPPROTO_IP, IP_PKTINFO),
        option(fd, IPPROTO_IP, IP_RECVTOS),
    } };
}

/* A socket that an owner has set up in every way that adopting touches. */
static int make_busy_socket(void)
{
    const int many = 1500;
    const int fd = make_socket(AF_INET, SOCK_DGRAM, false);
    ck_assert_int_eq(setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &many, sizeof many), 0);
    return fd;
}

static struct kirim_endpoint_options adopting_busily(int fd, struct kirim_addr local)
{
    struct kirim_endpoint_options o = adopting(fd);
    o.flags |= KIRIM_ENDPOINT_BIND_ADOPTED | KIRIM_ENDPOINT_BROADCAST |
               KIRIM_ENDPOINT_FORCE_BUFFERS | KIRIM_ENDPOINT_SHARE_PORT |
               KIRIM_ENDPOINT_RECEIVE_CONTROL;
    o.local = local;
    o.receive_buffer_bytes = 20000;
    o.send_buffer_bytes = 20000;
    return o;
}

static void check_same_look(int fd, const struct look *before)
{
    const struct look after = look_at(fd);
    for (size_t i = 0; i < sizeof after.values / sizeof after.values[0]; i++) {
        ck_assert_msg(after.values[i] == before->values[i], "value %zu: %d, was %d", i,
                      after.values[i], before->values[i]);
    }
}

START_TEST(failed_adoption_leaves_the_socket_as_it_was)
{
    const int fd = make_busy_socket();
    struct ki_port *taken = rig_port(&rig, KIRIM_IPV4);
    const struct kirim_endpoint_options o = adopting_busily(fd, taken->local);
    const struct look before = look_at(fd);
    struct ki_port *p;
    ck_assert_int_eq(rig_try_port(&rig, &o, &p), KIRIM_EADDRINUSE);
    check_same_look(fd, &before);
    (void)close(fd);
    rig_port_close(&rig, taken);
}
END_TEST

START_TEST(every_failing_call_of_an_adoption_leaves_the_socket_as_it_was)
{
    bool is_complete = false;
    for (uint64_t n = 1; !is_complete; n++) {
        const int fd = make_busy_socket();
        const struct kirim_endpoint_options o = adopting_busily(fd, rig_addr("127.0.0.1:0"));
        const struct look before = look_at(fd);
        const uint64_t start = script_total();
        struct ki_port *p;
        script_fail_at(start + n, EIO);
        const kirim_err err = rig_try_port(&rig, &o, &p);
        is_complete = script_total() - start < n;
        script_fail_at(0, 0);
        if (err < 0) {
            check_same_look(fd, &before);
            (void)close(fd);
        } else {
            close_adopted(p);
        }
        ck_assert(!is_complete || err == KIRIM_OK);
    }
}
END_TEST

START_TEST(every_failing_call_of_an_open_leaves_nothing)
{
    bool is_complete = false;
    for (uint64_t n = 1; !is_complete; n++) {
        struct kirim_endpoint_options o = rig_at("0.0.0.0:0");
        const uint64_t start = script_total();
        const int descriptors = script_open_descriptors();
        struct ki_port *p;
        o.flags = KIRIM_ENDPOINT_SHARE_PORT | KIRIM_ENDPOINT_BROADCAST;
        o.receive_buffer_bytes = 20000;
        script_fail_at(start + n, EIO);
        const kirim_err err = rig_try_port(&rig, &o, &p);
        is_complete = script_total() - start < n;
        script_fail_at(0, 0);
        if (err == KIRIM_OK) {
            rig_port_close(&rig, p);
        }
        ck_assert_int_eq(script_open_descriptors(), descriptors);
        ck_assert(!is_complete || err == KIRIM_OK);
    }
}
END_TEST

static TCase *made_cases(void)
{
    TCase *tcase = tcase_create("made");
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, made_socket_is_private_and_never_blocks);
    tcase_add_test(tcase, flags_set_their_options);
    tcase_add_loop_test(tcase, port_is_exclusive_unless_both_share_it, 0, 4);
    tcase_add_loop_test(tcase, ipv6_is_ipv6_only_unless_dual_stack, 0, 2);
    tcase_add_test(tcase, address_of_another_host_is_refused);
    tcase_add_test(tcase, port_is_connected_before_it_is_open);
    tcase_add_test(tcase, buffers_are_what_was_asked);
    tcase_add_test(tcase, forced_buffers_fall_back_to_what_is_permitted);
    tcase_add_test(tcase, drops_of_a_full_buffer_are_counted);
    tcase_add_test(tcase, every_failing_call_of_an_open_leaves_nothing);
    return tcase;
}

static TCase *adopted_cases(void)
{
    TCase *tcase = tcase_create("adopted");
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, adopted_socket_serves_and_is_closed_with_its_port);
    tcase_add_test(tcase, what_is_no_socket_is_not_adopted);
    tcase_add_test(tcase, stream_socket_is_not_adopted);
    tcase_add_test(tcase, unbound_socket_is_not_adopted);
    tcase_add_test(tcase, unbound_socket_is_bound_on_request);
    tcase_add_test(tcase, peer_of_a_connected_socket_is_found);
    tcase_add_test(tcase, foreign_options_are_switched_off);
    tcase_add_loop_test(tcase, adopted_dual_stack_socket_serves_both_families, 0, 2);
    tcase_add_test(tcase, raw_socket_is_adopted);
    tcase_add_test(tcase, failed_adoption_leaves_the_socket_as_it_was);
    tcase_add_test(tcase, every_failing_call_of_an_adoption_leaves_the_socket_as_it_was);
    return tcase;
}

int main(void)
{
    Suite *suite = suite_create("reactors/posix_socket");
    suite_add_tcase(suite, made_cases());
    suite_add_tcase(suite, adopted_cases());
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed_count = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
