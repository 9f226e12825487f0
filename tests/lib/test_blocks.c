/* SPDX-License-Identifier: MIT
 *
 * Claims about the building blocks together, on a simulated network: a client that asks and a
 * server that counts, over links that lose, duplicate, delay and reorder. Each question is carried
 * out once at the most, and ends in its time; a server keeps nothing of who has not proven its
 * address; a flood of forged sources gets no more out than it puts in. On the same port a second
 * protocol, told apart by the first byte, brings numbered readings, of which none counts twice.
 *
 * The protocol: a type, an id of 2 bytes, a question of 1 byte, then a token or padding. The other
 * one: READING, and a number of 2 bytes. How seeds are chosen: support/storm.h.
 */
#include <kirim/kirim.h>

#include <string.h>

#include "reactors/sim_kit.h"
#include "support/storm.h"

#define SERVER "10.0.0.1:7000"

enum {
    ASK = 1,
    RETRY = 2,
    ANSWER = 3,
    READING = 0x80,
    QUESTIONS = KIRIM_MUX_OWN, /* the two protocols */
    READINGS = KIRIM_MUX_OWN + 1,
    READING_BYTES = 3,
    READING_COUNT = 200,
    HEADER_BYTES = 4,
    TOKEN_BYTES = KIRIM_TOKEN_OVERHEAD_BYTES,
    MESSAGE_BYTES = HEADER_BYTES + TOKEN_BYTES,
    QUESTION_COUNT = 40,
    OUTSTANDING_MAX = 4,
    SLOT_COUNT = 64
};

struct world;

/* A question of the client. */
struct question {
    struct world *world;
    struct kirim_timer timer;
    struct kirim_retransmit retransmit;
    uint64_t id;
    bool is_answered, is_over;
};

struct world {
    struct kit kit;
    struct kit_end *server, *client;
    /* the server */
    struct kirim_token_keys keys;
    struct kirim_limiter limiter;
    struct kirim_limiter_slot limiter_slots[SLOT_COUNT];
    struct kirim_duplicates duplicates;
    struct kirim_duplicate_slot duplicate_slots[SLOT_COUNT];
    uint8_t answers[SLOT_COUNT * HEADER_BYTES];
    bool forgets; /* a fault planted: the duplicate cache is not asked */
    unsigned carried_out[QUESTION_COUNT];
    struct kirim_mux mux;
    struct kirim_replay replay;
    uint64_t replay_words[KIRIM_REPLAY_WORDS(128)];
    bool believes; /* a fault planted: the replay window is not asked */
    unsigned counted[READING_COUNT];
    size_t verdicts[KIRIM_REPLAY_TOO_OLD + 1], strays;
    struct kirim_timer reading_timer;
    unsigned readings;
    /* the client */
    struct kirim_path path;
    struct kirim_transactions transactions;
    struct kirim_transaction_slot transaction_slots[2 * QUESTION_COUNT];
    struct question questions[QUESTION_COUNT];
    uint8_t token[TOKEN_BYTES];
    size_t token_bytes;
    size_t begun, answered, given_up;
};

static const struct kirim_retransmit_options schedule = {
    .max_ns = 4 * SECOND, .total_ns = 60 * SECOND, .send_count_max = 8, .jitter_permille = 500
};

static void send_to(struct kit_end *end, const struct kirim_addr *peer, const uint8_t *data,
                    size_t bytes)
{
    ck_assert_int_eq(kirim_endpoint_send_to(end->ep, data, bytes, peer), KIRIM_OK);
}

/* ---- server ---------------------------------------------------------------------------------- */

/* Nothing is kept of who sends no good token; the answer to him is no longer than his question. */
static void retry(struct world *w, const struct kirim_datagram *d, struct kirim_token_claim *claim)
{
    struct kirim_amplification budget = { 0 };
    uint8_t reply[MESSAGE_BYTES] = { RETRY };
    memcpy(reply + 1, d->data + 1, HEADER_BYTES - 1);
    ck_assert_int_eq(kirim_token_issue(&w->keys, claim, reply + HEADER_BYTES, TOKEN_BYTES),
                     KIRIM_OK);
    kirim_amplification_receive(&budget, d->bytes);
    if (kirim_amplification_send(&budget, sizeof reply)) {
        send_to(w->server, &d->peer, reply, sizeof reply);
    }
}

