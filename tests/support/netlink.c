/* SPDX-License-Identifier: MIT
 *
 * Requests to the network stack; see netlink.h.
 */
#include "support/netlink.h"

#include <errno.h>
#include <linux/if.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { WAIT_MS_MAX = 10000 };

int netlink_open(uint32_t groups)
{
    const struct sockaddr_nl name = { .nl_family = AF_NETLINK, .nl_groups = groups };
    const int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (fd >= 0 && bind(fd, (const struct sockaddr *)(const void *)&name, sizeof name) != 0) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

/* Room for so many bytes at the end, which becomes aligned. */
static void *extend(struct netlink_request *r, size_t bytes)
{
    const size_t at = NLMSG_ALIGN(r->header.nlmsg_len);
    r->header.nlmsg_len = (uint32_t)(at + bytes);
    return (uint8_t *)r + at;
}

void netlink_begin(struct netlink_request *r, uint16_t type, uint16_t flags, const void *body,
                   size_t bytes)
{
    memset(r, 0, sizeof *r);
    r->header.nlmsg_len = NLMSG_HDRLEN;
    r->header.nlmsg_type = type;
    r->header.nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags);
    memcpy(extend(r, bytes), body, bytes);
}

struct rtattr *netlink_add(struct netlink_request *r, uint16_t type, const void *data, size_t bytes)
{
    struct rtattr *attribute = extend(r, RTA_LENGTH(bytes));
    attribute->rta_type = type;
    attribute->rta_len = (uint16_t)RTA_LENGTH(bytes);
    if (bytes > 0) {
        memcpy(RTA_DATA(attribute), data, bytes);
    }
    return attribute;
}

void netlink_end(const struct netlink_request *r, struct rtattr *outer)
{
    outer->rta_len = (uint16_t)((const uint8_t *)r + r->header.nlmsg_len - (uint8_t *)outer);
}

int netlink_ask(int fd, const struct netlink_request *r)
{
    struct {
        struct nlmsghdr header;
        struct nlmsgerr error;
        uint8_t rest[1024];
    } answer;
    if (fd < 0 || send(fd, r, r->header.nlmsg_len, 0) < 0 ||
        recv(fd, &answer, sizeof answer, 0) < 0) {
        return -errno;
    }
    return answer.header.nlmsg_type == NLMSG_ERROR ? answer.error.error : -EPROTO;
}

const void *netlink_find(const struct nlmsghdr *header, size_t body_bytes, uint16_t type)
{
    const uint8_t *bytes = (const uint8_t *)header;
    size_t at = NLMSG_SPACE(body_bytes);
    while (at + sizeof(struct rtattr) <= header->nlmsg_len) {
        struct rtattr attribute;
        memcpy(&attribute, bytes + at, sizeof attribute);
        if (attribute.rta_type == type) {
            return bytes + at + RTA_LENGTH(0);
        }
        if (attribute.rta_len < sizeof attribute) {
            return NULL;
        }
        at += RTA_ALIGN(attribute.rta_len);
    }
    return NULL;
}

bool netlink_wait(int fd, bool (*is_it)(const struct nlmsghdr *header, const void *ctx),
                  const void *ctx)
{
    static uint64_t words[2048];
    struct pollfd ready = { .fd = fd, .events = POLLIN };
    while (poll(&ready, 1, WAIT_MS_MAX) > 0) {
        const ssize_t got = recv(fd, words, sizeof words, 0);
        const size_t bytes = got > 0 ? (size_t)got : 0;
        size_t at = 0;
        while (at + sizeof(struct nlmsghdr) <= bytes) {
            const struct nlmsghdr *header = (const void *)((const uint8_t *)words + at);
            if (header->nlmsg_len < sizeof *header) {
                break;
            }
            if (is_it(header, ctx)) {
                return true;
            }
            at += NLMSG_ALIGN(header->nlmsg_len);
        }
    }
    return false;
}

/* Whether a message says that the device works. */
static bool says_up(const struct nlmsghdr *header, const void *ifindex)
{
    const struct ifinfomsg *info = (const void *)(header + 1);
    const uint8_t *state = netlink_find(header, sizeof *info, IFLA_OPERSTATE);
    return header->nlmsg_type == RTM_NEWLINK && info->ifi_index == *(const int *)ifindex &&
           state != NULL && *state == IF_OPER_UP;
}

bool netlink_wait_up(int fd, int ifindex)
{
    return netlink_wait(fd, says_up, &ifindex);
}
