/* SPDX-License-Identifier: MIT
 *
 * Reading the error queue; see posix_error.h.
 *
 * Keeps true: a report is told once, although the system shows it twice, as the socket's error and
 * in the queue; taking the last one off the queue takes the socket's error with it. Reading ends at
 * an empty queue, or at a store without room, which receive() empties. Owns nothing. Loop thread.
 * Sources: see posix_error.h.
 */
#include "posix_error.h"

#include "posix_map.h"
#include "posix_socket.h"

#include <errno.h>
#include <linux/errqueue.h>
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>

enum {
    /* The report and who sent it, two kinds of time stamps, and all that arrivals may be asked to
     * bring, in both families (L50). */
    CONTROL_WORDS = 64,
    READS_MAX = 64, /* in a row: the queue may hold other things than reports */
    ANY_CODE = -1
};

/* ---- what a report says ---------------------------------------------------------------------- */

/* ICMP tells more than the system's code: a lifetime that ended and a host that is down are both
 * EHOSTUNREACH, as is what a filter denies. The first row that fits counts. */
static const struct {
    uint8_t origin;
    uint8_t type;
    int code;
    kirim_err err;
} meanings[] = {
    { KIRIM_ORIGIN_ICMP, ICMP_DEST_UNREACH, ICMP_PORT_UNREACH, KIRIM_ECONNRESET },
    { KIRIM_ORIGIN_ICMP, ICMP_DEST_UNREACH, ICMP_PROT_UNREACH, KIRIM_ECONNRESET },
    { KIRIM_ORIGIN_ICMP, ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED, KIRIM_EMSGSIZE },
    { KIRIM_ORIGIN_ICMP, ICMP_DEST_UNREACH, ICMP_NET_ANO, KIRIM_EACCES },
    { KIRIM_ORIGIN_ICMP, ICMP_DEST_UNREACH, ICMP_HOST_ANO, KIRIM_EACCES },
    { KIRIM_ORIGIN_ICMP, ICMP_DEST_UNREACH, ICMP_PKT_FILTERED, KIRIM_EACCES },
    { KIRIM_ORIGIN_ICMP, ICMP_DEST_UNREACH, ANY_CODE, KIRIM_ENETUNREACH },
    { KIRIM_ORIGIN_ICMP, ICMP_TIME_EXCEEDED, ANY_CODE, KIRIM_ENETRESET },
    { KIRIM_ORIGIN_ICMPV6, ICMP6_DST_UNREACH, ICMP6_DST_UNREACH_NOPORT, KIRIM_ECONNRESET },
    { KIRIM_ORIGIN_ICMPV6, ICMP6_DST_UNREACH, ICMP6_DST_UNREACH_ADMIN, KIRIM_EACCES },
    { KIRIM_ORIGIN_ICMPV6, ICMP6_DST_UNREACH, 5, KIRIM_EACCES }, /* source address policy */
    { KIRIM_ORIGIN_ICMPV6, ICMP6_DST_UNREACH, 6, KIRIM_EACCES }, /* route that rejects */
    { KIRIM_ORIGIN_ICMPV6, ICMP6_DST_UNREACH, ANY_CODE, KIRIM_ENETUNREACH },
    { KIRIM_ORIGIN_ICMPV6, ICMP6_PACKET_TOO_BIG, ANY_CODE, KIRIM_EMSGSIZE },
    { KIRIM_ORIGIN_ICMPV6, ICMP6_TIME_EXCEEDED, ANY_CODE, KIRIM_ENETRESET },
};

kirim_err ki_posix_error_of(const struct ki_posix_report *report)
{
    for (size_t i = 0; i < sizeof meanings / sizeof meanings[0]; i++) {
        if (meanings[i].origin == report->origin && meanings[i].type == report->icmp_type &&
            (meanings[i].code == ANY_CODE || meanings[i].code == report->icmp_code)) {
            return meanings[i].err;
        }
    }
    return ki_posix_map(report->sys_err);
}

