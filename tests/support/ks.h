/* SPDX-License-Identifier: MIT
 *
 * Test support: a loop under observation, and endpoints, operations, timers and posts that write
 * down what happens to them.
 *
 * Whatever a test does, the fixture holds some promises of the library against it: callbacks run
 * from inside turns only and never nested; an operation's callback runs once for each send that was
 * accepted; counts are written when they may be and only then; `closed` is the last callback of an
 * endpoint; the statistics add up; all memory comes back. Objects live until ks_close(), so that a
 * test may leave them to it. One thread, but for ks_post, whose posting may be another's. Uses
 * Check for its verdicts, and the public headers for everything else, but for ks_spy.h.
 */
#ifndef KS_H
#define KS_H

#include <kirim/kirim.h>

#include "claims.h"
#include "memory.h"

#define KS_SECOND_NS      1000000000U
#define KS_MILLISECOND_NS 1000000U

enum {
    KS_TRACE_MAX = 4096,
    KS_HEAD_BYTES = 16 /* of each received datagram that are kept as they came */
};

/* A count that the library must not have written to. */
#define KS_UNTOUCHED ((size_t)0x5a5a5a5aU)

struct ks;
struct ks_node;
struct ks_op;
struct ks_timer;
struct ks_post;
struct ks_spy;

/* A loop under observation. */
struct ks {
    const char *reactor;
    int family;    /* KIRIM_IPV4 or KIRIM_IPV6 */
    uint32_t mode; /* 0 or KIRIM_SEND_NOW: how ks_send() and ks_post_msg() send */
    int arg;       /* the case's own */
    uint64_t patience_ns;
    struct kirim_loop *loop;
    uint32_t caps;
    struct ks_spy *spy; /* NULL: the reactor is the real one */
    struct kit_memory memory;
    unsigned depth; /* callbacks that are running */
    bool is_orphan; /* the loop's thread has ended: it can be closed only */
    bool is_turn;   /* inside a call that may call back */
    char trace[KS_TRACE_MAX];
    size_t trace_count;
    struct ks_node *nodes;
    struct ks_op *ops;
    struct ks_timer *timers;
    struct ks_post *posts;
};

/* A received datagram as written down. */
struct ks_rx {
    uint32_t bytes;
    uint32_t flags;
    uint64_t digest; /* ks_digest() of all its bytes */
    uint8_t head[KS_HEAD_BYTES];
    struct kirim_addr peer;
    struct kirim_addr local; /* none if it was not told */
    size_t batch;            /* number of the `received` that it came in */
};

/* An endpoint that writes down what happens to it. A hook runs inside the callback, after that is
 * written down. */
struct ks_node {
    struct ks *t;
    struct kirim_endpoint *ep; /* NULL after `closed` */
    struct kirim_addr addr;
    struct ks_rx *rx;
    size_t rx_count, rx_room;
    size_t rx_datagrams; /* as many, but that a whole train is its datagrams */
    size_t rx_read;      /* how many ks_expect() has looked at */
    size_t batch_count, batch_max;
    size_t writable_count, failed_count, closed_count;
    struct kirim_event event; /* the last one */
    bool is_closing;
    char mark; /* written to the trace by each callback; 0: nothing */
    void (*on_received)(struct ks_node *n, const struct kirim_batch *batch);
    void (*on_writable)(struct ks_node *n);
    void (*on_failed)(struct ks_node *n);
    void (*on_closed)(struct ks_node *n);
    void *ctx;
    struct kirim_endpoint_stats last_stats; /* as they were in `closed` */
    struct ks_node *next;
};

struct ks_op {
    struct kirim_op op;
    struct ks *t;
    size_t posted_count, done_count;
    kirim_err err;
    size_t sent_bytes;
    uint64_t done_at_ns;
    char mark;
    void (*hook)(struct ks_op *o);
    void *ctx;
    struct ks_op *next;
};

struct ks_timer {
    struct kirim_timer timer;
    struct ks *t;
    size_t fired_count;
    uint64_t fired_at_ns;
    char mark;
    void (*hook)(struct ks_timer *timer);
    void *ctx;
    struct ks_timer *next;
};

struct ks_post {
    struct kirim_post post;
    struct ks *t;
    size_t run_count;
    kirim_err err;
    char mark;
    void (*hook)(struct ks_post *post);
    void *ctx;
    struct ks_post *next;
};

/* ---- verdicts: they name the place of the test, not of the helper ---------------------------- */

