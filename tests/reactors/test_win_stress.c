/* SPDX-License-Identifier: MIT
 *
 * Load on one Winsock reactor, which the command line names: many endpoints, bursts, closes inside
 * callbacks, other threads, many cycles. Order is kept for each peer, nothing is lost unreported,
 * and neither handles nor memory grow.
 *
 * Loads are counted, not timed, and are small enough for a system that moves 2,000 datagrams a
 * second; no burst is longer than what the receive buffer holds. Status 77: this build has no such
 * reactor.
 */
#include "support/ks.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <windows.h>

#include <psapi.h>

static const char *reactor;

/* Loops of the tests run over both families. */
enum { FAMILY_COUNT = 2 };

static void init(struct ks *t, int family_index)
{
    ks_init(t, reactor, family_index == 0 ? KIRIM_IPV4 : KIRIM_IPV6);
    t->patience_ns = 30ULL * KS_SECOND_NS;
}

/* Handles of this process. There are systems (Wine 8) that say 0: there each number that may be one
 * is looked at. */
static uint32_t count_handles(void)
{
    enum { STEP = 4, VALUE_MAX = 4096 * STEP };
    DWORD count = 0;
    uint32_t found = 0;
    KS_CHECK(GetProcessHandleCount(GetCurrentProcess(), &count));
    for (uintptr_t value = STEP; count == 0 && value < VALUE_MAX; value += STEP) {
        DWORD flags;
        found += GetHandleInformation((HANDLE)value, &flags) != 0;
    }
    return count != 0 ? count : found;
}

/* ---- many endpoints -------------------------------------------------------------------------- */

/* What `to` has received is the numbers of `from`, in order, and nothing else. */
static void expect_all_of(struct ks_node *to, const struct ks_node *from, uint32_t count)
{
    KS_EXPECT_NUMBERS(to, 0, count);
    KS_EQ(count, to->rx_count);
    KS_EQ(0, to->failed_count);
    for (size_t i = 0; i < to->rx_count; i++) {
        KS_CHECK(kirim_addr_equal(&to->rx[i].peer, &from->addr));
    }
}

/* In a ring: each sends to the next one. */
START_TEST(thousand_endpoints_hear_their_peers_in_order)
{
    enum { COUNT = 1000, ROUNDS = 3 };
    static struct ks_node *nodes[COUNT];
    struct ks t;
    init(&t, 0);
    ks_open(&t);
    for (int i = 0; i < COUNT; i++) {
        nodes[i] = ks_node(&t);
    }
    for (uint32_t number = 0; number < ROUNDS; number++) {
        for (int i = 0; i < COUNT; i++) {
            ks_send_number(nodes[i], number, &nodes[(i + 1) % COUNT]->addr);
        }
        ks_turn(&t);
    }
    for (int i = 0; i < COUNT; i++) {
        expect_all_of(nodes[(i + 1) % COUNT], nodes[i], ROUNDS);
    }
    for (int i = 0; i < COUNT; i += 2) { /* the loop's end closes the others */
        ks_node_close(nodes[i]);
    }
    for (int i = 0; i < COUNT; i += 2) {
        KS_UNTIL(&t, nodes[i]->closed_count == 1);
    }
    ks_send_number(nodes[1], ROUNDS, &nodes[COUNT - 1]->addr);
    KS_EXPECT_NUMBERS(nodes[COUNT - 1], ROUNDS, 1);
    ks_close(&t);
}
END_TEST

/* ---- bursts ---------------------------------------------------------------------------------- */

enum {
    PEERS = 4,
    DEPTH = 256, /* datagrams of a burst */
    BURSTS = 8,
    SLOTS = 1024,  /* receive buffers of the loop, of which one endpoint gets a part */
    ROOM = 1 << 20 /* bytes of the system's receive buffer */
};

/* The peer that a datagram came from. */
static int peer_of(struct ks_node *const *peers, const struct kirim_addr *addr)
{
    int i = 0;
    while (i < PEERS && !kirim_addr_equal(&peers[i]->addr, addr)) {
        i++;
    }
    KS_CHECK(i < PEERS);
    return i;
}

