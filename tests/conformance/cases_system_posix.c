/* SPDX-License-Identifier: MIT
 *
 * What a POSIX system may do to a send or a receive: played by a replaced table of system calls, so
 * that the message code of the reactors is in it (S2, S4, S11, S16, S24, S29 to S40, S44, S46).
 * Sources: sendmsg(2), sendmmsg(2), udp(7).
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "conformance.h"
#include "posix_map.h"
#include "posix_sys.h"

/* What the replaced calls play and saw. One loop at a time. */
static struct {
    const struct ki_posix_sys *real;
    int send_errno; /* not 0: sends fail with it ... */
    int send_skip;  /* ... after so many datagrams, */
    int send_count; /* so often */
    int send_most;  /* datagrams that one sendmmsg takes; 0: all */
    int receive_errno;
    int receive_count;
    int flags_all; /* of all sends */
    int flags_any;
    size_t send_calls;
    size_t iov_count;
    const void *first_base;
} played;

/* Whether this datagram is refused. */
static bool is_refused(void)
{
    if (played.send_count > 0 && played.send_skip == 0) {
        played.send_count--;
        errno = played.send_errno;
        return true;
    }
    played.send_skip -= played.send_count > 0;
    return false;
}

static void look_at(const struct msghdr *msg, int flags)
{
    played.flags_all &= flags;
    played.flags_any |= flags;
    played.iov_count = msg->msg_iovlen;
    played.first_base = msg->msg_iovlen > 0 ? msg->msg_iov[0].iov_base : NULL;
}

static ssize_t play_sendmsg(int fd, const struct msghdr *msg, int flags)
{
    played.send_calls++;
    look_at(msg, flags);
    return is_refused() ? -1 : played.real->sendmsg(fd, msg, flags);
}

/* As sendmmsg(2): the error of a datagram is told only if it is the first. */
static int play_sendmmsg(int fd, struct mmsghdr *msgs, unsigned count, int flags)
{
    int sent = 0;
    played.send_calls++;
    for (unsigned i = 0; i < count && (played.send_most == 0 || sent < played.send_most); i++) {
        look_at(&msgs[i].msg_hdr, flags);
        if (sent > 0 && played.send_count > 0 && played.send_skip == 0) {
            return sent;
        }
        const ssize_t n = is_refused() ? -1 : played.real->sendmsg(fd, &msgs[i].msg_hdr, flags);
        if (n < 0) {
            return sent > 0 ? sent : -1;
        }
        msgs[i].msg_len = (unsigned)n;
        sent++;
    }
    return sent;
}

static bool is_receive_refused(void)
{
    if (played.receive_count > 0) {
        played.receive_count--;
        errno = played.receive_errno;
        return true;
    }
    return false;
}

static ssize_t play_recvmsg(int fd, struct msghdr *msg, int flags)
{
    return is_receive_refused() ? -1 : played.real->recvmsg(fd, msg, flags);
}

static int play_recvmmsg(int fd, struct mmsghdr *msgs, unsigned count, int flags,
                         struct timespec *limit)
{
    return is_receive_refused() ? -1 : played.real->recvmmsg(fd, msgs, count, flags, limit);
}

static void open_played(struct ks *t)
{
    static struct ki_posix_sys table;
    struct kirim_loop_options options = KIRIM_LOOP_OPTIONS_INIT;
    memset(&played, 0, sizeof played);
    played.real = &ki_posix_sys_default;
    played.flags_all = ~0;
    table = ki_posix_sys_default;
    table.sendmsg = play_sendmsg;
    table.sendmmsg = play_sendmmsg;
    table.recvmsg = play_recvmsg;
    table.recvmmsg = play_recvmmsg;
    options.system_calls = &table;
    KS_OK(ks_try_open(t, &options));
    played.send_calls = 0; /* of the reactor's own probes */
}

/* A sender whose calls can be counted: each datagram leaves by itself. */
static struct ks_node *node_alone(struct ks *t)
{
    struct kirim_endpoint_options options = ks_endpoint_options(t);
    options.flags |= KIRIM_ENDPOINT_NO_TRAINS;
    return ks_node_with(t, &options);
}

