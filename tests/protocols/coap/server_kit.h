/* SPDX-License-Identifier: MIT
 *
 * What the suites about a server share: a side with one resource, "a", that counts its requests and
 * answers with what it is told. One thread.
 */
#ifndef COAP_SERVER_KIT_H
#define COAP_SERVER_KIT_H

#include "kit.h"

#define SERVER "192.0.2.1:5683"
#define CLIENT "192.0.2.2:40000"

enum { BODY_MAX = 5000, ALL_METHODS = 0xfe };

/* A resource that counts, and answers with what it is told. */
struct thing {
    struct kirim_coap_resource resource;
    struct kirim_coap_response response;
    size_t runs;
    uint8_t body[BODY_MAX];
    size_t body_bytes;
    uint64_t deferral;
};

extern struct kit_side side;
extern struct thing thing; /* at "a" */

/* Adds a resource of every method to a side; it answers 2.05 with "text". */
void add_thing(struct kit_side *to, struct thing *added, const char *path, uint32_t flags);

/* Opens the side, with its resource. */
void begin(void);

/* Sends block `number` of a body of `body_bytes` to "a". */
void say_block(struct kit_side *to, uint32_t number, uint8_t szx, size_t body_bytes, uint16_t id);

/* Makes a peer of another address, that is not validated, and a request of it for "a". */
void open_stranger(struct kirim_coap_peer *peer, struct kit_message *get, uint8_t *wire,
                   struct kirim_coap_arrival *arrival);

#endif
