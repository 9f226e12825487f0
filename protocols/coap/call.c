/* SPDX-License-Identifier: MIT
 *
 * Calls: which is under way, whose answer has come, and when to give up. Sources: RFC 7252 sections
 * 4.7, 5.2 and 5.3, RFC 7641 sections 3.3 to 3.6.
 */
#include "parts.h"

#include <string.h>

/* Where a call stands; 0: it has ended, or was never started. */
enum {
    QUEUED = 1,    /* its next message waits for its turn */
    SENT = 2,      /* a message is under way, and nothing was heard of it */
    WAITING = 3,   /* it was acknowledged */
    OBSERVING = 4, /* nothing is asked just now */
    GATHERING = 5, /* a group answers */
    FINISHING = 6  /* its last callbacks run */
};

enum { GROUP_ECHO_COUNT_MAX = 64 }; /* requests that are sent to members of a group by themselves */

static const uint64_t ns_per_s = UINT64_C(1000000000);
static const uint64_t timeout_ns = UINT64_C(93000000000); /* MAX_TRANSMIT_WAIT */
static const uint64_t stale_ns = UINT64_C(128000000000);  /* RFC 7641 section 3.4 */

static uint64_t id_of_token(const struct kirim_coap_message *message)
{
    uint64_t id = 0;
    for (size_t i = 0; i < message->token_bytes; i++) {
        id = id << 8 | message->token[i];
    }
    return id;
}

static uint64_t wait_of(const struct kirim_coap_call *call)
{
    return call->timeout_ns != 0 ? call->timeout_ns : timeout_ns;
}

static bool is_group(const struct kirim_coap_peer *peer)
{
    return kirim_addr_is_multicast(&peer->addr);
}

/* Options that calls write by themselves. */
static bool is_own(uint16_t number)
{
    return number == KIRIM_COAP_OBSERVE || number == KIRIM_COAP_BLOCK1 ||
           number == KIRIM_COAP_BLOCK2 || number == KIRIM_COAP_ECHO ||
           number == KIRIM_COAP_REQUEST_TAG;
}

static bool is_valid(const struct kirim_coap_peer *peer, const struct kirim_coap_call *call)
{
    if (call->ended == NULL || call->method > KIRIM_COAP_IPATCH || call->szx > 6 ||
        call->type > KIRIM_COAP_NON || call->option_count > KIRIM_COAP_CALL_OPTION_COUNT_MAX ||
        (is_group(peer) && (call->type != KIRIM_COAP_NON || call->is_observing)) ||
        (call->method == KIRIM_COAP_EMPTY && call->type != KIRIM_COAP_CON) ||
        (call->is_observing && call->method != KIRIM_COAP_GET)) {
        return false;
    }
    for (size_t i = 0; i < call->option_count; i++) {
        if (is_own(call->options[i].number) ||
            (i > 0 && call->options[i].number < call->options[i - 1].number)) {
            return false;
        }
    }
    return true;
}

kirim_err kirim_coap_call_start(struct kirim_coap_peer *peer, struct kirim_coap_call *call,
                                uint64_t now_ns)
{
    struct kirim_coap_node *const node = peer->node;
    if (!is_valid(peer, call)) {
        return KIRIM_EINVAL;
    }
    if (peer->is_closed) {
        return KIRIM_ECLOSED;
    }
    if (node->call_count >= node->options.call_count_max) {
        node->stats.full++;
        return KIRIM_EWOULDBLOCK;
    }
    call->tag_bytes = 0;
    if (call->body.bytes > 0) {
        const kirim_err err =
            node->options.env.random(node->options.env.user, call->tag, sizeof call->tag / 2);
        if (err < 0) {
            node->stats.no_memory++;
            return err;
        }
        call->tag_bytes = sizeof call->tag / 2;
    }
    struct kirim_coap_call **at = &peer->calls;
    while (*at != NULL) {
        at = &(*at)->next;
    }
    call->next = NULL;
    call->peer = peer;
    call->state = QUEUED;
    call->has_id = call->has_observe_id = false;
    call->is_registered = call->is_ending = call->is_fetching = false;
    call->sent_bytes = call->received_bytes = call->received_room = 0;
    call->received = NULL;
    call->echo_count = call->restart_count = call->echo_bytes = call->etag_bytes = 0;
    call->deadline_ns = KIRIM_NEVER;
    call->send_szx = call->szx < ki_coap_szx_max(peer) ? call->szx : ki_coap_szx_max(peer);
    call->receive_szx = call->send_szx;
    *at = call;
    node->call_count++;
    /* Failures are told from inside a turn: the first message leaves when the peer is pumped. */
    peer->deadline_ns = now_ns;
    node->options.env.changed(node->options.env.user, peer);
    return KIRIM_OK;
}

