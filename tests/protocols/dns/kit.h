/* SPDX-License-Identifier: MIT
 *
 * What the suites of the DNS protocol share: names and zones from text, questions and answers as
 * bytes. One thread.
 */
#ifndef DNS_KIT_H
#define DNS_KIT_H

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "protocols/dns/message.h"
#include "protocols/dns/server.h"
#include "protocols/dns/zonefile.h"
#include "support/claims.h"
#include "support/memory.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* A name from its absolute text; the dot at the end may be left out. */
struct kirim_dns_name kit_name(const char *text);

/* How a name is written. The text is good until the next call. */
const char *kit_name_text(const struct kirim_dns_name *name);

struct kirim_dns_span kit_span(const char *text);

/* Reads a zone from text, with memory from `memory`. */
kirim_err kit_read_zone(struct kit_memory *memory, const char *text, struct kirim_dns_zone **out,
                        struct kirim_dns_zonefile_error *error);
struct kirim_dns_zone *kit_zone(struct kit_memory *memory, const char *text);

/* A question as a client sends it. */
struct kit_question {
    const char *name;
    uint16_t type;
    uint16_t dns_class; /* 0: IN */
    uint16_t id;
    uint16_t flags;
    bool has_edns;
    uint16_t udp_bytes;
    uint8_t version;
    bool is_dnssec_ok;
    const uint8_t *options; /* of EDNS, as bytes */
    uint16_t option_bytes;
};

/* Writes it; returns its bytes. */
size_t kit_build(const struct kit_question *question, uint8_t *out, size_t room);

/* A message read back, and the storage it lies in. */
struct kit_reply {
    uint8_t wire[KIRIM_DNS_MESSAGE_BYTES_MAX];
    size_t bytes;
    struct kirim_dns_message message;
};

/* An address from its text. */
struct kirim_addr kit_addr(const char *text);

/* Has a server answer bytes; checks that the answer, if there is one, is well-formed. */
void kit_answer(struct kirim_dns_server *server, const uint8_t *query, size_t bytes,
                struct kit_reply *reply);

/* The same with the one who asks, and the time. */
void kit_serve(struct kirim_dns_server *server, const struct kirim_dns_request *request,
               struct kit_reply *reply);

/* A COOKIE option of EDNS with these bytes, into `out`; returns its bytes. */
uint16_t kit_cookie_option(const void *cookie, size_t bytes, uint8_t *out);

/* The same for a question. */
void kit_ask(struct kirim_dns_server *server, const struct kit_question *question,
             struct kit_reply *reply);

/* The records of one section of a message as text, one a line: "www.example. 60 A 192.0.2.1". OPT
 * is left out. The text is good until the next call. */
const char *kit_section(const struct kirim_dns_message *message, int section);

/* Runs the claims of one suite; returns what main() returns. */
static inline int kit_main(const char *name, const struct kit_claim *claims)
{
    return claims_run(name, claims, 30);
}

#endif
