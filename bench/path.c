/* SPDX-License-Identifier: MIT
 *
 * A path with delay, loss and a bottleneck between two network namespaces, for unmodified programs
 * over whatever IP carries.
 *
 *     bench-path [--delay-ms MS] [--loss-ppm N] [--rate-mbit R] [--queue-ms MS] [--seed S]
 *                SERVER CLIENT
 *
 * SERVER and CLIENT are commands for sh, at 10.77.0.1 and 10.77.0.2. CLIENT begins when SERVER has
 * written something to its standard error; SERVER is told to end when CLIENT has, whose status is
 * ours. Each direction is a queue of its own: a packet is lost by chance, or because more than
 * --queue-ms wait before it; it takes its time on the bottleneck, and then the delay. Chance is
 * seeded, but what it meets depends on the programs' timing. Each namespace has a TUN device, which
 * takes no trains: every packet is lost by itself. Needs root, for /dev/net/tun. Sources: tun.rst
 * of Linux, netdevice(7), unshare(2).
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MS     UINT64_C(1000000)
#define SECOND UINT64_C(1000000000)

enum {
    MTU = 1500,
    SLOT_COUNT = 16384, /* of each direction: 24 MB, a second at 200 Mbit/s */
    TURN_COUNT_MAX = 64,
    START_MS_MAX = 10000,
    USAGE = 2,
    FAILURE = 125 /* as env(1) and timeout(1) have it: ours, not the client's */
};

struct slot {
    uint64_t due_ns;
    uint32_t bytes;
    uint8_t data[MTU];
};

struct way {
    struct slot *slots; /* those from `head` on, `count` of them, wait */
    size_t head, count;
    uint64_t busy_until_ns; /* of the bottleneck */
    uint64_t random;
    uint64_t packets, lost, dropped;
    int from, to;
};

static struct {
    uint64_t delay_ns, queue_ns, loss_ppm, rate_mbit, seed;
} path = { .queue_ns = 50 * MS, .seed = 1 };

static _Noreturn void die(const char *what)
{
    (void)fprintf(stderr, "bench-path: %s%s%s\n", what, errno != 0 ? ": " : "",
                  errno != 0 ? strerror(errno) : "");
    exit(FAILURE);
}

static uint64_t now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * SECOND + (uint64_t)now.tv_nsec;
}

/* ---- the namespaces -------------------------------------------------------------------------- */

static struct ifreq request_of(const char *name)
{
    struct ifreq request;
    memset(&request, 0, sizeof request);
    (void)snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
    return request;
}

static void set_up(int control, const char *name)
{
    struct ifreq request = request_of(name);
    request.ifr_flags = IFF_UP | IFF_RUNNING;
    if (ioctl(control, SIOCSIFFLAGS, &request) < 0) {
        die(name);
    }
}

static void set_addr(int control, unsigned long what, const char *text)
{
    struct ifreq request = request_of("kvb");
    struct sockaddr_in addr = { .sin_family = AF_INET };
    (void)inet_pton(AF_INET, text, &addr.sin_addr);
    memcpy(&request.ifr_addr, &addr, sizeof addr);
    if (ioctl(control, what, &request) < 0) {
        die(text);
    }
}

/* Enters a new namespace with loopback and a TUN device of this address; returns the device. */
static int enter(const char *addr)
{
    struct ifreq request = request_of("kvb");
    if (unshare(CLONE_NEWNET) < 0) {
        die("unshare");
    }
    const int tun = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    const int control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    request.ifr_flags = IFF_TUN | IFF_NO_PI;
    if (tun < 0 || control < 0 || ioctl(tun, TUNSETIFF, &request) < 0) {
        die("/dev/net/tun");
    }
    set_addr(control, SIOCSIFADDR, addr);
    set_addr(control, SIOCSIFNETMASK, "255.255.255.0");
    request = request_of("kvb");
    request.ifr_qlen = SLOT_COUNT;
    if (ioctl(control, SIOCSIFTXQLEN, &request) < 0) {
        die("queue");
    }
    set_up(control, "lo");
    set_up(control, "kvb");
    (void)close(control);
    return tun;
}

static pid_t start(const char *command, int standard_error)
{
    const pid_t child = fork();
    if (child < 0) {
        die("fork");
    }
    if (child == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (standard_error >= 0) {
            (void)dup2(standard_error, STDERR_FILENO);
        }
        (void)execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(FAILURE);
    }
    return child;
}

/* ---- the path -------------------------------------------------------------------------------- */

/* 0 .. 999,999 */
static uint64_t draw_ppm(struct way *way)
{
    way->random ^= way->random << 13;
    way->random ^= way->random >> 7;
    way->random ^= way->random << 17;
    return (way->random >> 16) % 1000000;
}

/* A packet in its slot enters the queue, or is dropped. */
static void enqueue(struct way *way, struct slot *slot, uint64_t now)
{
    const uint64_t busy_ns = way->busy_until_ns > now ? way->busy_until_ns - now : 0;
    const uint64_t takes_ns =
        path.rate_mbit > 0 ? slot->bytes * UINT64_C(8000) / path.rate_mbit : 0;
    way->packets++;
    if (draw_ppm(way) < path.loss_ppm) {
        way->lost++;
        return;
    }
    if (busy_ns > path.queue_ns) {
        way->dropped++;
        return;
    }
    way->busy_until_ns = now + busy_ns + takes_ns;
    slot->due_ns = way->busy_until_ns + path.delay_ns;
    way->count++;
}