#define KS_FAIL(...)         _ck_assert_failed(__FILE__, __LINE__, "Failed", __VA_ARGS__)
#define KS_CHECK(cond)       ks_check((cond), #cond, __FILE__, __LINE__)
#define KS_ERR(wanted, call) ks_check_err((wanted), (call), #call, __FILE__, __LINE__)
#define KS_OK(call)          KS_ERR(KIRIM_OK, call)
#define KS_EQ(wanted, got) \
    ks_check_eq((uint64_t)(wanted), (uint64_t)(got), #got, __FILE__, __LINE__)
#define KS_TRACE(t, text) ks_check_trace((t), (text), __FILE__, __LINE__)

/* Runs turns until `cond` holds. */
#define KS_UNTIL(t, cond)                                 \
    do {                                                  \
        const uint64_t ks_end_ns = ks_patience_end(t);    \
        while (!(cond)) {                                 \
            if (!ks_wait((t), ks_end_ns)) {               \
                KS_FAIL("waited in vain for: %s", #cond); \
            }                                             \
        }                                                 \
    } while (0)

/* The next datagram that `n` received is `bytes` bytes at `data`; waits for it. */
#define KS_EXPECT(n, data, bytes) ks_expect((n), (data), (bytes), __FILE__, __LINE__)

/* The next `count` datagrams that `n` received are the numbers from `first` on, in order; waits for
 * them. */
#define KS_EXPECT_NUMBERS(n, first, count) \
    ks_expect_numbers((n), (first), (count), __FILE__, __LINE__)

/* Nothing is left unread at `n`: what `from` sends now is the next that arrives. */
#define KS_EXPECT_END(n, from) ks_expect_end((n), (from), __FILE__, __LINE__)

/* Sends in the mode of the test, and it is accepted: with and without an operation. */
#define KS_SEND(from, data, bytes, to) \
    ks_sent((from), (data), (bytes), (to), NULL, __FILE__, __LINE__)
#define KS_SEND_OP(from, data, bytes, to, o) \
    ks_sent((from), (data), (bytes), (to), (o), __FILE__, __LINE__)

void ks_check(bool is_true, const char *text, const char *file, int line);
void ks_check_err(kirim_err wanted, kirim_err got, const char *text, const char *file, int line);
void ks_check_eq(uint64_t wanted, uint64_t got, const char *text, const char *file, int line);
void ks_check_trace(const struct ks *t, const char *wanted, const char *file, int line);

/* ---- the loop -------------------------------------------------------------------------------- */

/* Sets up a fixture without a loop. */
void ks_init(struct ks *t, const char *reactor, int family);

/* Opens its loop: with defaults, with options (whose reactor and allocator are set here), with a
 * spy (ks_spy.h). */
void ks_open(struct ks *t);
kirim_err ks_try_open(struct ks *t, struct kirim_loop_options *options);

/* Closes the loop if it is open, checks what must hold at the end, and frees every object of the
 * fixture. */
void ks_close(struct ks *t);

/* Closes the loop only. */
void ks_close_loop(struct ks *t);

/* One turn that only looks; one turn that waits until `end_ns` at most, false if that has passed.
 */
void ks_turn(struct ks *t);
bool ks_wait(struct ks *t, uint64_t end_ns);
uint64_t ks_patience_end(struct ks *t);

/* Turns until nothing moves any more: neither queued nor in flight nor to be delivered. */
void ks_settle(struct ks *t);

/* Adds a character to the trace. */
void ks_note(struct ks *t, char mark);

/* Enters and leaves a callback; for callbacks that are none of the objects here. */
void ks_enter(struct ks *t, char mark);
void ks_leave(struct ks *t);

/* ---- endpoints ------------------------------------------------------------------------------- */

/* Options of an endpoint on the loopback address of the test's family, port 0. */
struct kirim_endpoint_options ks_endpoint_options(const struct ks *t);

/* Opens an endpoint: with those options, connected to `remote`, with options whose handler and user
 * are set here. */
struct ks_node *ks_node(struct ks *t);
struct ks_node *ks_node_connected(struct ks *t, const struct kirim_addr *remote);
struct ks_node *ks_node_with(struct ks *t, const struct kirim_endpoint_options *options);
kirim_err ks_node_try(struct ks *t, const struct kirim_endpoint_options *options,
                      struct ks_node **out);

/* The loopback, wildcard and broadcast-like addresses of a family. */
struct kirim_addr ks_loopback(int family, uint16_t port);
struct kirim_addr ks_wildcard(int family, uint16_t port);

/* The address of an endpoint that was closed again: nobody listens there. */
struct kirim_addr ks_closed_port(struct ks *t);

/* Closes an endpoint; waits for its last callback. */
void ks_node_close(struct ks_node *n);
void ks_node_close_and_wait(struct ks_node *n);

struct kirim_endpoint_stats ks_stats(const struct ks_node *n);
uint64_t ks_drops(const struct kirim_endpoint_stats *s); /* all of the sending side */

/* ---- sending --------------------------------------------------------------------------------- */

/* kirim_endpoint_send(), with what holds for its answer and its count in every case. */
kirim_err ks_post_msg(struct ks_node *from, const struct kirim_msg *msg, uint32_t flags,
                      struct ks_op *o);

/* One buffer, in the test's mode; `to` NULL: connected, `o` NULL: without an operation. */
kirim_err ks_send(struct ks_node *from, const void *data, size_t bytes, const struct kirim_addr *to,
                  struct ks_op *o);
void ks_sent(struct ks_node *from, const void *data, size_t bytes, const struct kirim_addr *to,
             struct ks_op *o, const char *file, int line);

/* A datagram of four bytes that says a number. */
enum { KS_NUMBER_BYTES = 4 };
void ks_number(uint8_t out[KS_NUMBER_BYTES], uint32_t number);
void ks_send_number(struct ks_node *from, uint32_t number, const struct kirim_addr *to);
uint32_t ks_rx_number(const struct ks_rx *rx);

void ks_expect(struct ks_node *n, const void *data, size_t bytes, const char *file, int line);
void ks_expect_numbers(struct ks_node *n, uint32_t first, size_t count, const char *file, int line);
void ks_expect_end(struct ks_node *n, struct ks_node *from, const char *file, int line);

/* Bytes that look like nothing else: the same for the same seed. */
void ks_fill(void *out, size_t bytes, uint32_t seed);
uint64_t ks_digest(const void *data, size_t bytes);

/* ---- operations, timers, posts --------------------------------------------------------------- */

struct ks_op *ks_op(struct ks *t, char mark);
struct ks_op *ks_op_polled(struct ks *t); /* without a callback */
struct ks_timer *ks_timer(struct ks *t, char mark);
void ks_arm_in(struct ks_timer *timer, uint64_t delay_ns);
struct ks_post *ks_post(struct ks *t, char mark);

/* kirim_op_wait(), which runs turns. */
kirim_err ks_op_wait(struct ks_op *o, uint64_t timeout_ns, size_t *sent_bytes);

#endif
