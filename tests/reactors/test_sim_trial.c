/* SPDX-License-Identifier: MIT
 *
 * Claims about who watches a world, about captures, and about trials. What the environment says of
 * them is tried by tests/reactors/test_capture.py, which also has other people's programs read a
 * capture.
 */
#include "sim_kit.h"

#include <kirim/trial.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIGHT_MAX = 64, LINE_MAX_COUNT = 16, LINE_BYTES = 512 };

/* ---- watching -------------------------------------------------------------------------------- */

/* What a watcher was shown, as lines: host, direction, addresses, payload, remark. */
struct log {
    size_t count;
    size_t ended_count;
    uint64_t digest;
    char line[SIGHT_MAX][LINE_BYTES];
};

static void on_seen(void *user, const struct kirim_sim_sight *sight)
{
    struct log *const log = user;
    char source[KIRIM_ADDR_TEXT_BYTES];
    char dest[KIRIM_ADDR_TEXT_BYTES];
    ck_assert_uint_lt(log->count, SIGHT_MAX);
    ck_assert_uint_eq(sight->size, sizeof *sight);
    (void)kirim_addr_format(&sight->source, source, sizeof source);
    (void)kirim_addr_format(&sight->dest, dest, sizeof dest);
    (void)snprintf(log->line[log->count], LINE_BYTES, "%s %s %s > %s %.*s%s%s",
                   kirim_sim_host_name(sight->host), sight->is_sent ? "sends" : "gets", source,
                   dest, (int)sight->bytes, (const char *)sight->data,
                   sight->remark != NULL ? ": " : "", sight->remark != NULL ? sight->remark : "");
    log->count++;
}

static void on_ended(void *user, uint64_t digest)
{
    struct log *const log = user;
    log->ended_count++;
    log->digest = digest;
}

static void watch(struct kit *k, struct log *log)
{
    struct kirim_sim_watcher watcher = KIRIM_SIM_WATCHER_INIT;
    memset(log, 0, sizeof *log);
    watcher.seen = on_seen;
    watcher.ended = on_ended;
    watcher.user = log;
    ck_assert_int_eq(kirim_sim_watch(k->sim, &watcher), KIRIM_OK);
}

static void expect_lines(const struct log *log, const char *const *wanted, size_t count)
{
    for (size_t i = 0; i < count && i < log->count; i++) {
        ck_assert_str_eq(log->line[i], wanted[i]);
    }
    ck_assert_uint_eq(log->count, count);
}

START_TEST(watcher_sees_both_ends_and_what_befalls)
{
    static const char *const wanted[] = {
        "a sends 10.0.0.1:1 > 10.0.0.2:1 hello",
        "b gets 10.0.0.1:1 > 10.0.0.2:1 hello",
        "a sends 10.0.0.1:1 > 10.0.0.2:9 nobody",
        "b gets 10.0.0.1:1 > 10.0.0.2:9 nobody: dropped: no such port",
        "a sends 10.0.0.1:1 > 10.0.0.2:1 gone: lost",
        "a sends 10.0.0.1:1 > 10.0.0.2:1 cut: lost: a partition",
        "a sends 10.0.0.1:1 > 10.0.0.2:1 twice: will arrive twice",
        "b gets 10.0.0.1:1 > 10.0.0.2:1 twice",
        "b gets 10.0.0.1:1 > 10.0.0.2:1 twice",
        "a sends 10.0.0.1:1 > 10.0.0.2:1 dead",
        "b gets 10.0.0.1:1 > 10.0.0.2:1 dead: dropped: the host is down",
    };
    static struct log log;
    struct kirim_link_rules link = KIRIM_SIM_LINK_INIT;
    uint32_t number;
    struct kit k;
    kit_open(&k, 1);
    struct kit_host *a = kit_host(&k, "a", "10.0.0.1", NULL);
    struct kit_host *b = kit_host(&k, "b", "10.0.0.2", NULL);
    struct kit_end *from = kit_bind(a, "10.0.0.1:1", 0);
    (void)kit_bind(b, "10.0.0.2:1", 0);
    watch(&k, &log);
    kit_send(from, "hello", "10.0.0.2:1");
    kit_run(&k, MS);
    kit_send(from, "nobody", "10.0.0.2:9");
    kit_run(&k, MS);
    link.loss_ppm = 1000000;
    kit_link(&k, a, b, link);
    kit_send(from, "gone", "10.0.0.2:1");
    kit_run(&k, MS);
    link.loss_ppm = 0;
    link.duplicate_ppm = 1000000;
    kit_link(&k, a, b, link);
    ck_assert_int_eq(kirim_sim_partition(k.sim, &a->host, 1, kirim_sim_now(k.sim) + MS, &number),
                     KIRIM_OK);
    kit_send(from, "cut", "10.0.0.2:1");
    kit_run(&k, MS);
    kit_send(from, "twice", "10.0.0.2:1");
    kit_run(&k, MS);
    link.duplicate_ppm = 0;
    kit_link(&k, a, b, link);
    ck_assert_int_eq(kirim_sim_host_crash(b->host), KIRIM_OK);
    kit_send(from, "dead", "10.0.0.2:1");
    kit_run(&k, MS);
    expect_lines(&log, wanted, sizeof wanted / sizeof wanted[0]);
    const uint64_t digest = kirim_sim_digest(k.sim);
    ck_assert_uint_eq(log.ended_count, 0);
    kit_close(&k);
    ck_assert_uint_eq(log.ended_count, 1);
    ck_assert_uint_eq(log.digest, digest);
}
END_TEST