void ki_coap_call_end(struct kirim_coap_call *call, kirim_err err, uint64_t now_ns)
{
    struct kirim_coap_peer *const peer = call->peer;
    struct kirim_transactions *const table = &peer->node->transactions;
    struct kirim_coap_call **at = &peer->calls;
    while (*at != call) {
        at = &(*at)->next;
    }
    *at = call->next;
    peer->node->call_count--;
    if (peer->exchange.owner == call) {
        ki_coap_exchange_drop(peer, false, now_ns);
    }
    if (call->has_id) {
        (void)kirim_transactions_cancel(table, call->id, now_ns);
    }
    if (call->has_observe_id) {
        (void)kirim_transactions_cancel(table, call->observe_id, now_ns);
    }
    ki_coap_call_forget_body(call);
    call->state = 0;
    call->ended(call, err);
}

void ki_coap_calls_end(struct kirim_coap_peer *peer, kirim_err why, uint64_t now_ns)
{
    size_t count = 0;
    for (const struct kirim_coap_call *c = peer->calls; c != NULL; c = c->next) {
        count++;
    }
    /* Those that a callback starts stand behind them, and live. */
    for (; count > 0 && peer->calls != NULL; count--) {
        ki_coap_call_end(peer->calls, why, now_ns);
    }
}

void kirim_coap_call_cancel(struct kirim_coap_call *call, uint64_t now_ns)
{
    struct kirim_coap_peer *const peer = call->peer;
    if (call->state == 0 || call->state == FINISHING || call->is_ending) {
        return;
    }
    if (!call->is_registered) {
        ki_coap_call_end(call, KIRIM_EABORTED, now_ns);
    } else {
        if (peer->exchange.owner == call) {
            ki_coap_exchange_drop(peer, false, now_ns);
        }
        call->is_ending = true;
        call->is_fetching = false;
        call->state = QUEUED;
    }
    ki_coap_pump(peer, now_ns);
}

/* ---- sending --------------------------------------------------------------------------------- */

/* Whether a message of a call waits to be heard of: another one has to wait. */
static bool is_occupied(const struct kirim_coap_peer *peer)
{
    for (const struct kirim_coap_call *c = peer->calls; c != NULL; c = c->next) {
        if (c->state == SENT) {
            return true;
        }
    }
    return false;
}

/* Moves a call on; false: nothing happens to it now. It may have ended. */
static bool step(struct kirim_coap_call *call, uint64_t now_ns)
{
    struct kirim_coap_peer *const peer = call->peer;
    if (call->state == QUEUED && peer->is_ready && !is_occupied(peer) &&
        (call->type == KIRIM_COAP_NON || ki_coap_is_idle(peer))) {
        const kirim_err err = ki_coap_call_send(call, &peer->addr, now_ns);
        if (err == KIRIM_EWOULDBLOCK) {
            return false; /* no message id is free: later */
        }
        if (err < 0) {
            ki_coap_call_end(call, err, now_ns);
            return true;
        }
        call->state = is_group(peer) ? GATHERING : SENT;
        call->deadline_ns = now_ns + wait_of(call);
        return true;
    }
    if ((call->state == SENT || call->state == WAITING || call->state == GATHERING) &&
        call->deadline_ns <= now_ns) {
        ki_coap_call_end(
            call, call->state == GATHERING || call->is_ending ? KIRIM_OK : KIRIM_ETIMEDOUT, now_ns);
        return true;
    }
    if (call->state == OBSERVING && call->renew_ns <= now_ns) {
        call->state = QUEUED; /* what is known is old: the server may have forgotten */
        return true;
    }
    return false;
}

uint64_t ki_coap_calls_pump(struct kirim_coap_peer *peer, uint64_t now_ns)
{
    uint64_t deadline_ns = KIRIM_NEVER;
    struct kirim_coap_call *call = peer->calls;
    while (call != NULL) {
        if (step(call, now_ns)) {
            call = peer->calls; /* a callback may have changed the list */
        } else {
            call = call->next;
        }
    }
    for (call = peer->calls; call != NULL; call = call->next) {
        if (call->state == OBSERVING) {
            deadline_ns = ki_coap_min(deadline_ns, call->renew_ns);
        } else if (call->state != QUEUED) {
            deadline_ns = ki_coap_min(deadline_ns, call->deadline_ns);
        }
    }
    return deadline_ns;
}

