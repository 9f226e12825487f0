/* SPDX-License-Identifier: MIT
 *
 * Step 3 of docs/tutorial.md: a sensor that asks until it is answered, and a collector that is hard
 * of hearing.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "tally.h"

static void must(kirim_err err)
{
    if (err < 0) {
        fprintf(stderr, "%s\n", kirim_err_text(err));
        exit(1);
    }
}

/* ---- a layer that loses the first two batches ------------------------------------------------ */

static void hardly_received(struct kirim_layer *layer, const struct kirim_batch *batch)
{
    unsigned *lost_count = kirim_layer_state(layer);
    if (*lost_count < 2) {
        ++*lost_count;
        printf("the collector did not hear it\n");
        return;
    }
    kirim_layer_pass_received(layer, batch);
}

static const struct kirim_layer_type hard_of_hearing = {
    .size = KIRIM_LAYER_TYPE_INIT,
    .name = "hard of hearing",
    .state_bytes = sizeof(unsigned),
    .received = hardly_received,
};

/* ---- the collector --------------------------------------------------------------------------- */

static void on_opened(struct kirim_sessions *set, struct kirim_session *session, void *user)
{
    const struct kirim_layer_plan layers[] = {
        { &hard_of_hearing, NULL }, /* at the bottom, next to the wire */
        { tally_collector(), NULL },
    };
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

/* ---- the sensor ------------------------------------------------------------------------------ */

static void on_told(void *user, uint32_t total)
{
    (void)user;
    printf("the collector has counted %" PRIu32 "\n", total);
}

static void on_ended(void *user, kirim_err why)
{
    struct kirim_loop *loop = user;
    printf("the sensor has ended: %s\n", kirim_err_name(why));
    kirim_loop_stop(loop);
}

int main(void)
{
    struct kirim_loop *loop;
    struct kirim_sessions *set;
    struct kirim_stack *sensor;
    must(kirim_loop_open(NULL, &loop));
    open_collector(loop, &set);

    const struct tally_sensor_config config = { on_told, on_ended, loop };
    const struct kirim_layer_plan layers[] = { { tally_sensor(), &config } };
    struct kirim_stack_plan plan = KIRIM_STACK_PLAN_INIT;
    struct kirim_endpoint_options options = KIRIM_ENDPOINT_OPTIONS_INIT;
    plan.layers = layers;
    plan.layer_count = sizeof layers / sizeof layers[0];
    options.peer = kirim_endpoint_local(kirim_sessions_endpoint(set));
    must(kirim_stack_on_endpoint(loop, &options, &plan, &sensor));

    tally_sensor_add(kirim_stack_layer(sensor, 0), 3);
    must(kirim_stack_drain(sensor, kirim_loop_now(loop) + UINT64_C(20000000000)));
    must(kirim_loop_run(loop));
    must(kirim_loop_close(loop));
    return 0;
}
