/* SPDX-License-Identifier: MIT
 *
 * See clock.h. RAND_set_rand_method() is deprecated, and does in all of OpenSSL 3.
 */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "clock.h"

#include <stddef.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

#include <kirim/siphash.h>

#include <openssl/rand.h>

enum { BASE_SECONDS = 1735689600, NS_PER_SECOND = 1000000000 };

#define SHOWN __attribute__((visibility("default")))

static struct kirim_sim *world;
static uint64_t asked_count;

static uint64_t now_ns(void)
{
    struct timespec now;
    if (world != NULL) {
        asked_count++;
        return (uint64_t)BASE_SECONDS * NS_PER_SECOND + kirim_sim_now(world);
    }
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * NS_PER_SECOND + (uint64_t)now.tv_nsec;
}

SHOWN int gettimeofday(struct timeval *restrict out, void *restrict zone)
{
    const uint64_t ns = now_ns();
    (void)zone;
    out->tv_sec = (time_t)(ns / NS_PER_SECOND);
    out->tv_usec = (suseconds_t)(ns % NS_PER_SECOND / 1000);
    return 0;
}

SHOWN time_t time(time_t *out)
{
    const time_t seconds = (time_t)(now_ns() / NS_PER_SECOND);
    if (out != NULL) {
        *out = seconds;
    }
    return seconds;
}

void clock_follow(struct kirim_sim *sim)
{
    world = sim;
}

uint64_t clock_asked(void)
{
    return asked_count;
}

/* ---- random bytes ---------------------------------------------------------------------------- */

static uint8_t stream_key[KIRIM_SIPHASH_KEY_BYTES];
static uint64_t stream_at;

static int draw(unsigned char *out, int bytes)
{
    for (int i = 0; i < bytes; i += 8) {
        const uint64_t word = kirim_siphash_number(stream_key, &stream_at, sizeof stream_at);
        stream_at++;
        memcpy(out + i, &word, (size_t)(bytes - i < 8 ? bytes - i : 8));
    }
    return 1;
}

static int be_ready(void)
{
    return 1;
}

void random_begin(uint64_t seed)
{
    static const RAND_METHOD method = {
        .bytes = draw,
        .pseudorand = draw,
        .status = be_ready,
    };
    memset(stream_key, 0, sizeof stream_key);
    memcpy(stream_key, &seed, sizeof seed);
    stream_at = 0;
    (void)RAND_set_rand_method(&method);
}
