/* SPDX-License-Identifier: MIT
 *
 * Endpoints of the fixture: opening them, writing down what they tell, sending from them. See ks.h.
 */
#include "ks.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- bytes ----------------------------------------------------------------------------------- */

void ks_fill(void *out, size_t bytes, uint32_t seed)
{
    uint8_t *at = out;
    uint32_t x = seed * 2654435761U + 1;
    for (size_t i = 0; i < bytes; i++) {
        x = x * 1664525U + 1013904223U;
        at[i] = (uint8_t)(x >> 24);
    }
}

/* FNV-1a, 64 bits. */
uint64_t ks_digest(const void *data, size_t bytes)
{
    const uint8_t *at = data;
    uint64_t digest = 14695981039346656037ULL;
    for (size_t i = 0; i < bytes; i++) {
        digest = (digest ^ at[i]) * 1099511628211ULL;
    }
    return digest;
}

void ks_number(uint8_t out[KS_NUMBER_BYTES], uint32_t number)
{
    for (int i = 0; i < KS_NUMBER_BYTES; i++) {
        out[i] = (uint8_t)(number >> (24 - 8 * i));
    }
}

uint32_t ks_rx_number(const struct ks_rx *rx)
{
    uint32_t number = 0;
    for (int i = 0; i < KS_NUMBER_BYTES; i++) {
        number = number << 8 | rx->head[i];
    }
    return number;
}

/* ---- callbacks ------------------------------------------------------------------------------- */

static void write_down(struct ks_node *n, const struct kirim_datagram *d)
{
    if (n->rx_count == n->rx_room) {
        n->rx_room = n->rx_room == 0 ? 64 : 2 * n->rx_room;
        n->rx = realloc(n->rx, n->rx_room * sizeof *n->rx);
        KS_CHECK(n->rx != NULL);
    }
    struct ks_rx *rx = &n->rx[n->rx_count];
    n->rx_count++;
    n->rx_datagrams += d->segment_bytes == 0 || d->bytes == 0
                           ? 1
                           : (d->bytes + d->segment_bytes - 1U) / d->segment_bytes;
    memset(rx, 0, sizeof *rx);
    KS_CHECK(d->data != NULL);
    rx->bytes = d->bytes;
    rx->flags = d->flags;
    rx->digest = ks_digest(d->data, d->bytes);
    memcpy(rx->head, d->data, d->bytes < KS_HEAD_BYTES ? d->bytes : KS_HEAD_BYTES);
    rx->peer = d->peer;
    if (d->arrival != NULL) {
        rx->local = d->arrival->local;
    }
    rx->batch = n->batch_count;
}

static struct ks_node *enter_node(struct kirim_endpoint *ep, void *user)
{
    struct ks_node *n = user;
    ks_enter(n->t, n->mark);
    KS_CHECK(n->closed_count == 0);
    KS_CHECK(n->ep == ep || n->ep == NULL);
    return n;
}

static void on_received(struct kirim_endpoint *ep, const struct kirim_batch *batch, void *user)
{
    struct ks_node *n = enter_node(ep, user);
    KS_CHECK(!n->is_closing);
    KS_CHECK(batch->count >= 1 && batch->count <= 64);
    n->batch_count++;
    n->batch_max = batch->count > n->batch_max ? batch->count : n->batch_max;
    for (size_t i = 0; i < batch->count; i++) {
        write_down(n, kirim_batch_at(batch, i));
    }
    if (n->on_received != NULL) {
        n->on_received(n, batch);
    }
    ks_leave(n->t);
}

static void on_writable(struct kirim_endpoint *ep, void *user)
{
    struct ks_node *n = enter_node(ep, user);
    KS_CHECK(!n->is_closing);
    n->writable_count++;
    if (n->on_writable != NULL) {
        n->on_writable(n);
    }
    ks_leave(n->t);
}

static void on_failed(struct kirim_endpoint *ep, const struct kirim_event *event, void *user)
{
    struct ks_node *n = enter_node(ep, user);
    KS_CHECK(!n->is_closing);
    n->failed_count++;
    n->event = *event;
    if (n->on_failed != NULL) {
        n->on_failed(n);
    }
    ks_leave(n->t);
}

static void on_closed(struct kirim_endpoint *ep, void *user)
{
    struct ks_node *n = enter_node(ep, user);
    n->last_stats = (struct kirim_endpoint_stats)KIRIM_ENDPOINT_STATS_INIT;
    KS_OK(kirim_endpoint_read_stats(ep, &n->last_stats));
    n->closed_count++;
    n->ep = NULL;
    if (n->on_closed != NULL) {
        n->on_closed(n);
    }
    ks_leave(n->t);
}

