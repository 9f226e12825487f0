/* SPDX-License-Identifier: MIT
 *
 * The hand-written reference on Windows: echo and sink on one UDP socket, waiting by select or by
 * WSAEventSelect, with recvfrom and sendto until there is nothing more.
 *
 * Takes the arguments of the other contestants (common.c) as far as it has what they ask for, and
 * prints their lines. It ends when its --seconds are over. Owns its socket until exit. One thread.
 * Sources: select, WSAEventSelect, GetProcessTimes.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <winsock2.h>

#include <ws2tcpip.h>

enum {
    SLOT_BYTES = 65536,
    BUFFER_BYTES = 4 * 1024 * 1024,
    SECONDS_MAX = 86400,
    TURN_COUNT_MAX = 64 /* datagrams before the clock is looked at */
};

static struct {
    bool is_echo;
    bool is_event; /* else select */
    uint16_t port;
    uint32_t seconds;
    SOCKET s;
    WSAEVENT event;
    uint64_t rx, tx, drop, rx_calls, tx_calls;
    char slot[SLOT_BYTES];
} run = { .seconds = 1 };

static void fail(const char *what)
{
    fprintf(stderr, "raw_winsock: %s: error %d\n", what, WSAGetLastError());
    exit(EXIT_FAILURE);
}

static void fail_usage(void)
{
    fputs("usage: raw_winsock echo|sink --port P [--variant select|event] [--seconds N]\n", stderr);
    exit(2);
}

static uint32_t parse_number(const char *text, uint32_t max)
{
    char *end;
    const unsigned long long value = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != 0 || value > max) {
        fail_usage();
    }
    return (uint32_t)value;
}

static void parse_options(int argc, char **argv)
{
    bool has_port = false;
    if (argc < 2 || argc % 2 != 0) {
        fail_usage();
    }
    run.is_echo = strcmp(argv[1], "echo") == 0;
    if (!run.is_echo && strcmp(argv[1], "sink") != 0) {
        fail_usage();
    }
    for (int i = 2; i < argc; i += 2) {
        const char *value = argv[i + 1];
        if (strcmp(argv[i], "--port") == 0) {
            run.port = (uint16_t)parse_number(value, UINT16_MAX);
            has_port = true;
        } else if (strcmp(argv[i], "--seconds") == 0) {
            run.seconds = parse_number(value, SECONDS_MAX);
        } else if (strcmp(argv[i], "--variant") == 0) {
            run.is_event = strcmp(value, "event") == 0;
            if (!run.is_event && strcmp(value, "select") != 0) {
                fail_usage();
            }
        } else {
            fail_usage();
        }
    }
    if (!has_port) {
        fail_usage();
    }
}

/* Returns the port that the socket is bound to. */
static uint16_t open_socket(void)
{
    const int bytes = BUFFER_BYTES;
    u_long is_on = 1;
    struct sockaddr_in name = { .sin_family = AF_INET, .sin_port = htons(run.port) };
    int name_bytes = sizeof name;
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    run.s = socket(AF_INET, SOCK_DGRAM, IPPROTO_UDP);
    if (run.s == INVALID_SOCKET ||
        setsockopt(run.s, SOL_SOCKET, SO_RCVBUF, (const char *)&bytes, sizeof bytes) != 0 ||
        setsockopt(run.s, SOL_SOCKET, SO_SNDBUF, (const char *)&bytes, sizeof bytes) != 0 ||
        bind(run.s, (const struct sockaddr *)&name, sizeof name) != 0 ||
        getsockname(run.s, (struct sockaddr *)&name, &name_bytes) != 0 ||
        ioctlsocket(run.s, (long)FIONBIO, &is_on) != 0) { /* long: the reference's */
        fail("the socket");
    }
    if (run.is_event) {
        run.event = WSACreateEvent();
        if (run.event == WSA_INVALID_EVENT || WSAEventSelect(run.s, run.event, FD_READ) != 0) {
            fail("WSAEventSelect");
        }
    }
    return ntohs(name.sin_port);
}

/* Waits for a datagram or the end. */
static void wait_readable(uint64_t left_ms)
{
    WSANETWORKEVENTS record;
    if (!run.is_event) {
        struct timeval timeout = {
            .tv_sec = (long)(left_ms / 1000),         /* long: timeval's */
            .tv_usec = (long)(left_ms % 1000 * 1000), /* long: timeval's */
        };
        fd_set readable = { .fd_count = 1, .fd_array = { run.s } };
        if (select(0, &readable, NULL, NULL, &timeout) == SOCKET_ERROR) {
            fail("select");
        }
    } else if (WSAWaitForMultipleEvents(1, &run.event, FALSE, (DWORD)left_ms, FALSE) ==
                   WSA_WAIT_FAILED ||
               WSAEnumNetworkEvents(run.s, run.event, &record) != 0) {
        fail("WSAWaitForMultipleEvents or WSAEnumNetworkEvents");
    }
}

/* Takes what is there, and sends it back if it is an echo. */
static void serve(void)
{
    for (int i = 0; i < TURN_COUNT_MAX; i++) {
        struct sockaddr_in peer;
        int peer_bytes = sizeof peer;
        run.rx_calls++;
        const int bytes =
            recvfrom(run.s, run.slot, sizeof run.slot, 0, (struct sockaddr *)&peer, &peer_bytes);
        if (bytes == SOCKET_ERROR && WSAGetLastError() == WSAEWOULDBLOCK) {
            return;
        }
        if (bytes == SOCKET_ERROR) {
            continue; /* what an earlier answer has met with */
        }
        run.rx++;
        if (run.is_echo) {
            run.tx_calls++;
            const bool has_left = sendto(run.s, run.slot, bytes, 0, (const struct sockaddr *)&peer,
                                         peer_bytes) == bytes;
            run.tx += has_left;
            run.drop += !has_left;
        }
    }
}

/* Time that the process has used; under Wine without that of the Wine server. */
static uint64_t read_cpu_us(void)
{
    FILETIME created, ended, system, user;
    if (!GetProcessTimes(GetCurrentProcess(), &created, &ended, &system, &user)) {
        return 0;
    }
    return (((uint64_t)system.dwHighDateTime + user.dwHighDateTime) * ((uint64_t)1 << 32) +
            system.dwLowDateTime + user.dwLowDateTime) /
           10;
}

int main(int argc, char **argv)
{
    WSADATA data;
    parse_options(argc, argv);
    if (WSAStartup(MAKEWORD(2, 2), &data) != 0) {
        fail("WSAStartup");
    }
    printf("READY port=%u\n", (unsigned)open_socket());
    fflush(stdout);
    const uint64_t start_ms = GetTickCount64();
    const uint64_t start_cpu_us = read_cpu_us();
    const uint64_t end_ms = start_ms + (uint64_t)run.seconds * 1000;
    for (uint64_t now_ms = start_ms; now_ms < end_ms; now_ms = GetTickCount64()) {
        wait_readable(end_ms - now_ms);
        serve();
    }
    printf("RESULT mode=%s rx=%" PRIu64 " tx=%" PRIu64 " drop=%" PRIu64 " rxcalls=%" PRIu64
           " txcalls=%" PRIu64 " wall_us=%" PRIu64 " cpu_us=%" PRIu64 "\n",
           run.is_echo ? "echo" : "sink", run.rx, run.tx, run.drop, run.rx_calls, run.tx_calls,
           (GetTickCount64() - start_ms) * 1000, read_cpu_us() - start_cpu_us);
    return EXIT_SUCCESS;
}
