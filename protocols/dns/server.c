/* SPDX-License-Identifier: MIT
 *
 * Answering questions: see server.h.
 */
#include "server.h"

#include <string.h>

#include "form.h"

enum { ADDED_COUNT_MAX = 32 }; /* sets of addresses in one answer */

/* What answers are about, for the limit on identical ones. */
enum {
    TOPIC_RESULT = 1, /* and above it each result */
    TOPIC_ANSWER = 0x1000,
    TOPIC_WILDCARD, /* of a whole zone: else each made-up name was one of its own */
    TOPIC_NO_NAME,  /* likewise */
    TOPIC_NO_DATA,
    TOPIC_DELEGATION
};

/* One datagram that is being answered. */
struct exchange {
    struct kirim_dns_server *server;
    struct kirim_dns_message request;
    struct kirim_dns_caller caller;
    struct kirim_dns_builder builder;
    const struct kirim_dns_zone *zone;
    struct kirim_dns_name name; /* that is looked for: the question's, later that of a CNAME */
    const struct kirim_dns_rrset *added[ADDED_COUNT_MAX]; /* to the additional section */
    size_t added_count;
    struct kirim_dns_match match; /* the first one */
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
        x->match = count == 0 ? match : x->match;
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

/* What the answer says, and of whom. */
static struct kirim_dns_topic topic_of(const struct exchange *x, struct kirim_dns_name *cut)
{
    const struct kirim_dns_name *const name = &x->request.question.name;
    if (x->zone == NULL) {
        return (struct kirim_dns_topic){ (uint16_t)(TOPIC_RESULT + x->rcode), 0, NULL };
    }
    const struct kirim_dns_name *const origin = kirim_dns_zone_origin(x->zone);
    if (x->match.is_wildcard) {
        return (struct kirim_dns_topic){ TOPIC_WILDCARD, 0, origin };
    }
    switch (x->match.kind) {
    case KIRIM_DNS_MATCH_NO_NAME:
        return (struct kirim_dns_topic){ TOPIC_NO_NAME, 0, origin };
    case KIRIM_DNS_MATCH_NO_DATA:
        return (struct kirim_dns_topic){ TOPIC_NO_DATA, 0, name };
    case KIRIM_DNS_MATCH_DELEGATION:
        kirim_dns_name_strip(name, (size_t)name->label_count - x->match.cut_label_count, cut);
        return (struct kirim_dns_topic){ TOPIC_DELEGATION, 0, cut };
    case KIRIM_DNS_MATCH_CNAME: /* told for every type, also for those that nobody has */
        return (struct kirim_dns_topic){ TOPIC_ANSWER, KIRIM_DNS_CNAME, name };
    default:
        return (struct kirim_dns_topic){ TOPIC_ANSWER, x->request.question.type, name };
    }
}

/* Writes the answer, and tells its result. */
static uint16_t write_reply(struct exchange *x, struct kirim_dns_room *reply)
{
    const struct kirim_dns_question *const question = &x->request.question;
    const uint16_t udp_bytes = x->server->udp_bytes;
    if (x->caller.is_turned_away) {
        return kirim_dns_caller_turn_away(&x->caller, udp_bytes, question, reply);
    }
    kirim_dns_caller_begin(&x->caller, udp_bytes, reply, &x->builder);
    if (x->caller.has_question) {
        (void)kirim_dns_builder_question(&x->builder, question); /* 512 bytes hold it */
    }
    if (x->rcode == KIRIM_DNS_NOERROR && x->caller.has_question) {
        answer_question(x);
    }
    const unsigned flags =
        (x->is_authoritative ? KIRIM_DNS_FLAG_AA : 0U) | (x->is_truncated ? KIRIM_DNS_FLAG_TC : 0U);
    reply->bytes = kirim_dns_caller_end(&x->caller, udp_bytes,
                                        KIRIM_DNS_ANSWER_FLAGS(flags, x->rcode), &x->builder);
    return x->rcode;
}

static void count_reply(struct kirim_dns_server_stats *stats, const struct kirim_dns_room *reply,
                        uint16_t rcode)
{
    const bool is_truncated = (reply->data[2] & KIRIM_DNS_FLAG_TC >> 8) != 0;
    stats->answered++;
    stats->truncated += is_truncated ? 1 : 0;
    if (rcode < KIRIM_DNS_RCODE_COUNT) {
        stats->rcode[rcode]++;
    }
}

kirim_err kirim_dns_server_serve(struct kirim_dns_server *server,
                                 const struct kirim_dns_request *request,
                                 struct kirim_dns_room *reply)
{
    struct exchange x;
    struct kirim_dns_name cut;
    if (reply->room < KIRIM_DNS_PLAIN_BYTES_MAX) {
        return KIRIM_EINVAL;
    }
    reply->bytes = 0;
    server->stats.received++;
    if (!kirim_dns_guard_read(server->guard, request, &x.request, &x.caller)) {
        server->stats.dropped++;
        return KIRIM_OK;
    }
    x.server = server;
    x.zone = NULL;
    x.added_count = 0;
    x.match = (struct kirim_dns_match){ .kind = KIRIM_DNS_MATCH_OUTSIDE };
    x.is_authoritative = false;
    x.is_truncated = false;
    x.rcode = x.caller.rcode;
    uint16_t rcode = write_reply(&x, reply);
    const struct kirim_dns_topic topic = topic_of(&x, &cut);
    switch (kirim_dns_guard_limit(server->guard, request, &x.caller, &topic)) {
    case KIRIM_LIMITER_SLIP:
        rcode =
            kirim_dns_caller_turn_away(&x.caller, server->udp_bytes,
                                       x.caller.has_question ? &x.request.question : NULL, reply);
        break;
    case KIRIM_LIMITER_DROP:
        reply->bytes = 0;
        server->stats.withheld++;
        return KIRIM_OK;
    default:
        break;
    }
    count_reply(&server->stats, reply, rcode);
    return KIRIM_OK;
}

kirim_err kirim_dns_server_answer(struct kirim_dns_server *server, struct kirim_dns_span query,
                                  struct kirim_dns_room *reply)
{
    const struct kirim_dns_request request = { .wire = query };
    return kirim_dns_server_serve(server, &request, reply);
}
