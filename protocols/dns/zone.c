/* SPDX-License-Identifier: MIT
 *
 * Filling and checking a zone: see zone.h and zone_tree.h. Asking it is in zone_find.c.
 */
#include "zone.h"

#include <stdalign.h>
#include <string.h>

#include "form.h"
#include "zone_tree.h"

enum { TABLE_COUNT_MIN = 64, PIECE_BYTES = 16384, RECORD_COUNT_MAX_DEFAULT = 1000000 };

#define BYTES_MAX_DEFAULT ((size_t)256 << 20)

/* ---- memory ---------------------------------------------------------------------------------- */

static void *allocate(struct kirim_dns_zone *zone, size_t bytes)
{
    if (bytes > zone->options.bytes_max - zone->bytes) {
        return NULL;
    }
    void *const block = zone->options.alloc(zone->options.alloc_user, NULL, 0, bytes);
    zone->bytes += block != NULL ? bytes : 0;
    return block;
}

/* KIRIM_DNS_EFULL if an allocation of so many bytes met the bound, else KIRIM_ENOMEM. */
static kirim_err explain_refusal(const struct kirim_dns_zone *zone, size_t bytes)
{
    return bytes > zone->options.bytes_max - zone->bytes ? KIRIM_DNS_EFULL : KIRIM_ENOMEM;
}

static size_t round_up(size_t bytes)
{
    const size_t step = alignof(max_align_t);
    return (bytes + step - 1) / step * step;
}

/* Gives zeroed memory that lives as long as the zone, or NULL, and says why. */
static void *take_bytes(struct kirim_dns_zone *zone, size_t bytes, kirim_err *err)
{
    const size_t head = round_up(sizeof(struct ki_dns_piece));
    const size_t wanted = round_up(bytes);
    struct ki_dns_piece *piece = zone->pieces;
    if (piece == NULL || wanted > piece->bytes - piece->used) {
        const size_t piece_bytes = head + (wanted > PIECE_BYTES ? wanted : PIECE_BYTES);
        piece = allocate(zone, piece_bytes);
        if (piece == NULL) {
            *err = explain_refusal(zone, piece_bytes);
            return NULL;
        }
        *piece = (struct ki_dns_piece){ zone->pieces, piece_bytes, head };
        zone->pieces = piece;
    }
    void *const block = (uint8_t *)piece + piece->used;
    memset(block, 0, wanted);
    piece->used += wanted;
    return block;
}

/* ---- the tree -------------------------------------------------------------------------------- */

static void link_node(struct kirim_dns_zone *zone, struct ki_dns_node *node)
{
    struct ki_dns_node **const chain = &zone->table[node->hash & (zone->table_count - 1)];
    node->next = *chain;
    *chain = node;
}

static kirim_err grow_table(struct kirim_dns_zone *zone)
{
    const size_t count = zone->table_count > 0 ? zone->table_count * 2 : TABLE_COUNT_MIN;
    const size_t bytes = count * sizeof(struct ki_dns_node *);
    struct ki_dns_node **const table = allocate(zone, bytes);
    if (table == NULL) {
        return explain_refusal(zone, bytes);
    }
    memset(table, 0, bytes);
    if (zone->table != NULL) {
        const size_t old_bytes = zone->table_count * sizeof(struct ki_dns_node *);
        (void)zone->options.alloc(zone->options.alloc_user, zone->table, old_bytes, 0);
        zone->bytes -= old_bytes;
    }
    zone->table = table;
    zone->table_count = count;
    for (struct ki_dns_node *node = zone->apex; node != NULL; node = node->walk) {
        link_node(zone, node);
    }
    return KIRIM_OK;
}

/* Adds a node with a label in any case; `parent` NULL: the apex. */
static kirim_err add_node(struct kirim_dns_zone *zone, struct ki_dns_node *parent,
                          const uint8_t *label, struct ki_dns_node **out)
{
    uint8_t folded[KIRIM_DNS_LABEL_BYTES_MAX + 1];
    kirim_err err = zone->node_count < zone->table_count ? KIRIM_OK : grow_table(zone);
    if (err < 0) {
        return err;
    }
    struct ki_dns_node *const node =
        take_bytes(zone, sizeof(struct ki_dns_node) + 1U + label[0], &err);
    if (node == NULL) {
        return err;
    }
    node->parent = parent;
    node->id = zone->node_count++;
    node->hash = ki_dns_node_hash(zone, parent != NULL ? parent->id : 0, label, folded);
    memcpy(node->label, folded, 1U + folded[0]);
    if (zone->last != NULL) {
        zone->last->walk = node;
    }
    zone->last = node;
    if (parent != NULL && label[0] == 1 && label[1] == '*') {
        parent->wildcard = node;
    }
    if (zone->apex == NULL) {
        zone->apex = node;
    }
    link_node(zone, node);
    *out = node;
    return KIRIM_OK;
}