START_TEST(bursts_keep_each_peer_s_order)
{
    struct kirim_loop_options loop_options = KIRIM_LOOP_OPTIONS_INIT;
    struct ks_node *peers[PEERS];
    uint32_t next[PEERS] = { 0 };
    struct ks t;
    init(&t, _i);
    loop_options.receive_slot_count = SLOTS;
    loop_options.datagram_bytes_max = 2048;
    KS_OK(ks_try_open(&t, &loop_options));
    struct kirim_endpoint_options options = ks_endpoint_options(&t);
    options.receive_buffer_bytes = ROOM;
    struct ks_node *to = ks_node_with(&t, &options);
    for (int i = 0; i < PEERS; i++) {
        peers[i] = ks_node(&t);
    }
    for (uint32_t burst = 0; burst < BURSTS; burst++) {
        for (uint32_t k = 0; k < DEPTH; k++) {
            ks_send_number(peers[k % PEERS], burst * (DEPTH / PEERS) + k / PEERS, &to->addr);
        }
        KS_UNTIL(&t, to->rx_count >= (burst + 1) * DEPTH);
    }
    KS_EQ(BURSTS * DEPTH, to->rx_count);
    if (strcmp(reactor, "completion") == 0) { /* where calls go ahead of what they receive */
        ks_turn(&t);
        KS_CHECK(ks_stats(to).rx_calls >= BURSTS * DEPTH + DEPTH);
    }
    for (size_t i = 0; i < to->rx_count; i++) {
        KS_EQ(next[peer_of(peers, &to->rx[i].peer)]++, ks_rx_number(&to->rx[i]));
    }
    to->rx_read = to->rx_count;
    KS_EXPECT_END(to, peers[0]);
    ks_close(&t);
}
END_TEST

/* ---- closes inside callbacks -----------------------------------------------------------------
 *
 * Tokens hop between cells at random. A cell closes its endpoint, or another cell's, inside its
 * callbacks, and opens a new one inside `closed`. A token on its way is heard once, or its drop was
 * counted, or the endpoint that it was sent to has closed: then the test sends it anew.
 */

enum { CELLS = 24, TOKENS = 48, HOPS = 1500, TOKEN_BYTES = 12 };

struct cell {
    struct ks_node *n; /* NULL between the close and the next open */
    uint32_t generation;
};

enum token_state { AT_REST, TRAVELLING };

struct token {
    enum token_state state;
    uint32_t to;         /* cell */
    uint32_t generation; /* of that cell as it was sent */
    uint32_t hop;
    uint8_t bytes[TOKEN_BYTES];
    struct ks_op *op;
};

static struct ring {
    struct ks t;
    struct cell cells[CELLS];
    struct token tokens[TOKENS];
    uint32_t random;
    uint32_t hops;
    uint32_t closes;
    uint64_t drops;
} ring;

static uint32_t pick(uint32_t below)
{
    ring.random = ring.random * 1664525U + 1013904223U;
    return (ring.random >> 8) % below;
}

/* A cell with an endpoint, from a random one on; CELLS if there is none. */
static uint32_t pick_cell(void)
{
    const uint32_t first = pick(CELLS);
    for (uint32_t i = 0; i < CELLS; i++) {
        if (ring.cells[(first + i) % CELLS].n != NULL) {
            return (first + i) % CELLS;
        }
    }
    return CELLS;
}

/* Sends a token from a cell to another one; with its operation, unless that still serves its last
 * hop, or by a copy. It rests if nobody is there. */
static void launch(struct token *token, struct ks_node *from)
{
    const uint32_t to = pick_cell();
    token->state = AT_REST;
    if (to == CELLS || ring.hops >= HOPS) {
        return;
    }
    uint8_t copy[TOKEN_BYTES];
    const bool has_op = !kirim_op_is_pending(&token->op->op);
    uint8_t *bytes = has_op ? token->bytes : copy;
    ring.hops++;
    token->state = TRAVELLING;
    token->to = to;
    token->generation = ring.cells[to].generation;
    token->hop++;
    ks_number(bytes, (uint32_t)(token - ring.tokens));
    ks_number(bytes + 4, token->generation * CELLS + to);
    ks_number(bytes + 8, token->hop);
    const kirim_err err =
        ks_send(from, bytes, TOKEN_BYTES, &ring.cells[to].n->addr, has_op ? token->op : NULL);
    KS_ERR(has_op ? KIRIM_PENDING : KIRIM_OK, err);
}

static void close_cell(struct cell *cell)
{
    ring.closes++;
    ks_node_close(cell->n);
    cell->n = NULL;
    cell->generation++;
}

