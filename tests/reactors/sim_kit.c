/* SPDX-License-Identifier: MIT
 *
 * Worlds, hosts and endpoints for the simulator's suites. See sim_kit.h.
 */
#include "sim_kit.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* ---- worlds ---------------------------------------------------------------------------------- */

void kit_open(struct kit *k, uint64_t seed)
{
    memset(k, 0, sizeof *k);
    struct kirim_sim_options options = KIRIM_SIM_OPTIONS_INIT;
    options.seed = seed;
    options.alloc = kit_alloc;
    options.alloc_user = &k->memory;
    ck_assert_int_eq(kirim_sim_open(&options, &k->sim), KIRIM_OK);
}

void kit_close(struct kit *k)
{
    for (size_t i = 0; i < k->host_count; i++) {
        kit_loop_close(&k->hosts[i]);
    }
    if (k->sim != NULL) {
        ck_assert_int_eq(kirim_sim_close(k->sim), KIRIM_OK);
    }
    for (size_t i = 0; i < k->end_count; i++) {
        ck_assert_uint_eq(k->ends[i].closed_count, 1);
        free(k->ends[i].rx);
    }
    ck_assert_uint_eq(k->memory.blocks, 0);
}

void kit_loop_open(struct kit_host *h)
{
    struct kirim_loop_options options = KIRIM_LOOP_OPTIONS_INIT;
    options.reactor = "sim";
    options.reactor_context = h->host;
    options.alloc = kit_alloc;
    options.alloc_user = &h->kit->memory;
    ck_assert_int_eq(kirim_loop_open(&options, &h->loop), KIRIM_OK);
}

void kit_loop_close(struct kit_host *h)
{
    ck_assert_int_eq(kirim_loop_close(h->loop), KIRIM_OK);
    h->loop = NULL;
}

static struct kit_host *new_host(struct kit *k)
{
    ck_assert_uint_lt(k->host_count, KIT_HOST_MAX);
    struct kit_host *h = &k->hosts[k->host_count];
    k->host_count++;
    h->kit = k;
    return h;
}

struct kit_host *kit_host(struct kit *k, const char *name, const char *addr, const char *second)
{
    struct kit_host *h = new_host(k);
    struct kirim_addr addrs[2];
    size_t count = 0;
    if (addr != NULL) {
        addrs[count++] = kit_addr(addr);
    }
    if (second != NULL) {
        addrs[count++] = kit_addr(second);
    }
    ck_assert_int_eq(kirim_sim_host_add(k->sim, name, addrs, count, &h->host), KIRIM_OK);
    kit_loop_open(h);
    return h;
}

struct kit_host *kit_open_private(struct kit *k)
{
    memset(k, 0, sizeof *k);
    struct kit_host *h = new_host(k);
    kit_loop_open(h);
    h->host = kirim_sim_host_find(kirim_loop_sim(h->loop), "localhost");
    ck_assert_ptr_nonnull(h->host);
    return h;
}

void kit_run(struct kit *k, uint64_t ns)
{
    ck_assert_int_eq(kirim_sim_run(k->sim, kirim_sim_now(k->sim) + ns), KIRIM_OK);
}

void kit_link(struct kit *k, const struct kit_host *from, const struct kit_host *to,
              struct kirim_link_rules link)
{
    ck_assert_int_eq(kirim_sim_link_set(k->sim, from != NULL ? from->host : NULL,
                                        to != NULL ? to->host : NULL, &link),
                     KIRIM_OK);
}

struct kirim_sim_stats kit_stats(const struct kit *k)
{
    struct kirim_sim_stats stats = KIRIM_SIM_STATS_INIT;
    ck_assert_int_eq(kirim_sim_read_stats(k->sim, &stats), KIRIM_OK);
    return stats;
}

/* ---- endpoints ------------------------------------------------------------------------------- */

struct kirim_addr kit_addr(const char *text)
{
    struct kirim_addr a = { { 0, 0, 0 } };
    if (text != NULL) {
        ck_assert_msg(kirim_addr_parse(text, &a) == KIRIM_OK, "no address: %s", text);
    }
    return a;
}