/* The node of a name within the zone; made if need be, with those above it. */
static kirim_err make_node(struct kirim_dns_zone *zone, const struct kirim_dns_name *name,
                           struct ki_dns_node **out)
{
    uint8_t offset[KIRIM_DNS_LABEL_COUNT_MAX + 1];
    struct ki_dns_node *node = zone->apex;
    kirim_dns_name_offsets(name, offset);
    for (size_t i = (size_t)name->label_count - zone->origin.label_count; i > 0; i--) {
        const uint8_t *const label = name->wire + offset[i - 1];
        struct ki_dns_node *child = ki_dns_node_child(zone, node, label);
        if (child == NULL) {
            const kirim_err err = add_node(zone, node, label, &child);
            if (err < 0) {
                return err;
            }
        }
        node = child;
    }
    *out = node;
    return KIRIM_OK;
}

/* ---- opening, closing ------------------------------------------------------------------------ */

kirim_err kirim_dns_zone_open(const struct kirim_dns_name *origin,
                              const struct kirim_dns_zone_options *options,
                              struct kirim_dns_zone **out)
{
    static const uint8_t no_label[1] = { 0 };
    if (origin == NULL || options == NULL || out == NULL || options->alloc == NULL) {
        return KIRIM_EINVAL;
    }
    struct kirim_dns_zone *const zone =
        options->alloc(options->alloc_user, NULL, 0, sizeof(struct kirim_dns_zone));
    if (zone == NULL) {
        return KIRIM_ENOMEM;
    }
    *zone = (struct kirim_dns_zone){ .options = *options, .origin = *origin };
    if (zone->options.bytes_max == 0) {
        zone->options.bytes_max = BYTES_MAX_DEFAULT;
    }
    if (zone->options.record_count_max == 0) {
        zone->options.record_count_max = RECORD_COUNT_MAX_DEFAULT;
    }
    struct ki_dns_node *apex = NULL;
    const kirim_err err = add_node(zone, NULL, no_label, &apex);
    if (err < 0) {
        kirim_dns_zone_close(zone);
        return err;
    }
    *out = zone;
    return KIRIM_OK;
}

void kirim_dns_zone_close(struct kirim_dns_zone *zone)
{
    if (zone == NULL) {
        return;
    }
    const kirim_alloc_fn alloc = zone->options.alloc;
    void *const user = zone->options.alloc_user;
    struct ki_dns_piece *piece = zone->pieces;
    while (piece != NULL) {
        struct ki_dns_piece *const next = piece->next;
        (void)alloc(user, piece, piece->bytes, 0);
        piece = next;
    }
    if (zone->table != NULL) {
        (void)alloc(user, zone->table, zone->table_count * sizeof(struct ki_dns_node *), 0);
    }
    (void)alloc(user, zone, sizeof *zone, 0);
}

/* ---- filling --------------------------------------------------------------------------------- */

static bool is_there(const struct ki_dns_set *set, const struct kirim_dns_record *record)
{
    const struct kirim_dns_data *data = set != NULL ? set->rrset.first : NULL;
    for (; data != NULL; data = data->next) {
        if (data->bytes == record->rdata_bytes &&
            (data->bytes == 0 || memcmp(data->rdata, record->rdata, data->bytes) == 0)) {
            return true;
        }
    }
    return false;
}

/* Links a new set of one record behind the others of its node. */
static kirim_err add_set(struct kirim_dns_zone *zone, struct ki_dns_node *node,
                         const struct kirim_dns_record *record, struct kirim_dns_data *data)
{
    kirim_err err = KIRIM_OK;
    struct ki_dns_set *const set = take_bytes(zone, sizeof(struct ki_dns_set), &err);
    if (set == NULL) {
        return err;
    }
    set->rrset = (struct kirim_dns_rrset){ data, record->ttl, 1, record->type };
    set->last = data;
    struct ki_dns_set **end = &node->sets;
    while (*end != NULL) { /* no more than the types of one name in a file of the operator */
        end = &(*end)->next;
    }
    *end = set;
    return KIRIM_OK;
}

/* What a record would contradict, or NULL. Taking the same record twice is none of that. */
static const char *find_conflict(const struct kirim_dns_zone *zone, const struct ki_dns_node *node,
                                 const struct kirim_dns_record *record)
{
    const bool is_cname = record->type == KIRIM_DNS_CNAME;
    const struct ki_dns_set *const cname = ki_dns_node_set(node, KIRIM_DNS_CNAME);
    if (cname != NULL ? !is_cname : is_cname && node->sets != NULL) {
        return "a CNAME record beside others of the same name";
    }
    if (cname != NULL) {
        return "a second CNAME record of the same name";
    }
    if (record->type == KIRIM_DNS_SOA && node != zone->apex) {
        return "an SOA record below the zone's origin";
    }
    if (record->type == KIRIM_DNS_SOA && node->sets != NULL &&
        ki_dns_node_set(node, KIRIM_DNS_SOA) != NULL) {
        return "a second SOA record";
    }
    if (record->type == KIRIM_DNS_NS && node->label[0] == 1 && node->label[1] == '*') {
        return "an NS record at a wildcard, which has no meaning";
    }
    return NULL;
}

