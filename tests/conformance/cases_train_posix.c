/* SPDX-License-Identifier: MIT
 *
 * A system that refuses trains, as devices and kernels do (L1, L3, L4, L6, L7): played behind the
 * system-call table, since a loopback takes them all.
 *
 * What is refused together leaves one by one, at once and in order; the route is remembered if the
 * train was to blame, and only then.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>

#include "conformance.h"
#include "posix_sys.h"

enum { BURST_COUNT = 40 };

static struct {
    const struct ki_posix_sys *real;
    int train_errno;    /* of messages that are to be cut; 0: they pass */
    int single_errno;   /* of the others */
    unsigned min_count; /* datagrams of the smallest train that is refused */
    uint64_t train_count, refused_count, single_count;
} played;

static bool is_train(const struct msghdr *msg, size_t *segments)
{
    struct msghdr copy = *msg; /* the macros take it without const, and do not write to it */
    size_t bytes = 0;
    for (size_t i = 0; i < msg->msg_iovlen; i++) {
        bytes += msg->msg_iov[i].iov_len;
    }
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&copy); c != NULL; c = CMSG_NXTHDR(&copy, c)) {
        uint16_t segment = 0;
        if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_SEGMENT) {
            memcpy(&segment, CMSG_DATA(c), sizeof segment);
            *segments = (bytes + segment - 1) / segment;
            return true;
        }
    }
    return false;
}

static bool is_refused(const struct msghdr *msg)
{
    size_t segments = 1;
    const bool is_to_be_cut = is_train(msg, &segments);
    if (is_to_be_cut) {
        KS_CHECK(segments > 1); /* of one segment it is never said (L7) */
    }
    const bool has_failed = is_to_be_cut ? played.train_errno != 0 && segments >= played.min_count
                                         : played.single_errno != 0;
    played.train_count += is_to_be_cut && !has_failed;
    played.refused_count += is_to_be_cut && has_failed;
    played.single_count += !is_to_be_cut;
    if (has_failed) {
        errno = is_to_be_cut ? played.train_errno : played.single_errno;
    }
    return has_failed;
}

static ssize_t play_sendmsg(int fd, const struct msghdr *msg, int flags)
{
    return is_refused(msg) ? -1 : played.real->sendmsg(fd, msg, flags);
}

static int play_sendmmsg(int fd, struct mmsghdr *msgs, unsigned count, int flags)
{
    int sent = 0;
    for (unsigned i = 0; i < count; i++) {
        if (is_refused(&msgs[i].msg_hdr)) {
            played.refused_count -= sent > 0; /* it will be asked for again */
            return sent > 0 ? sent : -1;
        }
        const ssize_t n = played.real->sendmsg(fd, &msgs[i].msg_hdr, flags);
        if (n < 0) {
            return sent > 0 ? sent : -1;
        }
        sent++;
    }
    return sent;
}

static void open_played(struct ks *t, uint64_t refusal_ns)
{
    static struct ki_posix_sys table;
    struct kirim_loop_options options = KIRIM_LOOP_OPTIONS_INIT;
    memset(&played, 0, sizeof played);
    played.real = &ki_posix_sys_default;
    table = ki_posix_sys_default;
    table.sendmsg = play_sendmsg;
    table.sendmmsg = play_sendmmsg;
    options.system_calls = &table;
    options.train_refusal_ns = refusal_ns;
    KS_OK(ks_try_open(t, &options));
    played.train_count = 0;
}

static void send_burst(struct ks_node *a, struct ks_node *b, uint32_t first)
{
    for (uint32_t i = 0; i < BURST_COUNT; i++) {
        ks_send_number(a, first + i, &b->addr);
    }
    KS_EXPECT_NUMBERS(b, first, BURST_COUNT);
}

static void refused_train_is_split(struct ks *t)
{
    static const int errors[] = { EIO, EINVAL, EMSGSIZE, EOPNOTSUPP };
    open_played(t, 0);
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    played.train_errno = errors[t->arg];
    send_burst(a, b, 0);
    KS_EQ(1, played.refused_count);
    KS_EQ(BURST_COUNT, played.single_count);
    send_burst(a, b, 100); /* the route is remembered: not even tried */
    KS_EQ(1, played.refused_count);
    KS_EQ(0, played.train_count);
    const struct kirim_endpoint_stats s = ks_stats(a);
    KS_EQ(1, s.tx_trains_refused);
    KS_EQ(0, s.tx_trains);
    KS_EQ(2 * BURST_COUNT, s.tx_datagrams);
    KS_EQ(0, ks_drops(&s));
    KS_EQ(0, a->failed_count);
}