/* Reads an entry of the queue as a report. False: it is none, but a time stamp, say. */
static bool read_report(struct msghdr *header, const union ki_posix_name *name,
                        struct ki_posix_report *out)
{
    static const uint8_t origins[] = {
        [SO_EE_ORIGIN_LOCAL] = KIRIM_ORIGIN_LOCAL,
        [SO_EE_ORIGIN_ICMP] = KIRIM_ORIGIN_ICMP,
        [SO_EE_ORIGIN_ICMP6] = KIRIM_ORIGIN_ICMPV6,
    };
    struct sock_extended_err e = { .ee_origin = SO_EE_ORIGIN_NONE };
    for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c != NULL; c = CMSG_NXTHDR(header, c)) {
        const bool is_error = (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR) ||
                              (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR);
        if (is_error && c->cmsg_len >= CMSG_LEN(sizeof e)) {
            memcpy(&e, CMSG_DATA(c), sizeof e);
        }
    }
    if (e.ee_origin >= sizeof origins || origins[e.ee_origin] == KIRIM_ORIGIN_NONE) {
        return false;
    }
    *out = (struct ki_posix_report){
        .sys_err = (int)e.ee_errno,
        .path_mtu = e.ee_errno == EMSGSIZE ? e.ee_info : 0,
        .origin = origins[e.ee_origin],
        .icmp_type = e.ee_type,
        .icmp_code = e.ee_code,
    };
    ki_name_read(name, &out->peer);
    out->err = ki_posix_error_of(out);
    return true;
}

/* ---- the queue ------------------------------------------------------------------------------- */

enum found { FOUND_NOTHING, FOUND_OTHER, FOUND_REPORT };

static enum found read_one(const struct ki_posix *r, struct ki_posix_port *p,
                           struct ki_posix_report *out)
{
    union ki_posix_name name = { .word = { 0, 0, 0, 0 } };
    uint64_t control[CONTROL_WORDS];
    struct msghdr header = {
        .msg_name = &name,
        .msg_namelen = sizeof name,
        .msg_control = control,
        .msg_controllen = sizeof control,
    };
    ssize_t bytes;
    do {
        p->port.rx_calls++;
        bytes = r->sys->recvmsg((int)p->port.descriptor, &header, MSG_ERRQUEUE | MSG_DONTWAIT);
    } while (bytes < 0 && errno == EINTR);
    if (bytes < 0 || (header.msg_flags & MSG_ERRQUEUE) == 0) {
        return FOUND_NOTHING;
    }
    return read_report(&header, &name, out) ? FOUND_REPORT : FOUND_OTHER;
}

static void store(struct ki_posix_errors *errors, const struct ki_posix_report *report)
{
    errors->report[(errors->first + errors->count) % KI_POSIX_REPORTS_MAX] = *report;
    errors->count++;
}

/* The stack reports a datagram of its own host without the port, if the socket is not connected;
 * `dest` is where the datagram was to go. */
static void complete_peer(struct ki_posix_report *report, const struct kirim_addr *dest)
{
    struct kirim_addr host = *dest;
    kirim_addr_set_port(&host, 0);
    if (kirim_addr_equal(&host, &report->peer)) {
        report->peer = *dest;
    }
}

/* Moves reports from the system's queue to the port's store, until the one is empty or the other
 * full. Whether an ICMP message among them is what failed a call with `sys_err`. */
static bool read_queue(const struct ki_posix *r, struct ki_posix_port *p, int sys_err,
                       const struct kirim_addr *dest)
{
    struct ki_posix_errors *errors = &p->errors;
    bool is_found = false;
    errors->is_suspected = 0;
    errors->is_known = errors->is_on;
    if (errors->is_on == 0) {
        return false;
    }
    for (int i = 0; i < READS_MAX && errors->count < KI_POSIX_REPORTS_MAX; i++) {
        struct ki_posix_report report;
        const enum found found = read_one(r, p, &report);
        if (found == FOUND_NOTHING) {
            errors->is_known = 0;
            break;
        }
        if (found == FOUND_REPORT) {
            is_found |= report.origin != KIRIM_ORIGIN_LOCAL && report.sys_err == sys_err;
            complete_peer(&report, dest);
            store(errors, &report);
        }
    }
    return is_found;
}

