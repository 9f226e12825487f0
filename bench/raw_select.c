/* SPDX-License-Identifier: MIT
 *
 * The hand-written reference for select: echo and sink on one UDP socket.
 *
 * raw_mmsg.c with select in epoll's place, the rest being the same (mmsg.h): what a reactor over
 * select is to be measured against. Owns its socket until exit. One thread. Source: select(2).
 */
#define _GNU_SOURCE
#include "common.h"
#include "mmsg.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/select.h>

static const struct bench_program program = { .name = "raw_select", .mode_count = BENCH_SOURCE };

static void run_server(struct mmsg *m, bool is_echo)
{
    const int fd_end = (m->fd > bench_stop_fd ? m->fd : bench_stop_fd) + 1;
    fd_set wanted;
    FD_ZERO(&wanted);
    FD_SET(m->fd, &wanted);
    FD_SET(bench_stop_fd, &wanted);
    while (!bench_is_stop_asked) {
        fd_set ready = wanted;
        if (select(fd_end, &ready, NULL, NULL, NULL) < 0 && errno != EINTR) {
            bench_fail("select");
        }
        mmsg_serve(m, is_echo); /* there is nothing else that may be ready, but for the stop */
    }
}

int main(int argc, char **argv)
{
    static struct mmsg mmsg;
    struct bench_options o;
    bench_parse(&o, &program, argc, argv);
    mmsg_init(&mmsg, bench_open_bound(&o));
    bench_catch_stop(&o);
    bench_begin(mmsg.fd);
    run_server(&mmsg, o.mode == BENCH_ECHO);
    bench_end(&o, &mmsg.counts);
    return 0;
}
