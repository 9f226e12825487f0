/* SPDX-License-Identifier: MIT
 *
 * Opening and closing what the Windows reactors share, what the system is asked when a loop opens,
 * and small members of struct ki_reactor_ops.
 *
 * Keeps true: what opens here is undone in reverse order when a later step fails; a capability is
 * reported only if every family that is there has it; no socket of a probe outlives it. Owns what
 * struct ki_win owns. Loop thread. Sources: WSAStartup, "IPPROTO_IP socket options", "IPPROTO_IPV6
 * socket options", "IPPROTO_UDP socket options".
 */
#include "win.h"

#include "win_clock.h"
#include "win_map.h"
#include "win_mtu.h"
#include "win_random.h"
#include "win_socket.h"

#include <stdlib.h>

enum {
    SLOT_BYTES_MIN = 65535, /* a coalesced arrival may be as long as a datagram can be (L23) */
    /* One tick of the system's clock, by which waits end, unless some program asked for a shorter
       one. */
    RESOLUTION_NS = 15625000,
    NS_PER_MS = 1000000,
    TIMEOUT_MS_MAX = 1 << 30
};

/* What each family has to have for it to be reported. */
#define CAPS_OF_BOTH                                                                     \
    ((uint32_t)(KIRIM_CAP_SOURCE | KIRIM_CAP_ECN | KIRIM_CAP_TTL | KIRIM_CAP_MULTICAST | \
                KIRIM_CAP_DONT_FRAGMENT | KIRIM_CAP_PATH_MTU))

kirim_err ki_win_failed(struct kirim_loop *loop, const char *call)
{
    const int sys_err = WSAGetLastError();
    ki_log(loop, KIRIM_LOG_INFO, call, sys_err);
    const kirim_err err = ki_win_map(sys_err);
    return err < 0 ? err : KIRIM_ESYSTEM;
}

/* Whether the environment says just this character of one of the KIRIM_ switches. */
static bool is_set_to(const char *name, char value)
{
    const char *text = getenv(name);
    return text != NULL && text[0] == value && text[1] == 0;
}

/* ---- probing --------------------------------------------------------------------------------- */

static bool takes_option(const struct ki_win *r, SOCKET s, int level, int name, DWORD value)
{
    return r->sys->setsockopt(s, level, name, (const char *)&value, sizeof value) == 0;
}

/* Whether the socket knows an option of UDP, and answers for it. It is not set: a segment size of
 * the socket's own would cut what comes without one (L8, L9). */
static bool knows_udp_option(const struct ki_win *r, SOCKET s, int name)
{
    DWORD value;
    int bytes = sizeof value;
    return r->sys->getsockopt(s, IPPROTO_UDP, name, (char *)&value, &bytes) == 0;
}

/* Coalescing is off unless it is asked for: there are systems that deliver such trains without
 * saying so (L21). */
static void probe_offloads(struct ki_win *r, SOCKET s, uint32_t *caps)
{
    if (!is_set_to("KIRIM_GSO", '0') && knows_udp_option(r, s, KI_UDP_SEND_MSG_SIZE)) {
        r->segments_max = KIRIM_TRAIN_SEGMENTS_MAX;
        *caps |= KIRIM_CAP_TRAINS;
    }
    if (is_set_to("KIRIM_GRO", '1') && r->rx.slot_bytes >= SLOT_BYTES_MIN &&
        knows_udp_option(r, s, KI_UDP_RECV_MAX_COALESCED_SIZE)) {
        r->has_coalescing = 1;
        *caps |= KIRIM_CAP_COALESCED;
    }
}

static uint32_t probe_ipv4(const struct ki_win *r, SOCKET s)
{
    const bool has_tos = takes_option(r, s, IPPROTO_IP, IP_RECVTOS, 1);
    const bool has_ecn = takes_option(r, s, IPPROTO_IP, KI_IP_RECVECN, 1);
    return (takes_option(r, s, IPPROTO_IP, IP_PKTINFO, 1) ? KIRIM_CAP_SOURCE : 0U) |
           (has_tos || has_ecn ? KIRIM_CAP_ECN : 0U) |
           (takes_option(r, s, IPPROTO_IP, IP_RECVTTL, 1) ? KIRIM_CAP_TTL : 0U) |
           (takes_option(r, s, IPPROTO_IP, IP_MULTICAST_TTL, 1) ? KIRIM_CAP_MULTICAST : 0U);
}

