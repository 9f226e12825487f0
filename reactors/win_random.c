/* SPDX-License-Identifier: MIT
 *
 * See win_random.h. Source: BCryptGenRandom with BCRYPT_USE_SYSTEM_PREFERRED_RNG.
 */
#include "win_random.h"

#include <windows.h>

#include <bcrypt.h>

kirim_err ki_win_random(void *out, size_t bytes)
{
    unsigned char *next = out;
    while (bytes != 0) {
        const ULONG count = bytes < MAXLONG ? (ULONG)bytes : MAXLONG;
        const NTSTATUS status = BCryptGenRandom(NULL, next, count, BCRYPT_USE_SYSTEM_PREFERRED_RNG);
        if (status < 0) {
            return KIRIM_ESYSTEM;
        }
        next += count;
        bytes -= count;
    }
    return KIRIM_OK;
}
