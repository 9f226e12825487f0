/* SPDX-License-Identifier: MIT
 *
 * Answering questions: see server.h.
 */
#include "server.h"

#include <string.h>

#include "form.h"

enum { ADDED_COUNT_MAX = 32 }; /* sets of addresses in one answer */

/* One datagram that is being answered. */
struct exchange {
    struct kirim_dns_server *server;
    struct kirim_dns_message request;
    struct kirim_dns_builder builder;
    const struct kirim_dns_zone *zone;
    struct kirim_dns_name name; /* that is looked for: the question's, later that of a CNAME */
    const struct kirim_dns_rrset *added[ADDED_COUNT_MAX]; /* to the additional section */
    size_t added_count;
    uint16_t rcode;
    bool is_authoritative;
    bool is_truncated;
};

void kirim_dns_server_init(struct kirim_dns_server *server)
{
    *server = (struct kirim_dns_server){ .udp_bytes = KIRIM_DNS_UDP_BYTES };
}

kirim_err kirim_dns_server_add(struct kirim_dns_server *server, const struct kirim_dns_zone *zone)
{
    if (zone == NULL || kirim_dns_zone_soa(zone) == NULL) {
        return KIRIM_EINVAL;
    }
    for (size_t i = 0; i < server->zone_count; i++) {
        if (kirim_dns_name_equal(kirim_dns_zone_origin(server->zone[i]),
                                 kirim_dns_zone_origin(zone))) {
            return KIRIM_EEXIST;
        }
    }
    if (server->zone_count == KIRIM_DNS_ZONE_COUNT_MAX) {
        return KIRIM_DNS_EFULL;
    }
    server->zone[server->zone_count++] = zone;
    return KIRIM_OK;
}

/* ---- records into the answer ----------------------------------------------------------------- */

/* Adds a whole set or nothing. */
static bool add_set(struct exchange *x, int section, const struct kirim_dns_name *owner,
                    const struct kirim_dns_rrset *set)
{
    const struct kirim_dns_mark mark = kirim_dns_builder_mark(&x->builder);
    const uint32_t soa_ttl = kirim_dns_zone_negative_ttl(x->zone);
    const bool is_negative = section == KIRIM_DNS_SECTION_AUTHORITY && set->type == KIRIM_DNS_SOA;
    for (const struct kirim_dns_data *data = set->first; data != NULL; data = data->next) {
        const struct kirim_dns_record record = {
            .type = set->type,
            .dns_class = KIRIM_DNS_CLASS_IN,
            .ttl = is_negative ? soa_ttl : set->ttl,
            .rdata = data->rdata,
            .rdata_bytes = data->bytes,
        };
        if (kirim_dns_builder_record(&x->builder, section, owner, &record) < 0) {
            kirim_dns_builder_undo(&x->builder, &mark);
            return false;
        }
    }
    return true;
}

/* The same for what must be there: TC if it is not. */
static bool add_needed(struct exchange *x, int section, const struct kirim_dns_name *owner,
                       const struct kirim_dns_rrset *set)
{
    if (!x->is_truncated && !add_set(x, section, owner, set)) {
        x->is_truncated = true;
    }
    return !x->is_truncated;
}

/* The host that the data of a record name, for the types that name one; false for others. */
static bool read_target(uint16_t type, const struct kirim_dns_data *data,
                        struct kirim_dns_name *out)
{
    size_t at = type == KIRIM_DNS_NS ? 0 : type == KIRIM_DNS_MX ? 2 : 6;
    const bool has_target = type == KIRIM_DNS_NS || type == KIRIM_DNS_MX || type == KIRIM_DNS_SRV;
    return has_target && kirim_dns_name_read(data->rdata, data->bytes, &at, out) == KIRIM_OK;
}

