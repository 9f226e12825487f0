/* SPDX-License-Identifier: MIT
 *
 * What layers hand each other; see kirim/layer.h. They call one another directly, and nothing is
 * handed on once their stack is closing. Loop thread.
 */
#include "layer.h"

#include <string.h>

enum { BUFS_ON_STACK = 32 };

/* ---- neighbours ------------------------------------------------------------------------------ */

struct kirim_layer *ki_layer_above(struct kirim_layer *layer)
{
    struct kirim_stack *stack = layer->stack;
    return layer + 1 < &stack->layers[stack->layer_count] ? layer + 1 : NULL;
}

struct kirim_layer *ki_layer_below(struct kirim_layer *layer)
{
    return layer > layer->stack->layers ? layer - 1 : NULL;
}

void ki_layer_tell_ready(struct kirim_layer *layer)
{
    if (layer->is_ready == 0) {
        layer->is_ready = 1;
        if (layer->type.ready != NULL) {
            layer->type.ready(layer);
        } else {
            kirim_layer_pass_ready(layer);
        }
    }
}

void kirim_layer_pass_ready(struct kirim_layer *layer)
{
    struct kirim_layer *next = ki_layer_above(layer);
    if (layer->has_passed_ready == 0 && layer->stack->state == KI_STACK_OPEN) {
        layer->has_passed_ready = 1;
        if (next != NULL) {
            ki_layer_tell_ready(next);
        }
    }
}

void ki_layer_tell_received(struct kirim_layer *layer, const struct kirim_batch *batch)
{
    layer->stats.rx_datagrams += batch->count;
    if (layer->type.received != NULL) {
        layer->type.received(layer, batch);
    } else {
        kirim_layer_pass_received(layer, batch);
    }
}

void kirim_layer_pass_received(struct kirim_layer *layer, const struct kirim_batch *batch)
{
    struct kirim_layer *next = ki_layer_above(layer);
    if (next != NULL && batch->count != 0 && layer->stack->state == KI_STACK_OPEN) {
        ki_layer_tell_received(next, batch);
    }
}

void ki_layer_tell_writable(struct kirim_layer *layer)
{
    if (layer->type.writable != NULL) {
        layer->type.writable(layer);
    } else {
        kirim_layer_pass_writable(layer);
    }
}

void kirim_layer_pass_writable(struct kirim_layer *layer)
{
    struct kirim_layer *next = ki_layer_above(layer);
    if (next != NULL && layer->stack->state == KI_STACK_OPEN) {
        ki_layer_tell_writable(next);
    }
}

void ki_layer_tell_failed(struct kirim_layer *layer, const struct kirim_event *event)
{
    if (layer->type.failed != NULL) {
        layer->type.failed(layer, event);
    } else {
        kirim_layer_pass_failed(layer, event);
    }
}

void kirim_layer_pass_failed(struct kirim_layer *layer, const struct kirim_event *event)
{
    struct kirim_layer *next = ki_layer_above(layer);
    if (next != NULL && layer->stack->state == KI_STACK_OPEN) {
        ki_layer_tell_failed(next, event);
    }
}

/* ---- sending --------------------------------------------------------------------------------- */

size_t kirim_layer_payload_bytes_max(const struct kirim_layer *layer)
{
    return (size_t)(layer->stack->payload_bytes_max - layer->below_bytes);
}

/* Hands a message of `*bytes` to who is below, if it may go. */
static kirim_err send_down(struct kirim_layer *layer, const struct kirim_msg *msg, size_t *bytes)
{
    const struct kirim_stack *stack = layer->stack;
    if (stack->state != KI_STACK_OPEN) {
        return KIRIM_ECLOSED;
    }
    if (layer->is_ready == 0) {
        return KIRIM_ENOTCONN;
    }
    const kirim_err err = ki_check_bufs(msg, bytes);
    if (err < 0) {
        return err;
    }
    if (*bytes > kirim_layer_payload_bytes_max(layer)) {
        return KIRIM_EMSGSIZE;
    }
    struct kirim_layer *next = ki_layer_below(layer);
    while (next != NULL && next->type.send == NULL) {
        next = ki_layer_below(next);
    }
    if (next != NULL) {
        return next->type.send(next, msg);
    }
    return stack->session != NULL ? kirim_session_send(stack->session, msg, 0, NULL, NULL)
                                  : kirim_endpoint_send(stack->ep, msg, 0, NULL, NULL);
}

kirim_err kirim_layer_send(struct kirim_layer *layer, const struct kirim_msg *msg)
{
    size_t bytes = 0;
    if (layer == NULL || msg == NULL || msg->segment_bytes != 0) {
        return KIRIM_EINVAL;
    }
    const kirim_err err = send_down(layer, msg, &bytes);
    if (err >= 0) {
        layer->stats.tx_datagrams++;
        layer->stats.tx_bytes += bytes;
    } else {
        layer->stats.tx_refused++;
    }
    return err;
}

kirim_err kirim_layer_send_behind(struct kirim_layer *layer, const void *header,
                                  size_t header_bytes, const struct kirim_msg *msg)
{
    struct kirim_buf few[BUFS_ON_STACK];
    struct kirim_buf *bufs = few;
    if (layer == NULL || msg == NULL || (header == NULL && header_bytes != 0) ||
        (msg->buf == NULL && msg->buf_count != 0)) {
        return KIRIM_EINVAL;
    }
    if (msg->buf_count >= KIRIM_BUF_COUNT_MAX) {
        return KIRIM_EMSGSIZE;
    }
    struct kirim_loop *loop = layer->stack->loop;
    const size_t count = msg->buf_count + 1;
    if (count > BUFS_ON_STACK) {
        bufs = ki_alloc(loop, count * sizeof *bufs);
        if (bufs == NULL) {
            return KIRIM_ENOMEM;
        }
    }
    bufs[0] = (struct kirim_buf){ (void *)(uintptr_t)header, header_bytes };
    if (msg->buf_count != 0) {
        memcpy(&bufs[1], msg->buf, msg->buf_count * sizeof *bufs);
    }
    struct kirim_msg whole = *msg;
    whole.buf = bufs;
    whole.buf_count = count;
    const kirim_err err = kirim_layer_send(layer, &whole);
    if (bufs != few) {
        ki_free(loop, bufs, count * sizeof *bufs);
    }
    return err;
}

/* ---- questions ----------------------------------------------------------------------------------
 */

const struct kirim_layer_type *kirim_layer_kind(const struct kirim_layer *layer)
{
    return layer->kind;
}

void *kirim_layer_state(struct kirim_layer *layer)
{
    return layer->state;
}

struct kirim_stack *kirim_layer_stack(struct kirim_layer *layer)
{
    return layer->stack;
}

struct kirim_loop *kirim_layer_loop(struct kirim_layer *layer)
{
    return layer->stack->loop;
}

kirim_err kirim_layer_read_stats(const struct kirim_layer *layer, struct kirim_layer_stats *out)
{
    if (layer == NULL || out == NULL || out->size < sizeof *out) {
        return KIRIM_EINVAL;
    }
    const uint32_t size = out->size;
    *out = layer->stats;
    out->size = size;
    return KIRIM_OK;
}
