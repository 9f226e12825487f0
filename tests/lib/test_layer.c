/* SPDX-License-Identifier: MIT
 *
 * Claims about layers: what is passed in which order, how long datagrams may be, headers that are
 * gathered, draining, and the one end of all; the same on a session and on an endpoint. On the
 * scripted reactor.
 *
 * Each layer of these stacks writes its letter and what it is told to the fixture's trace: `o`pen,
 * `y` ready, `r`eceived, `w`ritable, `f`ailed, `s`end, `d`rain, `z` resized, `c`losed.
 */
#include "session_kit.h"

#include <stdlib.h>
#include <string.h>

/* What a layer's config tells it. */
struct part {
    struct kit *kit;
    char letter;
    bool is_shy;        /* it does not pass `ready` on by itself */
    bool owes;          /* it does not finish its drain by itself */
    kirim_err open_err; /* of its open */
};

struct state {
    const struct part *part;
    struct kirim_timer timer;
    size_t fired_count;
};

static kirim_err closed_why; /* of the layer that was told last */
static struct kirim_layer *layer_of[3];

static const struct part *part_of(struct kirim_layer *layer)
{
    return ((struct state *)kirim_layer_state(layer))->part;
}

static char end_at;       /* the second layer closes the stack when it is told so; 0: never */
static size_t open_count; /* layers that began and have not ended */

static void note(struct kirim_layer *layer, char what)
{
    struct kit *k = part_of(layer)->kit;
    open_count += what == 'o';
    open_count -= what == 'c';
    if (what == end_at && part_of(layer)->letter == '2') {
        (void)kirim_stack_close(kirim_layer_stack(layer), KIRIM_EACCES);
    }
    ks_note(&k->t, part_of(layer)->letter);
    ks_note(&k->t, what);
}

static void fire(struct kirim_timer *timer)
{
    ((struct state *)timer->user)->fired_count++;
}

static kirim_err on_open(struct kirim_layer *layer, const void *config)
{
    struct state *s = kirim_layer_state(layer);
    KS_CHECK(s->part == NULL);
    s->part = config;
    s->timer = (struct kirim_timer)KIRIM_TIMER_INIT(fire, s);
    note(layer, 'o');
    return s->part->open_err;
}

static void on_ready(struct kirim_layer *layer)
{
    note(layer, 'y');
    if (!part_of(layer)->is_shy) {
        kirim_layer_pass_ready(layer);
        kirim_layer_pass_ready(layer); /* once is enough, twice no harm */
    }
}

/* Takes the letter off the front. */
static void on_received(struct kirim_layer *layer, const struct kirim_batch *batch)
{
    struct kirim_datagram views[KI_BATCH_MAX];
    size_t count = 0;
    note(layer, 'r');
    for (size_t i = 0; i < batch->count; i++) {
        const struct kirim_datagram *d = kirim_batch_at(batch, i);
        if (d->bytes != 0 && d->data[0] == (uint8_t)part_of(layer)->letter) {
            views[count] = *d;
            views[count].data++;
            views[count++].bytes--;
        }
    }
    const struct kirim_batch out = { views, count, sizeof views[0] };
    kirim_layer_pass_received(layer, &out);
}

static kirim_err on_send(struct kirim_layer *layer, const struct kirim_msg *msg)
{
    note(layer, 's');
    return kirim_layer_send_behind(layer, &part_of(layer)->letter, 1, msg);
}

static void on_writable(struct kirim_layer *layer)
{
    note(layer, 'w');
    kirim_layer_pass_writable(layer);
}

static void on_resized(struct kirim_layer *layer)
{
    note(layer, 'z');
}

static void on_failed(struct kirim_layer *layer, const struct kirim_event *event)
{
    note(layer, 'f');
    kirim_layer_pass_failed(layer, event);
}

