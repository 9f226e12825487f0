/* SPDX-License-Identifier: MIT
 *
 * The same work on libuv: echo, sink and source.
 *
 *   try-send   uv_udp_recv_start and uv_udp_try_send: one datagram at a time; the usual way
 *   mmsg       the same with UV_UDP_RECVMMSG: up to 20 datagrams to a receive call
 *   send       uv_udp_send: a request for each datagram, and a copy of it that outlives the call
 *
 * A source sends 64 datagrams from an idle callback in every turn. libuv counts no calls; a receive
 * call is counted where it asks for memory, a send call per datagram. Owns its loop and socket
 * until exit. One thread. Sources: https://docs.libuv.org/en/v1.x/udp.html, idle.html, poll.html.
 */
#define _GNU_SOURCE
#include "common.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

enum {
    DATAGRAM_BYTES_MAX = 64 * 1024, /* what libuv takes of its memory for each */
    RECEIVE_COUNT = 20,             /* datagrams in a call, libuv's own bound */
    REQUEST_COUNT = 4096
};

enum variant { VARIANT_TRY_SEND, VARIANT_MMSG, VARIANT_SEND };

static const char *const variants[] = { "try-send", "mmsg", "send", NULL };
static const struct bench_program program = { .name = "peer_libuv",
                                              .variants = variants,
                                              .mode_count = BENCH_MODE_COUNT };

/* A datagram on its way, which libuv borrows until the callback. */
struct request {
    uv_udp_send_t send; /* first: the callback gets this one */
    struct request *next;
    uint64_t header;
    uint8_t *copy;
};

struct peer {
    struct bench_options o;
    struct bench_counts counts;
    uv_loop_t loop;
    uv_udp_t udp;
    uv_idle_t idle;
    uv_poll_t stop;
    struct sockaddr_in *destinations;
    uint64_t sequence;
    uint64_t destination;
    struct request *free_requests;
    struct request requests[REQUEST_COUNT];
    char memory[RECEIVE_COUNT][DATAGRAM_BYTES_MAX];
};

static void check(int status, const char *what)
{
    if (status < 0) {
        fprintf(stderr, "%s: %s\n", what, uv_strerror(status));
        exit(EXIT_FAILURE);
    }
}

/* ---- sending --------------------------------------------------------------------------------- */

static void on_sent(uv_udp_send_t *send, int status)
{
    struct request *const r = (struct request *)send;
    struct peer *const p = send->data;
    p->counts.tx += status >= 0;
    p->counts.drop += status < 0;
    r->next = p->free_requests;
    p->free_requests = r;
}

/* Two buffers, since a source gathers; the second may be empty. */
static void send_by_request(struct peer *p, const uv_buf_t buf[2], const struct sockaddr *to)
{
    struct request *const r = p->free_requests;
    if (r == NULL) {
        p->counts.drop++;
        return;
    }
    p->free_requests = r->next;
    uv_buf_t kept[2] = { buf[0], buf[1] };
    if (p->o.mode == BENCH_SOURCE) {
        memcpy(&r->header, buf[0].base, sizeof r->header);
        kept[0].base = (char *)&r->header;
    } else {
        if (r->copy == NULL) {
            r->copy = malloc(DATAGRAM_BYTES_MAX);
        }
        if (r->copy == NULL) {
            bench_fail("malloc");
        }
        memcpy(r->copy, buf[0].base, buf[0].len);
        kept[0].base = (char *)r->copy;
    }
    r->send.data = p;
    p->counts.tx_calls++;
    check(uv_udp_send(&r->send, &p->udp, kept, buf[1].len == 0 ? 1 : 2, to, on_sent),
          "uv_udp_send");
}

static void send_datagram(struct peer *p, const uv_buf_t buf[2], const struct sockaddr *to)
{
    if (p->o.variant == VARIANT_SEND) {
        send_by_request(p, buf, to);
        return;
    }
    p->counts.tx_calls++;
    if (uv_udp_try_send(&p->udp, buf, buf[1].len == 0 ? 1 : 2, to) >= 0) {
        p->counts.tx++;
    } else {
        p->counts.drop++;
    }
}

