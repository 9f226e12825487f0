/* SPDX-License-Identifier: MIT
 *
 * The table behind ki_posix_map(). It is searched from the start: what asks is on its way out of a
 * failed system call. Owns nothing. Any thread. Sources: see posix_map.h.
 */
#include "posix_map.h"

#include <errno.h>
#include <stddef.h>

struct map_row {
    int sys_err;
    kirim_err err;
};

static const struct map_row rows[] = {
    { EAGAIN, KIRIM_EWOULDBLOCK },
    { EWOULDBLOCK, KIRIM_EWOULDBLOCK }, /* the same number on Linux, another elsewhere */
    /* A closed port is "refused" on a datagram socket here, and "reset" to Winsock (S31). */
    { ECONNREFUSED, KIRIM_ECONNRESET },
    { ECONNRESET, KIRIM_ECONNRESET },
    { ENETUNREACH, KIRIM_ENETUNREACH },
    { EHOSTUNREACH, KIRIM_ENETUNREACH },
    { EHOSTDOWN, KIRIM_ENETUNREACH },
    { ENONET, KIRIM_ENETUNREACH }, /* of an ICMP message: its host is isolated */
    { ENETDOWN, KIRIM_ENETDOWN },
    { ENETRESET, KIRIM_ENETRESET },
    { ENOBUFS, KIRIM_ENOBUFS },
    { EMSGSIZE, KIRIM_EMSGSIZE },
    { EDESTADDRREQ, KIRIM_ENOTCONN }, /* what sendmsg says without a destination (S41) */
    { ENOTCONN, KIRIM_ENOTCONN },
    { EPIPE, KIRIM_ESHUTDOWN },
    { ESHUTDOWN, KIRIM_ESHUTDOWN },
    { EACCES, KIRIM_EACCES },
    { EPERM, KIRIM_EACCES },
    { EINVAL, KIRIM_EINVAL },
    { EFAULT, KIRIM_EFAULT },
    { EINTR, KIRIM_EINTR },
    { EINPROGRESS, KIRIM_EINPROGRESS },
    { EALREADY, KIRIM_EINPROGRESS },
    { ETIMEDOUT, KIRIM_ETIMEDOUT },
    { ECANCELED, KIRIM_EABORTED },
    { ENOTSOCK, KIRIM_ENOTSOCK },
    { EBADF, KIRIM_ENOTSOCK }, /* no descriptor at all is no socket either (S42) */
    { EOPNOTSUPP, KIRIM_EOPNOTSUPP },
    { ENOTSUP, KIRIM_EOPNOTSUPP }, /* the same number on Linux, another elsewhere */
    { ENOSYS, KIRIM_EOPNOTSUPP },
    { ENOPROTOOPT, KIRIM_EOPNOTSUPP },
    { EPROTONOSUPPORT, KIRIM_EOPNOTSUPP },
    { ESOCKTNOSUPPORT, KIRIM_EOPNOTSUPP },
    { EAFNOSUPPORT, KIRIM_EAFNOSUPPORT },
    { EPFNOSUPPORT, KIRIM_EAFNOSUPPORT },
    { EADDRINUSE, KIRIM_EADDRINUSE },
    { EADDRNOTAVAIL, KIRIM_EADDRNOTAVAIL },
    { ENODEV, KIRIM_EADDRNOTAVAIL }, /* of an interface that this host has not */
    { EMFILE, KIRIM_EMFILE },
    { ENFILE, KIRIM_EMFILE },
    { ENOMEM, KIRIM_ENOMEM },
    { ENOSPC, KIRIM_ENOMEM }, /* epoll_ctl: the user's limit of watched descriptors */
    { ENOENT, KIRIM_ENOENT },
    { EEXIST, KIRIM_EEXIST },
    { EBUSY, KIRIM_EBUSY },
};

kirim_err ki_posix_map(int sys_err)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].sys_err == sys_err) {
            return rows[i].err;
        }
    }
    return KIRIM_ESYSTEM;
}
