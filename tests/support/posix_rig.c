/* SPDX-License-Identifier: MIT
 *
 * The bench for POSIX reactors; see posix_rig.h. The loop's reactor is caught by an open() in front
 * of the real one.
 */
#include "support/posix_rig.h"

#include "builtin.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct ki_reactor_ops *real_ops;
static struct ki_reactor *caught;

static kirim_err open_and_catch(struct kirim_loop *loop, const struct kirim_loop_options *options,
                                struct ki_reactor **out, uint32_t *caps)
{
    const kirim_err err = real_ops->open(loop, options, out, caps);
    caught = err < 0 ? NULL : *out;
    return err;
}

static void start_list(struct rig *rig)
{
    rig->ready.first = NULL;
    rig->ready.last = &rig->ready.first;
}

void rig_open(struct rig *rig, const char *name, const struct kirim_loop_options *options)
{
    static const struct kirim_loop_options defaults = KIRIM_LOOP_OPTIONS_INIT;
    struct kirim_loop_options o = options != NULL ? *options : defaults;
    struct ki_reactor_ops ops = strcmp(name, "select") == 0 ? ki_reactor_select : ki_reactor_epoll;
    real_ops = strcmp(name, "select") == 0 ? &ki_reactor_select : &ki_reactor_epoll;
    ops.open = open_and_catch;
    static struct ki_reactor_ops kept;
    kept = ops;
    o.reactor_ops = &kept;
    o.system_calls = script_table();
    memset(rig, 0, sizeof *rig);
    ck_assert_int_eq(kirim_loop_open(&o, &rig->loop), KIRIM_OK);
    script_forget_counts();
    rig->ops = real_ops;
    rig->reactor = caught;
    rig->caps = kirim_loop_caps(rig->loop);
    start_list(rig);
    rig->reactor->ready = &rig->ready;
}

void rig_close(struct rig *rig)
{
    ck_assert_int_eq(kirim_loop_close(rig->loop), KIRIM_OK);
    ck_assert_int_eq(script_open_descriptors(), 0);
}

kirim_err rig_try_port(struct rig *rig, const struct kirim_endpoint_options *options,
                       struct ki_port **out)
{
    struct ki_port *p = calloc(1, rig->ops->port_bytes);
    ck_assert_ptr_nonnull(p);
    p->descriptor = KIRIM_NO_DESCRIPTOR;
    p->datagram_bytes_max =
        options->datagram_bytes_max != 0 ? options->datagram_bytes_max : UINT16_MAX;
    p->wants_coalesced = (options->flags & KIRIM_ENDPOINT_NO_COALESCING) == 0;
    const kirim_err err = rig->ops->port_open(rig->reactor, p, options);
    if (!rig->wants_trains) {
        p->tx_segments_max = 1;
    }
    if (err < 0) {
        ck_assert_int_eq(p->descriptor, KIRIM_NO_DESCRIPTOR);
        free(p);
        return err;
    }
    *out = p;
    return KIRIM_OK;
}

struct ki_port *rig_port_with(struct rig *rig, const struct kirim_endpoint_options *options)
{
    struct ki_port *p = NULL;
    ck_assert_int_eq(rig_try_port(rig, options, &p), KIRIM_OK);
    return p;
}

struct ki_port *rig_port(struct rig *rig, int family)
{
    const struct kirim_endpoint_options o =
        rig_at(family == KIRIM_IPV6 ? "[::1]:0" : "127.0.0.1:0");
    return rig_port_with(rig, &o);
}

void rig_port_close(struct rig *rig, struct ki_port *p)
{
    ck_assert_int_eq(rig->ops->port_close(rig->reactor, p), KIRIM_OK);
    free(p);
}

struct kirim_addr rig_addr(const char *text)
{
    struct kirim_addr addr;
    ck_assert_int_eq(kirim_addr_parse(text, &addr), KIRIM_OK);
    return addr;
}

struct kirim_endpoint_options rig_at(const char *text)
{
    struct kirim_endpoint_options o = KIRIM_ENDPOINT_OPTIONS_INIT;
    o.local = rig_addr(text);
    return o;
}

void rig_wait_ready(struct rig *rig, struct ki_port *p)
{
    while (p->is_ready == 0) {
        ck_assert_int_eq(rig->ops->wait(rig->reactor, KIRIM_NEVER), KIRIM_OK);
    }
    for (struct ki_port *q = rig->ready.first; q != NULL; q = q->ready_next) {
        q->is_ready = 0;
    }
    start_list(rig);
}

uint32_t rig_receive(struct rig *rig, struct ki_port *p, struct kirim_datagram *d, uint32_t max)
{
    rig_wait_ready(rig, p);
    return rig->ops->receive(rig->reactor, p, d, max);
}

uint32_t rig_submit(struct rig *rig, struct ki_port *p, struct ki_entry *e, uint32_t n,
                    struct ki_refusal *why)
{
    return rig->ops->submit(rig->reactor, p, e, n, why);
}

struct ki_entry rig_entry(const void *data, size_t bytes, const struct kirim_addr *peer)
{
    struct ki_entry e = { .bytes = (uint32_t)bytes, .buf_count = 1, .status = KI_QUEUED };
    /* Nothing writes through it: sending only reads. */
    memcpy(&e.data, &data, sizeof e.data);
    if (peer != NULL) {
        e.peer = *peer;
    }
    return e;
}

void rig_send(struct rig *rig, struct ki_port *p, const void *data, size_t bytes,
              const struct kirim_addr *to)
{
    struct ki_entry e = rig_entry(data, bytes, to);
    struct ki_refusal why;
    ck_assert_uint_eq(rig_submit(rig, p, &e, 1, &why), 1);
}

void rig_send_numbers(struct rig *rig, struct ki_port *from, const struct ki_port *to,
                      uint32_t first, uint32_t count)
{
    uint32_t numbers[KI_BATCH_MAX];
    struct ki_entry e[KI_BATCH_MAX];
    while (count > 0) {
        const uint32_t n = count < KI_BATCH_MAX ? count : KI_BATCH_MAX;
        struct ki_refusal why;
        for (uint32_t i = 0; i < n; i++) {
            numbers[i] = first + i;
            e[i] = rig_entry(&numbers[i], sizeof numbers[i], &to->local);
        }
        ck_assert_uint_eq(rig_submit(rig, from, e, n, &why), n);
        first += n;
        count -= n;
    }
}

void rig_check_numbers(const struct kirim_datagram *d, uint32_t first, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t wanted = first + i;
        ck_assert_uint_eq(d[i].bytes, sizeof wanted);
        ck_assert_mem_eq(d[i].data, &wanted, sizeof wanted);
    }
}

bool rig_has_ipv6(void)
{
    const struct sockaddr_in6 name = { .sin6_family = AF_INET6, .sin6_addr = in6addr_loopback };
    const int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const bool is_there = fd >= 0 && bind(fd, (const struct sockaddr *)&name, sizeof name) == 0;
    if (fd >= 0) {
        (void)close(fd);
    }
    return is_there;
}
