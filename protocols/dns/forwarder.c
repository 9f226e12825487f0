/* SPDX-License-Identifier: MIT
 *
 * A caching forwarder: see forwarder.h.
 */
#include "forwarder.h"

#include <string.h>

#include "wire.h"

enum {
    BIT_DNSSEC_OK = 1, /* what an answer depends on beside its question */
    BIT_CHECKING_DISABLED = 2,
    PENDING_MAX = 65536,
    WAITER_MAX = 1048576,
    CASE_BYTES = (KIRIM_DNS_NAME_BYTES_MAX + 7) / 8
};

/* Where all places are taken, who has had one for so long gives way to his own network: a server
 * that answers does so sooner. */
static const uint64_t GIVE_WAY_NS = 200000000;

/* What answers are about, for the limit on identical ones. */
enum { TOPIC_RESULT = 1, TOPIC_ANSWER = 0x1000 };

/* A request that waits. */
struct kirim_dns_waiter {
    struct kirim_dns_waiter *next;       /* of the same question, in the order of arrival */
    struct kirim_dns_waiter **link;      /* what points to it there */
    struct kirim_dns_waiter *next_alike; /* with the same place in the table */
    struct kirim_dns_pending *pending;
    uint64_t hash;
    uint64_t since_ns;
    struct kirim_share share;
    struct kirim_dns_asker asker;
    struct kirim_dns_caller caller;
    uint8_t upper[CASE_BYTES]; /* a bit for each byte of the name that is a capital letter */
};

struct kirim_dns_forwarder {
    struct kirim_dns_forwarder_options options;
    struct kirim_dns_forwarder_stats stats;
    struct kirim_dns_cache cache;
    struct kirim_dns_pending **pendings; /* tables, each of a power of two */
    struct kirim_dns_waiter **waiters;
    size_t pending_places, waiter_places;
    struct kirim_shares pending_shares, waiter_shares;
    struct kirim_dns_pending *surplus; /* of one question too many; it means nothing else */
    /* What is told to those who wait for the question that has ended, or who make room. */
    struct kirim_dns_pending *ending;
    struct kirim_dns_waiter *displaced;
    struct kirim_dns_waiter *told; /* who is told now */
    uint64_t now_ns;
    struct kirim_dns_kept kept;
};

/* A request that is being worked on. */
struct exchange {
    struct kirim_dns_forwarder *f;
    const struct kirim_dns_request *request;
    const struct kirim_dns_asker *asker;
    struct kirim_dns_message message;
    struct kirim_dns_caller caller;
    struct kirim_dns_cache_key key;
};

/* ---- opening and closing --------------------------------------------------------------------- */

static void *take_memory(const struct kirim_dns_forwarder_options *options, size_t bytes)
{
    return options->alloc(options->alloc_user, NULL, 0, bytes);
}

static void give_memory(const struct kirim_dns_forwarder_options *options, void *memory,
                        size_t bytes)
{
    if (memory != NULL) {
        (void)options->alloc(options->alloc_user, memory, bytes, 0);
    }
}

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
    f->pendings = take_memory(&f->options, f->pending_places * sizeof(void *));
    f->waiters = take_memory(&f->options, f->waiter_places * sizeof(void *));
    if (f->pendings == NULL || f->waiters == NULL) {
        give_memory(&f->options, f->pendings, f->pending_places * sizeof(void *));
        give_memory(&f->options, f->waiters, f->waiter_places * sizeof(void *));
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
    struct kirim_dns_forwarder *const f = take_memory(options, sizeof *f);
    if (f == NULL) {
        return KIRIM_ENOMEM;
    }
    memset(f, 0, sizeof *f);
    f->options = *options;
    kirim_shares_init(&f->pending_shares, options->key);
    kirim_shares_init(&f->waiter_shares, options->key);
    const kirim_err err = open_tables(f);
    if (err < 0) {
        give_memory(options, f, sizeof *f);
        return err;
    }
    *out = f;
    return KIRIM_OK;
}

