/* SPDX-License-Identifier: MIT
 *
 * The table behind ki_win_map(). It is searched from the start: what asks is on its way out of a
 * failed system call. Owns nothing. Any thread. Sources: see win_map.h.
 */
#include "win_map.h"

#include <stddef.h>
#include <winsock2.h>

struct map_row {
    int sys_err;
    kirim_err err;
};

static const struct map_row rows[] = {
    { WSAEWOULDBLOCK, KIRIM_EWOULDBLOCK },        /* S46 */
    { WSA_IO_PENDING, KIRIM_PENDING },            /* S48 */
    { WSAEACCES, KIRIM_EACCES },                  /* S30 */
    { WSAECONNRESET, KIRIM_ECONNRESET },          /* S31 */
    { WSAECONNREFUSED, KIRIM_ECONNRESET },        /* what Wine says in its place */
    { WSAEFAULT, KIRIM_EFAULT },                  /* S32 */
    { WSAEINPROGRESS, KIRIM_EINPROGRESS },        /* S33 */
    { WSAEALREADY, KIRIM_EINPROGRESS },           /* the same of an earlier request */
    { WSAEINTR, KIRIM_EINTR },                    /* S34 */
    { WSAEINVAL, KIRIM_EINVAL },                  /* S35 */
    { WSAEMSGSIZE, KIRIM_EMSGSIZE },              /* S36 */
    { WSAENETDOWN, KIRIM_ENETDOWN },              /* S37 */
    { WSASYSNOTREADY, KIRIM_ENETDOWN },           /* the same, of WSAStartup */
    { WSAENETRESET, KIRIM_ENETRESET },            /* S38 */
    { WSAENETUNREACH, KIRIM_ENETUNREACH },        /* S39 */
    { WSAEHOSTUNREACH, KIRIM_ENETUNREACH },       /* of an ICMP message */
    { WSAEHOSTDOWN, KIRIM_ENETUNREACH },          /* likewise */
    { WSAENOBUFS, KIRIM_ENOBUFS },                /* S40 */
    { WSAENOTCONN, KIRIM_ENOTCONN },              /* S41 */
    { WSAEDESTADDRREQ, KIRIM_ENOTCONN },          /* the same of an older provider */
    { WSAENOTSOCK, KIRIM_ENOTSOCK },              /* S42 */
    { WSAEBADF, KIRIM_ENOTSOCK },                 /* no handle at all is no socket either */
    { WSA_INVALID_HANDLE, KIRIM_ENOTSOCK },       /* of an event or of CancelIoEx */
    { WSAEOPNOTSUPP, KIRIM_EOPNOTSUPP },          /* S43 */
    { WSAENOPROTOOPT, KIRIM_EOPNOTSUPP },         /* an option that this system has not */
    { WSAEPROTONOSUPPORT, KIRIM_EOPNOTSUPP },     /* no such protocol is installed */
    { WSAEPROTOTYPE, KIRIM_EOPNOTSUPP },          /* likewise */
    { WSAESOCKTNOSUPPORT, KIRIM_EOPNOTSUPP },     /* likewise */
    { WSAVERNOTSUPPORTED, KIRIM_EOPNOTSUPP },     /* Winsock before 2.2 */
    { WSAESHUTDOWN, KIRIM_ESHUTDOWN },            /* S44 */
    { WSAETIMEDOUT, KIRIM_ETIMEDOUT },            /* S45 */
    { WSANOTINITIALISED, KIRIM_ENOTINITIALISED }, /* S47 */
    { WSA_OPERATION_ABORTED, KIRIM_EABORTED },    /* S49 */
    { WSAECONNABORTED, KIRIM_EABORTED },          /* of a provider that was taken away */
    { WSAEAFNOSUPPORT, KIRIM_EAFNOSUPPORT },
    { WSAEPFNOSUPPORT, KIRIM_EAFNOSUPPORT },
    { WSAEADDRINUSE, KIRIM_EADDRINUSE },
    { WSAEADDRNOTAVAIL, KIRIM_EADDRNOTAVAIL },
    { WSAEMFILE, KIRIM_EMFILE },
    { WSAEPROCLIM, KIRIM_EMFILE },
    { WSA_NOT_ENOUGH_MEMORY, KIRIM_ENOMEM },
    { WSA_INVALID_PARAMETER, KIRIM_EINVAL },
};

kirim_err ki_win_map(int sys_err)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].sys_err == sys_err) {
            return rows[i].err;
        }
    }
    return KIRIM_ESYSTEM;
}