/* Adds a set of addresses, once. What does not fit is left out; TC says so if it is needed. */
static void add_address_set(struct exchange *x, const struct kirim_dns_name *owner,
                            const struct kirim_dns_rrset *set, bool is_needed)
{
    for (size_t i = 0; i < x->added_count; i++) {
        if (x->added[i] == set) {
            return;
        }
    }
    const bool is_added = x->added_count < ADDED_COUNT_MAX && !x->is_truncated &&
                          add_set(x, KIRIM_DNS_SECTION_ADDITIONAL, owner, set);
    if (is_added) {
        x->added[x->added_count++] = set;
    } else {
        x->is_truncated = x->is_truncated || is_needed;
    }
}

/* Adds the addresses of the hosts that a set names, as far as the zone has them: of those within
 * `needed` TC says if they do not fit; `needed` NULL: all that are not there yet, as a courtesy. */
static void add_addresses_of(struct exchange *x, const struct kirim_dns_rrset *set,
                             const struct kirim_dns_name *needed)
{
    static const uint16_t types[] = { KIRIM_DNS_A, KIRIM_DNS_AAAA };
    struct kirim_dns_name target;
    const struct kirim_dns_data *data = set->first;
    for (; data != NULL && read_target(set->type, data, &target); data = data->next) {
        if (needed != NULL && !kirim_dns_name_is_within(&target, needed)) {
            continue;
        }
        for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
            const struct kirim_dns_rrset *const found =
                kirim_dns_zone_glue(x->zone, &target, types[i]);
            if (found != NULL) {
                add_address_set(x, &target, found, needed != NULL);
            }
        }
    }
}

/* In a delegation the addresses of name servers below the cut go first: without them nobody could
 * go on (RFC 9471). */
static void add_addresses(struct exchange *x, const struct kirim_dns_rrset *set,
                          const struct kirim_dns_name *cut)
{
    if (cut != NULL) {
        add_addresses_of(x, set, cut);
    }
    add_addresses_of(x, set, NULL);
}

static void add_negative(struct exchange *x)
{
    (void)add_needed(x, KIRIM_DNS_SECTION_AUTHORITY, kirim_dns_zone_origin(x->zone),
                     kirim_dns_zone_soa(x->zone));
}

static void add_delegation(struct exchange *x, const struct kirim_dns_match *match)
{
    struct kirim_dns_name cut;
    kirim_dns_name_strip(&x->name, (size_t)x->name.label_count - match->cut_label_count, &cut);
    /* Authority is that for the first owner of the answer section, if there is one (RFC 1035
     * section 4.1.1). */
    x->is_authoritative = x->builder.count[KIRIM_DNS_SECTION_ANSWER] > 0;
    if (add_needed(x, KIRIM_DNS_SECTION_AUTHORITY, &cut, match->set)) {
        add_addresses(x, match->set, &cut);
    }
}

/* ---- looking up ------------------------------------------------------------------------------ */

/* Adds the CNAME record and goes on with its target. False: the answer ends here. */
static bool follow_cname(struct exchange *x, const struct kirim_dns_rrset *set)
{
    size_t at = 0;
    return add_needed(x, KIRIM_DNS_SECTION_ANSWER, &x->name, set) &&
           kirim_dns_name_read(set->first->rdata, set->first->bytes, &at, &x->name) == KIRIM_OK;
}

/* Works off what the zone said last. The result is that of the last name of a chain, RFC 6604. */
static void end_lookup(struct exchange *x, const struct kirim_dns_match *match)
{
    switch (match->kind) {
    case KIRIM_DNS_MATCH_ANSWER:
        if (add_needed(x, KIRIM_DNS_SECTION_ANSWER, &x->name, match->set)) {
            add_addresses(x, match->set, NULL);
        }
        break;
    case KIRIM_DNS_MATCH_DELEGATION:
        add_delegation(x, match);
        break;
    case KIRIM_DNS_MATCH_NO_NAME:
        x->rcode = KIRIM_DNS_NXDOMAIN;
        add_negative(x);
        break;
    case KIRIM_DNS_MATCH_NO_DATA:
        add_negative(x);
        break;
    default:
        break; /* the chain leaves the zone */
    }
}

/* Looks the question up, and follows CNAME records within the zone. A chain that meets one of its
 * own links goes round: it is told as far as it is new. */
