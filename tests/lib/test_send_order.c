/* SPDX-License-Identifier: MIT
 *
 * Random sends of every form on a reactor that takes, refuses, keeps and loses as it likes, against
 * a simple model: what leaves, leaves once, in the order of posting and with the bytes it was
 * posted with; what does not leave is told by its operation, or counted. KIRIM_TEST_SEED repeats a
 * run.
 */
#include "support/stage.h"

#include <inttypes.h>
#include <string.h>

#include "support/random.h"

enum {
    LIFE_COUNT = 120,
    STEP_COUNT = 1000, /* of one life */
    PAYLOAD_BYTES_MAX = 700,
    BUF_COUNT_MAX = 5,
    FATES_MAX = 64 * STEP_COUNT
};

/* A datagram that was accepted; its serial number, which is its index, stands in its first bytes.
 */
struct fate {
    uint64_t digest;
    uint32_t bytes;
    uint32_t left_count;
    bool has_op;
    kirim_err result; /* of its operation; KIRIM_PENDING until it has ended */
};

/* An operation with the bytes it borrows. */
struct loan {
    struct kirim_op op;
    struct life *life;
    uint32_t serial;
    size_t bytes;
    struct loan *next, *prev;
    uint8_t data[PAYLOAD_BYTES_MAX];
};

struct life {
    struct stage *x;
    struct test_random r;
    struct ks_node *other; /* what arrives here is forwarded */
    struct script_port *q;
    struct fate *fates;
    uint32_t fate_count;
    struct loan *loans; /* that have not ended */
    size_t loan_count;
    uint64_t event_count; /* sends that `failed` told of */
};

static uint64_t below(struct life *l, uint64_t bound)
{
    return test_random_below(&l->r, bound);
}

/* ---- the model ------------------------------------------------------------------------------- */

/* The next serial number, if the send that uses it is accepted. */
static uint32_t next_serial(const struct life *l)
{
    KS_CHECK(l->fate_count < FATES_MAX);
    return l->fate_count;
}

static void accept(struct life *l, const void *data, size_t bytes, bool has_op)
{
    struct fate *f = &l->fates[l->fate_count];
    l->fate_count++;
    *f = (struct fate){ .digest = ks_digest(data, bytes),
                        .bytes = (uint32_t)bytes,
                        .has_op = has_op,
                        .result = KIRIM_PENDING };
}

static size_t fill(struct life *l, uint8_t *data)
{
    const size_t bytes = KS_NUMBER_BYTES + (size_t)test_random_magnitude(&l->r, 9);
    ks_fill(data, bytes, (uint32_t)test_random_next(&l->r));
    ks_number(data, next_serial(l));
    return bytes;
}

/* Whether a send was refused; queued ones are only for want of room. */
static bool is_refusal(kirim_err err, uint32_t flags)
{
    const bool is_now = (flags & KIRIM_SEND_NOW) != 0;
    if (err < 0 && err != KIRIM_EWOULDBLOCK && err != KIRIM_ENOMEM && !is_now) {
        KS_FAIL("a send was refused: %s", kirim_err_name(err));
    }
    return err < 0;
}

/* ---- operations ------------------------------------------------------------------------------ */

static void end_loan(struct loan *o, kirim_err err)
{
    struct life *l = o->life;
    struct fate *f = &l->fates[o->serial];
    KS_ERR(KIRIM_PENDING, f->result);
    KS_EQ(f->digest, ks_digest(o->data, o->bytes));
    f->result = err;
    *(o->prev != NULL ? &o->prev->next : &l->loans) = o->next;
    if (o->next != NULL) {
        o->next->prev = o->prev;
    }
    l->loan_count--;
    memset(o, 0xdd, sizeof *o);
    free(o);
}

static void on_done(struct kirim_op *op, kirim_err err, size_t sent_bytes)
{
    struct loan *o = (struct loan *)(void *)op;
    struct ks *t = &o->life->x->t;
    ks_enter(t, 0);
    KS_EQ(err == KIRIM_OK ? o->bytes : 0, sent_bytes);
    end_loan(o, err);
    ks_leave(t);
}