/* Another destination has another route. */
static void other_routes_keep_their_trains(struct ks *t)
{
    open_played(t, 0);
    struct kirim_endpoint_options options = KIRIM_ENDPOINT_OPTIONS_INIT;
    struct ks_node *a = NULL;
    struct ks_node *c = NULL;
    options.local = ks_wildcard(KIRIM_IPV4, 0);
    KS_OK(ks_node_try(t, &options, &a));
    struct ks_node *b = ks_node(t);
    KS_OK(kirim_addr_parse("127.0.0.2:0", &options.local));
    KS_OK(ks_node_try(t, &options, &c));
    played.train_errno = EIO;
    send_burst(a, b, 0);
    played.train_errno = 0;
    send_burst(a, b, 100);
    KS_EQ(0, played.train_count);
    send_burst(a, c, 0);
    KS_EQ(1, played.train_count);
}

static void refusal_is_forgotten(struct ks *t)
{
    open_played(t, KS_MILLISECOND_NS);
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    struct ks_timer *timer = ks_timer(t, 0);
    played.train_errno = EIO;
    send_burst(a, b, 0);
    played.train_errno = 0;
    ks_arm_in(timer, 2 * KS_MILLISECOND_NS);
    KS_UNTIL(t, timer->fired_count == 1);
    send_burst(a, b, 100);
    KS_EQ(1, played.train_count);
    KS_EQ(1, ks_stats(a).tx_trains_refused);
}

/* Refused as a train and one by one: a stale source address does that, and no offload (L6). */
static void what_is_refused_singly_too_is_not_the_trains_fault(struct ks *t)
{
    open_played(t, 0);
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    played.train_errno = EINVAL;
    played.single_errno = EINVAL;
    for (uint32_t i = 0; i < BURST_COUNT; i++) {
        ks_send_number(a, i, &b->addr);
    }
    KS_UNTIL(t, a->failed_count == BURST_COUNT);
    KS_EQ(EINVAL, a->event.system_code);
    played.train_errno = played.single_errno = 0;
    send_burst(a, b, 100);
    KS_EQ(1, played.train_count); /* trains are made as before */
}

static void send_sized(struct ks_node *a, struct ks_node *b, size_t bytes_each)
{
    static uint8_t bytes[2000];
    ks_fill(bytes, sizeof bytes, 32);
    for (uint32_t i = 0; i < 10; i++) {
        KS_OK(kirim_endpoint_send_to(a->ep, bytes, bytes_each, &b->addr));
    }
    for (uint32_t i = 0; i < 10; i++) {
        KS_EXPECT(b, bytes, bytes_each);
    }
}

/* Datagrams over the path's MTU leave in fragments, but in no train: shorter ones keep theirs. */
static void long_datagrams_take_no_trains_from_short_ones(struct ks *t)
{
    open_played(t, 0);
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    played.train_errno = EINVAL;
    send_sized(a, b, 1600);
    KS_EQ(1, played.refused_count);
    played.train_errno = 0;
    send_sized(a, b, 1200);
    KS_EQ(1, played.train_count);
    send_sized(a, b, 1600);
    send_sized(a, b, 1700);
    KS_EQ(1, played.train_count);
    played.train_errno = EIO; /* that one speaks of all sizes */
    send_sized(a, b, 1200);
    played.train_errno = 0;
    send_sized(a, b, 100);
    KS_EQ(1, played.train_count);
    KS_EQ(2, ks_stats(a).tx_trains_refused);
}

