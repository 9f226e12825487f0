/* SPDX-License-Identifier: MIT
 *
 * Errors that the network reports late, for the POSIX reactors: the error queue of a socket.
 *
 * With IP_RECVERR the system keeps each report with the destination that it is about. The same
 * report also fails the next call on the socket, be it a receive or a send to somebody else (L48).
 * So no error of a call is believed before the queue was read: what it knows is told with its peer,
 * once, by ki_posix_receive(); and a send that failed with an error of the queue has not been tried
 * yet. A queue that is not read keeps the socket ready for ever (L47). Loop thread. Sources: ip(7)
 * (IP_RECVERR), ipv6(7), recvmsg(2) (MSG_ERRQUEUE), RFC 792, RFC 4443.
 */
#ifndef KI_POSIX_ERROR_H
#define KI_POSIX_ERROR_H

#include "reactor.h"

struct ki_posix;
struct ki_posix_port;
struct ki_posix_setup;

enum { KI_POSIX_REPORTS_MAX = 8 };

/* One report; as rx_error of struct ki_port. */
struct ki_posix_report {
    struct kirim_addr peer;
    kirim_err err;
    int sys_err;
    uint32_t path_mtu;
    uint8_t origin;
    uint8_t icmp_type;
    uint8_t icmp_code;
};

/* The reports of a port that were read and not told, in order; what does not fit stays in the
 * system's queue. */
struct ki_posix_errors {
    uint64_t count;
    uint64_t first;
    uint64_t is_known;     /* the system's queue is not empty, or was not a moment ago */
    uint64_t is_suspected; /* it may be: worth a look if nothing has arrived */
    uint64_t is_on;        /* the socket has such a queue */
    int failed_with;       /* by a receive, and not told; 0: by none */
    struct ki_posix_report report[KI_POSIX_REPORTS_MAX];
};

/* Finds out whether the system has error queues and the environment (KIRIM_RECVERR) permits them.
 * What cannot be found out is not used; never fails. */
void ki_posix_error_probe(struct ki_posix *r, uint32_t *caps);

/* Switches the queue of a port's socket on, or off if its options say so. */
void ki_posix_error_open(const struct ki_posix *r, struct ki_posix_port *p,
                         struct ki_posix_setup *setup);

/* A receive of the port failed with `sys_err`. True: it is worth another try, since the error will
 * be told, and is gone from the socket. */
bool ki_posix_error_note(struct ki_posix_port *p, int sys_err);

/* Hands over one report, if there is any, beside what receive() has found; called if errors.count
 * or errors.is_known is not 0. */
void ki_posix_error_tell(const struct ki_posix *r, struct ki_posix_port *p);

/* Completes what `why` says of the refused entry `e`, for which the system was not full: whether
 * the error is its own, and of what kind. */
void ki_posix_error_judge(const struct ki_posix *r, struct ki_posix_port *p,
                          const struct ki_entry *e, struct ki_refusal *why);

/* The error of a report: by its ICMP message, else by the system's code. */
kirim_err ki_posix_error_of(const struct ki_posix_report *report);

#endif