static void refuse(int sys_err, int skip, int count)
{
    played.send_errno = sys_err;
    played.send_skip = skip;
    played.send_count = count;
}

/* ---- sending --------------------------------------------------------------------------------- */

static void interruption_is_never_shown(struct ks *t)
{
    open_played(t);
    struct ks_node *a = node_alone(t);
    struct ks_node *b = ks_node(t);
    refuse(EINTR, 0, 3);
    ks_send_number(a, 0, &b->addr);
    ks_send_number(a, 1, &b->addr);
    ks_turn(t);
    refuse(EINTR, 1, 2);
    for (uint32_t i = 2; i < 12; i++) {
        ks_send_number(a, i, &b->addr);
    }
    played.receive_errno = EINTR;
    played.receive_count = 3;
    KS_EXPECT_NUMBERS(b, 0, 12);
    KS_EXPECT_END(b, a);
    KS_EQ(0, a->failed_count + b->failed_count);
    KS_EQ(0, ks_stats(b).rx_errors);
    KS_EQ(0, played.send_count);
}

static void full_system_is_waited_for(struct ks *t)
{
    open_played(t);
    struct ks_node *a = node_alone(t);
    struct ks_node *b = ks_node(t);
    struct ks_op *o = ks_op(t, 0);
    const uint32_t mode = t->mode;
    t->mode = 0;
    for (uint32_t i = 0; i < 100; i++) {
        ks_send_number(a, i, &b->addr);
    }
    refuse(EAGAIN, 10, 5);
    t->mode = mode;
    if (mode == KIRIM_SEND_NOW) {
        KS_ERR(KIRIM_EWOULDBLOCK, ks_send(a, "x", 1, &b->addr, NULL));
        KS_EQ(90, kirim_endpoint_queued_count(a->ep));
    }
    KS_ERR(KIRIM_PENDING, ks_send(a, "last", 4, &b->addr, o));
    KS_EXPECT_NUMBERS(b, 0, 100);
    KS_EXPECT(b, "last", 4);
    KS_UNTIL(t, o->done_count == 1);
    KS_OK(o->err);
    KS_CHECK(ks_stats(a).tx_blocked >= 1);
    KS_EXPECT_END(b, a);
    KS_EQ(0, a->failed_count);
}

static void partial_answers_keep_the_order(struct ks *t)
{
    open_played(t);
    struct ks_node *a = node_alone(t);
    struct ks_node *b = ks_node(t);
    uint32_t number = 0;
    for (played.send_most = 1; played.send_most < 8; played.send_most++) {
        for (int i = 0; i < 20; i++, number++) {
            ks_send_number(a, number, &b->addr);
        }
        ks_turn(t);
    }
    KS_EXPECT_NUMBERS(b, 0, number);
    KS_EXPECT_END(b, a);
}

/* The k-th of a batch is refused: it alone is lost, wherever it stands. */
static void one_of_a_batch_is_lost(struct ks *t)
{
    open_played(t);
    struct ks_node *a = node_alone(t);
    struct ks_node *b = ks_node(t);
    for (uint32_t k = 0; k < 10; k++) {
        refuse(ENOBUFS, (int)k, 1);
        for (uint32_t i = 0; i < 10; i++) {
            ks_send_number(a, i, &b->addr);
        }
        KS_UNTIL(t, a->failed_count == k + 1);
        KS_ERR(KIRIM_ENOBUFS, a->event.err);
        KS_EQ(ENOBUFS, a->event.system_code);
        KS_EXPECT_NUMBERS(b, 0, k);
        KS_EXPECT_NUMBERS(b, k + 1, 9 - k);
    }
    KS_EQ(10, ks_stats(a).drops[KIRIM_DROP_NO_BUFFERS]);
    KS_EXPECT_END(b, a);
}