static uint32_t number_at(const struct kirim_datagram *d, size_t offset)
{
    struct ks_rx rx;
    memcpy(rx.head, d->data + offset, KS_NUMBER_BYTES);
    return ks_rx_number(&rx);
}

static void on_tokens(struct ks_node *n, const struct kirim_batch *batch)
{
    struct cell *cell = n->ctx;
    const uint32_t place = cell->generation * CELLS + (uint32_t)(cell - ring.cells);
    uint32_t fate = 0;
    for (size_t i = 0; i < batch->count; i++) {
        const struct kirim_datagram *d = kirim_batch_at(batch, i);
        KS_EQ(TOKEN_BYTES, d->bytes);
        if (number_at(d, 4) != place) {
            continue; /* to an endpoint that had this port before */
        }
        struct token *token = &ring.tokens[number_at(d, 0) % TOKENS];
        KS_CHECK(token->state == TRAVELLING);
        KS_EQ(token->hop, number_at(d, 8));
        fate = token->hop;
        launch(token, n);
    }
    if (fate % 5 == 4) {
        close_cell(cell);
    } else if (fate % 7 == 6) {
        const uint32_t other = pick_cell();
        if (other != CELLS) {
            close_cell(&ring.cells[other]);
        }
    }
}

static void on_token_sent(struct ks_op *o)
{
    const struct token *token = o->ctx;
    struct cell *cell = &ring.cells[(token->to + 1) % CELLS];
    if (token->hop % 11 == 10 && cell->n != NULL) {
        close_cell(cell);
    }
}

static void open_cell(struct cell *cell);

static void on_cell_closed(struct ks_node *n)
{
    ring.drops += ks_drops(&n->last_stats);
    open_cell(n->ctx);
}

static void open_cell(struct cell *cell)
{
    if (ring.hops < HOPS) {
        cell->n = ks_node(&ring.t);
        cell->n->ctx = cell;
        cell->n->on_received = on_tokens;
        cell->n->on_closed = on_cell_closed;
    }
}

/* Sends anew what went to an endpoint that has closed. Returns how many are on their way. */
static uint32_t relaunch(void)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < TOKENS; i++) {
        struct token *token = &ring.tokens[i];
        const struct cell *cell = &ring.cells[token->to];
        const uint32_t from = pick_cell();
        if (token->state == TRAVELLING && cell->generation != token->generation) {
            token->state = AT_REST;
        }
        if (token->state == AT_REST && from != CELLS) {
            launch(token, ring.cells[from].n);
        }
        count += token->state == TRAVELLING;
    }
    return count;
}

START_TEST(what_is_sent_among_closing_endpoints_arrives_or_is_reported)
{
    memset(&ring, 0, sizeof ring);
    init(&ring.t, _i);
    ks_open(&ring.t);
    for (int i = 0; i < CELLS; i++) {
        open_cell(&ring.cells[i]);
    }
    for (int i = 0; i < TOKENS; i++) {
        ring.tokens[i].op = ks_op(&ring.t, 0);
        ring.tokens[i].op->ctx = &ring.tokens[i];
        ring.tokens[i].op->hook = on_token_sent;
    }
    KS_UNTIL(&ring.t, relaunch() <= ring.drops && ring.hops >= HOPS);
    KS_CHECK(ring.closes >= HOPS / 20);
    ks_close(&ring.t);
}
END_TEST

/* ---- other threads --------------------------------------------------------------------------- */

enum { THREADS = 4, POSTS = 150, POSTS_FEW = 10, ECHOES = 600, WINDOW = 16 };

struct sender;

struct letter {
    struct kirim_post post;
    struct sender *from;
    uint32_t number;
};

/* Lives as long as the process: a failing test leaves its threads behind. */
static struct sender {
    struct ks *t;
    struct kirim_remote *remote;
    pthread_t thread;
    struct letter letters[POSTS];
    uint32_t count; /* of them that are used */
    atomic_uint seen;
    atomic_uint refused;
} senders[THREADS];

static void on_letter(struct kirim_post *post, struct kirim_loop *loop, kirim_err err)
{
    const struct letter *letter = post->user;
    struct sender *s = letter->from;
    ks_enter(s->t, 0);
    KS_CHECK(loop == s->t->loop);
    KS_OK(err);
    KS_EQ(atomic_load(&s->seen), letter->number); /* each thread's in their order, each once */
    atomic_fetch_add(&s->seen, 1);
    ks_leave(s->t);
}

