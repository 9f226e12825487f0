/* SPDX-License-Identifier: MIT
 *
 * Step 5 of docs/tutorial.md: the same collector and the same sensor over DTLS.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "dtls/dtls.h"
#include "tally.h"

static void must(kirim_err err)
{
    if (err < 0) {
        fprintf(stderr, "%s\n", kirim_err_text(err));
        exit(1);
    }
}

/* A key that both ends have. Never put a real one into a program. */
static void open_dtls(struct kirim_loop *loop, struct kirim_dtls **out)
{
    static uint8_t key[] = "a secret of 24 bytes, no";
    struct kirim_dtls_options options = KIRIM_DTLS_OPTIONS_INIT;
    options.psk_key = (struct kirim_buf){ key, sizeof key - 1 };
    options.psk_identity = "sensor";
    must(kirim_dtls_open(loop, &options, out));
}

/* ---- the collector --------------------------------------------------------------------------- */

static kirim_err on_admit(struct kirim_sessions *set, const struct kirim_datagram *datagram,
                          struct kirim_admission *out, void *user)
{
    return kirim_dtls_admit(user, set, datagram, out);
}

static void on_opened(struct kirim_sessions *set, struct kirim_session *session, void *user)
{
    const struct kirim_dtls_config dtls = KIRIM_DTLS_CONFIG_INIT(user, KIRIM_DTLS_SERVER);
    const struct kirim_layer_plan layers[] = {
        { kirim_dtls_layer_type(), &dtls },
        { tally_collector(), NULL },
    };
    struct kirim_stack_plan plan = KIRIM_STACK_PLAN_INIT;
    (void)set;
    plan.layers = layers;
    plan.layer_count = sizeof layers / sizeof layers[0];
    (void)kirim_stack_on_session(session, &plan, NULL);
}

static void open_collector(struct kirim_loop *loop, struct kirim_dtls *dtls,
                           struct kirim_sessions **set)
{
    static const struct kirim_sessions_handler handler = { KIRIM_SESSIONS_HANDLER_INIT,
                                                           .admit = on_admit, .opened = on_opened };
    struct kirim_endpoint_options endpoint = KIRIM_ENDPOINT_OPTIONS_INIT;
    struct kirim_sessions_options options = KIRIM_SESSIONS_OPTIONS_INIT;
    must(kirim_addr_parse("127.0.0.1:0", &endpoint.local));
    options.endpoint = &endpoint;
    options.handler = &handler;
    options.session_handler = kirim_stack_session_handler();
    options.user = dtls;
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
    struct kirim_dtls_stats stats = KIRIM_DTLS_STATS_INIT;
    struct kirim_loop *loop;
    struct kirim_dtls *dtls;
    struct kirim_sessions *set;
    struct kirim_stack *sensor;
    must(kirim_loop_open(NULL, &loop));
    open_dtls(loop, &dtls);
    open_collector(loop, dtls, &set);

    const struct tally_sensor_config config = { on_told, on_ended, loop };
    const struct kirim_dtls_config client = KIRIM_DTLS_CONFIG_INIT(dtls, KIRIM_DTLS_CLIENT);
    const struct kirim_layer_plan layers[] = {
        { kirim_dtls_layer_type(), &client },
        { tally_sensor(), &config },
    };
    struct kirim_stack_plan plan = KIRIM_STACK_PLAN_INIT;
    struct kirim_endpoint_options options = KIRIM_ENDPOINT_OPTIONS_INIT;
    plan.layers = layers;
    plan.layer_count = sizeof layers / sizeof layers[0];
    options.peer = kirim_endpoint_local(kirim_sessions_endpoint(set));
    must(kirim_stack_on_endpoint(loop, &options, &plan, &sensor));

    tally_sensor_add(kirim_stack_layer(sensor, 1), 3);
    must(kirim_stack_drain(sensor, kirim_loop_now(loop) + UINT64_C(20000000000)));
    must(kirim_loop_run(loop));
    must(kirim_dtls_read_stats(dtls, &stats));
    printf("handshakes: %" PRIu64 " at each end\n", stats.done / 2);
    must(kirim_loop_close(loop));
    kirim_dtls_close(dtls);
    return 0;
}
