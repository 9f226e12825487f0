/* SPDX-License-Identifier: MIT
 *
 * Asking a zone: see zone.h. Nothing here changes it.
 */
#include <string.h>

#include "form.h"
#include "zone_tree.h"

/* ---- the tree -------------------------------------------------------------------------------- */

uint64_t ki_dns_node_hash(const struct kirim_dns_zone *zone, uint64_t parent_id,
                          const uint8_t *label, uint8_t folded[KIRIM_DNS_LABEL_BYTES_MAX + 1])
{
    uint8_t input[8 + KIRIM_DNS_LABEL_BYTES_MAX + 1];
    const size_t bytes = 1U + label[0];
    for (size_t i = 0; i < bytes; i++) {
        folded[i] = ki_dns_fold(label[i]);
    }
    for (size_t i = 0; i < 8; i++) {
        input[i] = (uint8_t)(parent_id >> (8 * i));
    }
    memcpy(input + 8, folded, bytes);
    return kirim_siphash_number(zone->options.hash_key, input, 8 + bytes);
}

struct ki_dns_node *ki_dns_node_child(const struct kirim_dns_zone *zone,
                                      const struct ki_dns_node *parent, const uint8_t *label)
{
    uint8_t folded[KIRIM_DNS_LABEL_BYTES_MAX + 1];
    const uint64_t hash = ki_dns_node_hash(zone, parent->id, label, folded);
    struct ki_dns_node *node = zone->table[hash & (zone->table_count - 1)];
    while (node != NULL && (node->hash != hash || node->parent != parent ||
                            memcmp(node->label, folded, 1U + folded[0]) != 0)) {
        node = node->next; /* no more nodes than places, and their order is secret */
    }
    return node;
}

struct ki_dns_set *ki_dns_node_set(const struct ki_dns_node *node, uint16_t type)
{
    struct ki_dns_set *set = node->sets;
    while (set != NULL && set->rrset.type != type) {
        set = set->next;
    }
    return set;
}

/* ---- questions ------------------------------------------------------------------------------- */

/* The answer of the node that the name, or the wildcard instead of it, has. */
static struct kirim_dns_match match_node(const struct ki_dns_node *node, uint16_t type)
{
    struct kirim_dns_match match = { .kind = KIRIM_DNS_MATCH_ANSWER };
    const struct ki_dns_set *set = type == KIRIM_DNS_ANY ? node->sets : ki_dns_node_set(node, type);
    if (set == NULL) {
        set = ki_dns_node_set(node, KIRIM_DNS_CNAME);
        match.kind = set != NULL ? KIRIM_DNS_MATCH_CNAME : KIRIM_DNS_MATCH_NO_DATA;
    }
    match.set = set != NULL ? &set->rrset : NULL;
    return match;
}

static struct kirim_dns_match match_cut(const struct ki_dns_node *node, size_t label_count)
{
    return (struct kirim_dns_match){
        .kind = KIRIM_DNS_MATCH_DELEGATION,
        .cut_label_count = (uint8_t)label_count,
        .set = &ki_dns_node_set(node, KIRIM_DNS_NS)->rrset,
    };
}

struct kirim_dns_match kirim_dns_zone_find(const struct kirim_dns_zone *zone,
                                           const struct kirim_dns_name *name, uint16_t type)
{
    uint8_t offset[KIRIM_DNS_LABEL_COUNT_MAX + 1];
    const struct ki_dns_node *node = zone->apex;
    if (!zone->is_sealed || !kirim_dns_name_is_within(name, &zone->origin)) {
        return (struct kirim_dns_match){ .kind = KIRIM_DNS_MATCH_OUTSIDE };
    }
    kirim_dns_name_offsets(name, offset);
    for (size_t i = (size_t)name->label_count - zone->origin.label_count; i > 0; i--) {
        const struct ki_dns_node *const child =
            ki_dns_node_child(zone, node, name->wire + offset[i - 1]);
        if (child == NULL && node->wildcard != NULL) {
            struct kirim_dns_match match = match_node(node->wildcard, type);
            match.is_wildcard = true;
            return match;
        }
        if (child == NULL) {
            return (struct kirim_dns_match){ .kind = KIRIM_DNS_MATCH_NO_NAME };
        }
        node = child;
        /* The DS records of a cut belong to this side of it. */
        if (node->is_cut && (i > 1 || type != KIRIM_DNS_DS)) {
            return match_cut(node, (size_t)name->label_count - (i - 1));
        }
    }
    return match_node(node, type);
}

const struct kirim_dns_rrset *kirim_dns_zone_glue(const struct kirim_dns_zone *zone,
                                                  const struct kirim_dns_name *name, uint16_t type)
{
    uint8_t offset[KIRIM_DNS_LABEL_COUNT_MAX + 1];
    const struct ki_dns_node *node = zone->apex;
    if (!kirim_dns_name_is_within(name, &zone->origin)) {
        return NULL;
    }
    kirim_dns_name_offsets(name, offset);
    size_t i = (size_t)name->label_count - zone->origin.label_count;
    while (i > 0 && node != NULL) {
        node = ki_dns_node_child(zone, node, name->wire + offset[--i]);
    }
    const struct ki_dns_set *const set = node != NULL ? ki_dns_node_set(node, type) : NULL;
    return set != NULL ? &set->rrset : NULL;
}

const struct kirim_dns_name *kirim_dns_zone_origin(const struct kirim_dns_zone *zone)
{
    return &zone->origin;
}

const struct kirim_dns_rrset *kirim_dns_zone_soa(const struct kirim_dns_zone *zone)
{
    return zone->soa;
}

uint32_t kirim_dns_zone_negative_ttl(const struct kirim_dns_zone *zone)
{
    return zone->negative_ttl;
}

uint32_t kirim_dns_zone_record_count(const struct kirim_dns_zone *zone)
{
    return zone->record_count;
}
