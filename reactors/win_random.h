/* SPDX-License-Identifier: MIT
 *
 * Random bytes on Windows. Owns nothing. Any thread.
 */
#ifndef KI_WIN_RANDOM_H
#define KI_WIN_RANDOM_H

#include <kirim/error.h>

/* Fills `out`, or fails with KIRIM_ESYSTEM, and nothing in it is of use. */
kirim_err ki_win_random(void *out, size_t bytes);

#endif