/* Longer ones are refused, shorter ones not: the same, and nothing is lost. */
static void caller_train_is_cut(struct ks *t)
{
    static uint8_t bytes[BURST_COUNT * 100];
    open_played(t, 0);
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    struct ks_op *o = ks_op(t, 0);
    const struct kirim_buf one = { bytes, sizeof bytes };
    const struct kirim_msg msg = { &one, &b->addr, NULL, 1, 100 };
    ks_fill(bytes, sizeof bytes, 31);
    played.train_errno = EIO;
    played.min_count = 10;
    KS_CHECK(ks_post_msg(a, &msg, t->mode, o) >= 0);
    for (size_t i = 0; i < BURST_COUNT; i++) {
        KS_EXPECT(b, bytes + i * 100, 100);
    }
    KS_UNTIL(t, o->done_count == 1);
    KS_OK(o->err);
    KS_EQ(sizeof bytes, o->sent_bytes);
    KS_EQ(1, played.refused_count);
    KS_OK(ks_post_msg(a, &msg, t->mode, NULL));
    for (size_t i = 0; i < BURST_COUNT; i++) {
        KS_EXPECT(b, bytes + i * 100, 100);
    }
    KS_EQ(1, played.refused_count);
    KS_EQ(1, ks_stats(a).tx_trains_refused);
    KS_EQ(2 * BURST_COUNT, ks_stats(a).tx_datagrams);
}

/* Out of buffers: the whole train is lost, counted and told, and nobody waits. */
static void train_without_buffers_is_lost(struct ks *t)
{
    open_played(t, 0);
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    played.train_errno = ENOBUFS;
    for (uint32_t i = 0; i < BURST_COUNT; i++) {
        ks_send_number(a, i, &b->addr);
    }
    KS_UNTIL(t, a->failed_count == BURST_COUNT);
    KS_ERR(KIRIM_ENOBUFS, a->event.err);
    KS_EQ(BURST_COUNT, ks_stats(a).drops[KIRIM_DROP_NO_BUFFERS]);
    KS_EQ(0, ks_stats(a).tx_trains_refused);
    KS_EQ(0, played.single_count);
    played.train_errno = 0;
    send_burst(a, b, 100);
}

/* A full system waits with a train as with a datagram. */
static void full_system_keeps_trains(struct ks *t)
{
    open_played(t, 0);
    struct ks_node *a = ks_node(t);
    struct ks_node *b = ks_node(t);
    played.train_errno = EAGAIN;
    for (uint32_t i = 0; i < BURST_COUNT; i++) {
        ks_send_number(a, i, &b->addr);
    }
    KS_ERR(KIRIM_EWOULDBLOCK, kirim_endpoint_flush(a->ep));
    played.train_errno = 0;
    KS_EXPECT_NUMBERS(b, 0, BURST_COUNT);
    KS_EQ(1, played.train_count);
    KS_EQ(0, played.single_count);
}

#define TRAIN(claim, cites, function, number)                                                  \
    {                                                                                          \
        .name = (claim), .rows = (cites), .run = (function), .kind = KC_SPY,                   \
        .flags = KC_UNOPENED | KC_SYSTEM | KC_EXTRA, .caps = KIRIM_CAP_TRAINS, .arg = (number) \
    }

static const struct kc_case cases[] = {
    TRAIN("train_refused_with_eio_is_split", "S24", refused_train_is_split, 0),
    TRAIN("train_refused_with_einval_is_split", "S24", refused_train_is_split, 1),
    TRAIN("train_refused_with_emsgsize_is_split", "S24", refused_train_is_split, 2),
    TRAIN("train_refused_with_eopnotsupp_is_split", "S24", refused_train_is_split, 3),
    TRAIN("long_datagrams_take_no_trains_from_short_ones", "",
          long_datagrams_take_no_trains_from_short_ones, 0),
    TRAIN("refusal_is_forgotten_after_its_time", "", refusal_is_forgotten, 0),
    TRAIN("stale_source_is_not_a_refused_train", "",
          what_is_refused_singly_too_is_not_the_trains_fault, 0),
    TRAIN("train_without_buffers_is_lost_whole", "S40", train_without_buffers_is_lost, 0),
    TRAIN("full_system_keeps_trains", "S46", full_system_keeps_trains, 0),
    { .name = "refusal_is_one_routes_matter",
      .rows = "",
      .run = other_routes_keep_their_trains,
      .kind = KC_SPY,
      .flags = KC_UNOPENED | KC_SYSTEM | KC_EXTRA | KC_IPV4_ONLY,
      .caps = KIRIM_CAP_TRAINS },
    { .name = "train_of_the_callers_is_cut_if_refused",
      .rows = "S24",
      .run = caller_train_is_cut,
      .kind = KC_SPY,
      .flags = KC_UNOPENED | KC_SYSTEM | KC_EXTRA | KC_MODES,
      .caps = KIRIM_CAP_TRAINS },
};

const struct kc_subject kc_train_system = KC_SUBJECT("train-system", cases);
