/* SPDX-License-Identifier: MIT
 *
 * Addresses: packing, text, and the well-known ranges.
 *
 * The address bytes lie in word[0] and word[1] as they go over the wire, whatever the machine's
 * byte order; word[2] is a number. Text is read by a bounded cursor, character by character: no
 * locale, no system call, no octal. Owns nothing. Any thread. Sources: RFC 4291
 * sections 2.2, 2.4, 2.5.5.2 and 2.7, RFC 5952, RFC 4007 section 11, RFC 6052 section 2.4.
 */
#include <kirim/addr.h>

#include <string.h>

enum {
    IPV4_BYTES = 4,
    IPV6_BYTES = 16,
    GROUP_COUNT = 8, /* of 16 bits, in an IPv6 address */
    GROUP_DIGITS_MAX = 4,
    TAIL_GROUP_COUNT = 2,                      /* groups that an IPv4 address takes at the end */
    TEXT_LEN_MAX = 1 + 45 + 1 + 10 + 1 + 1 + 5 /* "[", address, "%", scope, "]", ":", port */
};

static const uint8_t mapped_prefix[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };
static const uint8_t nat64_prefix[12] = { 0x00, 0x64, 0xff, 0x9b };
static const uint8_t ipv6_loopback[IPV6_BYTES] = { [15] = 1 };

/* ---- values ---------------------------------------------------------------------------------- */

static struct kirim_addr pack_addr(const uint8_t *bytes, size_t len, uint64_t word2)
{
    struct kirim_addr a = { { 0, 0, word2 } };
    memcpy(a.word, bytes, len);
    return a;
}

/* RFC 4291: link-local unicast is fe80::/10; the last four bits of a multicast address's second
 * byte are its scope, 1 for the interface and 2 for the link, whatever the flags before them. */
static bool has_scope(const uint8_t bytes[IPV6_BYTES])
{
    const unsigned multicast_scope = bytes[1] & 0x0fU;
    return (bytes[0] == 0xfe && (bytes[1] & 0xc0U) == 0x80) ||
           (bytes[0] == 0xff && (multicast_scope == 1 || multicast_scope == 2));
}

struct kirim_addr kirim_addr_ipv4(const uint8_t bytes[4], uint16_t port)
{
    return pack_addr(bytes, IPV4_BYTES, (uint64_t)KIRIM_IPV4 << 48 | (uint64_t)port << 32);
}

struct kirim_addr kirim_addr_ipv6(const uint8_t bytes[16], uint16_t port, uint32_t scope)
{
    if (memcmp(bytes, mapped_prefix, sizeof mapped_prefix) == 0) {
        return kirim_addr_ipv4(bytes + sizeof mapped_prefix, port);
    }
    const uint64_t kept_scope = has_scope(bytes) ? scope : 0;
    return pack_addr(bytes, IPV6_BYTES,
                     (uint64_t)KIRIM_IPV6 << 48 | (uint64_t)port << 32 | kept_scope);
}

size_t kirim_addr_bytes(const struct kirim_addr *a, uint8_t bytes[16])
{
    memcpy(bytes, a->word, IPV6_BYTES);
    switch (kirim_addr_family(a)) {
    case KIRIM_IPV4:
        return IPV4_BYTES;
    case KIRIM_IPV6:
        return IPV6_BYTES;
    default:
        return 0;
    }
}

bool kirim_addr_is_wildcard(const struct kirim_addr *a)
{
    return kirim_addr_family(a) != KIRIM_FAMILY_NONE && (a->word[0] | a->word[1]) == 0;
}

bool kirim_addr_is_loopback(const struct kirim_addr *a)
{
    uint8_t bytes[IPV6_BYTES];
    const size_t len = kirim_addr_bytes(a, bytes);
    return (len == IPV4_BYTES && bytes[0] == 127) ||
           (len == IPV6_BYTES && memcmp(bytes, ipv6_loopback, IPV6_BYTES) == 0);
}

bool kirim_addr_is_multicast(const struct kirim_addr *a)
{
    uint8_t bytes[IPV6_BYTES];
    const size_t len = kirim_addr_bytes(a, bytes);
    return (len == IPV4_BYTES && (bytes[0] & 0xf0U) == 0xe0) ||
           (len == IPV6_BYTES && bytes[0] == 0xff);
}

/* ---- reading --------------------------------------------------------------------------------- */

struct cursor {
    const char *at;
    const char *end;
};

static bool is_at_end(const struct cursor *c)
{
    return c->at == c->end;
}

/* Steps over `wanted` if it is next. */
static bool skip_text(struct cursor *c, const char *wanted, size_t len)
{
    if ((size_t)(c->end - c->at) < len || memcmp(c->at, wanted, len) != 0) {
        return false;
    }
    c->at += len;
    return true;
}

static bool skip_char(struct cursor *c, char wanted)
{
    return skip_text(c, &wanted, 1);
}