static const struct translation {
    int sys_err;
    kirim_err err;
} translations[] = {
    { EACCES, KIRIM_EACCES },
    { EPERM, KIRIM_EACCES },
    { ECONNREFUSED, KIRIM_ECONNRESET },
    { ECONNRESET, KIRIM_ECONNRESET },
    { EFAULT, KIRIM_EFAULT },
    { EINPROGRESS, KIRIM_EINPROGRESS },
    { EALREADY, KIRIM_EINPROGRESS },
    { EINTR, KIRIM_EINTR },
    { EINVAL, KIRIM_EINVAL },
    { EMSGSIZE, KIRIM_EMSGSIZE },
    { ENETDOWN, KIRIM_ENETDOWN },
    { ENETRESET, KIRIM_ENETRESET },
    { ENETUNREACH, KIRIM_ENETUNREACH },
    { EHOSTUNREACH, KIRIM_ENETUNREACH },
    { ENOBUFS, KIRIM_ENOBUFS },
    { ENOTCONN, KIRIM_ENOTCONN },
    { EDESTADDRREQ, KIRIM_ENOTCONN },
    { ENOTSOCK, KIRIM_ENOTSOCK },
    { EOPNOTSUPP, KIRIM_EOPNOTSUPP },
    { EPIPE, KIRIM_ESHUTDOWN },
    { ESHUTDOWN, KIRIM_ESHUTDOWN },
    { ETIMEDOUT, KIRIM_ETIMEDOUT },
    { EAGAIN, KIRIM_EWOULDBLOCK },
    { ECANCELED, KIRIM_EABORTED },
    { ENOMEM, KIRIM_ENOMEM },
    { EADDRINUSE, KIRIM_EADDRINUSE },
    { EMFILE, KIRIM_EMFILE },
    { ENFILE, KIRIM_EMFILE },
    { EADDRNOTAVAIL, KIRIM_EADDRNOTAVAIL },
    { EXDEV, KIRIM_ESYSTEM },
    { EAFNOSUPPORT, KIRIM_EAFNOSUPPORT },
};

/* By the table, and by way of a send: the answer of NOW, and the event. */
static void codes_are_mapped(struct ks *t)
{
    open_played(t);
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    size_t failed = 0;
    for (size_t i = 0; i < sizeof translations / sizeof translations[0]; i++) {
        const struct translation tr = translations[i];
        KS_ERR(tr.err, ki_posix_map(tr.sys_err));
        if (tr.sys_err == EAGAIN || tr.sys_err == EINTR) {
            continue; /* neither is an answer */
        }
        t->mode = KIRIM_SEND_NOW;
        refuse(tr.sys_err, 0, 2); /* some are tried twice */
        KS_ERR(tr.err, ks_send(a, "x", 1, &b->addr, NULL));
        t->mode = 0;
        refuse(tr.sys_err, 0, 2);
        KS_OK(ks_send(a, "x", 1, &b->addr, NULL));
        failed++;
        KS_UNTIL(t, a->failed_count == failed);
        KS_ERR(tr.err, a->event.err);
        KS_EQ(tr.sys_err, a->event.system_code);
        played.send_count = 0;
    }
    KS_EXPECT_END(b, a);
}

static void flags_are_what_was_asked(struct ks *t)
{
    open_played(t);
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    const struct kirim_buf one = { NULL, 0 };
    const struct kirim_msg msg = { &one, &b->addr, NULL, 1, 0 };
    KS_OK(ks_post_msg(a, &msg, t->mode, NULL));
    ks_settle(t);
    KS_EQ(0, played.flags_any & (MSG_DONTROUTE | MSG_OOB | MSG_MORE | MSG_CONFIRM));
    KS_EQ(MSG_DONTWAIT | MSG_NOSIGNAL, played.flags_all & (MSG_DONTWAIT | MSG_NOSIGNAL));
    for (int i = 0; i < 3; i++) {
        played.flags_all = ~0;
        KS_OK(ks_post_msg(a, &msg, t->mode | KIRIM_SEND_DONTROUTE, NULL));
        ks_settle(t);
        KS_EQ(MSG_DONTROUTE, played.flags_all & MSG_DONTROUTE);
    }
    KS_EQ(0, played.flags_any & (MSG_OOB | MSG_MORE | MSG_CONFIRM));
    played.flags_any = 0;
    KS_OK(ks_post_msg(a, &msg, t->mode, NULL)); /* and gone with its datagram */
    ks_settle(t);
    KS_EQ(0, played.flags_any & MSG_DONTROUTE);
}

