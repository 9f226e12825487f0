/* SPDX-License-Identifier: MIT
 *
 * Reactor over select, for every POSIX system.
 *
 * Its sets are arrays of words as long as the highest descriptor asks, with bit operations of our
 * own: FD_SET ends at 1,024 descriptors, and aborts there in fortified builds. Level-triggered by
 * nature. A wait copies and looks at the words in use only; the writable set is handed over only
 * while a port is blocked or a guest asks. Time-outs have microseconds and are rounded up, so that
 * no wait ends before its deadline and is repeated for the rest. A guest's failure shows in select
 * as readable or writable; poll tells it apart. No pollable handle.
 *
 * Keeps true: a bit is set in an interest set only if the descriptor's owner is in `owners`; words
 * and owners beyond `fd_end` are zero. Owns its sets. Loop thread, but for wake. Sources:
 * select(2), poll(2).
 */
#include "builtin.h"
#include "posix.h"
#include "posix_guest.h"
#include "posix_map.h"
#include "posix_mtu.h"
#include "posix_multicast.h"
#include "posix_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>

/* One word of a set. The system's has the width of a pointer on every system that select.c is built
 * for. */
typedef size_t set_word;
_Static_assert(sizeof(set_word) == sizeof(fd_mask), "the system reads sets in such words");

enum {
    WORD_BITS = (int)sizeof(set_word) * CHAR_BIT,
    WORDS_AT_FIRST = 4,
    NS_PER_US = 1000,
    US_PER_SECOND = 1000000,
    SECONDS_MAX = 1 << 30, /* fits every time_t; a wait may end early */
    RESOLUTION_NS = 100000 /* as epoll.c: the system's waking is the same */
};

/* The sets in `sets`: what is waited for, and what has come. */
enum { WANT_READ, WANT_WRITE, CAME_READ, CAME_WRITE, SET_COUNT };

/* What a descriptor belongs to: the lowest bits of its owner, a pointer above them. */
enum { TAG_PORT = 1, TAG_GUEST = 2, TAG_WAKE = 3, TAG_MASK = 3 };

struct select_reactor {
    struct ki_posix posix;
    uint32_t fd_end;      /* one more than the highest descriptor watched */
    uint32_t write_count; /* bits in the set WANT_WRITE */
    uint32_t word_count;  /* words that each set has room for */
    set_word *sets[SET_COUNT];
    uintptr_t *owners; /* one for each bit */
};

static struct select_reactor *reactor_of(struct ki_reactor *reactor)
{
    return (struct select_reactor *)reactor;
}

/* ---- sets ------------------------------------------------------------------------------------ */

static bool has_bit(const set_word *set, uint32_t fd)
{
    return (set[fd / WORD_BITS] >> (fd % WORD_BITS) & 1) != 0;
}

static void set_bit(set_word *set, uint32_t fd)
{
    set[fd / WORD_BITS] |= (set_word)1 << (fd % WORD_BITS);
}

static void clear_bit(set_word *set, uint32_t fd)
{
    set[fd / WORD_BITS] &= ~((set_word)1 << (fd % WORD_BITS));
}

static uint32_t words_in_use(const struct select_reactor *r)
{
    return (r->fd_end + WORD_BITS - 1) / WORD_BITS;
}

static size_t table_bytes(uint32_t word_count)
{
    return word_count * (SET_COUNT * sizeof(set_word) + WORD_BITS * sizeof(uintptr_t));
}

/* Makes room for a descriptor. The sets and owners lie in one block: all of them grow, or none. */
static kirim_err reserve(struct select_reactor *r, uint32_t fd)
{
    uint32_t word_count = r->word_count != 0 ? r->word_count : WORDS_AT_FIRST;
    while (fd / WORD_BITS >= word_count) {
        word_count *= 2;
    }
    if (word_count == r->word_count) {
        return KIRIM_OK;
    }
    uintptr_t *owners = ki_alloc(r->posix.reactor.loop, table_bytes(word_count));
    if (owners == NULL) {
        return KIRIM_ENOMEM;
    }
    set_word *set = owners + (size_t)word_count * WORD_BITS;
    for (int i = 0; i < SET_COUNT; i++, set += word_count) {
        if (r->word_count != 0) {
            memcpy(set, r->sets[i], r->word_count * sizeof *set);
        }
        r->sets[i] = set;
    }
    if (r->word_count != 0) {
        memcpy(owners, r->owners, (size_t)r->word_count * WORD_BITS * sizeof *owners);
        ki_free(r->posix.reactor.loop, r->owners, table_bytes(r->word_count));
    }
    r->owners = owners;
    r->word_count = word_count;
    return KIRIM_OK;
}

