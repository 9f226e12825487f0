/* SPDX-License-Identifier: MIT
 *
 * A transfer with its endpoint and timer: see endpoint_parts.h.
 *
 * Endpoints are not connected: what comes from elsewhere is to be answered (RFC 1350 section 4).
 */
#include "endpoint_parts.h"

#include <stdio.h>

/* What a socket's buffer is charged for a datagram: its bytes, the system's own, and what its pages
 * have left over. On Linux 212,992 bytes hold 92 datagrams of 1,400 bytes. */
static const uint64_t charge_bytes = 1024;
static const uint32_t receive_buffer_bytes_max = 8 << 20;
static const uint32_t queue_bytes_max = 256 << 10; /* of one transfer */

enum { AMPLIFICATION = 3 }; /* an answer's bytes for each of what came from nobody knows whom */

static uint64_t datagram_charge(uint32_t blksize)
{
    return 2 * (uint64_t)blksize + charge_bytes;
}

/* The receive buffer to ask for, so that a window fits; 0: the system's default will do. */
static uint32_t wanted_buffer(uint32_t blksize, uint32_t windowsize)
{
    const uint64_t wanted = datagram_charge(blksize) * windowsize;
    return wanted < receive_buffer_bytes_max ? (uint32_t)wanted : receive_buffer_bytes_max;
}

void ki_tftp_link_fit_window(struct kirim_tftp_link *link, uint32_t blksize)
{
    uint32_t bytes = 0;
    if (kirim_endpoint_buffers(link->endpoint, &bytes, NULL) == KIRIM_OK && bytes > 0) {
        kirim_tftp_transfer_limit_window(&link->transfer,
                                         (uint32_t)(bytes / datagram_charge(blksize)));
    }
}

static void close_link(struct kirim_tftp_link *link)
{
    if (link->endpoint != NULL) {
        struct kirim_endpoint *const ep = link->endpoint;
        link->endpoint = NULL;
        (void)kirim_endpoint_close(ep); /* what is queued still leaves */
    }
}

static struct kirim_addr destination(const struct kirim_tftp_link *link)
{
    struct kirim_addr peer = link->peer;
    if (kirim_addr_port(&peer) == 0) {
        kirim_addr_set_port(&peer, link->ask_port);
    }
    return peer;
}

/* Sends one message; false: none was there, or the queue is full. */
static bool send_one(struct kirim_tftp_link *link, uint64_t now_ns)
{
    struct kirim_tftp_transfer *const t = &link->transfer;
    const size_t bytes = kirim_tftp_transfer_output_bytes(t);
    const struct kirim_addr peer = destination(link);
    struct kirim_msg msg = KIRIM_MSG_INIT;
    void *data = NULL;
    if (bytes == 0) {
        return false;
    }
    kirim_err err = kirim_endpoint_reserve(link->endpoint, bytes, &data);
    if (err == KIRIM_EWOULDBLOCK) {
        return false;
    }
    if (err == KIRIM_OK) {
        struct kirim_tftp_room room = { data, bytes, 0 };
        kirim_tftp_transfer_output(t, &room, now_ns);
        if (room.bytes == 0) {
            return false;
        }
        msg.peer = &peer;
        err = kirim_endpoint_commit(link->endpoint, room.bytes, &msg);
    }
    if (err < 0) {
        kirim_tftp_transfer_fail(t, err, false);
    }
    return err == KIRIM_OK;
}

void ki_tftp_link_pump(struct kirim_tftp_link *link)
{
    const uint64_t now_ns = kirim_loop_now(link->loop);
    if (link->endpoint == NULL) {
        return;
    }
    while (send_one(link, now_ns)) {}
    if (kirim_tftp_transfer_has_ended(&link->transfer)) {
        close_link(link);
        return;
    }
    (void)kirim_endpoint_timer_arm(link->endpoint, &link->timer, link->transfer.deadline_ns);
}

static void on_link_time(struct kirim_timer *timer)
{
    struct kirim_tftp_link *const link = timer->user;
    kirim_tftp_transfer_expire(&link->transfer, kirim_loop_now(link->loop));
    ki_tftp_link_pump(link);
}

void ki_tftp_write_answer(uint16_t code, const char *text, size_t asked_bytes,
                          struct kirim_tftp_room *out)
{
    char brief[KIRIM_TFTP_TEXT_BYTES_MAX];
    const size_t room = AMPLIFICATION * asked_bytes - KIRIM_TFTP_HEADER_BYTES;
    (void)snprintf(brief, room < sizeof brief ? room : sizeof brief, "%s", text);
    (void)kirim_tftp_write_error(code, brief, out);
}

