/* SPDX-License-Identifier: MIT
 *
 * A caching forwarder: see forwarder.h.
 */
#include "forwarder.h"

#include <string.h>

#include "pending.h"
#include "wire.h"

enum { PENDING_MAX = 65536, WAITER_MAX = 1048576 };

/* What answers are about, for the limit on identical ones. */
enum { TOPIC_RESULT = 1, TOPIC_ANSWER = 0x1000 };

/* ---- opening and closing --------------------------------------------------------------------- */

static size_t places_for(uint32_t count)
{
    size_t places = 1;
    while (places < count) {
        places *= 2;
    }
    return places;
}

static kirim_err open_tables(struct kirim_dns_forwarder *f)
{
    const struct kirim_dns_cache_options cache_options = { .alloc = f->options.alloc,
                                                           .alloc_user = f->options.alloc_user,
                                                           .bytes_max = f->options.cache_bytes };
    struct kirim_dns_cache_options wanted = cache_options;
    memcpy(wanted.key, f->options.key, sizeof wanted.key);
    kirim_err err = kirim_dns_cache_open(&f->cache, &wanted);
    if (err < 0) {
        return err;
    }
    f->pending_places = places_for(f->options.pending_max);
    f->waiter_places = places_for(f->options.waiter_max);
    f->pendings = ki_dns_pending_memory(&f->options, f->pending_places * sizeof(void *));
    f->waiters = ki_dns_pending_memory(&f->options, f->waiter_places * sizeof(void *));
    if (f->pendings == NULL || f->waiters == NULL) {
        ki_dns_pending_memory_end(&f->options, f->pendings, f->pending_places * sizeof(void *));
        ki_dns_pending_memory_end(&f->options, f->waiters, f->waiter_places * sizeof(void *));
        kirim_dns_cache_close(&f->cache);
        return KIRIM_ENOMEM;
    }
    for (size_t i = 0; i < f->pending_places; i++) {
        f->pendings[i] = NULL;
    }
    for (size_t i = 0; i < f->waiter_places; i++) {
        f->waiters[i] = NULL;
    }
    return KIRIM_OK;
}

kirim_err kirim_dns_forwarder_open(const struct kirim_dns_forwarder_options *options,
                                   struct kirim_dns_forwarder **out)
{
    if (options == NULL || out == NULL || options->alloc == NULL || options->pending_max == 0 ||
        options->pending_max > PENDING_MAX || options->waiter_max == 0 ||
        options->waiter_max > WAITER_MAX || options->udp_bytes < KIRIM_DNS_PLAIN_BYTES_MAX ||
        options->udp_bytes > KIRIM_DNS_UDP_BYTES) {
        return KIRIM_EINVAL;
    }
    struct kirim_dns_forwarder *const f = ki_dns_pending_memory(options, sizeof *f);
    if (f == NULL) {
        return KIRIM_ENOMEM;
    }
    memset(f, 0, sizeof *f);
    f->options = *options;
    kirim_shares_init(&f->pending_shares, options->key);
    kirim_shares_init(&f->waiter_shares, options->key);
    const kirim_err err = open_tables(f);
    if (err < 0) {
        ki_dns_pending_memory_end(options, f, sizeof *f);
        return err;
    }
    *out = f;
    return KIRIM_OK;
}

void kirim_dns_forwarder_close(struct kirim_dns_forwarder *f)
{
    if (f == NULL) {
        return;
    }
    for (size_t i = 0; i < f->pending_places; i++) {
        while (f->pendings[i] != NULL) {
            ki_dns_pending_end(f, f->pendings[i]);
        }
    }
    kirim_dns_cache_close(&f->cache);
    ki_dns_pending_memory_end(&f->options, f->pendings, f->pending_places * sizeof(void *));
    ki_dns_pending_memory_end(&f->options, f->waiters, f->waiter_places * sizeof(void *));
    ki_dns_pending_memory_end(&f->options, f, sizeof *f);
}

/* ---- answers --------------------------------------------------------------------------------- */

static void count_reply(struct kirim_dns_forwarder *f, const struct kirim_dns_room *reply,
                        uint16_t rcode)
{
    f->stats.answered++;
    f->stats.truncated += (reply->data[2] & KIRIM_DNS_FLAG_TC >> 8) != 0 ? 1 : 0;
    if (rcode < KIRIM_DNS_RCODE_COUNT) {
        f->stats.rcode[rcode]++;
    }
}

/* Lets an answer that is ready pass the guard. Results other than success are one topic each; what
 * a name does not have is one for all types. */
