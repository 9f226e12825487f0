/* SPDX-License-Identifier: MIT
 *
 * TFTP on a loop: see tftp_endpoint.h.
 *
 * A link is a transfer with its endpoint and timer; sessions of a service and clients are links.
 * Endpoints are not connected: what comes from elsewhere is to be answered (RFC 1350 section 4).
 */
#include "tftp_endpoint.h"

#include <string.h>

/* What a socket's buffer is charged for a datagram: its bytes, the system's own, and what its pages
 * have left over. On Linux 212,992 bytes hold 92 datagrams of 1,400 bytes. */
static const uint64_t charge_bytes = 1024;
static const uint32_t receive_buffer_bytes_max = 8 << 20;
static const uint32_t queue_bytes_max = 256 << 10; /* of one transfer */

enum {
    IPV4_HEADER_BYTES = 28, /* with UDP's */
    IPV6_HEADER_BYTES = 48,
    BLKSIZE_ANY_PATH = 1432, /* if the path is not known */
    SERVICE_DATAGRAM_BYTES = 1024
};

/* A transfer of a service. */
struct kirim_tftp_session {
    struct kirim_tftp_link link;
    struct kirim_tftp_service *service;
    struct kirim_tftp_session *next; /* of its bucket */
    uint64_t request_digest;
    bool is_listed;
};

/* ---- links ----------------------------------------------------------------------------------- */

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

/* A window no larger than the buffer that the system gave. */
static void fit_window(struct kirim_tftp_link *link, uint32_t blksize)
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

/* Does what the transfer wants: send, wait, or end. */
static void pump(struct kirim_tftp_link *link)
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
    pump(link);
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
        kirim_addr_port(&d->peer) != 0 &&
        kirim_tftp_write_error(KIRIM_TFTP_CODE_UNKNOWN_ID,
                               kirim_tftp_code_text(KIRIM_TFTP_CODE_UNKNOWN_ID),
                               &room) == KIRIM_OK) {
        (void)kirim_endpoint_send_to(link->endpoint, data, room.bytes, &d->peer);
    }
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

static void on_blocks(struct kirim_endpoint *ep, const struct kirim_batch *batch, void *user)
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
        const bool is_first = link->transfer.state == KIRIM_TFTP_ASKING;
        kirim_tftp_transfer_input(&link->transfer, wire, now_ns);
        if (is_first && link->transfer.state != KIRIM_TFTP_ASKING) {
            link->peer = d->peer;
        }
        pump(link);
    }
}

static void on_room(struct kirim_endpoint *ep, void *user)
{
    (void)ep;
    pump(user);
}

/* A closed port is the end: the peer has gone. Of other troubles of the path time will tell. */
static void on_link_failure(struct kirim_endpoint *ep, const struct kirim_event *event, void *user)
{
    struct kirim_tftp_link *const link = user;
    const struct kirim_addr peer = destination(link);
    const bool is_gone = event->kind == KIRIM_EVENT_PEER_ERROR && event->err == KIRIM_ECONNRESET &&
                         kirim_addr_equal(&event->peer, &peer);
    const bool is_too_long = event->kind == KIRIM_EVENT_SEND_FAILED && event->err == KIRIM_EMSGSIZE;
    (void)ep;
    if (is_gone || is_too_long) {
        kirim_tftp_transfer_fail(&link->transfer, event->err, is_too_long);
        pump(link);
    }
}

static kirim_err open_link(struct kirim_tftp_link *link, struct kirim_loop *loop,
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
    if (options.datagram_bytes_max < SERVICE_DATAGRAM_BYTES) {
        options.datagram_bytes_max = SERVICE_DATAGRAM_BYTES;
    }
    link->loop = loop;
    link->timer = (struct kirim_timer)KIRIM_TIMER_INIT(on_link_time, link);
    return kirim_endpoint_open(loop, &options, &link->endpoint);
}

/* ---- the table of sessions ------------------------------------------------------------------- */

static struct kirim_tftp_session **bucket_of(struct kirim_tftp_service *service,
                                             const struct kirim_addr *peer)
{
    uint64_t hash = service->bucket_key;
    for (size_t i = 0; i < 3; i++) {
        hash = (hash ^ peer->word[i]) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 29;
    }
    return &service->bucket[hash % KIRIM_TFTP_BUCKET_COUNT];
}