/* Stores a record that was checked. */
static kirim_err add_data(struct kirim_dns_zone *zone, struct ki_dns_node *node,
                          const struct kirim_dns_record *record)
{
    struct ki_dns_set *const set = ki_dns_node_set(node, record->type);
    kirim_err err = KIRIM_OK;
    struct kirim_dns_data *const data =
        take_bytes(zone, sizeof(struct kirim_dns_data) + record->rdata_bytes, &err);
    if (data == NULL) {
        return err;
    }
    data->bytes = record->rdata_bytes;
    if (record->rdata_bytes > 0) {
        memcpy(data->rdata, record->rdata, record->rdata_bytes);
    }
    if (set == NULL) {
        err = add_set(zone, node, record, data);
    } else {
        set->last->next = data;
        set->last = data;
        set->rrset.count++;
    }
    if (err == KIRIM_OK) {
        zone->record_count++;
        node->is_cut = node->is_cut || (record->type == KIRIM_DNS_NS && node != zone->apex);
    }
    return err;
}

static kirim_err add_to_node(struct kirim_dns_zone *zone, struct ki_dns_node *node,
                             const struct kirim_dns_record *record, const char **why)
{
    struct ki_dns_set *const set = ki_dns_node_set(node, record->type);
    if (set != NULL && record->ttl < set->rrset.ttl) {
        set->rrset.ttl = record->ttl; /* one set has one TTL, RFC 2181 section 5.2 */
    }
    if (is_there(set, record)) {
        return KIRIM_OK;
    }
    *why = find_conflict(zone, node, record);
    if (*why != NULL) {
        return KIRIM_DNS_EZONE;
    }
    if (set != NULL && set->rrset.count >= KIRIM_DNS_RRSET_COUNT_MAX) {
        *why = "more than 1024 records of one name and type";
        return KIRIM_DNS_EFULL;
    }
    return add_data(zone, node, record);
}

/* What makes a record one that no zone can hold, or NULL. */
static const char *find_misuse(const struct kirim_dns_zone *zone,
                               const struct kirim_dns_name *owner,
                               const struct kirim_dns_record *record)
{
    const bool is_meta =
        record->type >= KIRIM_DNS_META_FIRST && record->type <= KIRIM_DNS_META_LAST;
    if (zone->is_sealed) {
        return "the zone is sealed";
    }
    if (!kirim_dns_name_is_within(owner, &zone->origin)) {
        return "the owner is not within the zone";
    }
    if (record->dns_class != KIRIM_DNS_CLASS_IN) {
        return "a class other than IN";
    }
    if (record->ttl > KIRIM_DNS_TTL_MAX) {
        return "a TTL over 2147483647";
    }
    if (is_meta || record->type == 0 || record->type == KIRIM_DNS_OPT) {
        return "a type that no zone can hold";
    }
    return kirim_dns_rdata_check(record->type, record->rdata, record->rdata_bytes) < 0
               ? "data that are not what the type asks for"
               : NULL;
}

kirim_err kirim_dns_zone_add(struct kirim_dns_zone *zone, const struct kirim_dns_name *owner,
                             const struct kirim_dns_record *record, const char **why)
{
    const char *ignored = NULL;
    why = why != NULL ? why : &ignored;
    *why = find_misuse(zone, owner, record);
    if (*why != NULL) {
        return KIRIM_EINVAL;
    }
    if (zone->record_count >= zone->options.record_count_max) {
        *why = "the zone's bound of records is reached";
        return KIRIM_DNS_EFULL;
    }
    struct ki_dns_node *node = NULL;
    kirim_err err = make_node(zone, owner, &node);
    if (err == KIRIM_OK) {
        err = add_to_node(zone, node, record, why);
    }
    if (err < 0 && *why == NULL) {
        *why = err == KIRIM_DNS_EFULL ? "the zone's bound of memory is reached" : "out of memory";
    }
    return err;
}

/* ---- checking -------------------------------------------------------------------------------- */

kirim_err kirim_dns_zone_seal(struct kirim_dns_zone *zone, const char **why)
{
    const char *ignored = NULL;
    why = why != NULL ? why : &ignored;
    if (zone->is_sealed) {
        *why = "the zone is sealed";
        return KIRIM_EINVAL;
    }
    const struct ki_dns_set *const soa = ki_dns_node_set(zone->apex, KIRIM_DNS_SOA);
    if (soa == NULL || ki_dns_node_set(zone->apex, KIRIM_DNS_NS) == NULL) {
        *why = soa == NULL ? "the zone has no SOA record" : "the zone's origin has no NS record";
        return KIRIM_DNS_EZONE;
    }
    const struct kirim_dns_data *const data = soa->rrset.first;
    const uint32_t minimum = ki_dns_get32(data->rdata + data->bytes - 4);
    zone->soa = &soa->rrset;
    zone->negative_ttl = minimum < soa->rrset.ttl ? minimum : soa->rrset.ttl;
    zone->is_sealed = true;
    return KIRIM_OK;
}
