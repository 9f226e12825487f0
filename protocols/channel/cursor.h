/* SPDX-License-Identifier: MIT
 *
 * A bounded cursor over bytes to be read or written, for wire.c and frame.c. A step past the end
 * fails, and so does every later one: check once, at the end. One thread.
 */
#ifndef KI_CHANNEL_CURSOR_H
#define KI_CHANNEL_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define KI_CHANNEL_VARINT_MAX ((UINT64_C(1) << 62) - 1)

struct ki_channel_reader {
    const uint8_t *data;
    size_t bytes, at;
    bool has_failed;
};

struct ki_channel_writer {
    uint8_t *data;
    size_t bytes, at;
    bool has_failed;
};

static inline size_t ki_channel_left(const struct ki_channel_reader *r)
{
    return r->bytes - r->at;
}

/* The next `bytes` bytes, or NULL. */
static inline const uint8_t *ki_channel_take(struct ki_channel_reader *r, uint64_t bytes)
{
    if (r->has_failed || bytes > ki_channel_left(r)) {
        r->has_failed = true;
        return NULL;
    }
    const uint8_t *const data = r->data + r->at;
    r->at += (size_t)bytes;
    return data;
}

/* A number of `bytes` bytes, at most 8; 0 if there is none. */
static inline uint64_t ki_channel_get(struct ki_channel_reader *r, size_t bytes)
{
    const uint8_t *const data = ki_channel_take(r, bytes);
    uint64_t number = 0;
    for (size_t i = 0; data != NULL && i < bytes; i++) {
        number = number << 8 | data[i];
    }
    return number;
}

static inline uint64_t ki_channel_get_varint(struct ki_channel_reader *r)
{
    if (r->has_failed || ki_channel_left(r) == 0) {
        r->has_failed = true;
        return 0;
    }
    const unsigned length = (r->data[r->at] >> 6) & 3U;
    const uint64_t number = ki_channel_get(r, (size_t)1 << length);
    return number & (KI_CHANNEL_VARINT_MAX >> (64U - (8U << length)));
}

static inline void ki_channel_copy_out(struct ki_channel_reader *r, uint8_t *out, size_t bytes)
{
    const uint8_t *const data = ki_channel_take(r, bytes);
    if (data != NULL) {
        memcpy(out, data, bytes);
    }
}

/* Room for `bytes` bytes, or NULL. */
static inline uint8_t *ki_channel_claim(struct ki_channel_writer *w, size_t bytes)
{
    if (w->has_failed || bytes > w->bytes - w->at) {
        w->has_failed = true;
        return NULL;
    }
    uint8_t *const data = w->data + w->at;
    w->at += bytes;
    return data;
}

static inline void ki_channel_put(struct ki_channel_writer *w, uint64_t number, size_t bytes)
{
    uint8_t *const data = ki_channel_claim(w, bytes);
    for (size_t i = 0; data != NULL && i < bytes; i++) {
        data[i] = (uint8_t)(number >> (8 * (bytes - 1 - i)));
    }
}

static inline size_t ki_channel_varint_bytes(uint64_t number)
{
    return number < 1U << 6 ? 1 : number < 1U << 14 ? 2 : number < 1U << 30 ? 4 : 8;
}

static inline void ki_channel_put_varint(struct ki_channel_writer *w, uint64_t number)
{
    const size_t bytes = ki_channel_varint_bytes(number);
    const uint64_t length = bytes == 1 ? 0 : bytes == 2 ? 1 : bytes == 4 ? 2 : 3;
    ki_channel_put(w, number | length << (8 * bytes - 2), bytes);
}

static inline void ki_channel_copy_in(struct ki_channel_writer *w, const uint8_t *data,
                                      size_t bytes)
{
    uint8_t *const room = ki_channel_claim(w, bytes);
    if (room != NULL && bytes > 0) {
        memcpy(room, data, bytes);
    }
}

#endif
