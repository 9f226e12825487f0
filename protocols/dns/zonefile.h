/* SPDX-License-Identifier: MIT
 *
 * Zone files (RFC 1035 section 5.1) read from memory into a zone.
 *
 * The first record is the SOA record, whose owner is the zone's origin. Known are $ORIGIN, $TTL
 * (RFC 2308 section 4), $INCLUDE if the caller gives a reader, comments, parentheses, quotes,
 * escapes, "@", owners left out, TTLs with units (1h30m), the types of record.h and, in the form of
 * RFC 3597, all others. A record without a TTL has that of $TTL, else that of the record before,
 * else, for the SOA record, its MINIMUM. Every error has its file, line, column and text. No file
 * is touched, no clock, no socket. Any thread. Sources: RFC 1035, RFC 2308, RFC 3597.
 */
#ifndef KIRIM_DNS_ZONEFILE_H
#define KIRIM_DNS_ZONEFILE_H

#include "zone.h"

/** Bounds of the reader. */
enum {
    KIRIM_DNS_INCLUDE_DEPTH_MAX = 8,  /**< Files open at a time, the first one counted. */
    KIRIM_DNS_INCLUDE_COUNT_MAX = 64, /**< $INCLUDE lines worked off in all. */
    KIRIM_DNS_FILE_NAME_BYTES = 256,  /**< Of a file's name, the closing zero included. */
    KIRIM_DNS_ERROR_TEXT_BYTES = 256  /**< Of an error's text, the closing zero included. */
};

/** What is wrong, and where. */
struct kirim_dns_zonefile_error {
    kirim_err err;                         /**< What kirim_dns_zonefile_read() answered. */
    uint32_t line;                         /**< Counted from 1. */
    uint32_t column;                       /**< In bytes, counted from 1. */
    char file[KIRIM_DNS_FILE_NAME_BYTES];  /**< Name of the file. */
    char text[KIRIM_DNS_ERROR_TEXT_BYTES]; /**< One line, printable, without a full stop. */
};

/**
 * @brief Gives the bytes of an included file.
 *
 * @param user  The options' `include_user`.
 * @param name  The file's name as it stands behind $INCLUDE.
 * @param out   Gets the bytes; they stay until kirim_dns_zonefile_read() returns.
 * @return KIRIM_OK, or an error, which ends the reading.
 */
typedef kirim_err (*kirim_dns_include_fn)(void *user, const char *name, struct kirim_dns_span *out);

/** How to read; start from KIRIM_DNS_ZONEFILE_OPTIONS_INIT. */
struct kirim_dns_zonefile_options {
    size_t size;                         /**< sizeof, set by the INIT macro. */
    const char *file;                    /**< Name for errors; NULL: "-". */
    const struct kirim_dns_name *origin; /**< Of relative names before $ORIGIN; may be NULL. */
    size_t bytes_max;                    /**< Of all text together. 0: 64 MiB. */
    kirim_dns_include_fn include;        /**< NULL: $INCLUDE is an error. */
    void *include_user;                  /**< First argument of `include`. */
    struct kirim_dns_zone_options zone;  /**< Of the zone; its allocator serves the reader too. */
};

/** Initialises options: the bounds' defaults; `zone.alloc` has to be set. */
#define KIRIM_DNS_ZONEFILE_OPTIONS_INIT                                                        \
    {                                                                                          \
        .size = sizeof(struct kirim_dns_zonefile_options), .zone = KIRIM_DNS_ZONE_OPTIONS_INIT \
    }

/**
 * @brief Reads a zone file.
 *
 * @param text     Its bytes.
 * @param options  Read during the call.
 * @param out      The zone, sealed; written on success only. End it with kirim_dns_zone_close().
 * @param error    Set on failure.
 * @retval KIRIM_OK         The zone is ready.
 * @retval KIRIM_DNS_EFORM  Something is not as a zone file has it.
 * @retval KIRIM_DNS_EZONE  The records contradict each other, or are not enough for a zone.
 * @retval KIRIM_DNS_EFULL  A bound is reached, which the text names.
 * @retval KIRIM_ENOMEM     Out of memory.
 * @retval KIRIM_EINVAL     NULL, or no allocator.
 * @return Also what `include` answered.
 */
kirim_err kirim_dns_zonefile_read(struct kirim_dns_span text,
                                  const struct kirim_dns_zonefile_options *options,
                                  struct kirim_dns_zone **out,
                                  struct kirim_dns_zonefile_error *error);

#endif
