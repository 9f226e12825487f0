/* SPDX-License-Identifier: MIT
 *
 * Receiving for the POSIX reactors; see posix_rx.h.
 *
 * Keeps true:
 * - A batch that did not fill is the end: no call is spent on seeing EAGAIN. Readiness is
 * level-triggered, so what came meanwhile is told by the next wait.
 * - Between two calls every header has its preset form (preset_rx()).
 * - A train that arrived coalesced is cut into views of its slot. What does not fit the batch is
 * the port's rest: its slots keep their bytes until the core has asked for them, however long that
 * is. Owns the receive slots. Loop thread. Sources: see posix_rx.h.
 */
#include "posix_rx.h"

#include "posix.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

enum {
    CACHE_LINE_BYTES = 64,
    DATAGRAM_BYTES_DEFAULT = 65535,
    SLOT_COUNT_DEFAULT = 128,
    SLOT_COUNT_LOW = 32,      /* fewer free ones are no batch worth a call */
    SINGLES_MAX = 8,          /* most receives of one in a row */
    DATAGRAMS_PER_TURN = 256, /* about what the core takes of one port in a turn */
    RECEIVE_FLAGS = MSG_DONTWAIT
};

/* ---- receive slots --------------------------------------------------------------------------- */

/* An odd number of cache lines, so that the first lines of all slots are spread over the whole
 * cache. */
static size_t stride_of(uint32_t slot_bytes)
{
    const size_t lines = ((size_t)slot_bytes + CACHE_LINE_BYTES - 1) / CACHE_LINE_BYTES;
    return (lines | 1) * CACHE_LINE_BYTES;
}