static void on_drain(struct kirim_layer *layer)
{
    note(layer, 'd');
    if (!part_of(layer)->owes) {
        kirim_layer_finish_drain(layer);
        kirim_layer_finish_drain(layer);
    }
}

static void on_closed(struct kirim_layer *layer, kirim_err why)
{
    const struct state *s = kirim_layer_state(layer);
    note(layer, 'c');
    KS_CHECK(!kirim_timer_is_armed(&s->timer));
    KS_ERR(KIRIM_ECLOSED, kirim_stack_close(kirim_layer_stack(layer), KIRIM_OK));
    closed_why = why;
}

static const struct kirim_layer_type telling = {
    .size = KIRIM_LAYER_TYPE_INIT,
    .name = "telling",
    .overhead_bytes = 1,
    .state_bytes = sizeof(struct state),
    .open = on_open,
    .ready = on_ready,
    .received = on_received,
    .send = on_send,
    .writable = on_writable,
    .resized = on_resized,
    .failed = on_failed,
    .drain = on_drain,
    .closed = on_closed,
};

static const struct kirim_layer_type silent = { .size = KIRIM_LAYER_TYPE_INIT, .name = "silent" };

/* A kit whose sessions carry stacks of three telling layers and one that says nothing. */
struct rig {
    struct kit *k;
    struct part parts[3];
    struct kirim_layer_plan layers[4];
    struct kirim_stack_plan plan;
    struct kirim_stack *stack;
    kirim_err err;
};

static struct rig *rig;

static void put_stack(struct kirim_sessions *set, struct kirim_session *session, void *user)
{
    (void)set;
    (void)user;
    rig->err = kirim_stack_on_session(session, &rig->plan, &rig->stack);
}

static struct rig *rig_new(void)
{
    rig = calloc(1, sizeof *rig);
    KS_CHECK(rig != NULL);
    rig->k = kit_new();
    for (size_t i = 0; i < 3; i++) {
        rig->parts[i] = (struct part){ .kit = rig->k, .letter = (char)('1' + i) };
        rig->layers[i + (i > 0)] = (struct kirim_layer_plan){ &telling, &rig->parts[i] };
    }
    rig->layers[1] = (struct kirim_layer_plan){ &silent, NULL };
    rig->plan = (struct kirim_stack_plan)KIRIM_STACK_PLAN_INIT;
    rig->plan.layers = rig->layers;
    rig->plan.layer_count = 4;
    rig->plan.payload_bytes_max = 100;
    rig->k->options.session_handler = kirim_stack_session_handler();
    rig->k->handler.opened = put_stack;
    rig->k->is_validating = true;
    return rig;
}

static void note_layers(void)
{
    for (size_t i = 0; i < 3; i++) {
        layer_of[i] = kirim_stack_layer(rig->stack, i + (i > 0));
    }
}

/* A stack on a session that has heard one datagram. */
static struct rig *rig_on_session(void)
{
    struct rig *r = rig_new();
    const struct kirim_addr from = kit_addr(1);
    kit_open(r->k);
    script_arrive(r->k->p, "123hi", 5, 0, &from);
    ks_turn(&r->k->t);
    KS_OK(r->err);
    note_layers();
    return r;
}

/* A stack on an endpoint of its own, connected; the kit's set stays unused. */
static struct rig *rig_on_endpoint(void)
{
    struct rig *r = rig_new();
    kit_open(r->k);
    struct kirim_endpoint_options options = ks_endpoint_options(&r->k->t);
    options.peer = kit_addr(1);
    options.local = (struct kirim_addr){ { 0, 0, 0 } };
    KS_OK(kirim_stack_on_endpoint(r->k->t.loop, &options, &r->plan, &r->stack));
    note_layers();
    r->k->p = script_port_of(r->k->s, kirim_stack_endpoint(r->stack));
    const struct kirim_addr from = kit_addr(1);
    script_arrive(r->k->p, "123hi", 5, 0, &from);
    ks_turn(&r->k->t);
    return r;
}

