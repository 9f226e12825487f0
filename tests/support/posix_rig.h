/* SPDX-License-Identifier: MIT
 *
 * A POSIX reactor on a bench: opened by a loop, then held by the test, which calls the members of
 * its ops itself.
 *
 * Its ports belong to the test and have no endpoint, so a test must not let one be told writable.
 * System calls go through posix_script.h. One at a time.
 */
#ifndef POSIX_RIG_H
#define POSIX_RIG_H

#include "posix.h"
#include "support/posix_script.h"

struct rig {
    struct kirim_loop *loop;
    struct ki_reactor *reactor;
    const struct ki_reactor_ops *ops;
    uint32_t caps;
    struct ki_ready ready;
    bool wants_trains; /* else ports that are opened send each datagram by itself */
};

/* Opens a loop over the reactor `name`; `options` (or NULL) say the rest. */
void rig_open(struct rig *rig, const char *name, const struct kirim_loop_options *options);
void rig_close(struct rig *rig);

/* Opens a port: with options, on the loopback address of a family, or not at all. */
kirim_err rig_try_port(struct rig *rig, const struct kirim_endpoint_options *options,
                       struct ki_port **out);
struct ki_port *rig_port_with(struct rig *rig, const struct kirim_endpoint_options *options);
struct ki_port *rig_port(struct rig *rig, int family);
void rig_port_close(struct rig *rig, struct ki_port *p);

/* Options of an endpoint at an address as kirim_addr_parse() takes it. */
struct kirim_endpoint_options rig_at(const char *text);
struct kirim_addr rig_addr(const char *text);

/* Waits until `p` is ready, without a limit of its own: Check has one. */
void rig_wait_ready(struct rig *rig, struct ki_port *p);

/* Receives once, after waiting until there is something. */
uint32_t rig_receive(struct rig *rig, struct ki_port *p, struct kirim_datagram *d, uint32_t max);

uint32_t rig_submit(struct rig *rig, struct ki_port *p, struct ki_entry *e, uint32_t n,
                    struct ki_refusal *why);

/* An entry of one buffer; `peer` NULL: connected. */
struct ki_entry rig_entry(const void *data, size_t bytes, const struct kirim_addr *peer);

/* Sends one datagram from `p`, and it leaves. */
void rig_send(struct rig *rig, struct ki_port *p, const void *data, size_t bytes,
              const struct kirim_addr *to);

/* Sends `count` datagrams of four bytes that say `first`, `first` + 1, ..., in one submit for each
 * 64; checks that datagrams are such. */
void rig_send_numbers(struct rig *rig, struct ki_port *from, const struct ki_port *to,
                      uint32_t first, uint32_t count);
void rig_check_numbers(const struct kirim_datagram *d, uint32_t first, uint32_t count);

/* Whether the host has an IPv6 loopback address. */
bool rig_has_ipv6(void);

#endif