/* ---- echo and sink --------------------------------------------------------------------------- */

static void on_memory(uv_handle_t *handle, size_t suggested_bytes, uv_buf_t *buf)
{
    struct peer *const p = handle->data;
    (void)suggested_bytes;
    p->counts.rx_calls++;
    buf->base = p->memory[0];
    buf->len = p->o.variant == VARIANT_MMSG ? sizeof p->memory : sizeof p->memory[0];
}

/* Without a sender it is not a datagram: the socket is empty, or the memory is free again. */
static void on_received(uv_udp_t *udp, ssize_t bytes, const uv_buf_t *buf,
                        const struct sockaddr *from, unsigned flags)
{
    struct peer *const p = udp->data;
    (void)flags;
    if (bytes < 0 || from == NULL) {
        return;
    }
    p->counts.rx++;
    if (p->o.mode == BENCH_ECHO) {
        const uv_buf_t answer[2] = { { .base = buf->base, .len = (size_t)bytes }, { .len = 0 } };
        send_datagram(p, answer, from);
    }
}

/* ---- source ---------------------------------------------------------------------------------- */

static void on_idle(uv_idle_t *idle)
{
    struct peer *const p = idle->data;
    const size_t rest_bytes = p->o.payload_bytes - BENCH_HEADER_BYTES;
    for (unsigned i = 0; i < BENCH_BATCH_COUNT; i++) {
        uint64_t header = p->sequence++;
        const uv_buf_t buf[2] = {
            { .base = (char *)&header, .len = BENCH_HEADER_BYTES },
            { .base = p->memory[0], .len = rest_bytes },
        };
        send_datagram(p, buf, (const struct sockaddr *)&p->destinations[p->destination]);
        p->destination = p->destination + 1 == p->o.peer_count ? 0 : p->destination + 1;
        if (p->sequence == p->o.count_max) {
            uv_stop(&p->loop);
            return;
        }
    }
}

/* ---- the run --------------------------------------------------------------------------------- */

static void on_stop(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    uv_stop(poll->loop);
}

static void open_loop(struct peer *p, int fd)
{
    const bool has_mmsg = p->o.variant == VARIANT_MMSG;
    check(uv_loop_init(&p->loop), "uv_loop_init");
    check(uv_udp_init_ex(&p->loop, &p->udp, has_mmsg ? UV_UDP_RECVMMSG : 0), "uv_udp_init_ex");
    check(uv_udp_open(&p->udp, fd), "uv_udp_open");
    check(uv_poll_init(&p->loop, &p->stop, bench_stop_fd), "uv_poll_init");
    check(uv_poll_start(&p->stop, UV_READABLE, on_stop), "uv_poll_start");
    p->udp.data = p;
    if (p->o.mode == BENCH_SOURCE) {
        p->destinations = bench_make_destinations(&p->o);
        check(uv_idle_init(&p->loop, &p->idle), "uv_idle_init");
        p->idle.data = p;
        check(uv_idle_start(&p->idle, on_idle), "uv_idle_start");
    } else {
        check(uv_udp_recv_start(&p->udp, on_memory, on_received), "uv_udp_recv_start");
    }
    for (unsigned i = 0; i < REQUEST_COUNT; i++) {
        p->requests[i].next = p->free_requests;
        p->free_requests = &p->requests[i];
    }
}

int main(int argc, char **argv)
{
    static struct peer peer;
    bench_parse(&peer.o, &program, argc, argv);
    const int fd = bench_open_bound(&peer.o);
    bench_catch_stop(&peer.o);
    open_loop(&peer, fd);
    bench_begin(fd);
    uv_run(&peer.loop, UV_RUN_DEFAULT);
    bench_end(&peer.o, &peer.counts);
    return 0;
}