static struct loan *make_loan(struct life *l)
{
    struct loan *o = calloc(1, sizeof *o);
    KS_CHECK(o != NULL);
    o->life = l;
    o->op.done = below(l, 4) == 0 ? NULL : on_done;
    if (below(l, 5) == 0) {
        o->op.deadline_ns = kirim_loop_now(l->x->t.loop) + test_random_magnitude(&l->r, 12);
    }
    o->serial = next_serial(l);
    return o;
}

static void keep_loan(struct life *l, struct loan *o)
{
    o->next = l->loans;
    if (o->next != NULL) {
        o->next->prev = o;
    }
    l->loans = o;
    l->loan_count++;
}

static struct loan *any_loan(struct life *l)
{
    struct loan *o = l->loans;
    for (uint64_t skip = l->loan_count == 0 ? 0 : below(l, l->loan_count); skip > 0; skip--) {
        o = o->next;
    }
    return o;
}

/* Looks at the operations that nobody calls back for. */
static void poll_loans(struct life *l)
{
    for (struct loan *o = l->loans, *next; o != NULL; o = next) {
        next = o->next;
        const kirim_err err = o->op.done == NULL ? kirim_op_result(&o->op, NULL) : KIRIM_PENDING;
        if (err != KIRIM_PENDING) {
            end_loan(o, err);
        }
    }
}

/* ---- sends ----------------------------------------------------------------------------------- */

/* Cuts `bytes` at `data` into 1 .. BUF_COUNT_MAX buffers, empty ones among them. */
static size_t cut(struct life *l, uint8_t *data, size_t bytes, struct kirim_buf *buf)
{
    const size_t count = 1 + (size_t)below(l, BUF_COUNT_MAX);
    size_t done = 0;
    for (size_t i = 0; i < count; i++) {
        const size_t part = i + 1 == count ? bytes - done : (size_t)below(l, bytes - done + 1);
        buf[i] = (struct kirim_buf){ data + done, part };
        done += part;
    }
    return count;
}

/* Sends `bytes` at `data` in the general way: gathered, with control data, with an operation. */
static kirim_err send_any(struct life *l, uint8_t *data, size_t bytes, uint32_t flags,
                          struct loan *o)
{
    struct kirim_buf buf[BUF_COUNT_MAX];
    struct kirim_control control = KIRIM_CONTROL_INIT;
    control.tag = next_serial(l);
    struct kirim_msg msg = { buf, &l->x->to, &control, cut(l, data, bytes, buf), 0 };
    if (below(l, 2) == 0) {
        msg.control = NULL;
    }
    const kirim_err err =
        kirim_endpoint_send(l->x->n->ep, &msg, flags, o != NULL ? &o->op : NULL, NULL);
    memset(buf, 0xee, sizeof buf);
    memset(&control, 0xee, sizeof control);
    if (!is_refusal(err, flags)) {
        accept(l, data, bytes, o != NULL);
    }
    return err;
}

static void send_plain(struct life *l)
{
    uint8_t data[PAYLOAD_BYTES_MAX];
    const size_t bytes = fill(l, data);
    if (!is_refusal(kirim_endpoint_send_to(l->x->n->ep, data, bytes, &l->x->to), 0)) {
        accept(l, data, bytes, false);
    }
    memset(data, 0xee, sizeof data);
}

static void send_gathered(struct life *l, uint32_t flags)
{
    uint8_t data[PAYLOAD_BYTES_MAX];
    (void)send_any(l, data, fill(l, data), flags, NULL);
    memset(data, 0xee, sizeof data);
}

static void send_op(struct life *l, uint32_t flags)
{
    struct loan *o = make_loan(l);
    o->bytes = fill(l, o->data);
    if (send_any(l, o->data, o->bytes, flags, o) < 0) {
        KS_CHECK(!kirim_op_is_pending(&o->op));
        free(o);
    } else {
        keep_loan(l, o);
    }
}

