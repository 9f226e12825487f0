/* SPDX-License-Identifier: MIT
 *
 * The scenario that must survive every fault: a loop, three endpoints, datagrams of every hand-over
 * form, operations, timers, a post, a guest, and the close of all.
 *
 * It goes on behind every refusal with what it has. What it checks is what no fault may break: what
 * was accepted has left or is counted, each operation ends once, what the system gave is handed
 * over, every callback that was promised comes, and all that was taken is given back. See faults.h.
 */
#include "faults.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    BURST_COUNT = 70, /* more than one batch */
    OP_COUNT = 5,
    PARTY_COUNT = 4,
    LONELY_COUNT = 6,
    TURNS_MAX = 400,
    TURNS_IDLE_MAX = 12, /* without progress, while a fault lasts */
    STEP_NS = 500000,
    PACE_NS = 200000,
    PAYLOAD_BYTES = 8
};

/* An endpoint, and what the test knows of it. */
struct party {
    struct scene *scene;
    struct kirim_endpoint *ep; /* NULL: not open */
    struct kirim_addr addr;
    uint64_t accepted_count;
    uint64_t received_count;
    uint64_t failed_op_count;
    size_t closed_count;
    struct kirim_endpoint_stats stats; /* at its end */
};

struct task {
    struct kirim_op op;
    struct party *party;
    size_t posted_count, done_count;
    uint8_t bytes[PAYLOAD_BYTES];
};

struct scene {
    struct kirim_loop *loop;
    struct party server; /* IPv4, bound to all, answers */
    struct party client; /* IPv4, connected to the server */
    struct party mirror; /* IPv6, sends to itself */
    struct party lonely; /* IPv4, sends to nobody, and hears of it */
    struct party nobody; /* IPv4, closed before anything is sent to it */
    struct task task[OP_COUNT];
    struct kirim_timer timer, owned_timer;
    struct kirim_post post;
    struct kirim_guest guest;
    intptr_t descriptor; /* of the guest */
    bool is_watched, is_posted, is_timer_armed, is_owned_timer_armed;
    size_t timer_count, owned_timer_count, post_count, guest_count;
    size_t reply_count; /* decides how the server answers */
};

/* A refusal is an answer; it leaves nothing behind. */
static bool is_accepted(struct party *p, kirim_err err)
{
    p->accepted_count += err >= 0;
    return err >= 0;
}

/* ---- callbacks --------------------------------------------------------------------------------
 */

static void on_done(struct kirim_op *op, kirim_err err, size_t sent_bytes)
{
    struct task *t = (struct task *)(void *)op;
    t->done_count++;
    FAULT_CHECK(t->done_count <= t->posted_count);
    FAULT_CHECK(sent_bytes == (err == KIRIM_OK ? (size_t)PAYLOAD_BYTES : 0));
    t->party->failed_op_count += err != KIRIM_OK;
}

static void on_timer(struct kirim_timer *timer)
{
    struct scene *s = timer->user;
    *(timer == &s->timer ? &s->timer_count : &s->owned_timer_count) += 1;
}

static void on_post(struct kirim_post *post, struct kirim_loop *loop, kirim_err err)
{
    struct scene *s = post->user;
    FAULT_CHECK(loop == s->loop);
    FAULT_CHECK(err == KIRIM_OK || err == KIRIM_ECLOSED);
    s->post_count++;
}

static void on_guest(struct kirim_guest *guest, uint32_t events)
{
    struct scene *s = guest->user;
    FAULT_CHECK((events & KIRIM_GUEST_READABLE) != 0);
    s->guest_count++;
    if (s->guest_count == 3) {
        kirim_guest_remove(guest);
        s->is_watched = false;
    }
}

