/* SPDX-License-Identifier: MIT
 *
 * Which names of files a server takes, on every system the same.
 *
 * A name that passed holds no way out of a root directory on Linux or Windows, links aside, which
 * only who opens the file can see. Owns nothing. Any thread. Sources: RFC 1350, and the naming
 * rules of Windows ("Naming Files, Paths, and Namespaces").
 */
#ifndef KIRIM_TFTP_PATH_H
#define KIRIM_TFTP_PATH_H

#include "tftp.h"

/** Bounds of a name. */
enum {
    KIRIM_TFTP_PATH_BYTES_MAX = 512,      /**< Of all of it, its zero included. */
    KIRIM_TFTP_COMPONENT_BYTES_MAX = 255, /**< Between two slashes. */
    KIRIM_TFTP_COMPONENT_COUNT_MAX = 32   /**< Directories and the file. */
};

/**
 * @brief Checks a name and writes it as a path relative to the root.
 *
 * Components stand between slashes; slashes in front, doubled ones and components "." are left out.
 * Refused are: "..", no component at all, a slash at the end, bytes below 0x20 and 0x7f,
 * backslashes, colons (drives, alternate streams) and the wildcards and brackets that Windows
 * reserves, components that end in a dot or a blank, the names of devices (CON, NUL, COM1 and their
 * like, with any extension), and whatever is over the bounds above.
 *
 * @param name  As a request has it.
 * @param out   Gets the path, zero-terminated; written on success only.
 * @retval KIRIM_OK      Taken.
 * @retval KIRIM_EACCES  Refused.
 * @note Any thread.
 */
kirim_err kirim_tftp_path_check(struct kirim_tftp_span name, char out[KIRIM_TFTP_PATH_BYTES_MAX]);

#endif