START_TEST(each_side_of_a_translator_sees_its_own_addresses)
{
    static const char *const wanted[] = {
        "in sends 10.0.0.1:1 > 203.0.113.1:1 out",
        "out gets 198.51.100.1:PORT > 203.0.113.1:1 out",
        "out sends 203.0.113.1:1 > 198.51.100.1:PORT out",
        "in gets 203.0.113.1:1 > 10.0.0.1:1 out",
        "out sends 203.0.113.1:1 > 198.51.100.1:1 knock",
        "nat gets 203.0.113.1:1 > 198.51.100.1:1 knock: dropped: not let in",
    };
    static struct log log;
    struct kirim_sim_nat_options options = KIRIM_SIM_NAT_OPTIONS_INIT;
    const struct kirim_addr addr = kit_addr("198.51.100.1");
    struct kirim_sim_nat *nat;
    struct kit k;
    kit_open(&k, 1);
    options.name = "nat";
    options.addrs = &addr;
    options.addr_count = 1;
    ck_assert_int_eq(kirim_sim_nat_add(k.sim, &options, &nat), KIRIM_OK);
    struct kit_host *inner = kit_host(&k, "in", "10.0.0.1", NULL);
    ck_assert_int_eq(kirim_sim_nat_attach(nat, inner->host), KIRIM_OK);
    struct kit_end *in = kit_bind(inner, "10.0.0.1:1", 0);
    struct kit_end *out = kit_bind(kit_host(&k, "out", "203.0.113.1", NULL), "203.0.113.1:1", 0);
    out->on_received = kit_echo;
    watch(&k, &log);
    kit_send(in, "out", "203.0.113.1:1");
    kit_run(&k, MS);
    kit_send(out, "knock", "198.51.100.1:1");
    kit_run(&k, MS);
    char port[8];
    (void)snprintf(port, sizeof port, "%u", (unsigned)kirim_addr_port(&out->rx[0].peer));
    ck_assert_uint_eq(log.count, 6);
    for (size_t i = 0; i < log.count; i++) { /* the port is chance, the same every time */
        char line[LINE_BYTES];
        const char *at = strstr(wanted[i], "PORT");
        (void)snprintf(line, sizeof line, "%.*s%s%s",
                       at != NULL ? (int)(at - wanted[i]) : (int)strlen(wanted[i]), wanted[i],
                       at != NULL ? port : "", at != NULL ? at + 4 : "");
        ck_assert_str_eq(log.line[i], line);
    }
    kit_close(&k);
}
END_TEST

