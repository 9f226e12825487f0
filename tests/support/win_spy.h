/* SPDX-License-Identifier: MIT
 *
 * A spy behind the WSASendMsg and WSARecvMsg pointers: a table of system calls that answers the
 * question for them with its own functions.
 *
 * It writes down what the library passes, holds what the reference asks of a caller against every
 * call, and passes it on, or plays what the reference describes and Wine or a loopback does not
 * show: any error, a late or an inline completion, a double report, a full socket, control data.
 * What is said to have arrived takes the place of a real datagram, so that reactors are woken by
 * the system, and no sooner.
 *
 * It spies on sockets that are opened behind win_spy_open(): the reactor's own are left alone. The
 * state is the program's, as the calls have no place for a context: one loop at a time. Loop
 * thread. Sources: the reference pages of WSASendMsg, LPFN_WSARECVMSG, WSAMSG,
 * LPWSAOVERLAPPED_COMPLETION_ROUTINE, WSAEventSelect, CancelIoEx.
 */
#ifndef WIN_SPY_H
#define WIN_SPY_H

#include "ks.h"
#include "win_sys.h"

enum {
    WIN_SPY_SENDS_MAX = 512,
    WIN_SPY_HEAD_BYTES = 512, /* of each send that are kept */
    WIN_SPY_BUFS_MAX = 16,    /* of each send that are kept */
    WIN_SPY_CONTROL_BYTES = 256,
    WIN_SPY_NAME_BYTES = 28
};

/* A send as it was passed. */
struct win_spy_send {
    SOCKET s;
    uint8_t name[WIN_SPY_NAME_BYTES];
    int name_bytes; /* 0: NULL */
    DWORD buf_count;
    WSABUF bufs[WIN_SPY_BUFS_MAX];
    uint8_t bytes[WIN_SPY_HEAD_BYTES]; /* of the buffers, in order */
    size_t byte_count;
    uint8_t control[WIN_SPY_CONTROL_BYTES];
    ULONG control_bytes; /* 0: NULL */
    DWORD flags;         /* of the call; that of the message is 0 always */
    bool is_overlapped;
    /* What IP_MTU_DISCOVER and IPV6_MTU_DISCOVER, or else IP_DONTFRAGMENT and IPV6_DONTFRAG, were
     * set to; -1: they were not. */
    int dont_fragment[2];
};

/* What a send is answered. */
enum win_spy_how {
    WIN_SPY_THROUGH, /* the system is asked */
    WIN_SPY_SENT,    /* 0, and nothing leaves; an overlapped one completes behind it */
    WIN_SPY_REFUSED, /* the error at once, and no completion */
    WIN_SPY_LATE,    /* WSA_IO_PENDING, until win_spy_land(); then the error, or 0 and it leaves */
    WIN_SPY_TWICE    /* the error at once, and by the routine as well (Wine, of WSAEMSGSIZE) */
};

/* What a receive is told. Pointers stay valid until it is. */
struct win_spy_arrival {
    int sys_err; /* 0: a datagram */
    /* What an overlapped receive is told that finds it there when it is posted: in the call, and by
     * no routine; or by the routine as well (Wine, of WSAEMSGSIZE). Else by the routine. */
    bool is_at_once, is_twice;
    bool is_nameless; /* no name is told; else, without one, that of the real datagram */
    int name_bytes;
    const void *name; /* struct sockaddr of the reference */
    const void *bytes;
    ULONG byte_count;
    ULONG control_bytes;
    const void *control;
    DWORD flags; /* of the message */
};

/* How many reactors over Winsock this build has; those by name. */
int win_spy_reactor_count(void);

/* Opens the fixture's loop on one of them, with the spy. */
void win_spy_open(struct ks *t, int reactor, int family);

/* Closes it, and checks that every completion has come. */
void win_spy_close(struct ks *t);

/* Whether the reactor passes what can be overlapped overlapped. */
bool win_spy_is_overlapped(const struct ks *t);

/* ---- sends ----------------------------------------------------------------------------------- */

/* The next `count` sends that have no answer yet get this one; 256 ahead at most. */
void win_spy_answer(enum win_spy_how how, int sys_err, uint32_t count);

/* Those for which there is no answer; at first they go through. */
void win_spy_answer_rest(enum win_spy_how how, int sys_err);

/* Every send of an endpoint is answered WSAEWOULDBLOCK; until it can write again, and is told as
 * the system tells it. */
void win_spy_block(const struct ks_node *n);
void win_spy_unblock(const struct ks_node *n);

/* Completes up to `count` late ones, in posting order or the last one first; they end in the next
 * alertable wait. Returns how many. */
uint32_t win_spy_land(uint32_t count);
uint32_t win_spy_land_last_first(uint32_t count);
uint32_t win_spy_late_count(void);

uint32_t win_spy_send_count(void);
const struct win_spy_send *win_spy_send_at(uint32_t index);
void win_spy_forget_sends(void);

/* The send passed these bytes as its control data, as its name, as its payload. */
#define WIN_SPY_CONTROL(index, bytes) \
    win_spy_check_control((index), (bytes), sizeof(bytes), __FILE__, __LINE__)
#define WIN_SPY_NO_CONTROL(index) win_spy_check_control((index), NULL, 0, __FILE__, __LINE__)
#define WIN_SPY_NAME(index, bytes) \
    win_spy_check_name((index), (bytes), sizeof(bytes), __FILE__, __LINE__)
#define WIN_SPY_BYTES(index, text) \
    win_spy_check_bytes((index), (text), sizeof(text) - 1, __FILE__, __LINE__)
void win_spy_check_control(uint32_t index, const void *bytes, size_t count, const char *file,
                           int line);
void win_spy_check_name(uint32_t index, const void *bytes, size_t count, const char *file,
                        int line);
void win_spy_check_bytes(uint32_t index, const void *bytes, size_t count, const char *file,
                         int line);

/* ---- receives -------------------------------------------------------------------------------- */

/* Has this arrive at an endpoint, behind what does already. 512 in all at most. */
void win_spy_arrive(const struct ks_node *n, const struct win_spy_arrival *arrival);

/* Where the real datagrams behind it come from: a connected endpoint has to be connected to it. */
struct kirim_addr win_spy_origin(int family);

/* Overlapped receives that were told in the call. */
uint32_t win_spy_told_count(void);

/* Overlapped receives that this thread has posted, and that have not completed. */
uint32_t win_spy_posted_count(void);

/* ---- options --------------------------------------------------------------------------------- */

enum { WIN_SPY_IOCTL = -1 };

/* The last value that an option of a spied socket was set to; -1: it was not set. Options that Wine
 * lacks (ECN and time on arrivals, those of UDP) are taken note of, and said to be there. A call of
 * WSAIoctl is an option of the level WIN_SPY_IOCTL. */
int win_spy_option(const struct ks_node *n, int level, int name);

/* How many options were set behind the bind (L42). */
uint32_t win_spy_late_option_count(const struct ks_node *n);

#endif