static void pass_reply(struct ki_dns_exchange *x, uint16_t rcode, bool is_negative,
                       struct kirim_dns_room *reply)
{
    struct kirim_dns_forwarder *const f = x->f;
    const struct kirim_dns_question *const question = &x->key.question;
    const bool is_answer = rcode == KIRIM_DNS_NOERROR && x->caller.has_question;
    const struct kirim_dns_topic topic = {
        .kind = is_answer ? TOPIC_ANSWER : (uint16_t)(TOPIC_RESULT + rcode),
        .type = is_answer && !is_negative ? question->type : 0,
        .name = is_answer ? &question->name : NULL,
    };
    switch (kirim_dns_guard_limit(f->options.guard, x->request, &x->caller, &topic)) {
    case KIRIM_LIMITER_SLIP:
        rcode =
            kirim_dns_caller_turn_away(&x->caller, f->options.udp_bytes,
                                       x->caller.has_question ? &x->message.question : NULL, reply);
        break;
    case KIRIM_LIMITER_DROP:
        reply->bytes = 0;
        f->stats.withheld++;
        return;
    default:
        break;
    }
    count_reply(f, reply, rcode);
}

/* An answer without records. */
static void refuse(struct ki_dns_exchange *x, uint16_t rcode, struct kirim_dns_room *reply)
{
    struct kirim_dns_builder b;
    const uint16_t udp_bytes = x->f->options.udp_bytes;
    kirim_dns_caller_begin(&x->caller, udp_bytes, reply, &b);
    if (x->caller.has_question) {
        (void)kirim_dns_builder_question(&b, &x->message.question); /* 512 bytes hold it */
    }
    reply->bytes = kirim_dns_caller_end(&x->caller, udp_bytes,
                                        KIRIM_DNS_ANSWER_FLAGS(KIRIM_DNS_FLAG_RA, rcode), &b);
    pass_reply(x, rcode, false, reply);
}

/* Joins a question or begins one, which is returned. */
static struct kirim_dns_pending *wait_for(struct ki_dns_exchange *x, struct kirim_dns_room *reply)
{
    struct kirim_dns_forwarder *const f = x->f;
    const uint64_t hash = kirim_dns_cache_hash(&f->cache, &x->key);
    struct kirim_dns_pending *const there = ki_dns_pending_find(x, hash);
    struct kirim_dns_pending *const begun = there == NULL ? ki_dns_pending_begin(x, hash) : NULL;
    const uint64_t repeated = f->stats.repeated;
    const bool is_joined = there != NULL && ki_dns_pending_join(x, there);
    if (begun == NULL && !is_joined) {
        f->stats.refused++;
        refuse(x, KIRIM_DNS_SERVFAIL, reply);
    } else if (is_joined && f->stats.repeated == repeated) {
        f->stats.coalesced++;
    }
    return begun;
}

/* ---- requests -------------------------------------------------------------------------------- */

/* What a forwarder does not do: other classes, zone transfers, and questions to itself alone. */
static uint16_t judge_question(const struct ki_dns_exchange *x)
{
    const struct kirim_dns_question *const question = &x->message.question;
    const bool is_meta = question->type >= KIRIM_DNS_META_FIRST &&
                         question->type <= KIRIM_DNS_META_LAST && question->type != KIRIM_DNS_ANY;
    if (question->type == KIRIM_DNS_OPT) {
        return KIRIM_DNS_FORMERR;
    }
    if (question->dns_class != KIRIM_DNS_CLASS_IN || is_meta ||
        (x->caller.flags & KIRIM_DNS_FLAG_RD) == 0) {
        return KIRIM_DNS_REFUSED;
    }
    return KIRIM_DNS_NOERROR;
}

static void make_key(struct ki_dns_exchange *x)
{
    struct kirim_dns_name *const name = &x->key.question.name;
    x->key.question = x->message.question;
    for (size_t i = 0; i < name->bytes; i++) {
        name->wire[i] = ki_dns_fold(name->wire[i]);
    }
    x->key.bits =
        (uint8_t)((x->caller.is_dnssec_ok ? KI_DNS_BIT_DNSSEC_OK : 0) |
                  ((x->caller.flags & KIRIM_DNS_FLAG_CD) != 0 ? KI_DNS_BIT_CHECKING_DISABLED : 0));
}

static struct kirim_dns_pending *look_up(struct ki_dns_exchange *x, struct kirim_dns_room *reply)
{
    struct kirim_dns_forwarder *const f = x->f;
    struct kirim_dns_kept_view view;
    make_key(x);
    if (!kirim_dns_cache_find(&f->cache, &x->key, x->request->now_ns, &view)) {
        return wait_for(x, reply);
    }
    f->stats.hits++;
    kirim_dns_kept_write(&view, &x->caller, &x->message.question.name, f->options.udp_bytes, reply);
    pass_reply(x, view.form->rcode, view.form->is_negative, reply);
    return NULL;
}