static void rig_close(struct rig *r)
{
    kit_close(r->k);
    free(r);
}

static kirim_err send_from(size_t layer, size_t count)
{
    static uint8_t bytes[128];
    const struct kirim_buf buf[2] = { { bytes, count / 2 }, { bytes, count - count / 2 } };
    const struct kirim_msg msg = { buf, NULL, NULL, 2, 0 };
    return kirim_layer_send(layer_of[layer], &msg);
}

START_TEST(layers_begin_from_the_bottom_and_hear_in_order)
{
    struct rig *r = rig_on_session();
    KS_TRACE(&r->k->t, "?1o2o3o1y2y3y1r2r3r");
    KS_CHECK(kirim_stack_session(r->stack) != NULL);
    KS_CHECK(kirim_stack_layer(r->stack, 4) == NULL);
    rig_close(r);
}
END_TEST

START_TEST(endpoint_carries_the_same_stack)
{
    struct rig *r = rig_on_endpoint();
    KS_TRACE(&r->k->t, "1o2o3o1y2y3y1r2r3r");
    KS_CHECK(kirim_stack_session(r->stack) == NULL);
    KS_OK(send_from(2, 5));
    KS_OK(kirim_stack_close(r->stack, KIRIM_EACCES));
    ks_turn(&r->k->t);
    ks_turn(&r->k->t);
    KS_TRACE(&r->k->t, "1o2o3o1y2y3y1r2r3r2s1s3c2c1c");
    KS_ERR(KIRIM_EACCES, closed_why);
    KS_EQ(1, r->k->p->sent_count);
    rig_close(r);
}
END_TEST

START_TEST(headers_are_gathered_and_counted)
{
    struct rig *r = rig_on_session();
    KS_EQ(100, kirim_layer_payload_bytes_max(layer_of[0]));
    KS_EQ(99, kirim_layer_payload_bytes_max(layer_of[1]));
    KS_EQ(98, kirim_layer_payload_bytes_max(layer_of[2]));
    KS_OK(send_from(2, 98));
    KS_ERR(KIRIM_EMSGSIZE, send_from(2, 99));
    KS_OK(send_from(0, 100));
    ks_turn(&r->k->t);
    KS_EQ(100, r->k->p->sent[0].bytes);
    KS_EQ(0x31320000, r->k->p->sent[0].value); /* "12", and the bytes of the top */
    KS_EQ(100, r->k->p->sent[1].bytes);
    KS_ERR(KIRIM_EINVAL, kirim_layer_send(NULL, NULL));
    rig_close(r);
}
END_TEST

START_TEST(long_gather_lists_get_a_header_too)
{
    struct rig *r = rig_on_session();
    static uint8_t byte;
    struct kirim_buf *bufs = calloc(KIRIM_BUF_COUNT_MAX, sizeof *bufs);
    KS_CHECK(bufs != NULL);
    for (size_t i = 0; i < 90; i++) {
        bufs[i] = (struct kirim_buf){ &byte, 1 };
    }
    struct kirim_msg msg = { bufs, NULL, NULL, 90, 0 };
    KS_OK(kirim_layer_send(layer_of[2], &msg));
    r->k->t.memory.fail_at = r->k->t.memory.calls + 1;
    KS_ERR(KIRIM_ENOMEM, kirim_layer_send(layer_of[2], &msg));
    r->k->t.memory.fail_at = 0;
    msg.buf_count = KIRIM_BUF_COUNT_MAX;
    KS_ERR(KIRIM_EMSGSIZE, kirim_layer_send(layer_of[2], &msg));
    ks_turn(&r->k->t);
    KS_EQ(1, r->k->p->sent_count);
    KS_EQ(92, r->k->p->sent[0].bytes);
    free(bufs);
    rig_close(r);
}
END_TEST