/* ---- receiving ------------------------------------------------------------------------------- */

/* The queue is not read here: taking a report off it puts the next one's error on the socket, and
 * the next try would fail too. */
bool ki_posix_error_note(struct ki_posix_port *p, int sys_err)
{
    struct ki_posix_errors *errors = &p->errors;
    if (sys_err == EAGAIN || sys_err == EWOULDBLOCK) {
        errors->is_known |= errors->is_suspected;
        return false;
    }
    errors->is_known = 1;
    errors->failed_with = sys_err;
    return true;
}

/* Sees to it that there is a report, if there can be. A failure that the queue knows nothing of is
 * one by itself: without a queue, or if that had no room, nobody knows whom it is about, unless the
 * port is connected. */
static void refill(const struct ki_posix *r, struct ki_posix_port *p)
{
    struct ki_posix_errors *errors = &p->errors;
    if (errors->count == 0) {
        (void)read_queue(r, p, 0, &p->port.remote);
    }
    if (errors->count == 0 && errors->failed_with != 0) {
        const struct ki_posix_report own = {
            .peer = p->port.remote,
            .err = ki_posix_map(errors->failed_with),
            .sys_err = errors->failed_with,
        };
        store(errors, &own);
    }
    errors->failed_with = 0;
}

void ki_posix_error_tell(const struct ki_posix *r, struct ki_posix_port *p)
{
    struct ki_posix_errors *errors = &p->errors;
    refill(r, p);
    if (errors->count == 0) {
        return;
    }
    const struct ki_posix_report *report = &errors->report[errors->first];
    errors->first = (errors->first + 1) % KI_POSIX_REPORTS_MAX;
    errors->count--;
    p->port.rx_flags |= KI_RX_ERROR;
    if ((errors->count | errors->is_known) != 0) {
        p->port.rx_flags |= KI_RX_MORE;
    }
    p->port.rx_error.peer = report->peer;
    p->port.rx_error.err = report->err;
    p->port.rx_error.sys_err = report->sys_err;
    p->port.rx_error.path_mtu = report->path_mtu;
    p->port.rx_error.origin = report->origin;
    p->port.rx_error.icmp_type = report->icmp_type;
    p->port.rx_error.icmp_code = report->icmp_code;
}

/* ---- sending --------------------------------------------------------------------------------- */

/* Whether an address is none of this host: whoever binds to it is told so. */
static bool is_foreign(const struct ki_posix *r, const struct kirim_addr *addr, uint32_t ifindex)
{
    const bool is_ipv6 = kirim_addr_family(addr) == KIRIM_IPV6;
    struct kirim_addr host = *addr;
    union ki_posix_name name;
    kirim_addr_set_port(&host, 0);
    const socklen_t bytes = ki_name_write(&name, &host, is_ipv6);
    if (is_ipv6 && ifindex != 0) {
        name.ipv6.sin6_scope_id = ifindex;
    }
    const int fd = ki_posix_udp_socket(r, is_ipv6);
    if (fd < 0) {
        return false;
    }
    const bool answer = r->sys->bind(fd, &name.any, bytes) < 0 && errno == EADDRNOTAVAIL;
    (void)r->sys->close(fd);
    return answer;
}

/* What a refusal means where the source may be at fault: Linux says "invalid" or "no route" of an
 * address that is not, or no longer, this host's, and "invalid" of a loopback address that is to
 * leave the host. */
static kirim_err explain(const struct ki_posix *r, const struct ki_posix_port *p,
                         const struct ki_entry *e, const struct kirim_addr *dest,
                         const struct ki_refusal *why)
{
    const bool has_source =
        e->control != NULL && kirim_addr_family(&e->control->source) != KIRIM_FAMILY_NONE;
    const struct kirim_addr *source = has_source ? &e->control->source : &p->port.local;
    if ((why->sys_err != EINVAL && why->sys_err != ENETUNREACH) || kirim_addr_is_wildcard(source)) {
        return why->err;
    }
    if (kirim_addr_is_loopback(source)) {
        return kirim_addr_is_loopback(dest) ? why->err : KIRIM_ENETUNREACH;
    }
    const uint32_t ifindex = e->control != NULL ? e->control->ifindex : 0;
    return is_foreign(r, source, ifindex) ? KIRIM_EADDRNOTAVAIL : why->err;
}

