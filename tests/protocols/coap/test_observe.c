/* SPDX-License-Identifier: MIT
 *
 * Claims about observers: who is told, when, in what kind of message, and until when.
 */
#include "kit.h"

static struct kit_side side;
static struct kirim_coap_resource resource;
static char state[32];
static uint8_t state_code;

static void on_state(struct kirim_coap_resource *r, const struct kirim_coap_request *request,
                     struct kirim_coap_response *response)
{
    (void)r;
    (void)request;
    response->code = state_code;
    response->body = kirim_coap_span_text(state);
}

static void begin(const struct kirim_coap_node_options *options)
{
    kit_open(&side, "192.0.2.1:5683", "192.0.2.2:40000", options);
    resource = (struct kirim_coap_resource)KIRIM_COAP_RESOURCE_INIT(
        "s", KIRIM_COAP_METHOD(KIRIM_COAP_GET), KIRIM_COAP_OBSERVABLE, on_state, NULL);
    state_code = KIRIM_COAP_CONTENT;
    memcpy(state, "0", 2);
    ck_assert_int_eq(kirim_coap_resource_add(&side.node, &resource), KIRIM_OK);
}

static void say_observe(uint16_t id, const char *token, uint32_t value)
{
    const struct kit_message get = {
        .code = 1, .id = id, .token = token, .options = { { 6, NULL, value }, { 11, "s", 0 } }
    };
    kit_say(&side, &get);
}

static void change(char to)
{
    state[0] = to;
    kirim_coap_notify(&side.node, &resource, side.now_ns);
}

static void acknowledge(uint16_t id)
{
    const struct kit_message ack = { .type = KIRIM_COAP_ACK, .id = id };
    kit_say(&side, &ack);
}

static void reset(uint16_t id)
{
    const struct kit_message rst = { .type = KIRIM_COAP_RST, .id = id };
    kit_say(&side, &rst);
}

START_TEST(an_observer_is_told_of_changes)
{
    begin(NULL);
    say_observe(1, "tok", 0);
    struct kirim_coap_message m = kit_expect(&side, KIRIM_COAP_ACK, KIRIM_COAP_CONTENT);
    ck_assert(kit_fields(&m).has & KIRIM_COAP_HAS_OBSERVE);
    uint32_t sequence = kit_fields(&m).observe;
    side.now_ns += SECOND;
    change('1');
    m = kit_expect(&side, KIRIM_COAP_CON, KIRIM_COAP_CONTENT); /* the first one measures */
    ck_assert(m.token_bytes == 3 && memcmp(m.token, "tok", 3) == 0);
    ck_assert(kirim_coap_span_equal(m.payload, kirim_coap_span_text("1")));
    ck_assert_uint_gt(kit_fields(&m).observe, sequence);
    sequence = kit_fields(&m).observe;
    side.now_ns += 10 * MS;
    acknowledge(m.id);
    size_t confirmable = 0;
    for (char i = '2'; i <= '9'; i++) {
        side.now_ns += 5 * SECOND;
        change(i);
        ck_assert(kit_take(&side, &m));
        ck_assert_uint_gt(kit_fields(&m).observe, sequence);
        sequence = kit_fields(&m).observe;
        confirmable += m.type == KIRIM_COAP_CON ? 1 : 0;
        if (m.type == KIRIM_COAP_CON) {
            acknowledge(m.id);
        }
        kit_expect_silence(&side);
    }
    ck_assert_uint_eq(confirmable, 1); /* every fifth */
    say_observe(9, "tok", 1);
    m = kit_expect(&side, KIRIM_COAP_ACK, KIRIM_COAP_CONTENT);
    ck_assert(!(kit_fields(&m).has & KIRIM_COAP_HAS_OBSERVE));
    ck_assert_uint_eq(side.node.observer_count, 0);
    change('x');
    kit_expect_silence(&side);
    kit_close(&side);
}
END_TEST