START_TEST(gather_lists_that_wrap_reach_no_layer)
{
    struct rig *r = rig_on_session();
    static uint8_t bytes[2];
    const struct kirim_buf wrapping[3] = { { bytes, SIZE_MAX - 1 }, { bytes, 2 }, { bytes, 2 } };
    const struct kirim_buf nothing[2] = { { bytes, 2 }, { NULL, 1 } };
    struct kirim_msg msg = { wrapping, NULL, NULL, 3, 0 };
    KS_ERR(KIRIM_EMSGSIZE, kirim_layer_send(layer_of[2], &msg));
    KS_ERR(KIRIM_EMSGSIZE, kirim_layer_send_behind(layer_of[2], bytes, 1, &msg));
    KS_ERR(KIRIM_EMSGSIZE, kirim_session_send(kirim_stack_session(r->stack), &msg, 0, NULL, NULL));
    msg.segment_bytes = 1;
    KS_ERR(KIRIM_EMSGSIZE, kirim_session_send(kirim_stack_session(r->stack), &msg, 0, NULL, NULL));
    msg = (struct kirim_msg){ nothing, NULL, NULL, 2, 0 };
    KS_ERR(KIRIM_EFAULT, kirim_layer_send(layer_of[2], &msg));
    KS_ERR(KIRIM_EFAULT, kirim_session_send(kirim_stack_session(r->stack), &msg, 0, NULL, NULL));
    msg = (struct kirim_msg){ wrapping, NULL, NULL, KIRIM_BUF_COUNT_MAX + 1, 0 };
    KS_ERR(KIRIM_EMSGSIZE, kirim_layer_send(layer_of[2], &msg));
    KS_TRACE(&r->k->t, "?1o2o3o1y2y3y1r2r3r");
    rig_close(r);
}
END_TEST

START_TEST(layers_count_what_passes_them)
{
    struct rig *r = rig_on_session();
    struct kirim_layer_stats stats = KIRIM_LAYER_STATS_INIT;
    KS_OK(send_from(2, 98));
    KS_ERR(KIRIM_EMSGSIZE, send_from(2, 99));
    KS_OK(send_from(1, 10));
    KS_OK(kirim_layer_read_stats(layer_of[2], &stats));
    KS_EQ(1, stats.rx_datagrams);
    KS_EQ(1, stats.tx_datagrams);
    KS_EQ(98, stats.tx_bytes);
    KS_EQ(1, stats.tx_refused);
    KS_OK(kirim_layer_read_stats(layer_of[1], &stats));
    KS_EQ(2, stats.tx_datagrams);
    KS_EQ(99 + 10, stats.tx_bytes);
    KS_EQ(0, stats.tx_refused);
    KS_OK(kirim_layer_read_stats(layer_of[0], &stats));
    KS_EQ(2, stats.tx_datagrams);
    KS_EQ(100 + 11, stats.tx_bytes);
    KS_EQ(1, stats.rx_datagrams);
    stats.size--;
    KS_ERR(KIRIM_EINVAL, kirim_layer_read_stats(layer_of[0], &stats));
    KS_ERR(KIRIM_EINVAL, kirim_layer_read_stats(layer_of[0], NULL));
    rig_close(r);
}
END_TEST

START_TEST(nobody_sends_before_the_one_below_is_ready)
{
    struct rig *r = rig_new();
    r->parts[1].is_shy = true;
    kit_open(r->k);
    const struct kirim_addr from = kit_addr(1);
    script_arrive(r->k->p, "12", 2, 0, &from);
    ks_turn(&r->k->t);
    note_layers();
    KS_TRACE(&r->k->t, "?1o2o3o1y2y1r2r3r");
    KS_ERR(KIRIM_ENOTCONN, send_from(2, 1));
    KS_OK(send_from(1, 1));
    kirim_layer_pass_ready(layer_of[1]);
    KS_OK(send_from(2, 1));
    rig_close(r);
}
END_TEST

