/* SPDX-License-Identifier: MIT
 *
 * A service: requests, and the transfers that they begin. See tftp_endpoint.h.
 */
#include "endpoint_parts.h"

#include <string.h>

enum {
    IPV4_HEADER_BYTES = 28, /* with UDP's */
    IPV6_HEADER_BYTES = 48,
    BLKSIZE_ANY_PATH = 1432 /* if the path is not known */
};

/* ---- sessions -------------------------------------------------------------------------------- */

static void count_end(struct kirim_tftp_session *s)
{
    struct kirim_tftp_service_stats *const stats = &s->service->stats;
    const struct kirim_tftp_transfer *const t = &s->link.transfer;
    stats->strangers += s->link.strangers;
    stats->done += t->state == KIRIM_TFTP_DONE ? 1 : 0;
    stats->failed += t->state == KIRIM_TFTP_FAILED ? 1 : 0;
    if (t->request.kind == KIRIM_TFTP_RRQ) {
        stats->sent_bytes += t->moved_bytes;
    } else {
        stats->received_bytes += t->moved_bytes;
    }
}

/* The last callback of a session's endpoint; the loop's closing comes here too. */
static void on_session_closed(struct kirim_endpoint *ep, void *user)
{
    struct kirim_tftp_link *const link = user;
    struct kirim_tftp_session *const s = user;
    struct kirim_tftp_service *const service = s->service;
    (void)ep;
    link->endpoint = NULL;
    kirim_tftp_transfer_fail(&link->transfer, KIRIM_EABORTED, false);
    count_end(s);
    ki_tftp_unlist_session(s);
    service->transfer_count--;
    if (service->ended != NULL) {
        service->ended(service, &link->transfer, &link->peer);
    }
    ki_tftp_uncount_prefix(s);
    (void)kirim_loop_alloc(link->loop, s, sizeof *s, 0);
}

static const struct kirim_handler session_handler = {
    KIRIM_HANDLER_INIT,
    .received = ki_tftp_link_received,
    .writable = ki_tftp_link_writable,
    .failed = ki_tftp_link_failed,
    .closed = on_session_closed,
};

/* Where a transfer is bound: the address that was asked, and a port that the system chooses. */
static struct kirim_addr session_local(const struct kirim_tftp_service *service,
                                       const struct kirim_datagram *d)
{
    static const uint8_t zeros[16] = { 0 };
    struct kirim_addr local = kirim_endpoint_local(service->endpoint);
    if (kirim_addr_is_wildcard(&local)) {
        const bool is_told = d->arrival != NULL && (d->flags & KIRIM_RX_NO_LOCAL) == 0 &&
                             kirim_addr_family(&d->arrival->local) == kirim_addr_family(&d->peer);
        if (is_told) {
            local = d->arrival->local;
        } else {
            local = kirim_addr_family(&d->peer) == KIRIM_IPV4 ? kirim_addr_ipv4(zeros, 0)
                                                              : kirim_addr_ipv6(zeros, 0, 0);
        }
    }
    kirim_addr_set_port(&local, 0);
    return local;
}

/* The largest block that reaches this peer in one piece. */
static uint32_t path_blksize(const struct kirim_tftp_service *service,
                             const struct kirim_addr *peer)
{
    const uint32_t head_bytes =
        (kirim_addr_family(peer) == KIRIM_IPV4 ? IPV4_HEADER_BYTES : IPV6_HEADER_BYTES) +
        KIRIM_TFTP_HEADER_BYTES;
    uint32_t mtu = 0;
    if (service->is_fragmenting) {
        return KIRIM_TFTP_BLOCK_BYTES_MAX;
    }
    if (kirim_endpoint_path_mtu(service->endpoint, peer, &mtu) < 0 ||
        mtu < head_bytes + KIRIM_TFTP_BLOCK_BYTES) {
        return BLKSIZE_ANY_PATH;
    }
    return mtu - head_bytes;
}

static kirim_err open_session(struct kirim_tftp_session *s, const struct kirim_datagram *d)
{
    struct kirim_tftp_service *const service = s->service;
    struct kirim_tftp_transfer *const t = &s->link.transfer;
    const struct kirim_addr local = session_local(service, d);
    const bool is_upload = t->request.kind == KIRIM_TFTP_WRQ;
    const uint32_t window = is_upload ? t->agreed.windowsize : 1;
    const uint32_t blksize = is_upload ? t->agreed.blksize : KIRIM_TFTP_BLOCK_BYTES;
    const kirim_err err =
        ki_tftp_link_open(&s->link, service->loop, &local, blksize, window, &session_handler);
    if (err == KIRIM_OK && is_upload) {
        ki_tftp_link_fit_window(&s->link, blksize);
    }
    return err;
}