static const struct kirim_handler handler = {
    KIRIM_HANDLER_INIT,  .received = on_received, .writable = on_writable,
    .failed = on_failed, .closed = on_closed,
};

/* ---- opening and closing --------------------------------------------------------------------- */

struct kirim_addr ks_loopback(int family, uint16_t port)
{
    static const uint8_t v4[4] = { 127, 0, 0, 1 };
    static const uint8_t v6[16] = { [15] = 1 };
    return family == KIRIM_IPV4 ? kirim_addr_ipv4(v4, port) : kirim_addr_ipv6(v6, port, 0);
}

struct kirim_addr ks_wildcard(int family, uint16_t port)
{
    static const uint8_t zeros[16] = { 0 };
    return family == KIRIM_IPV4 ? kirim_addr_ipv4(zeros, port) : kirim_addr_ipv6(zeros, port, 0);
}

struct kirim_endpoint_options ks_endpoint_options(const struct ks *t)
{
    struct kirim_endpoint_options options = KIRIM_ENDPOINT_OPTIONS_INIT;
    options.local = ks_loopback(t->family, 0);
    return options;
}

kirim_err ks_node_try(struct ks *t, const struct kirim_endpoint_options *options,
                      struct ks_node **out)
{
    struct ks_node *n = calloc(1, sizeof *n);
    KS_CHECK(n != NULL);
    n->t = t;
    struct kirim_endpoint_options o = *options;
    o.handler = &handler;
    o.user = n;
    const kirim_err err = kirim_endpoint_open(t->loop, &o, &n->ep);
    if (err != KIRIM_OK) {
        KS_CHECK(n->ep == NULL);
        free(n);
        return err;
    }
    n->addr = kirim_endpoint_local(n->ep);
    n->next = t->nodes;
    t->nodes = n;
    *out = n;
    return KIRIM_OK;
}

struct ks_node *ks_node_with(struct ks *t, const struct kirim_endpoint_options *options)
{
    struct ks_node *n = NULL;
    KS_OK(ks_node_try(t, options, &n));
    return n;
}

struct ks_node *ks_node(struct ks *t)
{
    const struct kirim_endpoint_options options = ks_endpoint_options(t);
    return ks_node_with(t, &options);
}

struct ks_node *ks_node_connected(struct ks *t, const struct kirim_addr *remote)
{
    struct kirim_endpoint_options options = ks_endpoint_options(t);
    options.peer = *remote;
    return ks_node_with(t, &options);
}

void ks_node_close(struct ks_node *n)
{
    KS_OK(kirim_endpoint_close(n->ep));
    n->is_closing = true;
}

void ks_node_close_and_wait(struct ks_node *n)
{
    ks_node_close(n);
    KS_UNTIL(n->t, n->closed_count == 1);
}

struct kirim_addr ks_closed_port(struct ks *t)
{
    struct ks_node *n = ks_node(t);
    ks_node_close_and_wait(n);
    return n->addr;
}

struct kirim_endpoint_stats ks_stats(const struct ks_node *n)
{
    struct kirim_endpoint_stats s = KIRIM_ENDPOINT_STATS_INIT;
    KS_OK(kirim_endpoint_read_stats(n->ep, &s));
    return s;
}

uint64_t ks_drops(const struct kirim_endpoint_stats *s)
{
    uint64_t count = 0;
    for (unsigned i = 0; i < KIRIM_DROP_COUNT; i++) {
        if (i != KIRIM_DROP_RECEIVE_FULL) {
            count += s->drops[i];
        }
    }
    return count;
}

/* ---- sending --------------------------------------------------------------------------------- */

/* What every answer must keep to: the count is written with a NOW that is OK and else never; a
 * queued send with an operation is PENDING, one without is OK; PENDING needs an operation (S13,
 * S15, S16). */
static void check_answer(const struct kirim_msg *msg, uint32_t flags, const struct ks_op *o,
                         kirim_err err, size_t count)
{
    size_t bytes = 0;
    for (size_t i = 0; msg->buf != NULL && err >= 0 && i < msg->buf_count; i++) {
        bytes += msg->buf[i].bytes;
    }
    if ((flags & KIRIM_SEND_NOW) != 0 && err == KIRIM_OK) {
        KS_EQ(bytes, count);
    } else {
        KS_EQ(KS_UNTOUCHED, count);
    }
    if (err >= 0 && (flags & KIRIM_SEND_NOW) == 0) {
        KS_ERR(o != NULL ? KIRIM_PENDING : KIRIM_OK, err);
    }
    KS_CHECK(err != KIRIM_PENDING || o != NULL);
}