/* Sets or clears write interest. */
static void want_write(struct select_reactor *r, uint32_t fd, bool is_wanted)
{
    if (has_bit(r->sets[WANT_WRITE], fd) != is_wanted) {
        if (is_wanted) {
            set_bit(r->sets[WANT_WRITE], fd);
            r->write_count++;
        } else {
            clear_bit(r->sets[WANT_WRITE], fd);
            r->write_count--;
        }
    }
}

/* Begins to watch a descriptor that has room, whoever had its number before. */
static void add(struct select_reactor *r, uint32_t fd, void *object, unsigned tag, bool is_read,
                bool is_write)
{
    r->owners[fd] = (uintptr_t)object | tag;
    if (is_read) {
        set_bit(r->sets[WANT_READ], fd);
    } else {
        clear_bit(r->sets[WANT_READ], fd);
    }
    want_write(r, fd, is_write);
    if (fd >= r->fd_end) {
        r->fd_end = fd + 1;
    }
}

/* Watches a descriptor no more; `is_known` keeps who owns it. */
static void drop(struct select_reactor *r, uint32_t fd, bool is_known)
{
    clear_bit(r->sets[WANT_READ], fd);
    want_write(r, fd, false);
    if (!is_known) {
        r->owners[fd] = 0;
        while (r->fd_end > 0 && r->owners[r->fd_end - 1] == 0) {
            r->fd_end--;
        }
    }
}

/* ---- opening and closing --------------------------------------------------------------------- */

static kirim_err want_writable(struct ki_posix *posix, struct ki_posix_port *port)
{
    want_write((struct select_reactor *)posix, (uint32_t)port->port.descriptor, true);
    return KIRIM_OK;
}

static kirim_err select_open(struct kirim_loop *loop, const struct kirim_loop_options *options,
                             struct ki_reactor **out, uint32_t *caps)
{
    if (options->reactor_context != NULL) {
        return KIRIM_EINVAL; /* it takes none: another reactor was meant */
    }
    struct select_reactor *r = ki_alloc(loop, sizeof *r);
    if (r == NULL) {
        return KIRIM_ENOMEM;
    }
    kirim_err err = ki_posix_open(&r->posix, loop, options, caps);
    if (err < 0) {
        goto fail_free;
    }
    const uint32_t wake_fd = (uint32_t)r->posix.wake.fd;
    err = reserve(r, wake_fd);
    if (err < 0) {
        goto fail_posix;
    }
    add(r, wake_fd, NULL, TAG_WAKE, true, false);
    r->posix.reactor.timer_resolution_ns = RESOLUTION_NS;
    r->posix.want_writable = want_writable;
    *out = &r->posix.reactor;
    return KIRIM_OK;
fail_posix:
    ki_posix_close(&r->posix);
fail_free:
    ki_free(loop, r, sizeof *r);
    return err;
}

static void select_close(struct ki_reactor *reactor)
{
    struct select_reactor *r = reactor_of(reactor);
    ki_free(reactor->loop, r->owners, table_bytes(r->word_count));
    ki_posix_close(&r->posix);
    ki_free(reactor->loop, r, sizeof *r);
}

/* ---- ports and guests ------------------------------------------------------------------------ */