static uint64_t digest_of(const struct kirim_datagram *d)
{
    uint64_t digest = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
    for (size_t i = 0; i < d->bytes; i++) {
        digest = (digest ^ d->data[i]) * UINT64_C(0x100000001b3);
    }
    return digest;
}

/* A request that was taken becomes a session, or leaves nothing. */
static kirim_err start_session(struct kirim_tftp_service *service, const struct kirim_datagram *d,
                               const struct kirim_tftp_packet *packet)
{
    const uint64_t now_ns = kirim_loop_now(service->loop);
    struct kirim_tftp_session *const s =
        kirim_loop_alloc(service->loop, NULL, 0, sizeof(struct kirim_tftp_session));
    if (s == NULL) {
        return KIRIM_ENOMEM;
    }
    memset(s, 0, sizeof *s);
    s->service = service;
    s->link.peer = d->peer;
    s->request_digest = digest_of(d);
    kirim_err err = ki_tftp_count_prefix(s);
    if (err == KIRIM_OK) {
        err = kirim_tftp_server_accept(service->server, packet, path_blksize(service, &d->peer),
                                       &s->link.transfer, now_ns);
    }
    if (err == KIRIM_OK) {
        err = open_session(s, d);
        if (err < 0) {
            kirim_tftp_transfer_fail(&s->link.transfer, err, false);
        }
    }
    if (err < 0) {
        ki_tftp_uncount_prefix(s);
        (void)kirim_loop_alloc(service->loop, s, sizeof *s, 0);
        return err;
    }
    service->transfer_count++;
    service->stats.accepted++;
    ki_tftp_list_session(s);
    ki_tftp_link_pump(&s->link);
    return KIRIM_OK;
}

/* ---- requests -------------------------------------------------------------------------------- */

/* From the port that was asked: a refusal is worth no endpoint of its own. */
static void refuse(struct kirim_tftp_service *service, const struct kirim_datagram *d,
                   uint16_t code, const char *text)
{
    uint8_t data[KIRIM_TFTP_CONTROL_BYTES_MAX];
    struct kirim_tftp_room room = { data, sizeof data, 0 };
    struct kirim_control control = KIRIM_CONTROL_INIT;
    struct kirim_msg msg = KIRIM_MSG_INIT;
    const struct kirim_addr local = kirim_endpoint_local(service->endpoint);
    service->stats.refused++;
    ki_tftp_write_answer(code, text, d->bytes, &room);
    const struct kirim_buf buf = { data, room.bytes };
    if (kirim_addr_is_wildcard(&local) && d->arrival != NULL &&
        (d->flags & KIRIM_RX_NO_LOCAL) == 0 &&
        (kirim_loop_caps(service->loop) & KIRIM_CAP_SOURCE) != 0 &&
        kirim_addr_family(&d->arrival->local) == kirim_addr_family(&d->peer)) {
        control.source = d->arrival->local;
        msg.control = &control;
    }
    msg.buf = &buf;
    msg.buf_count = 1;
    msg.peer = &d->peer;
    (void)kirim_endpoint_send(service->endpoint, &msg, 0, NULL, NULL);
}

/* Nobody who can be answered sends from there, and nobody asks everybody (RFC 1123, 4.2.3.4). */
static bool is_forged(const struct kirim_tftp_service *service, const struct kirim_datagram *d)
{
    return !kirim_endpoint_may_answer(service->endpoint, d) ||
           (d->flags & KIRIM_RX_BROADCAST) != 0 ||
           (d->arrival != NULL && kirim_addr_is_multicast(&d->arrival->local));
}

/* Whether there is a transfer to be had: in all, and for this prefix. */
static bool is_full(const struct kirim_tftp_service *service, const struct kirim_addr *peer)
{
    return service->transfer_count >= service->transfer_count_max ||
           (service->prefix_count_max != 0 &&
            ki_tftp_prefix_count(service, peer) >= service->prefix_count_max);
}

/* Whether so many requests came from there lately that this one is not heard. */
static bool is_over_rate(const struct kirim_tftp_service *service, const struct kirim_addr *peer)
{
    return service->limiter != NULL &&
           kirim_limiter_judge(service->limiter, peer, kirim_loop_now(service->loop), 1) !=
               KIRIM_LIMITER_PASS;
}

/* Whether a peer that has a transfer may begin another one: the client has what it wanted, asks for
 * something else from the same port, and only its last ACK was lost, or may have been. */
static bool is_over(const struct kirim_tftp_session *s, const struct kirim_datagram *d)
{
    const struct kirim_tftp_transfer *const t = &s->link.transfer;
    const bool is_at_end =
        t->state == KIRIM_TFTP_LINGERING || (t->state == KIRIM_TFTP_SENDING && t->top == t->last);
    return is_at_end && s->request_digest != digest_of(d);
}

