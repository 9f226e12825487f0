/* SPDX-License-Identifier: MIT
 *
 * Trials: see kirim/trial.h.
 *
 * A run is a function of its seed, so whatever is wanted of one that has been, it is run again: for
 * its twin, and for its capture. The trial watches its worlds; it learns their digests when they
 * are closed. Owns nothing beyond a call of kirim_trials_run(). One thread at a time.
 */
#include <kirim/trial.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "draw.h"
#include "sim.h"

enum { TEXT_BYTES = 256, CLAIM_BYTES_MAX = 200, LINE_BYTES = 1024 };

struct kirim_trial {
    uint64_t seed;
    uint64_t digest;    /* of the worlds that have ended; at the end, of the notes too */
    uint64_t noted;     /* what the scenario has noted, as a hash; 0: nothing */
    uint64_t end_ns;    /* when the last one was */
    size_t ended_count; /* worlds */
    struct member *open;
    const char *captured; /* the file that the first world goes to; NULL: none */
    struct kirim_sim_capture *capture;
    bool has_failed;
    char text[TEXT_BYTES]; /* what is wrong */
};

/* A world of a trial, until it is closed. */
struct member {
    struct member *next;
    struct kirim_trial *trial;
    struct kirim_sim *sim;
    bool is_captured;
};

/* One call of kirim_trials_run(). */
struct trials {
    struct kirim_trials_options options;
    kirim_trial_fn run;
    void *user;
    struct kirim_trials_result result;
    bool has_captured;
};

/* ---- what a scenario calls ------------------------------------------------------------------- */

uint64_t kirim_trial_seed(const struct kirim_trial *trial)
{
    return trial->seed;
}

bool kirim_trial_has_failed(const struct kirim_trial *trial)
{
    return trial->has_failed;
}

void kirim_trial_fail(struct kirim_trial *trial, const char *text, const char *file, int line)
{
    if (trial->has_failed) {
        return;
    }
    trial->has_failed = true;
    if (file == NULL) {
        (void)snprintf(trial->text, sizeof trial->text, "%.*s", CLAIM_BYTES_MAX, text);
        return;
    }
    const size_t bytes = strlen(file); /* of a long path its end says more */
    const size_t room = sizeof trial->text - CLAIM_BYTES_MAX - 16;
    (void)snprintf(trial->text, sizeof trial->text, "%s:%d: %.*s",
                   bytes > room ? file + (bytes - room) : file, line, CLAIM_BYTES_MAX, text);
}

void kirim_trial_note(struct kirim_trial *trial, uint64_t number, const void *data, size_t bytes)
{
    trial->noted = ki_mix(trial->noted ^ ki_mix(number + KI_GOLDEN)) + KI_GOLDEN;
    if (data != NULL) {
        trial->noted = ki_hash_bytes(trial->noted, data, bytes);
    }
}

static void on_seen(void *user, const struct kirim_sim_sight *sight)
{
    const struct member *const member = user;
    if (member->trial->capture != NULL) {
        ki_sim_capture_see(member->trial->capture, sight);
    }
}

static void close_capture(struct kirim_trial *trial)
{
    if (kirim_sim_capture_close(trial->capture) < 0) {
        kirim_trial_fail(trial, "the capture could not be written", NULL, 0);
    }
    trial->capture = NULL;
}

/* The world is the trial's no more. */
static void release(struct member *member)
{
    struct member **link = &member->trial->open;
    while (*link != member) {
        link = &(*link)->next;
    }
    *link = member->next;
    if (member->is_captured) {
        close_capture(member->trial);
    }
    (void)ki_default_alloc(NULL, member, sizeof *member, 0);
}

/* What came of a world is that of its trial. */
static void take_end(const struct member *member, uint64_t digest)
{
    struct kirim_trial *const trial = member->trial;
    /* That of the only world is the trial's, as the world would tell it. */
    trial->digest = trial->ended_count == 0 ? digest : ki_mix(trial->digest ^ digest) + KI_GOLDEN;
    trial->ended_count++;
    trial->end_ns = member->sim->now_ns;
}

