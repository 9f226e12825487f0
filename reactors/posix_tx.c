/* SPDX-License-Identifier: MIT
 *
 * Submitting for the POSIX reactors; see posix_tx.h.
 *
 * Keeps true:
 * - Between two calls every header has its preset form (preset_tx()).
 * - What a call refuses is known only when it refuses the first of its datagrams: after a partial
 * result the rest is submitted again, and that answer counts (sendmmsg(2), "Bugs"). Loop thread.
 * Sources: see posix_tx.h.
 */
#include "posix_tx.h"

#include "posix.h"
#include "posix_map.h"
#include "posix_mtu.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

_Static_assert(sizeof(struct kirim_buf) == sizeof(struct iovec) &&
                   offsetof(struct kirim_buf, data) == offsetof(struct iovec, iov_base) &&
                   offsetof(struct kirim_buf, bytes) == offsetof(struct iovec, iov_len),
               "a gather list is handed to the system as it is");

enum { SEND_FLAGS = MSG_DONTWAIT | MSG_NOSIGNAL };

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

/* ---- encoding -------------------------------------------------------------------------------- */

/* Has the system cut what header `i` sends; never said of a single segment (L7). */
static void set_segment(struct ki_posix_tx *tx, uint32_t i, uint32_t segment_bytes)
{
    struct msghdr *header = &tx->headers[i].msg_hdr;
    header->msg_controllen =
        ki_control_add_segment(&tx->controls[i], header->msg_controllen, (uint16_t)segment_bytes);
    header->msg_control = &tx->controls[i];
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
    if (e->segment_bytes != 0 && e->bytes > e->segment_bytes) {
        set_segment(tx, i, e->segment_bytes);
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
    const uint64_t odd =
        (e->buf_count ^ 1U) | (uintptr_t)e->control | (e->status & KI_DONTROUTE) | e->segment_bytes;
    if (odd != 0) {
        encode_odd(tx, i, e, p);
    }
    return odd;
}

/* The family whose addresses are written in a straight line: of an IPv6 socket, none. */
static inline int plain_family_of(const struct ki_posix_port *p)
{
    return p->is_ipv6 != 0 ? KIRIM_FAMILY_NONE - 1 : KIRIM_IPV4;
}

/* Whether an entry follows another one to the same peer, so that it is worth to look for a train.
 */
static inline bool is_followed(const struct ki_entry *e)
{
    return e[0].peer.word[2] == e[1].peer.word[2] && e[0].peer.word[0] == e[1].peer.word[0];
}

/* Notes that each of the first `count` headers has one entry. */
static void note_singles(struct ki_posix_tx *tx, uint32_t count)
{
    for (uint32_t i = 0; i <= count; i++) {
        tx->first[i] = i;
    }
}

/* Appends the list of an entry with several buffers, or none, to those of a train. */
static KI_NOINLINE struct iovec *gather_list(struct iovec *iov, const struct ki_entry *e)
{
    if (e->buf_count == 1) {
        *iov = (struct iovec){ e->data, e->bytes };
    } else {
        memcpy(iov, e->data, e->buf_count * sizeof *iov);
    }
    return iov + e->buf_count;
}

/* Has header `i`, written for e[0], send a train that begins with it, of at most `n` entries.
 * Buffers that lie behind each other become one. Returns how many entries it has become; 1: it
 * stays what it is. */
static KI_NOINLINE uint32_t encode_train(struct ki_posix_tx *tx, uint32_t i,
                                         const struct ki_entry *e, uint32_t n,
                                         uint64_t segments_max)
{
    const uint32_t most = ki_train_max(e, segments_max);
    const uint32_t limit = most < n ? most : n;
    const uint32_t left = KI_TX_GATHER_MAX - tx->gather_count;
    const uint32_t room = left < KI_TX_TRAIN_BUFS_MAX ? left : (uint32_t)KI_TX_TRAIN_BUFS_MAX;
    struct iovec *const first = &tx->gather[tx->gather_count];
    struct iovec *const end = first + room;
    if (limit < 2 || e->buf_count > room) {
        return 1;
    }
    struct iovec *iov = gather_list(first, e);
    uintptr_t behind = (uintptr_t)iov[-1].iov_base + iov[-1].iov_len;
    uint32_t length = 1;
    bool is_last = false;
    while (length < limit && !is_last && ki_train_joins(e, &e[length])) {
        const struct ki_entry *next = &e[length];
        if (next->buf_count == 1 && (uintptr_t)next->data == behind) {
            behind += next->bytes;
        } else {
            if (next->buf_count > end - iov) {
                break;
            }
            iov[-1].iov_len = behind - (uintptr_t)iov[-1].iov_base;
            iov = gather_list(iov, next);
            behind = (uintptr_t)iov[-1].iov_base + iov[-1].iov_len;
        }
        is_last = next->bytes < e->bytes;
        length++;
    }
    iov[-1].iov_len = behind - (uintptr_t)iov[-1].iov_base;
    if (length > 1) {
        struct msghdr *header = &tx->headers[i].msg_hdr;
        header->msg_iov = first;
        header->msg_iovlen = (size_t)(iov - first);
        tx->gather_count += (uint32_t)(iov - first);
        set_segment(tx, i, e->bytes);
    }
    return length;
}

/* Writes a header for each of the `n` entries, up to the first that may begin a train. Returns how
 * many. */
static inline uint32_t encode_singles(struct ki_posix_tx *tx, const struct ki_entry *e, uint32_t n,
                                      const struct ki_posix_port *p, uint64_t *odd)
{
    const int plain_family = plain_family_of(p);
    /* The last one has none behind it; without trains nobody is looked at. */
    const uint32_t looking = p->port.tx_segments_max > 1 ? n - 1 : 0;
    uint64_t any = 0;
    uint32_t i = 0;
    for (; i < looking; i++) {
        if (is_followed(&e[i])) {
            *odd = any;
            return i;
        }
        any |= encode_entry(tx, i, &e[i], p, plain_family);
    }
    for (; i < n; i++) {
        any |= encode_entry(tx, i, &e[i], p, plain_family);
    }
    *odd = any;
    return i;
}

/* Goes on from header `i`, that has one entry before it for each header: writes headers for the
 * entries up to e[n-1], as far as the arrays go, and notes their first entries. Returns how many
 * headers there are. */
static KI_NOINLINE uint32_t encode_trains(struct ki_posix_tx *tx, uint32_t i,
                                          const struct ki_entry *e, uint32_t n,
                                          const struct ki_posix_port *p, uint64_t *odd)
{
    const int plain_family = plain_family_of(p);
    const uint64_t segments_max = p->port.tx_segments_max;
    uint32_t at = i;
    tx->gather_count = 0;
    note_singles(tx, i);
    while (i < KI_BATCH_MAX && at < n) {
        uint64_t is_odd = encode_entry(tx, i, &e[at], p, plain_family);
        uint32_t length = 1;
        if (at + 1 < n && is_followed(&e[at])) {
            length = encode_train(tx, i, &e[at], n - at, segments_max);
            is_odd |= length - 1;
        }
        *odd |= is_odd;
        at += length;
        i++;
        tx->first[i] = at;
    }
    return i;
}

/* ---- calls ----------------------------------------------------------------------------------- */

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
    why->is_stale = 0;
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

enum { RUN_WHOLE = 1 };

/* What entries must have in common to leave by one call: KI_DONTROUTE, as the flag holds for a
 * whole call, and whether the socket keeps them from being cut, RUN_WHOLE. */
static inline uint32_t run_of(const struct ki_entry *e, const struct ki_posix_port *p)
{
    const uint32_t whole = ki_posix_mtu_is_whole(e, &p->port.remote) ? RUN_WHOLE : 0;
    return (e->status & KI_DONTROUTE) | whole;
}

/* Not 0: the socket keeps all of them from being cut, and must be switched back for others. */
static inline uint64_t is_switched(const struct ki_posix_port *p)
{
    return p->mtu_state & KI_MTU_WHOLE;
}

/* Readies the socket for a run. False, with the reason: it cannot be. */
static inline bool begin_run(struct ki_posix *r, struct ki_posix_port *p, uint32_t run,
                             struct ki_refusal *why)
{
    const kirim_err err = ki_posix_mtu_set(r, p, (run & RUN_WHOLE) != 0);
    if (err < 0) {
        *why = (struct ki_refusal){ .err = err,
                                    .sys_err = kirim_loop_system_code(r->reactor.loop),
                                    .entries = 1 };
    }
    return err == KIRIM_OK;
}

/* Submits headers of which some are not preset or ask for a call of their own. Returns the index of
 * the one that was refused, or `count`. */
static KI_NOINLINE uint32_t submit_mixed(struct ki_posix *r, struct ki_posix_port *p,
                                         const struct ki_entry *e, uint32_t count,
                                         struct ki_refusal *why)
{
    const uint32_t *at = r->tx.first;
    uint32_t first = 0;
    while (first < count) {
        const uint32_t run = run_of(&e[at[first]], p);
        uint32_t end = first + 1;
        while (end < count && run_of(&e[at[end]], p) == run) {
            end++;
        }
        if (!begin_run(r, p, run, why)) {
            return first;
        }
        const int flags = (run & KI_DONTROUTE) != 0 ? SEND_FLAGS | MSG_DONTROUTE : SEND_FLAGS;
        const uint32_t next = submit_run(r, p, first, end, flags, why);
        if (next < end) {
            return next;
        }
        first = end;
    }
    return count;
}

/* Counts the trains among the first `count` headers. */
static void count_trains(const struct ki_posix_tx *tx, struct ki_posix_port *p,
                         const struct ki_entry *e, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct ki_entry *head = &e[tx->first[i]];
        const bool is_built = head->segment_bytes != 0 && head->bytes > head->segment_bytes;
        p->port.tx_trains += is_built || tx->first[i + 1] - tx->first[i] > 1;
    }
}

