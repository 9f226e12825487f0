/* SPDX-License-Identifier: MIT
 *
 * What else embed_libevent shows of kirim in a libevent base: a precise timer, another thread, and
 * a child process. Loop thread, but for the reader.
 */
#ifndef EXAMPLES_EMBED_LIBEVENT_EXTRAS_H
#define EXAMPLES_EMBED_LIBEVENT_EXTRAS_H

#include <pthread.h>

#include <event2/event.h>
#include <kirim/kirim.h>

/* The caller's storage; zero but for what stands first. */
struct extras {
    struct kirim_loop *loop;
    struct kirim_addr to; /* who gets the datagrams */
    struct kirim_timer beat;
    uint64_t beat_ns, beat_count;
    struct kirim_remote *remote; /* the reader's */
    pthread_t reader;
    bool has_reader;
};

/* Sends a datagram "beat N late_ns=T" so often, from a timer of kirim. */
void extras_start_beat(struct extras *x, uint64_t period_ns);

/* Sends each line of stdin as a datagram; a thread reads them. False: no thread. */
bool extras_start_reader(struct extras *x);

/* Ends both, so that nothing of them is left in the base. */
void extras_stop(struct extras *x);

/* Sends a datagram from the loop's first endpoint, if it has one. */
void extras_send(const struct extras *x, const char *text);

/* Has a child process write the metrics to a file. False: it could not. */
bool extras_write_snapshot(struct event_base *base, struct kirim_loop *loop, const char *path);

#endif
