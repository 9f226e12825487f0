/* SPDX-License-Identifier: MIT
 *
 * Claims about the binding to a loop: services and lookups on every reactor with real sockets, over
 * both families; what is dropped and counted; how a lookup ends.
 */
#include <stdio.h>

#include "conformance/conformance.h"
#include "kit.h"
#include "protocols/dns/dns_endpoint.h"

#define SECOND UINT64_C(1000000000)

enum { LOOKUP_COUNT = 64, REACTOR_COUNT_MAX = 16, PLACE_COUNT = 2 * REACTOR_COUNT_MAX };

static const char zone_text[] = "$ORIGIN example.\n$TTL 5\n@ SOA a b 1 2 3 4 5\n@ NS a\n"
                                "a A 192.0.2.1\n";

/* A loop with a service and lookups; what ended and how. */
struct place {
    struct kit_memory memory;
    struct kirim_loop *loop;
    struct kirim_dns_zone *zone;
    struct kirim_dns_server server;
    struct kirim_dns_service service;
    struct kirim_dns_lookup lookup[LOOKUP_COUNT];
    size_t started, ended, answered;
    kirim_err err; /* of the last one that failed */
};

static void on_done(struct kirim_dns_lookup *lookup)
{
    struct place *const p = lookup->user;
    p->ended++;
    ck_assert_uint_ge(lookup->ended_ns, lookup->started_ns);
    if (lookup->query.state == KIRIM_DNS_QUERY_ANSWERED) {
        p->answered++;
        ck_assert_str_eq(kit_section(&lookup->query.answer, 1), "a.example. 5 A 192.0.2.1\n");
    } else {
        ck_assert_int_eq(lookup->query.state, KIRIM_DNS_QUERY_FAILED);
        p->err = lookup->query.err;
    }
}

/* Number `index` of the reactors, each for IPv4 and for IPv6. False: there is no such place here.
 */
static bool open_place(struct place *p, int index, const char *addrs[2],
                       struct kirim_endpoint_options *options)
{
    struct kirim_loop_options loop_options = KIRIM_LOOP_OPTIONS_INIT;
    memset(p, 0, sizeof *p);
    loop_options.reactor = kirim_reactor_name((size_t)index / 2);
    loop_options.alloc = kit_alloc;
    loop_options.alloc_user = &p->memory;
    if (loop_options.reactor == NULL || strcmp(loop_options.reactor, "sim") == 0 ||
        kirim_loop_open(&loop_options, &p->loop) < 0) {
        return false;
    }
    p->zone = kit_zone(&p->memory, zone_text);
    kirim_dns_server_init(&p->server);
    ck_assert_int_eq(kirim_dns_server_add(&p->server, p->zone), KIRIM_OK);
    options->local = kit_addr(addrs[index % 2]);
    const kirim_err err = kirim_dns_service_open(&p->service, p->loop, &p->server, options);
    if (err == KIRIM_EAFNOSUPPORT || err == KIRIM_EADDRNOTAVAIL) {
        (void)kirim_loop_close(p->loop); /* no IPv6 here */
        kirim_dns_zone_close(p->zone);
        return false;
    }
    ck_assert_int_eq(err, KIRIM_OK);
    return true;
}

static void close_place(struct place *p)
{
    ck_assert_int_eq(kirim_loop_close(p->loop), KIRIM_OK);
    ck_assert_ptr_null(p->service.endpoint);
    ck_assert_uint_eq(p->ended, p->started);
    kirim_dns_zone_close(p->zone);
    ck_assert_uint_eq(p->memory.blocks, 0);
}

static void start_lookup(struct place *p, struct kirim_addr server, uint64_t timeout_ns)
{
    struct kirim_dns_query_options options = KIRIM_DNS_QUERY_OPTIONS_INIT;
    struct kirim_dns_lookup *const lookup = &p->lookup[p->started];
    options.name = kit_name("a.example.");
    options.type = KIRIM_DNS_A;
    options.server[0] = server;
    options.server_count = 1;
    options.timeout_ns = timeout_ns;
    *lookup = (struct kirim_dns_lookup)KIRIM_DNS_LOOKUP_INIT(on_done, p);
    ck_assert_int_eq(kirim_dns_lookup_start(lookup, p->loop, &options), KIRIM_OK);
    p->started++;
}