/* Every other post is waited for, so that a wake that was lost would stop it; the others meet. */
static void *post_all(void *context)
{
    struct sender *s = context;
    for (uint32_t i = 0; i < s->count; i++) {
        const bool has_failed = kirim_remote_post(s->remote, &s->letters[i].post) != KIRIM_OK ||
                                kirim_remote_wake(s->remote) != KIRIM_OK;
        atomic_fetch_add(&s->refused, has_failed);
        while (i % 2 == 0 && !has_failed && atomic_load(&s->seen) <= i) {
            (void)sched_yield();
        }
    }
    return NULL;
}

static void start_senders(struct ks *t, uint32_t count)
{
    memset(senders, 0, sizeof senders);
    for (int i = 0; i < THREADS; i++) {
        struct sender *s = &senders[i];
        s->t = t;
        s->count = count;
        s->remote = kirim_loop_remote(t->loop);
        for (uint32_t k = 0; k < count; k++) {
            s->letters[k].post = (struct kirim_post)KIRIM_POST_INIT(on_letter, &s->letters[k]);
            s->letters[k].from = s;
            s->letters[k].number = k;
        }
        KS_EQ(0, pthread_create(&s->thread, NULL, post_all, s));
    }
}

static bool have_all_run(void)
{
    uint32_t missing = 0;
    for (int i = 0; i < THREADS; i++) {
        missing += senders[i].count - atomic_load(&senders[i].seen);
    }
    return missing == 0;
}

static void join_senders(void)
{
    for (int i = 0; i < THREADS; i++) {
        KS_EQ(0, pthread_join(senders[i].thread, NULL));
        kirim_remote_release(senders[i].remote);
        KS_EQ(0, atomic_load(&senders[i].refused));
    }
}

/* Sends back what came. */
static void on_call(struct ks_node *n, const struct kirim_batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        const struct kirim_datagram *d = kirim_batch_at(batch, i);
        ks_send_number(n, number_at(d, 0), &d->peer);
    }
}

/* Keeps the window full; its numbers come back in order. */
static void on_answer(struct ks_node *n, const struct kirim_batch *batch)
{
    const size_t first = n->rx_count - batch->count;
    for (size_t i = first; i < n->rx_count; i++) {
        KS_EQ(i, ks_rx_number(&n->rx[i]));
        if (i + WINDOW < ECHOES) {
            ks_send_number(n, (uint32_t)(i + WINDOW), n->ctx);
        }
    }
}

START_TEST(four_threads_post_and_wake_beside_traffic)
{
    static struct ks t;
    init(&t, _i);
    ks_open(&t);
    struct ks_node *a = ks_node(&t);
    struct ks_node *b = ks_node(&t);
    a->on_received = on_answer;
    a->ctx = &b->addr;
    b->on_received = on_call;
    start_senders(&t, POSTS);
    for (uint32_t i = 0; i < WINDOW; i++) {
        ks_send_number(a, i, &b->addr);
    }
    KS_UNTIL(&t, a->rx_count == ECHOES && have_all_run());
    join_senders();
    KS_EQ(ECHOES, b->rx_count);
    struct kirim_loop_stats s = KIRIM_LOOP_STATS_INIT;
    KS_OK(kirim_loop_read_stats(t.loop, &s));
    KS_EQ(THREADS * POSTS, s.posts);
    KS_CHECK(s.wakes > 0);
    ks_close(&t);
}
END_TEST

/* ---- growth ---------------------------------------------------------------------------------- */

enum { WARM_CYCLES = 3, CYCLES = 20, CYCLE_NODES = 20 };

/* A handle that the run-time library makes late, as when threads first meet at a lock, is no
 * growth: that would be one in each cycle. */
static void check_growth(uint32_t before)
{
    const uint32_t now = count_handles();
    if (now >= before + CYCLES / 2) {
        KS_FAIL("%u handles have become %u", (unsigned)before, (unsigned)now);
    }
}

