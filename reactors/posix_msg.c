/* SPDX-License-Identifier: MIT
 *
 * Receive and submit of the POSIX reactors, by recvmmsg and sendmmsg.
 *
 * Keeps true:
 * - A batch that did not fill is the end: no call is spent on seeing EAGAIN. Readiness is
 * level-triggered, so what came meanwhile is told by the next wait.
 * - Between two calls every header has its preset form (preset_rx(), preset_tx()).
 * - What a call refuses is known only when it refuses the first of its datagrams: after a partial
 * result the rest is submitted again, and that answer counts (sendmmsg(2), "Bugs"). Owns the
 * receive slots. Loop thread. Sources: see posix_msg.h.
 */
#include "posix_msg.h"

#include "posix.h"
#include "posix_map.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

_Static_assert(sizeof(struct kirim_buf) == sizeof(struct iovec) &&
                   offsetof(struct kirim_buf, data) == offsetof(struct iovec, iov_base) &&
                   offsetof(struct kirim_buf, bytes) == offsetof(struct iovec, iov_len),
               "a gather list is handed to the system as it is");

enum {
    CACHE_LINE_BYTES = 64,
    DATAGRAM_BYTES_DEFAULT = 65535,
    SLOT_COUNT_DEFAULT = 128,
    SLOT_COUNT_LOW = 32, /* fewer free ones are no batch worth a call */
    SINGLES_MAX = 8,     /* most receives of one in a row */
    RECEIVE_FLAGS = MSG_DONTWAIT,
    SEND_FLAGS = MSG_DONTWAIT | MSG_NOSIGNAL
};

/* ---- receive slots --------------------------------------------------------------------------- */

/* An odd number of cache lines, so that the first lines of all slots are spread over the whole
 * cache. */
static size_t stride_of(uint32_t slot_bytes)
{
    const size_t lines = ((size_t)slot_bytes + CACHE_LINE_BYTES - 1) / CACHE_LINE_BYTES;
    return (lines | 1) * CACHE_LINE_BYTES;
}

static void preset_header(struct ki_posix_slot *slot, struct msghdr *header)
{
    header->msg_name = &slot->name;
    header->msg_namelen = sizeof slot->name.ipv6;
    header->msg_iov = &slot->iov;
    header->msg_iovlen = 1;
}

static void preset_rx(struct ki_posix_rx *rx)
{
    for (uint32_t i = 0; i < rx->slot_count; i++) {
        struct ki_posix_slot *slot = &rx->slots[i];
        slot->iov.iov_base = rx->data + i * rx->slot_stride;
        slot->iov.iov_len = rx->slot_bytes;
        preset_header(slot, &rx->headers[i].msg_hdr);
    }
}

kirim_err ki_posix_rx_open(struct ki_posix *r, const struct kirim_loop_options *options)
{
    struct ki_posix_rx *rx = &r->rx;
    struct kirim_loop *loop = r->reactor.loop;
    const uint32_t slot_bytes = options->datagram_bytes_max;
    rx->slot_bytes = slot_bytes != 0 ? slot_bytes : DATAGRAM_BYTES_DEFAULT;
    rx->slot_count =
        options->receive_slot_count != 0 ? options->receive_slot_count : SLOT_COUNT_DEFAULT;
    rx->slot_stride = stride_of(rx->slot_bytes);
    rx->slot_next = 0;
    rx->headers = ki_alloc(loop, rx->slot_count * sizeof *rx->headers);
    if (rx->headers == NULL) {
        return KIRIM_ENOMEM;
    }
    rx->slots = ki_alloc(loop, rx->slot_count * sizeof *rx->slots);
    if (rx->slots == NULL) {
        goto fail_headers;
    }
    /* Not zeroed: 8 MiB that nobody has touched cost addresses, not memory. */
    rx->block_bytes = rx->slot_count * rx->slot_stride + CACHE_LINE_BYTES;
    rx->block = kirim_loop_alloc(loop, NULL, 0, rx->block_bytes);
    if (rx->block == NULL) {
        goto fail_slots;
    }
    rx->data = (uint8_t *)rx->block + (-(uintptr_t)rx->block & (CACHE_LINE_BYTES - 1));
    preset_rx(rx);
    return KIRIM_OK;
fail_slots:
    ki_free(loop, rx->slots, rx->slot_count * sizeof *rx->slots);
fail_headers:
    ki_free(loop, rx->headers, rx->slot_count * sizeof *rx->headers);
    return KIRIM_ENOMEM;
}

