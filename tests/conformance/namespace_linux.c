/* SPDX-License-Identifier: MIT
 *
 * A network namespace by unshare(2): the program's own rights if they suffice, else those of a user
 * namespace. A case that enters one cannot leave it, so it must run in a child. Sources:
 * network_namespaces(7), user_namespaces(7).
 */
#include "namespace.h"

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

/* Whether a child can. */
static bool can_enter(void)
{
    const pid_t pid = fork();
    if (pid == 0) {
        _exit(enter() ? 0 : 1);
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
        answer = can_enter() ? 1 : 2;
    }
    return answer == 1 ? NULL : "not-permitted: a namespace";
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