/* Answers one batch: with a reply, with lent sends, now. */
static void answer(struct party *p, const struct kirim_batch *batch)
{
    struct scene *s = p->scene;
    size_t accepted_count = 0;
    if (s->reply_count++ % 3 == 0) {
        (void)kirim_endpoint_reply(p->ep, batch->first, batch->count, &accepted_count);
        p->accepted_count += accepted_count;
        return;
    }
    for (size_t i = 0; i < batch->count; i++) {
        const struct kirim_datagram *d = kirim_batch_at(batch, i);
        struct kirim_buf buf = { d->data, d->bytes };
        const struct kirim_msg msg = { &buf, &d->peer, NULL, 1, 0 };
        const uint32_t now = s->reply_count % 3 == 0 ? KIRIM_SEND_NOW : 0;
        struct task *t = &s->task[OP_COUNT - 1];
        const bool has_op = i == 0 && !kirim_op_is_pending(&t->op);
        if (is_accepted(p, kirim_endpoint_send(p->ep, &msg, KIRIM_SEND_LENT | now,
                                               has_op ? &t->op : NULL, NULL)) &&
            has_op) {
            t->party = p;
            t->posted_count++;
        }
    }
}

/* Whether a datagram is one of the scenario's own. The ports are the system's choice, and another
 * process may still be sending to who had one of them before. */
static bool is_ours(const struct scene *s, const struct kirim_datagram *d)
{
    const uint16_t port = kirim_addr_port(&d->peer);
    return port == kirim_addr_port(&s->server.addr) || port == kirim_addr_port(&s->client.addr) ||
           port == kirim_addr_port(&s->mirror.addr);
}

static void on_received(struct kirim_endpoint *ep, const struct kirim_batch *batch, void *user)
{
    struct party *p = user;
    FAULT_CHECK(p->ep == ep && p->closed_count == 0);
    p->received_count += batch->count;
    for (size_t i = 0; i < batch->count; i++) {
        const struct kirim_datagram *d = kirim_batch_at(batch, i);
        if (is_ours(p->scene, d)) {
            FAULT_CHECK(d->bytes == PAYLOAD_BYTES);
            FAULT_CHECK(d->data[PAYLOAD_BYTES - 1] == 0x5a);
        }
    }
    if (p == &p->scene->server) {
        answer(p, batch);
    }
}

static void on_closed(struct kirim_endpoint *ep, void *user)
{
    struct party *p = user;
    p->closed_count++;
    FAULT_CHECK(p->closed_count == 1);
    p->stats = (struct kirim_endpoint_stats)KIRIM_ENDPOINT_STATS_INIT;
    FAULT_CHECK(kirim_endpoint_read_stats(ep, &p->stats) == KIRIM_OK);
    p->ep = NULL;
}

static void on_failed(struct kirim_endpoint *ep, const struct kirim_event *event, void *user)
{
    struct party *p = user;
    FAULT_CHECK(p->ep == ep);
    FAULT_CHECK(event->err < 0);
}

static const struct kirim_handler handler = {
    KIRIM_HANDLER_INIT,
    .received = on_received,
    .failed = on_failed,
    .closed = on_closed,
};

/* ---- opening ----------------------------------------------------------------------------------
 */

static void open_party(struct scene *s, struct party *p, const char *local,
                       const struct kirim_addr *peer)
{
    struct kirim_endpoint_options o = KIRIM_ENDPOINT_OPTIONS_INIT;
    FAULT_CHECK(kirim_addr_parse(local, &o.local) == KIRIM_OK);
    if (peer != NULL) {
        o.peer = *peer;
    }
    o.flags = peer == NULL ? KIRIM_ENDPOINT_RECEIVE_CONTROL : 0;
    o.receive_buffer_bytes = 1 << 19;
    o.handler = &handler;
    o.user = p;
    p->scene = s;
    const kirim_err err = kirim_endpoint_open(s->loop, &o, &p->ep);
    FAULT_CHECK((err == KIRIM_OK) == (p->ep != NULL));
    if (err == KIRIM_OK) {
        p->addr = kirim_endpoint_local(p->ep);
    }
}

