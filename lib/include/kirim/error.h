/* SPDX-License-Identifier: MIT
 *
 * Errors: one set of numbers on every system. A number never changes its meaning and is never used
 * again. Sources: the error table of the WSASendMsg reference page, errno(3).
 */
#ifndef KIRIM_ERROR_H
#define KIRIM_ERROR_H

#include <kirim/config.h>

/** What a call answers: KIRIM_OK, KIRIM_PENDING, or one of the negative errors below. */
typedef int kirim_err;

/** The answers. The rows S30..S49 are those of docs/send-contract.md. */
enum {
    KIRIM_OK = 0,            /**< Done. */
    KIRIM_PENDING = 1,       /**< Started; the operation's callback will come (S48). */
    KIRIM_EACCES = -1,       /**< Not permitted, e.g. broadcast without the option (S30). */
    KIRIM_ECONNRESET = -2,   /**< The peer ended it, or an earlier send met a closed port (S31). */
    KIRIM_EFAULT = -3,       /**< A NULL where bytes were announced (S32). */
    KIRIM_EINPROGRESS = -4,  /**< The provider is still busy with an earlier call (S33). */
    KIRIM_EINTR = -5,        /**< A blocking call was cancelled (S34). */
    KIRIM_EINVAL = -6,       /**< Misuse: an argument or the moment is wrong (S35). */
    KIRIM_EMSGSIZE = -7,     /**< Longer than a datagram may be (S36). */
    KIRIM_ENETDOWN = -8,     /**< The network subsystem failed (S37). */
    KIRIM_ENETRESET = -9,    /**< The time to live of a datagram expired (S38). */
    KIRIM_ENETUNREACH = -10, /**< No route to the network or host (S39). */
    KIRIM_ENOBUFS = -11,     /**< The system is out of buffers (S40). */
    KIRIM_ENOTCONN = -12,    /**< No destination, and the endpoint is not connected (S41). */
    KIRIM_ENOTSOCK = -13,    /**< The descriptor is no socket (S42). */
    KIRIM_EOPNOTSUPP = -14,  /**< This endpoint, reactor or system cannot do it (S43). */
    KIRIM_ESHUTDOWN = -15,   /**< The sending side was shut down (S44). */
    KIRIM_ETIMEDOUT = -16,   /**< The deadline passed (S45). */
    KIRIM_EWOULDBLOCK = -17, /**< Full now; `writable` will be called once there is room (S46). */
    KIRIM_ENOTINITIALISED = -18, /**< The network subsystem was not started (S47). */
    KIRIM_EABORTED = -19,        /**< Cancelled, discarded, or its endpoint was closed (S49). */
    KIRIM_ENOMEM = -20,          /**< The allocator gave nothing. */
    KIRIM_EADDRINUSE = -21,      /**< The address and port are taken. */
    KIRIM_EADDRNOTAVAIL = -22,   /**< The address or interface is not one of this host. */
    KIRIM_EAFNOSUPPORT = -23,    /**< The address family is not available. */
    KIRIM_EMFILE = -24,          /**< Out of descriptors or handles. */
    KIRIM_ECLOSED = -25,         /**< The endpoint or the loop is closed. */
    KIRIM_ENOENT = -26,          /**< No reactor, host or object of this name. */
    KIRIM_EEXIST = -27,          /**< The name or object is there already. */
    KIRIM_EBUSY = -28,           /**< In use; the call can be made later. */
    KIRIM_ESYSTEM = -29          /**< A system's error with no name here; see its code. */
};

KIRIM_BEGIN_DECLS

/**
 * @brief Name of an error, e.g. "KIRIM_EMSGSIZE".
 *
 * @param err  Any number.
 * @return Static, never NULL; "KIRIM_E?" for a number that is none of the above.
 * @note Any thread.
 */
KIRIM_API const char *kirim_err_name(kirim_err err);

/**
 * @brief One line about an error, for people.
 *
 * @param err  Any number.
 * @return Static, never NULL, without a full stop.
 * @note Any thread.
 */
KIRIM_API const char *kirim_err_text(kirim_err err);

KIRIM_END_DECLS

#endif
