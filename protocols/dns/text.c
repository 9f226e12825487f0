/* SPDX-License-Identifier: MIT
 *
 * Text written piece by piece: see text.h. Escapes are those of RFC 1035 section 5.1.
 */
#include "text.h"

#include <string.h>

void ki_dns_text_init(struct ki_dns_text *text, char *data, size_t room)
{
    *text = (struct ki_dns_text){ .data = data, .room = room };
    data[0] = '\0';
}

void ki_dns_text_bytes(struct ki_dns_text *text, const void *data, size_t bytes)
{
    const size_t left = text->room - 1 - text->bytes;
    const size_t count = bytes < left ? bytes : left;
    if (count > 0) {
        memcpy(text->data + text->bytes, data, count);
    }
    text->bytes += count;
    text->data[text->bytes] = '\0';
    text->is_cut = text->is_cut || count < bytes;
}

void ki_dns_text_byte(struct ki_dns_text *text, uint8_t byte)
{
    ki_dns_text_bytes(text, &byte, 1);
}

void ki_dns_text_string(struct ki_dns_text *text, const char *string)
{
    ki_dns_text_bytes(text, string, strlen(string));
}

void ki_dns_text_number(struct ki_dns_text *text, uint64_t number)
{
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    ki_dns_text_bytes(text, digits + at, sizeof digits - at);
}

void ki_dns_text_hex(struct ki_dns_text *text, const uint8_t *data, size_t bytes)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < bytes && !text->is_cut; i++) {
        const char pair[2] = { digits[data[i] >> 4], digits[data[i] & 15] };
        ki_dns_text_bytes(text, pair, sizeof pair);
    }
}

void ki_dns_text_escape(struct ki_dns_text *text, uint8_t byte)
{
    const char escape[4] = { '\\', (char)('0' + byte / 100), (char)('0' + byte / 10 % 10),
                             (char)('0' + byte % 10) };
    ki_dns_text_bytes(text, escape, sizeof escape);
}