static void open_parties(struct scene *s)
{
    open_party(s, &s->server, "0.0.0.0", NULL);
    if (s->server.ep != NULL) {
        struct kirim_addr peer;
        FAULT_CHECK(kirim_addr_parse("127.0.0.1", &peer) == KIRIM_OK);
        kirim_addr_set_port(&peer, kirim_addr_port(&s->server.addr));
        open_party(s, &s->client, "127.0.0.1", &peer);
    }
    open_party(s, &s->mirror, "::1", NULL);
    open_party(s, &s->lonely, "127.0.0.1", NULL);
}

/* Joins a group on the first interface, leaves it, and joins it again: each call finds what the one
 * before has told. */
static void use_groups(struct scene *s)
{
    struct kirim_membership m = KIRIM_MEMBERSHIP_INIT;
    const struct kirim_multicast_options o = KIRIM_MULTICAST_OPTIONS_INIT;
    struct kirim_endpoint *ep = s->server.ep;
    if (ep == NULL) {
        return;
    }
    FAULT_CHECK(kirim_addr_parse("239.1.2.3", &m.group) == KIRIM_OK);
    m.ifindex = fault_group_ifindex();
    const bool is_joined = kirim_endpoint_join(ep, &m) == KIRIM_OK;
    const kirim_err err = kirim_endpoint_leave(ep, &m);
    FAULT_CHECK((is_joined && err == KIRIM_OK) || fault_plan.hit_count > 0);
    FAULT_CHECK(is_joined || err == KIRIM_ENOENT);
    const kirim_err again = kirim_endpoint_join(ep, &m);
    const bool is_still_joined = is_joined && err != KIRIM_OK;
    FAULT_CHECK(again == KIRIM_OK || fault_plan.hit_count > 0);
    FAULT_CHECK((again == KIRIM_EEXIST) == is_still_joined);
    FAULT_CHECK(kirim_endpoint_set_multicast(ep, &o) == KIRIM_OK || fault_plan.hit_count > 0);
}

static void start_others(struct scene *s)
{
    s->timer = (struct kirim_timer)KIRIM_TIMER_INIT(on_timer, s);
    s->owned_timer = (struct kirim_timer)KIRIM_TIMER_INIT(on_timer, s);
    s->post = (struct kirim_post)KIRIM_POST_INIT(on_post, s);
    s->guest = (struct kirim_guest)KIRIM_GUEST_INIT(on_guest, s);
    s->is_timer_armed = kirim_timer_arm_after(s->loop, &s->timer, 1000) == KIRIM_OK;
    s->is_owned_timer_armed =
        s->server.ep != NULL &&
        kirim_endpoint_timer_arm(s->server.ep, &s->owned_timer, 1) == KIRIM_OK;
    struct kirim_remote *remote = kirim_loop_remote(s->loop);
    s->is_posted = kirim_remote_post(remote, &s->post) == KIRIM_OK;
    kirim_remote_release(remote);
    s->is_watched =
        kirim_guest_watch(s->loop, &s->guest, s->descriptor, KIRIM_GUEST_READABLE) == KIRIM_OK;
    uint8_t random[32];
    (void)kirim_loop_random(s->loop, random, sizeof random);
}

/* ---- sending ----------------------------------------------------------------------------------
 */

static void send_with(struct party *p, const struct kirim_addr *to, struct task *t, uint32_t flags,
                      uint64_t not_before_ns)
{
    struct kirim_buf buf[3] = { { t->bytes, 3 }, { NULL, 0 }, { t->bytes + 3, PAYLOAD_BYTES - 3 } };
    struct kirim_control control = KIRIM_CONTROL_INIT;
    control.tag = 7;
    control.not_before_ns = not_before_ns;
    const struct kirim_msg msg = { buf, to, &control, 3, 0 };
    memset(t->bytes, 0x5a, sizeof t->bytes);
    if (!kirim_op_is_pending(&t->op) &&
        is_accepted(p, kirim_endpoint_send(p->ep, &msg, flags, &t->op, NULL))) {
        t->party = p;
        t->posted_count++;
    }
}