void ki_posix_rx_close(struct ki_posix *r)
{
    struct ki_posix_rx *rx = &r->rx;
    struct kirim_loop *loop = r->reactor.loop;
    if (rx->controls != NULL) {
        ki_free(loop, rx->controls, rx->slot_count * sizeof *rx->controls);
        ki_free(loop, rx->control_headers, rx->slot_count * sizeof *rx->control_headers);
    }
    (void)kirim_loop_alloc(loop, rx->block, rx->block_bytes, 0);
    ki_free(loop, rx->slots, rx->slot_count * sizeof *rx->slots);
    ki_free(loop, rx->headers, rx->slot_count * sizeof *rx->headers);
}

kirim_err ki_posix_rx_want_control(struct ki_posix *r)
{
    struct ki_posix_rx *rx = &r->rx;
    struct kirim_loop *loop = r->reactor.loop;
    if (rx->controls != NULL) {
        return KIRIM_OK;
    }
    struct mmsghdr *headers = ki_alloc(loop, rx->slot_count * sizeof *headers);
    if (headers == NULL) {
        return KIRIM_ENOMEM;
    }
    struct ki_posix_control_in *controls = ki_alloc(loop, rx->slot_count * sizeof *controls);
    if (controls == NULL) {
        ki_free(loop, headers, rx->slot_count * sizeof *headers);
        return KIRIM_ENOMEM;
    }
    for (uint32_t i = 0; i < rx->slot_count; i++) {
        preset_header(&rx->slots[i], &headers[i].msg_hdr);
        headers[i].msg_hdr.msg_control = controls[i].words;
        headers[i].msg_hdr.msg_controllen = sizeof controls[i].words;
    }
    rx->control_headers = headers;
    rx->controls = controls;
    return KIRIM_OK;
}

/* ---- receive --------------------------------------------------------------------------------- */

/* Moves MSG_TRUNC to the highest bit, which a difference of lengths has only if it is below 0. */
#define TRUNC_TO_TOP ((UINT64_C(1) << 63) / MSG_TRUNC)

/* Flags what was cut: by its slot, or here, as it is longer than the endpoint expects. */
static KI_COLD void mark_cut(const struct ki_posix_port *p, uint32_t first, uint32_t n,
                             struct kirim_datagram *d)
{
    const uint64_t bytes_max = p->port.datagram_bytes_max;
    for (uint32_t i = 0; i < n; i++) {
        const bool is_cut = (p->rx_headers[first + i].msg_hdr.msg_flags & MSG_TRUNC) != 0;
        if (is_cut || d[i].bytes > bytes_max) {
            d[i].bytes = d[i].bytes < bytes_max ? d[i].bytes : (uint32_t)bytes_max;
            d[i].flags |= KIRIM_RX_TRUNCATED;
        }
    }
}

/* Bytes, segment size, ECN and flags of a datagram are one word: written in one piece. */
_Static_assert(offsetof(struct kirim_datagram, bytes) % sizeof(uint64_t) == 0 &&
                   offsetof(struct kirim_datagram, peer) ==
                       offsetof(struct kirim_datagram, bytes) + sizeof(uint64_t),
               "four fields fill the word");

/* Describes the `n` arrivals in the slots from `first`, and makes their headers ready again. Linux
 * names the sender of each. */
static inline void take_batch(const struct ki_posix *r, const struct ki_posix_port *p,
                              uint32_t first, uint32_t n, struct kirim_datagram *d)
{
    struct mmsghdr *header = p->rx_headers + first;
    const struct ki_posix_slot *slot = r->rx.slots + first;
    const uint64_t bytes_max = p->port.datagram_bytes_max;
    uint64_t odd = 0;
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t bytes = header[i].msg_len;
        const uint64_t word = ki_word_of(bytes, 0);
        odd |= (bytes_max - bytes) | (unsigned)header[i].msg_hdr.msg_flags * TRUNC_TO_TOP;
        header[i].msg_hdr.msg_namelen = sizeof slot[i].name.ipv6;
        d[i].data = slot[i].iov.iov_base;
        memcpy(&d[i].bytes, &word, sizeof word);
        ki_name_read(&slot[i].name, &d[i].peer);
        d[i].arrival = NULL;
    }
    if (odd >> 63 != 0) {
        mark_cut(p, first, n, d);
    }
}

