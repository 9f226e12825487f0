/* SPDX-License-Identifier: MIT
 *
 * An authoritative zone in memory: filled record by record, checked once, then only asked.
 *
 * A zone keeps a tree of labels: every name that has records, and every name above one of those
 * down from the zone's origin, also those without records ("empty non-terminals"). A child is found
 * by a keyed hash of its parent and its label, so a question costs one look-up a label. Records of
 * one owner and type are one set. Memory comes from the allocator that is given, in large pieces,
 * and goes back when the zone is closed; bounds are named in the options. A sealed zone does not
 * change and may be asked from many threads. Sources: RFC 1034 section 4.3.2, RFC 2181 sections 5
 * and 10.1, RFC 4592, RFC 8482, RFC 9471.
 */
#ifndef KIRIM_DNS_ZONE_H
#define KIRIM_DNS_ZONE_H

#include <kirim/loop.h>
#include <kirim/siphash.h>

#include "name.h"
#include "record.h"

struct kirim_dns_zone;

/** The data of one record of a set; lives as long as the zone. */
struct kirim_dns_data {
    const struct kirim_dns_data *next; /**< NULL: the last one. */
    uint16_t bytes;                    /**< Of `rdata`. */
    uint8_t rdata[];                   /**< Uncompressed. */
};

/** All records of one owner and type; lives as long as the zone. */
struct kirim_dns_rrset {
    const struct kirim_dns_data *first; /**< At least one. */
    uint32_t ttl;                       /**< The smallest of those given. */
    uint16_t count;                     /**< Of its records. */
    uint16_t type;                      /**< Of all of them. */
};

/** How to open a zone; start from KIRIM_DNS_ZONE_OPTIONS_INIT. */
struct kirim_dns_zone_options {
    size_t size;                               /**< sizeof, set by the INIT macro. */
    kirim_alloc_fn alloc;                      /**< Required. */
    void *alloc_user;                          /**< First argument of `alloc`. */
    uint8_t hash_key[KIRIM_SIPHASH_KEY_BYTES]; /**< Random bytes. */
    size_t bytes_max;                          /**< Memory that it may take. 0: 256 MiB. */
    uint32_t record_count_max;                 /**< Records that it may hold. 0: 1,000,000. */
};

/** Initialises options: the bounds' defaults. */
#define KIRIM_DNS_ZONE_OPTIONS_INIT                   \
    {                                                 \
        .size = sizeof(struct kirim_dns_zone_options) \
    }

/** What a zone says to a question. */
enum {
    KIRIM_DNS_MATCH_OUTSIDE = 0,   /**< The name is not within the zone. */
    KIRIM_DNS_MATCH_ANSWER = 1,    /**< `set` is the answer. */
    KIRIM_DNS_MATCH_CNAME = 2,     /**< `set` has the name to look for instead. */
    KIRIM_DNS_MATCH_NO_DATA = 3,   /**< The name exists, not with this type. */
    KIRIM_DNS_MATCH_NO_NAME = 4,   /**< The name does not exist. */
    KIRIM_DNS_MATCH_DELEGATION = 5 /**< Others have authority; `set` has their NS records. */
};

/** The answer of kirim_dns_zone_find(). */
struct kirim_dns_match {
    int kind;         /**< KIRIM_DNS_MATCH_... */
    bool is_wildcard; /**< By a wildcard, RFC 4592: the owner of `set` is the name asked for. */
    uint8_t cut_label_count;           /**< Of a delegation: how many labels its owner has. */
    const struct kirim_dns_rrset *set; /**< NULL if there are no records to tell. */
};

/**
 * @brief Opens an empty zone.
 *
 * @param origin   Its apex.
 * @param options  Read during the call.
 * @param out      The zone; written on success only. End it with kirim_dns_zone_close().
 * @retval KIRIM_OK      Open.
 * @retval KIRIM_EINVAL  NULL, or no allocator.
 * @retval KIRIM_ENOMEM  Out of memory.
 */
kirim_err kirim_dns_zone_open(const struct kirim_dns_name *origin,
                              const struct kirim_dns_zone_options *options,
                              struct kirim_dns_zone **out);

/** @brief Gives back everything; NULL is permitted. */
void kirim_dns_zone_close(struct kirim_dns_zone *zone);

/**
 * @brief Adds a record. One that is there already is not added again (RFC 2181 section 5).
 *
 * @param zone    Open, not sealed.
 * @param owner   Within the zone.
 * @param record  Of class IN; its data uncompressed. Copied.
 * @param why     Gets what is wrong if the answer is an error: static text. May be NULL.
 * @retval KIRIM_OK         Added, or there already.
 * @retval KIRIM_EINVAL     Sealed; an owner outside of the zone; a class, TTL or type that no
 * record may have; data that are not what the type asks for.
 * @retval KIRIM_DNS_EZONE  A CNAME beside other records or a second one (RFC 2181 section 10.1); a
 *                          second SOA, or one below the apex; NS at a wildcard, which has no
 *                          meaning (RFC 4592 section 4.2).
 * @retval KIRIM_DNS_EFULL  A bound of the options, or KIRIM_DNS_RRSET_COUNT_MAX, is reached.
 * @retval KIRIM_ENOMEM     Out of memory.
 */
kirim_err kirim_dns_zone_add(struct kirim_dns_zone *zone, const struct kirim_dns_name *owner,
                             const struct kirim_dns_record *record, const char **why);

/**
 * @brief Checks the zone as a whole, and makes it ready to be asked.
 *
 * @param zone  Open, not sealed.
 * @param why   As for kirim_dns_zone_add().
 * @retval KIRIM_OK         Sealed.
 * @retval KIRIM_DNS_EZONE  No SOA or no NS at the apex.
 * @retval KIRIM_EINVAL     Sealed already.
 */
kirim_err kirim_dns_zone_seal(struct kirim_dns_zone *zone, const char **why);

/**
 * @brief Looks a name up, RFC 1034 section 4.3.2 without following CNAME records.
 *
 * @param zone  Sealed.
 * @param name  Any name.
 * @param type  Any; KIRIM_DNS_ANY gets one set of those that the name has (RFC 8482 section 4.1).
 * @return What the zone says.
 */
struct kirim_dns_match kirim_dns_zone_find(const struct kirim_dns_zone *zone,
                                           const struct kirim_dns_name *name, uint16_t type);

/**
 * @brief The records of a name as they are, also below a delegation: for the additional section.
 *
 * @param zone  Sealed.
 * @param name  Any name.
 * @param type  A type.
 * @return The set, or NULL.
 */
const struct kirim_dns_rrset *kirim_dns_zone_glue(const struct kirim_dns_zone *zone,
                                                  const struct kirim_dns_name *name, uint16_t type);

/** @brief The zone's apex. */
const struct kirim_dns_name *kirim_dns_zone_origin(const struct kirim_dns_zone *zone);

/** @brief The SOA record of a sealed zone. */
const struct kirim_dns_rrset *kirim_dns_zone_soa(const struct kirim_dns_zone *zone);

/** @brief TTL of negative answers: the smaller one of the SOA's own and its MINIMUM (RFC 2308
 * section 3). Of a sealed zone. */
uint32_t kirim_dns_zone_negative_ttl(const struct kirim_dns_zone *zone);

/** @brief How many records the zone holds. */
uint32_t kirim_dns_zone_record_count(const struct kirim_dns_zone *zone);

#endif