void ki_coap_call_exchanged(struct kirim_coap_call *call, int how, uint64_t now_ns)
{
    const bool is_ping = call->method == KIRIM_COAP_EMPTY;
    if (how == KI_COAP_ACKED && !is_ping) {
        call->state = WAITING;
        call->deadline_ns = now_ns + wait_of(call);
    } else if (call->is_ending || (is_ping && how != KI_COAP_TIMED_OUT)) {
        ki_coap_call_end(call, KIRIM_OK, now_ns);
    } else {
        ki_coap_call_end(call, how == KI_COAP_TIMED_OUT ? KIRIM_ETIMEDOUT : KIRIM_ECONNRESET,
                         now_ns);
    }
}

void ki_coap_call_reset(struct kirim_coap_peer *peer, uint16_t id, uint64_t now_ns)
{
    for (struct kirim_coap_call *c = peer->calls; c != NULL; c = c->next) {
        if (c->state == SENT && c->message_id == id) {
            ki_coap_call_end(c, KIRIM_ECONNRESET, now_ns);
            return;
        }
    }
    peer->node->stats.ignored++;
}

/* ---- answers --------------------------------------------------------------------------------- */

/* Whether a notification is newer than what is known (RFC 7641 section 3.4). */
static bool is_fresh(const struct kirim_coap_call *call, uint32_t sequence, uint64_t now_ns)
{
    const uint32_t ahead = (sequence - call->sequence) & 0xffffff;
    return (ahead != 0 && ahead < 1U << 23) || now_ns - call->sequence_ns > stale_ns;
}

/* When to register again, should nothing come until then: at the end of the answer's life, and a
 * little later, by chance. */
static uint64_t renewal(const struct kirim_coap_call *call, uint32_t max_age_s, uint64_t now_ns)
{
    const struct kirim_coap_environment *const env = &call->peer->node->options.env;
    uint64_t random = 0;
    (void)env->random(env->user, &random, sizeof random); /* 0 will do */
    return now_ns + ((uint64_t)max_age_s + 5) * ns_per_s + random % (10 * ns_per_s);
}

/* Hands over an answer. The call may be gone after it. */
static void tell(struct kirim_coap_call *call, struct kirim_coap_answer *answer, uint64_t now_ns)
{
    const bool goes_on = call->is_registered && kirim_coap_class(answer->code) == 2;
    answer->is_notification = goes_on;
    call->peer->node->stats.responses++;
    if (goes_on) {
        call->state = OBSERVING;
        call->renew_ns = renewal(call, answer->fields->max_age_s, now_ns);
        call->is_fetching = false;
        if (call->answered != NULL) {
            call->answered(call, answer);
        }
        return;
    }
    call->state = FINISHING;
    if (call->has_id) {
        (void)kirim_transactions_answer(&call->peer->node->transactions, call->id, now_ns);
    }
    if (call->answered != NULL && !call->is_ending) {
        call->answered(call, answer);
    }
    ki_coap_call_end(call, KIRIM_OK, now_ns);
}

/* What an answer to a call's request means. */
static void take_answer(struct kirim_coap_call *call, struct kirim_coap_answer *answer,
                        uint64_t now_ns)
{
    const struct kirim_coap_fields *const f = answer->fields;
    const bool is_observed =
        (f->has & KIRIM_COAP_HAS_OBSERVE) != 0 && kirim_coap_class(answer->code) == 2;
    if (call->is_observing && !call->is_fetching) {
        call->is_registered = is_observed && !call->is_ending;
    }
    const kirim_err err = ki_coap_call_advance(call, answer->message, f, &answer->body);
    if (err == KIRIM_PENDING) {
        call->state = QUEUED;
    } else if (err < 0) {
        ki_coap_call_end(call, err, now_ns);
    } else {
        tell(call, answer, now_ns);
    }
}

/* An answer under the token of an observation. */
static void take_notification(struct kirim_coap_call *call, struct kirim_coap_answer *answer,
                              uint64_t now_ns)
{
    const struct kirim_coap_fields *const f = answer->fields;
    const bool has_number = (f->has & KIRIM_COAP_HAS_OBSERVE) != 0;
    if (call->is_registered && has_number && !is_fresh(call, f->observe, now_ns)) {
        call->peer->node->stats.ignored++;
        /* It also answers a registration that was renewed. */
        call->state = call->state == WAITING && !call->is_fetching ? OBSERVING : call->state;
        call->renew_ns =
            call->state == OBSERVING ? renewal(call, f->max_age_s, now_ns) : call->renew_ns;
        return;
    }
    if (call->is_ending && has_number) {
        return; /* it was under way */
    }
    if (has_number) {
        call->sequence = f->observe;
        call->sequence_ns = now_ns;
    }
    if (call->is_fetching && call->has_id) {
        /* The body that is being fetched is old. */
        (void)kirim_transactions_cancel(&call->peer->node->transactions, call->id, now_ns);
        call->has_id = false;
    }
    if (call->peer->exchange.owner == call) {
        ki_coap_exchange_drop(call->peer, true, now_ns);
    }
    call->is_fetching = false;
    take_answer(call, answer, now_ns);
}

