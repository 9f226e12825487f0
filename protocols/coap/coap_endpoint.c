/* SPDX-License-Identifier: MIT
 *
 * CoAP on a loop: stacks on the sessions of a set, and on a client's endpoint. Sources: see
 * coap_endpoint.h.
 */
#include "coap_endpoint.h"

#include <string.h>

/* Who was validated is kept for as long as one of its messages may come again. */
static const uint64_t idle_ns = KIRIM_COAP_EXCHANGE_LIFETIME_NS;

/* The layers below, and CoAP on them. */
static void fill_plan(struct kirim_layer_plan *layers, const struct kirim_layer_plan *lower,
                      size_t lower_count, const struct kirim_coap_layer_config *config)
{
    for (size_t i = 0; i < lower_count; i++) {
        layers[i] = lower[i];
    }
    layers[lower_count] = (struct kirim_layer_plan){ kirim_coap_layer_type(), config };
}

/* ---- a service ------------------------------------------------------------------------------- */

static kirim_err on_admit(struct kirim_sessions *set, const struct kirim_datagram *datagram,
                          struct kirim_admission *out, void *user)
{
    struct kirim_coap_service *const service = user;
    if (service->options.admit != NULL) {
        return service->options.admit(set, datagram, out, service->options.admit_user);
    }
    /* What is not even a message of this version gets no session, nor what is not there whole. */
    if ((datagram->flags & KIRIM_RX_TRUNCATED) != 0) {
        service->node->stats.malformed++;
        return KIRIM_EINVAL;
    }
    if (datagram->bytes < KIRIM_COAP_HEADER_BYTES || datagram->data[0] >> 6 != 1) {
        service->node->stats.no_coap++;
        return KIRIM_EINVAL;
    }
    out->is_validated = service->options.is_trusting ? 1 : 0;
    return KIRIM_OK;
}

static void on_opened(struct kirim_sessions *set, struct kirim_session *session, void *user)
{
    struct kirim_coap_service *const service = user;
    (void)set;
    if (kirim_stack_on_session(session, &service->plan, NULL) < 0) {
        service->refused++;
        (void)kirim_session_close(session); /* closing already, if a layer refused */
    }
}

static void on_closed(struct kirim_sessions *set, void *user)
{
    struct kirim_coap_service *const service = user;
    (void)set;
    service->set = NULL;
    service->endpoint = NULL;
}

kirim_err kirim_coap_service_open(struct kirim_coap_service *service, struct kirim_loop *loop,
                                  struct kirim_coap_node *node,
                                  const struct kirim_coap_service_options *options)
{
    static const struct kirim_sessions_handler handler = { KIRIM_SESSIONS_HANDLER_INIT,
                                                           .admit = on_admit, .opened = on_opened,
                                                           .closed = on_closed };
    struct kirim_sessions_options sessions = KIRIM_SESSIONS_OPTIONS_INIT;
    if (service == NULL || node == NULL || options == NULL || options->endpoint == NULL ||
        options->lower_count > KIRIM_COAP_LOWER_COUNT_MAX) {
        return KIRIM_EINVAL;
    }
    memset(service, 0, sizeof *service);
    service->node = node;
    service->options = *options;
    service->config.node = node;
    fill_plan(service->layers, options->lower, options->lower_count, &service->config);
    service->plan = (struct kirim_stack_plan)KIRIM_STACK_PLAN_INIT;
    service->plan.layers = service->layers;
    service->plan.layer_count = options->lower_count + 1;
    service->plan.payload_bytes_max = options->payload_bytes_max;
    sessions.endpoint = options->endpoint;
    sessions.handler = &handler;
    sessions.session_handler = kirim_stack_session_handler();
    sessions.user = service;
    sessions.count_max = options->peer_count_max;
    sessions.prefix_count_max = options->prefix_count_max;
    sessions.eviction = KIRIM_EVICT_IDLE;
    sessions.amplification = node->options.amplification;
    sessions.stack_bytes = (uint32_t)kirim_stack_bytes(&service->plan);
    sessions.idle_ns = idle_ns;
    const kirim_err err = kirim_sessions_open(loop, &sessions, &service->set);
    if (err >= 0) {
        service->endpoint = kirim_sessions_endpoint(service->set);
    }
    return err;
}

void kirim_coap_service_close(struct kirim_coap_service *service)
{
    if (service->set != NULL) {
        (void)kirim_sessions_close(service->set);
    }
}

/* ---- a client -------------------------------------------------------------------------------- */

static struct kirim_addr wildcard_of(const struct kirim_addr *peer)
{
    static const uint8_t zero[16] = { 0 };
    return kirim_addr_family(peer) == KIRIM_IPV4 ? kirim_addr_ipv4(zero, 0)
                                                 : kirim_addr_ipv6(zero, 0, 0);
}

kirim_err kirim_coap_dial(struct kirim_loop *loop, struct kirim_coap_node *node,
                          const struct kirim_coap_dial_options *options,
                          struct kirim_coap_peer **out, struct kirim_stack **stack)
{
    struct kirim_layer_plan layers[KIRIM_COAP_LOWER_COUNT_MAX + 1];
    struct kirim_endpoint_options endpoint = KIRIM_ENDPOINT_OPTIONS_INIT;
    struct kirim_stack_plan plan = KIRIM_STACK_PLAN_INIT;
    struct kirim_stack *own = NULL;
    if (node == NULL || options == NULL || out == NULL ||
        options->lower_count > KIRIM_COAP_LOWER_COUNT_MAX ||
        kirim_addr_family(&options->peer) == KIRIM_FAMILY_NONE) {
        return KIRIM_EINVAL;
    }
    const struct kirim_coap_layer_config config = {
        .node = node, .peer = options->peer, .closed = options->closed, .user = options->user
    };
    endpoint.local = options->local;
    if (!kirim_addr_is_multicast(&options->peer)) {
        endpoint.peer = options->peer;
    } else if (kirim_addr_family(&options->local) == KIRIM_FAMILY_NONE) {
        endpoint.local = wildcard_of(&options->peer);
    }
    fill_plan(layers, options->lower, options->lower_count, &config);
    plan.layers = layers;
    plan.layer_count = options->lower_count + 1;
    plan.payload_bytes_max = options->payload_bytes_max;
    const kirim_err err = kirim_stack_on_endpoint(loop, &endpoint, &plan, &own);
    if (err < 0) {
        return err;
    }
    *out = kirim_coap_layer_peer(kirim_stack_layer(own, options->lower_count));
    if (stack != NULL) {
        *stack = own;
    }
    return KIRIM_OK;
}
