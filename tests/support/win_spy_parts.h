/* SPDX-License-Identifier: MIT
 *
 * What the parts of the spy (win_spy.h) share: its state. win_spy.c has the table and the sends,
 * win_spy_rx.c the receives. Loop thread.
 */
#ifndef WIN_SPY_PARTS_H
#define WIN_SPY_PARTS_H

#include "win_spy.h"

enum {
    ANSWERS_MAX = 256,
    FLIGHTS_MAX = 1024,
    POSTS_MAX = 1024,
    ARRIVALS_MAX = 512,
    SOCKETS_MAX = 16, /* spied on, at a time */
    OPTIONS_MAX = 24  /* of each that are kept */
};

/* A send whose routine has to be called. */
struct win_spy_flight {
    LPWSAOVERLAPPED overlapped; /* NULL: free */
    LPWSAOVERLAPPED_COMPLETION_ROUTINE routine;
    SOCKET s;
    DWORD thread_id;
    uint64_t order;
    bool is_late; /* waits to be landed */
    bool is_ours; /* the system knows nothing of it */
    bool is_slow; /* the system said WSA_IO_PENDING */
    int sys_err;
    ULONG_PTR status; /* in Internal */
    struct win_spy_send seen;
    struct sockaddr *name_at;
    char *control_at;
    WSABUF *bufs; /* a copy of the array */
    uint64_t digest;
    HANDLE event; /* of the OVERLAPPED: the application's */
};

/* A receive whose routine has to be called. */
struct win_spy_post {
    LPWSAOVERLAPPED overlapped; /* NULL: free */
    LPWSAOVERLAPPED_COMPLETION_ROUTINE routine;
    LPWSAMSG msg;
    WSABUF buf;
    ULONG control_room;
    bool is_told; /* in the call */
    bool is_twice;
    DWORD told_err, told_bytes;
    SOCKET s;
    DWORD thread_id;
};

struct win_spy_socket {
    SOCKET s; /* INVALID_SOCKET: free */
    WSAEVENT event;
    bool is_blocked;
    bool is_announced; /* FD_WRITE is due */
    bool is_bound;
    bool is_cancelled;   /* all that was outstanding */
    uint32_t late_count; /* options set behind the bind */
    struct {
        int level;
        int name;
        int value;
    } options[OPTIONS_MAX];
    uint32_t option_count;
};

struct win_spy {
    struct ki_win_sys sys;
    struct ki_win_calls real;
    bool is_armed; /* what is opened is spied on */
    struct win_spy_socket sockets[SOCKETS_MAX];
    struct {
        enum win_spy_how how;
        int sys_err;
    } answers[ANSWERS_MAX], rest;
    uint32_t answer_count, answer_next;
    struct win_spy_send sends[WIN_SPY_SENDS_MAX];
    uint32_t send_count;
    struct win_spy_flight flights[FLIGHTS_MAX];
    uint64_t flight_total;
    struct win_spy_post posts[POSTS_MAX];
    struct {
        SOCKET s; /* INVALID_SOCKET: told */
        struct win_spy_arrival arrival;
    } arrivals[ARRIVALS_MAX];
    uint32_t arrival_count;
    SOCKET origins[2]; /* of IPv4 and of IPv6 */
    uint32_t told_count;
};

/* The one that is open, or NULL. */
extern struct win_spy *win_spy_state;

/* The record of a socket; NULL: it is not spied on. */
struct win_spy_socket *win_spy_socket_of(SOCKET s);

/* What an option was set to. */
int win_spy_option_value(const struct win_spy_socket *known, int level, int name, int otherwise);

/* What stands behind the pointer of WSARecvMsg. */
INT WSAAPI win_spy_receive(SOCKET s, LPWSAMSG msg, LPDWORD bytes, LPWSAOVERLAPPED overlapped,
                           LPWSAOVERLAPPED_COMPLETION_ROUTINE routine);

/* Whether an OVERLAPPED is in use: each outstanding call has its own (S19). */
bool win_spy_is_in_use(const WSAOVERLAPPED *overlapped);

#endif
