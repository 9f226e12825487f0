/* SPDX-License-Identifier: MIT
 *
 * Step 6 of docs/tutorial.md: Tally under a thousand storms, in the simulated network.
 *
 *     step6 [PPM]
 *
 * PPM, of a million datagrams, are lost, as many arrive twice, and as many late. A seed that fails
 * has one line: the command that runs it again. Linked with tally_collector.c it is step 6, with
 * tally_collector_mended.c step 7.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <kirim/trial.h>

#include "tally.h"

enum { SENSOR_COUNT = 3, PULSE_COUNT = 20 };

#define MS UINT64_C(1000000)

/* One sensor, which counts a pulse every 200 ms until it has counted all. */
struct node {
    struct kirim_loop *loop;
    struct kirim_stack *stack; /* NULL: it has ended */
    struct tally_sensor_config config;
    struct kirim_timer pulse;
    uint32_t pulses; /* that it has counted */
    uint32_t told;   /* what the collector says that these are */
};

/* A world: a collector, and sensors. */
struct world {
    struct kirim_sim *sim;
    struct kirim_loop *loop; /* the collector's */
    struct kirim_sessions *set;
    struct node nodes[SENSOR_COUNT];
};

static void must(kirim_err err)
{
    if (err < 0) {
        fprintf(stderr, "%s\n", kirim_err_text(err));
        exit(1);
    }
}

/* ---- the collector --------------------------------------------------------------------------- */

static void on_opened(struct kirim_sessions *set, struct kirim_session *session, void *user)
{
    const struct kirim_layer_plan layers[] = {
        { tally_door(), NULL },
        { tally_collector(), NULL },
    };
    struct kirim_stack_plan plan = KIRIM_STACK_PLAN_INIT;
    (void)set;
    (void)user;
    plan.layers = layers;
    plan.layer_count = sizeof layers / sizeof layers[0];
    (void)kirim_stack_on_session(session, &plan, NULL);
}

static void open_collector(struct world *w, const struct kirim_addr *addr)
{
    static const struct kirim_sessions_handler handler = { KIRIM_SESSIONS_HANDLER_INIT,
                                                           .opened = on_opened };
    struct kirim_guard_options guard = KIRIM_GUARD_OPTIONS_INIT;
    struct kirim_endpoint_options endpoint = KIRIM_ENDPOINT_OPTIONS_INIT;
    struct kirim_sessions_options options = KIRIM_SESSIONS_OPTIONS_INIT;
    endpoint.local = *addr;
    guard.retry_head = tally_retry;
    guard.retry_head_bytes = sizeof tally_retry;
    options.guard = &guard;
    options.endpoint = &endpoint;
    options.handler = &handler;
    options.session_handler = kirim_stack_session_handler();
    must(kirim_sessions_open(w->loop, &options, &w->set));
}

/* ---- the sensors ----------------------------------------------------------------------------- */

static void on_pulse(struct kirim_timer *timer)
{
    struct node *n = timer->user;
    if (n->stack != NULL && n->pulses < PULSE_COUNT) {
        n->pulses++;
        tally_sensor_add(kirim_stack_layer(n->stack, 1), 1);
        (void)kirim_timer_arm_after(n->loop, timer, 200 * MS);
    }
}

static void on_told(void *user, uint32_t total)
{
    ((struct node *)user)->told = total;
}

static void on_ended(void *user, kirim_err why)
{
    (void)why;
    ((struct node *)user)->stack = NULL;
}

static void open_sensor(struct node *n, const struct kirim_addr *local,
                        const struct kirim_addr *collector)
{
    n->config = (struct tally_sensor_config){ on_told, on_ended, n };
    n->pulse = (struct kirim_timer)KIRIM_TIMER_INIT(on_pulse, n);
    const struct kirim_layer_plan layers[] = {
        { tally_knock(), NULL },
        { tally_sensor(), &n->config },
    };
    struct kirim_stack_plan plan = KIRIM_STACK_PLAN_INIT;
    struct kirim_endpoint_options options = KIRIM_ENDPOINT_OPTIONS_INIT;
    plan.layers = layers;
    plan.layer_count = sizeof layers / sizeof layers[0];
    options.local = *local;
    options.peer = *collector;
    must(kirim_stack_on_endpoint(n->loop, &options, &plan, &n->stack));
    must(kirim_timer_arm_after(n->loop, &n->pulse, 200 * MS));
}

