/* SPDX-License-Identifier: MIT
 *
 * A scripted loop with one endpoint, and the sends that its tests share. See scripted.h.
 */
#ifndef TEST_STAGE_H
#define TEST_STAGE_H

#include <stdlib.h>

#include "support/scripted.h"

struct stage {
    struct ks t;
    struct script *s;
    struct ks_node *n;
    struct script_port *p;
    struct kirim_addr to; /* somebody else */
};

/* A loop on a script, without an endpoint. */
static inline struct stage *stage_new(uint32_t caps)
{
    struct stage *x = calloc(1, sizeof *x);
    KS_CHECK(x != NULL);
    ks_init(&x->t, "scripted", KIRIM_IPV4);
    x->s = script_new(&x->t, caps);
    x->to = ks_loopback(KIRIM_IPV4, 7);
    return x;
}

static inline struct stage *stage_open_with(uint32_t caps,
                                            const struct kirim_endpoint_options *options)
{
    struct stage *x = stage_new(caps);
    script_open(x->s);
    x->n = ks_node_with(&x->t, options);
    x->p = script_port_of(x->s, x->n->ep);
    return x;
}

static inline struct stage *stage_open(uint32_t caps)
{
    struct ks t;
    ks_init(&t, "scripted", KIRIM_IPV4);
    const struct kirim_endpoint_options options = ks_endpoint_options(&t);
    return stage_open_with(caps, &options);
}

/* Lets everything end, closes, and checks what must hold at the end. */
static inline void stage_close(struct stage *x)
{
    for (struct script_port *p = x->s->ports; p != NULL; p = p->next) {
        p->is_close_held = false;
    }
    ks_close(&x->t);
    script_free(x->s);
    free(x);
}

/* Another endpoint. */
static inline struct script_port *stage_add(struct stage *x, struct ks_node **out)
{
    *out = ks_node(&x->t);
    return script_port_of(x->s, (*out)->ep);
}

/* Posts `number` with an operation, whose bytes are borrowed from `bytes`. */
static inline void stage_send_op(struct stage *x, struct ks_op *o, const uint8_t *bytes)
{
    KS_SEND_OP(x->n, bytes, KS_NUMBER_BYTES, &x->to, o);
}

/* Room for the bytes of `count` operations, each of which says its number from `first` on. */
static inline uint8_t *stage_numbers(uint32_t first, uint32_t count)
{
    uint8_t *bytes = malloc((size_t)count * KS_NUMBER_BYTES);
    KS_CHECK(bytes != NULL);
    for (uint32_t i = 0; i < count; i++) {
        ks_number(bytes + (size_t)i * KS_NUMBER_BYTES, first + i);
    }
    return bytes;
}

#endif