static kirim_err select_port_open(struct ki_reactor *reactor, struct ki_port *port,
                                  const struct kirim_endpoint_options *options)
{
    struct select_reactor *r = reactor_of(reactor);
    struct ki_posix_port *p = (struct ki_posix_port *)port;
    struct ki_posix_setup setup;
    kirim_err err = ki_posix_socket_open(&r->posix, p, options, &setup);
    if (err < 0) {
        return err;
    }
    const uint32_t fd = (uint32_t)setup.fd;
    err = reserve(r, fd);
    if (err < 0) {
        goto fail_socket;
    }
    err = ki_posix_socket_bind(&r->posix, p, &setup);
    if (err < 0) {
        goto fail_socket;
    }
    add(r, fd, p, TAG_PORT, true, false);
    return KIRIM_OK;
fail_socket:
    ki_posix_socket_undo(&r->posix, p, &setup);
    return err;
}

static kirim_err select_port_close(struct ki_reactor *reactor, struct ki_port *port)
{
    struct select_reactor *r = reactor_of(reactor);
    drop(r, (uint32_t)port->descriptor, false);
    ki_posix_socket_close(&r->posix, (struct ki_posix_port *)port);
    return KIRIM_OK;
}

static kirim_err select_watch(struct ki_reactor *reactor, struct kirim_guest *guest, bool is_new)
{
    struct select_reactor *r = reactor_of(reactor);
    /* One closed descriptor would fail the wait for all the others: look before it is added. */
    if (guest->ki_descriptor < 0 || guest->ki_descriptor > INT_MAX ||
        r->posix.sys->fcntl((int)guest->ki_descriptor, F_GETFD, 0) < 0) {
        return KIRIM_EINVAL;
    }
    const uint32_t fd = (uint32_t)guest->ki_descriptor;
    const kirim_err err = reserve(r, fd);
    if (err < 0) {
        return err;
    }
    if (is_new && r->owners[fd] != 0) {
        return KIRIM_EEXIST;
    }
    if (!is_new && r->owners[fd] != ((uintptr_t)guest | TAG_GUEST)) {
        return KIRIM_EINVAL; /* It was closed, and its number has another owner by now. */
    }
    add(r, fd, guest, TAG_GUEST, (guest->ki_events & KIRIM_GUEST_READABLE) != 0,
        (guest->ki_events & KIRIM_GUEST_WRITABLE) != 0);
    return KIRIM_OK;
}

static void select_unwatch(struct ki_reactor *reactor, struct kirim_guest *guest)
{
    struct select_reactor *r = reactor_of(reactor);
    const uint32_t fd = (uint32_t)guest->ki_descriptor;
    /* If it was closed too early its number may have another owner by now. */
    if (r->owners[fd] == ((uintptr_t)guest | TAG_GUEST)) {
        drop(r, fd, false);
    }
}

/* ---- waiting --------------------------------------------------------------------------------- */

static void dispatch(struct select_reactor *r, uint32_t fd, bool is_readable, bool is_writable)
{
    void *object = (void *)(r->owners[fd] & ~(uintptr_t)TAG_MASK);
    const unsigned tag = r->owners[fd] & TAG_MASK;
    if (tag == TAG_PORT) {
        struct ki_posix_port *p = object;
        if (is_readable) {
            p->errors.is_suspected = 1; /* which is the same to select */
            ki_port_ready(&r->posix.reactor, &p->port);
        }
        if (is_writable && p->is_blocked != 0) {
            want_write(r, fd, false);
            p->is_blocked = 0;
            ki_port_writable(&p->port);
        }
    } else if (tag == TAG_GUEST) {
        ki_posix_guest_look(&r->posix, object);
    } else if (tag == TAG_WAKE && ki_posix_wake_drain(&r->posix.wake)) {
        r->posix.reactor.wake_count++;
    }
}

static void dispatch_all(struct select_reactor *r, bool has_writes)
{
    const uint32_t word_count = words_in_use(r);
    for (uint32_t i = 0; i < word_count; i++) {
        const set_word readable = r->sets[CAME_READ][i];
        const set_word writable = has_writes ? r->sets[CAME_WRITE][i] : 0;
        set_word left = readable | writable;
        while (left != 0) {
            const unsigned bit = (unsigned)__builtin_ctzll(left);
            left &= left - 1;
            dispatch(r, i * WORD_BITS + bit, (readable >> bit & 1) != 0,
                     (writable >> bit & 1) != 0);
        }
    }
}