START_TEST(the_newest_state_is_told)
{
    begin(NULL);
    say_observe(1, "t", 0);
    (void)kit_expect(&side, KIRIM_COAP_ACK, KIRIM_COAP_CONTENT);
    change('1');
    struct kirim_coap_message m = kit_expect(&side, KIRIM_COAP_CON, KIRIM_COAP_CONTENT);
    change('2');
    change('3');
    kit_expect_silence(&side); /* one at a time */
    acknowledge(m.id);
    ck_assert(kit_tick(&side, side.now_ns + 3 * SECOND) || side.count > 0);
    ck_assert(kit_take(&side, &m));
    ck_assert(kirim_coap_span_equal(m.payload, kirim_coap_span_text("3")));
    kit_expect_silence(&side);
    kit_close(&side);
}
END_TEST

START_TEST(who_is_not_there_any_more_is_forgotten)
{
    struct kirim_coap_message m;
    begin(NULL);
    for (int way = 0; way < 4; way++) {
        say_observe((uint16_t)(10 + way), "t", 0);
        (void)kit_expect(&side, KIRIM_COAP_ACK, KIRIM_COAP_CONTENT);
        ck_assert_uint_eq(side.node.observer_count, 1);
        change('1');
        m = kit_expect(&side, KIRIM_COAP_CON, KIRIM_COAP_CONTENT);
        if (way == 0) {
            reset(m.id);
        } else if (way == 1) {
            while (side.node.observer_count > 0) {
                ck_assert(kit_tick(&side, side.now_ns + 100 * SECOND));
            }
            side.count = 0;
        } else if (way == 2) {
            kirim_coap_peer_gone(&side.peer, KIRIM_ECONNRESET, side.now_ns);
        } else {
            acknowledge(m.id);
            side.now_ns += 10 * SECOND;
            change('2');
            m = kit_expect(&side, KIRIM_COAP_NON, KIRIM_COAP_CONTENT);
            reset(m.id); /* of one that is not confirmable */
        }
        ck_assert_uint_eq(side.node.observer_count, 0);
    }
    change('3');
    kit_expect_silence(&side);
    kit_close(&side);
}
END_TEST

START_TEST(an_observer_is_asked_whether_it_is_there)
{
    begin(NULL);
    say_observe(1, "t", 0);
    (void)kit_expect(&side, KIRIM_COAP_ACK, KIRIM_COAP_CONTENT);
    ck_assert(kit_tick(&side, side.now_ns + 101 * SECOND));
    const struct kirim_coap_message m = kit_expect(&side, KIRIM_COAP_CON, KIRIM_COAP_CONTENT);
    ck_assert_uint_eq(side.now_ns, 101 * SECOND);
    acknowledge(m.id);
    ck_assert(!kit_tick(&side, side.now_ns + 99 * SECOND));
    kit_close(&side);
}
END_TEST

START_TEST(observers_are_told_when_there_is_nothing_left)
{
    begin(NULL);
    say_observe(1, "t", 0);
    (void)kit_expect(&side, KIRIM_COAP_ACK, KIRIM_COAP_CONTENT);
    state_code = KIRIM_COAP_UNAVAILABLE;
    change('1');
    struct kirim_coap_message m = kit_expect(&side, KIRIM_COAP_CON, KIRIM_COAP_UNAVAILABLE);
    ck_assert(!(kit_fields(&m).has & KIRIM_COAP_HAS_OBSERVE));
    ck_assert_uint_eq(side.node.observer_count, 0);
    acknowledge(m.id);
    state_code = KIRIM_COAP_CONTENT;
    say_observe(2, "u", 0);
    (void)kit_expect(&side, KIRIM_COAP_ACK, KIRIM_COAP_CONTENT);
    change('2'); /* one is under way when the resource goes */
    m = kit_expect(&side, KIRIM_COAP_CON, KIRIM_COAP_CONTENT);
    kirim_coap_resource_remove(&side.node, &resource, side.now_ns);
    kit_expect_silence(&side);
    acknowledge(m.id);
    m = kit_expect(&side, KIRIM_COAP_CON, KIRIM_COAP_NOT_FOUND);
    acknowledge(m.id);
    ck_assert_uint_eq(side.node.observer_count, 0);
    kit_close(&side);
}
END_TEST