START_TEST(world_has_one_watcher_who_changes_nothing)
{
    static struct log log;
    uint64_t digest[2];
    for (size_t i = 0; i < 2; i++) {
        struct kirim_sim_watcher watcher = KIRIM_SIM_WATCHER_INIT;
        struct kit k;
        kit_open(&k, 1);
        struct kit_end *end = kit_bind(kit_host(&k, "a", "10.0.0.1", NULL), "10.0.0.1:1", 0);
        watcher.seen = on_seen;
        if (i == 0) {
            watch(&k, &log);
            ck_assert_int_eq(kirim_sim_watch(k.sim, &watcher), KIRIM_EBUSY);
        }
        kit_send(end, "x", "10.0.0.1:1");
        kit_run(&k, MS);
        ck_assert_uint_eq(log.count, 2);
        ck_assert_int_eq(kirim_sim_watch(k.sim, NULL), KIRIM_OK);
        kit_send(end, "unseen", "10.0.0.1:1");
        kit_run(&k, MS);
        ck_assert_uint_eq(log.count, 2);
        ck_assert_int_eq(kirim_sim_watch(NULL, NULL), KIRIM_EINVAL);
        watcher.size = 1;
        ck_assert_int_eq(kirim_sim_watch(k.sim, &watcher), KIRIM_EINVAL);
        digest[i] = kirim_sim_digest(k.sim);
        kit_close(&k);
    }
    ck_assert_uint_eq(log.ended_count, 0);
    ck_assert_uint_eq(digest[0], digest[1]);
}
END_TEST

/* ---- captures -------------------------------------------------------------------------------- */

static size_t read_file(const char *path, uint8_t *out, size_t room)
{
    FILE *const file = fopen(path, "rb");
    ck_assert_ptr_nonnull(file);
    const size_t bytes = fread(out, 1, room, file);
    ck_assert_int_eq(fclose(file), 0);
    return bytes;
}

/* Blocks of each type, following the lengths from one to the next. */
static void count_blocks(const uint8_t *data, size_t bytes, size_t count[3])
{
    size_t at = 0;
    memset(count, 0, 3 * sizeof count[0]);
    while (at < bytes) {
        ck_assert_uint_le(at + 12, bytes);
        const size_t length = data[at + 4] | (size_t)data[at + 5] << 8;
        count[data[at] == 0x0a ? 0 : data[at] == 1 ? 1 : 2]++;
        at += length;
        ck_assert_uint_le(at, bytes);
        ck_assert_uint_eq(length, data[at - 4] | (size_t)data[at - 3] << 8);
    }
}

START_TEST(capture_has_an_interface_for_each_host_and_every_datagram_twice)
{
    static const char path[] = "test_sim_trial_capture.pcapng";
    static uint8_t data[1 << 16];
    struct kirim_sim_capture *capture = NULL;
    struct kirim_sim_capture *second = NULL;
    size_t count[3];
    struct kit k;
    kit_open(&k, 1);
    struct kit_end *a = kit_bind(kit_host(&k, "a", "10.0.0.1", NULL), "10.0.0.1:1", 0);
    (void)kit_bind(kit_host(&k, "b", "10.0.0.2", NULL), "10.0.0.2:1", 0);
    (void)kit_host(&k, "c", "10.0.0.3", NULL);
    ck_assert_int_eq(kirim_sim_capture_open(k.sim, path, &capture), KIRIM_OK);
    ck_assert_int_eq(kirim_sim_capture_open(k.sim, path, &second), KIRIM_EBUSY);
    for (size_t i = 0; i < 10; i++) {
        kit_send(a, "hello", "10.0.0.2:1");
        kit_run(&k, MS);
    }
    kit_close(&k); /* the world may go first */
    ck_assert_int_eq(kirim_sim_capture_close(capture), KIRIM_OK);
    ck_assert_int_eq(kirim_sim_capture_close(NULL), KIRIM_OK);
    count_blocks(data, read_file(path, data, sizeof data), count);
    ck_assert_uint_eq(count[0], 1);
    ck_assert_uint_eq(count[1], 2); /* of "c" nothing was seen */
    ck_assert_uint_eq(count[2], 20);
    ck_assert_int_eq(remove(path), 0);
}
END_TEST

START_TEST(capture_can_end_before_its_world)
{
    static const char path[] = "test_sim_trial_short.pcapng";
    struct kirim_sim_capture *capture = NULL;
    struct kit k;
    kit_open(&k, 1);
    ck_assert_int_eq(kirim_sim_capture_open(k.sim, path, &capture), KIRIM_OK);
    ck_assert_int_eq(kirim_sim_capture_close(capture), KIRIM_OK);
    ck_assert_int_eq(kirim_sim_capture_open(k.sim, "no/such/place", &capture), KIRIM_ESYSTEM);
    ck_assert_int_eq(kirim_sim_capture_open(NULL, path, &capture), KIRIM_EINVAL);
    ck_assert_int_eq(kirim_sim_capture_open(k.sim, NULL, &capture), KIRIM_EINVAL);
    ck_assert_int_eq(kirim_sim_capture_open(k.sim, path, NULL), KIRIM_EINVAL);
    kit_close(&k);
    ck_assert_int_eq(remove(path), 0);
}
END_TEST

