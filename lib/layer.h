/* SPDX-License-Identifier: MIT
 *
 * Stacks' own structures. A stack is one block: the stack itself, its layers from the bottom up,
 * and their states. Loop thread.
 */
#ifndef KI_LAYER_H
#define KI_LAYER_H

#include <kirim/layer.h>

#include "core.h"

enum { KI_STACK_OPEN, KI_STACK_CLOSING };

struct kirim_layer {
    struct kirim_stack *stack;
    struct kirim_layer_type type;        /* as far as its size goes */
    const struct kirim_layer_type *kind; /* whose copy that is */
    void *state;
    uint64_t below_bytes; /* what the layers below add */
    uint64_t has_begun;   /* `open` has succeeded: `closed` is owed */
    uint64_t is_ready;    /* the one below can send */
    uint64_t has_passed_ready;
    uint64_t has_finished; /* draining */
    struct kirim_layer_stats stats;
};

struct kirim_stack {
    struct kirim_loop *loop;
    struct kirim_endpoint *ep;
    struct kirim_session *session; /* NULL: on the endpoint */
    size_t allocated_bytes;        /* 0: it lies behind its session */
    uint64_t state;
    uint64_t has_begun; /* all layers have */
    uint64_t is_draining;
    kirim_err why;
    uint32_t payload_bytes_max;
    uint64_t overhead_bytes; /* of all */
    struct kirim_timer *timers;
    struct kirim_timer drain_timer;
    size_t layer_count;
    struct kirim_layer layers[];
};

/* Tell a layer what comes from below; what it does not want goes on to those above. */
void ki_layer_tell_ready(struct kirim_layer *layer);
void ki_layer_tell_received(struct kirim_layer *layer, const struct kirim_batch *batch);
void ki_layer_tell_writable(struct kirim_layer *layer);
void ki_layer_tell_failed(struct kirim_layer *layer, const struct kirim_event *event);

/* The neighbours of a layer; NULL: it is the top one, the one at the bottom. */
struct kirim_layer *ki_layer_above(struct kirim_layer *layer);
struct kirim_layer *ki_layer_below(struct kirim_layer *layer);

#endif