START_TEST(stack_may_be_closed_in_every_call)
{
    for (const char *at = "oyrszdc"; *at != 0; at++) {
        struct rig *r = rig_new();
        const struct kirim_addr from = kit_addr(1);
        end_at = *at;
        open_count = 0;
        kit_open(r->k);
        script_arrive(r->k->p, "123hi", 5, 0, &from);
        ks_turn(&r->k->t);
        if (r->stack != NULL && kit_stats(r->k).count != 0) {
            note_layers();
            (void)send_from(2, 8);
            (void)kirim_stack_set_payload_bytes_max(r->stack, 90);
            (void)kirim_stack_drain(r->stack, KIRIM_NEVER);
        }
        ks_turn(&r->k->t);
        ks_turn(&r->k->t);
        KS_EQ(0, open_count);
        KS_ERR(*at == 'c' ? KIRIM_OK : KIRIM_EACCES, closed_why);
        KS_EQ(0, kit_stats(r->k).count);
        rig_close(r);
    }
    end_at = 0;
}
END_TEST

START_TEST(size_of_the_path_reaches_all)
{
    struct rig *r = rig_on_session();
    const uint32_t too_long = KIRIM_PAYLOAD_IPV6_BYTES_MAX + 1;
    KS_ERR(KIRIM_EINVAL, kirim_stack_set_payload_bytes_max(r->stack, 3));
    KS_ERR(KIRIM_EINVAL, kirim_stack_set_payload_bytes_max(r->stack, too_long));
    KS_OK(kirim_stack_set_payload_bytes_max(r->stack, 4));
    KS_EQ(2, kirim_layer_payload_bytes_max(layer_of[2]));
    KS_TRACE(&r->k->t, "?1o2o3o1y2y3y1r2r3r1z2z3z");
    rig_close(r);
}
END_TEST

START_TEST(drain_goes_down_layer_by_layer)
{
    struct rig *r = rig_on_session();
    r->parts[1].owes = true;
    KS_OK(kirim_stack_drain(r->stack, KIRIM_NEVER));
    KS_ERR(KIRIM_ECLOSED, kirim_stack_drain(r->stack, KIRIM_NEVER));
    KS_TRACE(&r->k->t, "?1o2o3o1y2y3y1r2r3r3d2d");
    kirim_layer_finish_drain(layer_of[0]); /* it is not its turn */
    KS_OK(send_from(1, 1));
    kirim_layer_finish_drain(layer_of[1]);
    ks_turn(&r->k->t);
    ks_turn(&r->k->t);
    KS_TRACE(&r->k->t, "?1o2o3o1y2y3y1r2r3r3d2d1s1d3c2c1c");
    KS_ERR(KIRIM_OK, closed_why);
    rig_close(r);
}
END_TEST

START_TEST(drain_has_a_deadline)
{
    struct rig *r = rig_on_session();
    r->parts[2].owes = true;
    KS_OK(kirim_stack_drain(r->stack, kirim_loop_now(r->k->t.loop) + 50));
    ks_turn(&r->k->t);
    r->k->s->now_ns += 50;
    ks_turn(&r->k->t);
    ks_turn(&r->k->t);
    KS_TRACE(&r->k->t, "?1o2o3o1y2y3y1r2r3r3d3c2c1c");
    KS_ERR(KIRIM_ETIMEDOUT, closed_why);
    rig_close(r);
}
END_TEST