/* Submits `count` headers of which some are no plain datagrams. Returns how many entries were
 * taken. */
static KI_NOINLINE uint32_t submit_odd(struct ki_posix *r, struct ki_posix_port *p,
                                       const struct ki_entry *e, uint32_t count,
                                       struct ki_refusal *why)
{
    struct ki_posix_tx *tx = &r->tx;
    const uint32_t done = submit_mixed(r, p, e, count, why);
    count_trains(tx, p, e, done);
    preset_tx(tx, count);
    if (done < count) {
        why->entries = tx->first[done + 1] - tx->first[done];
    }
    return tx->first[done];
}

/* Submits one batch of headers. Returns how many entries were taken; `*n` becomes how many there
 * were in it. */
static inline uint32_t submit_batch(struct ki_posix *r, struct ki_posix_port *p,
                                    const struct ki_entry *e, uint32_t *n, struct ki_refusal *why)
{
    struct ki_posix_tx *tx = &r->tx;
    const uint32_t most = *n < KI_BATCH_MAX ? *n : (uint32_t)KI_BATCH_MAX;
    uint64_t odd = 0;
    uint32_t count = encode_singles(tx, e, most, p, &odd);
    if (count == most) {
        *n = count;
        if ((odd | is_switched(p)) == 0) {
            return submit_run(r, p, 0, count, SEND_FLAGS, why);
        }
        note_singles(tx, count);
        return submit_odd(r, p, e, count, why);
    }
    count = encode_trains(tx, count, e, *n, p, &odd);
    *n = tx->first[count];
    return submit_odd(r, p, e, count, why);
}