static void send_reserved(struct party *p, const struct kirim_addr *to)
{
    const struct kirim_msg msg = { NULL, to, NULL, 0, 0 };
    void *room = NULL;
    if (kirim_endpoint_reserve(p->ep, PAYLOAD_BYTES, &room) == KIRIM_OK) {
        memset(room, 0x5a, PAYLOAD_BYTES);
        (void)is_accepted(p, kirim_endpoint_commit(p->ep, PAYLOAD_BYTES, &msg));
    }
}

/* Datagrams that leave later, the last one first: two, and one with an operation. */
static void send_paced(struct party *p, const struct kirim_addr *to, struct task *t)
{
    static uint8_t bytes[PAYLOAD_BYTES];
    const uint64_t at_ns = kirim_loop_now(p->scene->loop) + PACE_NS;
    struct kirim_buf one = { bytes, sizeof bytes };
    struct kirim_control control = KIRIM_CONTROL_INIT;
    const struct kirim_msg msg = { &one, to, &control, 1, 0 };
    memset(bytes, 0x5a, sizeof bytes);
    send_with(p, to, t, 0, at_ns);
    for (uint64_t i = 1; i <= 2; i++) {
        control.not_before_ns = at_ns - i;
        (void)is_accepted(p, kirim_endpoint_send(p->ep, &msg, 0, NULL, NULL));
    }
}

/* Datagrams of every form that needs no arrival. */
static void send_all(struct scene *s, struct party *p, const struct kirim_addr *to)
{
    static uint8_t bytes[PAYLOAD_BYTES];
    memset(bytes, 0x5a, sizeof bytes);
    if (p->ep == NULL) {
        return;
    }
    struct kirim_buf buf[2] = { { bytes, 1 }, { bytes + 1, PAYLOAD_BYTES - 1 } };
    const struct kirim_msg msg = { buf, to, NULL, 2, 0 };
    for (int i = 0; i < BURST_COUNT; i++) {
        (void)is_accepted(p, kirim_endpoint_send_to(p->ep, bytes, sizeof bytes, to));
    }
    (void)is_accepted(p, kirim_endpoint_send(p->ep, &msg, 0, NULL, NULL));
    send_reserved(p, to);
    send_with(p, to, &s->task[0], 0, 0);
    send_paced(p, to, &s->task[3]);
    (void)is_accepted(p, kirim_endpoint_send(p->ep, &msg, KIRIM_SEND_NOW, NULL, NULL));
    send_with(p, to, &s->task[1], KIRIM_SEND_NOW, 0);
    (void)is_accepted(p, kirim_endpoint_send_to(p->ep, bytes, sizeof bytes, to));
    (void)kirim_endpoint_flush(p->ep);
    send_with(p, to, &s->task[2], 0, 0);
    (void)kirim_op_cancel(&s->task[2].op);
}

/* To where nobody listens: each report fails the next call on the socket. */
static void send_to_nobody(struct scene *s)
{
    static const uint8_t bytes[PAYLOAD_BYTES] = { 0 };
    struct party *p = &s->lonely;
    open_party(s, &s->nobody, "127.0.0.1", NULL);
    if (s->nobody.ep == NULL || p->ep == NULL) {
        return;
    }
    FAULT_CHECK(kirim_endpoint_close(s->nobody.ep) == KIRIM_OK);
    for (int i = 0; i < LONELY_COUNT; i++) {
        (void)is_accepted(p, kirim_endpoint_send_to(p->ep, bytes, sizeof bytes, &s->nobody.addr));
        (void)kirim_endpoint_flush(p->ep);
    }
    for (int i = 0; i < LONELY_COUNT; i++) {
        (void)kirim_loop_step(s->loop, 0);
    }
}

/* ---- turning ----------------------------------------------------------------------------------
 */