/* ---- trials ---------------------------------------------------------------------------------- */

/* What a scenario of these tests does, and what came of it. */
struct scenario {
    uint64_t bad_seed; /* fails */
    bool is_unequal;   /* the second run is another one */
    bool leaves_world; /* open */
    bool is_without_world;
    bool is_noting; /* `number`, and `data` if that is not NULL */
    uint64_t number;
    const char *data;
    bool is_noting_calls; /* how often it was called */
    size_t call_count;
    uint64_t last_digest;
    struct kirim_sim *left;
    size_t line_count;
    char line[LINE_MAX_COUNT][LINE_BYTES];
};

static void take_line(void *user, const char *line)
{
    struct scenario *const s = user;
    ck_assert_uint_lt(s->line_count, LINE_MAX_COUNT);
    (void)snprintf(s->line[s->line_count], LINE_BYTES, "%s", line);
    s->line_count++;
}

static void run_scenario(struct kirim_trial *trial, void *user)
{
    struct scenario *const s = user;
    struct kirim_sim *sim = NULL;
    struct kirim_sim_host *host;
    const struct kirim_addr addr = kit_addr("10.0.0.1:1");
    s->call_count++;
    if (s->is_noting) {
        kirim_trial_note(trial, s->number, s->data, s->data != NULL ? strlen(s->data) : 0);
    }
    if (s->is_noting_calls) {
        kirim_trial_note(trial, s->call_count, NULL, 0);
    }
    if (s->is_without_world) {
        return;
    }
    ck_assert_int_eq(kirim_trial_open(trial, NULL, &sim), KIRIM_OK);
    ck_assert_uint_eq(kirim_sim_seed(sim), kirim_trial_seed(trial));
    ck_assert_int_eq(kirim_trial_join(trial, sim), KIRIM_EBUSY);
    ck_assert_int_eq(kirim_sim_host_add(sim, "h", &addr, 1, &host), KIRIM_OK);
    struct kit k = { .sim = sim };
    struct kit_host h = { .kit = &k, .host = host };
    kit_loop_open(&h);
    struct kit_end *end = kit_bind(&h, "10.0.0.1:1", 0);
    kit_send(end, s->is_unequal && s->call_count % 2 == 0 ? "y" : "x", "10.0.0.1:1");
    ck_assert_int_eq(kirim_sim_run(sim, KIRIM_NEVER), KIRIM_OK);
    KIRIM_TRIAL_EXPECT(trial, kirim_trial_seed(trial) != s->bad_seed);
    KIRIM_TRIAL_EXPECT(trial, kirim_trial_seed(trial) != s->bad_seed || s->call_count == 0);
    ck_assert(kirim_trial_has_failed(trial) || kirim_trial_seed(trial) != s->bad_seed);
    kit_loop_close(&h);
    free(end->rx);
    s->last_digest = kirim_sim_digest(sim);
    if (s->leaves_world) {
        s->left = sim;
    } else {
        ck_assert_int_eq(kirim_sim_close(sim), KIRIM_OK);
    }
}

static kirim_err run_trials(struct scenario *s, struct kirim_trials_options options,
                            struct kirim_trials_result *out)
{
    options.print = take_line;
    options.print_user = s;
    *out = (struct kirim_trials_result)KIRIM_TRIALS_RESULT_INIT;
    return kirim_trials_run(&options, run_scenario, s, out);
}

static struct kirim_trials_options ten_seeds(void)
{
    struct kirim_trials_options options = KIRIM_TRIALS_OPTIONS_INIT;
    options.first_seed = 5;
    options.seed_count = 10;
    return options;
}

START_TEST(every_seed_is_run_twice_or_once)
{
    struct kirim_trials_options options = ten_seeds();
    struct kirim_trials_result result;
    struct kirim_trials_result again;
    struct scenario s = { 0 };
    ck_assert_int_eq(run_trials(&s, options, &result), KIRIM_OK);
    ck_assert_uint_eq(s.call_count, 20);
    ck_assert_uint_eq(result.run_count, 10);
    ck_assert_uint_eq(result.failed_count, 0);
    ck_assert_uint_eq(s.line_count, 0);
    options.is_twin = false;
    ck_assert_int_eq(run_trials(&s, options, &again), KIRIM_OK);
    ck_assert_uint_eq(s.call_count, 30);
    ck_assert_uint_eq(again.digest, result.digest);
    options.first_seed = 6;
    ck_assert_int_eq(run_trials(&s, options, &again), KIRIM_OK);
    ck_assert_uint_ne(again.digest, result.digest);
}
END_TEST