static struct kirim_dns_waiter **waiter_place(const struct kirim_dns_forwarder *f, uint64_t hash)
{
    return &f->waiters[hash & (f->waiter_places - 1)];
}

static struct kirim_dns_pending **pending_place(const struct kirim_dns_forwarder *f, uint64_t hash)
{
    return &f->pendings[hash & (f->pending_places - 1)];
}

static void drop_waiter(struct kirim_dns_forwarder *f, struct kirim_dns_waiter *waiter)
{
    struct kirim_dns_waiter **link = waiter_place(f, waiter->hash);
    while (*link != waiter) {
        link = &(*link)->next_alike;
    }
    *link = waiter->next_alike;
    *waiter->link = waiter->next;
    *(waiter->next != NULL ? &waiter->next->link : &waiter->pending->last) = waiter->link;
    kirim_shares_give(&f->waiter_shares, &waiter->share);
    give_memory(&f->options, waiter, sizeof *waiter);
    f->stats.waiter_count--;
}

static void drop_pending(struct kirim_dns_forwarder *f, struct kirim_dns_pending *pending)
{
    struct kirim_dns_pending **link = pending_place(f, pending->hash);
    while (pending->first != NULL) {
        drop_waiter(f, pending->first);
    }
    while (*link != pending) {
        link = &(*link)->next;
    }
    *link = pending->next;
    kirim_shares_give(&f->pending_shares, &pending->share);
    give_memory(&f->options, pending, sizeof *pending);
    f->stats.pending_count--;
}

