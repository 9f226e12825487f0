/* SPDX-License-Identifier: MIT
 *
 * Reactor over overlapped operations with completion routines, for Winsock.
 *
 * Receives are posted ahead, and sends may stay in flight. The system calls a routine for each of
 * them when this thread waits alertably, be it here or in a callback of the user's; the routine
 * takes a note, and wait() tells the core. Nothing is posted before the first wait, so that a loop
 * can be opened in one thread and run in another.
 *
 * While nobody but operations and wakes can end a sleep it is SleepEx. Guests, and ports that the
 * system was full for, have one event object. A wait that returns for it has run no routine, and
 * would not as long as it is signalled: so each such return is followed by a look for routines.
 *
 * A host that waits by itself does so alertably: whatever ends its wait then is a reason to step.
 *
 * Owns the event object. Loop thread, but for wake. Sources: SleepEx, WSAWaitForMultipleEvents,
 * CancelIoEx, closesocket; see win_op.h.
 */
#include "builtin.h"
#include "win_mtu.h"
#include "win_multicast.h"
#include "win_op.h"
#include "win_socket.h"

enum {
    POLLING_WAIT_MS = 16,   /* longest sleep while a port is polled */
    AILING_WAIT_MS = 100,   /* longest sleep while a port waits to be posted for again */
    MOVING_WAIT_MS = 1,     /* while operations of another thread are out */
    DRAIN_ROUNDS_MAX = 5000 /* of 1 ms, for routines that are owed when everything is closed */
};

static struct ki_op_reactor *reactor_of(struct ki_reactor *reactor)
{
    return (struct ki_op_reactor *)reactor;
}

/* ---- opening and closing --------------------------------------------------------------------- */

static kirim_err open_parts(struct ki_op_reactor *r)
{
    kirim_err err = ki_op_rx_open(r);
    if (err < 0) {
        return err;
    }
    err = ki_op_tx_open(r);
    if (err < 0) {
        goto fail_rx;
    }
    r->guests.event = r->win.sys->event_create();
    if (r->guests.event == WSA_INVALID_EVENT) {
        err = ki_win_failed(r->win.reactor.loop, "WSACreateEvent");
        goto fail_tx;
    }
    err = ki_op_threads_open(r);
    if (err < 0) {
        goto fail_event;
    }
    return KIRIM_OK;
fail_event:
    (void)r->win.sys->event_close(r->guests.event);
fail_tx:
    ki_op_tx_close(r);
fail_rx:
    ki_op_rx_close(r);
    return err;
}

static kirim_err completion_open(struct kirim_loop *loop, const struct kirim_loop_options *options,
                                 struct ki_reactor **out, uint32_t *caps)
{
    if (options->reactor_context != NULL) {
        return KIRIM_EINVAL; /* it takes none: another reactor was meant */
    }
    struct ki_op_reactor *r = ki_alloc(loop, sizeof *r);
    if (r == NULL) {
        return KIRIM_ENOMEM;
    }
    atomic_init(&r->landed, NULL);
    atomic_init(&r->wakers, 0);
    atomic_init(&r->apc_count, 0);
    atomic_init(&r->is_marked, 0);
    atomic_init(&r->is_raised, 0);
    atomic_init(&r->is_woken, 0);
    kirim_err err = ki_win_open(&r->win, loop, options, caps);
    if (err < 0) {
        goto fail_free;
    }
    err = open_parts(r);
    if (err < 0) {
        goto fail_win;
    }
    r->win.want_writable = ki_op_want_writable;
    *caps |= KIRIM_CAP_ALERTABLE;
    *out = &r->win.reactor;
    return KIRIM_OK;
fail_win:
    ki_win_close(&r->win);
fail_free:
    ki_free(loop, r, sizeof *r);
    return err;
}

/* Works off what has landed, and what will not. */
static void settle(struct ki_op_reactor *r)
{
    r->wait_number++;
    ki_op_settle_all(r);
    ki_op_forget_refused(r);
    ki_op_move_on(r);
}

/* Waits for the routines that are still owed: of sends that had left at once, of calls that failed,
 * and of a wake. All ports are closed. False: some never came. */
static bool drain(struct ki_op_reactor *r)
{
    (void)ki_op_move_in(r);
    for (int i = 0; i < DRAIN_ROUNDS_MAX; i++) {
        (void)r->win.sys->sleep_ex(i < 4 ? 0 : 1, TRUE);
        settle(r);
        if (r->out_first == NULL && atomic_load(&r->apc_count) == 0) {
            return true;
        }
    }
    return false;
}