struct kirim_dns_pending *kirim_dns_forwarder_ask(struct kirim_dns_forwarder *f,
                                                  const struct kirim_dns_request *request,
                                                  const struct kirim_dns_asker *asker,
                                                  struct kirim_dns_room *reply)
{
    struct ki_dns_exchange x;
    x.f = f;
    x.request = request;
    x.asker = asker;
    reply->bytes = 0;
    f->stats.received++;
    if (!kirim_dns_guard_read(f->options.guard, request, &x.message, &x.caller)) {
        f->stats.dropped++;
        return NULL;
    }
    if (x.caller.is_turned_away) {
        const uint16_t rcode =
            kirim_dns_caller_turn_away(&x.caller, f->options.udp_bytes, &x.message.question, reply);
        x.key.question = x.message.question;
        pass_reply(&x, rcode, false, reply);
        return NULL;
    }
    uint16_t rcode = x.caller.rcode;
    if (rcode == KIRIM_DNS_NOERROR && x.caller.has_question) {
        rcode = judge_question(&x);
        if (rcode == KIRIM_DNS_NOERROR) {
            return look_up(&x, reply);
        }
    }
    refuse(&x, rcode, reply);
    return NULL;
}

/* ---- the end of a question ------------------------------------------------------------------- */

struct kirim_dns_pending *kirim_dns_forwarder_surplus(const struct kirim_dns_forwarder *f)
{
    return f->stats.pending_count > f->options.pending_max ? f->surplus : NULL;
}

void kirim_dns_forwarder_end(struct kirim_dns_forwarder *f, struct kirim_dns_pending *pending,
                             const struct kirim_dns_message *answer, uint64_t now_ns)
{
    const struct kirim_dns_cache_key key = {
        .question = pending->question,
        .bits = (uint8_t)((pending->is_dnssec_ok ? KI_DNS_BIT_DNSSEC_OK : 0) |
                          (pending->is_checking_disabled ? KI_DNS_BIT_CHECKING_DISABLED : 0)),
    };
    const bool is_taken =
        answer != NULL && kirim_dns_kept_take(answer, &f->options.limits, &f->kept) == KIRIM_OK;
    f->stats.failed += answer == NULL ? 1 : 0;
    f->stats.malformed += answer != NULL && !is_taken ? 1 : 0;
    if (!is_taken) {
        kirim_dns_kept_make(&pending->question, KIRIM_DNS_SERVFAIL, 0, &f->kept);
    }
    const uint16_t rcode = f->kept.form.rcode;
    if (rcode != KIRIM_DNS_NOERROR && rcode != KIRIM_DNS_NXDOMAIN) {
        f->kept.form.lifetime_s = f->options.failure_s;
    }
    /* That it gave way says nothing of the question, to nobody else who asks it. */
    if (answer != NULL || pending != kirim_dns_forwarder_surplus(f)) {
        kirim_dns_cache_store(&f->cache, &key, &f->kept, now_ns);
    }
    f->ending = pending;
    f->displaced = NULL;
    f->told = NULL;
    f->now_ns = now_ns;
}

const struct kirim_dns_asker *kirim_dns_forwarder_next(struct kirim_dns_forwarder *f)
{
    if (f->told != NULL) {
        ki_dns_waiter_end(f, f->told);
    }
    f->told = f->ending != NULL ? f->ending->first : f->displaced;
    f->displaced = NULL;
    if (f->told != NULL) {
        return &f->told->asker;
    }
    if (f->ending != NULL) {
        ki_dns_pending_end(f, f->ending);
        f->ending = NULL;
    }
    return NULL;
}

void kirim_dns_forwarder_write(struct kirim_dns_forwarder *f, struct kirim_dns_room *reply)
{
    const struct kirim_dns_waiter *const waiter = f->told;
    const struct kirim_dns_kept_view view = { &f->kept.form, f->kept.ttl_at, f->kept.wire, 0 };
    const struct kirim_dns_request request = { .peer = &waiter->asker.peer, .now_ns = f->now_ns };
    struct ki_dns_exchange x;
    x.f = f;
    x.request = &request;
    x.caller = waiter->caller;
    x.key.question = waiter->pending->question;
    x.message.question = waiter->pending->question;
    struct kirim_dns_name *const name = &x.message.question.name;
    for (size_t i = 0; i < name->bytes; i++) {
        const bool is_upper = (waiter->upper[i / 8] >> (i % 8) & 1) != 0;
        name->wire[i] = is_upper ? (uint8_t)(name->wire[i] - ('a' - 'A')) : name->wire[i];
    }
    kirim_dns_kept_write(&view, &x.caller, name, f->options.udp_bytes, reply);
    pass_reply(&x, f->kept.form.rcode, f->kept.form.is_negative, reply);
}

const struct kirim_dns_forwarder_stats *kirim_dns_forwarder_stats(
    const struct kirim_dns_forwarder *f)
{
    return &f->stats;
}

const struct kirim_dns_cache_stats *kirim_dns_forwarder_cache_stats(
    const struct kirim_dns_forwarder *f)
{
    return &f->cache.stats;
}
