/* SPDX-License-Identifier: MIT
 *
 * A network namespace by unshare(2): the program's own rights if they suffice, else those of a user
 * namespace. A case that enters one cannot leave it, so it must run in a child. Sources:
 * network_namespaces(7), user_namespaces(7).
 */
#include "namespace.h"

#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "plan.h"

static bool enter(void)
{
    if (unshare(CLONE_NEWNET) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) {
        return false;
    }
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq request;
    memset(&request, 0, sizeof request);
    memcpy(request.ifr_name, "lo", 3);
    request.ifr_flags = IFF_UP | IFF_RUNNING;
    const bool is_up = fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &request) == 0;
    if (fd >= 0) {
        (void)close(fd);
    }
    return is_up;
}

static bool can_make_raw(void)
{
    const int fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP);
    if (fd >= 0) {
        (void)close(fd);
    }
    return fd >= 0;
}

/* ---- a slow loopback ----------------------------------------------------------------------------
 */

struct request {
    struct nlmsghdr header;
    struct tcmsg body;
    uint8_t attributes[512];
};

/* Adds an attribute; returns where it lies, so that its length can be corrected. */
static struct rtattr *add_attribute(struct request *r, uint16_t type, const void *data,
                                    size_t bytes)
{
    const size_t at = NLMSG_ALIGN(r->header.nlmsg_len);
    struct rtattr *attribute = (struct rtattr *)(void *)((uint8_t *)r + at);
    attribute->rta_type = type;
    attribute->rta_len = (uint16_t)RTA_LENGTH(bytes);
    if (bytes > 0) {
        memcpy(RTA_DATA(attribute), data, bytes);
    }
    r->header.nlmsg_len = (uint32_t)(at + RTA_ALIGN(attribute->rta_len));
    return attribute;
}

/* Sends a request and reads the answer: 0, or a negative errno. */
static int ask_kernel(const struct request *r)
{
    struct {
        struct nlmsghdr header;
        struct nlmsgerr error;
        uint8_t rest[1024];
    } answer;
    const int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (fd < 0) {
        return -1;
    }
    const bool is_answered = send(fd, r, r->header.nlmsg_len, 0) > 0 &&
                             recv(fd, &answer, sizeof answer, 0) > 0 &&
                             answer.header.nlmsg_type == NLMSG_ERROR;
    (void)close(fd);
    return is_answered ? answer.error.error : -1;
}

/* Puts a token bucket in front of the loopback, with room for everything that a test may queue. */
static bool slow_down(uint32_t bytes_per_second)
{
    const uint32_t burst_bytes = 4000;
    struct request r;
    struct tc_tbf_qopt bucket;
    memset(&r, 0, sizeof r);
    memset(&bucket, 0, sizeof bucket);
    r.header.nlmsg_len = NLMSG_LENGTH(sizeof r.body);
    r.header.nlmsg_type = RTM_NEWQDISC;
    r.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE;
    r.body.tcm_family = AF_UNSPEC;
    r.body.tcm_ifindex = (int)if_nametoindex("lo");
    r.body.tcm_handle = 0x10000;
    r.body.tcm_parent = TC_H_ROOT;
    bucket.rate.rate = bytes_per_second;
    bucket.rate.linklayer = TC_LINKLAYER_ETHERNET;
    bucket.limit = 4 * 1024 * 1024;
    (void)add_attribute(&r, TCA_KIND, "tbf", 4);
    struct rtattr *options = add_attribute(&r, TCA_OPTIONS, NULL, 0);
    (void)add_attribute(&r, TCA_TBF_PARMS, &bucket, sizeof bucket);
    (void)add_attribute(&r, TCA_TBF_BURST, &burst_bytes, sizeof burst_bytes);
    options->rta_len = (uint16_t)((uint8_t *)&r + r.header.nlmsg_len - (uint8_t *)options);
    return ask_kernel(&r) == 0;
}

/* ---- what a child can do ------------------------------------------------------------------------
 */

static bool enter_slow(void)
{
    return enter() && slow_down(1000000);
}

/* Whether a child can do it. */
static bool can(bool (*what)(void))
{
    const pid_t pid = fork();
    if (pid == 0) {
        _exit(what() ? 0 : 1);
    }
    int status = 1;
    return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) &&
           WEXITSTATUS(status) == 0;
}

const char *kc_namespace_obstacle(void)
{
    static int answer; /* 0: not asked yet */
    if (!kc_is_forking) {
        return "not-permitted: a namespace without fork";
    }
    if (answer == 0) {
        answer = can(enter) ? 1 : 2;
    }
    return answer == 1 ? NULL : "not-permitted: a namespace";
}

const char *kc_slow_network_obstacle(void)
{
    static int answer;
    if (kc_namespace_obstacle() != NULL) {
        return kc_namespace_obstacle();
    }
    if (answer == 0) {
        answer = can(enter_slow) ? 1 : 2;
    }
    return answer == 1 ? NULL : "not-permitted: a token bucket";
}

void kc_namespace_slow_down(uint32_t bytes_per_second)
{
    KS_CHECK(slow_down(bytes_per_second));
}

void kc_namespace_enter(void)
{
    KS_CHECK(enter());
}

const char *kc_raw_obstacle(void)
{
    if (can_make_raw() || kc_namespace_obstacle() == NULL) {
        return NULL;
    }
    return "not-permitted: raw sockets";
}

void kc_raw_prepare(void)
{
    if (!can_make_raw()) {
        kc_namespace_enter();
    }
}
