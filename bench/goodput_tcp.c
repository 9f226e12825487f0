/* SPDX-License-Identifier: MIT
 *
 * Goodput of TCP: see goodput.h. WAY is the congestion control. The system's buffers grow as they
 * do by themselves.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "goodput.h"

enum { CHUNK_BYTES = 1 << 18 };

static const uint64_t NS_PER_SECOND = 1000000000;

static struct sockaddr_in address_of(const struct goodput *g)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(g->port) };
    if (inet_pton(AF_INET, g->addr, &at.sin_addr) != 1) {
        goodput_fail(g, "no IPv4 address");
    }
    return at;
}

static int open_socket(const struct goodput *g)
{
    const int found = socket(AF_INET, SOCK_STREAM, 0);
    if (found < 0) {
        goodput_fail(g, "no socket");
    }
    return found;
}

static void serve(struct goodput *g)
{
    static char data[CHUNK_BYTES];
    const struct sockaddr_in at = address_of(g);
    const int listening = open_socket(g);
    if (bind(listening, (const struct sockaddr *)&at, sizeof at) < 0 || listen(listening, 1) < 0) {
        goodput_fail(g, "cannot listen");
    }
    goodput_say_ready(g);
    const int peer = accept(listening, NULL, NULL);
    ssize_t got = peer >= 0 ? 1 : -1;
    while (got > 0 && !goodput_is_over()) {
        got = read(peer, data, sizeof data);
        if (got > 0) {
            goodput_add(g, (size_t)got);
        }
    }
    goodput_print(g);
}

static void send_all(struct goodput *g)
{
    static char message[GOODPUT_MESSAGE_BYTES];
    const struct sockaddr_in at = address_of(g);
    const struct linger at_once = { 1, 0 };
    const int peer = open_socket(g);
    if (g->way != NULL &&
        setsockopt(peer, IPPROTO_TCP, TCP_CONGESTION, g->way, (socklen_t)strlen(g->way)) < 0) {
        goodput_fail(g, "no such congestion control");
    }
    if (connect(peer, (const struct sockaddr *)&at, sizeof at) < 0) {
        goodput_fail(g, "cannot connect");
    }
    const uint64_t end_ns = goodput_now_ns() + (g->seconds + GOODPUT_TAIL_SECONDS) * NS_PER_SECOND;
    while (goodput_now_ns() < end_ns && write(peer, message, sizeof message) > 0) {}
    (void)setsockopt(peer, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    (void)close(peer);
}

int main(int argc, char **argv)
{
    struct goodput g;
    goodput_parse(&g, argc, argv);
    if (g.is_server) {
        serve(&g);
    } else {
        send_all(&g);
    }
    return EXIT_SUCCESS;
}