static void serve(struct world *w, const struct kirim_datagram *d)
{
    const uint64_t now_ns = kirim_loop_now(w->server->loop);
    struct kirim_token_claim claim = { .peer = &d->peer, .now_ns = now_ns };
    if (d->bytes != MESSAGE_BYTES || d->data[0] != ASK || d->data[3] >= QUESTION_COUNT ||
        kirim_limiter_judge(&w->limiter, &d->peer, now_ns, 1) == KIRIM_LIMITER_DROP) {
        return;
    }
    if (kirim_token_check(&w->keys, &claim, d->data + HEADER_BYTES, TOKEN_BYTES) != KIRIM_OK) {
        retry(w, d, &claim);
        return;
    }
    const struct kirim_request request = { .peer = d->peer,
                                           .id = (uint64_t)d->data[1] << 8 | d->data[2],
                                           .lifetime_ns = 120 * SECOND };
    uint8_t reply[HEADER_BYTES] = { ANSWER, d->data[1], d->data[2], d->data[3] };
    const uint8_t *kept = NULL;
    size_t kept_bytes = 0;
    if (!w->forgets && kirim_duplicates_see(&w->duplicates, &request, now_ns, &kept, &kept_bytes) !=
                           KIRIM_REQUEST_NEW) {
        ck_assert_uint_eq(kept_bytes, sizeof reply);
        ck_assert_mem_eq(kept, reply, sizeof reply);
        send_to(w->server, &d->peer, kept, kept_bytes);
        return;
    }
    w->carried_out[d->data[3]]++;
    (void)kirim_duplicates_answer(&w->duplicates, &request, reply, sizeof reply);
    send_to(w->server, &d->peer, reply, sizeof reply);
}

static void count_reading(struct world *w, const struct kirim_datagram *d)
{
    ck_assert_uint_eq(d->bytes, READING_BYTES);
    const unsigned number = (unsigned)d->data[1] << 8 | d->data[2];
    const int verdict = kirim_replay_judge(&w->replay, number);
    ck_assert_int_eq(kirim_replay_accept(&w->replay, number), verdict);
    ck_assert_uint_lt(number, READING_COUNT);
    w->verdicts[verdict]++;
    w->counted[number] += w->believes || verdict == KIRIM_REPLAY_NEW ? 1 : 0;
}

static void on_arrival(struct kit_end *end, const struct kirim_batch *batch)
{
    struct world *const w = end->ctx;
    for (size_t i = 0; i < batch->count; i++) {
        const struct kirim_datagram *const d = kirim_batch_at(batch, i);
        switch (kirim_mux_find(&w->mux, d->data, d->bytes)) {
        case QUESTIONS:
            serve(w, d);
            break;
        case READINGS:
            count_reading(w, d);
            break;
        default:
            w->strays++;
            break;
        }
    }
}

/* ---- client ---------------------------------------------------------------------------------- */

static void ask(struct question *q)
{
    struct world *const w = q->world;
    const struct kirim_addr server = kit_addr(SERVER);
    uint8_t message[MESSAGE_BYTES] = { ASK, (uint8_t)(q->id >> 8), (uint8_t)q->id,
                                       (uint8_t)(q - w->questions) };
    memcpy(message + HEADER_BYTES, w->token, w->token_bytes);
    send_to(w->client, &server, message, sizeof message);
    ck_assert_int_eq(kirim_timer_arm(w->client->loop, &q->timer, q->retransmit.deadline_ns),
                     KIRIM_OK);
}

/* Begins as many questions as the path allows. */
static void begin_questions(struct world *w)
{
    const uint64_t now_ns = kirim_loop_now(w->client->loop);
    const struct kirim_addr server = kit_addr(SERVER);
    while (w->begun < QUESTION_COUNT) {
        struct question *const q = &w->questions[w->begun];
        uint64_t random = 0;
        ck_assert_int_eq(kirim_loop_random(w->client->loop, &random, sizeof random), KIRIM_OK);
        if (kirim_retransmit_start(&q->retransmit, now_ns, random) == KIRIM_EBUSY) {
            return;
        }
        ck_assert_int_eq(
            kirim_transactions_begin(&w->transactions, &server, KIRIM_NEVER, q, &q->id), KIRIM_OK);
        w->begun++;
        ask(q);
    }
}

