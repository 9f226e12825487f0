/* SPDX-License-Identifier: MIT
 *
 * CoAP as a layer. Whatever is below, datagrams come and go in the same way; a session below adds
 * that its peer may have to show where it is, which an Echo does. Sources: RFC 7252 section 4,
 * kirim/layer.h, kirim/session.h.
 */
#include "coap_layer.h"

/* The state of a layer. */
struct link {
    struct kirim_coap_peer peer;
    struct kirim_layer *layer;
    struct kirim_timer timer;
    kirim_coap_link_closed_fn closed;
    void *user;
    bool is_connected; /* the layer below knows the peer */
    bool is_draining;
};

_Static_assert(sizeof(struct link) <= 65536, "the state of a layer");

/* ---- what a node needs ----------------------------------------------------------------------- */

static void *env_alloc(void *user, void *old, size_t old_bytes, size_t new_bytes)
{
    return kirim_loop_alloc(user, old, old_bytes, new_bytes);
}

static kirim_err env_random(void *user, void *out, size_t bytes)
{
    return kirim_loop_random(user, out, bytes);
}

static kirim_err env_send(void *user, struct kirim_coap_peer *peer, const struct kirim_addr *to,
                          struct kirim_coap_span wire)
{
    struct link *const link = peer->user;
    /* The buffer is read only, whatever its type says. */
    union {
        const uint8_t *from;
        void *to;
    } bytes = { wire.data };
    const struct kirim_buf buf = { bytes.to, wire.bytes };
    const struct kirim_msg msg = { .buf = &buf,
                                   .buf_count = 1,
                                   .peer = link->is_connected ? NULL : to };
    struct kirim_session *const session = kirim_stack_session(kirim_layer_stack(link->layer));
    (void)user;
    if (session != NULL && peer->is_validated && !kirim_session_is_validated(session)) {
        (void)kirim_session_validate(session); /* an Echo was right: what is sent has no bound */
    }
    return kirim_layer_send(link->layer, &msg);
}

static void env_changed(void *user, struct kirim_coap_peer *peer)
{
    struct link *const link = peer->user;
    (void)user;
    if (link->is_draining && !kirim_coap_peer_is_busy(peer)) {
        kirim_layer_finish_drain(link->layer);
    }
    if (kirim_layer_timer_arm(link->layer, &link->timer, peer->deadline_ns) < 0) {
        kirim_timer_cancel(&link->timer); /* the stack is closing: `closed` will end it all */
    }
}

kirim_err kirim_coap_node_open(struct kirim_coap_node *node, struct kirim_loop *loop,
                               const struct kirim_coap_node_options *options)
{
    struct kirim_coap_node_options own = *options;
    own.env = (struct kirim_coap_environment){ .alloc = env_alloc,
                                               .random = env_random,
                                               .send = env_send,
                                               .changed = env_changed,
                                               .user = loop };
    return kirim_coap_node_init(node, &own);
}

/* ---- the layer ------------------------------------------------------------------------------- */

static uint64_t now_of(const struct link *link)
{
    return kirim_loop_now(kirim_layer_loop(link->layer));
}

static void on_timer(struct kirim_timer *timer)
{
    struct link *const link = timer->user;
    kirim_coap_peer_expire(&link->peer, now_of(link));
}

static kirim_err on_open(struct kirim_layer *layer, const void *config)
{
    const struct kirim_coap_layer_config *const c = config;
    struct link *const link = kirim_layer_state(layer);
    struct kirim_stack *const stack = kirim_layer_stack(layer);
    const struct kirim_session *const session = kirim_stack_session(stack);
    const struct kirim_addr connected = session != NULL
                                            ? kirim_session_peer(session)
                                            : kirim_endpoint_peer(kirim_stack_endpoint(stack));
    if (c == NULL || c->node == NULL) {
        return KIRIM_EINVAL;
    }
    link->is_connected = kirim_addr_family(&connected) != KIRIM_FAMILY_NONE;
    if (!link->is_connected && kirim_addr_family(&c->peer) == KIRIM_FAMILY_NONE) {
        return KIRIM_EINVAL;
    }
    link->layer = layer;
    link->closed = c->closed;
    link->user = c->user;
    link->timer = (struct kirim_timer)KIRIM_TIMER_INIT(on_timer, link);
    kirim_coap_peer_init(&link->peer, c->node, link->is_connected ? &connected : &c->peer);
    link->peer.user = link;
    link->peer.is_validated = session == NULL || kirim_session_is_validated(session);
    link->peer.message_bytes_max = kirim_layer_payload_bytes_max(layer);
    return KIRIM_OK;
}

