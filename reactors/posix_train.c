/* SPDX-License-Identifier: MIT
 *
 * Probing for segmentation and receive offload; see posix_train.h.
 *
 * Keeps true: no socket is left with a segment size of its own, which would cut every datagram that
 * comes without one (L8); a probe tells what the system knows, not what a route can do: that shows
 * when a train is refused (L1, L2). Loop thread. Sources: see posix_train.h.
 */
#include "posix_train.h"

#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>

enum {
    SEGMENTS_OF_OLD = 64,  /* Linux before 6.9 */
    SLOT_BYTES_MIN = 65535 /* a coalesced arrival may be as long as a datagram can be (L23) */
};
_Static_assert(KIRIM_TRAIN_SEGMENTS_MAX > SEGMENTS_OF_OLD, "the limit that is probed for");

/* A socket that can send to nobody but itself; -1: there is none. */
static int open_probe(const struct ki_posix *r)
{
    union ki_posix_name name = { .ipv4 = { .sin_family = AF_INET } };
    socklen_t bytes = sizeof name.ipv4;
    const int fd = ki_posix_udp_socket(r, false);
    if (fd < 0) {
        return -1;
    }
    name.ipv4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (r->sys->bind(fd, &name.any, bytes) < 0 || r->sys->getsockname(fd, &name.any, &bytes) < 0 ||
        r->sys->connect(fd, &name.any, bytes) < 0) {
        (void)r->sys->close(fd);
        return -1;
    }
    return fd;
}

/* Whether the socket knows an option, and answers for it (L9). */
static bool knows_option(const struct ki_posix *r, int fd, int name)
{
    int value;
    return ki_posix_get_option(r, fd, IPPROTO_UDP, name, &value) == 0;
}

/* Whether one send may have as many segments as newer systems take: sent to the probe itself, one
 * byte each. */
static bool takes_many_segments(const struct ki_posix *r, int fd)
{
    uint8_t zeros[KIRIM_TRAIN_SEGMENTS_MAX] = { 0 };
    struct ki_posix_control_out control;
    struct iovec iov = { zeros, sizeof zeros };
    const struct msghdr header = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = &control,
        .msg_controllen = ki_control_add_segment(&control, 0, 1),
    };
    return r->sys->sendmsg(fd, &header, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)sizeof zeros;
}

void ki_posix_train_probe(struct ki_posix *r, uint32_t *caps)
{
    r->segments_max = 1;
    r->has_coalescing = 0;
    const bool wants_out = !ki_posix_is_off("KIRIM_GSO");
    const bool wants_in = !ki_posix_is_off("KIRIM_GRO") && r->rx.slot_bytes >= SLOT_BYTES_MIN;
    const int fd = wants_out || wants_in ? open_probe(r) : -1;
    if (fd < 0) {
        return;
    }
    if (wants_out && knows_option(r, fd, UDP_SEGMENT)) {
        r->segments_max = takes_many_segments(r, fd) ? KIRIM_TRAIN_SEGMENTS_MAX : SEGMENTS_OF_OLD;
        *caps |= KIRIM_CAP_TRAINS;
    }
    /* A system that cannot be asked for it (Linux before 5.12) gets it wrong (L25). */
    if (wants_in && knows_option(r, fd, UDP_GRO)) {
        r->has_coalescing = 1;
        *caps |= KIRIM_CAP_COALESCED;
    }
    (void)r->sys->close(fd);
}

void ki_posix_train_open(const struct ki_posix *r, struct ki_posix_port *p,
                         struct ki_posix_setup *setup)
{
    p->port.tx_segments_max = p->port.is_raw == 0 ? r->segments_max : 1;
    p->is_coalescing = r->has_coalescing != 0 && p->port.wants_coalesced != 0 &&
                       p->port.is_raw == 0 &&
                       ki_posix_set_option(r, setup, IPPROTO_UDP, UDP_GRO, 1) == 0;
}