static void end_question(struct question *q, bool is_answered)
{
    struct world *const w = q->world;
    ck_assert(!q->is_over);
    q->is_over = true;
    q->is_answered = is_answered;
    w->answered += is_answered ? 1 : 0;
    w->given_up += is_answered ? 0 : 1;
    kirim_timer_cancel(&q->timer);
    begin_questions(w);
}

static void on_timer(struct kirim_timer *timer)
{
    struct question *const q = timer->user;
    const uint64_t now_ns = kirim_loop_now(q->world->client->loop);
    const int verdict = kirim_retransmit_expire(&q->retransmit, now_ns);
    ck_assert_uint_le(q->world->path.outstanding, OUTSTANDING_MAX);
    if (verdict == KIRIM_RETRANSMIT_SEND) {
        ask(q);
    } else {
        ck_assert_int_eq(verdict, KIRIM_RETRANSMIT_GIVE_UP);
        ck_assert_int_eq(kirim_transactions_cancel(&q->world->transactions, q->id, now_ns),
                         KIRIM_OK);
        end_question(q, false);
    }
}

static void take(struct world *w, const struct kirim_datagram *d)
{
    const uint64_t now_ns = kirim_loop_now(w->client->loop);
    const uint64_t id = (uint64_t)d->data[1] << 8 | d->data[2];
    void *user = NULL;
    ck_assert_uint_ge(d->bytes, HEADER_BYTES);
    if (kirim_transactions_judge(&w->transactions, &d->peer, id, &user) != KIRIM_ANSWER_AWAITED) {
        return;
    }
    struct question *const q = user;
    ck_assert_uint_eq(d->data[3], (uint64_t)(q - w->questions));
    if (d->data[0] == RETRY) {
        const bool is_first = w->token_bytes == 0;
        ck_assert_uint_eq(d->bytes, MESSAGE_BYTES);
        memcpy(w->token, d->data + HEADER_BYTES, TOKEN_BYTES);
        w->token_bytes = TOKEN_BYTES;
        if (is_first) {
            ask(q);
        }
        return;
    }
    kirim_retransmit_answer(&q->retransmit, now_ns);
    ck_assert_int_eq(kirim_transactions_answer(&w->transactions, id, now_ns), KIRIM_OK);
    end_question(q, true);
}

static void on_answer(struct kit_end *end, const struct kirim_batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        take(end->ctx, kirim_batch_at(batch, i));
    }
}

/* ---- worlds ---------------------------------------------------------------------------------- */

static void open_server(struct world *w)
{
    const uint8_t key[KIRIM_SIPHASH_KEY_BYTES] = { 1 };
    struct kirim_limiter_options limiter = KIRIM_LIMITER_OPTIONS_INIT;
    const struct kirim_duplicates_options duplicates = { .slots = w->duplicate_slots,
                                                         .slot_count = SLOT_COUNT,
                                                         .answer_bytes_max = HEADER_BYTES,
                                                         .answers = w->answers,
                                                         .key = { 2 } };
    limiter.slots = w->limiter_slots;
    limiter.slot_count = SLOT_COUNT;
    limiter.slip = 0;
    ck_assert_int_eq(kirim_token_keys_init(&w->keys, key, 600), KIRIM_OK);
    ck_assert_int_eq(kirim_limiter_init(&w->limiter, &limiter), KIRIM_OK);
    ck_assert_int_eq(kirim_duplicates_init(&w->duplicates, &duplicates), KIRIM_OK);
    ck_assert_int_eq(kirim_mux_add(&w->mux, ASK, ASK, QUESTIONS), KIRIM_OK);
    ck_assert_int_eq(kirim_mux_add(&w->mux, READING, READING, READINGS), KIRIM_OK);
    ck_assert_int_eq(kirim_replay_init(&w->replay, w->replay_words, KIRIM_REPLAY_WORDS(128)),
                     KIRIM_OK);
    w->server->on_received = on_arrival;
    w->server->ctx = w;
}

static void open_client(struct world *w)
{
    const struct kirim_rtt_options rtt = { SECOND, 100 * MS, 10 * SECOND, MS };
    struct kirim_transactions_options options = KIRIM_TRANSACTIONS_OPTIONS_INIT;
    options.slots = w->transaction_slots;
    options.slot_count = 2 * QUESTION_COUNT;
    ck_assert_int_eq(kirim_loop_random(w->client->loop, options.key, sizeof options.key), KIRIM_OK);
    ck_assert_int_eq(kirim_transactions_init(&w->transactions, &options), KIRIM_OK);
    ck_assert_int_eq(kirim_path_init(&w->path, &rtt, OUTSTANDING_MAX), KIRIM_OK);
    for (size_t i = 0; i < QUESTION_COUNT; i++) {
        struct question *const q = &w->questions[i];
        q->world = w;
        q->timer = (struct kirim_timer)KIRIM_TIMER_INIT(on_timer, q);
        q->retransmit = (struct kirim_retransmit)KIRIM_RETRANSMIT_INIT(&schedule, &w->path);
    }
    w->client->on_received = on_answer;
    w->client->ctx = w;
}

