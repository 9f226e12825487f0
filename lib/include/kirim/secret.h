/* SPDX-License-Identifier: MIT
 *
 * Bytes that others shall not learn: comparison whose time tells nothing, and erasure that the
 * compiler does not leave out. Owns nothing.
 */
#ifndef KIRIM_SECRET_H
#define KIRIM_SECRET_H

#include <kirim/config.h>

KIRIM_BEGIN_DECLS

/**
 * @brief Compares bytes in a time that depends on `bytes` alone, not on where they differ.
 *
 * @param a      `bytes` bytes.
 * @param b      `bytes` bytes.
 * @param bytes  How many; none are equal.
 * @return Whether all are equal.
 * @note Any thread.
 */
KIRIM_API bool kirim_secret_equal(const void *a, const void *b, size_t bytes);

/**
 * @brief Overwrites bytes with zeros, even if nobody reads them again.
 *
 * @param data   `bytes` bytes.
 * @param bytes  How many.
 * @note Any thread.
 */
KIRIM_API void kirim_secret_wipe(void *data, size_t bytes);

KIRIM_END_DECLS

#endif
