/* SPDX-License-Identifier: MIT
 *
 * The park of a private world, for POSIX systems: a semaphore.
 *
 * sem_post() is the one way to wake a thread that POSIX permits in a signal handler and that takes
 * no descriptor. The only place where a simulation looks at the real clock, and only while another
 * thread may post to its loop. Owns the semaphore. Parking is for the loop's thread, unparking for
 * all. Sources: sem_post(3), sem_timedwait(3), signal-safety(7).
 */
#include "sim.h"

#include <errno.h>
#include <semaphore.h>
#include <time.h>

enum { SECOND_NS = 1000000000 };

struct ki_sim_park {
    sem_t count;
};

kirim_err ki_sim_park_open(struct kirim_loop *loop, struct ki_sim_park **out)
{
    struct ki_sim_park *park = ki_alloc(loop, sizeof *park);
    if (park == NULL) {
        return KIRIM_ENOMEM;
    }
    if (sem_init(&park->count, 0, 0) != 0) {
        ki_free(loop, park, sizeof *park);
        return KIRIM_EOPNOTSUPP;
    }
    *out = park;
    return KIRIM_OK;
}

void ki_sim_park_close(struct kirim_loop *loop, struct ki_sim_park *park)
{
    if (park != NULL) {
        (void)sem_destroy(&park->count);
        ki_free(loop, park, sizeof *park);
    }
}

void ki_sim_park(struct ki_sim_park *park)
{
    /* Interrupted, or ended: nothing else can happen to a semaphore that is there. */
    while (sem_wait(&park->count) != 0 && errno == EINTR) {}
}

static uint64_t read_clock(clockid_t clock)
{
    struct timespec t = { 0 };
    (void)clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * SECOND_NS + (uint64_t)t.tv_nsec;
}

bool ki_sim_park_for(struct ki_sim_park *park, uint64_t longest_ns, uint64_t *elapsed_ns)
{
    const uint64_t begin_ns = read_clock(CLOCK_MONOTONIC);
    const uint64_t end_ns = read_clock(CLOCK_REALTIME) + longest_ns;
    const struct timespec end = {
        .tv_sec = (time_t)(end_ns / SECOND_NS),
        .tv_nsec = (long)(end_ns % SECOND_NS), /* long: struct timespec's */
    };
    int failed = sem_timedwait(&park->count, &end);
    while (failed != 0 && errno == EINTR) {
        failed = sem_timedwait(&park->count, &end);
    }
    *elapsed_ns = read_clock(CLOCK_MONOTONIC) - begin_ns;
    return failed == 0;
}

void ki_sim_unpark(struct ki_sim_park *park)
{
    (void)sem_post(&park->count);
}