static uint64_t progress_of(const struct scene *s)
{
    uint64_t sum = fault_plan.left_count + fault_plan.arrived_count + s->timer_count +
                   s->owned_timer_count + s->post_count + s->guest_count;
    for (int i = 0; i < OP_COUNT; i++) {
        sum += s->task[i].done_count;
    }
    return sum + s->server.received_count + s->client.received_count + s->mirror.received_count;
}

/* Whether what `from` sent has left and has come to `to`. */
static bool has_come(const struct party *from, const struct party *to)
{
    struct kirim_endpoint_stats sent = KIRIM_ENDPOINT_STATS_INIT;
    struct kirim_endpoint_stats got = KIRIM_ENDPOINT_STATS_INIT;
    if (from->ep == NULL || to->ep == NULL) {
        return true;
    }
    FAULT_CHECK(kirim_endpoint_read_stats(from->ep, &sent) == KIRIM_OK);
    FAULT_CHECK(kirim_endpoint_read_stats(to->ep, &got) == KIRIM_OK);
    FAULT_CHECK(got.rx_datagrams == to->received_count);
    return sent.tx_queued == 0 && sent.tx_datagrams == to->received_count;
}

static bool is_settled(const struct scene *s)
{
    for (int i = 0; i < OP_COUNT; i++) {
        if (kirim_op_is_pending(&s->task[i].op)) {
            return false;
        }
    }
    return has_come(&s->client, &s->server) && has_come(&s->server, &s->client) &&
           has_come(&s->mirror, &s->mirror) && s->timer_count == s->is_timer_armed &&
           s->owned_timer_count == s->is_owned_timer_armed && s->post_count == s->is_posted &&
           !s->is_watched;
}

/* Turns until everything has come; a fault that lasts may forbid that, but not that it ends. */
static void settle(struct scene *s)
{
    int idle_count = 0;
    for (int turn = 0; !is_settled(s); turn++) {
        const uint64_t before = progress_of(s);
        (void)kirim_loop_step(s->loop, STEP_NS);
        idle_count = progress_of(s) == before ? idle_count + 1 : 0;
        if (fault_plan.is_lasting && idle_count == TURNS_IDLE_MAX) {
            return;
        }
        if (turn == TURNS_MAX) {
            const struct party *p[] = { &s->server, &s->client, &s->mirror };
            fault_fail("not settled after %d turns: server, client, mirror have got %" PRIu64
                       ", %" PRIu64 ", %" PRIu64 " and accepted %" PRIu64 ", %" PRIu64 ", %" PRIu64,
                       turn, p[0]->received_count, p[1]->received_count, p[2]->received_count,
                       p[0]->accepted_count, p[1]->accepted_count, p[2]->accepted_count);
        }
    }
}

/* ---- the end ----------------------------------------------------------------------------------
 */

static void check_party(const struct party *p, bool was_open)
{
    const struct kirim_endpoint_stats *s = &p->stats;
    uint64_t drop_count = 0;
    FAULT_CHECK(p->closed_count == was_open);
    if (!was_open) {
        return;
    }
    for (unsigned i = 0; i < KIRIM_DROP_COUNT; i++) {
        drop_count += i != KIRIM_DROP_RECEIVE_FULL ? s->drops[i] : 0;
    }
    if (s->tx_accepted != p->accepted_count || s->tx_accepted != s->tx_datagrams + drop_count) {
        fault_fail("%" PRIu64 " accepted by count and %" PRIu64 " by statistics, but %" PRIu64
                   " sent and %" PRIu64 " dropped",
                   p->accepted_count, s->tx_accepted, s->tx_datagrams, drop_count);
    }
    FAULT_CHECK(p->failed_op_count <= drop_count);
    FAULT_CHECK(s->rx_datagrams == p->received_count);
}

