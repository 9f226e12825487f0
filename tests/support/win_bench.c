/* SPDX-License-Identifier: MIT
 *
 * The bench for the Winsock reactors; see win_bench.h.
 */
#include "support/win_bench.h"

#include <stdlib.h>
#include <string.h>

enum { PATIENCE_S = 30, TURN_MS_MAX = 100, NS_PER_MS = 1000000, MS_PER_S = 1000 };

static struct kirim_loop *loop;

struct kirim_loop *bench_loop(void)
{
    return loop;
}

/* ---- the loop -------------------------------------------------------------------------------- */

void bench_open(const char *reactor, const struct kirim_loop_options *options)
{
    static const struct kirim_loop_options defaults = KIRIM_LOOP_OPTIONS_INIT;
    struct kirim_loop_options o = options != NULL ? *options : defaults;
    WSADATA data;
    ck_assert_int_eq(WSAStartup(MAKEWORD(2, 2), &data), 0); /* for the sockets of the test */
    o.reactor = reactor;
    o.system_calls = script_table();
    ck_assert_int_eq(kirim_loop_open(&o, &loop), KIRIM_OK);
    script_forget_steps();
    ck_assert_str_eq(kirim_loop_reactor(loop), reactor);
}

void bench_close(void)
{
    ck_assert_int_eq(kirim_loop_close(loop), KIRIM_OK);
    ck_assert_int_eq(script_open_handles(), 0);
    ck_assert_int_eq(WSACleanup(), 0);
}

void bench_turn(void)
{
    ck_assert_int_eq(kirim_loop_step(loop, 0), KIRIM_OK);
}

/* How long a test waits for what is to come; who plants faults has less patience. */
static ULONGLONG patience_ms(void)
{
    const char *text = getenv("KIRIM_TEST_PATIENCE_S");
    return (text != NULL ? strtoul(text, NULL, 10) : PATIENCE_S) * (ULONGLONG)MS_PER_S;
}

void bench_until(const uint64_t *count, uint64_t wanted)
{
    const ULONGLONG end_ms = GetTickCount64() + patience_ms();
    while (*count < wanted) {
        ck_assert_int_eq(kirim_loop_step(loop, (uint64_t)TURN_MS_MAX * NS_PER_MS), KIRIM_OK);
        ck_assert_msg(GetTickCount64() < end_ms, "waited in vain");
    }
}

/* ---- endpoints ------------------------------------------------------------------------------- */

static void on_received(struct kirim_endpoint *ep, const struct kirim_batch *batch, void *user)
{
    struct heard *h = user;
    ck_assert_ptr_eq(ep, h->ep);
    for (size_t i = 0; i < batch->count; i++) {
        const bool is_open = kirim_addr_family(&h->peer) == KIRIM_FAMILY_NONE;
        h->datagrams += is_open || kirim_addr_equal(&h->peer, &kirim_batch_at(batch, i)->peer);
    }
}

static void on_failed(struct kirim_endpoint *ep, const struct kirim_event *event, void *user)
{
    struct heard *h = user;
    (void)ep;
    h->err = event->err;
    h->errors++;
}

static void on_closed(struct kirim_endpoint *ep, void *user)
{
    (void)ep;
    ((struct heard *)user)->ends++;
}

static const struct kirim_handler handler = {
    KIRIM_HANDLER_INIT,
    .received = on_received,
    .failed = on_failed,
    .closed = on_closed,
};

struct kirim_endpoint_options bench_at(const char *local, uint32_t flags)
{
    struct kirim_endpoint_options o = KIRIM_ENDPOINT_OPTIONS_INIT;
    if (local != NULL) {
        ck_assert_int_eq(kirim_addr_parse(local, &o.local), KIRIM_OK);
    }
    o.flags = flags;
    return o;
}