static void preset_rx(struct ki_posix_rx *rx)
{
    for (uint32_t i = 0; i < rx->slot_count; i++) {
        struct ki_posix_slot *slot = &rx->slots[i];
        struct msghdr *header = &rx->headers[i].msg_hdr;
        slot->iov.iov_base = rx->data + i * rx->slot_stride;
        slot->iov.iov_len = rx->slot_bytes;
        header->msg_name = &slot->name;
        header->msg_namelen = sizeof slot->name.ipv6;
        header->msg_iov = &slot->iov;
        header->msg_iovlen = 1;
        header->msg_control = rx->controls[i].words;
        header->msg_controllen = sizeof rx->controls[i].words;
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
    rx->last = &rx->first;
    rx->headers = ki_alloc(loop, rx->slot_count * sizeof *rx->headers);
    if (rx->headers == NULL) {
        return KIRIM_ENOMEM;
    }
    rx->slots = ki_alloc(loop, rx->slot_count * sizeof *rx->slots);
    if (rx->slots == NULL) {
        goto fail_headers;
    }
    rx->controls = ki_alloc(loop, rx->slot_count * sizeof *rx->controls);
    if (rx->controls == NULL) {
        goto fail_slots;
    }
    /* Not zeroed: 8 MiB that nobody has touched cost addresses, not memory. */
    rx->block_bytes = rx->slot_count * rx->slot_stride + CACHE_LINE_BYTES;
    rx->block = kirim_loop_alloc(loop, NULL, 0, rx->block_bytes);
    if (rx->block == NULL) {
        goto fail_controls;
    }
    rx->data = (uint8_t *)rx->block + (-(uintptr_t)rx->block & (CACHE_LINE_BYTES - 1));
    preset_rx(rx);
    return KIRIM_OK;
fail_controls:
    ki_free(loop, rx->controls, rx->slot_count * sizeof *rx->controls);
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
    (void)kirim_loop_alloc(loop, rx->block, rx->block_bytes, 0);
    ki_free(loop, rx->controls, rx->slot_count * sizeof *rx->controls);
    ki_free(loop, rx->slots, rx->slot_count * sizeof *rx->slots);
    ki_free(loop, rx->headers, rx->slot_count * sizeof *rx->headers);
}

/* ---- rests ----------------------------------------------------------------------------------- */

/* Moves what slot `from` holds to slot `to`, which holds nothing; their bytes change places. */
static void move_slot(struct ki_posix_rx *rx, uint32_t to, uint32_t from)
{
    void *bytes = rx->slots[to].iov.iov_base;
    rx->slots[to] = rx->slots[from];
    rx->slots[from].iov.iov_base = bytes;
    rx->controls[to].arrival = rx->controls[from].arrival;
}

void ki_posix_rx_take_back(struct ki_posix *r)
{
    struct ki_posix_rx *rx = &r->rx;
    uint32_t to = 0;
    for (struct ki_posix_rest *rest = rx->first; rest != NULL; rest = rest->next) {
        const uint32_t from = rest->slot;
        rest->slot = to;
        for (uint32_t i = 0; i < rest->count; i++) {
            if (to != from + i) {
                move_slot(rx, to, from + i);
            }
            to++;
        }
    }
    rx->slot_next = to;
}

static void unlink_rest(struct ki_posix_rx *rx, struct ki_posix_rest *rest)
{
    struct ki_posix_rest **at = &rx->first;
    while (*at != rest) {
        at = &(*at)->next;
    }
    *at = rest->next;
    if (rest->next == NULL) {
        rx->last = at;
    }
}

void ki_posix_rx_forget(struct ki_posix *r, struct ki_posix_port *p)
{
    if (p->rest.count != 0) {
        p->rest.count = 0;
        unlink_rest(&r->rx, &p->rest);
    }
}

/* Cuts views that are longer than the endpoint expects. */
static KI_COLD void cut_views(struct kirim_datagram *d, uint32_t count, uint64_t bytes_max)
{
    for (uint32_t i = 0; i < count; i++) {
        if (d[i].bytes > bytes_max) {
            d[i].bytes = (uint32_t)bytes_max;
            d[i].flags |= KIRIM_RX_TRUNCATED;
        }
    }
}

/* Describes datagrams of a train from p->rest.offset on, at most `max`; the whole train if the port
 * wants that. Returns how many. */
static uint32_t view_train(struct ki_posix_port *p, const struct ki_posix_slot *slot,
                           const struct kirim_datagram *like, struct kirim_datagram *d,
                           uint32_t max)
{
    const uint32_t segment = slot->segment_bytes;
    const uint64_t bytes_max = p->port.datagram_bytes_max;
    uint32_t offset = p->rest.offset;
    if (p->port.wants_whole != 0 && segment <= bytes_max) {
        *d = *like;
        d->bytes = slot->bytes;
        d->segment_bytes = (uint16_t)segment;
        p->rest.offset = slot->bytes;
        return 1;
    }
    const uint32_t left = slot->bytes - offset;
    const uint32_t wanted = (left + segment - 1) / segment;
    const uint32_t count = wanted < max ? wanted : max;
    struct kirim_datagram view = *like;
    uint64_t word;
    view.bytes = segment;
    memcpy(&word, &view.bytes, sizeof word);
    uint8_t *at = like->data + offset;
    for (uint32_t i = 0; i < count; i++) {
        d[i].data = at;
        memcpy(&d[i].bytes, &word, sizeof word);
        d[i].peer = view.peer;
        d[i].arrival = view.arrival;
        at += segment;
    }
    offset += count * segment;
    if (offset > slot->bytes) { /* the last one is shorter */
        d[count - 1].bytes = slot->bytes - (offset - segment);
    }
    if (segment > bytes_max) {
        cut_views(d, count, bytes_max);
    }
    if (p->rest.offset == 0) {
        d->flags |= KIRIM_RX_TRAIN_HEAD;
    }
    p->rest.offset = offset;
    return count;
}

/* Describes at most `max` datagrams of a port's rest. */
static KI_NOINLINE uint32_t hand_over_rest(struct ki_posix *r, struct ki_posix_port *p,
                                           struct kirim_datagram *d, uint32_t max)
{
    struct ki_posix_rx *rx = &r->rx;
    struct ki_posix_rest *rest = &p->rest;
    uint32_t count = 0;
    while (count < max && rest->count != 0) {
        const struct ki_posix_slot *slot = &rx->slots[rest->slot];
        struct kirim_datagram like = {
            .data = slot->iov.iov_base,
            .bytes = slot->bytes,
            .ecn = slot->ecn,
            .flags = slot->flags,
            .arrival = p->has_control != 0 ? &rx->controls[rest->slot].arrival : NULL,
        };
        ki_name_read(&slot->name, &like.peer);
        if (slot->segment_bytes != 0) {
            count += view_train(p, slot, &like, &d[count], max - count);
        } else {
            d[count] = like;
            count++;
        }
        if (slot->segment_bytes == 0 || rest->offset >= slot->bytes) {
            rest->offset = 0;
            rest->slot++;
            rest->count--;
        }
    }
    p->port.rx_flags = KI_RX_MORE;
    if (rest->count == 0) {
        p->port.rx_flags = rest->flags;
        unlink_rest(rx, rest);
    }
    return count;
}

/* Makes `n` slots, of which some hold trains, the port's rest. `d` describes them as if they did
 * not. */
static void keep_rest(struct ki_posix *r, struct ki_posix_port *p, uint32_t first, uint32_t n,
                      const struct kirim_datagram *d)
{
    struct ki_posix_rx *rx = &r->rx;
    uint64_t datagrams = n; /* at least one in each */
    for (uint32_t i = 0; i < n; i++) {
        struct ki_posix_slot *slot = &rx->slots[first + i];
        const uint32_t segment = slot->segment_bytes;
        slot->ecn = d[i].ecn;
        slot->flags = d[i].flags;
        slot->bytes = d[i].bytes;
        if (segment != 0) {
            slot->bytes = rx->headers[first + i].msg_len;
            slot->flags &= (uint8_t)~KIRIM_RX_TRUNCATED;
            p->port.rx_trains++;
        }
        datagrams += segment != 0 ? (slot->bytes - 1) / segment : 0;
    }
    const uint64_t fitting = (uint64_t)DATAGRAMS_PER_TURN * n / datagrams;
    p->rx_wanted = fitting > 1 ? fitting : 1;
    p->rest =
        (struct ki_posix_rest){ .slot = first, .count = n, .flags = (uint32_t)p->port.rx_flags };
    *rx->last = &p->rest;
    rx->last = &p->rest.next;
}

/* ---- receive --------------------------------------------------------------------------------- */

/* Moves MSG_TRUNC to the highest bit, which a difference of lengths has only if it is below 0. */
#define TRUNC_TO_TOP ((UINT64_C(1) << 63) / MSG_TRUNC)

/* Flags what was cut: by its slot, or here, as it is longer than the endpoint expects. */
static KI_COLD void mark_cut(const struct ki_posix *r, const struct ki_posix_port *p,
                             uint32_t first, uint32_t n, struct kirim_datagram *d)
{
    const uint64_t bytes_max = p->port.datagram_bytes_max;
    for (uint32_t i = 0; i < n; i++) {
        const bool is_cut = (r->rx.headers[first + i].msg_hdr.msg_flags & MSG_TRUNC) != 0;
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
 * names the sender of each. Returns 0 if none came with control data. */
static inline uint64_t take_batch(const struct ki_posix *r, const struct ki_posix_port *p,
                                  uint32_t first, uint32_t n, struct kirim_datagram *d)
{
    struct mmsghdr *header = r->rx.headers + first;
    struct ki_posix_slot *slot = r->rx.slots + first;
    const uint64_t bytes_max = p->port.datagram_bytes_max;
    uint64_t odd = 0;
    uint64_t control_bytes = 0;
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t bytes = header[i].msg_len;
        const uint64_t word = ki_word_of(bytes, 0);
        odd |= (bytes_max - bytes) | (unsigned)header[i].msg_hdr.msg_flags * TRUNC_TO_TOP;
        control_bytes |= header[i].msg_hdr.msg_controllen;
        slot[i].control_bytes = header[i].msg_hdr.msg_controllen;
        header[i].msg_hdr.msg_controllen = KI_CONTROL_RX_BYTES;
        header[i].msg_hdr.msg_namelen = sizeof slot[i].name.ipv6;
        d[i].data = slot[i].iov.iov_base;
        memcpy(&d[i].bytes, &word, sizeof word);
        ki_name_read(&slot[i].name, &d[i].peer);
        d[i].arrival = NULL;
    }
    if (odd >> 63 != 0) {
        mark_cut(r, p, first, n, d);
    }
    return control_bytes;
}

/* Adds what the control data of a described batch says. */
static KI_NOINLINE uint32_t take_control(struct ki_posix *r, struct ki_posix_port *p,
                                         uint32_t first, uint32_t n, struct kirim_datagram *d,
                                         uint32_t max)
{
    uint64_t has_train = 0;
    struct ki_control_clock clock = { .sys = r->sys, .turn_ns = r->reactor.turn_ns };
    for (uint32_t i = 0; i < n; i++) {
        struct ki_posix_slot *slot = &r->rx.slots[first + i];
        struct ki_posix_control_in *control = &r->rx.controls[first + i];
        const struct msghdr header = {
            .msg_control = control->words,
            .msg_controllen = slot->control_bytes,
        };
        slot->segment_bytes = 0;
        if (p->has_control != 0) {
            ki_control_read(&header, &p->port.local, &clock, &control->arrival, &d[i]);
        }
        if (p->is_coalescing != 0 && slot->control_bytes != 0) {
            const uint32_t segment = ki_control_segment(&header);
            slot->segment_bytes = segment < r->rx.headers[first + i].msg_len ? segment : 0;
            has_train |= slot->segment_bytes;
        }
    }
    if (has_train == 0) {
        return n;
    }
    keep_rest(r, p, first, n, d);
    return hand_over_rest(r, p, d, max);
}

/* Hands over the `n` slots from `first`, as far as they fit. */
static inline uint32_t hand_over(struct ki_posix *r, struct ki_posix_port *p, uint32_t first,
                                 uint32_t n, struct kirim_datagram *d, uint32_t max)
{
    r->rx.slot_next = first + n;
    if ((take_batch(r, p, first, n, d) | p->has_control) != 0) {
        return take_control(r, p, first, n, d, max);
    }
    return n;
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

/* Adds a report of the error queue to what has arrived, if there is any. */
static inline uint32_t tell_error(struct ki_posix *r, struct ki_posix_port *p, uint32_t count)
{
    if ((p->errors.count | p->errors.is_known) != 0) {
        ki_posix_error_tell(r, p);
    }
    return count;
}

/* The receive of one that follows a batch of one. What there may be behind it is told by the next
 * wait. */
static KI_NOINLINE uint32_t receive_single(struct ki_posix *r, struct ki_posix_port *p,
                                           struct kirim_datagram *d, uint32_t max)
{
    const uint32_t slot = r->rx.slot_next;
    p->singles_left--;
    p->port.rx_flags = 0;
    if (receive_one(r, p, &r->rx.headers[slot]) < 0 &&
        (!ki_posix_error_note(p, errno) || receive_one(r, p, &r->rx.headers[slot]) < 0)) {
        return tell_error(r, p, 0);
    }
    return tell_error(r, p, hand_over(r, p, slot, 1, d, max));
}

/* How many slots the next batch may fill. */
static inline uint32_t slots_wanted(const struct ki_posix *r, struct ki_posix_port *p, uint32_t max,
                                    uint32_t room)
{
    uint32_t fitting = max < room ? max : room;
    if (p->rx_wanted != 0) {
        fitting = p->rx_wanted < fitting ? (uint32_t)p->rx_wanted : fitting;
        /* Twice as many the next time, unless this batch has trains again. */
        p->rx_wanted = p->rx_wanted < KI_BATCH_MAX ? p->rx_wanted * 2 : 0;
    }
    return r->has_batches != 0 ? fitting : 1;
}

static KI_NOINLINE uint32_t receive_some(struct ki_posix *r, struct ki_posix_port *p,
                                         struct kirim_datagram *d, uint32_t max)
{
    struct ki_port *port = &p->port;
    const uint32_t first = r->rx.slot_next;
    const uint32_t room = r->rx.slot_count - first;
    if (p->rest.count != 0) {
        return hand_over_rest(r, p, d, max);
    }
    if (room < SLOT_COUNT_LOW && room < max) {
        port->rx_flags = KI_RX_MORE | KI_RX_STARVED;
        return 0;
    }
    const uint32_t asked = slots_wanted(r, p, max, room);
    int n = receive_batch(r, p, &r->rx.headers[first], asked);
    if (n < 0 && ki_posix_error_note(p, errno)) {
        /* What arrived has nothing to do with the error, and does not wait for its like. */
        n = receive_batch(r, p, &r->rx.headers[first], asked);
    }
    port->rx_flags = 0;
    if (n <= 0) {
        return 0;
    }
    uint32_t count = (uint32_t)n;
    if (count >= asked) {
        count = asked;
        const bool is_low = room - count < SLOT_COUNT_LOW;
        port->rx_flags = is_low ? KI_RX_MORE | KI_RX_STARVED : KI_RX_MORE;
    }
    return hand_over(r, p, first, count, d, max);
}

uint32_t ki_posix_receive(struct ki_reactor *reactor, struct ki_port *port,
                          struct kirim_datagram *d, uint32_t max)
{
    struct ki_posix *r = (struct ki_posix *)reactor;
    struct ki_posix_port *p = (struct ki_posix_port *)port;
    if (p->singles_left != 0 && p->rest.count == 0 &&
        r->rx.slot_count - r->rx.slot_next >= SLOT_COUNT_LOW) {
        return receive_single(r, p, d, max);
    }
    return tell_error(r, p, receive_some(r, p, d, max));
}
