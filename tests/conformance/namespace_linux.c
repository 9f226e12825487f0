/* SPDX-License-Identifier: MIT
 *
 * A network namespace by unshare(2): the program's own rights if they suffice, else those of a user
 * namespace. A case that enters one cannot leave it, so it must run in a child. Sources:
 * network_namespaces(7), user_namespaces(7).
 */
#include "namespace.h"

#include <linux/pkt_sched.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "plan.h"
#include "support/netlink.h"

/* Room for everything that a test may queue. */
enum { QUEUE_BYTES = 4 * 1024 * 1024 };

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

/* Puts a token bucket in front of the loopback, with a queue of so many bytes. */
static bool slow_down(uint32_t bytes_per_second, uint32_t queue_bytes)
{
    const uint32_t burst_bytes = 4000;
    struct netlink_request r;
    const struct tcmsg body = {
        .tcm_family = AF_UNSPEC,
        .tcm_ifindex = (int)if_nametoindex("lo"),
        .tcm_handle = 0x10000,
        .tcm_parent = TC_H_ROOT,
    };
    const struct tc_tbf_qopt bucket = {
        .rate = { .rate = bytes_per_second, .linklayer = TC_LINKLAYER_ETHERNET },
        .limit = queue_bytes,
    };
    netlink_begin(&r, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE, &body, sizeof body);
    (void)netlink_add(&r, TCA_KIND, "tbf", 4);
    struct rtattr *options = netlink_add(&r, TCA_OPTIONS, NULL, 0);
    (void)netlink_add(&r, TCA_TBF_PARMS, &bucket, sizeof bucket);
    (void)netlink_add(&r, TCA_TBF_BURST, &burst_bytes, sizeof burst_bytes);
    netlink_end(&r, options);
    const int fd = netlink_open(0);
    const bool is_slow = netlink_ask(fd, &r) == 0;
    if (fd >= 0) {
        (void)close(fd);
    }
    return is_slow;
}

/* ---- what a child can do ------------------------------------------------------------------------
 */

static bool enter_slow(void)
{
    return enter() && slow_down(1000000, QUEUE_BYTES);
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
    KS_CHECK(slow_down(bytes_per_second, QUEUE_BYTES));
}

void kc_namespace_choke(uint32_t bytes_per_second, uint32_t queue_bytes)
{
    KS_CHECK(slow_down(bytes_per_second, queue_bytes));
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