START_TEST(observers_are_bounded)
{
    struct kirim_coap_node_options options = KIRIM_COAP_NODE_OPTIONS_INIT;
    options.peer_observer_count_max = 2;
    begin(&options);
    static const char *const tokens[] = { "a", "b", "c" };
    for (uint16_t i = 0; i < 3; i++) {
        say_observe((uint16_t)(i + 1), tokens[i], 0);
        const struct kirim_coap_message m = kit_expect(&side, KIRIM_COAP_ACK, KIRIM_COAP_CONTENT);
        ck_assert(((kit_fields(&m).has & KIRIM_COAP_HAS_OBSERVE) != 0) == (i < 2));
    }
    say_observe(4, "a", 0); /* the same again is no other one */
    ck_assert_uint_eq(side.node.observer_count, 2);
    ck_assert_uint_eq(side.node.stats.full, 1);
    kit_close(&side);
}
END_TEST

START_TEST(who_never_measured_the_path_is_told_slowly)
{
    struct kirim_coap_node_options options = KIRIM_COAP_NODE_OPTIONS_INIT;
    options.confirm_every = 255;
    begin(&options);
    say_observe(1, "t", 0);
    (void)kit_expect(&side, KIRIM_COAP_ACK, KIRIM_COAP_CONTENT);
    change('1');
    struct kirim_coap_message m = kit_expect(&side, KIRIM_COAP_CON, KIRIM_COAP_CONTENT);
    ck_assert(kit_tick(&side, side.now_ns + 10 * SECOND)); /* sent twice: it measures nothing */
    m = kit_expect(&side, KIRIM_COAP_CON, KIRIM_COAP_CONTENT);
    acknowledge(m.id);
    size_t count = 0;
    for (int i = 0; i < 300; i++) { /* changes ten times a second, for 30 s */
        const uint64_t next_ns = side.now_ns + 100 * MS;
        change((char)('a' + i % 26));
        while (kit_tick(&side, next_ns)) {}
        while (kit_take(&side, &m)) {
            count++;
        }
    }
    ck_assert_uint_ge(count, 10);
    ck_assert_uint_le(count, 12);
    kit_close(&side);
}
END_TEST

/* A resource that takes itself away, and its memory with it, when it is asked for the last time. */
static void on_last(struct kirim_coap_resource *r, const struct kirim_coap_request *request,
                    struct kirim_coap_response *response)
{
    bool *const is_last = r->user;
    response->code = KIRIM_COAP_CONTENT;
    response->body = kirim_coap_span_text("x");
    if (*is_last) {
        kirim_coap_resource_remove(request->node, r, request->now_ns);
        free(r);
    }
}

static struct kirim_coap_resource *add_last(bool *is_last)
{
    struct kirim_coap_resource *const r = malloc(sizeof *r);
    ck_assert_ptr_nonnull(r);
    *r = (struct kirim_coap_resource)KIRIM_COAP_RESOURCE_INIT(
        "last", KIRIM_COAP_METHOD(KIRIM_COAP_GET), KIRIM_COAP_OBSERVABLE, on_last, is_last);
    ck_assert_int_eq(kirim_coap_resource_add(&side.node, r), KIRIM_OK);
    return r;
}

static const struct kit_message observe_last = {
    .code = 1, .id = 1, .token = "t", .options = { { 6, NULL, 0 }, { 11, "last", 0 } }
};