/* Somebody else: told so, unless that would be an answer to an ERROR. */
static void answer_stranger(struct kirim_tftp_link *link, const struct kirim_datagram *d)
{
    uint8_t data[KIRIM_TFTP_CONTROL_BYTES_MAX];
    struct kirim_tftp_room room = { data, sizeof data, 0 };
    struct kirim_tftp_packet packet;
    const struct kirim_tftp_span wire = { d->data, d->bytes };
    link->strangers++;
    if (kirim_tftp_packet_read(wire, &packet) == KIRIM_OK && packet.kind != KIRIM_TFTP_ERROR &&
        kirim_addr_port(&d->peer) != 0) {
        ki_tftp_write_answer(KIRIM_TFTP_CODE_UNKNOWN_ID,
                             kirim_tftp_code_text(KIRIM_TFTP_CODE_UNKNOWN_ID), d->bytes, &room);
        (void)kirim_endpoint_send_to(link->endpoint, data, room.bytes, &d->peer);
    }
}

/* Of what is longer than there was room for only a block is of interest: it ends the transfer. */
static bool is_cut(const struct kirim_datagram *d)
{
    return (d->flags & KIRIM_RX_TRUNCATED) != 0 &&
           !(d->data[0] == 0 && d->data[1] == KIRIM_TFTP_DATA);
}

/* Whether it is the peer's. The port of a server's first answer is the transfer's from then on. */
static bool is_from_peer(struct kirim_tftp_link *link, const struct kirim_datagram *d)
{
    struct kirim_addr peer = d->peer;
    if (kirim_addr_port(&link->peer) != 0) {
        return kirim_addr_equal(&peer, &link->peer);
    }
    kirim_addr_set_port(&peer, 0);
    return kirim_addr_equal(&peer, &link->peer) && kirim_addr_port(&d->peer) != 0;
}

void ki_tftp_link_received(struct kirim_endpoint *ep, const struct kirim_batch *batch, void *user)
{
    struct kirim_tftp_link *const link = user;
    const uint64_t now_ns = kirim_loop_now(link->loop);
    (void)ep;
    for (size_t i = 0; i < batch->count && link->endpoint != NULL; i++) {
        const struct kirim_datagram *const d = kirim_batch_at(batch, i);
        const struct kirim_tftp_span wire = { d->data, d->bytes };
        if (!is_from_peer(link, d)) {
            answer_stranger(link, d);
            continue;
        }
        if (is_cut(d)) {
            link->transfer.stats.ignored++;
            continue;
        }
        const bool is_first = link->transfer.state == KIRIM_TFTP_ASKING;
        kirim_tftp_transfer_input(&link->transfer, wire, now_ns);
        if (is_first && link->transfer.state != KIRIM_TFTP_ASKING) {
            link->peer = d->peer;
        }
        ki_tftp_link_pump(link);
    }
}

void ki_tftp_link_writable(struct kirim_endpoint *ep, void *user)
{
    (void)ep;
    ki_tftp_link_pump(user);
}

/* A closed port is the end: the peer has gone. Of other troubles of the path time will tell. */
void ki_tftp_link_failed(struct kirim_endpoint *ep, const struct kirim_event *event, void *user)
{
    struct kirim_tftp_link *const link = user;
    const struct kirim_addr peer = destination(link);
    const bool is_gone = event->kind == KIRIM_EVENT_PEER_ERROR && event->err == KIRIM_ECONNRESET &&
                         kirim_addr_equal(&event->peer, &peer);
    const bool is_too_long = event->kind == KIRIM_EVENT_SEND_FAILED && event->err == KIRIM_EMSGSIZE;
    (void)ep;
    if (is_gone || is_too_long) {
        kirim_tftp_transfer_fail(&link->transfer, event->err, is_too_long);
        ki_tftp_link_pump(link);
    }
}

kirim_err ki_tftp_link_open(struct kirim_tftp_link *link, struct kirim_loop *loop,
                            const struct kirim_addr *local, uint32_t blksize, uint32_t window,
                            const struct kirim_handler *handler)
{
    struct kirim_endpoint_options options = KIRIM_ENDPOINT_OPTIONS_INIT;
    options.local = *local;
    options.handler = handler;
    options.user = link;
    options.queue_bytes_max = queue_bytes_max;
    options.receive_buffer_bytes = wanted_buffer(blksize, window);
    /* One byte more than there may be, so that more is seen. */
    options.datagram_bytes_max = blksize + KIRIM_TFTP_HEADER_BYTES + 1;
    if (options.datagram_bytes_max < KI_TFTP_SERVICE_DATAGRAM_BYTES) {
        options.datagram_bytes_max = KI_TFTP_SERVICE_DATAGRAM_BYTES;
    }
    link->loop = loop;
    link->timer = (struct kirim_timer)KIRIM_TIMER_INIT(on_link_time, link);
    return kirim_endpoint_open(loop, &options, &link->endpoint);
}
