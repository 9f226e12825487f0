/* SPDX-License-Identifier: MIT
 *
 * Questions under way, and who waits for them: see pending.h.
 */
#include "pending.h"

#include <string.h>

#include "wire.h"

/* Where all places are taken, who has had one for so long gives way to his own network: a server
 * that answers does so sooner. */
static const uint64_t GIVE_WAY_NS = 200000000;

void *ki_dns_pending_memory(const struct kirim_dns_forwarder_options *options, size_t bytes)
{
    return options->alloc(options->alloc_user, NULL, 0, bytes);
}

void ki_dns_pending_memory_end(const struct kirim_dns_forwarder_options *options, void *memory,
                               size_t bytes)
{
    if (memory != NULL) {
        (void)options->alloc(options->alloc_user, memory, bytes, 0);
    }
}

static struct kirim_dns_waiter **waiter_place(const struct kirim_dns_forwarder *f, uint64_t hash)
{
    return &f->waiters[hash & (f->waiter_places - 1)];
}

static struct kirim_dns_pending **pending_place(const struct kirim_dns_forwarder *f, uint64_t hash)
{
    return &f->pendings[hash & (f->pending_places - 1)];
}

void ki_dns_waiter_end(struct kirim_dns_forwarder *f, struct kirim_dns_waiter *waiter)
{
    struct kirim_dns_waiter **link = waiter_place(f, waiter->hash);
    while (*link != waiter) {
        link = &(*link)->next_alike;
    }
    *link = waiter->next_alike;
    *waiter->link = waiter->next;
    *(waiter->next != NULL ? &waiter->next->link : &waiter->pending->last) = waiter->link;
    kirim_shares_give(&f->waiter_shares, &waiter->share);
    ki_dns_pending_memory_end(&f->options, waiter, sizeof *waiter);
    f->stats.waiter_count--;
}

void ki_dns_pending_end(struct kirim_dns_forwarder *f, struct kirim_dns_pending *pending)
{
    struct kirim_dns_pending **link = pending_place(f, pending->hash);
    while (pending->first != NULL) {
        ki_dns_waiter_end(f, pending->first);
    }
    while (*link != pending) {
        link = &(*link)->next;
    }
    *link = pending->next;
    kirim_shares_give(&f->pending_shares, &pending->share);
    ki_dns_pending_memory_end(&f->options, pending, sizeof *pending);
    f->stats.pending_count--;
}

/* Whoever asks from the same port with the same identifier is the same. */
static uint64_t hash_waiter(const struct ki_dns_exchange *x,
                            const struct kirim_dns_pending *pending)
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

static struct kirim_dns_waiter *find_waiter(const struct ki_dns_exchange *x,
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
static void note_request(const struct ki_dns_exchange *x, struct kirim_dns_waiter *waiter)
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
static bool gives_way(const struct ki_dns_exchange *x, bool is_owed, uint64_t since_ns)
{
    x->f->stats.crowded += is_owed ? 1 : 0;
    return is_owed || x->request->now_ns - since_ns >= GIVE_WAY_NS;
}

/* Who makes room among those who wait; NULL: nobody. */
static struct kirim_dns_waiter *find_displaced(const struct ki_dns_exchange *x)
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
static struct kirim_dns_pending *find_surplus(const struct ki_dns_exchange *x)
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

static void displace(struct ki_dns_exchange *x, struct kirim_dns_waiter *waiter)
{
    struct kirim_dns_forwarder *const f = x->f;
    f->displaced = waiter;
    f->now_ns = x->request->now_ns;
    f->stats.displaced++;
    kirim_dns_kept_make(&waiter->pending->question, KIRIM_DNS_SERVFAIL, 0, &f->kept);
}

bool ki_dns_pending_join(struct ki_dns_exchange *x, struct kirim_dns_pending *pending)
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
    waiter =
        is_full && displaced == NULL ? NULL : ki_dns_pending_memory(&f->options, sizeof *waiter);
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

static bool is_same_question(const struct kirim_dns_pending *pending,
                             const struct ki_dns_exchange *x)
{
    const struct kirim_dns_question *const a = &pending->question;
    const struct kirim_dns_question *const b = &x->key.question;
    const unsigned bits = (pending->is_dnssec_ok ? KI_DNS_BIT_DNSSEC_OK : 0U) |
                          (pending->is_checking_disabled ? KI_DNS_BIT_CHECKING_DISABLED : 0U);
    return a->type == b->type && a->dns_class == b->dns_class && bits == x->key.bits &&
           a->name.bytes == b->name.bytes && memcmp(a->name.wire, b->name.wire, a->name.bytes) == 0;
}

struct kirim_dns_pending *ki_dns_pending_find(const struct ki_dns_exchange *x, uint64_t hash)
{
    struct kirim_dns_pending *pending = *pending_place(x->f, hash);
    while (pending != NULL && !(pending->hash == hash && is_same_question(pending, x))) {
        pending = pending->next;
    }
    return pending;
}

struct kirim_dns_pending *ki_dns_pending_begin(struct ki_dns_exchange *x, uint64_t hash)
{
    struct kirim_dns_forwarder *const f = x->f;
    const bool is_full = f->stats.pending_count >= f->options.pending_max;
    struct kirim_dns_pending *const surplus = is_full ? find_surplus(x) : NULL;
    struct kirim_dns_pending *const pending =
        is_full && surplus == NULL ? NULL : ki_dns_pending_memory(&f->options, sizeof *pending);
    if (pending == NULL) {
        return NULL;
    }
    struct kirim_dns_pending **const place = pending_place(f, hash);
    *pending = (struct kirim_dns_pending){
        .question = x->key.question,
        .is_dnssec_ok = (x->key.bits & KI_DNS_BIT_DNSSEC_OK) != 0,
        .is_checking_disabled = (x->key.bits & KI_DNS_BIT_CHECKING_DISABLED) != 0,
        .hash = hash,
        .begun_ns = x->request->now_ns,
        .share = { .user = pending },
        .next = *place,
    };
    pending->last = &pending->first;
    *place = pending;
    kirim_shares_take(&f->pending_shares, &pending->share, &x->asker->peer);
    f->stats.pending_count++;
    if (!ki_dns_pending_join(x, pending)) {
        ki_dns_pending_end(f, pending);
        return NULL;
    }
    f->surplus = surplus;
    f->stats.misses++;
    return pending;
}
