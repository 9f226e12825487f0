/* SPDX-License-Identifier: MIT
 *
 * What a set of sessions costs: bytes of memory each, and time per datagram of a peer chosen at
 * random among them. The datagrams are put in where the endpoint would hand them over, so that
 * nothing of the system is measured.
 *
 *     bench-sessions [SESSIONS [DATAGRAMS]]     default: 1000000 sessions, 4000000 datagrams
 *
 * Goals: less than 1024 bytes, which the exit status tells, and less than 150 ns at a million.
 */
#include "session.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { SESSIONS_DEFAULT = 1000000, DATAGRAMS_DEFAULT = 4000000, BYTES_MAX = 1024 };

static size_t held_bytes;

static void *counted_alloc(void *user, void *old, size_t old_bytes, size_t new_bytes)
{
    (void)user;
    held_bytes += new_bytes - old_bytes;
    if (new_bytes == 0) {
        free(old);
        return NULL;
    }
    return realloc(old, new_bytes);
}

/* CPU time: other programs' turns are not ours. */
static double now_ns(void)
{
    return (double)clock() * 1e9 / (double)CLOCKS_PER_SEC;
}

static uint64_t random_state = 1;

static uint64_t random_below(uint64_t bound)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state % bound;
}

static uint64_t heard_count;

static void received(struct kirim_session *session, const struct kirim_batch *batch, void *user)
{
    (void)session;
    (void)user;
    heard_count += batch->count;
}

static void fill(struct kirim_datagram *d, uint64_t index)
{
    static uint8_t byte;
    const uint8_t bytes[4] = { (uint8_t)(10 + (index >> 24)), (uint8_t)(index >> 16),
                               (uint8_t)(index >> 8), (uint8_t)index };
    *d = (struct kirim_datagram){ .data = &byte, .bytes = 1, .peer = kirim_addr_ipv4(bytes, 9) };
}

enum what { FILL_ONLY, OF_ALL_IN_TURN, OF_RANDOM_ONES };

/* Hands over `count` datagrams in batches. Returns the time that it took. */
static double run(struct kirim_sessions *set, uint64_t sessions, uint64_t count, enum what what)
{
    struct kirim_loop *loop = set->loop;
    const struct kirim_batch batch = { loop->batch, KI_BATCH_MAX, sizeof loop->batch[0] };
    const double start_ns = now_ns();
    for (uint64_t i = 0; i < count; i += KI_BATCH_MAX) {
        for (uint64_t n = 0; n < KI_BATCH_MAX; n++) {
            fill(&loop->batch[n],
                 what == OF_ALL_IN_TURN ? (i + n) % sessions : random_below(sessions));
        }
        if (what != FILL_ONLY) {
            ki_sessions_received(set->ep, &batch, set);
        }
    }
    return now_ns() - start_ns;
}

static int measure(struct kirim_loop *loop, uint64_t sessions, uint64_t datagrams)
{
    const struct kirim_session_handler handler = { KIRIM_SESSION_HANDLER_INIT,
                                                   .received = received };
    struct kirim_endpoint_options endpoint = KIRIM_ENDPOINT_OPTIONS_INIT;
    struct kirim_sessions_options options = KIRIM_SESSIONS_OPTIONS_INIT;
    struct kirim_sessions *set;
    (void)kirim_addr_parse("127.0.0.1:0", &endpoint.local);
    options.endpoint = &endpoint;
    options.session_handler = &handler;
    options.count_max = (uint32_t)sessions;
    options.unvalidated_count_max = (uint32_t)sessions;
    if (kirim_sessions_open(loop, &options, &set) != KIRIM_OK) {
        return 1;
    }
    const size_t before = held_bytes;
    const uint64_t rounded = (sessions + KI_BATCH_MAX - 1) / KI_BATCH_MAX * KI_BATCH_MAX;
    const double opening_ns = run(set, sessions, rounded, OF_ALL_IN_TURN);
    const double bytes = (double)(held_bytes - before) / (double)sessions;
    printf("%" PRIu64 " sessions: %.0f bytes each, opened in %.0f ns each\n", sessions, bytes,
           opening_ns / (double)rounded);
    const double fill_ns = run(set, sessions, datagrams, FILL_ONLY);
    const double spent_ns = run(set, sessions, datagrams, OF_RANDOM_ONES) - fill_ns;
    printf("a datagram of a random one of them: %.0f ns\n", spent_ns / (double)datagrams);
    const bool is_whole = heard_count >= rounded + datagrams && set->stats.count == sessions;
    return is_whole && bytes < BYTES_MAX ? 0 : 1;
}

int main(int argc, char **argv)
{
    const uint64_t sessions = argc > 1 ? strtoull(argv[1], NULL, 10) : SESSIONS_DEFAULT;
    const uint64_t datagrams = argc > 2 ? strtoull(argv[2], NULL, 10) : DATAGRAMS_DEFAULT;
    struct kirim_loop_options options = KIRIM_LOOP_OPTIONS_INIT;
    struct kirim_loop *loop;
    options.alloc = counted_alloc;
    if (sessions == 0 || sessions > UINT32_MAX || kirim_loop_open(&options, &loop) != KIRIM_OK) {
        return 2;
    }
    const int result = measure(loop, sessions, datagrams / KI_BATCH_MAX * KI_BATCH_MAX);
    return kirim_loop_close(loop) == KIRIM_OK && held_bytes == 0 ? result : 1;
}
