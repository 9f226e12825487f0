/* SPDX-License-Identifier: MIT
 *
 * Storms: see storm.h.
 */
#include "storm.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdio.h>

enum { COMMAND_BYTES = 512, LINE_BYTES = COMMAND_BYTES + 40, SECONDS_MAX = 900 };

struct storm {
    kirim_trial_fn run;
    void *user;
};

static char command[COMMAND_BYTES];
static struct kirim_trial *under_way; /* NULL: no storm is */
static jmp_buf way_out;               /* of its run */

static void on_failed(const char *file, int line, const char *text)
{
    kirim_trial_fail(under_way, text, file, line);
    longjmp(way_out, 1);
}

static void run_seed(struct kirim_trial *trial, void *user)
{
    const struct storm *const storm = user;
    char line[LINE_BYTES];
    (void)snprintf(line, sizeof line, "KIRIM_SEED=%" PRIu64 " %s", kirim_trial_seed(trial),
                   command);
    claims_mark(line, 0);
    under_way = trial;
    claims_divert(on_failed);
    if (setjmp(way_out) == 0) {
        storm->run(trial, storm->user);
    }
    claims_divert(NULL);
    under_way = NULL;
}

uint64_t storm_run(kirim_trial_fn run, void *user)
{
    struct kirim_trials_options options = KIRIM_TRIALS_OPTIONS_INIT;
    struct kirim_trials_result result = KIRIM_TRIALS_RESULT_INIT;
    struct storm storm = { run, user };
    options.command = command;
    options.seed_count = STORM_SEEDS;
    const kirim_err err = kirim_trials_run(&options, run_seed, &storm, &result);
    (void)printf("%" PRIu64 " of %" PRIu64 " seeds failed (digest %016" PRIx64 ")\n",
                 result.failed_count, result.run_count, result.digest);
    (void)fflush(stdout);
    ck_assert_int_eq(err, KIRIM_OK);
    return result.run_count;
}

void storm_join(struct kirim_sim *sim)
{
    if (under_way != NULL) {
        ck_assert_int_eq(kirim_trial_join(under_way, sim), KIRIM_OK);
    }
}

void storm_note(uint64_t number, const void *data, size_t bytes)
{
    if (under_way != NULL) {
        kirim_trial_note(under_way, number, data, bytes);
    }
}

int storm_main(int argc, char **argv, const char *name, const struct kit_claim *claims)
{
    size_t used = 0;
    for (int i = 0; i < argc && used < sizeof command; i++) {
        used += (size_t)snprintf(command + used, sizeof command - used, "%s%s", i > 0 ? " " : "",
                                 argv[i]);
    }
    return claims_run(name, claims, SECONDS_MAX);
}