static void write_down(struct kit_end *end, const struct kirim_datagram *d)
{
    if (end->rx_count == end->rx_room) {
        end->rx_room = end->rx_room == 0 ? 64 : 2 * end->rx_room;
        end->rx = realloc(end->rx, end->rx_room * sizeof *end->rx);
        ck_assert_ptr_nonnull(end->rx);
    }
    struct kit_rx *rx = &end->rx[end->rx_count];
    end->rx_count++;
    memset(rx, 0, sizeof *rx);
    ck_assert_ptr_nonnull(d->data);
    rx->time_ns = kirim_loop_now(end->loop);
    rx->peer = d->peer;
    rx->bytes = d->bytes;
    rx->local = kirim_endpoint_local(end->ep);
    if (d->arrival != NULL) {
        rx->arrival_ns = d->arrival->time_ns;
        rx->local = d->arrival->local;
        rx->ttl = d->arrival->ttl;
        rx->ifindex = d->arrival->ifindex;
    }
    rx->ecn = d->ecn;
    rx->flags = d->flags;
    rx->batch = end->batch_count;
    memcpy(rx->text, d->data, d->bytes < KIT_TEXT_BYTES ? d->bytes : KIT_TEXT_BYTES - 1);
    for (uint32_t i = 0; i < 4 && i < d->bytes; i++) {
        rx->number = rx->number << 8 | d->data[i];
    }
}

static void on_received(struct kirim_endpoint *ep, const struct kirim_batch *batch, void *user)
{
    struct kit_end *end = user;
    (void)ep;
    for (size_t i = 0; i < batch->count; i++) {
        write_down(end, kirim_batch_at(batch, i));
    }
    end->batch_count++;
    if (end->on_received != NULL) {
        end->on_received(end, batch);
    }
}

static void on_writable(struct kirim_endpoint *ep, void *user)
{
    struct kit_end *end = user;
    (void)ep;
    end->writable_count++;
    if (end->on_writable != NULL) {
        end->on_writable(end);
    }
}

static void on_failed(struct kirim_endpoint *ep, const struct kirim_event *event, void *user)
{
    struct kit_end *end = user;
    (void)ep;
    end->failed_count++;
    end->event = *event;
    end->event_ns = kirim_loop_now(end->loop);
}

static void on_closed(struct kirim_endpoint *ep, void *user)
{
    struct kit_end *end = user;
    (void)ep;
    end->closed_count++;
    end->ep = NULL;
}

static const struct kirim_handler handler = {
    KIRIM_HANDLER_INIT,  .received = on_received, .writable = on_writable,
    .failed = on_failed, .closed = on_closed,
};

static kirim_err open_end(struct kit_host *h, const struct kirim_endpoint_options *options,
                          struct kit_end **out)
{
    struct kit *k = h->kit;
    ck_assert_uint_lt(k->end_count, KIT_END_MAX);
    struct kit_end *end = &k->ends[k->end_count];
    struct kirim_endpoint_options o = *options;
    o.handler = &handler;
    o.user = end;
    end->loop = h->loop;
    const kirim_err err = kirim_endpoint_open(h->loop, &o, &end->ep);
    *out = err == KIRIM_OK ? end : NULL;
    k->end_count += err == KIRIM_OK;
    return err;
}

kirim_err kit_try(struct kit_host *h, const char *local, const char *remote, uint32_t flags,
                  struct kit_end **out)
{
    struct kirim_endpoint_options options = KIRIM_ENDPOINT_OPTIONS_INIT;
    options.local = kit_addr(local);
    options.peer = kit_addr(remote);
    options.flags = flags;
    return open_end(h, &options, out);
}

struct kit_end *kit_bind(struct kit_host *h, const char *local, uint32_t flags)
{
    struct kit_end *end;
    ck_assert_msg(kit_try(h, local, NULL, flags, &end) == KIRIM_OK, "cannot bind %s", local);
    return end;
}

struct kit_end *kit_connect(struct kit_host *h, const char *local, const char *remote)
{
    struct kit_end *end;
    ck_assert_msg(kit_try(h, local, remote, 0, &end) == KIRIM_OK, "cannot connect %s", remote);
    return end;
}

struct kit_end *kit_end(struct kit_host *h, const struct kirim_endpoint_options *options)
{
    struct kit_end *end;
    ck_assert_int_eq(open_end(h, options, &end), KIRIM_OK);
    return end;
}

