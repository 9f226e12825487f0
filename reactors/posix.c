/* SPDX-License-Identifier: MIT
 *
 * Opening and closing what the POSIX reactors share, their clock, and their random bytes.
 *
 * Keeps true: what opens here is undone in reverse order when a later step fails. Owns what struct
 * ki_posix owns. Loop thread, but for ki_posix_wake(). Sources: clock_gettime(2), getrandom(2),
 * ipv6(7), recvmmsg(2), sendmmsg(2).
 */
#include "posix.h"

#include "posix_map.h"
#include "posix_mtu.h"
#include "posix_train.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>

enum { NS_PER_SECOND = 1000000000 };

kirim_err ki_posix_failed(struct kirim_loop *loop, const char *call)
{
    const int sys_err = errno;
    ki_log(loop, KIRIM_LOG_INFO, call, sys_err);
    return ki_posix_map(sys_err);
}

bool ki_posix_is_off(const char *name)
{
    const char *value = getenv(name);
    return value != NULL && value[0] == '0' && value[1] == 0;
}

int ki_posix_udp_socket(const struct ki_posix *r, bool is_ipv6)
{
    return r->sys->socket(is_ipv6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
                          0);
}

/* A sandbox that does not know a call answers ENOSYS or EPERM; every other error proves it is
 * there. */
static bool is_unknown_call(int result)
{
    return result < 0 && (errno == ENOSYS || errno == EPERM);
}

static void probe_batches(struct ki_posix *r, uint32_t *caps)
{
    const struct ki_posix_sys *sys = r->sys;
    r->has_batches = !is_unknown_call(sys->recvmmsg(-1, NULL, 0, MSG_DONTWAIT, NULL)) &&
                     !is_unknown_call(sys->sendmmsg(-1, NULL, 0, MSG_DONTWAIT));
    if (r->has_batches) {
        *caps |= KIRIM_CAP_BATCHES;
    }
}

/* Finds out whether there is IPv6. Being out of descriptors or memory says nothing about that. */
static kirim_err probe_ipv6(struct ki_posix *r, struct kirim_loop *loop, uint32_t *caps)
{
    const struct ki_posix_sys *sys = r->sys;
    const int is_off = 0;
    const int fd = ki_posix_udp_socket(r, true);
    if (fd < 0) {
        const kirim_err err = ki_posix_failed(loop, "no IPv6: socket");
        return err == KIRIM_EMFILE || err == KIRIM_ENOMEM || err == KIRIM_ENOBUFS ? err : KIRIM_OK;
    }
    *caps |= KIRIM_CAP_IPV6;
    if (sys->setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &is_off, sizeof is_off) == 0) {
        *caps |= KIRIM_CAP_DUAL_STACK;
    }
    (void)sys->close(fd);
    return KIRIM_OK;
}

kirim_err ki_posix_open(struct ki_posix *r, struct kirim_loop *loop,
                        const struct kirim_loop_options *options, uint32_t *caps)
{
    r->reactor.loop = loop;
    r->sys = ki_posix_sys_of(options->system_calls);
    r->opener = r->sys->getpid();
    uint32_t found = KIRIM_CAP_GUESTS | KIRIM_CAP_ADOPT | KIRIM_CAP_SOURCE | KIRIM_CAP_ECN |
                     KIRIM_CAP_TTL | KIRIM_CAP_MULTICAST | KIRIM_CAP_TIME | KIRIM_CAP_DROPS;
    probe_batches(r, &found);
    kirim_err err = probe_ipv6(r, loop, &found);
    if (err < 0) {
        return err;
    }
    err = ki_posix_wake_open(&r->wake, r->sys);
    if (err < 0) {
        return err;
    }
    err = ki_posix_rx_open(r, options);
    if (err < 0) {
        goto fail_wake;
    }
    ki_posix_tx_init(r);
    ki_posix_train_probe(r, &found);
    r->may_keep_times = !ki_posix_is_off("KIRIM_TXTIME");
    ki_posix_error_probe(r, &found);
    ki_posix_mtu_probe(r, &found);
    *caps = found;
    return KIRIM_OK;
fail_wake:
    ki_posix_wake_close(&r->wake);
    return err;
}

kirim_err ki_posix_begin_close(struct ki_reactor *reactor)
{
    struct ki_posix *r = (struct ki_posix *)reactor;
    r->is_forked = r->sys->getpid() != r->opener;
    return r->is_forked != 0 ? KIRIM_ECLOSED : KIRIM_OK;
}

void ki_posix_close(struct ki_posix *r)
{
    ki_posix_rx_close(r);
    ki_posix_wake_close(&r->wake);
}

uint64_t ki_posix_now(struct ki_reactor *reactor)
{
    struct ki_posix *r = (struct ki_posix *)reactor;
    struct timespec now;
    /* A monotonic clock cannot fail; if one did, time would stand still rather than jump. */
    if (r->sys->clock_gettime(CLOCK_MONOTONIC, &now) == 0) {
        r->now_ns = (uint64_t)now.tv_sec * NS_PER_SECOND + (uint64_t)now.tv_nsec;
    }
    return r->now_ns;
}

uint64_t ki_posix_remaining_ns(struct ki_posix *r, uint64_t deadline_ns)
{
    const uint64_t now_ns = ki_posix_now(&r->reactor);
    return deadline_ns > now_ns ? deadline_ns - now_ns : 0;
}

kirim_err ki_posix_random(struct ki_reactor *reactor, void *out, size_t bytes)
{
    const struct ki_posix *r = (const struct ki_posix *)reactor;
    uint8_t *next = out;
    while (bytes > 0) {
        const ssize_t got = r->sys->getrandom(next, bytes, 0);
        if (got > 0) {
            const size_t count = (size_t)got < bytes ? (size_t)got : bytes;
            next += count;
            bytes -= count;
        } else if (got == 0 || errno != EINTR) {
            return KIRIM_ESYSTEM;
        }
    }
    return KIRIM_OK;
}

void ki_posix_wake(struct ki_reactor *reactor)
{
    ki_posix_wake_raise(&((struct ki_posix *)reactor)->wake);
}

void ki_posix_release(struct ki_reactor *reactor)
{
    ki_posix_rx_take_back((struct ki_posix *)reactor);
}