/* Adds what the control data of a described batch says, and makes its headers ready again. */
static KI_NOINLINE void take_control(struct ki_posix *r, const struct ki_posix_port *p,
                                     uint32_t first, uint32_t n, struct kirim_datagram *d)
{
    for (uint32_t i = 0; i < n; i++) {
        struct msghdr *header = &p->rx_headers[first + i].msg_hdr;
        struct ki_posix_control_in *control = &r->rx.controls[first + i];
        ki_control_read(header, &p->port.local, &control->arrival, &d[i]);
        header->msg_controllen = sizeof control->words;
    }
}

/* An error of the system is an event about the peer of a connected port; nobody else is concerned.
 */
static KI_COLD void note_error(struct ki_posix_port *p, int sys_err)
{
    if (sys_err == EAGAIN || sys_err == EWOULDBLOCK) {
        return;
    }
    p->port.rx_flags = KI_RX_ERROR;
    p->port.rx_error.peer = p->port.remote;
    p->port.rx_error.err = ki_posix_map(sys_err);
    p->port.rx_error.sys_err = sys_err;
    p->port.rx_error.path_mtu = 0;
}

/* One datagram into one slot: 1, or -1 and errno. */
static inline int receive_one(const struct ki_posix *r, struct ki_posix_port *p,
                              struct mmsghdr *header)
{
    ssize_t bytes;
    do {
        p->port.rx_calls++;
        bytes = r->sys->recvmsg((int)p->port.descriptor, &header->msg_hdr, RECEIVE_FLAGS);
    } while (bytes < 0 && errno == EINTR);
    header->msg_len = (unsigned)bytes;
    return bytes < 0 ? -1 : 1;
}

/* Up to `max` datagrams: how many, or -1 and errno.
 *
 * Where datagrams come one by one, recvmsg is a fifth cheaper than recvmmsg, which tries a second
 * time inside. So after a batch of one, 1, 2, 4 and then 8 receives of one come before the next
 * batch: a port with bursts pays for at most every other turn, and one without them hardly ever for
 * a batch. */
static inline int receive_batch(const struct ki_posix *r, struct ki_posix_port *p,
                                struct mmsghdr *headers, uint32_t max)
{
    if (max == 1) {
        return receive_one(r, p, headers);
    }
    int n;
    do {
        p->port.rx_calls++;
        n = r->sys->recvmmsg((int)p->port.descriptor, headers, max, RECEIVE_FLAGS, NULL);
    } while (n < 0 && errno == EINTR);
    if (n == 1) {
        const uint64_t run = p->singles_run * 2;
        p->singles_run = run == 0 ? 1 : run < SINGLES_MAX ? run : SINGLES_MAX;
        p->singles_left = p->singles_run;
    } else if (n > 1) {
        p->singles_run = 0;
    }
    return n;
}

/* The receive of one that follows a batch of one. What there may be behind it is told by the next
 * wait. */
static KI_NOINLINE uint32_t receive_single(struct ki_posix *r, struct ki_posix_port *p,
                                           struct kirim_datagram *d)
{
    const uint32_t slot = r->rx.slot_next;
    p->singles_left--;
    p->port.rx_flags = 0;
    if (receive_one(r, p, &p->rx_headers[slot]) < 0) {
        note_error(p, errno);
        return 0;
    }
    r->rx.slot_next = slot + 1;
    take_batch(r, p, slot, 1, d);
    if (p->has_control != 0) {
        take_control(r, p, slot, 1, d);
    }
    return 1;
}