kirim_err ks_post_msg(struct ks_node *from, const struct kirim_msg *msg, uint32_t flags,
                      struct ks_op *o)
{
    struct ks *t = from->t;
    size_t count = KS_UNTOUCHED;
    const bool was_turn = t->is_turn;
    t->is_turn = false;
    const kirim_err err =
        kirim_endpoint_send(from->ep, msg, flags, o != NULL ? &o->op : NULL, &count);
    t->is_turn = was_turn;
    check_answer(msg, flags, o, err, count);
    if (err >= 0 && o != NULL) {
        o->posted_count++;
    }
    return err;
}

kirim_err ks_send(struct ks_node *from, const void *data, size_t bytes, const struct kirim_addr *to,
                  struct ks_op *o)
{
    union {
        const void *in;
        void *out;
    } plain = { data };
    const struct kirim_buf buf = { plain.out, bytes };
    const struct kirim_msg msg = { &buf, to, NULL, 1, 0 };
    return ks_post_msg(from, &msg, from->t->mode, o);
}

void ks_sent(struct ks_node *from, const void *data, size_t bytes, const struct kirim_addr *to,
             struct ks_op *o, const char *file, int line)
{
    const kirim_err err = ks_send(from, data, bytes, to, o);
    if (err < 0) {
        _ck_assert_failed(file, line, "Failed", "%s: a send of %zu bytes", kirim_err_name(err),
                          bytes);
    }
}

void ks_send_number(struct ks_node *from, uint32_t number, const struct kirim_addr *to)
{
    uint8_t bytes[KS_NUMBER_BYTES];
    ks_number(bytes, number);
    const kirim_err err = ks_send(from, bytes, sizeof bytes, to, NULL);
    if (err < 0) {
        KS_FAIL("%s: the send of number %" PRIu32, kirim_err_name(err), number);
    }
}

/* ---- what has arrived ------------------------------------------------------------------------ */

/* The next datagram that was not looked at; waits for it. */
static const struct ks_rx *next_rx(struct ks_node *n, const char *file, int line)
{
    const uint64_t end_ns = ks_patience_end(n->t);
    while (n->rx_read == n->rx_count) {
        if (!ks_wait(n->t, end_ns)) {
            _ck_assert_failed(file, line, "Failed", "waited in vain for datagram %zu",
                              n->rx_read + 1);
        }
    }
    const struct ks_rx *rx = &n->rx[n->rx_read];
    n->rx_read++;
    return rx;
}

void ks_expect(struct ks_node *n, const void *data, size_t bytes, const char *file, int line)
{
    const struct ks_rx *rx = next_rx(n, file, line);
    if (rx->bytes != bytes) {
        _ck_assert_failed(file, line, "Failed", "datagram %zu has %" PRIu32 " bytes, not %zu",
                          n->rx_read, rx->bytes, bytes);
    }
    if (rx->digest != ks_digest(data, bytes)) {
        _ck_assert_failed(file, line, "Failed", "datagram %zu has other bytes (first 0x%02x)",
                          n->rx_read, rx->head[0]);
    }
}

void ks_expect_numbers(struct ks_node *n, uint32_t first, size_t count, const char *file, int line)
{
    for (size_t i = 0; i < count; i++) {
        const struct ks_rx *rx = next_rx(n, file, line);
        const uint32_t wanted = first + (uint32_t)i;
        if (rx->bytes != KS_NUMBER_BYTES || ks_rx_number(rx) != wanted) {
            _ck_assert_failed(file, line, "Failed",
                              "datagram %zu: number %" PRIu32 " in %" PRIu32
                              " bytes, not number %" PRIu32,
                              n->rx_read, ks_rx_number(rx), rx->bytes, wanted);
        }
    }
}

void ks_expect_end(struct ks_node *n, struct ks_node *from, const char *file, int line)
{
    static const char end[] = "the end";
    const struct kirim_addr remote = kirim_endpoint_peer(from->ep);
    const bool is_connected = kirim_addr_family(&remote) != KIRIM_FAMILY_NONE;
    const kirim_err err =
        kirim_endpoint_send_to(from->ep, end, sizeof end, is_connected ? NULL : &n->addr);
    ks_check_err(KIRIM_OK, err, "the last send", file, line);
    ks_expect(n, end, sizeof end, file, line);
    ks_check(n->rx_read == n->rx_count, "nothing behind the end", file, line);
}
