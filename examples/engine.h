/* SPDX-License-Identifier: MIT
 *
 * A foreign protocol engine on one kirim endpoint: see engine.c.
 */
#ifndef EXAMPLES_ENGINE_H
#define EXAMPLES_ENGINE_H

#include <kirim/kirim.h>

#include "engine_core.h"

/* The caller's storage; zero but for what stands first, and in place until the loop is closed. */
struct engine_io {
    struct engine *engine; /* the caller's */
    /* Told of each transfer that has ended; may begin another with engine_send(). */
    void (*on_event)(struct engine_io *io, const struct engine_event *event);
    void *user;
    struct kirim_endpoint *ep;
    struct kirim_timer timer; /* the engine's deadline */
    uint32_t caps;            /* of the loop */
};

/* Opens an endpoint at `local` for the engine. */
kirim_err engine_io_open(struct engine_io *io, struct kirim_loop *loop,
                         const struct kirim_addr *local);

/* Sends what the engine has to say: to be called after whatever was asked of it. */
void engine_io_pump(struct engine_io *io);

/* An address as the engine keeps it, and as kirim does. */
struct engine_addr engine_io_from(const struct kirim_addr *addr);
struct kirim_addr engine_io_addr(const struct engine_addr *addr);

#endif