START_TEST(who_comes_back_is_told_greater_numbers)
{
    begin(NULL);
    say_observe(1, "t", 0);
    (void)kit_expect(&side, KIRIM_COAP_ACK, KIRIM_COAP_CONTENT);
    side.now_ns += SECOND;
    change('1');
    struct kirim_coap_message m = kit_expect(&side, KIRIM_COAP_CON, KIRIM_COAP_CONTENT);
    const uint32_t sequence = kit_fields(&m).observe;
    reset(m.id);
    ck_assert_uint_eq(side.node.observer_count, 0);
    side.now_ns += SECOND;
    say_observe(2, "t", 0);
    m = kit_expect(&side, KIRIM_COAP_ACK, KIRIM_COAP_CONTENT);
    ck_assert_uint_gt(kit_fields(&m).observe, sequence);
    kit_close(&side);
}
END_TEST

START_TEST(a_resource_may_go_while_its_observers_are_told)
{
    static struct kirim_coap_peer other;
    struct kirim_addr addr;
    uint8_t wire[KIT_WIRE_MAX];
    bool is_last = false;
    begin(NULL);
    struct kirim_coap_resource *const r = add_last(&is_last);
    ck_assert_int_eq(kirim_addr_parse("192.0.2.3:40000", &addr), KIRIM_OK);
    kirim_coap_peer_init(&other, &side.node, &addr);
    other.is_validated = true;
    kirim_coap_peer_ready(&other, side.now_ns);
    kit_say(&side, &observe_last);
    const struct kirim_coap_arrival arrival = { .wire = { wire, kit_write(&observe_last, wire) },
                                                .from = addr };
    kirim_coap_peer_input(&other, &arrival, side.now_ns);
    (void)kit_expect(&side, KIRIM_COAP_ACK, KIRIM_COAP_CONTENT);
    (void)kit_expect(&side, KIRIM_COAP_ACK, KIRIM_COAP_CONTENT);
    is_last = true;
    kirim_coap_notify(&side.node, r, side.now_ns);
    (void)kit_expect(&side, KIRIM_COAP_CON, KIRIM_COAP_NOT_FOUND);
    struct kirim_coap_message m = kit_expect(&side, KIRIM_COAP_CON, KIRIM_COAP_CONTENT);
    /* Who was just told what it was hears next that it is gone. */
    const struct kit_message ack = { .type = KIRIM_COAP_ACK, .id = m.id };
    const struct kirim_coap_arrival last = { .wire = { wire, kit_write(&ack, wire) },
                                             .from = addr };
    kirim_coap_peer_input(&other, &last, side.now_ns);
    (void)kit_expect(&side, KIRIM_COAP_CON, KIRIM_COAP_NOT_FOUND);
    kirim_coap_peer_fini(&other, KIRIM_EABORTED);
    kit_close(&side);
}
END_TEST

START_TEST(a_resource_may_go_while_it_is_asked)
{
    bool is_last = true;
    begin(NULL);
    (void)add_last(&is_last);
    kit_say(&side, &observe_last);
    const struct kirim_coap_message m = kit_expect(&side, KIRIM_COAP_ACK, KIRIM_COAP_CONTENT);
    ck_assert(!(kit_fields(&m).has & KIRIM_COAP_HAS_OBSERVE));
    ck_assert_uint_eq(side.node.observer_count, 0);
    kit_close(&side);
}
END_TEST

int main(void)
{
    const struct kit_claim claims[] = {
        { an_observer_is_told_of_changes, 0 },
        { the_newest_state_is_told, 0 },
        { who_is_not_there_any_more_is_forgotten, 0 },
        { an_observer_is_asked_whether_it_is_there, 0 },
        { observers_are_told_when_there_is_nothing_left, 0 },
        { observers_are_bounded, 0 },
        { who_never_measured_the_path_is_told_slowly, 0 },
        { who_comes_back_is_told_greater_numbers, 0 },
        { a_resource_may_go_while_its_observers_are_told, 0 },
        { a_resource_may_go_while_it_is_asked, 0 },
        { NULL, 0 },
    };
    return kit_main("protocols/coap observe", claims);
}