/* The value of the next character as a digit to `base` (10 or 16), or -1. C promises that the
 * decimal digits follow each other; it does not promise that of the letters. */
static int peek_digit(const struct cursor *c, int base)
{
    static const char letters[] = "aAbBcCdDeEfF";
    if (is_at_end(c)) {
        return -1;
    }
    if (*c->at >= '0' && *c->at <= '9') {
        return *c->at - '0';
    }
    const char *const letter = base == 16 ? memchr(letters, *c->at, sizeof letters - 1) : NULL;
    return letter == NULL ? -1 : 10 + (int)(letter - letters) / 2;
}

/* A decimal number up to `max`, without leading zeros. */
static bool parse_decimal(struct cursor *c, uint32_t max, uint32_t *out)
{
    const char *const first = c->at;
    uint64_t value = 0;
    for (int digit = peek_digit(c, 10); digit >= 0; digit = peek_digit(c, 10)) {
        if (c->at != first && *first == '0') {
            return false;
        }
        value = value * 10 + (uint64_t)digit;
        if (value > max) {
            return false;
        }
        c->at++;
    }
    *out = (uint32_t)value;
    return c->at != first;
}

static bool parse_ipv4(struct cursor *c, uint8_t bytes[IPV4_BYTES])
{
    for (unsigned i = 0; i < IPV4_BYTES; i++) {
        uint32_t octet;
        if ((i > 0 && !skip_char(c, '.')) || !parse_decimal(c, 255, &octet)) {
            return false;
        }
        bytes[i] = (uint8_t)octet;
    }
    return true;
}

static bool parse_group(struct cursor *c, uint8_t bytes[2])
{
    unsigned value = 0;
    unsigned digit_count = 0;
    for (int digit = peek_digit(c, 16); digit >= 0; digit = peek_digit(c, 16)) {
        if (digit_count == GROUP_DIGITS_MAX) {
            return false;
        }
        value = value * 16 + (unsigned)digit;
        digit_count++;
        c->at++;
    }
    bytes[0] = (uint8_t)(value >> 8);
    bytes[1] = (uint8_t)value;
    return digit_count > 0;
}

/* Up to `count_max` groups with colons between; behind `tail_after` of them or more, an IPv4
 * address may stand for the last two. Stops before what is no group. Returns how many groups were
 * read. */
static unsigned parse_groups(struct cursor *c, unsigned tail_after, unsigned count_max,
                             uint8_t *bytes)
{
    unsigned count = 0;
    while (count < count_max) {
        uint8_t *const group = bytes + 2 * (size_t)count;
        struct cursor ahead = *c;
        if (count > 0 && !skip_char(&ahead, ':')) {
            break;
        }
        struct cursor tail = ahead;
        if (count >= tail_after && count + TAIL_GROUP_COUNT <= count_max &&
            parse_ipv4(&tail, group)) {
            *c = tail;
            return count + TAIL_GROUP_COUNT;
        }
        if (!parse_group(&ahead, group)) {
            break;
        }
        *c = ahead;
        count++;
    }
    return count;
}

/* "::" stands for one group at least (RFC 4291 section 2.2), so seven are the most beside it. */
static bool parse_ipv6(struct cursor *c, uint8_t bytes[IPV6_BYTES])
{
    uint8_t right[IPV6_BYTES];
    const unsigned left_count = parse_groups(c, GROUP_COUNT - TAIL_GROUP_COUNT, GROUP_COUNT, bytes);
    if (left_count == GROUP_COUNT) {
        return true;
    }
    if (!skip_text(c, "::", 2)) {
        return false;
    }
    const unsigned right_count = parse_groups(c, 0, GROUP_COUNT - 1 - left_count, right);
    memset(bytes + 2 * (size_t)left_count, 0, IPV6_BYTES - 2 * (size_t)left_count);
    memcpy(bytes + IPV6_BYTES - 2 * (size_t)right_count, right, 2 * (size_t)right_count);
    return true;
}

/* ":port" up to the end, or the end at once: port 0. */
static bool parse_port(struct cursor *c, uint16_t *port)
{
    uint32_t value = 0;
    if (skip_char(c, ':') && !parse_decimal(c, UINT16_MAX, &value)) {
        return false;
    }
    *port = (uint16_t)value;
    return is_at_end(c);
}

static bool parse_ipv4_text(struct cursor c, struct kirim_addr *out)
{
    uint8_t bytes[IPV4_BYTES];
    uint16_t port;
    if (!parse_ipv4(&c, bytes) || !parse_port(&c, &port)) {
        return false;
    }
    *out = kirim_addr_ipv4(bytes, port);
    return true;
}

