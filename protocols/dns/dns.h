/* SPDX-License-Identifier: MIT
 *
 * The numbers of the DNS protocol, the bounds of this implementation, and its errors. Owns nothing.
 * Any thread. Sources: RFC 1035 sections 2.3.4, 3.2 and 4.1.1, RFC 6891, RFC 6895, and the IANA
 * registry of DNS parameters.
 */
#ifndef KIRIM_DNS_DNS_H
#define KIRIM_DNS_DNS_H

#include <kirim/config.h>
#include <kirim/error.h>

/** Bounds of the wire format, RFC 1035 section 2.3.4 and RFC 6891 section 6.2. */
enum {
    KIRIM_DNS_HEADER_BYTES = 12,         /**< Every message begins with so many. */
    KIRIM_DNS_LABEL_BYTES_MAX = 63,      /**< Of one label, without its length. */
    KIRIM_DNS_NAME_BYTES_MAX = 255,      /**< Of a name on the wire, the root's zero included. */
    KIRIM_DNS_LABEL_COUNT_MAX = 127,     /**< Of a name, the root not counted. */
    KIRIM_DNS_MESSAGE_BYTES_MAX = 65535, /**< Of a message. */
    KIRIM_DNS_PLAIN_BYTES_MAX = 512,     /**< Of a reply to someone who says nothing of EDNS. */
    KIRIM_DNS_RDATA_BYTES_MAX = 65535    /**< Of the data of one record. */
};

/** Bounds that this implementation sets itself. */
enum {
    KIRIM_DNS_UDP_BYTES = 1232,       /**< What both sides say they take; it fits any IPv6 path. */
    KIRIM_DNS_POINTER_COUNT_MAX = 64, /**< Compression pointers followed for one name. */
    KIRIM_DNS_CHAIN_COUNT_MAX = 16,   /**< CNAME records followed for one question. */
    KIRIM_DNS_RRSET_COUNT_MAX = 1024, /**< Records of one owner and type. */
    KIRIM_DNS_TTL_MAX = 0x7fffffff    /**< RFC 2181 section 8. */
};

/** Types of records that have a meaning here; all others are carried as RFC 3597 says. */
enum {
    KIRIM_DNS_A = 1,
    KIRIM_DNS_NS = 2,
    KIRIM_DNS_CNAME = 5,
    KIRIM_DNS_SOA = 6,
    KIRIM_DNS_PTR = 12,
    KIRIM_DNS_MX = 15,
    KIRIM_DNS_TXT = 16,
    KIRIM_DNS_AAAA = 28,
    KIRIM_DNS_SRV = 33,
    KIRIM_DNS_OPT = 41,
    KIRIM_DNS_DS = 43, /**< Answered by the parent's side of a cut, RFC 4035 section 3.1.4.1. */
    KIRIM_DNS_IXFR = 251,
    KIRIM_DNS_AXFR = 252,
    KIRIM_DNS_ANY = 255,
    KIRIM_DNS_CAA = 257
};

/** Types from here to KIRIM_DNS_META_LAST are for questions only, RFC 6895 section 3.1. */
#define KIRIM_DNS_META_FIRST 128
/** @copydoc KIRIM_DNS_META_FIRST */
#define KIRIM_DNS_META_LAST 255

/** Classes. */
enum { KIRIM_DNS_CLASS_IN = 1, KIRIM_DNS_CLASS_CH = 3 };

/** Kinds of request. */
enum { KIRIM_DNS_OPCODE_QUERY = 0 };

/** Bits of the second 16-bit word of a message. */
enum {
    KIRIM_DNS_FLAG_QR = 0x8000, /**< It is a response. */
    KIRIM_DNS_FLAG_AA = 0x0400, /**< From a server with authority. */
    KIRIM_DNS_FLAG_TC = 0x0200, /**< Something did not fit. */
    KIRIM_DNS_FLAG_RD = 0x0100, /**< Recursion is desired. */
    KIRIM_DNS_FLAG_RA = 0x0080, /**< Recursion is available. */
    KIRIM_DNS_FLAG_AD = 0x0020, /**< Authentic data. */
    KIRIM_DNS_FLAG_CD = 0x0010, /**< Checking disabled. */
    KIRIM_DNS_FLAGS_OPCODE = 0x7800,
    KIRIM_DNS_FLAGS_RCODE = 0x000f
};

/** How many bits of flags stand below the opcode. */
#define KIRIM_DNS_OPCODE_SHIFT 11

/** Results. */
enum {
    KIRIM_DNS_NOERROR = 0,
    KIRIM_DNS_FORMERR = 1,
    KIRIM_DNS_SERVFAIL = 2,
    KIRIM_DNS_NXDOMAIN = 3,
    KIRIM_DNS_NOTIMP = 4,
    KIRIM_DNS_REFUSED = 5,
    KIRIM_DNS_BADVERS = 16,
    KIRIM_DNS_BADCOOKIE = 23
};

/** The sections of a message that hold records. */
enum {
    KIRIM_DNS_SECTION_ANSWER = 1,
    KIRIM_DNS_SECTION_AUTHORITY = 2,
    KIRIM_DNS_SECTION_ADDITIONAL = 3
};

/** Errors of the protocol's code, beside those of kirim/error.h. Numbers are stable. */
enum {
    KIRIM_DNS_ESHORT = -1001,    /**< The bytes end before the thing does. */
    KIRIM_DNS_EFORM = -1002,     /**< Malformed in another way. */
    KIRIM_DNS_EPOINTER = -1003,  /**< A compression pointer that does not go back, or too many. */
    KIRIM_DNS_ELABEL = -1004,    /**< A label over KIRIM_DNS_LABEL_BYTES_MAX. */
    KIRIM_DNS_ENAME = -1005,     /**< A name over KIRIM_DNS_NAME_BYTES_MAX. */
    KIRIM_DNS_EEMPTY = -1006,    /**< An empty label inside a name. */
    KIRIM_DNS_EESCAPE = -1007,   /**< A backslash that is not followed by what it needs. */
    KIRIM_DNS_ERELATIVE = -1008, /**< A relative name, and nothing it is relative to. */
    KIRIM_DNS_EOPT = -1009,      /**< Two OPT records, or one with an owner other than the root. */
    KIRIM_DNS_EFULL = -1010,     /**< A bound of the zone is reached. */
    KIRIM_DNS_EZONE = -1011      /**< The zone's data contradict each other or are incomplete. */
};

/** Bytes that are read. */
struct kirim_dns_span {
    const uint8_t *data; /**< May be NULL if `bytes` is 0. */
    size_t bytes;        /**< Of them. */
};

/** Room for bytes that are written. */
struct kirim_dns_room {
    uint8_t *data; /**< Where they go. */
    size_t room;   /**< Bytes that fit. */
    size_t bytes;  /**< Bytes written; set on success. */
};

/** Bytes that every name of a result fits in, the closing zero included. */
#define KIRIM_DNS_RCODE_TEXT_BYTES 16

/**
 * @brief One line about an error of this code, for people.
 *
 * @param err  One of the errors above, or one of kirim/error.h that this code gives.
 * @return Static, never NULL, without a full stop.
 */
const char *kirim_dns_err_text(kirim_err err);

/**
 * @brief Name of a result: "NXDOMAIN", or "RCODE4095" for one without a name here.
 *
 * @param rcode  0..4095.
 * @param text   Gets the name, closed with a zero.
 */
void kirim_dns_rcode_format(uint16_t rcode, char text[KIRIM_DNS_RCODE_TEXT_BYTES]);

#endif
