/* SPDX-License-Identifier: MIT
 *
 * Names and texts of the errors: one table, whose rows are in the order of the numbers, from
 * KIRIM_PENDING down. Owns nothing. Any thread. Source: the error table of the WSASendMsg reference
 * page.
 */
#include <kirim/error.h>

struct error_row {
    const char *name;
    const char *text;
};

#define ROW(err, text) [KIRIM_PENDING - (err)] = { #err, text }

static const struct error_row rows[] = {
    ROW(KIRIM_PENDING, "Started; its end will be reported"),
    ROW(KIRIM_OK, "Success"),
    ROW(KIRIM_EACCES, "Not permitted"),
    ROW(KIRIM_ECONNRESET, "The peer ended it, or an earlier send met a closed port"),
    ROW(KIRIM_EFAULT, "A null pointer where bytes were announced"),
    ROW(KIRIM_EINPROGRESS, "The provider is busy with an earlier call"),
    ROW(KIRIM_EINTR, "A blocking call was cancelled"),
    ROW(KIRIM_EINVAL, "An argument, or the moment of the call, is wrong"),
    ROW(KIRIM_EMSGSIZE, "Too long"),
    ROW(KIRIM_ENETDOWN, "The network subsystem failed"),
    ROW(KIRIM_ENETRESET, "The time to live of a datagram expired"),
    ROW(KIRIM_ENETUNREACH, "No route to the network or host"),
    ROW(KIRIM_ENOBUFS, "The system is out of buffers"),
    ROW(KIRIM_ENOTCONN, "No destination, and the endpoint is not connected"),
    ROW(KIRIM_ENOTSOCK, "The descriptor is no socket"),
    ROW(KIRIM_EOPNOTSUPP, "Not supported by this endpoint, reactor or system"),
    ROW(KIRIM_ESHUTDOWN, "The sending side was shut down"),
    ROW(KIRIM_ETIMEDOUT, "The deadline passed"),
    ROW(KIRIM_EWOULDBLOCK, "The queue is full for now"),
    ROW(KIRIM_ENOTINITIALISED, "The network subsystem was not started"),
    ROW(KIRIM_EABORTED, "Cancelled, discarded, or closed before it was done"),
    ROW(KIRIM_ENOMEM, "Out of memory"),
    ROW(KIRIM_EADDRINUSE, "The address and port are taken"),
    ROW(KIRIM_EADDRNOTAVAIL, "The address is not one of this host"),
    ROW(KIRIM_EAFNOSUPPORT, "The address family is not available"),
    ROW(KIRIM_EMFILE, "Out of descriptors or handles"),
    ROW(KIRIM_ECLOSED, "The endpoint or the loop is closed"),
    ROW(KIRIM_ENOENT, "No reactor, host or object of this name"),
    ROW(KIRIM_EEXIST, "The name or object is there already"),
    ROW(KIRIM_EBUSY, "In use; try again later"),
    ROW(KIRIM_ESYSTEM, "An error of the system that has no name here; see its code"),
};

enum { ROW_COUNT = (int)(sizeof rows / sizeof rows[0]) };

_Static_assert(ROW_COUNT == KIRIM_PENDING - KIRIM_ESYSTEM + 1, "KIRIM_ESYSTEM is the last row");

static const struct error_row no_row = { "KIRIM_E?", "No error of kirim has this number" };

static const struct error_row *find_row(kirim_err err)
{
    /* Compared before the subtraction, which could overflow. */
    if (err > KIRIM_PENDING || err < KIRIM_ESYSTEM) {
        return &no_row;
    }
    return &rows[KIRIM_PENDING - err];
}

const char *kirim_err_name(kirim_err err)
{
    return find_row(err)->name;
}

const char *kirim_err_text(kirim_err err)
{
    return find_row(err)->text;
}
