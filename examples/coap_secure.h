/* SPDX-License-Identifier: MIT
 *
 * coaps:// for coapd and coap: the DTLS layer below CoAP (RFC 7252, section 9), its keys and its
 * options; coap_secure_dtls.c, or coap_secure_none.c in a build without OpenSSL. One thread.
 */
#ifndef EXAMPLES_COAP_SECURE_H
#define EXAMPLES_COAP_SECURE_H

#include <kirim/layer.h>

#include "common/cli.h"

enum { COAP_SECURE_OPTION_COUNT_MAX = 8, COAP_SECURE_ROOM_BYTES = 64 };

struct coap_secure {
    const char *listen; /* of a server: where; NULL: nowhere */
    const char *psk, *identity, *certificate, *key, *trusted, *host;
    bool is_insecure;
    uint64_t handshake_ns;         /* a handshake fails after it; 0: 30 s */
    struct kirim_layer_plan layer; /* goes below CoAP */
    /* of the file that does it */
    struct kirim_dtls *dtls;
    union {
        uint64_t aligned;
        unsigned char bytes[COAP_SECURE_ROOM_BYTES];
    } config;
};

/* The options of a server, or of a client; how many. 0: this build has no DTLS. */
size_t coap_secure_list_options(struct coap_secure *s, bool is_server, struct cli_option *out);

/* Ends the program if the options do not go together, or do not do for one who speaks coaps. */
void coap_secure_check(const struct coap_secure *s, const struct cli *cli, bool is_server);

/* Opens what the options say; false: it was said why not. */
bool coap_secure_open(struct coap_secure *s, const struct cli *cli, struct kirim_loop *loop,
                      bool is_server);

/* The `admit` of a service over DTLS; `user` is the struct. */
kirim_err coap_secure_admit(struct kirim_sessions *set, const struct kirim_datagram *datagram,
                            struct kirim_admission *out, void *user);

void coap_secure_close(struct coap_secure *s);

#endif
