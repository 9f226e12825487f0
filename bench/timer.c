/* SPDX-License-Identifier: MIT
 *
 * What the timer wheel costs with K timers armed, per operation on a random one of them. Time goes
 * on by 1 us with each, and the wheel takes a turn in every tick, whose cost is part of the
 * figures.
 *
 *   touch       reads and writes one word of the timer: the floor that the machine's memory sets
 *   re-arm      arms it again by its own timeout, 1 ms to 34 s, as protocols do at every datagram
 *   random      arms it again by a timeout drawn anew, so that it often comes earlier than before
 *   relink      cancels it, and arms it as above: an arming that cannot stay in its slot
 *   arm+cancel  arms and cancels one more timer, time standing still
 *
 * The bare harness (random numbers, the loop around them) is measured before each round of a
 * column, and taken off; the median of the rounds counts. Sees lib/wheel.h, because a loop would be
 * measured along with it.
 *
 * `bench-timer --count N` measures nothing: it goes N times through arming, arming again,
 * cancelling and firing by the public interface, on the simulator's clock, for cost.py to have the
 * instructions counted in the functions that do so. One thread.
 */
#include "wheel.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <kirim/loop.h>

enum {
    ROUND_COUNT = 7,
    STEP_COUNT = 2000000,   /* operations in a round */
    TURN_STEP_COUNT = 1024, /* a tick */
    STEP_NS = 1000,
    TIMEOUT_BITS = 35, /* timeouts below 2^35 ns: 34 s */
    /* --count */
    COUNTED_TIMERS = 4096,
    FIRED_TOGETHER = 64 /* timers of one deadline */
};

#define TIMEOUT_MIN_NS 1000000U
#define FIRED_APART_NS UINT64_C(4000000)          /* some ticks */
#define START_NS       UINT64_C(1000000000000000) /* an uptime of eleven days */

struct bench {
    struct ki_wheel wheel;
    struct kirim_timer *timers;
    uint64_t timer_count;
    uint64_t random;
    uint64_t now_ns;
};

typedef uint64_t (*measure_fn)(struct bench *b);

static volatile uint64_t sink;

static uint64_t read_clock_ns(void)
{
    struct timespec t;
    if (timespec_get(&t, TIME_UTC) == 0) {
        abort();
    }
    return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

/* xorshift64*: one multiplication, and no memory. */
static inline uint64_t next_random(struct bench *b)
{
    uint64_t x = b->random;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    b->random = x;
    return x * UINT64_C(0x2545f4914f6cdd1d);
}

/* Evenly below `bound`, which is less than 2^32, without a division. */
static inline uint64_t next_index(struct bench *b)
{
    return ((next_random(b) >> 32) * b->timer_count) >> 32;
}

static inline uint64_t next_timeout(struct bench *b)
{
    return TIMEOUT_MIN_NS + (next_random(b) >> (64 - TIMEOUT_BITS));
}

/* The timeout that the timer keeps: computed, for a look into memory would be measured too. */
static inline uint64_t compute_timeout(uint64_t index)
{
    return TIMEOUT_MIN_NS + (index * UINT64_C(0x9e3779b97f4a7c15) >> (64 - TIMEOUT_BITS));
}

static void ignore_expiry(struct kirim_timer *t)
{
    (void)t;
}

static inline uint64_t step(struct bench *b, unsigned i)
{
    b->now_ns += STEP_NS;
    if (i % TURN_STEP_COUNT != 0) {
        return 0;
    }
    ki_wheel_run(&b->wheel, b->now_ns, NULL);
    return ki_wheel_next(&b->wheel);
}

static uint64_t run_harness(struct bench *b)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < STEP_COUNT; i++) {
        const uint64_t index = next_index(b);
        sum += b->now_ns + next_timeout(b) + index;
    }
    return sum;
}

static uint64_t run_touch(struct bench *b)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < STEP_COUNT; i++) {
        struct kirim_timer *const t = &b->timers[next_index(b)];
        sum += t->ki_reserved[0];
        t->ki_reserved[0] = b->now_ns + next_timeout(b);
    }
    return sum;
}