void kirim_dns_forwarder_close(struct kirim_dns_forwarder *f)
{
    if (f == NULL) {
        return;
    }
    for (size_t i = 0; i < f->pending_places; i++) {
        while (f->pendings[i] != NULL) {
            drop_pending(f, f->pendings[i]);
        }
    }
    kirim_dns_cache_close(&f->cache);
    give_memory(&f->options, f->pendings, f->pending_places * sizeof(void *));
    give_memory(&f->options, f->waiters, f->waiter_places * sizeof(void *));
    give_memory(&f->options, f, sizeof *f);
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
static void pass_reply(struct exchange *x, uint16_t rcode, bool is_negative,
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
static void refuse(struct exchange *x, uint16_t rcode, struct kirim_dns_room *reply)
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

/* ---- waiting --------------------------------------------------------------------------------- */

/* Whoever asks from the same port with the same identifier is the same. */
static uint64_t hash_waiter(const struct exchange *x, const struct kirim_dns_pending *pending)
{
    uint8_t input[34];
    for (size_t i = 0; i < 24; i++) {
        input[i] = (uint8_t)(x->asker->peer.word[i / 8] >> (8 * (i % 8)));
    }
    for (size_t i = 0; i < 8; i++) {
        input[24 + i] = (uint8_t)(pending->hash >> (8 * i));
    }
    ki_dns_put16(input + 32, x->caller.id);
    return kirim_siphash_number(x->f->options.key, input, sizeof input);
}

static struct kirim_dns_waiter *find_waiter(const struct exchange *x,
                                            const struct kirim_dns_pending *pending, uint64_t hash)
{
    struct kirim_dns_waiter *waiter = *waiter_place(x->f, hash);
    while (waiter != NULL &&
           !(waiter->hash == hash && waiter->pending == pending &&
             waiter->caller.id == x->caller.id && waiter->asker.via == x->asker->via &&
             kirim_addr_equal(&waiter->asker.peer, &x->asker->peer))) {
        waiter = waiter->next_alike;
    }
    return waiter;
}

/* What of a request may differ when it is repeated. */
static void note_request(const struct exchange *x, struct kirim_dns_waiter *waiter)
{
    const struct kirim_dns_name *const name = &x->message.question.name;
    waiter->asker = *x->asker;
    waiter->caller = x->caller;
    memset(waiter->upper, 0, sizeof waiter->upper);
    for (size_t i = 0; i < name->bytes; i++) {
        const bool is_upper = ki_dns_fold(name->wire[i]) != name->wire[i];
        waiter->upper[i / 8] |= (uint8_t)(is_upper ? 1U << i % 8 : 0);
    }
}

/* Whether a place that has been taken since then goes to who asks. */
static bool gives_way(const struct exchange *x, bool is_owed, uint64_t since_ns)
{
    x->f->stats.crowded += is_owed ? 1 : 0;
    return is_owed || x->request->now_ns - since_ns >= GIVE_WAY_NS;
}

/* Who makes room among those who wait; NULL: nobody. */
static struct kirim_dns_waiter *find_displaced(const struct exchange *x)
{
    struct kirim_dns_forwarder *const f = x->f;
    bool is_owed = false;
    if (f->stats.waiter_count > f->options.waiter_max) {
        return NULL; /* one does already */
    }
    struct kirim_dns_waiter *const waiter =
        kirim_shares_find(&f->waiter_shares, &x->asker->peer, &is_owed)->user;
    return gives_way(x, is_owed, waiter->since_ns) ? waiter : NULL;
}

/* Likewise among the questions. */
static struct kirim_dns_pending *find_surplus(const struct exchange *x)
{
    struct kirim_dns_forwarder *const f = x->f;
    bool is_owed = false;
    if (f->stats.pending_count > f->options.pending_max) {
        return NULL;
    }
    struct kirim_dns_pending *const pending =
        kirim_shares_find(&f->pending_shares, &x->asker->peer, &is_owed)->user;
    return gives_way(x, is_owed, pending->begun_ns) ? pending : NULL;
}

static void displace(struct exchange *x, struct kirim_dns_waiter *waiter)
{
    struct kirim_dns_forwarder *const f = x->f;
    f->displaced = waiter;
    f->now_ns = x->request->now_ns;
    f->stats.displaced++;
    kirim_dns_kept_make(&waiter->pending->question, KIRIM_DNS_SERVFAIL, 0, &f->kept);
}

/* Has a request wait for a question. False: there is no room. */
static bool join(struct exchange *x, struct kirim_dns_pending *pending)
{
    struct kirim_dns_forwarder *const f = x->f;
    const uint64_t hash = hash_waiter(x, pending);
    struct kirim_dns_waiter *waiter = find_waiter(x, pending, hash);
    if (waiter != NULL) {
        note_request(x, waiter);
        f->stats.repeated++;
        return true;
    }
    const bool is_full = f->stats.waiter_count >= f->options.waiter_max;
    struct kirim_dns_waiter *const displaced = is_full ? find_displaced(x) : NULL;
    waiter = is_full && displaced == NULL ? NULL : take_memory(&f->options, sizeof *waiter);
    if (waiter == NULL) {
        return false;
    }
    if (displaced != NULL) {
        displace(x, displaced);
    }
    struct kirim_dns_waiter **const place = waiter_place(f, hash);
    waiter->next = NULL;
    waiter->link = pending->last;
    waiter->next_alike = *place;
    waiter->pending = pending;
    waiter->hash = hash;
    waiter->since_ns = x->request->now_ns;
    waiter->share = (struct kirim_share){ .user = waiter };
    *place = waiter;
    *pending->last = waiter;
    pending->last = &waiter->next;
    kirim_shares_take(&f->waiter_shares, &waiter->share, &x->asker->peer);
    note_request(x, waiter);
    f->stats.waiter_count++;
    return true;
}

static bool is_same_question(const struct kirim_dns_pending *pending, const struct exchange *x)
{
    const struct kirim_dns_question *const a = &pending->question;
    const struct kirim_dns_question *const b = &x->key.question;
    const unsigned bits = (pending->is_dnssec_ok ? BIT_DNSSEC_OK : 0U) |
                          (pending->is_checking_disabled ? BIT_CHECKING_DISABLED : 0U);
    return a->type == b->type && a->dns_class == b->dns_class && bits == x->key.bits &&
           a->name.bytes == b->name.bytes && memcmp(a->name.wire, b->name.wire, a->name.bytes) == 0;
}

static struct kirim_dns_pending *find_pending(const struct exchange *x, uint64_t hash)
{
    struct kirim_dns_pending *pending = *pending_place(x->f, hash);
    while (pending != NULL && !(pending->hash == hash && is_same_question(pending, x))) {
        pending = pending->next;
    }
    return pending;
}

/* A question that nobody is asking yet; NULL: there is no room. */
static struct kirim_dns_pending *begin_question(struct exchange *x, uint64_t hash)
{
    struct kirim_dns_forwarder *const f = x->f;
    const bool is_full = f->stats.pending_count >= f->options.pending_max;
    struct kirim_dns_pending *const surplus = is_full ? find_surplus(x) : NULL;
    struct kirim_dns_pending *const pending =
        is_full && surplus == NULL ? NULL : take_memory(&f->options, sizeof *pending);
    if (pending == NULL) {
        return NULL;
    }
    struct kirim_dns_pending **const place = pending_place(f, hash);
    *pending = (struct kirim_dns_pending){
        .question = x->key.question,
        .is_dnssec_ok = (x->key.bits & BIT_DNSSEC_OK) != 0,
        .is_checking_disabled = (x->key.bits & BIT_CHECKING_DISABLED) != 0,
        .hash = hash,
        .begun_ns = x->request->now_ns,
        .share = { .user = pending },
        .next = *place,
    };
    pending->last = &pending->first;
    *place = pending;
    kirim_shares_take(&f->pending_shares, &pending->share, &x->asker->peer);
    f->stats.pending_count++;
    if (!join(x, pending)) {
        drop_pending(f, pending);
        return NULL;
    }
    f->surplus = surplus;
    f->stats.misses++;
    return pending;
}

/* Joins a question or begins one, which is returned. */
static struct kirim_dns_pending *wait_for(struct exchange *x, struct kirim_dns_room *reply)
{
    struct kirim_dns_forwarder *const f = x->f;
    const uint64_t hash = kirim_dns_cache_hash(&f->cache, &x->key);
    struct kirim_dns_pending *const there = find_pending(x, hash);
    struct kirim_dns_pending *const begun = there == NULL ? begin_question(x, hash) : NULL;
    const uint64_t repeated = f->stats.repeated;
    const bool is_joined = there != NULL && join(x, there);
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
static uint16_t judge_question(const struct exchange *x)
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

static void make_key(struct exchange *x)
{
    struct kirim_dns_name *const name = &x->key.question.name;
    x->key.question = x->message.question;
    for (size_t i = 0; i < name->bytes; i++) {
        name->wire[i] = ki_dns_fold(name->wire[i]);
    }
    x->key.bits =
        (uint8_t)((x->caller.is_dnssec_ok ? BIT_DNSSEC_OK : 0) |
                  ((x->caller.flags & KIRIM_DNS_FLAG_CD) != 0 ? BIT_CHECKING_DISABLED : 0));
}

static struct kirim_dns_pending *look_up(struct exchange *x, struct kirim_dns_room *reply)
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
    struct exchange x;
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
        .bits = (uint8_t)((pending->is_dnssec_ok ? BIT_DNSSEC_OK : 0) |
                          (pending->is_checking_disabled ? BIT_CHECKING_DISABLED : 0)),
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
        drop_waiter(f, f->told);
    }
    f->told = f->ending != NULL ? f->ending->first : f->displaced;
    f->displaced = NULL;
    if (f->told != NULL) {
        return &f->told->asker;
    }
    if (f->ending != NULL) {
        drop_pending(f, f->ending);
        f->ending = NULL;
    }
    return NULL;
}

void kirim_dns_forwarder_write(struct kirim_dns_forwarder *f, struct kirim_dns_room *reply)
{
    const struct kirim_dns_waiter *const waiter = f->told;
    const struct kirim_dns_kept_view view = { &f->kept.form, f->kept.ttl_at, f->kept.wire, 0 };
    const struct kirim_dns_request request = { .peer = &waiter->asker.peer, .now_ns = f->now_ns };
    struct exchange x;
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
