/* SPDX-License-Identifier: MIT
 *
 * Bring your own engine: a protocol engine that somebody else wrote, on one kirim endpoint.
 *
 * The engine (engine_core.h, a toy shaped as QUIC libraries are) takes datagrams and the time, and
 * gives trains of datagrams and its next deadline; connections are its own affair. This file is all
 * that lies between the two, and four callbacks are enough:
 *
 *     received   every datagram goes in, with its ECN bits and the address that it came to;
 *     writable   the send queue has room again, so what the engine has goes out;
 *     expired    the engine's deadline has passed;
 *     failed     the network complained: the engine is told in its own words.
 *
 * Each of them ends in engine_io_pump(): what the engine has to say now is written straight into
 * the send queue, train by train. Nothing is kept here. One thread.
 */
#include "engine.h"

static const uint64_t RETRY_NS = 10000000; /* when to look again if nothing could be queued */

struct engine_addr engine_io_from(const struct kirim_addr *addr)
{
    return (struct engine_addr){ { addr->word[0], addr->word[1], addr->word[2] } };
}

struct kirim_addr engine_io_addr(const struct engine_addr *addr)
{
    return (struct kirim_addr){ { addr->word[0], addr->word[1], addr->word[2] } };
}

/* Queues a train that the engine wrote to reserved room. If that fails the datagrams are lost, as
 * they may be anywhere on their way, and the engine will find out as it does then. */
static void commit_train(struct engine_io *io, const struct engine_packet *train)
{
    struct kirim_control control = KIRIM_CONTROL_INIT;
    struct kirim_msg msg = KIRIM_MSG_INIT;
    const struct kirim_addr peer = engine_io_addr(&train->peer);
    if ((io->caps & KIRIM_CAP_SOURCE) != 0) {
        control.source = engine_io_addr(&train->local); /* answer from where it was asked */
    }
    control.ecn = (io->caps & KIRIM_CAP_ECN) != 0 ? (uint8_t)train->ecn : 0;
    control.not_before_ns = train->time_ns; /* pacing: kirim, or the system, waits until then */
    msg.control = &control;
    msg.peer = &peer;
    msg.segment_bytes = train->segment_bytes; /* cut by the system if it can, else by kirim */
    (void)kirim_endpoint_commit(io->ep, train->count, &msg);
}

/* Tells what has ended, sends what the engine has, and sets the timer. */
void engine_io_pump(struct engine_io *io)
{
    struct kirim_loop *const loop = kirim_endpoint_loop(io->ep);
    const uint64_t now_ns = kirim_loop_now(loop);
    struct engine_packet train = { .bytes = NULL };
    struct engine_event event;
    void *room = NULL;
    kirim_err err;
    while (engine_poll(io->engine, &event)) {
        io->on_event(io, &event); /* which may begin something new */
    }
    /* Room first, then the question: what the engine has given it takes as sent. */
    while ((err = kirim_endpoint_reserve(io->ep, ENGINE_TRAIN_BYTES_MAX, &room)) == KIRIM_OK) {
        train.bytes = room;
        train.count = ENGINE_TRAIN_BYTES_MAX;
        if (!engine_output(io->engine, &train, now_ns)) {
            break; /* and the room goes back by itself */
        }
        commit_train(io, &train);
    }
    /* A full queue (KIRIM_EWOULDBLOCK) calls `writable` when it has room. Till then a deadline for
     * more output, which may have passed, must not keep the loop turning. */
    uint64_t deadline_ns = engine_deadline(io->engine);
    if (err < 0 && deadline_ns < now_ns + RETRY_NS) {
        deadline_ns = now_ns + RETRY_NS;
    }
    (void)kirim_endpoint_timer_arm(io->ep, &io->timer, deadline_ns);
}

static void on_received(struct kirim_endpoint *ep, const struct kirim_batch *batch, void *user)
{
    struct engine_io *io = user;
    const uint64_t now_ns = kirim_loop_now(kirim_endpoint_loop(ep));
    for (size_t i = 0; i < batch->count; i++) {
        const struct kirim_datagram *d = kirim_batch_at(batch, i);
        struct engine_packet in = { .bytes = d->data, .count = d->bytes, .ecn = d->ecn };
        in.peer = engine_io_from(&d->peer);
        in.time_ns = now_ns;
        if (d->arrival != NULL) {
            in.local = engine_io_from(&d->arrival->local);
        }
        engine_input(io->engine, &in);
    }
    engine_io_pump(io); /* once for all of them: one acknowledgement speaks of the whole batch */
}

static void on_writable(struct kirim_endpoint *ep, void *user)
{
    (void)ep;
    engine_io_pump(user);
}

static void on_expired(struct kirim_timer *timer)
{
    struct engine_io *io = timer->user;
    engine_expire(io->engine, kirim_loop_now(kirim_endpoint_loop(io->ep)));
    engine_io_pump(io);
}

/* What the system or an ICMP message said about a peer, in the engine's words. */
static void on_failed(struct kirim_endpoint *ep, const struct kirim_event *event, void *user)
{
    struct engine_io *io = user;
    const struct engine_addr peer = engine_io_from(&event->peer);
    enum engine_error error = ENGINE_ERROR_OTHER; /* a loss like any other: no route, no buffers */
    uint32_t path_mtu = event->path_mtu;
    if (event->err == KIRIM_EMSGSIZE) {
        error = ENGINE_ERROR_TOO_BIG;
        if (path_mtu == 0) { /* not every system says it at once */
            (void)kirim_endpoint_path_mtu(ep, &event->peer, &path_mtu);
        }
    } else if (event->err == KIRIM_ECONNRESET) {
        error = ENGINE_ERROR_REFUSED;
    }
    engine_error(io->engine, error, &peer, path_mtu);
    engine_io_pump(io);
}

kirim_err engine_io_open(struct engine_io *io, struct kirim_loop *loop,
                         const struct kirim_addr *local)
{
    static const struct kirim_handler handler = { KIRIM_HANDLER_INIT, .received = on_received,
                                                  .writable = on_writable, .failed = on_failed };
    struct kirim_endpoint_options options = KIRIM_ENDPOINT_OPTIONS_INIT;
    io->caps = kirim_loop_caps(loop);
    io->timer = (struct kirim_timer)KIRIM_TIMER_INIT(on_expired, io);
    options.local = *local;
    options.handler = &handler;
    options.user = io;
    options.flags = KIRIM_ENDPOINT_RECEIVE_CONTROL; /* ECN and local address of what arrives */
    if ((io->caps & KIRIM_CAP_DONT_FRAGMENT) != 0) {
        options.flags |= KIRIM_ENDPOINT_DONT_FRAGMENT; /* the engine adapts to the path */
    }
    return kirim_endpoint_open(loop, &options, &io->ep);
}