static uint64_t run_rearm(struct bench *b)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < STEP_COUNT; i++) {
        const uint64_t index = next_index(b);
        sum += next_timeout(b);
        ki_wheel_arm(&b->wheel, &b->timers[index], b->now_ns + compute_timeout(index));
        sum += step(b, i);
    }
    return sum;
}

static uint64_t run_random(struct bench *b)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < STEP_COUNT; i++) {
        const uint64_t index = next_index(b);
        ki_wheel_arm(&b->wheel, &b->timers[index], b->now_ns + next_timeout(b));
        sum += step(b, i);
    }
    return sum;
}

static uint64_t run_relink(struct bench *b)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < STEP_COUNT; i++) {
        struct kirim_timer *const t = &b->timers[next_index(b)];
        ki_wheel_cancel(&b->wheel, t);
        ki_wheel_arm(&b->wheel, t, b->now_ns + next_timeout(b));
        sum += step(b, i);
    }
    return sum;
}

/* On the idle timer behind the armed ones. */
static uint64_t run_arm_cancel(struct bench *b)
{
    struct kirim_timer *const idle = &b->timers[b->timer_count];
    uint64_t sum = 0;
    for (unsigned i = 0; i < STEP_COUNT; i++) {
        sum += next_index(b);
        ki_wheel_arm(&b->wheel, idle, b->now_ns + next_timeout(b));
        ki_wheel_cancel(&b->wheel, idle);
    }
    return sum;
}

/* Each column leaves the wheel as the next one may find it: all armed. */
static const struct column {
    const char *name;
    measure_fn run;
} columns[] = {
    { "touch", run_touch },   { "re-arm", run_rearm },          { "random", run_random },
    { "relink", run_relink }, { "arm+cancel", run_arm_cancel },
};

enum { COLUMN_COUNT = sizeof columns / sizeof columns[0] };

static double measure_ns(struct bench *b, measure_fn run)
{
    const uint64_t start_ns = read_clock_ns();
    sink = run(b);
    return (double)(read_clock_ns() - start_ns) / STEP_COUNT;
}

static int compare_doubles(const void *a, const void *b)
{
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    return (x > y) - (x < y);
}

static double find_median(double *values, size_t count)
{
    qsort(values, count, sizeof values[0], compare_doubles);
    return values[count / 2];
}

static void measure_columns(struct bench *b)
{
    double harness[COLUMN_COUNT * ROUND_COUNT];
    double median[COLUMN_COUNT];
    for (unsigned i = 0; i < COLUMN_COUNT; i++) {
        double ns[ROUND_COUNT];
        sink = columns[i].run(b); /* until the wheel is in the state that this column leads to */
        for (unsigned round = 0; round < ROUND_COUNT; round++) {
            const double harness_ns = measure_ns(b, run_harness);
            harness[i * ROUND_COUNT + round] = harness_ns;
            ns[round] = measure_ns(b, columns[i].run) - harness_ns;
        }
        median[i] = find_median(ns, ROUND_COUNT);
    }
    printf("%8" PRIu64 "  %10.1f", b->timer_count,
           find_median(harness, sizeof harness / sizeof harness[0]));
    for (unsigned i = 0; i < COLUMN_COUNT; i++) {
        printf("  %10.1f", median[i]);
    }
    printf("\n");
}

static bool measure_wheel(uint64_t timer_count)
{
    struct bench b = { .timer_count = timer_count,
                       .random = UINT64_C(0x9e3779b97f4a7c15),
                       .now_ns = START_NS };
    b.timers = calloc(timer_count + 1, sizeof *b.timers);
    if (b.timers == NULL) {
        return false;
    }
    ki_wheel_init(&b.wheel, START_NS);
    for (uint64_t i = 0; i <= timer_count; i++) {
        b.timers[i].expired = ignore_expiry;
        if (i < timer_count) {
            ki_wheel_arm(&b.wheel, &b.timers[i], START_NS + compute_timeout(i));
        }
    }
    measure_columns(&b);
    free(b.timers);
    return true;
}

