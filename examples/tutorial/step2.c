/* SPDX-License-Identifier: MIT
 *
 * Step 2 of docs/tutorial.md: a session for each sensor.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "tally.h"

enum { SENSOR_COUNT = 3, ADDS_EACH = 2 };

struct sensor {
    struct kirim_endpoint *ep;
    uint32_t total; /* as the collector has told */
};

static unsigned answer_count;

static void must(kirim_err err)
{
    if (err < 0) {
        fprintf(stderr, "%s\n", kirim_err_text(err));
        exit(1);
    }
}

/* A stranger has come: his session gets a collector of its own. */
static void on_opened(struct kirim_sessions *set, struct kirim_session *session, void *user)
{
    const struct kirim_layer_plan layers[] = { { tally_collector(), NULL } };
    struct kirim_stack_plan plan = KIRIM_STACK_PLAN_INIT;
    (void)set;
    (void)user;
    plan.layers = layers;
    plan.layer_count = sizeof layers / sizeof layers[0];
    (void)kirim_stack_on_session(session, &plan, NULL);
}

static void open_collector(struct kirim_loop *loop, struct kirim_sessions **set)
{
    static const struct kirim_sessions_handler handler = { KIRIM_SESSIONS_HANDLER_INIT,
                                                           .opened = on_opened };
    struct kirim_endpoint_options endpoint = KIRIM_ENDPOINT_OPTIONS_INIT;
    struct kirim_sessions_options options = KIRIM_SESSIONS_OPTIONS_INIT;
    must(kirim_addr_parse("127.0.0.1:0", &endpoint.local));
    options.endpoint = &endpoint;
    options.handler = &handler;
    options.session_handler = kirim_stack_session_handler();
    must(kirim_sessions_open(loop, &options, set));
}

static void on_total(struct kirim_endpoint *ep, const struct kirim_batch *batch, void *user)
{
    struct sensor *s = user;
    for (size_t i = 0; i < batch->count; i++) {
        const struct kirim_datagram *d = kirim_batch_at(batch, i);
        struct tally_message m;
        if (tally_read(d->data, d->bytes, &m) && m.kind == TALLY_TOTAL) {
            s->total = m.count;
            answer_count++;
        }
    }
    if (answer_count == SENSOR_COUNT * ADDS_EACH) {
        kirim_loop_stop(kirim_endpoint_loop(ep));
    }
}

/* A sensor that counts `count` pulses, twice. */
static void open_sensor(struct kirim_loop *loop, const struct kirim_addr *collector,
                        struct sensor *s, uint32_t count)
{
    static const struct kirim_handler handler = { KIRIM_HANDLER_INIT, .received = on_total };
    struct kirim_endpoint_options options = KIRIM_ENDPOINT_OPTIONS_INIT;
    options.peer = *collector;
    options.handler = &handler;
    options.user = s;
    must(kirim_endpoint_open(loop, &options, &s->ep));
    for (unsigned i = 1; i <= ADDS_EACH; i++) {
        const struct tally_message add = { TALLY_ADD, (uint16_t)i, count };
        uint8_t bytes[TALLY_BYTES];
        tally_write(&add, bytes);
        must(kirim_endpoint_send_to(s->ep, bytes, sizeof bytes, NULL));
    }
}

int main(void)
{
    struct sensor sensors[SENSOR_COUNT] = { { NULL, 0 } };
    struct kirim_sessions_stats stats = KIRIM_SESSIONS_STATS_INIT;
    struct kirim_sessions *set;
    struct kirim_loop *loop;
    must(kirim_loop_open(NULL, &loop));
    open_collector(loop, &set);
    const struct kirim_addr collector = kirim_endpoint_local(kirim_sessions_endpoint(set));
    for (uint32_t i = 0; i < SENSOR_COUNT; i++) {
        open_sensor(loop, &collector, &sensors[i], i + 1);
    }
    must(kirim_loop_run(loop));
    for (unsigned i = 0; i < SENSOR_COUNT; i++) {
        printf("sensor %u: %" PRIu32 "\n", i + 1, sensors[i].total);
    }
    must(kirim_sessions_read_stats(set, &stats));
    printf("sessions: %" PRIu32 "\n", stats.count);
    must(kirim_loop_close(loop));
    return 0;
}