/* Whether an error that has no other explanation is the network's: with a full store the queue
 * cannot be read. The stack itself says "too long", too, and reports it each time: so that is asked
 * about only once. */
static bool is_likely(const struct ki_posix_errors *errors, const struct ki_entry *e, kirim_err err)
{
    return errors->count == KI_POSIX_REPORTS_MAX &&
           (err == KIRIM_ECONNRESET || err == KIRIM_ENETUNREACH ||
            (err == KIRIM_EMSGSIZE && e->status < KI_STALE_ONE));
}

void ki_posix_error_judge(const struct ki_posix *r, struct ki_posix_port *p,
                          const struct ki_entry *e, struct ki_refusal *why)
{
    struct ki_posix_errors *errors = &p->errors;
    const bool has_peer = kirim_addr_family(&e->peer) != KIRIM_FAMILY_NONE;
    const struct kirim_addr *dest = has_peer ? &e->peer : &p->port.remote;
    const bool is_found = read_queue(r, p, why->sys_err, dest);
    const kirim_err own = is_found ? why->err : explain(r, p, e, dest, why);
    p->port.errors_waiting = errors->count;
    if (is_found || (own == why->err && is_likely(errors, e, own))) {
        why->is_stale = 1;
        return;
    }
    why->err = own;
}

/* ---- setting up ------------------------------------------------------------------------------ */

void ki_posix_error_probe(struct ki_posix *r, uint32_t *caps)
{
    const int is_on = 1;
    r->has_error_queue = 0;
    if (ki_posix_is_off("KIRIM_RECVERR")) {
        return;
    }
    const int fd = ki_posix_udp_socket(r, false);
    if (fd < 0) {
        return;
    }
    if (r->sys->setsockopt(fd, IPPROTO_IP, IP_RECVERR, &is_on, sizeof is_on) == 0) {
        r->has_error_queue = 1;
        *caps |= KIRIM_CAP_ERRORS;
    }
    (void)r->sys->close(fd);
}

/* Sets one of the two options, if it has another value. Whether it is as wanted. */
static bool set_queue(const struct ki_posix *r, struct ki_posix_setup *setup, int level, int name,
                      bool is_wanted)
{
    int value = 0;
    socklen_t bytes = sizeof value;
    if (setup->is_adopted && r->sys->getsockopt(setup->fd, level, name, &value, &bytes) < 0) {
        return !is_wanted; /* not every socket has both */
    }
    return (value != 0) == is_wanted ||
           ki_posix_set_option(r, setup, level, name, is_wanted ? 1 : 0) == 0;
}

void ki_posix_error_open(const struct ki_posix *r, struct ki_posix_port *p,
                         struct ki_posix_setup *setup)
{
    const bool is_wanted =
        r->has_error_queue != 0 && (setup->options->flags & KIRIM_ENDPOINT_NO_ERROR_QUEUE) == 0;
    /* The IPv4 one of an IPv6 socket too: it may be dual-stack, and ignores it if it is not. */
    const bool is_ipv4_set = set_queue(r, setup, IPPROTO_IP, IP_RECVERR, is_wanted);
    const bool is_ipv6_set =
        p->is_ipv6 != 0 && set_queue(r, setup, IPPROTO_IPV6, IPV6_RECVERR, is_wanted);
    p->errors.is_on = is_wanted && (p->is_ipv6 != 0 ? is_ipv6_set : is_ipv4_set);
    if (is_wanted && p->errors.is_on == 0) {
        ki_log(r->reactor.loop, KIRIM_LOG_DEBUG, "setsockopt: error queue", errno);
    }
}
