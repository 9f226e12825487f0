/* SPDX-License-Identifier: MIT
 *
 * The tree of labels inside a zone: shared by what fills it and what asks it. See zone.h. Nodes and
 * records lie in pieces of memory that are given back together.
 */
#ifndef KI_DNS_ZONE_TREE_H
#define KI_DNS_ZONE_TREE_H

#include "zone.h"

/* All records of one type at a node, in the order in which they were added. */
struct ki_dns_set {
    struct kirim_dns_rrset rrset;
    struct kirim_dns_data *last;
    struct ki_dns_set *next; /* another type */
};

struct ki_dns_node {
    struct ki_dns_node *parent;   /* NULL: the apex */
    struct ki_dns_node *next;     /* in its chain of the table */
    struct ki_dns_node *walk;     /* the node that was added after it */
    struct ki_dns_node *wildcard; /* the child "*", or NULL */
    struct ki_dns_set *sets;      /* in the order in which they were begun */
    uint64_t id;                  /* number of the node, for the hash of its children */
    uint64_t hash;                /* of its parent's id and its label */
    bool is_cut;                  /* has NS records and is not the apex */
    uint8_t label[];              /* its length, and its bytes with the letters in lower case */
};

/* A piece of memory. */
struct ki_dns_piece {
    struct ki_dns_piece *next;
    size_t bytes; /* of it, this head included */
    size_t used;
};

struct kirim_dns_zone {
    struct kirim_dns_zone_options options;
    struct ki_dns_piece *pieces; /* the one that is filled first */
    size_t bytes;                /* taken from the allocator, but for this structure */
    struct ki_dns_node **table;
    size_t table_count; /* a power of two */
    uint64_t node_count;
    struct ki_dns_node *apex;
    struct ki_dns_node *last; /* the node added last */
    const struct kirim_dns_rrset *soa;
    uint32_t negative_ttl;
    uint32_t record_count;
    bool is_sealed;
    struct kirim_dns_name origin;
};

/* The child of a node by its label (length and bytes, in any case), or NULL. */
struct ki_dns_node *ki_dns_node_child(const struct kirim_dns_zone *zone,
                                      const struct ki_dns_node *parent, const uint8_t *label);

/* The set of a type at a node, or NULL. */
struct ki_dns_set *ki_dns_node_set(const struct ki_dns_node *node, uint16_t type);

/* Writes the lower-case form of a label; returns the hash of a child by this label. */
uint64_t ki_dns_node_hash(const struct kirim_dns_zone *zone, uint64_t parent_id,
                          const uint8_t *label, uint8_t folded[KIRIM_DNS_LABEL_BYTES_MAX + 1]);

#endif