START_TEST(set_drains_stack_by_stack)
{
    struct rig *r = rig_on_session();
    const struct kirim_addr second = kit_addr(2);
    r->parts[2].owes = true;
    script_arrive(r->k->p, "123", 3, 0, &second);
    ks_turn(&r->k->t);
    struct kirim_stack *const other = r->stack;
    KS_OK(kirim_sessions_drain(r->k->set, KIRIM_NEVER));
    KS_ERR(KIRIM_ECLOSED, kirim_sessions_drain(r->k->set, KIRIM_NEVER));
    KS_TRACE(&r->k->t, "?1o2o3o1y2y3y1r2r3r?1o2o3o1y2y3y1r2r3r3d3d");
    kirim_layer_finish_drain(layer_of[2]);
    ks_turn(&r->k->t);
    KS_TRACE(&r->k->t, "?1o2o3o1y2y3y1r2r3r?1o2o3o1y2y3y1r2r3r3d3d2d1d3c2c1c");
    KS_EQ(1, kit_stats(r->k).count);
    kirim_layer_finish_drain(kirim_stack_layer(other, 3));
    ks_turn(&r->k->t);
    ks_turn(&r->k->t);
    ks_turn(&r->k->t);
    KS_TRACE(&r->k->t, "?1o2o3o1y2y3y1r2r3r?1o2o3o1y2y3y1r2r3r3d3d2d1d3c2c1c2d1d3c2c1c.");
    KS_OK(closed_why);
    KS_CHECK(r->k->set == NULL);
    rig_close(r);
}
END_TEST

START_TEST(drain_of_a_set_has_a_deadline)
{
    struct rig *r = rig_on_session();
    r->parts[2].owes = true;
    KS_OK(kirim_stack_drain(r->stack, KIRIM_NEVER)); /* that it drains already changes nothing */
    KS_OK(kirim_sessions_drain(r->k->set, kirim_loop_now(r->k->t.loop) + 50));
    ks_turn(&r->k->t);
    KS_CHECK(r->k->set != NULL);
    r->k->s->now_ns += 50;
    ks_turn(&r->k->t);
    ks_turn(&r->k->t);
    ks_turn(&r->k->t);
    KS_CHECK(r->k->set == NULL);
    KS_ERR(KIRIM_EABORTED, closed_why);
    rig_close(r);
}
END_TEST

START_TEST(end_of_the_session_is_that_of_the_stack)
{
    struct rig *r = rig_on_session();
    struct state *s = kirim_layer_state(layer_of[1]);
    const uint64_t soon_ns = kirim_loop_now(r->k->t.loop) + 5;
    KS_OK(kirim_layer_timer_arm(layer_of[1], &s->timer, soon_ns));
    KS_OK(kirim_session_close(kirim_stack_session(r->stack)));
    KS_ERR(KIRIM_ECLOSED, send_from(2, 1));
    ks_turn(&r->k->t);
    ks_turn(&r->k->t);
    KS_TRACE(&r->k->t, "?1o2o3o1y2y3y1r2r3r2s1s3c2c1c");
    KS_ERR(KIRIM_EABORTED, closed_why);
    rig_close(r);
}
END_TEST

START_TEST(layer_that_cannot_begin_ends_the_stack)
{
    struct rig *r = rig_new();
    r->parts[1].open_err = KIRIM_EACCES;
    kit_open(r->k);
    kit_arrive(r->k, 1, 0);
    ks_turn(&r->k->t);
    ks_turn(&r->k->t);
    KS_ERR(KIRIM_EACCES, r->err);
    KS_TRACE(&r->k->t, "?1o2o1c");
    KS_EQ(0, kit_stats(r->k).count);
    rig_close(r);
}
END_TEST

START_TEST(stack_lies_behind_the_state_of_its_session_if_it_fits)
{
    struct rig *r = rig_new();
    r->k->options.stack_bytes = (uint32_t)kirim_stack_bytes(&r->plan);
    kit_open(r->k);
    kit_arrive(r->k, 1, 0);
    ks_turn(&r->k->t);
    struct kirim_session *s = kirim_stack_session(r->stack);
    const unsigned char *state = kirim_session_state(s);
    KS_CHECK((unsigned char *)r->stack == state + 16);
    KS_EQ(0, state[0]);
    rig_close(r);
}
END_TEST