static bool measure_all(void)
{
    static const uint64_t counts[] = { 1000, 10000, 100000 };
    printf("ns per operation, median of %d rounds of %d; all but the harness without it\n",
           ROUND_COUNT, STEP_COUNT);
    printf("%8s  %10s", "armed", "harness");
    for (unsigned i = 0; i < COLUMN_COUNT; i++) {
        printf("  %10s", columns[i].name);
    }
    printf("\n");
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        if (!measure_wheel(counts[i])) {
            fprintf(stderr, "out of memory\n");
            return false;
        }
    }
    return true;
}

/* ---- what is counted ------------------------------------------------------------------------- */

/* Each of the passes is a function of its own, by whose name instructions are counted; firing is
 * counted in ki_wheel_run. */
typedef void (*pass_fn)(struct kirim_loop *loop, struct kirim_timer *timers, uint64_t now_ns);

static void arm_timers(struct kirim_loop *loop, struct kirim_timer *timers, uint64_t now_ns)
{
    for (uint64_t i = 0; i < COUNTED_TIMERS; i++) {
        (void)kirim_timer_arm(loop, &timers[i], now_ns + compute_timeout(i));
    }
}

static void rearm_timers(struct kirim_loop *loop, struct kirim_timer *timers, uint64_t now_ns)
{
    for (uint64_t i = 0; i < COUNTED_TIMERS; i++) {
        (void)kirim_timer_arm(loop, &timers[i], now_ns + STEP_NS + compute_timeout(i));
    }
}

static void cancel_timers(struct kirim_loop *loop, struct kirim_timer *timers, uint64_t now_ns)
{
    (void)loop;
    (void)now_ns;
    for (uint64_t i = 0; i < COUNTED_TIMERS; i++) {
        kirim_timer_cancel(&timers[i]);
    }
}

/* FIRED_TOGETHER for one deadline, the next ones some ticks later. */
static void fire_timers(struct kirim_loop *loop, struct kirim_timer *timers, uint64_t now_ns)
{
    for (uint64_t i = 0; i < COUNTED_TIMERS; i++) {
        const uint64_t step = 1 + i / FIRED_TOGETHER;
        (void)kirim_timer_arm(loop, &timers[i], now_ns + step * FIRED_APART_NS);
    }
    (void)kirim_loop_run(loop); /* ends when nothing is armed */
}

static bool run_counted(uint64_t round_count)
{
    /* Through pointers, so that they stay functions. */
    static const volatile pass_fn passes[] = { arm_timers, rearm_timers, cancel_timers,
                                               fire_timers };
    static struct kirim_timer timers[COUNTED_TIMERS];
    struct kirim_loop_options options = KIRIM_LOOP_OPTIONS_INIT;
    struct kirim_loop *loop;
    options.reactor = "sim";
    if (kirim_loop_open(&options, &loop) < 0) {
        fprintf(stderr, "cannot open a loop\n");
        return false;
    }
    for (uint64_t i = 0; i < COUNTED_TIMERS; i++) {
        timers[i].expired = ignore_expiry;
    }
    for (uint64_t round = 0; round < round_count; round++) {
        for (size_t i = 0; i < sizeof passes / sizeof passes[0]; i++) {
            passes[i](loop, timers, kirim_loop_now(loop));
        }
    }
    printf("rounds of %d timers: %" PRIu64 "\n", COUNTED_TIMERS, round_count);
    return kirim_loop_close(loop) >= 0;
}

int main(int argc, char **argv)
{
    if (argc == 1) {
        return measure_all() ? EXIT_SUCCESS : EXIT_FAILURE;
    }
    const uint64_t round_count =
        argc == 3 && strcmp(argv[1], "--count") == 0 ? strtoull(argv[2], NULL, 10) : 0;
    if (round_count == 0) {
        fprintf(stderr, "usage: bench-timer [--count N]\n");
        return 2;
    }
    return run_counted(round_count) ? EXIT_SUCCESS : EXIT_FAILURE;
}