static void gather_list_reaches_the_system(struct ks *t)
{
    static uint8_t bytes[300];
    struct kirim_buf list[100];
    open_played(t);
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    for (size_t i = 0; i < 100; i++) {
        list[i] = (struct kirim_buf){ bytes + 3 * i, i % 3 };
    }
    const struct kirim_msg msg = { list, &b->addr, NULL, 100, 0 };
    KS_CHECK(ks_post_msg(a, &msg, t->mode, ks_op(t, 0)) >= 0);
    ks_settle(t);
    KS_CHECK(played.iov_count > 60 && played.iov_count <= 100);
    KS_CHECK((const uint8_t *)played.first_base == bytes ||
             (const uint8_t *)played.first_base == bytes + 3);
}

/* ---- receiving ------------------------------------------------------------------------------- */

static void error_of_a_receive_is_told(struct ks *t)
{
    open_played(t);
    struct ks_node *b = ks_node(t);
    struct ks_node *a = ks_node_connected(t, &b->addr);
    KS_SEND(b, "one", 3, &a->addr);
    played.receive_errno = ECONNREFUSED;
    played.receive_count = 1;
    KS_EXPECT(a, "one", 3);
    KS_UNTIL(t, a->failed_count == 1);
    KS_EQ(KIRIM_EVENT_PEER_ERROR, a->event.kind);
    KS_ERR(KIRIM_ECONNRESET, a->event.err);
    KS_EQ(ECONNREFUSED, a->event.system_code);
    KS_CHECK(kirim_addr_equal(&b->addr, &a->event.peer));
    KS_EQ(1, ks_stats(a).rx_errors);
    KS_EXPECT_END(a, b);
}

/* Whatever a receive fails with, it is not the end of the endpoint. */
static void endpoint_outlives_every_error(struct ks *t)
{
    open_played(t);
    struct ks_node *b = ks_node(t);
    struct ks_node *a = ks_node_connected(t, &b->addr);
    for (size_t i = 0; i < sizeof translations / sizeof translations[0]; i++) {
        if (translations[i].sys_err == EAGAIN) {
            continue;
        }
        KS_SEND(b, "one", 3, &a->addr);
        played.receive_errno = translations[i].sys_err;
        played.receive_count = 2;
        KS_EXPECT(a, "one", 3);
    }
    KS_EXPECT_END(a, b);
}

static const struct kc_case cases[] = {
    KC("interruption_is_retried_and_never_shown", "S34", interruption_is_never_shown, KC_SPY,
       KC_UNOPENED | KC_SYSTEM | KC_EXTRA),
    KC("full_system_is_waited_for", "S16 S46", full_system_is_waited_for, KC_SPY,
       KC_MODES | KC_UNOPENED | KC_SYSTEM | KC_EXTRA),
    KC("partial_answers_keep_the_order", "S24", partial_answers_keep_the_order, KC_SPY,
       KC_UNOPENED | KC_SYSTEM | KC_EXTRA),
    KC("one_of_a_batch_is_lost_and_no_other", "S24 S40", one_of_a_batch_is_lost, KC_SPY,
       KC_UNOPENED | KC_SYSTEM | KC_EXTRA),
    KC("codes_of_the_system_are_mapped", "S30 S31 S33 S34 S36 S37 S38 S39 S40 S41 S42 S43 S44",
       codes_are_mapped, KC_MAPPED, KC_UNOPENED | KC_SYSTEM | KC_EXTRA),
    KC("flags_are_what_was_asked", "S11 S29", flags_are_what_was_asked, KC_SPY,
       KC_MODES | KC_UNOPENED | KC_SYSTEM | KC_EXTRA),
    KC("gather_list_reaches_the_system", "S4", gather_list_reaches_the_system, KC_SPY,
       KC_MODES | KC_UNOPENED | KC_SYSTEM | KC_EXTRA),
    KC("error_of_a_receive_is_told", "S31", error_of_a_receive_is_told, KC_SPY,
       KC_UNOPENED | KC_SYSTEM | KC_EXTRA),
    KC("endpoint_outlives_every_error_of_a_receive", "S31", endpoint_outlives_every_error, KC_SPY,
       KC_UNOPENED | KC_SYSTEM | KC_EXTRA),
};

const struct kc_subject kc_system = KC_SUBJECT("system", cases);