static uint32_t probe_ipv6(const struct ki_win *r, SOCKET s)
{
    const bool has_class = takes_option(r, s, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
    const bool has_ecn = takes_option(r, s, IPPROTO_IPV6, KI_IPV6_RECVECN, 1);
    return KIRIM_CAP_IPV6 |
           (takes_option(r, s, IPPROTO_IPV6, IPV6_V6ONLY, 0) ? KIRIM_CAP_DUAL_STACK : 0U) |
           (takes_option(r, s, IPPROTO_IPV6, IPV6_PKTINFO, 1) ? KIRIM_CAP_SOURCE : 0U) |
           (has_class || has_ecn ? KIRIM_CAP_ECN : 0U) |
           (takes_option(r, s, IPPROTO_IPV6, IPV6_HOPLIMIT, 1) ? KIRIM_CAP_TTL : 0U) |
           (takes_option(r, s, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, 1) ? KIRIM_CAP_MULTICAST : 0U);
}

/* Asks for one family: its provider's functions, and what it can do. A family that is not there is
 * no error; being out of sockets or memory says nothing about that. */
static kirim_err probe_family(struct ki_win *r, bool is_ipv6, uint32_t *caps)
{
    struct kirim_loop *loop = r->reactor.loop;
    const SOCKET s = ki_win_socket_make(r, is_ipv6 ? AF_INET6 : AF_INET);
    if (s == INVALID_SOCKET) {
        const kirim_err err =
            ki_win_failed(loop, is_ipv6 ? "no IPv6: WSASocketW" : "no IPv4: WSASocketW");
        return err == KIRIM_EMFILE || err == KIRIM_ENOMEM || err == KIRIM_ENOBUFS ? err : KIRIM_OK;
    }
    kirim_err err = KIRIM_OK;
    if (ki_win_calls_fetch(r->sys, s, &r->calls[is_ipv6])) {
        const uint32_t found =
            (is_ipv6 ? probe_ipv6(r, s) : probe_ipv4(r, s)) | ki_win_mtu_probe(r, s, is_ipv6);
        *caps = (*caps & (found | ~CAPS_OF_BOTH)) | (found & ~CAPS_OF_BOTH);
        probe_offloads(r, s, caps);
    } else {
        ki_log(loop, KIRIM_LOG_ERROR, "the provider has no WSASendMsg or no WSARecvMsg",
               WSAGetLastError());
        err = KIRIM_EOPNOTSUPP;
    }
    (void)r->sys->close(s);
    return err;
}

static kirim_err probe(struct ki_win *r, uint32_t *caps)
{
    uint32_t found = KIRIM_CAP_GUESTS | KIRIM_CAP_ADOPT | CAPS_OF_BOTH;
    kirim_err err = probe_family(r, false, &found);
    if (err < 0) {
        return err;
    }
    err = probe_family(r, true, &found);
    if (err < 0) {
        return err;
    }
    if (r->calls[0].send == NULL && r->calls[1].send == NULL) {
        return KIRIM_EAFNOSUPPORT;
    }
    *caps = found;
    return KIRIM_OK;
}

/* ---- opening and closing --------------------------------------------------------------------- */

kirim_err ki_win_open(struct ki_win *r, struct kirim_loop *loop,
                      const struct kirim_loop_options *options, uint32_t *caps)
{
    WSADATA data;
    r->reactor.loop = loop;
    r->reactor.timer_resolution_ns = RESOLUTION_NS;
    r->sys = ki_win_sys_of(options->system_calls);
    r->segments_max = 1;
    r->may_report = !is_set_to("KIRIM_RECVERR", '0');
    const int sys_err = r->sys->startup(MAKEWORD(2, 2), &data); /* it answers the code itself */
    if (sys_err != 0) {
        ki_log(loop, KIRIM_LOG_ERROR, "WSAStartup", sys_err);
        return ki_win_map(sys_err);
    }
    kirim_err err = ki_win_rx_open(r, options);
    if (err < 0) {
        goto fail_startup;
    }
    err = probe(r, caps);
    if (err < 0) {
        goto fail_rx;
    }
    return KIRIM_OK;
fail_rx:
    ki_win_rx_close(r);
fail_startup:
    (void)r->sys->cleanup();
    return err;
}

void ki_win_close(struct ki_win *r)
{
    ki_win_rx_close(r);
    (void)r->sys->cleanup();
}

/* ---- time, chance, release ------------------------------------------------------------------- */

uint64_t ki_win_reactor_now(struct ki_reactor *reactor)
{
    (void)reactor;
    return ki_win_now();
}

kirim_err ki_win_reactor_random(struct ki_reactor *reactor, void *out, size_t bytes)
{
    (void)reactor;
    return ki_win_random(out, bytes);
}

void ki_win_release(struct ki_reactor *reactor)
{
    ki_win_rx_take_back((struct ki_win *)reactor);
}

uint64_t ki_win_remaining_ns(uint64_t deadline_ns)
{
    const uint64_t now_ns = ki_win_now();
    return deadline_ns > now_ns ? deadline_ns - now_ns : 0;
}

DWORD ki_win_timeout_ms(uint64_t deadline_ns)
{
    if (deadline_ns == KIRIM_NEVER) {
        return WSA_INFINITE;
    }
    if (deadline_ns == 0) {
        return 0;
    }
    const uint64_t delay_ns = ki_win_remaining_ns(deadline_ns);
    const uint64_t delay_ms = delay_ns / NS_PER_MS + (delay_ns % NS_PER_MS != 0);
    return (DWORD)(delay_ms < TIMEOUT_MS_MAX ? delay_ms : TIMEOUT_MS_MAX);
}

/* ---- measuring ------------------------------------------------------------------------------- */

kirim_err ki_win_port_buffers(struct ki_reactor *reactor, struct ki_port *port,
                              uint32_t *receive_bytes, uint32_t *send_bytes)
{
    const struct ki_win *r = (const struct ki_win *)reactor;
    const SOCKET s = (SOCKET)port->descriptor;
    DWORD receive;
    DWORD send;
    if (ki_win_option_get(r, s, SOL_SOCKET, SO_RCVBUF, &receive) != 0 ||
        ki_win_option_get(r, s, SOL_SOCKET, SO_SNDBUF, &send) != 0) {
        return ki_win_map(WSAGetLastError());
    }
    *receive_bytes = receive;
    *send_bytes = send;
    return KIRIM_OK;
}

uint64_t ki_win_port_drops(struct ki_reactor *reactor, struct ki_port *port)
{
    (void)reactor;
    (void)port;
    return 0; /* Winsock does not tell. */
}