static void open_world(struct world *w, uint64_t seed)
{
    struct kirim_link_rules link = KIRIM_SIM_LINK_INIT;
    memset(w, 0, sizeof *w);
    link.delay_ns = 20 * MS;
    link.jitter_ns = 10 * MS;
    link.loss_ppm = 200000;
    link.duplicate_ppm = 200000;
    link.reorder_ppm = 200000;
    link.reorder_ns = 50 * MS;
    kit_open(&w->kit, seed);
    struct kit_host *const server = kit_host(&w->kit, "server", "10.0.0.1", NULL);
    struct kit_host *const client = kit_host(&w->kit, "client", "10.0.0.2", NULL);
    kit_link(&w->kit, NULL, NULL, link);
    w->server = kit_bind(server, SERVER, 0);
    w->client = kit_bind(client, "10.0.0.2:0", 0);
    open_server(w);
    open_client(w);
}

/* Asks everything; the longest that may take: each has `total_ns`, OUTSTANDING_MAX at a time. */
static void run_world(struct world *w)
{
    begin_questions(w);
    kit_run(&w->kit, QUESTION_COUNT / OUTSTANDING_MAX * schedule.total_ns);
    kit_close(&w->kit);
}

static bool is_any_repeated(const struct world *w)
{
    for (size_t i = 0; i < QUESTION_COUNT; i++) {
        if (w->carried_out[i] > 1) {
            return true;
        }
    }
    return false;
}

/* What came of all storms. */
struct storms {
    uint64_t count, answered, duplicates;
};

static void run_storm(struct kirim_trial *trial, void *user)
{
    static struct world w;
    struct storms *const storms = user;
    open_world(&w, kirim_trial_seed(trial));
    storm_join(w.kit.sim);
    run_world(&w);
    KIRIM_TRIAL_EXPECT(trial, !is_any_repeated(&w));
    KIRIM_TRIAL_EXPECT(trial, w.answered + w.given_up == QUESTION_COUNT);
    KIRIM_TRIAL_EXPECT(trial, w.path.outstanding == 0);
    KIRIM_TRIAL_EXPECT(trial, w.transactions.open_count == 0);
    KIRIM_TRIAL_EXPECT(trial, w.duplicates.stats.displaced == 0);
    for (size_t i = 0; i < QUESTION_COUNT; i++) {
        KIRIM_TRIAL_EXPECT(trial, !w.questions[i].is_answered || w.carried_out[i] == 1);
    }
    storms->count++;
    storms->answered += w.answered;
    storms->duplicates += w.transactions.stats.answers[KIRIM_ANSWER_DUPLICATE];
}

START_TEST(question_is_carried_out_once_and_ends_in_time)
{
    struct storms storms = { 0, 0, 0 };
    if (storm_run(run_storm, &storms) >= STORM_SEEDS) {
        /* 8 transmissions, of which 0.36 are lost on the way there or back: 0.0003 are given up. */
        ck_assert_uint_ge(storms.answered, storms.count * QUESTION_COUNT * 995 / 1000);
        ck_assert_uint_gt(storms.duplicates, 0);
    }
}
END_TEST

/* A server that forgets what it has carried out is caught with each seed. */
START_TEST(fault_planted_in_the_server_is_found)
{
    static struct world w;
    open_world(&w, (uint64_t)_i + 1);
    w.forgets = true;
    run_world(&w);
    ck_assert(is_any_repeated(&w));
}
END_TEST

/* A reading each millisecond, and now and then something of nobody's. */
static void send_reading(struct kirim_timer *timer)
{
    struct world *const w = timer->user;
    const struct kirim_addr server = kit_addr(SERVER);
    const uint8_t reading[READING_BYTES] = { READING, (uint8_t)(w->readings >> 8),
                                             (uint8_t)w->readings };
    send_to(w->client, &server, reading, sizeof reading);
    if (w->readings % 8 == 0) {
        send_to(w->client, &server, reading + 1, 1); /* the first bytes are 0 */
    }
    if (++w->readings < READING_COUNT) {
        ck_assert_int_eq(kirim_timer_arm_after(w->client->loop, timer, MS), KIRIM_OK);
    }
}