static void on_ended(void *user, uint64_t digest)
{
    struct member *const member = user;
    take_end(member, digest);
    release(member);
}

kirim_err kirim_trial_join(struct kirim_trial *trial, struct kirim_sim *sim)
{
    struct kirim_sim_watcher watcher = KIRIM_SIM_WATCHER_INIT;
    if (trial == NULL || sim == NULL) {
        return KIRIM_EINVAL;
    }
    struct member *member = ki_default_alloc(NULL, NULL, 0, sizeof *member);
    if (member == NULL) {
        return KIRIM_ENOMEM;
    }
    *member = (struct member){ trial->open, trial, sim, trial->captured != NULL };
    watcher.seen = member->is_captured ? on_seen : NULL;
    watcher.ended = on_ended;
    watcher.user = member;
    const kirim_err err = kirim_sim_watch(sim, &watcher);
    if (err < 0) {
        (void)ki_default_alloc(NULL, member, sizeof *member, 0);
        return err;
    }
    trial->open = member;
    if (member->is_captured) {
        if (ki_sim_capture_begin(trial->captured, &trial->capture) < 0) {
            kirim_trial_fail(trial, "the capture could not be opened", NULL, 0);
        }
        trial->captured = NULL; /* the worlds that follow are not in it */
    }
    return KIRIM_OK;
}

kirim_err kirim_trial_open(struct kirim_trial *trial, const struct kirim_sim_options *options,
                           struct kirim_sim **out)
{
    struct kirim_sim_options o = KIRIM_SIM_OPTIONS_INIT;
    struct kirim_sim *sim = NULL;
    if (trial == NULL || out == NULL ||
        (options != NULL && !ki_grown_copy(&o, sizeof o, options, options->size, sizeof o))) {
        return KIRIM_EINVAL;
    }
    o.size = sizeof o;
    o.seed = trial->seed;
    kirim_err err = kirim_sim_open(&o, &sim);
    if (err < 0) {
        return err;
    }
    err = kirim_trial_join(trial, sim);
    if (err < 0) {
        (void)kirim_sim_close(sim);
        return err;
    }
    *out = sim;
    return KIRIM_OK;
}

/* ---- running --------------------------------------------------------------------------------- */

static void print(const struct trials *t, const char *line)
{
    if (t->options.print != NULL) {
        t->options.print(t->options.print_user, line);
        return;
    }
    (void)fputs(line, stderr);
    (void)fputs("\n", stderr);
}

static void run_once(const struct trials *t, struct kirim_trial *trial, uint64_t seed,
                     const char *captured)
{
    memset(trial, 0, sizeof *trial);
    trial->seed = seed;
    trial->captured = captured;
    t->run(trial, t->user);
    while (trial->open != NULL) {
        kirim_trial_fail(trial, "a world was not closed", NULL, 0);
        (void)kirim_sim_watch(trial->open->sim, NULL);
        take_end(trial->open, kirim_sim_digest(trial->open->sim));
        release(trial->open);
    }
    if (trial->noted != 0) { /* else the digest stays as the only world would tell it */
        trial->digest = ki_mix(trial->digest ^ trial->noted) + KI_GOLDEN;
    }
}

/* The line that is the command to run the seed again; behind the # stands why. */
static void print_failed(const struct trials *t, const struct kirim_trial *trial)
{
    const struct kirim_trials_options *const o = &t->options;
    char line[LINE_BYTES];
    (void)snprintf(line, sizeof line,
                   "%s%s%sKIRIM_SEED=%" PRIu64 "%s%s  # %s (digest %016" PRIx64 ", %" PRIu64 " ms)",
                   o->name != NULL ? "KIRIM_TRIAL=" : "", o->name != NULL ? o->name : "",
                   o->name != NULL ? " " : "", trial->seed, o->command != NULL ? " " : "",
                   o->command != NULL ? o->command : "", trial->text, trial->digest,
                   trial->end_ns / 1000000);
    print(t, line);
}