uint32_t ki_posix_receive(struct ki_reactor *reactor, struct ki_port *port,
                          struct kirim_datagram *d, uint32_t max)
{
    struct ki_posix *r = (struct ki_posix *)reactor;
    struct ki_posix_port *p = (struct ki_posix_port *)port;
    const uint32_t first = r->rx.slot_next;
    const uint32_t room = r->rx.slot_count - first;
    if (room < SLOT_COUNT_LOW && room < max) {
        port->rx_flags = KI_RX_MORE | KI_RX_STARVED;
        return 0;
    }
    if (p->singles_left != 0) {
        return receive_single(r, p, d);
    }
    const uint32_t fitting = max < room ? max : room;
    const uint32_t asked = r->has_batches != 0 ? fitting : 1;
    const int n = receive_batch(r, p, &p->rx_headers[first], asked);
    port->rx_flags = 0;
    if (n <= 0) {
        note_error(p, n < 0 ? errno : EAGAIN);
        return 0;
    }
    uint32_t count = (uint32_t)n;
    if (count >= asked) {
        count = asked;
        const bool is_low = room - count < SLOT_COUNT_LOW;
        port->rx_flags = is_low ? KI_RX_MORE | KI_RX_STARVED : KI_RX_MORE;
    }
    r->rx.slot_next = first + count;
    take_batch(r, p, first, count, d);
    if (p->has_control != 0) {
        take_control(r, p, first, count, d);
    }
    return count;
}

/* ---- submit ---------------------------------------------------------------------------------- */

static void preset_tx(struct ki_posix_tx *tx, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        tx->headers[i].msg_hdr.msg_iov = &tx->iovs[i];
        tx->headers[i].msg_hdr.msg_iovlen = 1;
        tx->headers[i].msg_hdr.msg_control = NULL;
        tx->headers[i].msg_hdr.msg_controllen = 0;
    }
}

void ki_posix_tx_init(struct ki_posix *r)
{
    preset_tx(&r->tx, KI_BATCH_MAX);
}

/* Adds what makes an entry other than one buffer without control data. The level of control data
 * follows the destination. */
static KI_NOINLINE void encode_odd(struct ki_posix_tx *tx, uint32_t i, const struct ki_entry *e,
                                   const struct ki_posix_port *p)
{
    struct msghdr *header = &tx->headers[i].msg_hdr;
    if (e->buf_count != 1) {
        header->msg_iov = e->data;
        header->msg_iovlen = e->buf_count;
    }
    if (e->control != NULL) {
        const int family = kirim_addr_family(&e->peer);
        const size_t bytes = ki_control_write(
            &tx->controls[i], e->control,
            family != KIRIM_FAMILY_NONE ? family : kirim_addr_family(&p->port.remote));
        /* No control data is NULL with length 0, whatever lies in the buffer (L15). */
        header->msg_control = bytes != 0 ? &tx->controls[i] : NULL;
        header->msg_controllen = bytes;
    }
}

/* Writes header `i` for one entry. Returns 0 if it keeps its preset form and its call's usual
 * flags. */
static inline uint64_t encode_entry(struct ki_posix_tx *tx, uint32_t i, const struct ki_entry *e,
                                    const struct ki_posix_port *p, int plain_family)
{
    struct msghdr *header = &tx->headers[i].msg_hdr;
    union ki_posix_name *name = &tx->names[i];
    const uint64_t tail = e->peer.word[2];
    tx->iovs[i].iov_base = e->data;
    tx->iovs[i].iov_len = e->bytes;
    if (tail >> 48 == (unsigned)plain_family) {
        name->word[0] =
            ki_name_head(AF_INET, (uint16_t)(tail >> 32), ki_word_first(e->peer.word[0]));
        name->word[1] = 0;
        header->msg_name = name;
        header->msg_namelen = sizeof name->ipv4;
    } else {
        header->msg_namelen = ki_name_write(name, &e->peer, p->is_ipv6 != 0);
        header->msg_name = header->msg_namelen != 0 ? name : NULL;
    }
    const uint64_t odd = (e->buf_count ^ 1U) | (uintptr_t)e->control | (e->status & KI_DONTROUTE);
    if (odd != 0) {
        encode_odd(tx, i, e, p);
    }
    return odd;
}

/* One call for `count` headers: how many have left, or -1 and errno. */
static inline int submit_some(const struct ki_posix *r, struct ki_posix_port *p,
                              struct mmsghdr *headers, uint32_t count, int flags)
{
    const int fd = (int)p->port.descriptor;
    p->port.tx_calls++;
    if (count == 1 || r->has_batches == 0) {
        return r->sys->sendmsg(fd, &headers->msg_hdr, flags) < 0 ? -1 : 1;
    }
    return r->sys->sendmmsg(fd, headers, count, flags);
}

/* Says why an entry was refused. When the system is full the reactor must be able to tell when it
 * no longer is; if it cannot, waiting would be for ever, and the honest answer is "no buffers". */
