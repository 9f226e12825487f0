/* SPDX-License-Identifier: MIT
 *
 * Addresses of A and AAAA records as text, read exactly: an IPv4-mapped address stays what it is,
 * and ports and scopes do not exist. Sources: RFC 1035 section 3.4.1, RFC 4291 section 2.2.
 */
#include <string.h>

#include "form.h"

enum { GROUP_COUNT = 8 };

bool ki_dns_ipv4_parse(const char *text, size_t bytes, uint8_t out[4])
{
    size_t at = 0;
    for (size_t i = 0; i < 4; i++) {
        if (i > 0 && (at == bytes || text[at++] != '.')) {
            return false;
        }
        const size_t begin = at;
        unsigned octet = 0;
        while (at < bytes && at - begin < 3 && text[at] >= '0' && text[at] <= '9') {
            octet = octet * 10 + (unsigned)(text[at++] - '0');
        }
        if (at == begin || octet > UINT8_MAX || (at - begin > 1 && text[begin] == '0')) {
            return false;
        }
        out[i] = (uint8_t)octet;
    }
    return at == bytes;
}

/* Value of a hexadecimal digit, or -1. */
static int hex_value(char digit)
{
    if (digit >= '0' && digit <= '9') {
        return digit - '0';
    }
    const char folded = (char)ki_dns_fold((uint8_t)digit);
    return folded >= 'a' && folded <= 'f' ? folded - 'a' + 10 : -1;
}

/* Reads up to four digits; false if there is none, or a fifth. */
static bool take_group(const char *text, size_t bytes, size_t *at, uint16_t *out)
{
    const size_t begin = *at;
    unsigned value = 0;
    while (*at < bytes && *at - begin < 4 && hex_value(text[*at]) >= 0) {
        value = value << 4 | (unsigned)hex_value(text[(*at)++]);
    }
    *out = (uint16_t)value;
    return *at > begin && (*at == bytes || text[*at] == ':');
}

/* What has been read of an IPv6 address. */
struct groups {
    uint16_t value[GROUP_COUNT];
    size_t count;
    size_t gap; /* how many stand before "::"; GROUP_COUNT + 1: there is none */
};

/* Reads the last two groups, written as an IPv4 address. */
static bool take_ipv4_end(const char *text, size_t bytes, struct groups *groups)
{
    uint8_t octets[4];
    if (groups->count > GROUP_COUNT - 2 || !ki_dns_ipv4_parse(text, bytes, octets)) {
        return false;
    }
    groups->value[groups->count++] = ki_dns_get16(octets);
    groups->value[groups->count++] = ki_dns_get16(octets + 2);
    return true;
}

static bool take_groups(const char *text, size_t bytes, struct groups *groups)
{
    size_t at = 0;
    if (bytes >= 2 && text[0] == ':' && text[1] == ':') {
        groups->gap = 0;
        at = 2;
    }
    while (at < bytes) {
        const size_t begin = at;
        if (groups->count == GROUP_COUNT) {
            return false;
        }
        if (!take_group(text, bytes, &at, &groups->value[groups->count])) {
            return take_ipv4_end(text + begin, bytes - begin, groups);
        }
        groups->count++;
        if (at == bytes) {
            return true;
        }
        at++; /* the colon */
        if (at < bytes && text[at] == ':') {
            if (groups->gap <= GROUP_COUNT) {
                return false;
            }
            groups->gap = groups->count;
            at++;
        } else if (at == bytes) {
            return false;
        }
    }
    return bytes > 0;
}

bool ki_dns_ipv6_parse(const char *text, size_t bytes, uint8_t out[16])
{
    struct groups groups = { .gap = GROUP_COUNT + 1 };
    if (!take_groups(text, bytes, &groups)) {
        return false;
    }
    const bool has_gap = groups.gap <= GROUP_COUNT;
    if (has_gap ? groups.count == GROUP_COUNT : groups.count != GROUP_COUNT) {
        return false;
    }
    const size_t before = has_gap ? groups.gap : GROUP_COUNT;
    const size_t skip = GROUP_COUNT - groups.count; /* groups that the gap stands for */
    memset(out, 0, 16);
    for (size_t i = 0; i < groups.count; i++) {
        ki_dns_put16(out + 2 * (i < before ? i : i + skip), groups.value[i]);
    }
    return true;
}