/* Turns until every lookup has ended; each has its deadline, so this ends. */
static void run_place(struct place *p)
{
    const uint64_t end = kirim_loop_now(p->loop) + 60 * SECOND;
    while (p->ended < p->started) {
        ck_assert_uint_lt(kirim_loop_now(p->loop), end);
        ck_assert_int_eq(kirim_loop_step(p->loop, SECOND), KIRIM_OK);
    }
}

static struct kirim_addr service_addr(const struct place *p)
{
    return kirim_endpoint_local(p->service.endpoint);
}

static const char *loopback[2] = { "127.0.0.1", "::1" };
static const char *wildcard[2] = { "0.0.0.0", "::" };

START_TEST(lookups_are_answered)
{
    struct kirim_endpoint_options options = KIRIM_ENDPOINT_OPTIONS_INIT;
    struct place p;
    if (!open_place(&p, _i, loopback, &options)) {
        return;
    }
    for (size_t i = 0; i < LOOKUP_COUNT; i++) {
        start_lookup(&p, service_addr(&p), 10 * SECOND);
    }
    run_place(&p);
    ck_assert_uint_eq(p.answered, LOOKUP_COUNT);
    ck_assert_uint_ge(p.server.stats.answered, LOOKUP_COUNT);
    close_place(&p);
}
END_TEST

/* Whether answers leave from the address that was asked: the reactor can, and the system does. */
static bool names_source(const struct place *p, uint32_t needed)
{
    const struct kc_where where = { .reactor = kirim_loop_reactor(p->loop), .family = KIRIM_IPV4 };
    const char *gap = kc_gap_send_control(&where);
    if (gap != NULL) {
        printf("skipped: answers from the address that was asked: %s\n", gap);
    }
    return gap == NULL && (kirim_loop_caps(p->loop) & needed) == needed;
}

/* The lookups are connected: an answer from another address would not reach them. */
START_TEST(answer_comes_from_the_address_that_was_asked)
{
    static const char *asked[2] = { "127.0.0.9", "::1" };
    struct kirim_endpoint_options options = KIRIM_ENDPOINT_OPTIONS_INIT;
    struct place p;
    if (!open_place(&p, _i, wildcard, &options)) {
        return;
    }
    if (names_source(&p, KIRIM_CAP_SOURCE)) {
        const struct kirim_addr local = service_addr(&p);
        struct kirim_addr server = kit_addr(asked[_i % 2]);
        kirim_addr_set_port(&server, kirim_addr_port(&local));
        start_lookup(&p, server, 10 * SECOND);
        run_place(&p);
        ck_assert_uint_eq(p.answered, 1);
    }
    close_place(&p);
}
END_TEST

START_TEST(dual_stack_service_answers_both_families)
{
    static const char *any[2] = { "::", "::" };
    static const char *asked[2] = { "127.0.0.9", "::1" };
    struct kirim_endpoint_options options = KIRIM_ENDPOINT_OPTIONS_INIT;
    struct place p;
    options.flags = KIRIM_ENDPOINT_DUAL_STACK;
    if (!open_place(&p, _i, any, &options)) {
        return;
    }
    if (names_source(&p, KIRIM_CAP_SOURCE | KIRIM_CAP_DUAL_STACK)) {
        const struct kirim_addr local = service_addr(&p);
        struct kirim_addr server = kit_addr(asked[_i % 2]);
        kirim_addr_set_port(&server, kirim_addr_port(&local));
        start_lookup(&p, server, 10 * SECOND);
        run_place(&p);
        ck_assert_uint_eq(p.answered, 1);
    }
    close_place(&p);
}
END_TEST