static void send_reserved(struct life *l)
{
    void *room = NULL;
    const kirim_err err = kirim_endpoint_reserve(l->x->n->ep, PAYLOAD_BYTES_MAX, &room);
    if (is_refusal(err, 0)) {
        return;
    }
    if (below(l, 8) == 0 && l->loans != NULL) {
        (void)kirim_op_cancel(&any_loan(l)->op);
    }
    const size_t bytes = fill(l, room);
    struct kirim_control control = KIRIM_CONTROL_INIT;
    control.tag = next_serial(l);
    const struct kirim_msg msg = { NULL, &l->x->to, below(l, 2) == 0 ? &control : NULL, 0, 0 };
    if (below(l, 8) != 0 && !is_refusal(kirim_endpoint_commit(l->x->n->ep, bytes, &msg), 0)) {
        accept(l, room, bytes, false);
    }
}

/* ---- lent bytes ------------------------------------------------------------------------------ */

/* Numbers `count` neighbours of a batch and answers them in one call. */
static void reply(struct life *l, const struct kirim_datagram *d, size_t count)
{
    size_t accepted_count = 0;
    for (size_t i = 0; i < count; i++) {
        ks_number(d[i].data, next_serial(l) + (uint32_t)i);
    }
    const kirim_err err = kirim_endpoint_reply(l->x->n->ep, d, count, &accepted_count);
    KS_CHECK(is_refusal(err, 0) == (accepted_count < count));
    for (size_t i = 0; i < accepted_count; i++) {
        accept(l, d[i].data, d[i].bytes, false);
    }
}

/* Sends on one lent datagram, perhaps with an operation, perhaps now. */
static void forward(struct life *l, const struct kirim_datagram *d)
{
    const uint32_t flags = KIRIM_SEND_LENT | (below(l, 4) == 0 ? (uint32_t)KIRIM_SEND_NOW : 0);
    ks_number(d->data, next_serial(l));
    struct loan *o = below(l, 2) == 0 ? NULL : make_loan(l);
    if (o != NULL) {
        o->bytes = d->bytes;
        memcpy(o->data, d->data, d->bytes); /* to compare with: the bytes are those lent */
    }
    if (send_any(l, d->data, d->bytes, flags, o) < 0) {
        free(o);
    } else if (o != NULL) {
        keep_loan(l, o);
    }
}

static void act(struct life *l);

static void on_received(struct ks_node *n, const struct kirim_batch *batch)
{
    struct life *l = n->ctx;
    if (l->x->n->is_closing) {
        return;
    }
    for (size_t i = 0; i < batch->count;) {
        const size_t count = 1 + (size_t)below(l, batch->count - i);
        const uint64_t what = below(l, 4);
        if (what == 0) {
            reply(l, kirim_batch_at(batch, i), count);
            i += count;
        } else if (what == 1) {
            forward(l, kirim_batch_at(batch, i));
            i++;
        } else {
            act(l);
            i++;
        }
    }
}

static void on_failed(struct ks_node *n)
{
    struct life *l = n->ctx;
    if (n->event.kind == KIRIM_EVENT_SEND_FAILED) {
        l->event_count++;
        KS_CHECK(n->event.tag == 0 || !l->fates[n->event.tag].has_op);
    }
    if (below(l, 4) == 0) {
        act(l);
    }
}

static void on_writable(struct ks_node *n)
{
    act(n->ctx);
}

/* ---- what the reactor does ------------------------------------------------------------------- */

static kirim_err any_error(struct life *l)
{
    static const kirim_err errs[] = { KIRIM_ECONNRESET,  KIRIM_ENETUNREACH, KIRIM_EACCES,
                                      KIRIM_EWOULDBLOCK, KIRIM_EMSGSIZE,    KIRIM_ENOBUFS,
                                      KIRIM_ESYSTEM,     KIRIM_EABORTED };
    return errs[below(l, sizeof errs / sizeof errs[0])];
}

static void arrive(struct life *l, struct script_port *p)
{
    uint8_t data[PAYLOAD_BYTES_MAX];
    for (uint64_t count = below(l, 40); count > 0; count--) {
        const size_t bytes = fill(l, data);
        script_arrive(p, data, (uint32_t)bytes, 0, &l->x->to);
    }
}

static void end_some(struct life *l)
{
    struct script_port *p = l->x->p;
    for (uint64_t count = below(l, 8); count > 0 && p->flight_count > 0; count--) {
        const size_t index = (size_t)below(l, p->flight_count);
        script_end(p, index, below(l, 3) == 0 ? any_error(l) : KIRIM_OK, 0);
    }
}