/* Has a drain begin while layers begin. */
static kirim_err drain_at_once(struct kirim_layer *layer, const void *config)
{
    const kirim_err err = on_open(layer, config);
    KS_OK(kirim_stack_drain(kirim_layer_stack(layer), KIRIM_NEVER));
    KS_ERR(KIRIM_ECLOSED, kirim_stack_drain(kirim_layer_stack(layer), KIRIM_NEVER));
    kirim_layer_finish_drain(layer);
    return err;
}

START_TEST(drain_waits_for_all_to_begin)
{
    struct rig *r = rig_new();
    struct kirim_layer_type hasty = telling;
    hasty.open = drain_at_once;
    r->layers[0].type = &hasty;
    kit_open(r->k);
    kit_arrive(r->k, 1, 0);
    ks_turn(&r->k->t);
    ks_turn(&r->k->t);
    KS_OK(r->err);
    KS_TRACE(&r->k->t, "?1o2o3o3d2d1d3c2c1c");
    KS_OK(closed_why);
    rig_close(r);
}
END_TEST

START_TEST(plans_are_checked)
{
    struct rig *r = rig_new();
    struct kirim_stack_plan bad = r->plan;
    bad.layer_count = 0;
    KS_EQ(0, kirim_stack_bytes(&bad));
    bad.layer_count = KIRIM_LAYER_COUNT_MAX + 1;
    KS_EQ(0, kirim_stack_bytes(&bad));
    bad = r->plan;
    bad.payload_bytes_max = 3; /* what the layers add leaves nothing */
    KS_EQ(0, kirim_stack_bytes(&bad));
    bad = r->plan;
    bad.size = 1;
    KS_EQ(0, kirim_stack_bytes(&bad));
    KS_EQ(0, kirim_stack_bytes(NULL));
    struct kirim_layer_type mixed_up = telling;
    const struct kirim_layer_plan one = { &mixed_up, &r->parts[0] };
    bad = r->plan;
    bad.layers = &one;
    bad.layer_count = 1;
    KS_CHECK(kirim_stack_bytes(&bad) != 0);
    mixed_up.size = KIRIM_SESSION_HANDLER_INIT;
    KS_EQ(0, kirim_stack_bytes(&bad));
    mixed_up.size = sizeof mixed_up;
    KS_EQ(0, kirim_stack_bytes(&bad));
    KS_CHECK(kirim_stack_bytes(&r->plan) != 0);
    kit_open(r->k);
    KS_ERR(KIRIM_EINVAL, kirim_stack_on_session(NULL, &r->plan, NULL));
    rig_close(r);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("layer");
    TCase *tcase = tcase_create("layer");
    tcase_add_test(tcase, layers_begin_from_the_bottom_and_hear_in_order);
    tcase_add_test(tcase, endpoint_carries_the_same_stack);
    tcase_add_test(tcase, headers_are_gathered_and_counted);
    tcase_add_test(tcase, long_gather_lists_get_a_header_too);
    tcase_add_test(tcase, gather_lists_that_wrap_reach_no_layer);
    tcase_add_test(tcase, layers_count_what_passes_them);
    tcase_add_test(tcase, nobody_sends_before_the_one_below_is_ready);
    tcase_add_test(tcase, stack_may_be_closed_in_every_call);
    tcase_add_test(tcase, size_of_the_path_reaches_all);
    tcase_add_test(tcase, drain_goes_down_layer_by_layer);
    tcase_add_test(tcase, drain_has_a_deadline);
    tcase_add_test(tcase, set_drains_stack_by_stack);
    tcase_add_test(tcase, drain_of_a_set_has_a_deadline);
    tcase_add_test(tcase, drain_waits_for_all_to_begin);
    tcase_add_test(tcase, end_of_the_session_is_that_of_the_stack);
    tcase_add_test(tcase, layer_that_cannot_begin_ends_the_stack);
    tcase_add_test(tcase, stack_lies_behind_the_state_of_its_session_if_it_fits);
    tcase_add_test(tcase, plans_are_checked);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed_count = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
