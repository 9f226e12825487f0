/* SPDX-License-Identifier: MIT
 *
 * A simulated world for DTLS: a server that echoes, on a set of sessions, and clients on endpoints
 * of their own. Under every client's DTLS layer lies a tap, which counts, keeps and spoils what
 * passes; above both ends' is a layer that only writes down what it is told. One thread.
 */
#ifndef DTLS_KIT_H
#define DTLS_KIT_H

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include <kirim/kirim.h>
#include <kirim/sim.h>

#include "clock.h"
#include "identity.h"
#include "support/claims.h"
#include "support/memory.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define MS              UINT64_C(1000000)
#define SECOND          UINT64_C(1000000000)

enum { KIT_CLIENT_MAX = 64, KIT_KEPT_MAX = 64, KIT_DATAGRAM_MAX = 2048, KIT_LAYER_DTLS = 1 };

/* What passed a tap, in either direction. */
struct kit_kept {
    uint8_t data[KIT_DATAGRAM_MAX];
    size_t bytes;
    bool is_sent;
    uint64_t at_ns;
};

struct kit_world;

struct kit_client {
    struct kit_world *world;
    struct kirim_stack *stack; /* NULL: it has ended */
    struct kirim_layer *tap, *dtls, *top;
    size_t ready_count, closed_count, received_count, failed_count, wrong_count;
    kirim_err why;
    struct kirim_dtls_info info; /* at the end */
    struct kit_kept kept[KIT_KEPT_MAX];
    size_t kept_count;     /* all, also those that found no room */
    size_t sent_bytes_max; /* longest datagram that was sent */
    uint64_t drop_sent;    /* bits: datagrams not to be sent, by their ordinal */
    size_t sent_count;
    uint8_t last[KIT_DATAGRAM_MAX]; /* message received */
    size_t last_bytes;
    size_t to_send; /* messages that it sends, one behind the answer of the other */
    size_t message_bytes;
    struct kirim_timer again;          /* an answer is missing */
    uint8_t session[KIT_DATAGRAM_MAX]; /* to be resumed, taken when it was ready */
    size_t session_bytes;
    bool is_draining_after; /* close in order when all were answered */
};

struct kit_world {
    struct kit_memory memory[2]; /* of the server and of the client, without OpenSSL's */
    struct kirim_sim *sim;
    struct kirim_sim_host *server_host, *client_host;
    struct kirim_loop *server_loop, *client_loop;
    struct kirim_dtls *server_dtls, *client_dtls;
    struct kirim_sessions *set;
    struct kirim_layer *last_dtls; /* of the session that was opened last */
    struct kirim_stack *last_stack;
    struct kit_client client[KIT_CLIENT_MAX];
    size_t client_count;
    size_t server_opened, server_ready, server_closed, server_received;
    kirim_err server_why;
    struct kirim_dtls_info server_info;
    uint32_t payload_bytes_max;
    uint64_t server_idle_ns;
    bool is_admitting_all; /* cookies are the layer's business */
};

/* How a world is to be; zeroed is good: certificates on both sides' proper places. */
struct kit_setup {
    uint64_t seed;                            /* 0: 1 */
    struct kirim_dtls_options server, client; /* `size` 0: those of kit_server_options(), ... */
    uint32_t payload_bytes_max;
    uint64_t server_idle_ns;
    bool is_admitting_all;
};

/* "ca" that issued "server.test" (also 10.0.0.1) and "client.test"; "other" that issued nothing. */
struct kit_identities {
    struct identity ca, server, client, other;
};

/* Made once in a program. */
const struct kit_identities *kit_identities(void);

/* The server shows its certificate; the client trusts who issued it. */
struct kirim_dtls_options kit_server_options(void);
struct kirim_dtls_options kit_client_options(void);

/* Both know the key 0123456789abcdef of "device". */
struct kirim_dtls_options kit_psk_options(void);

struct kit_world *kit_open(const struct kit_setup *setup);
struct kit_world *kit_open_plain(void);

/* Closes all, and checks that everybody was told so once. */
void kit_close(struct kit_world *w);

/* A client from a port of its choice, or from one of the system's (0); host NULL: "server.test". */
struct kit_client *kit_connect_from(struct kit_world *w, uint16_t port, const char *host,
                                    const struct kirim_buf *session);
struct kit_client *kit_connect(struct kit_world *w);

void kit_run(struct kit_world *w, uint64_t ns);

/* Both directions. */
void kit_set_links(struct kit_world *w, const struct kirim_link_rules *link);

/* Sends a message above DTLS. */
kirim_err kit_say(struct kit_client *c, const void *data, size_t bytes);

/* Bytes as if the client's or the server's endpoint had sent them, past all layers. */
void kit_inject(struct kit_client *c, const void *data, size_t bytes);
void kit_inject_to(struct kit_client *c, const void *data, size_t bytes);

/* The n-th datagram that the client sent, or got; NULL: there is none. */
const struct kit_kept *kit_kept(const struct kit_client *c, bool is_sent, size_t n);

struct kirim_dtls_stats kit_server_stats(const struct kit_world *w);
struct kirim_dtls_stats kit_client_stats(const struct kit_world *w);
struct kirim_sessions_stats kit_set_stats(const struct kit_world *w);
struct kirim_dtls_info kit_info(struct kirim_layer *dtls);

/* Runs the claims of one suite; returns what main() returns. */
static inline int kit_main(const char *name, const struct kit_claim *claims)
{
    return claims_run(name, claims, 60);
}

#endif