static void take(struct way *way, uint64_t now)
{
    for (size_t i = 0; i < TURN_COUNT_MAX && way->count < SLOT_COUNT; i++) {
        struct slot *const slot = &way->slots[(way->head + way->count) % SLOT_COUNT];
        const ssize_t got = read(way->from, slot->data, sizeof slot->data);
        if (got <= 0) {
            return;
        }
        slot->bytes = (uint32_t)got;
        enqueue(way, slot, now);
    }
}

/* Gives what is due; returns when the next one is. */
static uint64_t give(struct way *way, uint64_t now)
{
    while (way->count > 0 && way->slots[way->head].due_ns <= now) {
        const struct slot *const slot = &way->slots[way->head];
        if (write(way->to, slot->data, slot->bytes) < 0) {
            way->dropped++;
        }
        way->head = (way->head + 1) % SLOT_COUNT;
        way->count--;
    }
    return way->count > 0 ? way->slots[way->head].due_ns : UINT64_MAX;
}

static struct timespec wait_of(uint64_t due, uint64_t now)
{
    uint64_t wait_ns = due > now ? due - now : 0;
    wait_ns = wait_ns < 10 * MS ? wait_ns : 10 * MS; /* children are looked after */
    return (struct timespec){ .tv_sec = 0, .tv_nsec = (long)wait_ns };
}

/* What the server says goes on to our own standard error. */
static void pass_on(int text)
{
    char data[4096];
    const ssize_t got = read(text, data, sizeof data);
    if (got > 0) {
        (void)!write(STDERR_FILENO, data, (size_t)got);
    }
}

static void forward(struct way ways[2], int text)
{
    struct pollfd wanted[3] = { { ways[0].from, POLLIN, 0 },
                                { ways[1].from, POLLIN, 0 },
                                { text, POLLIN, 0 } };
    const uint64_t before = now_ns();
    const uint64_t first = give(&ways[0], before);
    const uint64_t second = give(&ways[1], before);
    const struct timespec wait = wait_of(first < second ? first : second, before);
    (void)ppoll(wanted, 3, &wait, NULL);
    const uint64_t now = now_ns();
    take(&ways[0], now);
    take(&ways[1], now);
    if ((wanted[2].revents & POLLIN) != 0) {
        pass_on(text);
    }
}

/* Forwards until the client has ended; returns its status. */
static int run(struct way ways[2], const char *server_command, const char *client_command)
{
    int text[2];
    int status = 0;
    ways[0].from = ways[1].to = enter("10.77.0.1");
    if (pipe2(text, O_CLOEXEC | O_NONBLOCK) < 0) {
        die("pipe");
    }
    const pid_t server = start(server_command, text[1]);
    (void)close(text[1]);
    ways[1].from = ways[0].to = enter("10.77.0.2");
    struct pollfd ready = { text[0], POLLIN, 0 };
    errno = 0;
    if (poll(&ready, 1, START_MS_MAX) != 1 || (ready.revents & POLLIN) == 0) {
        (void)kill(server, SIGKILL);
        die("the server says nothing");
    }
    const pid_t client = start(client_command, -1);
    pid_t ended = 0;
    while (ended != client) {
        forward(ways, text[0]);
        ended = waitpid(client, &status, WNOHANG);
    }
    (void)kill(server, SIGTERM);
    while (waitpid(server, NULL, WNOHANG) == 0) {
        forward(ways, text[0]);
    }
    pass_on(text[0]);
    return WIFEXITED(status) ? WEXITSTATUS(status) : FAILURE;
}

static uint64_t number_of(const char *text)
{
    char *end = NULL;
    errno = 0;
    const uint64_t number = strtoull(text, &end, 10);
    if (end == text || *end != '\0' || number > UINT32_MAX) {
        errno = 0;
        die("an option's value is no number");
    }
    return number;
}

int main(int argc, char **argv)
{
    struct way ways[2] = { { .head = 0 }, { .head = 0 } };
    int at = 1;
    for (; at + 1 < argc && strncmp(argv[at], "--", 2) == 0; at += 2) {
        const uint64_t number = number_of(argv[at + 1]);
        if (strcmp(argv[at], "--delay-ms") == 0) {
            path.delay_ns = number * MS;
        } else if (strcmp(argv[at], "--loss-ppm") == 0) {
            path.loss_ppm = number;
        } else if (strcmp(argv[at], "--rate-mbit") == 0) {
            path.rate_mbit = number;
        } else if (strcmp(argv[at], "--queue-ms") == 0) {
            path.queue_ns = number * MS;
        } else if (strcmp(argv[at], "--seed") == 0) {
            path.seed = number;
        } else {
            break;
        }
    }
    if (argc - at != 2) {
        (void)fputs("usage: bench-path [--delay-ms MS] [--loss-ppm N] [--rate-mbit R] "
                    "[--queue-ms MS] [--seed S] SERVER CLIENT\n",
                    stderr);
        return USAGE;
    }
    for (size_t i = 0; i < 2; i++) {
        ways[i].random = (path.seed * 2 + i + 1) * UINT64_C(0x9e3779b97f4a7c15);
        ways[i].slots = calloc(SLOT_COUNT, sizeof *ways[i].slots);
        if (ways[i].slots == NULL) {
            die("memory");
        }
    }
    const int status = run(ways, argv[at], argv[at + 1]);
    for (size_t i = 0; i < 2; i++) {
        (void)fprintf(stderr, "path %s packets=%" PRIu64 " lost=%" PRIu64 " dropped=%" PRIu64 "\n",
                      i == 0 ? "from-server" : "from-client", ways[i].packets, ways[i].lost,
                      ways[i].dropped);
        free(ways[i].slots);
    }
    return status;
}