static void play(struct life *l)
{
    struct script_port *p = l->x->p;
    switch (below(l, 8)) {
    case 0:
        p->room = below(l, 2) == 0 ? SCRIPT_NO_LIMIT : (uint32_t)test_random_magnitude(&l->r, 6);
        break;
    case 1:
        p->fly_every = (uint32_t)below(l, 4);
        break;
    case 2:
    case 3:
        end_some(l);
        break;
    case 4:
        arrive(l, below(l, 2) == 0 ? p : l->q);
        break;
    case 5:
        if (p->refusal_count < SCRIPT_REFUSALS_MAX) {
            const uint32_t skip = (uint32_t)test_random_magnitude(&l->r, 5);
            const uint32_t times = 1 + (uint32_t)below(l, 3);
            script_refuse(p, skip, times, any_error(l), 1);
        }
        break;
    case 6:
        p->is_deaf = !p->is_deaf;
        break;
    default:
        l->x->s->slot_count = 1 + (uint32_t)test_random_magnitude(&l->r, 7);
        break;
    }
}

/* ---- a life ---------------------------------------------------------------------------------- */

/* Something that a callback may do as well. */
static void act(struct life *l)
{
    struct kirim_endpoint *ep = l->x->n->ep;
    struct kit_memory *m = &l->x->t.memory;
    m->fail_at = below(l, 50) == 0 ? m->calls + 1 : 0;
    m->is_lasting = false;
    switch (below(l, 12)) {
    case 0:
    case 1:
    case 2:
        send_plain(l);
        break;
    case 3:
        send_gathered(l, 0);
        break;
    case 4:
    case 5:
        send_op(l, 0);
        break;
    case 6:
        send_reserved(l);
        break;
    case 7:
        send_gathered(l, KIRIM_SEND_NOW);
        break;
    case 8:
        send_op(l, KIRIM_SEND_NOW);
        break;
    case 9:
        if (l->loans != NULL) {
            (void)kirim_op_cancel(&any_loan(l)->op);
        }
        break;
    case 10: {
        const kirim_err err = kirim_endpoint_flush(ep);
        KS_CHECK(err == KIRIM_OK || err == KIRIM_EWOULDBLOCK);
        break;
    }
    default:
        if (below(l, 10) == 0) {
            KS_OK(kirim_endpoint_discard(ep, NULL));
        }
        break;
    }
}

static void check_stats(struct life *l)
{
    const struct kirim_endpoint_stats s = ks_stats(l->x->n);
    KS_EQ(l->fate_count, s.tx_accepted);
    KS_EQ(s.tx_accepted, s.tx_datagrams + ks_drops(&s) + s.tx_queued);
    KS_CHECK(kirim_endpoint_queued_count(l->x->n->ep) >= s.tx_queued);
}

static void turn(struct life *l)
{
    if (below(l, 4) == 0) {
        (void)ks_wait(&l->x->t,
                      kirim_loop_now(l->x->t.loop) + test_random_magnitude(&l->r, 12) + 1);
    } else {
        ks_turn(&l->x->t);
    }
    poll_loans(l);
    check_stats(l);
}

static void begin(struct life *l)
{
    struct ks t;
    ks_init(&t, "scripted", KIRIM_IPV4);
    struct kirim_endpoint_options options = ks_endpoint_options(&t);
    options.queue_count_max = 1 + (uint32_t)test_random_magnitude(&l->r, 10);
    options.queue_bytes_max = 1 + (uint32_t)test_random_magnitude(&l->r, 16);
    const bool is_bound_to_all = below(l, 2) == 0; /* replies name their source */
    if (is_bound_to_all) {
        options.local = ks_wildcard(KIRIM_IPV4, 99);
    }
    l->x = stage_open_with(KIRIM_CAP_SOURCE, &options);
    l->x->p->local = ks_loopback(KIRIM_IPV4, 99);
    l->x->n->on_received = on_received;
    l->x->n->on_failed = on_failed;
    l->x->n->on_writable = on_writable;
    l->x->n->ctx = l;
    l->q = stage_add(l->x, &l->other);
    l->other->on_received = on_received;
    l->other->ctx = l;
    l->fate_count = 0;
    l->event_count = 0;
}