static KI_NOINLINE uint32_t submit_many(struct ki_posix *r, struct ki_posix_port *p,
                                        const struct ki_entry *e, uint32_t n,
                                        struct ki_refusal *why)
{
    uint32_t done = 0;
    while (done < n) {
        uint32_t count = n - done;
        const uint32_t taken = submit_batch(r, p, e + done, &count, why);
        done += taken;
        if (taken < count) {
            break;
        }
    }
    return done;
}

static inline uint32_t submit(struct ki_posix *r, struct ki_posix_port *p, const struct ki_entry *e,
                              uint32_t n, struct ki_refusal *why)
{
    if (n != 1) {
        return submit_many(r, p, e, n, why);
    }
    if ((encode_entry(&r->tx, 0, e, p, plain_family_of(p)) | is_switched(p)) == 0) {
        return submit_run(r, p, 0, 1, SEND_FLAGS, why);
    }
    note_singles(&r->tx, 1);
    return submit_odd(r, p, e, 1, why);
}

uint32_t ki_posix_submit(struct ki_reactor *reactor, struct ki_port *port, struct ki_entry *e,
                         uint32_t n, struct ki_refusal *why)
{
    struct ki_posix *r = (struct ki_posix *)reactor;
    struct ki_posix_port *p = (struct ki_posix_port *)port;
    const uint32_t taken = submit(r, p, e, n, why);
    if (taken < n && why->err != KIRIM_EWOULDBLOCK) {
        ki_posix_error_judge(r, p, &e[taken], why);
    }
    return taken;
}