/* The transfer of this peer that is under way, or NULL. */
static struct kirim_tftp_session *find_session(struct kirim_tftp_service *service,
                                               const struct kirim_addr *peer)
{
    struct kirim_tftp_session *s = *bucket_of(service, peer);
    while (s != NULL && (!kirim_addr_equal(&s->link.peer, peer) ||
                         kirim_tftp_transfer_has_ended(&s->link.transfer))) {
        s = s->next;
    }
    return s;
}

static void list_session(struct kirim_tftp_session *s)
{
    struct kirim_tftp_session **const bucket = bucket_of(s->service, &s->link.peer);
    s->next = *bucket;
    *bucket = s;
    s->is_listed = true;
}

static void unlist_session(struct kirim_tftp_session *s)
{
    struct kirim_tftp_session **at = bucket_of(s->service, &s->link.peer);
    if (s->is_listed) {
        while (*at != s) {
            at = &(*at)->next;
        }
        *at = s->next;
        s->is_listed = false;
    }
}

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
    unlist_session(s);
    service->transfer_count--;
    if (service->ended != NULL) {
        service->ended(service, &link->transfer, &link->peer);
    }
    (void)kirim_loop_alloc(link->loop, s, sizeof *s, 0);
}

static const struct kirim_handler session_handler = {
    KIRIM_HANDLER_INIT,        .received = on_blocks,       .writable = on_room,
    .failed = on_link_failure, .closed = on_session_closed,
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
    s->link.peer = d->peer;
    const kirim_err err =
        open_link(&s->link, service->loop, &local, blksize, window, &session_handler);
    if (err == KIRIM_OK && is_upload) {
        fit_window(&s->link, blksize);
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
    s->request_digest = digest_of(d);
    kirim_err err = kirim_tftp_server_accept(
        service->server, packet, path_blksize(service, &d->peer), &s->link.transfer, now_ns);
    if (err == KIRIM_OK) {
        err = open_session(s, d);
        if (err < 0) {
            kirim_tftp_transfer_fail(&s->link.transfer, err, false);
        }
    }
    if (err < 0) {
        (void)kirim_loop_alloc(service->loop, s, sizeof *s, 0);
        return err;
    }
    service->transfer_count++;
    service->stats.accepted++;
    list_session(s);
    pump(&s->link);
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
    (void)kirim_tftp_write_error(code, text, &room);
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
static bool is_forged(const struct kirim_datagram *d)
{
    return kirim_addr_port(&d->peer) == 0 || kirim_addr_is_multicast(&d->peer) ||
           (d->flags & KIRIM_RX_BROADCAST) != 0 ||
           (d->arrival != NULL && kirim_addr_is_multicast(&d->arrival->local));
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
    struct kirim_tftp_session *const old = find_session(service, &d->peer);
    if (old != NULL && !is_over(old, d)) {
        service->stats.duplicates++;
        return;
    }
    if (old != NULL) {
        unlist_session(old);
        kirim_tftp_transfer_fail(&old->link.transfer, KIRIM_EABORTED, false);
        pump(&old->link);
    }
    if (service->transfer_count >= service->transfer_count_max) {
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
    if (is_forged(d)) {
        service->stats.forged++;
        return;
    }
    const kirim_err err = kirim_tftp_packet_read(wire, &packet);
    const bool is_request = d->bytes >= 2 && d->data[0] == 0 &&
                            (d->data[1] == KIRIM_TFTP_RRQ || d->data[1] == KIRIM_TFTP_WRQ);
    if (!is_request) {
        service->stats.dropped++;
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
                                            .transfer_count_max = KIRIM_TFTP_TRANSFER_COUNT };
}

kirim_err kirim_tftp_service_open(struct kirim_tftp_service *service, struct kirim_loop *loop,
                                  const struct kirim_endpoint_options *options)
{
    if (service == NULL || loop == NULL || options == NULL || service->server == NULL ||
        service->transfer_count_max == 0) {
        return KIRIM_EINVAL;
    }
    struct kirim_endpoint_options wanted = *options;
    const kirim_err err = kirim_loop_random(loop, &service->bucket_key, sizeof service->bucket_key);
    if (err < 0) {
        return err;
    }
    service->loop = loop;
    wanted.handler = &service_handler;
    wanted.user = service;
    wanted.datagram_bytes_max = SERVICE_DATAGRAM_BYTES;
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
            pump(&s->link);
            s = next;
        }
    }
    if (service->endpoint != NULL) {
        (void)kirim_endpoint_close(service->endpoint);
    }
}

/* ---- clients --------------------------------------------------------------------------------- */

static void note_moved(struct kirim_tftp_client *client)
{
    const int state = client->link.transfer.state;
    if (client->moved_ns == 0 && (state == KIRIM_TFTP_LINGERING || state == KIRIM_TFTP_DONE)) {
        client->moved_ns = kirim_loop_now(client->link.loop);
    }
}

static struct kirim_tftp_client *client_of(struct kirim_tftp_link *link)
{
    return (struct kirim_tftp_client *)(void *)((char *)link -
                                                offsetof(struct kirim_tftp_client, link));
}

static void on_answers(struct kirim_endpoint *ep, const struct kirim_batch *batch, void *user)
{
    on_blocks(ep, batch, user);
    note_moved(client_of(user));
}

static void on_client_closed(struct kirim_endpoint *ep, void *user)
{
    struct kirim_tftp_link *const link = user;
    struct kirim_tftp_client *const client = client_of(link);
    (void)ep;
    link->endpoint = NULL;
    kirim_tftp_transfer_fail(&link->transfer, KIRIM_EABORTED, false);
    note_moved(client);
    client->done(client);
}

static const struct kirim_handler client_handler = {
    KIRIM_HANDLER_INIT,        .received = on_answers,     .writable = on_room,
    .failed = on_link_failure, .closed = on_client_closed,
};

kirim_err kirim_tftp_client_start(struct kirim_tftp_client *client, struct kirim_loop *loop,
                                  const struct kirim_addr *server,
                                  const struct kirim_tftp_client_options *options)
{
    static const uint8_t zeros[16] = { 0 };
    if (client == NULL || loop == NULL || server == NULL || options == NULL ||
        client->done == NULL || kirim_addr_port(server) == 0) {
        return KIRIM_EINVAL;
    }
    struct kirim_tftp_link *const link = &client->link;
    *link = (struct kirim_tftp_link){ .peer = *server, .ask_port = kirim_addr_port(server) };
    kirim_addr_set_port(&link->peer, 0);
    kirim_err err = kirim_tftp_transfer_ask(&link->transfer, options, kirim_loop_now(loop));
    if (err < 0) {
        return err;
    }
    const struct kirim_tftp_options *const wanted = &options->request.options;
    const uint32_t blksize = (wanted->has & KIRIM_TFTP_HAS_BLKSIZE) != 0
                                 ? wanted->blksize
                                 : (uint32_t)KIRIM_TFTP_BLOCK_BYTES;
    const bool is_get = options->request.kind == KIRIM_TFTP_RRQ;
    const bool has_window = is_get && (wanted->has & KIRIM_TFTP_HAS_WINDOWSIZE) != 0;
    const struct kirim_addr local = kirim_addr_family(server) == KIRIM_IPV4
                                        ? kirim_addr_ipv4(zeros, 0)
                                        : kirim_addr_ipv6(zeros, 0, 0);
    err = open_link(link, loop, &local, blksize, has_window ? wanted->windowsize : 1,
                    &client_handler);
    if (err < 0) {
        kirim_tftp_transfer_fail(&link->transfer, err, false);
        return err;
    }
    if (has_window) {
        fit_window(link, blksize);
    }
    client->started_ns = kirim_loop_now(loop);
    client->moved_ns = 0;
    pump(link);
    return KIRIM_OK;
}

void kirim_tftp_client_cancel(struct kirim_tftp_client *client)
{
    if (client->link.endpoint != NULL) {
        kirim_tftp_transfer_fail(&client->link.transfer, KIRIM_EABORTED, true);
        pump(&client->link);
    }
}