static void run_seed(struct trials *t, uint64_t seed, const char *captured)
{
    struct kirim_trial trial;
    struct kirim_trial twin;
    run_once(t, &trial, seed, captured);
    t->has_captured = t->has_captured || captured != NULL;
    if (t->options.is_twin && !trial.has_failed) {
        run_once(t, &twin, seed, NULL);
        if (twin.digest != trial.digest || twin.has_failed) {
            kirim_trial_fail(&trial, "the same seed gave another run", NULL, 0);
        }
    }
    t->result.run_count++;
    t->result.digest = ki_mix(t->result.digest ^ trial.digest) + KI_GOLDEN;
    if (!trial.has_failed) {
        return;
    }
    t->result.first_failed = t->result.failed_count == 0 ? seed : t->result.first_failed;
    t->result.failed_count++;
    print_failed(t, &trial);
    if (t->options.capture != NULL && !t->has_captured) {
        t->has_captured = true;
        run_once(t, &twin, seed, t->options.capture);
    }
}

/* ---- the environment ------------------------------------------------------------------------- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Reads a number; false: it stands there, and is none. */
static bool read_number(const struct trials *t, const char *name, uint64_t *out, bool *is_there)
{
    const char *const text = getenv(name);
    char line[LINE_BYTES];
    uint64_t value = 0;
    *is_there = text != NULL && text[0] != '\0';
    if (!*is_there) {
        return true;
    }
    for (const char *at = text; *at != '\0'; at++) {
        const uint64_t digit = (uint64_t)(*at - '0');
        if (!is_digit(*at) || value > (UINT64_MAX - digit) / 10) {
            (void)snprintf(line, sizeof line, "%s=%.64s is no number", name, text);
            print(t, line);
            return false;
        }
        value = value * 10 + digit;
    }
    *out = value;
    return true;
}

/* Takes what the environment says; false: that is wrong. */
static bool read_environment(struct trials *t)
{
    struct kirim_trials_options *const o = &t->options;
    const char *const name = getenv("KIRIM_TRIAL");
    const char *const capture = getenv("KIRIM_PCAP");
    bool is_there;
    if (!read_number(t, "KIRIM_SEEDS", &o->seed_count, &is_there) ||
        !read_number(t, "KIRIM_SEED", &o->first_seed, &is_there)) {
        return false;
    }
    if (is_there) {
        o->seed_count = 1;
    }
    if (capture != NULL && capture[0] != '\0') {
        o->capture = capture;
    }
    if (name != NULL && name[0] != '\0' && (o->name == NULL || strcmp(name, o->name) != 0)) {
        o->seed_count = 0;
    }
    return true;
}

kirim_err kirim_trials_run(const struct kirim_trials_options *options, kirim_trial_fn run,
                           void *user, struct kirim_trials_result *out)
{
    static const struct kirim_trials_options defaults = KIRIM_TRIALS_OPTIONS_INIT;
    struct trials t = { .run = run, .user = user, .result = KIRIM_TRIALS_RESULT_INIT };
    if (options == NULL) {
        options = &defaults;
    }
    if (run == NULL || (out != NULL && out->size < sizeof *out) ||
        !ki_grown_copy(&t.options, sizeof t.options, options, options->size, sizeof t.options) ||
        !read_environment(&t)) {
        return KIRIM_EINVAL;
    }
    const bool is_single = t.options.seed_count == 1;
    for (uint64_t i = 0; i < t.options.seed_count; i++) {
        run_seed(&t, t.options.first_seed + i, is_single ? t.options.capture : NULL);
    }
    if (out != NULL) {
        const size_t size = out->size; /* may be larger, of a later version */
        *out = t.result;
        out->size = size;
    }
    return t.result.failed_count > 0 ? KIRIM_EABORTED : KIRIM_OK;
}
