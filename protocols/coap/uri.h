/* SPDX-License-Identifier: MIT
 *
 * URIs of CoAP, taken apart into an address and options. Numeric hosts only: names are resolved by
 * whoever calls. Sources: RFC 7252 sections 6.1, 6.2 and 6.4, RFC 3986.
 */
#ifndef KIRIM_COAP_URI_H
#define KIRIM_COAP_URI_H

#include "message.h"

/** Bounds. */
enum {
    KIRIM_COAP_URI_BYTES_MAX = 1024,     /**< Longest URI, its closing zero included. */
    KIRIM_COAP_URI_OPTION_COUNT_MAX = 24 /**< Most segments and queries. */
};

/** A URI taken apart; a value that points into itself: not to be copied. */
struct kirim_coap_uri {
    bool is_secure;         /**< coaps. */
    struct kirim_addr addr; /**< Host and port, the default one if none is said. */
    struct kirim_coap_option options[KIRIM_COAP_URI_OPTION_COUNT_MAX]; /**< Uri-Path, Uri-Query. */
    size_t option_count;                                               /**< How many. */
    /** @privatesection Where the options' values lie. */
    uint8_t text[KIRIM_COAP_URI_BYTES_MAX];
};

/**
 * @brief Takes a URI apart: coap://127.0.0.1/a/b?c=d, coaps://[::1]:5684.
 *
 * @param text  Zero-terminated.
 * @param out   Its parts; of no use after an error.
 * @retval KIRIM_OK        Done.
 * @retval KIRIM_EINVAL    Another scheme, a host that is not numeric, a fragment, a wrong %XX, or a
 *                         segment longer than 255 bytes.
 * @retval KIRIM_EMSGSIZE  Too long, or too many parts.
 * @note Any thread.
 */
kirim_err kirim_coap_uri_parse(const char *text, struct kirim_coap_uri *out);

#endif