static bool parse_ipv6_text(struct cursor c, struct kirim_addr *out)
{
    uint8_t bytes[IPV6_BYTES];
    uint32_t scope = 0;
    uint16_t port = 0;
    const bool is_bracketed = skip_char(&c, '[');
    if (!parse_ipv6(&c, bytes)) {
        return false;
    }
    /* What the address cannot keep is refused, not dropped. */
    if (skip_char(&c, '%') && (!has_scope(bytes) || !parse_decimal(&c, UINT32_MAX, &scope))) {
        return false;
    }
    if (is_bracketed && (!skip_char(&c, ']') || !parse_port(&c, &port))) {
        return false;
    }
    if (!is_at_end(&c)) {
        return false;
    }
    *out = kirim_addr_ipv6(bytes, port, scope);
    return true;
}

kirim_err kirim_addr_parse(const char *text, struct kirim_addr *out)
{
    if (text == NULL || out == NULL) {
        return KIRIM_EINVAL;
    }
    size_t len = 0;
    while (text[len] != '\0') {
        if (len == TEXT_LEN_MAX) {
            return KIRIM_EINVAL;
        }
        len++;
    }
    const struct cursor c = { text, text + len };
    return parse_ipv4_text(c, out) || parse_ipv6_text(c, out) ? KIRIM_OK : KIRIM_EINVAL;
}

/* ---- writing --------------------------------------------------------------------------------- */

/* Text that grows; KIRIM_ADDR_TEXT_BYTES is enough for all that is written here. */
struct writer {
    char text[KIRIM_ADDR_TEXT_BYTES];
    size_t len;
};

static void put_char(struct writer *w, char c)
{
    w->text[w->len++] = c;
}

static void put_number(struct writer *w, uint32_t value, uint32_t base)
{
    char reversed[10]; /* the decimal digits of UINT32_MAX */
    size_t count = 0;
    do {
        reversed[count++] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value != 0);
    while (count > 0) {
        put_char(w, reversed[--count]);
    }
}

static void put_ipv4(struct writer *w, const uint8_t bytes[IPV4_BYTES])
{
    for (unsigned i = 0; i < IPV4_BYTES; i++) {
        if (i > 0) {
            put_char(w, '.');
        }
        put_number(w, bytes[i], 10);
    }
}

/* The groups that "::" stands for: the longest run of zeros, the first of those, but no single
 * group (RFC 5952 section 4.2). */
struct run {
    unsigned first;
    unsigned count;
};

static struct run find_zero_run(const uint8_t *bytes, unsigned group_count)
{
    struct run best = { 0, 1 };
    struct run run = { 0, 0 };
    for (unsigned i = 0; i < group_count; i++) {
        const bool is_zero = (bytes[2 * (size_t)i] | bytes[2 * (size_t)i + 1]) == 0;
        run.count = is_zero ? run.count + 1 : 0;
        run.first = i + 1 - run.count;
        best = run.count > best.count ? run : best;
    }
    return best.count > 1 ? best : (struct run){ GROUP_COUNT, 0 };
}

/* The last 32 bits are written as an IPv4 address where the prefix says that they are one (RFC 5952
 * section 5); of the two prefixes that do, the mapped one does not occur in here. */
static void put_ipv6(struct writer *w, const uint8_t bytes[IPV6_BYTES])
{
    const bool has_tail = memcmp(bytes, nat64_prefix, sizeof nat64_prefix) == 0;
    const unsigned group_count = has_tail ? GROUP_COUNT - TAIL_GROUP_COUNT : GROUP_COUNT;
    const struct run zeros = find_zero_run(bytes, group_count);
    for (unsigned i = 0; i < group_count; i++) {
        if (i == zeros.first) {
            put_char(w, ':');
            put_char(w, ':');
            i += zeros.count - 1;
            continue;
        }
        if (i > 0 && i != zeros.first + zeros.count) {
            put_char(w, ':');
        }
        put_number(w, (uint32_t)bytes[2 * (size_t)i] << 8 | bytes[2 * (size_t)i + 1], 16);
    }
    if (has_tail) {
        put_ipv4(w, bytes + sizeof nat64_prefix); /* behind the "::" of the prefix */
    }
}

kirim_err kirim_addr_format(const struct kirim_addr *a, char *text, size_t bytes)
{
    struct writer w = { .len = 0 };
    uint8_t addr_bytes[IPV6_BYTES];
    const size_t len = kirim_addr_bytes(a, addr_bytes);
    if (len == IPV4_BYTES) {
        put_ipv4(&w, addr_bytes);
    } else if (len == IPV6_BYTES) {
        put_char(&w, '[');
        put_ipv6(&w, addr_bytes);
        if (kirim_addr_scope(a) != 0) {
            put_char(&w, '%');
            put_number(&w, kirim_addr_scope(a), 10);
        }
        put_char(&w, ']');
    } else {
        put_char(&w, '-');
    }
    if (len > 0) {
        put_char(&w, ':');
        put_number(&w, kirim_addr_port(a), 10);
    }
    put_char(&w, '\0');
    if (w.len > bytes) {
        if (bytes > 0) {
            text[0] = '\0';
        }
        return KIRIM_EMSGSIZE;
    }
    memcpy(text, w.text, w.len);
    return KIRIM_OK;
}
