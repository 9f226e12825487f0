/* SPDX-License-Identifier: MIT
 *
 * What the suites about a client share: a call that keeps what it was told, and the two sides of a
 * conversation. One thread.
 */
#ifndef COAP_CLIENT_KIT_H
#define COAP_CLIENT_KIT_H

#include "kit.h"

enum { BODY_BYTES = 5000 };

extern struct kit_side client;
extern struct kit_side server; /* a suite that has one opens it */

/* What a call was told. */
struct told {
    struct kirim_coap_call call;
    size_t answers, ends;
    kirim_err err;
    uint8_t code;
    uint8_t body[BODY_BYTES + 1];
    size_t body_bytes;
    bool is_cancelling;
    size_t restart_count; /* so many times it is started again when it ends */
    kirim_err restart_err;
};

/* Makes a call for "s". */
void prepare(struct told *told, uint8_t method);

/* Starts it, and takes its first message out of the queue. */
struct kirim_coap_message start(struct told *told, uint8_t method);

/* Opens the client. */
void begin(void);

/* An answer to a message, given to the client; options end with number 0, or are NULL. */
void reply(const struct kirim_coap_message *to, uint8_t type, uint8_t code, uint16_t id,
           const struct kit_option *options, const char *payload);

#endif
