/* SPDX-License-Identifier: MIT
 *
 * What the suites of CoAP share: memory that counts, one side of a conversation whose datagrams
 * are kept, a clock that is set, and two sides joined by a wire that loses what it is told to. One
 * thread.
 */
#ifndef COAP_KIT_H
#define COAP_KIT_H

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "protocols/coap/client.h"
#include "protocols/coap/server.h"
#include "support/claims.h"
#include "support/memory.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define MS              UINT64_C(1000000)
#define SECOND          UINT64_C(1000000000)

enum { KIT_QUEUE_MAX = 64, KIT_WIRE_MAX = 1500, KIT_OPTION_MAX = 12 };

struct kit_wire {
    uint8_t data[KIT_WIRE_MAX];
    size_t bytes;
    struct kirim_addr to;
};

/* A node with one peer. What it sends is in the queue. */
struct kit_side {
    struct kit_memory memory;
    struct kirim_coap_node node;
    struct kirim_coap_peer peer;
    struct kirim_addr addr; /* its own */
    struct kit_wire queue[KIT_QUEUE_MAX];
    size_t count;
    uint64_t random;
    kirim_err random_err;
    kirim_err send_err;
    uint64_t now_ns;
};

/* Makes a side at `own` that speaks with `other`; NULL options: the defaults. The peer is ready,
 * and validated. */
void kit_open(struct kit_side *side, const char *own, const char *other,
              const struct kirim_coap_node_options *options);

/* Ends it; nothing may be left of its memory. */
void kit_close(struct kit_side *side);

/* A message in short: options end with number 0. */
struct kit_option {
    uint16_t number;
    const char *text; /* NULL: `value` */
    uint32_t value;
};
struct kit_message {
    uint8_t type, code;
    uint16_t id;
    const char *token;
    struct kit_option options[KIT_OPTION_MAX];
    const void *payload;
    size_t payload_bytes;
};

/* Writes a message; returns its length. */
size_t kit_write(const struct kit_message *message, uint8_t *out);

/* Gives bytes, or a message, to a side as if its peer had sent it. */
void kit_give(struct kit_side *side, const uint8_t *data, size_t bytes, bool is_group);
void kit_say(struct kit_side *side, const struct kit_message *message);

/* Takes the oldest message out of a side's queue and parses it; its bytes are good until the next
 * call for any side. False: there is none. */
bool kit_take(struct kit_side *side, struct kirim_coap_message *out);

/* Checks that the next message is of this type and code, and returns it. */
struct kirim_coap_message kit_expect(struct kit_side *side, uint8_t type, uint8_t code);

/* Checks that nothing was sent. */
void kit_expect_silence(const struct kit_side *side);

/* Lets the time pass up to the peer's deadline, or to `until_ns` if that is earlier; false: that
 * was earlier. */
bool kit_tick(struct kit_side *side, uint64_t until_ns);

/* What a message's options say. */
struct kirim_coap_fields kit_fields(const struct kirim_coap_message *message);

/* Delivers what both sides have sent, 10 ms later each, and lets the time pass, until nothing is
 * left to be done before `until_ns`. `drop` is asked for each datagram, and may be NULL. */
typedef bool (*kit_drop_fn)(const struct kit_side *from, const struct kit_wire *wire, void *user);
void kit_converse(struct kit_side *a, struct kit_side *b, uint64_t until_ns, kit_drop_fn drop,
                  void *user);

/* Runs the claims of one suite; returns what main() returns. */
static inline int kit_main(const char *name, const struct kit_claim *claims)
{
    return claims_run(name, claims, 60);
}

#endif
