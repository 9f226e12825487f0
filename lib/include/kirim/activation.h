/* SPDX-License-Identifier: MIT
 *
 * Socket activation: sockets that a service manager has opened and bound for this process, by the
 * protocol of systemd (LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES).
 *
 * The manager holds the port, so that the service needs no privilege for it and loses nothing while
 * it is restarted. Take a descriptor here, and open an endpoint that adopts it
 * (KIRIM_ENDPOINT_ADOPT): it is the endpoint's then, and no child process inherits it.
 *
 * Nothing is kept and nothing is changed: each call reads the environment, which must not be
 * changed by another thread meanwhile. The variables are left there, for taking them out is not
 * safe beside threads; they name the process they are for, so that its children do not take them
 * for theirs. A program that replaces itself (exec) keeps its number, and removes LISTEN_PID
 * before. Source: sd_listen_fds(3).
 */
#ifndef KIRIM_ACTIVATION_H
#define KIRIM_ACTIVATION_H

#include <kirim/config.h>
#include <kirim/error.h>

/** Bytes that every name of a descriptor fits in, the closing zero included. */
#define KIRIM_ACTIVATION_NAME_BYTES 256

KIRIM_BEGIN_DECLS

/**
 * @brief How many descriptors this process was handed.
 *
 * @return 0 if there are none: the variables are missing, are for another process, or are not
 *         exactly what the protocol says. Always 0 on systems without it.
 * @note Any thread, while none changes the environment.
 */
KIRIM_API size_t kirim_activation_count(void);

/**
 * @brief One of the descriptors, in the order of the manager's configuration.
 *
 * What it is has not been looked at: adopting it tells (KIRIM_EOPNOTSUPP for a stream,
 * KIRIM_EAFNOSUPPORT for a datagram socket of another family, KIRIM_ENOTSOCK for a file).
 *
 * @param index  0 .. kirim_activation_count()-1.
 * @param out    The descriptor; the process's own, open until an endpoint that adopted it is
 *               closed. Written on success only.
 * @retval KIRIM_OK      Written.
 * @retval KIRIM_ENOENT  There are not so many.
 * @retval KIRIM_EINVAL  NULL.
 * @note Any thread, while none changes the environment.
 */
KIRIM_API kirim_err kirim_activation_descriptor(size_t index, intptr_t *out);

/**
 * @brief Name of one of the descriptors (FileDescriptorName= of systemd.socket(5)).
 *
 * @param index  0 .. kirim_activation_count()-1.
 * @param name   Gets the name, zero-terminated; several descriptors may have the same. Written on
 *               success only.
 * @param bytes  Room at `name`; KIRIM_ACTIVATION_NAME_BYTES suffices for every name.
 * @retval KIRIM_OK        Written.
 * @retval KIRIM_ENOENT    There are not so many, or no names: they were not handed over, or are not
 *                         one printable name of at most 255 bytes for each descriptor.
 * @retval KIRIM_EMSGSIZE  `bytes` is too small.
 * @retval KIRIM_EINVAL    NULL.
 * @note Any thread, while none changes the environment.
 */
KIRIM_API kirim_err kirim_activation_name(size_t index, char *name, size_t bytes);

/**
 * @brief Looks for a descriptor by its name.
 *
 * @param name   The name.
 * @param first  Index at which the search begins: 0, or one more than what the search before found.
 * @param index  Gets the index; written on success only.
 * @retval KIRIM_OK      Found.
 * @retval KIRIM_ENOENT  None from `first` on has this name, or there are no names.
 * @retval KIRIM_EINVAL  NULL.
 * @note Any thread, while none changes the environment.
 */
KIRIM_API kirim_err kirim_activation_find(const char *name, size_t first, size_t *index);

KIRIM_END_DECLS

#endif