static void completion_close(struct ki_reactor *reactor)
{
    struct ki_op_reactor *r = reactor_of(reactor);
    struct kirim_loop *loop = reactor->loop;
    ki_op_rx_take_back(r);
    if (!drain(r)) {
        /* The system may write to it at any time. */
        ki_log(loop, KIRIM_LOG_ERROR, "completion routines have not come: memory is left behind",
               0);
        return;
    }
    ki_op_threads_close(r);
    ki_win_guests_close(&r->win, &r->guests);
    (void)r->win.sys->event_close(r->guests.event);
    ki_op_tx_close(r);
    ki_op_rx_close(r);
    ki_win_close(&r->win);
    ki_free(loop, r, sizeof *r);
}

/* ---- ports ----------------------------------------------------------------------------------- */

/* Finds out whether an adopted socket takes routines at all; one that its owner has associated with
 * a completion port does not. */
static kirim_err try_adopted(struct ki_op_reactor *r, struct ki_op_port *p)
{
    kirim_err err = ki_op_move_in(r);
    if (err < 0 || r->is_moving != 0) {
        return err;
    }
    const int sys_err = ki_op_rx_try(r, p);
    if (sys_err == WSAEINVAL || sys_err == WSAEOPNOTSUPP || sys_err == WSAENOTSOCK) {
        ki_log(r->win.reactor.loop, KIRIM_LOG_ERROR,
               "adopt: the socket takes no completion routine", sys_err);
        return KIRIM_EINVAL;
    }
    return KIRIM_OK;
}

static void join_ports(struct ki_op_reactor *r, struct ki_op_port *p)
{
    p->next = r->ports;
    p->link = &r->ports;
    if (p->next != NULL) {
        p->next->link = &p->next;
    }
    r->ports = p;
    r->port_count++;
}

static void leave_ports(struct ki_op_reactor *r, struct ki_op_port *p)
{
    *p->link = p->next;
    if (p->next != NULL) {
        p->next->link = p->link;
    }
    r->port_count--;
}

static kirim_err completion_port_open(struct ki_reactor *reactor, struct ki_port *port,
                                      const struct kirim_endpoint_options *options)
{
    struct ki_op_reactor *r = reactor_of(reactor);
    struct ki_op_port *p = (struct ki_op_port *)port;
    struct ki_win_setup setup;
    const bool is_adopted = (options->flags & KIRIM_ENDPOINT_ADOPT) != 0;
    if (is_adopted && ki_win_is_synchronous((SOCKET)options->adopt)) {
        return KIRIM_EINVAL; /* made without WSA_FLAG_OVERLAPPED (S35) */
    }
    kirim_err err = ki_win_socket_open(&r->win, &p->win, options, &setup);
    if (err < 0) {
        return err;
    }
    err = ki_op_rx_open_port(r, p);
    if (err < 0) {
        goto fail_socket;
    }
    err = ki_win_socket_bind(&r->win, &p->win, &setup);
    if (err < 0) {
        goto fail_rx;
    }
    join_ports(r, p);
    err = is_adopted ? try_adopted(r, p) : KIRIM_OK;
    if (err < 0) {
        goto fail_join;
    }
    ki_op_rx_hunger(r, p);
    return KIRIM_OK;
fail_join:
    leave_ports(r, p);
fail_rx:
    ki_op_rx_close_port(r, p);
fail_socket:
    ki_win_socket_undo(&r->win, &p->win, &setup);
    return err;
}

static kirim_err completion_port_close(struct ki_reactor *reactor, struct ki_port *port)
{
    struct ki_op_reactor *r = reactor_of(reactor);
    struct ki_op_port *p = (struct ki_op_port *)port;
    ki_op_tx_forget(r, p);
    leave_ports(r, p);
    ki_op_rx_close_port(r, p);
    p->is_closing = 1;
    if (ki_op_port_is_out(p)) {
        /* Before the close: without it there are systems that call the routines late, and with
         * other errors. Finding nothing is no failure. */
        (void)r->win.sys->cancel_io_ex((HANDLE)port->descriptor, NULL);
    }
    ki_win_socket_close(&r->win, &p->win);
    return ki_op_port_is_out(p) ? KIRIM_PENDING : KIRIM_OK;
}

/* ---- guests ---------------------------------------------------------------------------------- */

static bool is_port(const struct ki_op_reactor *r, intptr_t descriptor)
{
    for (const struct ki_op_port *p = r->ports; p != NULL; p = p->next) {
        if (p->win.port.descriptor == descriptor) {
            return true;
        }
    }
    return false;
}

