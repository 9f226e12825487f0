/* SPDX-License-Identifier: MIT
 *
 * Test support: requests to the network stack of Linux, so that a test can build the network that
 * it needs in a namespace of its own. A socket speaks to the namespace that it was opened in,
 * wherever the process goes afterwards. Owns nothing. Sources: netlink(7), rtnetlink(7).
 */
#ifndef TEST_NETLINK_H
#define TEST_NETLINK_H

#include <linux/rtnetlink.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct netlink_request {
    struct nlmsghdr header;
    uint8_t rest[1024];
};

/* A socket for requests; `groups` (RTMGRP_...): for what the stack tells. -1: there is none. */
int netlink_open(uint32_t groups);

/* Begins a request with its body; NLM_F_REQUEST and NLM_F_ACK are among its flags. */
void netlink_begin(struct netlink_request *r, uint16_t type, uint16_t flags, const void *body,
                   size_t bytes);

/* Adds an attribute. What is added until netlink_end() lies inside of it. */
struct rtattr *netlink_add(struct netlink_request *r, uint16_t type, const void *data,
                           size_t bytes);
void netlink_end(const struct netlink_request *r, struct rtattr *outer);

/* Sends a request and reads the answer: 0, or a negative errno. */
int netlink_ask(int fd, const struct netlink_request *r);

/* The data of an attribute of a message with such a body, or NULL. */
const void *netlink_find(const struct nlmsghdr *header, size_t body_bytes, uint16_t type);

/* Waits until the stack has told, to a socket with groups, what `is_it` recognises. */
bool netlink_wait(int fd, bool (*is_it)(const struct nlmsghdr *header, const void *ctx),
                  const void *ctx);

/* Waits until the stack has told, to a socket for RTMGRP_LINK, that a device works. */
bool netlink_wait_up(int fd, int ifindex);

#endif