static void on_ready(struct kirim_layer *layer)
{
    struct link *const link = kirim_layer_state(layer);
    kirim_coap_peer_ready(&link->peer, now_of(link));
    kirim_layer_pass_ready(layer);
}

static bool is_to_many(const struct kirim_datagram *d)
{
    return (d->flags & KIRIM_RX_BROADCAST) != 0 ||
           (d->arrival != NULL && kirim_addr_is_multicast(&d->arrival->local));
}

static void on_received(struct kirim_layer *layer, const struct kirim_batch *batch)
{
    struct link *const link = kirim_layer_state(layer);
    struct kirim_coap_peer *const peer = &link->peer;
    struct kirim_session *const session = kirim_stack_session(kirim_layer_stack(layer));
    const bool is_group = kirim_addr_is_multicast(&peer->addr);
    if (session != NULL && !peer->is_validated) {
        peer->is_validated = kirim_session_is_validated(session);
    }
    for (size_t i = 0; i < batch->count; i++) {
        const struct kirim_datagram *const d = kirim_batch_at(batch, i);
        const struct kirim_coap_arrival arrival = { .wire = { d->data, d->bytes },
                                                    .from = d->peer,
                                                    .is_group = is_to_many(d) };
        if (!is_group && !kirim_addr_equal(&d->peer, &peer->addr)) {
            peer->node->stats.ignored++; /* somebody else's, or from another place */
            continue;
        }
        if ((d->flags & KIRIM_RX_TRUNCATED) != 0) {
            peer->node->stats.received++;
            peer->node->stats.malformed++;
            continue;
        }
        kirim_coap_peer_input(peer, &arrival, now_of(link));
    }
}

static void on_writable(struct kirim_layer *layer)
{
    struct link *const link = kirim_layer_state(layer);
    kirim_coap_peer_expire(&link->peer, now_of(link));
    kirim_layer_pass_writable(layer);
}

static void on_resized(struct kirim_layer *layer)
{
    struct link *const link = kirim_layer_state(layer);
    link->peer.message_bytes_max = kirim_layer_payload_bytes_max(layer);
}

static void on_failed(struct kirim_layer *layer, const struct kirim_event *event)
{
    struct link *const link = kirim_layer_state(layer);
    if (event->kind == KIRIM_EVENT_PEER_ERROR && event->err == KIRIM_ECONNRESET) {
        kirim_coap_peer_gone(&link->peer, event->err, now_of(link));
    }
    kirim_layer_pass_failed(layer, event);
}

static void on_drain(struct kirim_layer *layer)
{
    struct link *const link = kirim_layer_state(layer);
    link->is_draining = true;
    env_changed(NULL, &link->peer);
}

static void on_closed(struct kirim_layer *layer, kirim_err why)
{
    struct link *const link = kirim_layer_state(layer);
    kirim_timer_cancel(&link->timer);
    kirim_coap_peer_fini(&link->peer, why < 0 ? why : KIRIM_EABORTED);
    if (link->closed != NULL) {
        link->closed(&link->peer, why, link->user);
    }
}

static kirim_err on_send(struct kirim_layer *layer, const struct kirim_msg *msg)
{
    (void)layer;
    (void)msg;
    return KIRIM_EOPNOTSUPP; /* it is the top: what is sent comes from calls and resources */
}

static const struct kirim_layer_type layer_type = {
    KIRIM_LAYER_TYPE_INIT, .name = "coap",          .state_bytes = sizeof(struct link),
    .open = on_open,       .ready = on_ready,       .received = on_received,
    .send = on_send,       .writable = on_writable, .resized = on_resized,
    .failed = on_failed,   .drain = on_drain,       .closed = on_closed,
};

const struct kirim_layer_type *kirim_coap_layer_type(void)
{
    return &layer_type;
}

struct kirim_coap_peer *kirim_coap_layer_peer(struct kirim_layer *layer)
{
    struct link *const link = kirim_layer_state(layer);
    return &link->peer;
}