void kit_end_close(struct kit_end *end)
{
    ck_assert_int_eq(kirim_endpoint_close(end->ep), KIRIM_OK);
}

struct kirim_addr kit_local(const struct kit_end *end)
{
    return kirim_endpoint_local(end->ep);
}

uint16_t kit_port(const struct kit_end *end)
{
    const struct kirim_addr local = kirim_endpoint_local(end->ep);
    return kirim_addr_port(&local);
}

/* ---- sending --------------------------------------------------------------------------------- */

static void post(struct kit_end *end, const void *data, size_t bytes, const char *to)
{
    const struct kirim_addr peer = kit_addr(to);
    ck_assert_int_eq(kirim_endpoint_send_to(end->ep, data, bytes, to != NULL ? &peer : NULL),
                     KIRIM_OK);
}

void kit_send(struct kit_end *end, const char *text, const char *to)
{
    post(end, text, strlen(text), to);
}

static const uint8_t zeros[65536];

void kit_send_bytes(struct kit_end *end, size_t bytes, const char *to)
{
    post(end, zeros, bytes, to);
}

void kit_send_number(struct kit_end *end, uint32_t number, const char *to)
{
    const uint8_t data[4] = { (uint8_t)(number >> 24), (uint8_t)(number >> 16),
                              (uint8_t)(number >> 8), (uint8_t)number };
    post(end, data, sizeof data, to);
}

kirim_err kit_try_send(struct kit_end *end, size_t bytes, const char *to,
                       const struct kirim_control *control)
{
    static uint8_t data[65536]; /* a send reads it only, but its type has no const */
    const struct kirim_addr peer = kit_addr(to);
    const struct kirim_buf buf = { data, bytes };
    const struct kirim_msg msg = { &buf, to != NULL ? &peer : NULL, control, 1, 0 };
    return kirim_endpoint_send(end->ep, &msg, KIRIM_SEND_NOW, NULL, NULL);
}

void kit_expect(const struct kit_end *end, const char *text, const char *peer)
{
    ck_assert_uint_eq(end->rx_count, 1);
    ck_assert_str_eq(end->rx[0].text, text);
    if (peer != NULL) {
        const struct kirim_addr wanted = kit_addr(peer);
        char got[KIRIM_ADDR_TEXT_BYTES];
        ck_assert_int_eq(kirim_addr_format(&end->rx[0].peer, got, sizeof got), KIRIM_OK);
        ck_assert_msg(kirim_addr_equal(&wanted, &end->rx[0].peer), "%s, not %s", got, peer);
    }
}

void kit_echo(struct kit_end *end, const struct kirim_batch *batch)
{
    ck_assert_int_eq(kirim_endpoint_reply(end->ep, batch->first, batch->count, NULL), KIRIM_OK);
}

/* ---- timers and posts ------------------------------------------------------------------------ */

void kit_alarm_note(struct kirim_timer *timer)
{
    struct kit_alarm *a = timer->user;
    a->fired_ns = kirim_loop_now(a->loop);
    a->count++;
}

void kit_alarm_set(struct kit_alarm *a, struct kit_host *h, kirim_timer_fn fn, uint64_t delay_ns)
{
    memset(a, 0, sizeof *a);
    a->timer = (struct kirim_timer)KIRIM_TIMER_INIT(fn, a);
    a->loop = h->loop;
    a->kit = h->kit;
    a->host = h;
    ck_assert_int_eq(kirim_timer_arm(h->loop, &a->timer, kirim_loop_now(h->loop) + delay_ns),
                     KIRIM_OK);
}

static void note_post(struct kirim_post *post, struct kirim_loop *loop, kirim_err err)
{
    struct kit_message *m = post->user;
    m->count++;
    m->err = err;
    m->run_ns = kirim_loop_now(loop);
}

void kit_message_init(struct kit_message *m, struct kit_host *h)
{
    memset(m, 0, sizeof *m);
    m->post = (struct kirim_post)KIRIM_POST_INIT(note_post, m);
    m->remote = kirim_loop_remote(h->loop);
}

void *kit_message_post(void *message)
{
    struct kit_message *m = message;
    ck_assert_int_eq(kirim_remote_post(m->remote, &m->post), KIRIM_OK);
    return NULL;
}

void kit_message_post_in_thread(struct kit_message *m)
{
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, kit_message_post, m), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
}