static KI_COLD void note_refusal(struct ki_posix *r, struct ki_posix_port *p, int sys_err,
                                 struct ki_refusal *why)
{
    why->err = ki_posix_map(sys_err);
    why->sys_err = sys_err;
    why->entries = 1;
    if (why->err == KIRIM_EWOULDBLOCK) {
        p->is_blocked = 1;
        if (r->want_writable(r, p) < 0) {
            p->is_blocked = 0;
            why->err = KIRIM_ENOBUFS;
        }
    }
}

/* Goes on from the answer `n` to headers next .. end-1, until one is refused. Returns the index of
 * that one, or `end`. */
static KI_NOINLINE uint32_t submit_rest(struct ki_posix *r, struct ki_posix_port *p, uint32_t next,
                                        uint32_t end, int flags, int n, struct ki_refusal *why)
{
    for (;;) {
        if (n > 0) {
            next += (uint32_t)n < end - next ? (uint32_t)n : end - next;
        } else if (n == 0 || errno != EINTR) {
            /* 0 of more than none is no answer; if it were, asking again might never end. */
            note_refusal(r, p, n == 0 ? EAGAIN : errno, why);
            return next;
        }
        if (next == end) {
            return end;
        }
        n = submit_some(r, p, &r->tx.headers[next], end - next, flags);
    }
}

/* Submits headers next .. end-1. Returns the index of the one that was refused, or `end`. */
static inline uint32_t submit_run(struct ki_posix *r, struct ki_posix_port *p, uint32_t next,
                                  uint32_t end, int flags, struct ki_refusal *why)
{
    const int n = submit_some(r, p, &r->tx.headers[next], end - next, flags);
    return n == (int)(end - next) ? end : submit_rest(r, p, next, end, flags, n, why);
}

/* Entries that must not be routed go in calls of their own, as the flag holds for a whole call. */
static KI_NOINLINE uint32_t submit_mixed(struct ki_posix *r, struct ki_posix_port *p,
                                         const struct ki_entry *e, uint32_t n,
                                         struct ki_refusal *why)
{
    uint32_t first = 0;
    while (first < n) {
        const uint32_t direct = e[first].status & KI_DONTROUTE;
        uint32_t end = first + 1;
        while (end < n && (e[end].status & KI_DONTROUTE) == direct) {
            end++;
        }
        const int flags = direct != 0 ? SEND_FLAGS | MSG_DONTROUTE : SEND_FLAGS;
        const uint32_t next = submit_run(r, p, first, end, flags, why);
        if (next < end) {
            return next;
        }
        first = end;
    }
    return n;
}

/* The family whose addresses are written in a straight line: of an IPv6 socket, none. */
static inline int plain_family_of(const struct ki_posix_port *p)
{
    return p->is_ipv6 != 0 ? KIRIM_FAMILY_NONE - 1 : KIRIM_IPV4;
}

static KI_NOINLINE uint32_t submit_many(struct ki_posix *r, struct ki_posix_port *p,
                                        const struct ki_entry *e, uint32_t n,
                                        struct ki_refusal *why)
{
    const int plain_family = plain_family_of(p);
    uint64_t odd = 0;
    for (uint32_t i = 0; i < n; i++) {
        odd |= encode_entry(&r->tx, i, &e[i], p, plain_family);
    }
    if (odd == 0) {
        return submit_run(r, p, 0, n, SEND_FLAGS, why);
    }
    const uint32_t taken = submit_mixed(r, p, e, n, why);
    preset_tx(&r->tx, n);
    return taken;
}

uint32_t ki_posix_submit(struct ki_reactor *reactor, struct ki_port *port, struct ki_entry *e,
                         uint32_t n, struct ki_refusal *why)
{
    struct ki_posix *r = (struct ki_posix *)reactor;
    struct ki_posix_port *p = (struct ki_posix_port *)port;
    if (n != 1) {
        return submit_many(r, p, e, n, why);
    }
    if (encode_entry(&r->tx, 0, e, p, plain_family_of(p)) == 0) {
        return submit_run(r, p, 0, 1, SEND_FLAGS, why);
    }
    const uint32_t taken = submit_mixed(r, p, e, 1, why);
    preset_tx(&r->tx, 1);
    return taken;
}
