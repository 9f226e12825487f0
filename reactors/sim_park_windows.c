/* SPDX-License-Identifier: MIT
 *
 * The park of a private world, for Windows: a semaphore.
 *
 * A semaphore counts, as unparking must, and takes no thread of its own. The only place where a
 * simulation looks at the real clock, and only while another thread may post to its loop. Owns the
 * semaphore. Parking is for the loop's thread, unparking for all. Sources: CreateSemaphoreW,
 * ReleaseSemaphore, WaitForSingleObject.
 */
#include "sim.h"
#include "win_clock.h"

#include <limits.h>
#include <windows.h>

enum { MILLISECOND_NS = 1000000 };

struct ki_sim_park {
    HANDLE count;
};

kirim_err ki_sim_park_open(struct kirim_loop *loop, struct ki_sim_park **out)
{
    struct ki_sim_park *park = ki_alloc(loop, sizeof *park);
    if (park == NULL) {
        return KIRIM_ENOMEM;
    }
    park->count = CreateSemaphoreW(NULL, 0, LONG_MAX, NULL);
    if (park->count == NULL) {
        ki_free(loop, park, sizeof *park);
        return KIRIM_EMFILE;
    }
    *out = park;
    return KIRIM_OK;
}

void ki_sim_park_close(struct kirim_loop *loop, struct ki_sim_park *park)
{
    if (park != NULL) {
        (void)CloseHandle(park->count);
        ki_free(loop, park, sizeof *park);
    }
}

void ki_sim_park(struct ki_sim_park *park)
{
    (void)WaitForSingleObject(park->count, INFINITE);
}

bool ki_sim_park_for(struct ki_sim_park *park, uint64_t longest_ns, uint64_t *elapsed_ns)
{
    const uint64_t begin_ns = ki_win_now();
    /* Whole milliseconds, rounded up; INFINITE is one above the longest that is not for ever. */
    const uint64_t longest_ms = longest_ns / MILLISECOND_NS + (longest_ns % MILLISECOND_NS != 0);
    const DWORD wait_ms = longest_ms < INFINITE ? (DWORD)longest_ms : INFINITE - 1;
    const DWORD ended = WaitForSingleObject(park->count, wait_ms);
    *elapsed_ns = ki_win_now() - begin_ns;
    return ended == WAIT_OBJECT_0;
}

void ki_sim_unpark(struct ki_sim_park *park)
{
    (void)ReleaseSemaphore(park->count, 1, NULL);
}