/* Questions and readings to the same port. Returns how many readings counted more than once. */
static size_t run_both(struct world *w, uint64_t seed, bool believes)
{
    size_t repeated = 0;
    open_world(w, seed);
    w->believes = believes;
    w->reading_timer = (struct kirim_timer)KIRIM_TIMER_INIT(send_reading, w);
    ck_assert_int_eq(kirim_timer_arm_after(w->client->loop, &w->reading_timer, MS), KIRIM_OK);
    begin_questions(w);
    kit_run(&w->kit, QUESTION_COUNT / OUTSTANDING_MAX * schedule.total_ns);
    kit_close(&w->kit);
    for (size_t i = 0; i < READING_COUNT; i++) {
        repeated += w->counted[i] > 1 ? 1 : 0;
    }
    return repeated;
}

START_TEST(two_protocols_share_a_port)
{
    static struct world w;
    size_t counted = 0;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        ck_assert_uint_eq(run_both(&w, seed, false), 0);
        ck_assert(!is_any_repeated(&w));
        ck_assert_uint_eq(w.answered + w.given_up, QUESTION_COUNT);
        ck_assert_uint_gt(w.verdicts[KIRIM_REPLAY_DUPLICATE], 0);
        ck_assert_uint_gt(w.strays, 0);
        counted += w.verdicts[KIRIM_REPLAY_NEW];
        ck_assert_uint_gt(run_both(&w, seed, true), 0); /* a fault planted */
    }
    /* A fifth is lost; what is 128 behind, by 50 ms of disorder, is not there. */
    ck_assert_uint_ge(counted, 10 * READING_COUNT * 7 / 10);
}
END_TEST

START_TEST(timeout_follows_the_round_trip)
{
    static struct world w;
    open_world(&w, 1);
    run_world(&w);
    ck_assert_uint_ge(w.path.rtt.least_ns, 40 * MS);
    ck_assert_uint_le(w.path.rtt.least_ns, 60 * MS);
    ck_assert_uint_ge(w.path.rtt.smoothed_ns, 40 * MS);
    ck_assert_uint_le(w.path.rtt.smoothed_ns, 400 * MS);
}
END_TEST

/* 20,000 questions without a token: nothing is kept, and no more bytes leave than came. */
START_TEST(flood_without_tokens_leaves_nothing_behind)
{
    enum { FLOOD_COUNT = 20000, PER_MS = 10 };
    static struct world w;
    struct kirim_link_rules link = KIRIM_SIM_LINK_INIT;
    const uint8_t message[MESSAGE_BYTES] = { ASK, 1, 2, 3 };
    const struct kirim_addr server = kit_addr(SERVER);
    open_world(&w, 1);
    kit_link(&w.kit, NULL, NULL, link);
    for (unsigned i = 0; i < FLOOD_COUNT; i++) {
        send_to(w.client, &server, message, sizeof message);
        if (i % PER_MS == 0) {
            kit_run(&w.kit, MS);
        }
    }
    kit_run(&w.kit, SECOND);
    ck_assert_uint_eq(w.duplicates.stats.fresh, 0);
    ck_assert_uint_eq(w.server->rx_count, FLOOD_COUNT);
    ck_assert_uint_le(w.client->rx_count, 100 + 100 * 2); /* a burst, and two seconds */
    ck_assert_uint_ge(w.client->rx_count, 100 + 100 * 2 - 10);
    for (size_t i = 0; i < w.client->rx_count; i++) {
        ck_assert_uint_le(w.client->rx[i].bytes, sizeof message);
    }
    kit_close(&w.kit);
}
END_TEST

int main(int argc, char **argv)
{
    const struct kit_claim claims[] = {
        { question_is_carried_out_once_and_ends_in_time, 0 },
        { fault_planted_in_the_server_is_found, 5 },
        { two_protocols_share_a_port, 0 },
        { timeout_follows_the_round_trip, 0 },
        { flood_without_tokens_leaves_nothing_behind, 0 },
        { NULL, 0 },
    };
    return storm_main(argc, argv, "blocks", claims);
}