/* What left, left once, in order and unchanged; what did not was told or counted. */
static void check_end(struct life *l)
{
    const struct script_port *p = l->x->p;
    const struct kirim_endpoint_stats *s = &l->x->n->last_stats;
    uint64_t left_count = 0;
    uint64_t left_bytes = 0;
    uint64_t failed_op_count = 0;
    uint32_t last = 0;
    for (size_t i = 0; i < p->sent_count; i++) {
        const struct script_sent *sent = &p->sent[i];
        KS_CHECK(sent->value < l->fate_count);
        struct fate *f = &l->fates[sent->value];
        KS_EQ(f->digest, sent->digest);
        if (!sent->is_refused) {
            if (left_count > 0 && sent->value <= last) {
                KS_FAIL("%" PRIu32 " left behind %" PRIu32, sent->value, last);
            }
            last = sent->value;
            left_count++;
            left_bytes += f->bytes;
            f->left_count++;
        }
    }
    for (uint32_t i = 0; i < l->fate_count; i++) {
        const struct fate *f = &l->fates[i];
        KS_CHECK(f->left_count <= 1);
        if (f->has_op) {
            KS_CHECK(f->result != KIRIM_PENDING);
            KS_CHECK((f->result == KIRIM_OK) == (f->left_count == 1));
            failed_op_count += f->result != KIRIM_OK;
        }
    }
    KS_EQ(left_count, s->tx_datagrams);
    KS_EQ(left_bytes, s->tx_bytes);
    KS_EQ(l->fate_count - left_count, ks_drops(s));
    KS_CHECK(l->event_count + failed_op_count <= ks_drops(s));
}

/* Ends a life in one of three ways: in peace, by closing the endpoint, by closing the loop. */
static void end(struct life *l)
{
    struct script_port *p = l->x->p;
    l->x->t.memory.fail_at = 0;
    const uint64_t how = below(l, 3);
    if (how == 0) {
        l->x->n->on_received = NULL;
        l->x->n->on_failed = NULL;
        l->x->n->on_writable = NULL;
        l->other->on_received = NULL;
        p->room = SCRIPT_NO_LIMIT;
        p->refusal_count = 0;
        p->fly_every = 0;
        for (int i = 0; i < 5; i++) {
            script_end_all(p, KIRIM_OK);
            turn(l);
        }
        KS_EQ(0, ks_stats(l->x->n).tx_queued);
        KS_EQ(0, kirim_endpoint_queued_count(l->x->n->ep));
    } else if (how == 1) {
        ks_node_close(l->x->n);
        p->is_close_held = below(l, 2) == 0;
        ks_turn(&l->x->t);
        end_some(l);
        p->is_close_held = false;
        for (int i = 0; i < 5; i++) {
            ks_turn(&l->x->t);
        }
        KS_EQ(1, l->x->n->closed_count);
    }
    ks_close_loop(&l->x->t);
    poll_loans(l);
    KS_CHECK(l->loans == NULL);
    check_end(l);
    stage_close(l->x);
}

START_TEST(datagrams_leave_once_in_order_unchanged_or_are_reported)
{
    struct life *l = calloc(1, sizeof *l);
    KS_CHECK(l != NULL);
    l->fates = calloc(FATES_MAX, sizeof *l->fates);
    KS_CHECK(l->fates != NULL);
    l->r = test_random_start("send_order");
    uint64_t accepted_count = 0;
    for (int life = 0; life < LIFE_COUNT; life++) {
        begin(l);
        for (int step = 0; step < STEP_COUNT; step++) {
            const uint64_t what = below(l, 10);
            if (what < 7) {
                act(l);
            } else if (what < 9) {
                play(l);
            } else {
                turn(l);
            }
        }
        end(l);
        accepted_count += l->fate_count;
    }
    printf("send_order: %" PRIu64 " datagrams accepted\n", accepted_count);
    free(l->fates);
    free(l);
}
END_TEST

int main(void)
{
    Suite *const suite = suite_create("send_order");
    TCase *const tcase = tcase_create("send_order");
    tcase_set_timeout(tcase, 100);
    tcase_add_test(tcase, datagrams_leave_once_in_order_unchanged_or_are_reported);
    suite_add_tcase(suite, tcase);
    SRunner *const runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed_count = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