/* Opens endpoints on a loop, sends from each to each neighbour, closes them. */
static void cycle_endpoints(struct ks *t)
{
    struct ks_node *nodes[CYCLE_NODES];
    struct ks_op *op = ks_op(t, 0);
    for (int i = 0; i < CYCLE_NODES; i++) {
        nodes[i] = ks_node(t);
    }
    for (int i = 0; i < CYCLE_NODES; i++) {
        ks_send_number(nodes[i], 0, &nodes[(i + 1) % CYCLE_NODES]->addr);
    }
    KS_ERR(KIRIM_PENDING, ks_send(nodes[0], "x", 1, &nodes[1]->addr, op));
    for (int i = 0; i < CYCLE_NODES; i++) {
        KS_EXPECT_NUMBERS(nodes[i], 0, 1);
    }
    KS_UNTIL(t, op->done_count == 1);
    for (int i = 0; i < CYCLE_NODES; i++) {
        ks_node_close(nodes[i]);
    }
    for (int i = 0; i < CYCLE_NODES; i++) {
        KS_UNTIL(t, nodes[i]->closed_count == 1);
    }
}

START_TEST(endpoints_that_come_and_go_leave_neither_handles_nor_memory)
{
    struct ks t;
    init(&t, _i);
    ks_open(&t);
    for (int i = 0; i < WARM_CYCLES; i++) {
        cycle_endpoints(&t);
    }
    const uint32_t handles = count_handles();
    const size_t blocks = t.memory.blocks;
    const size_t bytes = t.memory.bytes;
    for (int i = 0; i < CYCLES; i++) {
        cycle_endpoints(&t);
        if (!KIRIM_CHECKS) { /* a build with them keeps a tombstone of each endpoint */
            KS_EQ(blocks, t.memory.blocks);
            KS_EQ(bytes, t.memory.bytes);
        }
    }
    check_growth(handles);
    ks_close(&t);
}
END_TEST

static void cycle_loop(int family_index)
{
    static struct ks t;
    init(&t, family_index);
    ks_open(&t);
    cycle_endpoints(&t);
    start_senders(&t, POSTS_FEW);
    KS_UNTIL(&t, have_all_run());
    join_senders();
    struct ks_node *left = ks_node(&t); /* open, and with something on its way, as the loop ends */
    ks_send_number(left, 0, &left->addr);
    ks_close(&t);
}

static void print_memory(const char *when)
{
    PROCESS_MEMORY_COUNTERS memory = { .cb = sizeof memory };
    if (GetProcessMemoryInfo(GetCurrentProcess(), &memory, sizeof memory)) {
        printf("%s: %lu handles, %lu KiB committed\n", when, (unsigned long)count_handles(),
               (unsigned long)(memory.PagefileUsage / 1024));
    }
}

/* ks_close() has seen that all memory came back. */
START_TEST(loops_that_come_and_go_leave_no_handles)
{
    for (int i = 0; i < WARM_CYCLES; i++) {
        cycle_loop(_i);
    }
    const uint32_t handles = count_handles();
    print_memory("before");
    for (int i = 0; i < CYCLES; i++) {
        cycle_loop(_i);
    }
    print_memory("after");
    check_growth(handles);
}
END_TEST

/* ---- the program ----------------------------------------------------------------------------- */

static bool is_built_in(const char *name)
{
    size_t i = 0;
    while (kirim_reactor_name(i) != NULL && strcmp(kirim_reactor_name(i), name) != 0) {
        i++;
    }
    return kirim_reactor_name(i) != NULL;
}

int main(int argc, char **argv)
{
    enum { STATUS_SKIPPED = 77 };
    if (argc != 2) {
        fputs("usage: test_reactors_win_stress REACTOR\n", stderr);
        return EXIT_FAILURE;
    }
    reactor = argv[1];
    if (!is_built_in(reactor)) {
        printf("skipped: this build has no reactor %s\n", reactor);
        return STATUS_SKIPPED;
    }
    Suite *suite = suite_create("reactors/win_stress");
    TCase *tcase = tcase_create(reactor);
    tcase_add_test(tcase, thousand_endpoints_hear_their_peers_in_order);
    tcase_add_loop_test(tcase, bursts_keep_each_peer_s_order, 0, FAMILY_COUNT);
    tcase_add_loop_test(tcase, what_is_sent_among_closing_endpoints_arrives_or_is_reported, 0,
                        FAMILY_COUNT);
    tcase_add_loop_test(tcase, four_threads_post_and_wake_beside_traffic, 0, FAMILY_COUNT);
    tcase_add_loop_test(tcase, endpoints_that_come_and_go_leave_neither_handles_nor_memory, 0,
                        FAMILY_COUNT);
    tcase_add_loop_test(tcase, loops_that_come_and_go_leave_no_handles, 0, FAMILY_COUNT);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed_count = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