/* ---- a world --------------------------------------------------------------------------------- */

/* A host of the world with one address, and a loop on it. */
static struct kirim_loop *add_host(struct kirim_sim *sim, const char *text, struct kirim_addr *addr)
{
    struct kirim_loop_options options = KIRIM_LOOP_OPTIONS_INIT;
    struct kirim_sim_host *host;
    struct kirim_loop *loop;
    must(kirim_addr_parse(text, addr));
    must(kirim_sim_host_add(sim, text, addr, 1, &host));
    options.reactor = "sim";
    options.reactor_context = host;
    must(kirim_loop_open(&options, &loop));
    return loop;
}

static void open_world(struct world *w, struct kirim_trial *trial, uint32_t ppm)
{
    static const char *const texts[SENSOR_COUNT] = { "10.0.0.2:0", "10.0.0.3:0", "10.0.0.4:0" };
    struct kirim_link_rules link = KIRIM_SIM_LINK_INIT;
    struct kirim_addr collector, sensor;
    must(kirim_trial_open(trial, NULL, &w->sim));
    link.delay_ns = link.jitter_ns = link.reorder_ns = 20 * MS;
    link.loss_ppm = link.duplicate_ppm = link.reorder_ppm = ppm;
    must(kirim_sim_link_set(w->sim, NULL, NULL, &link));
    w->loop = add_host(w->sim, "10.0.0.1:7000", &collector);
    open_collector(w, &collector);
    for (unsigned i = 0; i < SENSOR_COUNT; i++) {
        w->nodes[i] = (struct node){ .loop = add_host(w->sim, texts[i], &sensor) };
        open_sensor(&w->nodes[i], &sensor, &collector);
    }
}

static void close_world(struct world *w)
{
    for (unsigned i = 0; i < SENSOR_COUNT; i++) {
        must(kirim_loop_close(w->nodes[i].loop));
    }
    must(kirim_loop_close(w->loop));
    must(kirim_sim_close(w->sim));
}

/* What has to be so when the storm is over: every pulse was counted, and once. */
static void check(const struct world *w, struct kirim_trial *trial)
{
    for (unsigned i = 0; i < SENSOR_COUNT; i++) {
        const struct node *n = &w->nodes[i];
        if (n->stack == NULL || n->told != PULSE_COUNT) {
            char text[80];
            snprintf(text, sizeof text, "sensor %u: %d pulses, the collector has %" PRIu32, i + 1,
                     PULSE_COUNT, n->told);
            kirim_trial_fail(trial, text, NULL, 0);
        }
    }
}

/* The storm of one seed. */
static void run_storm(struct kirim_trial *trial, void *user)
{
    const uint32_t *ppm = user;
    struct world w;
    open_world(&w, trial, *ppm);
    must(kirim_sim_run(w.sim, kirim_sim_now(w.sim) + 40000 * MS));
    check(&w, trial);
    close_world(&w);
}

static void print_line(void *user, const char *line)
{
    (void)user;
    puts(line);
}

int main(int argc, char **argv)
{
    uint32_t ppm = 100;
    char command[1024], rest;
    struct kirim_trials_options options = KIRIM_TRIALS_OPTIONS_INIT;
    struct kirim_trials_result result = KIRIM_TRIALS_RESULT_INIT;
    if (argc > 1 && (sscanf(argv[1], "%7" SCNu32 "%c", &ppm, &rest) != 1 || ppm > 1000000)) {
        fprintf(stderr, "usage: %s [PPM]  # so many of a million are lost, repeated, late\n",
                argv[0]);
        return 2;
    }
    snprintf(command, sizeof command, "%s %" PRIu32, argv[0], ppm);
    options.command = command;
    options.print = print_line;
    options.seed_count = 1000;
    const kirim_err err = kirim_trials_run(&options, run_storm, &ppm, &result);
    printf("%" PRIu64 " of %" PRIu64 " seeds failed\n", result.failed_count, result.run_count);
    return err == KIRIM_OK ? 0 : 1;
}