START_TEST(seed_that_fails_has_the_line_that_runs_it_again)
{
    struct kirim_trials_options options = ten_seeds();
    struct kirim_trials_result result;
    struct scenario s = { .bad_seed = 7 };
    char wanted[LINE_BYTES];
    options.is_twin = false;
    ck_assert_int_eq(run_trials(&s, options, &result), KIRIM_EABORTED);
    ck_assert_uint_eq(result.run_count, 10); /* the others are run all the same */
    ck_assert_uint_eq(result.failed_count, 1);
    ck_assert_uint_eq(result.first_failed, 7);
    ck_assert_uint_eq(s.line_count, 1);
    ck_assert_ptr_eq(strstr(s.line[0], "KIRIM_SEED=7  # "), s.line[0]);
    ck_assert_ptr_nonnull(strstr(s.line[0], "test_sim_trial.c:"));
    ck_assert_ptr_nonnull(strstr(s.line[0], ": kirim_trial_seed(trial) != s->bad_seed (digest "));
    options.name = "storm";
    options.command = "bin/prog --all";
    options.first_seed = 7;
    options.seed_count = 1;
    ck_assert_int_eq(run_trials(&s, options, &result), KIRIM_EABORTED);
    ck_assert_ptr_eq(strstr(s.line[1], "KIRIM_TRIAL=storm KIRIM_SEED=7 bin/prog --all  # "),
                     s.line[1]);
    (void)snprintf(wanted, sizeof wanted, "(digest %016llx, 1000 ms)",
                   (unsigned long long)s.last_digest);
    ck_assert_ptr_nonnull(strstr(s.line[1], wanted));
}
END_TEST

START_TEST(run_that_is_not_its_twin_fails)
{
    struct kirim_trials_result result;
    struct scenario s = { .is_unequal = true };
    ck_assert_int_eq(run_trials(&s, ten_seeds(), &result), KIRIM_EABORTED);
    ck_assert_uint_eq(result.failed_count, 10);
    ck_assert_ptr_nonnull(strstr(s.line[9], "the same seed gave another run"));
}
END_TEST

START_TEST(what_an_end_has_got_is_in_the_digest)
{
    struct scenario s[] = {
        { .is_noting = false },
        { .is_noting = true, .number = 1 },
        { .is_noting = true, .number = 2 },
        { .is_noting = true, .number = 1, .data = "" },
        { .is_noting = true, .number = 1, .data = "a" },
        { .is_noting = true, .number = 1, .data = "b" },
        { .is_noting = true, .number = 1, .data = "ab" },
    };
    struct kirim_trials_result result[sizeof s / sizeof s[0]];
    struct scenario other = { .is_noting_calls = true };
    for (size_t i = 0; i < sizeof s / sizeof s[0]; i++) {
        ck_assert_int_eq(run_trials(&s[i], ten_seeds(), &result[i]), KIRIM_OK); /* twins */
        for (size_t n = 0; n < i; n++) {
            ck_assert_uint_ne(result[i].digest, result[n].digest);
        }
    }
    ck_assert_int_eq(run_trials(&other, ten_seeds(), &result[0]), KIRIM_EABORTED);
    ck_assert_uint_eq(result[0].failed_count, 10); /* the network was the same each time */
    ck_assert_ptr_nonnull(strstr(other.line[9], "the same seed gave another run"));
}
END_TEST

START_TEST(world_that_is_left_open_fails)
{
    struct kirim_trials_options options = ten_seeds();
    struct kirim_trials_result result;
    struct scenario s = { .leaves_world = true };
    char wanted[LINE_BYTES];
    options.seed_count = 1;
    ck_assert_int_eq(run_trials(&s, options, &result), KIRIM_EABORTED);
    ck_assert_ptr_nonnull(strstr(s.line[0], "a world was not closed"));
    (void)snprintf(wanted, sizeof wanted, "(digest %016llx, 1000 ms)",
                   (unsigned long long)s.last_digest);
    ck_assert_ptr_nonnull(strstr(s.line[0], wanted)); /* as if it had been */
    ck_assert_uint_eq(s.call_count, 1);               /* what has failed needs no twin */
    ck_assert_int_eq(kirim_sim_close(s.left), KIRIM_OK);
}
END_TEST

