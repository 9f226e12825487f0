/* SPDX-License-Identifier: MIT
 *
 * Stacks of layers: how they begin, on a session or on an endpoint, and how they end.
 *
 * What ends a stack is only noted; its session or endpoint brings the end in a step of its own.
 * Loop thread.
 */
#include "layer.h"
#include "session.h"

enum { PAYLOAD_BYTES_DEFAULT = 1200, STATE_BYTES_MAX = 65536, ALIGNMENT = 16 };

static size_t aligned(size_t bytes)
{
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

/* ---- plans ----------------------------------------------------------------------------------- */

/* Copies a plan's types, as far as their sizes go. False: no such plan; the loop's log may tell
 * why. */
static bool read_plan(struct kirim_loop *loop, const struct kirim_stack_plan *plan,
                      struct kirim_stack_plan *out, struct kirim_layer_type *types)
{
    if (plan == NULL || !ki_grown_copy(out, sizeof *out, plan, plan->size, sizeof *out) ||
        out->layers == NULL || out->layer_count == 0 || out->layer_count > KIRIM_LAYER_COUNT_MAX) {
        return false;
    }
    uint64_t overhead_bytes = 0;
    for (size_t i = 0; i < out->layer_count; i++) {
        const struct kirim_layer_type *type = out->layers[i].type;
        if (type == NULL ||
            !ki_handler_copy(loop, &types[i], sizeof types[i], type, type->size, KI_KIND_LAYER) ||
            types[i].state_bytes > STATE_BYTES_MAX) {
            return false;
        }
        overhead_bytes += types[i].overhead_bytes;
    }
    if (out->payload_bytes_max == 0) {
        out->payload_bytes_max = PAYLOAD_BYTES_DEFAULT;
    }
    return overhead_bytes < out->payload_bytes_max;
}

static size_t bytes_of(const struct kirim_stack_plan *plan, const struct kirim_layer_type *types)
{
    size_t bytes =
        aligned(sizeof(struct kirim_stack) + plan->layer_count * sizeof(struct kirim_layer));
    for (size_t i = 0; i < plan->layer_count; i++) {
        bytes += aligned(types[i].state_bytes);
    }
    return bytes;
}

size_t kirim_stack_bytes(const struct kirim_stack_plan *plan)
{
    struct kirim_layer_type types[KIRIM_LAYER_COUNT_MAX];
    struct kirim_stack_plan p;
    return read_plan(NULL, plan, &p, types) ? bytes_of(&p, types) : 0;
}

/* Lays a stack out in zeroed memory. */
static void lay_out(struct kirim_stack *stack, const struct kirim_stack_plan *plan,
                    const struct kirim_layer_type *types)
{
    unsigned char *state = (unsigned char *)stack +
                           aligned(sizeof *stack + plan->layer_count * sizeof stack->layers[0]);
    stack->layer_count = plan->layer_count;
    stack->payload_bytes_max = plan->payload_bytes_max;
    for (size_t i = 0; i < plan->layer_count; i++) {
        struct kirim_layer *layer = &stack->layers[i];
        layer->stack = stack;
        layer->type = types[i];
        layer->kind = plan->layers[i].type;
        layer->state = state;
        layer->stats.size = sizeof layer->stats;
        layer->below_bytes = stack->overhead_bytes;
        stack->overhead_bytes += types[i].overhead_bytes;
        state += aligned(types[i].state_bytes);
    }
}

/* ---- the end --------------------------------------------------------------------------------- */

/* Tells the layers, from the top, and frees the stack. */
static void finish(struct kirim_stack *stack, kirim_err why)
{
    if (stack->state == KI_STACK_OPEN) {
        stack->state = KI_STACK_CLOSING;
        stack->why = why;
    }
    ki_timers_cancel(&stack->timers);
    kirim_timer_cancel(&stack->drain_timer);
    for (size_t i = stack->layer_count; i-- > 0;) {
        struct kirim_layer *layer = &stack->layers[i];
        if (layer->has_begun != 0 && layer->type.closed != NULL) {
            layer->type.closed(layer, stack->why);
        }
    }
    if (stack->allocated_bytes != 0) {
        ki_free(stack->loop, stack, stack->allocated_bytes);
    }
}

kirim_err kirim_stack_close(struct kirim_stack *stack, kirim_err why)
{
    if (stack == NULL) {
        return KIRIM_EINVAL;
    }
    if (stack->state != KI_STACK_OPEN) {
        return KIRIM_ECLOSED;
    }
    stack->state = KI_STACK_CLOSING;
    stack->why = why;
    ki_timers_cancel(&stack->timers);
    kirim_timer_cancel(&stack->drain_timer);
    return stack->session != NULL ? kirim_session_close(stack->session)
                                  : kirim_endpoint_close(stack->ep);
}

static void tell_drain(struct kirim_layer *layer)
{
    if (layer->type.drain != NULL) {
        layer->type.drain(layer);
    } else {
        kirim_layer_finish_drain(layer);
    }
}

void kirim_layer_finish_drain(struct kirim_layer *layer)
{
    struct kirim_stack *stack = layer->stack;
    struct kirim_layer *top = &stack->layers[stack->layer_count - 1];
    const bool is_turn = layer == top || ki_layer_above(layer)->has_finished != 0;
    if (stack->state != KI_STACK_OPEN || stack->is_draining == 0 || stack->has_begun == 0 ||
        layer->has_finished != 0 || !is_turn) {
        return;
    }
    layer->has_finished = 1;
    struct kirim_layer *next = ki_layer_below(layer);
    if (next != NULL) {
        tell_drain(next);
    } else {
        (void)kirim_stack_close(stack, KIRIM_OK);
    }
}

static void expire_drain(struct kirim_timer *timer)
{
    (void)kirim_stack_close(timer->user, KIRIM_ETIMEDOUT);
}

kirim_err kirim_stack_drain(struct kirim_stack *stack, uint64_t deadline_ns)
{
    if (stack == NULL) {
        return KIRIM_EINVAL;
    }
    if (stack->state != KI_STACK_OPEN || stack->is_draining != 0) {
        return KIRIM_ECLOSED;
    }
    stack->is_draining = 1;
    stack->drain_timer = (struct kirim_timer)KIRIM_TIMER_INIT(expire_drain, stack);
    const kirim_err err = kirim_timer_arm(stack->loop, &stack->drain_timer, deadline_ns);
    if (err < 0) {
        return err; /* the loop is closing, and everything with it */
    }
    if (stack->has_begun != 0) {
        tell_drain(&stack->layers[stack->layer_count - 1]);
    }
    return KIRIM_OK;
}

kirim_err kirim_layer_timer_arm(struct kirim_layer *layer, struct kirim_timer *timer,
                                uint64_t deadline_ns)
{
    if (layer == NULL) {
        return KIRIM_EINVAL;
    }
    struct kirim_stack *stack = layer->stack;
    return stack->state != KI_STACK_OPEN
               ? KIRIM_ECLOSED
               : ki_timer_arm_owned(stack->loop, &stack->timers, timer, deadline_ns);
}

/* ---- the beginning --------------------------------------------------------------------------- */

/* Begins the layers of a stack that has its carrier, from the bottom. If one cannot, the stack is
 * closed, and its carrier with it. */
static kirim_err begin(struct kirim_stack *stack, const struct kirim_stack_plan *plan,
                       struct kirim_stack **out)
{
    for (size_t i = 0; i < stack->layer_count; i++) {
        struct kirim_layer *layer = &stack->layers[i];
        const kirim_err err =
            layer->type.open != NULL ? layer->type.open(layer, plan->layers[i].config) : KIRIM_OK;
        layer->has_begun = err >= 0;
        if (stack->state != KI_STACK_OPEN) {
            return KIRIM_ECLOSED;
        }
        if (err < 0) {
            (void)kirim_stack_close(stack, err);
            return err;
        }
    }
    if (out != NULL) {
        *out = stack;
    }
    stack->has_begun = 1;
    if (stack->is_draining != 0) {
        tell_drain(&stack->layers[stack->layer_count - 1]);
    }
    if (stack->state == KI_STACK_OPEN) {
        ki_layer_tell_ready(&stack->layers[0]);
    }
    return KIRIM_OK;
}

static struct kirim_stack *make(struct kirim_loop *loop, const struct kirim_stack_plan *plan,
                                const struct kirim_layer_type *types)
{
    const size_t bytes = bytes_of(plan, types);
    struct kirim_stack *stack = ki_alloc(loop, bytes);
    if (stack != NULL) {
        stack->allocated_bytes = bytes;
    }
    return stack;
}

/* ---- on a session ---------------------------------------------------------------------------- */

static bool is_told(const struct kirim_stack *stack)
{
    return stack != NULL && stack->state == KI_STACK_OPEN;
}

static void session_received(struct kirim_session *session, const struct kirim_batch *batch,
                             void *user)
{
    (void)user;
    if (is_told(session->stack)) {
        ki_layer_tell_received(&session->stack->layers[0], batch);
    }
}

static void session_writable(struct kirim_session *session, void *user)
{
    (void)user;
    if (is_told(session->stack)) {
        ki_layer_tell_writable(&session->stack->layers[0]);
    }
}

static void session_failed(struct kirim_session *session, const struct kirim_event *event,
                           void *user)
{
    (void)user;
    if (is_told(session->stack)) {
        ki_layer_tell_failed(&session->stack->layers[0], event);
    }
}

static void session_closed(struct kirim_session *session, int reason, void *user)
{
    (void)user;
    if (session->stack != NULL) {
        finish(session->stack, reason == KIRIM_SESSION_IDLE ? KIRIM_ETIMEDOUT : KIRIM_EABORTED);
    }
}

const struct kirim_session_handler *kirim_stack_session_handler(void)
{
    static const struct kirim_session_handler handler = {
        .size = KIRIM_SESSION_HANDLER_INIT,
        .received = session_received,
        .writable = session_writable,
        .failed = session_failed,
        .closed = session_closed,
    };
    return &handler;
}

kirim_err kirim_stack_on_session(struct kirim_session *session, const struct kirim_stack_plan *plan,
                                 struct kirim_stack **out)
{
    struct kirim_layer_type types[KIRIM_LAYER_COUNT_MAX];
    struct kirim_stack_plan p;
    if (session == NULL || !read_plan(session->set->loop, plan, &p, types)) {
        return KIRIM_EINVAL;
    }
    if (session->state != KI_SESSION_OPEN) {
        return KIRIM_ECLOSED;
    }
    if (session->handler.received != session_received || session->stack != NULL) {
        return KIRIM_EINVAL;
    }
    struct kirim_sessions *set = session->set;
    const bool has_room = bytes_of(&p, types) <= set->stack_bytes;
    struct kirim_stack *stack =
        has_room ? (void *)((unsigned char *)session + set->stack_at) : make(set->loop, &p, types);
    if (stack == NULL) {
        return KIRIM_ENOMEM;
    }
    lay_out(stack, &p, types);
    stack->loop = set->loop;
    stack->ep = set->ep;
    stack->session = session;
    session->stack = stack;
    return begin(stack, &p, out);
}

/* ---- on an endpoint -------------------------------------------------------------------------- */

static void endpoint_received(struct kirim_endpoint *ep, const struct kirim_batch *batch,
                              void *user)
{
    struct kirim_stack *stack = user;
    (void)ep;
    ki_layer_tell_received(&stack->layers[0], batch);
}

static void endpoint_writable(struct kirim_endpoint *ep, void *user)
{
    struct kirim_stack *stack = user;
    (void)ep;
    ki_layer_tell_writable(&stack->layers[0]);
}

static void endpoint_failed(struct kirim_endpoint *ep, const struct kirim_event *event, void *user)
{
    struct kirim_stack *stack = user;
    (void)ep;
    ki_layer_tell_failed(&stack->layers[0], event);
}

static void endpoint_closed(struct kirim_endpoint *ep, void *user)
{
    (void)ep;
    finish(user, KIRIM_EABORTED);
}

kirim_err kirim_stack_on_endpoint(struct kirim_loop *loop,
                                  const struct kirim_endpoint_options *options,
                                  const struct kirim_stack_plan *plan, struct kirim_stack **out)
{
    static const struct kirim_handler handler = {
        .size = KIRIM_HANDLER_INIT,
        .received = endpoint_received,
        .writable = endpoint_writable,
        .failed = endpoint_failed,
        .closed = endpoint_closed,
    };
    struct kirim_layer_type types[KIRIM_LAYER_COUNT_MAX];
    struct kirim_stack_plan p;
    if (loop == NULL || options == NULL || options->size != sizeof *options ||
        !read_plan(loop, plan, &p, types)) {
        return KIRIM_EINVAL;
    }
    struct kirim_stack *stack = make(loop, &p, types);
    if (stack == NULL) {
        return KIRIM_ENOMEM;
    }
    struct kirim_endpoint_options o = *options;
    o.handler = &handler;
    o.user = stack;
    lay_out(stack, &p, types);
    stack->loop = loop;
    const kirim_err err = kirim_endpoint_open(loop, &o, &stack->ep);
    if (err < 0) {
        ki_free(loop, stack, stack->allocated_bytes);
        return err;
    }
    return begin(stack, &p, out);
}

/* ---- questions ------------------------------------------------------------------------------- */

struct kirim_layer *kirim_stack_layer(struct kirim_stack *stack, size_t index)
{
    return index < stack->layer_count ? &stack->layers[index] : NULL;
}

struct kirim_session *kirim_stack_session(const struct kirim_stack *stack)
{
    return stack->session;
}

struct kirim_endpoint *kirim_stack_endpoint(const struct kirim_stack *stack)
{
    return stack->ep;
}

kirim_err kirim_stack_set_payload_bytes_max(struct kirim_stack *stack, uint32_t bytes)
{
    if (stack == NULL) {
        return KIRIM_EINVAL;
    }
    if (stack->state != KI_STACK_OPEN) {
        return KIRIM_ECLOSED;
    }
    if (bytes <= stack->overhead_bytes ||
        bytes > kirim_endpoint_payload_bytes_max(stack->ep, NULL)) {
        return KIRIM_EINVAL;
    }
    stack->payload_bytes_max = bytes;
    for (size_t i = 0; i < stack->layer_count && stack->state == KI_STACK_OPEN; i++) {
        if (stack->layers[i].type.resized != NULL) {
            stack->layers[i].type.resized(&stack->layers[i]);
        }
    }
    return KIRIM_OK;
}