static kirim_err completion_watch(struct ki_reactor *reactor, struct kirim_guest *guest,
                                  bool is_new)
{
    struct ki_op_reactor *r = reactor_of(reactor);
    return ki_win_guests_watch(&r->win, &r->guests, guest, is_new,
                               is_new && is_port(r, guest->ki_descriptor));
}

static void completion_unwatch(struct ki_reactor *reactor, struct kirim_guest *guest)
{
    struct ki_op_reactor *r = reactor_of(reactor);
    ki_win_guests_unwatch(&r->win, &r->guests, guest);
}

/* ---- waiting --------------------------------------------------------------------------------- */

static DWORD min_ms(DWORD a, DWORD b)
{
    return a < b ? a : b;
}

/* How long the wait may sleep. */
static DWORD choose_timeout(const struct ki_op_reactor *r, uint64_t deadline_ns)
{
    if (r->is_busy != 0 || (r->refused_count != 0 && r->is_moving == 0) ||
        atomic_load(&r->is_woken) != 0 || atomic_load(&r->landed) != NULL) {
        return 0;
    }
    DWORD timeout_ms = ki_win_timeout_ms(deadline_ns);
    timeout_ms =
        r->guests.blocked_count != 0 ? min_ms(timeout_ms, KI_WIN_BLOCKED_WAIT_MS) : timeout_ms;
    timeout_ms = r->is_polling != 0 ? min_ms(timeout_ms, POLLING_WAIT_MS) : timeout_ms;
    timeout_ms = r->is_ailing != 0 ? min_ms(timeout_ms, AILING_WAIT_MS) : timeout_ms;
    return r->is_moving != 0 ? min_ms(timeout_ms, MOVING_WAIT_MS) : timeout_ms;
}

/* Sleeps, and lets all routines run that are queued. */
static kirim_err sleep_alertably(struct ki_op_reactor *r, DWORD timeout_ms)
{
    const struct ki_win_sys *sys = r->win.sys;
    if (r->guests.count == 0 && r->blocked == NULL) {
        (void)sys->sleep_ex(timeout_ms, TRUE);
        return KIRIM_OK;
    }
    const DWORD answer = sys->event_wait(1, &r->guests.event, FALSE, timeout_ms, TRUE);
    if (answer == WSA_WAIT_FAILED) {
        return ki_win_failed(r->win.reactor.loop, "WSAWaitForMultipleEvents");
    }
    if (answer == WSA_WAIT_EVENT_0) {
        (void)sys->event_reset(r->guests.event);
        ki_win_guests_dispatch(&r->win, &r->guests);
        ki_op_tx_tell_writable(r);
    }
    (void)sys->sleep_ex(0, TRUE);
    return KIRIM_OK;
}

static void take_wake(struct ki_op_reactor *r)
{
    if (atomic_exchange(&r->is_woken, 0) != 0) {
        /* Behind the note, and before the core looks for posts: the other order loses a wake. */
        atomic_store(&r->is_raised, 0);
        r->win.reactor.wake_count++;
    }
}

static kirim_err completion_wait(struct ki_reactor *reactor, uint64_t deadline_ns)
{
    struct ki_op_reactor *r = reactor_of(reactor);
    kirim_err err = ki_op_move_in(r);
    if (err < 0) {
        return err;
    }
    r->is_busy = 0;
    ki_op_rx_take_back(r);
    ki_op_tx_tell_early(r);
    if (r->is_moving == 0) {
        ki_op_rx_feed(r);
    }
    const bool has_guests = ki_win_guests_look(&r->win, &r->guests);
    r->is_busy |= has_guests;
    err = sleep_alertably(r, choose_timeout(r, deadline_ns));
    settle(r);
    take_wake(r);
    if (r->guests.count != 0 && !has_guests) {
        (void)ki_win_guests_look(&r->win, &r->guests);
    }
    return err;
}

const struct ki_reactor_ops ki_reactor_completion = {
    .name = "completion",
    .port_bytes = sizeof(struct ki_op_port),
    .open = completion_open,
    .close = completion_close,
    .now = ki_win_reactor_now,
    .random = ki_win_reactor_random,
    .port_open = completion_port_open,
    .port_close = completion_port_close,
    .port_buffers = ki_win_port_buffers,
    .port_drops = ki_win_port_drops,
    .path_mtu = ki_win_path_mtu,
    .set_membership = ki_win_set_membership,
    .set_multicast = ki_win_set_multicast,
    .receive = ki_op_receive,
    .submit = ki_op_submit,
    .cancel = ki_op_cancel,
    .release = ki_op_release,
    .wait = completion_wait,
    .wake = ki_op_wake,
    .watch = completion_watch,
    .unwatch = completion_unwatch,
};