START_TEST(first_seed_that_fails_is_captured)
{
    static const char path[] = "test_sim_trial_failed.pcapng";
    static uint8_t data[1 << 16];
    struct kirim_trials_options options = ten_seeds();
    struct kirim_trials_result result;
    struct scenario s = { .bad_seed = 7 };
    size_t count[3];
    options.capture = path;
    options.is_twin = false;
    ck_assert_int_eq(run_trials(&s, options, &result), KIRIM_EABORTED);
    ck_assert_uint_eq(s.call_count, 11); /* once more for the capture */
    ck_assert_uint_eq(s.line_count, 1);
    count_blocks(data, read_file(path, data, sizeof data), count);
    ck_assert_uint_eq(count[2], 2);
    ck_assert_int_eq(remove(path), 0);
    options.seed_count = 1; /* a single one is, whether or not it fails */
    ck_assert_int_eq(run_trials(&s, options, &result), KIRIM_OK);
    ck_assert_uint_eq(s.call_count, 12);
    count_blocks(data, read_file(path, data, sizeof data), count);
    ck_assert_uint_eq(count[2], 2);
    ck_assert_int_eq(remove(path), 0);
    options.first_seed = 7; /* and that is enough, if it fails */
    ck_assert_int_eq(run_trials(&s, options, &result), KIRIM_EABORTED);
    ck_assert_uint_eq(s.call_count, 13);
    ck_assert_int_eq(remove(path), 0);
    options.first_seed = 8;
    options.capture = "no/such/place";
    ck_assert_int_eq(run_trials(&s, options, &result), KIRIM_EABORTED);
    ck_assert_ptr_nonnull(strstr(s.line[2], "the capture could not be opened"));
}
END_TEST

START_TEST(trial_may_have_no_world)
{
    struct kirim_trials_result result;
    struct scenario s = { .is_without_world = true };
    ck_assert_int_eq(run_trials(&s, ten_seeds(), &result), KIRIM_OK);
    ck_assert_uint_eq(s.call_count, 20);
}
END_TEST

START_TEST(arguments_that_are_none_are_refused)
{
    struct kirim_trials_options options = KIRIM_TRIALS_OPTIONS_INIT;
    struct kirim_trials_result result = KIRIM_TRIALS_RESULT_INIT;
    struct scenario s = { .is_without_world = true };
    ck_assert_int_eq(kirim_trials_run(&options, NULL, NULL, NULL), KIRIM_EINVAL);
    options.size = 1;
    ck_assert_int_eq(kirim_trials_run(&options, run_scenario, &s, NULL), KIRIM_EINVAL);
    result.size = 1;
    ck_assert_int_eq(kirim_trials_run(NULL, run_scenario, &s, &result), KIRIM_EINVAL);
    ck_assert_uint_eq(s.call_count, 0);
    ck_assert_int_eq(kirim_trials_run(NULL, run_scenario, &s, NULL), KIRIM_OK);
    ck_assert_uint_eq(s.call_count, 100);
    ck_assert_int_eq(kirim_trial_open(NULL, NULL, NULL), KIRIM_EINVAL);
    ck_assert_int_eq(kirim_trial_join(NULL, NULL), KIRIM_EINVAL);
}
END_TEST

int main(void)
{
    const struct kit_claim claims[] = {
        { watcher_sees_both_ends_and_what_befalls, 0 },
        { each_side_of_a_translator_sees_its_own_addresses, 0 },
        { world_has_one_watcher_who_changes_nothing, 0 },
        { capture_has_an_interface_for_each_host_and_every_datagram_twice, 0 },
        { capture_can_end_before_its_world, 0 },
        { every_seed_is_run_twice_or_once, 0 },
        { seed_that_fails_has_the_line_that_runs_it_again, 0 },
        { run_that_is_not_its_twin_fails, 0 },
        { what_an_end_has_got_is_in_the_digest, 0 },
        { world_that_is_left_open_fails, 0 },
        { first_seed_that_fails_is_captured, 0 },
        { trial_may_have_no_world, 0 },
        { arguments_that_are_none_are_refused, 0 },
        { NULL, 0 },
    };
    return kit_main("sim_trial", claims);
}