/* Somebody closed a descriptor that we watch. Finds it, and watches it no more: its owner is told,
 * and the others go on. */
static KI_COLD void drop_closed(struct select_reactor *r)
{
    for (uint32_t fd = 0; fd < r->fd_end; fd++) {
        void *object = (void *)(r->owners[fd] & ~(uintptr_t)TAG_MASK);
        const unsigned tag = r->owners[fd] & TAG_MASK;
        if (tag == 0 || r->posix.sys->fcntl((int)fd, F_GETFD, 0) >= 0 || errno != EBADF) {
            continue;
        }
        ki_log(r->posix.reactor.loop, KIRIM_LOG_ERROR, "select: a watched descriptor was closed",
               EBADF);
        drop(r, fd, true);
        if (tag == TAG_PORT) {
            ki_port_ready(&r->posix.reactor, object);
        } else if (tag == TAG_GUEST) {
            ki_guest_ready(object, KIRIM_GUEST_FAILED);
        }
    }
}

/* The time-out for a deadline, in `*out`; NULL if there is no limit. */
static struct timeval *timeout_for(struct select_reactor *r, uint64_t deadline_ns,
                                   struct timeval *out)
{
    *out = (struct timeval){ 0, 0 };
    if (deadline_ns == KIRIM_NEVER) {
        return NULL;
    }
    if (deadline_ns != 0) {
        const uint64_t delay_ns = ki_posix_remaining_ns(&r->posix, deadline_ns);
        const uint64_t delay_us = delay_ns / NS_PER_US + (delay_ns % NS_PER_US != 0);
        const uint64_t seconds = delay_us / US_PER_SECOND;
        out->tv_sec = (time_t)(seconds < SECONDS_MAX ? seconds : SECONDS_MAX);
        out->tv_usec = (suseconds_t)(delay_us % US_PER_SECOND);
    }
    return out;
}

static kirim_err select_wait(struct ki_reactor *reactor, uint64_t deadline_ns)
{
    struct select_reactor *r = reactor_of(reactor);
    ki_posix_rx_take_back(&r->posix);
    struct timeval timeout;
    struct timeval *limit = timeout_for(r, deadline_ns, &timeout);
    const uint32_t word_count = words_in_use(r);
    const bool has_writes = r->write_count != 0;
    for (uint32_t i = 0; i < word_count; i++) {
        r->sets[CAME_READ][i] = r->sets[WANT_READ][i];
    }
    if (has_writes) {
        memcpy(r->sets[CAME_WRITE], r->sets[WANT_WRITE], word_count * sizeof(set_word));
    }
    const int n =
        r->posix.sys->select((int)r->fd_end, (void *)r->sets[CAME_READ],
                             has_writes ? (void *)r->sets[CAME_WRITE] : NULL, NULL, limit);
    if (n > 0) {
        dispatch_all(r, has_writes);
    } else if (n < 0 && errno == EBADF) {
        drop_closed(r);
    } else if (n < 0 && errno != EINTR) {
        return ki_posix_failed(reactor->loop, "select");
    }
    return KIRIM_OK;
}

const struct ki_reactor_ops ki_reactor_select = {
    .name = "select",
    .port_bytes = sizeof(struct ki_posix_port),
    .open = select_open,
    .begin_close = ki_posix_begin_close,
    .close = select_close,
    .now = ki_posix_now,
    .random = ki_posix_random,
    .port_open = select_port_open,
    .port_close = select_port_close,
    .port_buffers = ki_posix_port_buffers,
    .port_drops = ki_posix_port_drops,
    .set_membership = ki_posix_set_membership,
    .set_multicast = ki_posix_set_multicast,
    .path_mtu = ki_posix_path_mtu,
    .receive = ki_posix_receive,
    .submit = ki_posix_submit,
    .release = ki_posix_release,
    .wait = select_wait,
    .wake = ki_posix_wake,
    .watch = select_watch,
    .unwatch = select_unwatch,
};