static void check_scene(const struct scene *s, const bool was_open[PARTY_COUNT], bool has_calls)
{
    const struct party *p[PARTY_COUNT] = { &s->server, &s->client, &s->mirror, &s->lonely };
    uint64_t left_count = 0;
    uint64_t received_count = 0;
    for (int i = 0; i < PARTY_COUNT; i++) {
        check_party(p[i], was_open[i]);
        left_count += p[i]->stats.tx_datagrams;
        received_count += p[i]->received_count;
    }
    for (int i = 0; i < OP_COUNT; i++) {
        FAULT_CHECK(s->task[i].done_count == s->task[i].posted_count);
    }
    FAULT_CHECK(s->post_count == s->is_posted);
    FAULT_CHECK(!kirim_timer_is_armed(&s->timer) && !kirim_timer_is_armed(&s->owned_timer));
    if (has_calls) {
        FAULT_CHECK(left_count == fault_plan.left_count);
        FAULT_CHECK(received_count == fault_plan.arrived_count ||
                    (fault_plan.is_posting && received_count < fault_plan.arrived_count));
    }
}

static void play(struct scene *s, bool has_calls)
{
    for (int i = 0; i < OP_COUNT; i++) {
        s->task[i].op = (struct kirim_op)KIRIM_OP_INIT(on_done, NULL);
    }
    open_parties(s);
    const bool was_open[PARTY_COUNT] = { s->server.ep != NULL, s->client.ep != NULL,
                                         s->mirror.ep != NULL, s->lonely.ep != NULL };
    use_groups(s);
    start_others(s);
    send_all(s, &s->client, NULL);
    send_all(s, &s->mirror, &s->mirror.addr);
    settle(s);
    send_all(s, &s->mirror, &s->mirror.addr);
    send_all(s, &s->client, NULL);
    if (s->mirror.ep != NULL) {
        (void)kirim_endpoint_discard(s->mirror.ep, NULL);
    }
    settle(s);
    send_to_nobody(s);
    if (s->client.ep != NULL) {
        (void)is_accepted(&s->client, kirim_endpoint_send_to(s->client.ep,
                                                             "\x5a\x5a\x5a\x5a\x5a"
                                                             "\x5a\x5a\x5a",
                                                             PAYLOAD_BYTES, NULL));
        FAULT_CHECK(kirim_endpoint_close(s->client.ep) == KIRIM_OK);
    }
    (void)kirim_loop_step(s->loop, 0);
    FAULT_CHECK(kirim_loop_close(s->loop) == KIRIM_OK);
    FAULT_CHECK(s->nobody.ep == NULL);
    check_scene(s, was_open, has_calls);
}

bool fault_run_scenario(const char *reactor)
{
    struct kirim_loop_options o = KIRIM_LOOP_OPTIONS_INIT;
    struct scene *s = calloc(1, sizeof *s);
    FAULT_CHECK(s != NULL);
    fault_table_reset();
    s->descriptor = fault_guest_open();
    const bool has_calls = strcmp(reactor, "sim") != 0;
    o.reactor = reactor;
    o.alloc = fault_alloc;
    o.system_calls = has_calls ? fault_system_calls() : NULL;
    o.receive_slot_count = 64;
    o.datagram_bytes_max = 2048;
    const kirim_err err = kirim_loop_open(&o, &s->loop);
    fault_plan.left_count = 0; /* what the reactor probed the system with is nobody's */
    if (err == KIRIM_OK) {
        play(s, has_calls);
    } else {
        FAULT_CHECK(s->loop == NULL);
        FAULT_CHECK(err == KIRIM_ENOENT || fault_plan.hit_count > 0);
    }
    fault_guest_close();
    free(s);
    if (fault_plan.block_count != 0 || fault_plan.byte_count != 0) {
        fault_fail("%zu blocks were not given back", fault_plan.block_count);
    }
    if (fault_plan.descriptor_count != 0) {
        fault_fail("%" PRId64 " descriptors were not closed", fault_plan.descriptor_count);
    }
    return err != KIRIM_ENOENT;
}
