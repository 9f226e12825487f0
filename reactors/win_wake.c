/* SPDX-License-Identifier: MIT
 *
 * The socket behind wake. Keeps true: while the flag is set, a datagram has been sent or is being
 * sent. Threads and sources: see win_wake.h.
 */
#include "win_wake.h"

#include "win_socket.h"

enum {
    TRIES_MAX = 8, /* of a send: no system needs them */
    READS_MAX = 8  /* in a row: late ones, and the one that is due */
};

/* The loopback address, with a port that the system chooses. */
static int write_loopback(union ki_win_name *name, bool is_ipv6)
{
    static const uint8_t ipv4[4] = { 127, 0, 0, 1 };
    static const uint8_t ipv6[16] = { [15] = 1 };
    const struct kirim_addr addr = is_ipv6 ? kirim_addr_ipv6(ipv6, 0, 0) : kirim_addr_ipv4(ipv4, 0);
    return ki_win_name_write(name, &addr, is_ipv6);
}

/* Binds the socket for itself alone, and connects it to itself, so that nobody else's datagrams
 * arrive. */
static int connect_to_itself(const struct ki_win *r, SOCKET s, bool is_ipv6)
{
    const DWORD is_on = 1;
    union ki_win_name name;
    int bytes = write_loopback(&name, is_ipv6);
    if (r->sys->setsockopt(s, SOL_SOCKET, SO_EXCLUSIVEADDRUSE, (const char *)&is_on,
                           sizeof is_on) != 0 ||
        r->sys->bind(s, &name.any, bytes) != 0) {
        return -1;
    }
    bytes = sizeof name;
    if (r->sys->getsockname(s, &name.any, &bytes) != 0 ||
        r->sys->connect(s, &name.any, bytes) != 0) {
        return -1;
    }
    return ki_win_socket_unblock(r, s);
}

kirim_err ki_win_wake_open(struct ki_win_wake *wake, const struct ki_win *r)
{
    const bool is_ipv6 = r->calls[0].send == NULL;
    atomic_init(&wake->is_raised, 0);
    wake->calls = r->calls[is_ipv6];
    wake->s = ki_win_socket_make(r, is_ipv6 ? AF_INET6 : AF_INET);
    if (wake->s == INVALID_SOCKET) {
        return ki_win_failed(r->reactor.loop, "wake: WSASocketW");
    }
    if (connect_to_itself(r, wake->s, is_ipv6) != 0) {
        const kirim_err err = ki_win_failed(r->reactor.loop, "wake: a socket connected to itself");
        (void)r->sys->close(wake->s);
        return err;
    }
    return KIRIM_OK;
}

void ki_win_wake_close(struct ki_win_wake *wake, const struct ki_win *r)
{
    (void)r->sys->close(wake->s);
}

void ki_win_wake_raise(struct ki_win_wake *wake)
{
    /* Release, for what the caller posted before. */
    if (atomic_exchange_explicit(&wake->is_raised, 1, memory_order_acq_rel) != 0) {
        return;
    }
    const int last_error = WSAGetLastError();
    char one = 1;
    WSABUF buf = { .len = sizeof one, .buf = &one };
    WSAMSG msg = { .lpBuffers = &buf, .dwBufferCount = 1 };
    DWORD sent = 0;
    int tries = 0;
    while (wake->calls.send(wake->s, &msg, 0, &sent, NULL, NULL) != 0 && ++tries < TRIES_MAX) {}
    if (tries == TRIES_MAX) {
        /* The next wake shall try again rather than trust this one. */
        atomic_store_explicit(&wake->is_raised, 0, memory_order_release);
    }
    WSASetLastError(last_error);
}

bool ki_win_wake_is_raised(const struct ki_win_wake *wake)
{
    return atomic_load_explicit(&wake->is_raised, memory_order_acquire) != 0;
}

bool ki_win_wake_take(struct ki_win_wake *wake)
{
    for (int i = 0; i < READS_MAX; i++) {
        char byte;
        WSABUF buf = { .len = sizeof byte, .buf = &byte };
        WSAMSG msg = { .lpBuffers = &buf, .dwBufferCount = 1 };
        DWORD bytes = 0;
        if (wake->calls.receive(wake->s, &msg, &bytes, NULL, NULL) != 0) {
            break; /* Nothing more; or it will be there in the next wait. */
        }
    }
    /* Acquire: what was posted before a wake that found the flag set is visible from here on. */
    return atomic_exchange_explicit(&wake->is_raised, 0, memory_order_acq_rel) != 0;
}
