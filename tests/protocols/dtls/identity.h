/* SPDX-License-Identifier: MIT
 *
 * Certificates and keys that a test makes for itself. Owns the texts that it fills. One thread.
 */
#ifndef DTLS_IDENTITY_H
#define DTLS_IDENTITY_H

#include "protocols/dtls/dtls.h"

enum { IDENTITY_PEM_BYTES = 4096 };

/* A certificate with its key, as PEM. */
struct identity {
    char certificate[IDENTITY_PEM_BYTES];
    char key[IDENTITY_PEM_BYTES];
};

/* One of `name`, issued by `issuer`, or by itself if that is NULL: then it may issue others.
 * `san` as OpenSSL writes it ("DNS:server.test,IP:10.0.0.1"), or NULL. Good from 2024 to 2034. */
void identity_make(struct identity *out, const char *name, const char *san,
                   const struct identity *issuer);

/* The text, as options take it. */
struct kirim_buf identity_text(const char *pem);

#endif
