/* SPDX-License-Identifier: MIT
 *
 * Bytes taken from a message through a cursor that cannot pass its end, and 16- and 32-bit numbers
 * in network order. Owns nothing. Any thread.
 */
#ifndef KI_DNS_WIRE_H
#define KI_DNS_WIRE_H

#include <kirim/config.h>

/* `at` is never above `bytes`. */
struct ki_dns_cursor {
    const uint8_t *data;
    size_t bytes;
    size_t at;
};

static inline uint16_t ki_dns_get16(const uint8_t *data)
{
    return (uint16_t)(data[0] << 8 | data[1]);
}

static inline uint32_t ki_dns_get32(const uint8_t *data)
{
    return (uint32_t)ki_dns_get16(data) << 16 | ki_dns_get16(data + 2);
}

static inline void ki_dns_put16(uint8_t *data, uint16_t number)
{
    data[0] = (uint8_t)(number >> 8);
    data[1] = (uint8_t)number;
}

static inline void ki_dns_put32(uint8_t *data, uint32_t number)
{
    ki_dns_put16(data, (uint16_t)(number >> 16));
    ki_dns_put16(data + 2, (uint16_t)number);
}

static inline size_t ki_dns_left(const struct ki_dns_cursor *cursor)
{
    return cursor->bytes - cursor->at;
}

/* Takes `bytes` of them; NULL, and the cursor stays, if there are not so many. */
static inline const uint8_t *ki_dns_take(struct ki_dns_cursor *cursor, size_t bytes)
{
    if (bytes > ki_dns_left(cursor)) {
        return NULL;
    }
    const uint8_t *const data = cursor->data + cursor->at;
    cursor->at += bytes;
    return data;
}

static inline uint8_t ki_dns_fold(uint8_t byte)
{
    return byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte + ('a' - 'A')) : byte;
}

#endif