static void look_up(struct exchange *x)
{
    const struct kirim_dns_rrset *seen[KIRIM_DNS_CHAIN_COUNT_MAX];
    x->is_authoritative = true;
    for (size_t count = 0; count <= KIRIM_DNS_CHAIN_COUNT_MAX; count++) {
        const struct kirim_dns_match match =
            kirim_dns_zone_find(x->zone, &x->name, x->request.question.type);
        if (match.kind != KIRIM_DNS_MATCH_CNAME) {
            end_lookup(x, &match);
            return;
        }
        bool is_seen = count == KIRIM_DNS_CHAIN_COUNT_MAX;
        for (size_t i = 0; i < count && !is_seen; i++) {
            is_seen = seen[i] == match.set;
        }
        if (is_seen || !follow_cname(x, match.set)) {
            return;
        }
        seen[count] = match.set;
    }
}

/* The zone that a name belongs to: the one with the longest origin. The DS records of a zone's
 * origin belong to the zone above it, if that is served too. */
static const struct kirim_dns_zone *choose_zone(const struct kirim_dns_server *server,
                                                const struct kirim_dns_question *question)
{
    const struct kirim_dns_zone *best = NULL;
    const struct kirim_dns_zone *at_origin = NULL;
    size_t best_count = 0;
    for (size_t i = 0; i < server->zone_count; i++) {
        const struct kirim_dns_name *const origin = kirim_dns_zone_origin(server->zone[i]);
        if (!kirim_dns_name_is_within(&question->name, origin)) {
            continue;
        }
        if (question->type == KIRIM_DNS_DS && origin->label_count == question->name.label_count) {
            at_origin = server->zone[i];
        } else if (best == NULL || origin->label_count > best_count) {
            best = server->zone[i];
            best_count = origin->label_count;
        }
    }
    return best != NULL ? best : at_origin;
}

/* ---- class CH -------------------------------------------------------------------------------- */

static bool is_version_question(const struct kirim_dns_question *question)
{
    static const struct kirim_dns_name name = { 14, 2, "\7version\4bind" };
    return kirim_dns_name_equal(&question->name, &name) &&
           (question->type == KIRIM_DNS_TXT || question->type == KIRIM_DNS_ANY);
}

static void answer_chaos(struct exchange *x)
{
    const struct kirim_dns_question *const question = &x->request.question;
    const char *const version = x->server->version;
    uint8_t rdata[1 + KIRIM_DNS_VERSION_BYTES_MAX];
    if (version == NULL || !is_version_question(question)) {
        x->rcode = KIRIM_DNS_REFUSED;
        return;
    }
    const size_t len = strlen(version);
    const size_t bytes = len < KIRIM_DNS_VERSION_BYTES_MAX ? len : KIRIM_DNS_VERSION_BYTES_MAX;
    rdata[0] = (uint8_t)bytes;
    memcpy(rdata + 1, version, bytes);
    const struct kirim_dns_record record = {
        .type = KIRIM_DNS_TXT,
        .dns_class = KIRIM_DNS_CLASS_CH,
        .rdata = rdata,
        .rdata_bytes = (uint16_t)(1 + bytes),
    };
    x->is_authoritative = true;
    x->is_truncated = kirim_dns_builder_record(&x->builder, KIRIM_DNS_SECTION_ANSWER,
                                               &question->name, &record) < 0;
}

/* ---- requests -------------------------------------------------------------------------------- */

static void answer_question(struct exchange *x)
{
    const struct kirim_dns_question *const question = &x->request.question;
    if (question->dns_class == KIRIM_DNS_CLASS_CH) {
        answer_chaos(x);
        return;
    }
    if (question->type == KIRIM_DNS_OPT) {
        x->rcode = KIRIM_DNS_FORMERR;
        return;
    }
    const bool is_meta = question->type >= KIRIM_DNS_META_FIRST &&
                         question->type <= KIRIM_DNS_META_LAST && question->type != KIRIM_DNS_ANY;
    x->zone = question->dns_class == KIRIM_DNS_CLASS_IN && !is_meta
                  ? choose_zone(x->server, question)
                  : NULL;
    if (x->zone == NULL) {
        x->rcode = KIRIM_DNS_REFUSED; /* zone transfers too: they are not for UDP */
        return;
    }
    x->name = question->name;
    look_up(x);
}