kirim_err bench_try(struct heard *h, struct kirim_endpoint_options *o)
{
    *h = (struct heard){ .ep = NULL };
    o->handler = &handler;
    o->user = h;
    const kirim_err err = kirim_endpoint_open(loop, o, &h->ep);
    ck_assert_int_eq(err == KIRIM_OK, h->ep != NULL);
    if (err == KIRIM_OK) {
        h->addr = kirim_endpoint_local(h->ep);
    }
    return err;
}

void bench_listen_at(struct heard *h, const char *local, uint32_t flags)
{
    struct kirim_endpoint_options o = bench_at(local, flags);
    ck_assert_int_eq(bench_try(h, &o), KIRIM_OK);
}

void bench_listen(struct heard *h)
{
    bench_listen_at(h, "127.0.0.1:0", 0);
}

kirim_err bench_send(struct heard *from, const struct heard *to)
{
    ck_assert_int_eq(kirim_endpoint_send_to(from->ep, "x", 1, &to->addr), KIRIM_OK);
    return kirim_endpoint_flush(from->ep);
}

/* ---- sockets --------------------------------------------------------------------------------- */

/* Binds to the IPv4 loopback address; `name` becomes what it is bound to. */
static void bind_to_loopback(SOCKET s, struct sockaddr_in *name)
{
    int bytes = sizeof *name;
    *name = (struct sockaddr_in){ .sin_family = AF_INET };
    name->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ck_assert_int_eq(bind(s, (const struct sockaddr *)name, sizeof *name), 0);
    ck_assert_int_eq(getsockname(s, (struct sockaddr *)name, &bytes), 0);
}

SOCKET bench_socket(void)
{
    struct sockaddr_in name;
    const SOCKET s = socket(AF_INET, SOCK_DGRAM, IPPROTO_UDP);
    ck_assert(s != INVALID_SOCKET);
    bind_to_loopback(s, &name);
    ck_assert_int_eq(connect(s, (const struct sockaddr *)&name, sizeof name), 0);
    return s;
}

SOCKET bench_readable_socket(void)
{
    const SOCKET s = bench_socket();
    ck_assert_int_eq(send(s, "x", 1, 0), 1);
    return s;
}

void bench_unblock(SOCKET s, bool is_on)
{
    u_long value = is_on;
    ck_assert_int_eq(ioctlsocket(s, (long)FIONBIO, &value), 0); /* long: the reference's */
}

void bench_stream(SOCKET out[2])
{
    struct sockaddr_in name;
    const SOCKET listener = socket(AF_INET, SOCK_STREAM, IPPROTO_TCP);
    ck_assert(listener != INVALID_SOCKET);
    bind_to_loopback(listener, &name);
    ck_assert_int_eq(listen(listener, 1), 0);
    out[0] = socket(AF_INET, SOCK_STREAM, IPPROTO_TCP);
    ck_assert_int_eq(connect(out[0], (const struct sockaddr *)&name, sizeof name), 0);
    out[1] = accept(listener, NULL, NULL);
    ck_assert(out[1] != INVALID_SOCKET);
    ck_assert_int_eq(closesocket(listener), 0);
}

uint32_t bench_option(SOCKET s, int level, int name)
{
    uint32_t value = 0;
    int bytes = sizeof value;
    ck_assert_int_eq(getsockopt(s, level, name, (char *)&value, &bytes), 0);
    return value;
}

/* ---- guests ---------------------------------------------------------------------------------- */

static void on_ready(struct kirim_guest *guest, uint32_t events)
{
    struct guest *g = guest->user;
    g->events = events;
    g->calls++;
    if (g->hook != NULL) {
        g->hook(g);
    }
}

kirim_err bench_watch(struct guest *g, SOCKET s, uint32_t events)
{
    if (g->guest.ready == NULL) {
        g->guest = (struct kirim_guest)KIRIM_GUEST_INIT(on_ready, g);
    }
    g->s = s;
    return kirim_guest_watch(loop, &g->guest, (intptr_t)s, events);
}

int bench_run(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed_count = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