/* An answer of a member of a group. One that wants an Echo gets it, by itself. */
static void gather(struct kirim_coap_call *call, const struct kirim_coap_answer *answer,
                   uint64_t now_ns)
{
    if (ki_coap_call_take_echo(call, answer->message, answer->fields)) {
        call->echo_count = 0; /* each member may ask, */
        if (call->restart_count >= GROUP_ECHO_COUNT_MAX) {
            call->peer->node->stats.full++; /* but none may have others sent to for ever */
            return;
        }
        call->restart_count++;
        (void)ki_coap_call_send(call, &answer->from, now_ns);
        call->echo_bytes = 0;
        return;
    }
    call->peer->node->stats.responses++;
    if (call->answered != NULL) {
        call->answered(call, answer);
    }
}

/* Says of a response that nobody waits for what there is to say. */
static void refuse(struct kirim_coap_peer *peer, const struct kirim_coap_arrival *arrival,
                   const struct kirim_coap_message *m, int known)
{
    peer->node->stats.ignored++;
    if (is_group(peer) || m->type == KIRIM_COAP_ACK || known == KIRIM_ANSWER_FORGED) {
        return;
    }
    if (known == KIRIM_ANSWER_DUPLICATE) {
        if (m->type == KIRIM_COAP_CON) {
            ki_coap_send_empty(peer, &arrival->from, KIRIM_COAP_ACK, m->id);
        }
        return;
    }
    ki_coap_send_empty(peer, &arrival->from, KIRIM_COAP_RST, m->id);
}

/* The call that waits for a response, or NULL. */
static struct kirim_coap_call *find_call(struct kirim_coap_peer *peer,
                                         const struct kirim_coap_arrival *arrival,
                                         const struct kirim_coap_message *m)
{
    void *user = NULL;
    int known = KIRIM_ANSWER_UNKNOWN;
    if (m->token_bytes == KIRIM_COAP_TOKEN_BYTES_MAX) {
        const struct kirim_addr *const from = is_group(peer) ? &arrival->from : &peer->addr;
        known = kirim_transactions_judge(&peer->node->transactions, from, id_of_token(m), &user);
    }
    struct kirim_coap_call *const call = user;
    if (known == KIRIM_ANSWER_AWAITED && call->peer != peer) {
        known = KIRIM_ANSWER_FORGED;
    } else if (known == KIRIM_ANSWER_AWAITED && m->type == KIRIM_COAP_ACK &&
               call->message_id != m->id) {
        known = KIRIM_ANSWER_LATE;
    }
    if (known != KIRIM_ANSWER_AWAITED) {
        refuse(peer, arrival, m, known);
        return NULL;
    }
    return call;
}

void ki_coap_call_input(struct kirim_coap_peer *peer, const struct kirim_coap_arrival *arrival,
                        const struct kirim_coap_message *m, uint64_t now_ns)
{
    struct kirim_coap_fields fields;
    struct kirim_coap_call *const call = find_call(peer, arrival, m);
    if (call == NULL) {
        return;
    }
    kirim_coap_fields_read(m, &fields);
    struct kirim_coap_answer answer = {
        .code = m->code, .from = arrival->from, .message = m, .fields = &fields, .body = m->payload
    };
    if (fields.bad_option != 0) {
        peer->node->stats.ignored++;
        if (m->type == KIRIM_COAP_CON) {
            ki_coap_send_empty(peer, &arrival->from, KIRIM_COAP_RST, m->id);
        }
        if (call->state != GATHERING) {
            ki_coap_call_end(call, KIRIM_EOPNOTSUPP, now_ns);
        }
        return;
    }
    if (m->type == KIRIM_COAP_CON) {
        ki_coap_send_empty(peer, &arrival->from, KIRIM_COAP_ACK, m->id);
    }
    if (call->state == GATHERING) {
        gather(call, &answer, now_ns);
    } else if (call->has_observe_id && id_of_token(m) == call->observe_id) {
        take_notification(call, &answer, now_ns);
    } else if (call->state == SENT || call->state == WAITING) {
        if (peer->exchange.owner == call) {
            ki_coap_exchange_drop(peer, true, now_ns); /* the response came before the ACK */
        }
        (void)kirim_transactions_answer(&peer->node->transactions, call->id, now_ns);
        call->has_id = false;
        take_answer(call, &answer, now_ns);
    } else {
        peer->node->stats.ignored++;
    }
}
