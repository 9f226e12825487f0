/* SPDX-License-Identifier: MIT
 *
 * Secrets: see kirim/secret.h. Volatile accesses keep a compiler from leaving early, and from
 * leaving out what it can prove to be dead. Owns nothing. Any thread.
 */
#include <kirim/secret.h>

bool kirim_secret_equal(const void *a, const void *b, size_t bytes)
{
    const volatile uint8_t *const left = a;
    const volatile uint8_t *const right = b;
    unsigned difference = 0;
    for (size_t i = 0; i < bytes; i++) {
        difference |= (unsigned)left[i] ^ (unsigned)right[i];
    }
    return difference == 0;
}

void kirim_secret_wipe(void *data, size_t bytes)
{
    volatile uint8_t *const at = data;
    for (size_t i = 0; i < bytes; i++) {
        at[i] = 0;
    }
}