/* A port that was free a moment ago: the network says so, or nobody answers in time. */
START_TEST(closed_port_ends_a_lookup)
{
    struct kirim_endpoint_options options = KIRIM_ENDPOINT_OPTIONS_INIT;
    struct place p;
    if (!open_place(&p, _i, loopback, &options)) {
        return;
    }
    const struct kirim_addr server = service_addr(&p);
    kirim_dns_service_close(&p.service);
    for (int i = 0; i < 10 && p.service.endpoint != NULL; i++) {
        ck_assert_int_eq(kirim_loop_step(p.loop, 0), KIRIM_OK);
    }
    start_lookup(&p, server, SECOND / 100);
    run_place(&p);
    ck_assert_uint_eq(p.answered, 0);
    ck_assert(p.err == KIRIM_ECONNRESET || p.err == KIRIM_ETIMEDOUT);
    close_place(&p);
}
END_TEST

START_TEST(cancelled_lookup_ends_once)
{
    struct kirim_endpoint_options options = KIRIM_ENDPOINT_OPTIONS_INIT;
    struct place p;
    if (!open_place(&p, _i, loopback, &options)) {
        return;
    }
    start_lookup(&p, service_addr(&p), SECOND);
    start_lookup(&p, service_addr(&p), SECOND);
    kirim_dns_lookup_cancel(&p.lookup[0]);
    kirim_dns_lookup_cancel(&p.lookup[0]);
    ck_assert_uint_eq(p.ended, 0); /* not from inside the call */
    run_place(&p);
    ck_assert_uint_eq(p.answered, 1);
    ck_assert_int_eq(p.err, KIRIM_EABORTED);
    kirim_dns_lookup_cancel(&p.lookup[0]);
    close_place(&p);
    ck_assert_uint_eq(p.ended, 2);
}
END_TEST

START_TEST(closing_the_loop_ends_lookups)
{
    struct kirim_endpoint_options options = KIRIM_ENDPOINT_OPTIONS_INIT;
    struct place p;
    if (!open_place(&p, _i, loopback, &options)) {
        return;
    }
    start_lookup(&p, service_addr(&p), SECOND);
    close_place(&p);
    ck_assert_uint_eq(p.ended, 1);
    ck_assert_int_eq(p.err, KIRIM_EABORTED);
}
END_TEST

/* Sends bytes to the service from an endpoint that hears nothing, then asks: the answer shows that
 * what was sent before it has been worked off. */
static void send_and_ask(struct place *p, const void *data, size_t bytes)
{
    struct kirim_endpoint_options options = KIRIM_ENDPOINT_OPTIONS_INIT;
    struct kirim_endpoint *ep = NULL;
    options.peer = service_addr(p);
    ck_assert_int_eq(kirim_endpoint_open(p->loop, &options, &ep), KIRIM_OK);
    ck_assert_int_eq(kirim_endpoint_send_to(ep, data, bytes, NULL), KIRIM_OK);
    ck_assert_int_eq(kirim_endpoint_flush(ep), KIRIM_OK);
    start_lookup(p, service_addr(p), 10 * SECOND);
    run_place(p);
}

START_TEST(long_and_short_requests_are_counted)
{
    static const uint8_t zeros[KIRIM_DNS_REQUEST_BYTES_MAX + 1] = { 0 };
    struct kirim_endpoint_options options = KIRIM_ENDPOINT_OPTIONS_INIT;
    struct place p;
    if (!open_place(&p, _i, loopback, &options)) {
        return;
    }
    send_and_ask(&p, zeros, sizeof zeros);
    ck_assert_uint_eq(p.service.stats.too_long, 1);
    send_and_ask(&p, zeros, sizeof zeros - 1);
    ck_assert_uint_eq(p.service.stats.too_long, 1);
    ck_assert_uint_eq(p.server.stats.rcode[KIRIM_DNS_FORMERR], 1);
    send_and_ask(&p, NULL, 0);
    ck_assert_uint_eq(p.server.stats.dropped, 1);
    ck_assert_uint_eq(p.answered, 3);
    close_place(&p);
}
END_TEST