/* The result of a request by its form alone. */
static uint16_t judge_request(const struct kirim_dns_message *request, kirim_err read_err)
{
    if (kirim_dns_message_opcode(request) != KIRIM_DNS_OPCODE_QUERY) {
        return KIRIM_DNS_NOTIMP;
    }
    if (read_err < 0 || request->question_count != 1) {
        return KIRIM_DNS_FORMERR;
    }
    return request->has_edns && request->edns.version > 0 ? KIRIM_DNS_BADVERS : KIRIM_DNS_NOERROR;
}

/* The largest answer that asker, server and room permit. */
static size_t limit_bytes(const struct exchange *x, size_t room)
{
    size_t limit = x->request.has_edns ? x->request.edns.udp_bytes : 0;
    limit = limit < x->server->udp_bytes ? limit : x->server->udp_bytes;
    limit = limit > KIRIM_DNS_PLAIN_BYTES_MAX ? limit : KIRIM_DNS_PLAIN_BYTES_MAX;
    return limit < room ? limit : room;
}

/* Adds the OPT record, for which room was kept, and the header. */
static size_t end_reply(struct exchange *x)
{
    unsigned flags = KIRIM_DNS_FLAG_QR | (x->is_authoritative ? KIRIM_DNS_FLAG_AA : 0U) |
                     (x->is_truncated ? KIRIM_DNS_FLAG_TC : 0U);
    flags |= (unsigned)(x->request.flags & (KIRIM_DNS_FLAGS_OPCODE | KIRIM_DNS_FLAG_RD));
    flags |= (unsigned)(x->rcode & KIRIM_DNS_FLAGS_RCODE);
    if (x->request.has_edns) {
        const struct kirim_dns_edns edns = {
            .udp_bytes = x->server->udp_bytes,
            .rcode_high = (uint8_t)(x->rcode >> 4),
            .is_dnssec_ok = x->request.edns.is_dnssec_ok,
        };
        x->builder.limit += KIRIM_DNS_OPT_BYTES;
        (void)kirim_dns_builder_edns(&x->builder, &edns);
    }
    return kirim_dns_builder_end(&x->builder, x->request.id, (uint16_t)flags);
}

static void count_reply(struct kirim_dns_server_stats *stats, const struct exchange *x)
{
    stats->answered++;
    stats->truncated += x->is_truncated ? 1 : 0;
    if (x->rcode < KIRIM_DNS_RCODE_COUNT) {
        stats->rcode[x->rcode]++;
    }
}

kirim_err kirim_dns_server_answer(struct kirim_dns_server *server, struct kirim_dns_span query,
                                  struct kirim_dns_room *reply)
{
    struct exchange x;
    if (reply->room < KIRIM_DNS_PLAIN_BYTES_MAX) {
        return KIRIM_EINVAL;
    }
    reply->bytes = 0;
    server->stats.received++;
    const kirim_err err = kirim_dns_message_read(query, &x.request);
    if (query.bytes < KIRIM_DNS_HEADER_BYTES || (x.request.flags & KIRIM_DNS_FLAG_QR) != 0) {
        server->stats.dropped++;
        return KIRIM_OK;
    }
    x.server = server;
    x.zone = NULL;
    x.added_count = 0;
    x.is_authoritative = false;
    x.is_truncated = false;
    x.rcode = judge_request(&x.request, err);
    const size_t limit = limit_bytes(&x, reply->room);
    const size_t kept = x.request.has_edns ? KIRIM_DNS_OPT_BYTES : 0;
    kirim_dns_builder_init(&x.builder, reply->data, limit - kept);
    if (x.request.question_count == 1 && x.request.has_question) {
        (void)kirim_dns_builder_question(&x.builder, &x.request.question); /* 512 bytes hold it */
    }
    if (x.rcode == KIRIM_DNS_NOERROR) {
        answer_question(&x);
    }
    reply->bytes = end_reply(&x);
    count_reply(&server->stats, &x);
    return KIRIM_OK;
}