static void take_request(struct kirim_tftp_service *service, const struct kirim_datagram *d,
                         const struct kirim_tftp_packet *packet)
{
    struct kirim_tftp_session *const old = ki_tftp_find_session(service, &d->peer);
    if (old != NULL && !is_over(old, d)) {
        service->stats.duplicates++;
        return;
    }
    if (old != NULL) {
        ki_tftp_unlist_session(old);
        kirim_tftp_transfer_fail(&old->link.transfer, KIRIM_EABORTED, false);
        ki_tftp_link_pump(&old->link);
    }
    if (is_full(service, &d->peer)) {
        refuse(service, d, KIRIM_TFTP_CODE_OTHER, kirim_tftp_err_text(KIRIM_EBUSY));
        return;
    }
    const kirim_err err = start_session(service, d, packet);
    if (err < 0) {
        refuse(service, d, kirim_tftp_err_code(err), kirim_tftp_err_text(err));
    }
}

/* Of what is malformed only a request is answered: the rest may itself be an answer. */
static void take_datagram(struct kirim_tftp_service *service, const struct kirim_datagram *d)
{
    const struct kirim_tftp_span wire = { d->data, d->bytes };
    struct kirim_tftp_packet packet;
    if (is_forged(service, d)) {
        service->stats.forged++;
        return;
    }
    const kirim_err err = kirim_tftp_packet_read(wire, &packet);
    const bool is_request = d->bytes >= 2 && d->data[0] == 0 &&
                            (d->data[1] == KIRIM_TFTP_RRQ || d->data[1] == KIRIM_TFTP_WRQ);
    if (!is_request) {
        service->stats.dropped++;
    } else if (is_over_rate(service, &d->peer)) {
        service->stats.limited++;
    } else if (err < 0) {
        refuse(service, d, kirim_tftp_err_code(err), kirim_tftp_err_text(err));
    } else {
        take_request(service, d, &packet);
    }
}

static void on_requests(struct kirim_endpoint *ep, const struct kirim_batch *batch, void *user)
{
    struct kirim_tftp_service *const service = user;
    (void)ep;
    for (size_t i = 0; i < batch->count && service->endpoint != NULL; i++) {
        take_datagram(service, kirim_batch_at(batch, i));
    }
}

static void on_service_closed(struct kirim_endpoint *ep, void *user)
{
    struct kirim_tftp_service *const service = user;
    (void)ep;
    service->endpoint = NULL;
}

static const struct kirim_handler service_handler = {
    KIRIM_HANDLER_INIT,
    .received = on_requests,
    .closed = on_service_closed,
};

void kirim_tftp_service_init(struct kirim_tftp_service *service, struct kirim_tftp_server *server)
{
    *service = (struct kirim_tftp_service){ .server = server,
                                            .transfer_count_max = KIRIM_TFTP_TRANSFER_COUNT,
                                            .prefix_count_max = KIRIM_TFTP_PREFIX_COUNT };
}

kirim_err kirim_tftp_service_open(struct kirim_tftp_service *service, struct kirim_loop *loop,
                                  const struct kirim_endpoint_options *options)
{
    if (service == NULL || loop == NULL || options == NULL || service->server == NULL ||
        service->transfer_count_max == 0) {
        return KIRIM_EINVAL;
    }
    struct kirim_endpoint_options wanted = *options;
    const kirim_err err = kirim_loop_random(loop, service->hash_key, sizeof service->hash_key);
    if (err < 0) {
        return err;
    }
    service->loop = loop;
    wanted.handler = &service_handler;
    wanted.user = service;
    wanted.datagram_bytes_max = KI_TFTP_SERVICE_DATAGRAM_BYTES;
    wanted.flags |= KIRIM_ENDPOINT_RECEIVE_CONTROL; /* a broadcast is known by its arrival */
    return kirim_endpoint_open(loop, &wanted, &service->endpoint);
}

void kirim_tftp_service_close(struct kirim_tftp_service *service)
{
    for (size_t i = 0; i < KIRIM_TFTP_BUCKET_COUNT; i++) {
        struct kirim_tftp_session *s = service->bucket[i];
        while (s != NULL) {
            struct kirim_tftp_session *const next =
                s->next; /* it leaves the list when it is gone */
            kirim_tftp_transfer_fail(&s->link.transfer, KIRIM_EABORTED, true);
            ki_tftp_link_pump(&s->link);
            s = next;
        }
    }
    if (service->endpoint != NULL) {
        (void)kirim_endpoint_close(service->endpoint);
    }
}