START_TEST(service_does_not_answer_itself)
{
    static const uint8_t zeros[12] = { 0 };
    struct kirim_endpoint_options options = KIRIM_ENDPOINT_OPTIONS_INIT;
    struct place p;
    if (!open_place(&p, _i, loopback, &options)) {
        return;
    }
    const struct kirim_addr own = service_addr(&p);
    ck_assert_int_eq(kirim_endpoint_send_to(p.service.endpoint, zeros, sizeof zeros, &own),
                     KIRIM_OK);
    start_lookup(&p, own, 10 * SECOND);
    run_place(&p);
    ck_assert_uint_eq(p.service.stats.forged, 1);
    ck_assert_uint_eq(p.server.stats.rcode[KIRIM_DNS_FORMERR], 0);
    ck_assert_uint_eq(p.answered, 1);
    close_place(&p);
}
END_TEST

START_TEST(answers_that_find_the_queue_full_are_counted)
{
    struct kirim_endpoint_options options = KIRIM_ENDPOINT_OPTIONS_INIT;
    struct place p;
    options.queue_count_max = 1;
    if (!open_place(&p, _i, loopback, &options)) {
        return;
    }
    for (size_t i = 0; i < 8; i++) {
        start_lookup(&p, service_addr(&p), SECOND / 10);
    }
    run_place(&p);
    uint64_t sent = 0;
    for (size_t i = 0; i < 8; i++) {
        sent += p.lookup[i].query.sent_count;
    }
    ck_assert_uint_le(p.server.stats.answered + p.service.stats.unanswered, sent);
    ck_assert_uint_ge(p.server.stats.answered, p.answered);
    ck_assert_uint_ge(p.answered, 1);
    close_place(&p);
}
END_TEST

START_TEST(misuse_is_refused)
{
    struct kirim_endpoint_options options = KIRIM_ENDPOINT_OPTIONS_INIT;
    struct kirim_dns_query_options query_options = KIRIM_DNS_QUERY_OPTIONS_INIT;
    struct kirim_dns_lookup lookup = KIRIM_DNS_LOOKUP_INIT(NULL, NULL);
    struct place p;
    if (!open_place(&p, _i, loopback, &options)) {
        return;
    }
    ck_assert_int_eq(kirim_dns_lookup_start(&lookup, p.loop, &query_options), KIRIM_EINVAL);
    lookup.done = on_done;
    ck_assert_int_eq(kirim_dns_lookup_start(&lookup, p.loop, &query_options), KIRIM_EINVAL);
    ck_assert_int_eq(kirim_dns_lookup_start(&lookup, NULL, &query_options), KIRIM_EINVAL);
    ck_assert_int_eq(kirim_dns_service_open(NULL, p.loop, &p.server, &options), KIRIM_EINVAL);
    /* No server can have port 0: the only try fails at once, and nothing is called. */
    query_options.name = kit_name("a.example.");
    query_options.server[0] = kit_addr("127.0.0.1");
    query_options.server_count = 1;
    ck_assert_int_lt(kirim_dns_lookup_start(&lookup, p.loop, &query_options), 0);
    close_place(&p);
}
END_TEST

int main(void)
{
    const struct kit_claim claims[] = {
        { lookups_are_answered, PLACE_COUNT },
        { answer_comes_from_the_address_that_was_asked, PLACE_COUNT },
        { dual_stack_service_answers_both_families, PLACE_COUNT },
        { closed_port_ends_a_lookup, PLACE_COUNT },
        { cancelled_lookup_ends_once, PLACE_COUNT },
        { closing_the_loop_ends_lookups, PLACE_COUNT },
        { long_and_short_requests_are_counted, PLACE_COUNT },
        { service_does_not_answer_itself, PLACE_COUNT },
        { answers_that_find_the_queue_full_are_counted, PLACE_COUNT },
        { misuse_is_refused, PLACE_COUNT },
        { NULL, 0 },
    };
    return kit_main("protocols/dns endpoint", claims);
}
