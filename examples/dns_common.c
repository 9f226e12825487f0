/* SPDX-License-Identifier: MIT
 *
 * What the programs that answer DNS questions share: see dns_common.h.
 */
#include "dns_common.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <kirim/secret.h>

enum {
    READ_BYTES = 65536,
    SECRET_FILE_BYTES_MAX = 4096,
    KEY_DIGITS = 2 * KIRIM_SIPHASH_KEY_BYTES,
    SLOT_COUNT = 65536 /* 2 MiB: answers of the last second */
};

static const uint64_t NS_PER_S = 1000000000;
static const uint64_t LOOK_S = 60;

uint8_t *dns_load_file(const struct cli *cli, const char *path, size_t bytes_max, size_t *bytes)
{
    FILE *const file = fopen(path, "rb");
    uint8_t *data = NULL;
    bool is_whole = false;
    int failure = file == NULL ? errno : 0;
    *bytes = 0;
    while (file != NULL && !is_whole && *bytes < bytes_max) {
        uint8_t *const larger = realloc(data, *bytes + READ_BYTES);
        if (larger == NULL) {
            failure = ENOMEM;
            break;
        }
        data = larger;
        const size_t count = fread(data + *bytes, 1, READ_BYTES, file);
        *bytes += count;
        is_whole = count < READ_BYTES && ferror(file) == 0;
        if (count < READ_BYTES && !is_whole) {
            failure = errno;
            break;
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    if (!is_whole) {
        if (failure != 0) {
            cli_say(cli, "'%s' cannot be read: %s", path, strerror(failure));
        } else {
            cli_say(cli, "'%s' has more than %zu bytes", path, bytes_max);
        }
        free(data);
        return NULL;
    }
    return data;
}

/* ---- keys ------------------------------------------------------------------------------------ */

static int digit_of(uint8_t c)
{
    static const char digits[] = "0123456789abcdef";
    const char *const at = c != '\0' ? strchr(digits, c >= 'A' && c <= 'F' ? c + 32 : c) : NULL;
    return at != NULL ? (int)(at - digits) : -1;
}

/* Keys between blanks. False: there is something else, or none, or too many. */
static bool parse_keys(const uint8_t *text, size_t bytes, struct kirim_dns_cookie_keys *keys)
{
    size_t at = 0;
    keys->count = 0;
    while (at < bytes) {
        uint8_t key[KIRIM_SIPHASH_KEY_BYTES] = { 0 };
        if (text[at] == '\n' || text[at] == '\r' || text[at] == ' ') {
            at++;
            continue;
        }
        for (size_t i = 0; i < KEY_DIGITS; i++) {
            const int digit = at + i < bytes ? digit_of(text[at + i]) : -1;
            if (digit < 0) {
                return false;
            }
            key[i / 2] = (uint8_t)(key[i / 2] << 4 | digit);
        }
        at += KEY_DIGITS;
        const bool is_ended = at == bytes || digit_of(text[at]) < 0;
        if (!is_ended || kirim_dns_cookie_keys_add(keys, key) < 0) {
            return false;
        }
    }
    return keys->count > 0;
}

static bool read_keys(struct dns_guard *g)
{
    struct kirim_dns_cookie_keys keys;
    size_t bytes = 0;
    uint8_t *const text = dns_load_file(g->cli, g->secret_file, SECRET_FILE_BYTES_MAX, &bytes);
    if (text == NULL) {
        return false;
    }
    const bool is_good = parse_keys(text, bytes, &keys);
    kirim_secret_wipe(text, bytes);
    free(text);
    if (is_good) {
        g->guard.keys = keys;
    } else {
        cli_say(g->cli, "%s: not one or two keys of %d hexadecimal digits", g->secret_file,
                KEY_DIGITS);
    }
    kirim_secret_wipe(&keys, sizeof keys);
    return is_good;
}

static bool make_key(struct dns_guard *g)
{
    uint8_t key[KIRIM_SIPHASH_KEY_BYTES];
    const kirim_err err = kirim_loop_random(g->loop, key, sizeof key);
    if (err < 0) {
        return cli_fail(g->cli, err, "random bytes") == CLI_SUCCESS;
    }
    kirim_dns_cookie_keys_rotate(&g->guard.keys, key);
    kirim_secret_wipe(key, sizeof key);
    g->rotation_ns = kirim_loop_now(g->loop) + KIRIM_DNS_COOKIE_AGE_MAX_S * NS_PER_S;
    return true;
}

/* Keys, and the time since 1970, which the loop's clock does not tell and which may be set. */
static bool look_again(struct dns_guard *g)
{
    g->guard.unix_offset_ns = (uint64_t)time(NULL) * NS_PER_S - kirim_loop_now(g->loop);
    if (g->secret_file != NULL) {
        return read_keys(g);
    }
    return kirim_loop_now(g->loop) < g->rotation_ns || make_key(g);
}

static void on_time(struct kirim_timer *timer)
{
    struct dns_guard *const g = timer->user;
    (void)look_again(g); /* what was, goes on */
    (void)kirim_timer_arm_after(g->loop, timer, LOOK_S * NS_PER_S);
}

/* ---- the guard ------------------------------------------------------------------------------- */

void dns_guard_check(struct dns_guard *g, const struct cli *cli)
{
    static const struct {
        const char *name;
        int cookies;
    } modes[] = { { "off", KIRIM_DNS_COOKIES_OFF },
                  { "on", KIRIM_DNS_COOKIES_ON },
                  { "require", KIRIM_DNS_COOKIES_REQUIRED } };
    size_t i = 0;
    g->cli = cli;
    g->guard.cookies = KIRIM_DNS_COOKIES_ON;
    while (g->mode != NULL && i < sizeof modes / sizeof modes[0] &&
           strcmp(g->mode, modes[i].name) != 0) {
        i++;
    }
    if (i == sizeof modes / sizeof modes[0]) {
        cli_fail_usage(cli, "--cookies: '%s' is not off, on or require", g->mode);
    }
    if (g->mode != NULL) {
        g->guard.cookies = modes[i].cookies;
    }
    if (g->is_slip && !g->is_rrl) {
        cli_fail_usage(cli, "--rrl-slip needs --rrl");
    }
    if (g->secret_file != NULL && g->guard.cookies == KIRIM_DNS_COOKIES_OFF) {
        cli_fail_usage(cli, "--cookie-secret-file needs cookies");
    }
}

static bool start_limiter(struct dns_guard *g)
{
    struct kirim_limiter_options options = KIRIM_LIMITER_OPTIONS_INIT;
    const kirim_err err = kirim_loop_random(g->loop, options.key, sizeof options.key);
    g->slots = calloc(SLOT_COUNT, sizeof *g->slots);
    if (err < 0 || g->slots == NULL) {
        return cli_fail(g->cli, err < 0 ? err : KIRIM_ENOMEM, "--rrl") == CLI_SUCCESS;
    }
    options.rate = (struct kirim_rate){ (uint32_t)g->rrl, (uint32_t)g->rrl };
    options.slip = g->is_slip ? (uint16_t)g->rrl_slip : options.slip;
    options.slots = g->slots;
    options.slot_count = SLOT_COUNT;
    (void)kirim_limiter_init(&g->limiter, &options); /* nothing in it can be wrong */
    g->guard.limiter = &g->limiter;
    return true;
}

bool dns_guard_start(struct dns_guard *g, struct kirim_loop *loop)
{
    g->loop = loop;
    if (g->is_rrl && !start_limiter(g)) {
        return false;
    }
    if (g->guard.cookies == KIRIM_DNS_COOKIES_OFF) {
        return true;
    }
    g->timer = (struct kirim_timer)KIRIM_TIMER_INIT(on_time, g);
    return look_again(g) && kirim_timer_arm_after(loop, &g->timer, LOOK_S * NS_PER_S) == KIRIM_OK;
}

void dns_guard_end(struct dns_guard *g)
{
    free(g->slots);
    g->slots = NULL;
    kirim_secret_wipe(&g->guard.keys, sizeof g->guard.keys);
}

void dns_guard_print(const struct dns_guard *g)
{
    const struct kirim_dns_guard_stats *const stats = &g->guard.stats;
    cli_say(g->cli,
            "cookies none=%" PRIu64 " client=%" PRIu64 " good=%" PRIu64 " old=%" PRIu64
            " bad=%" PRIu64 " malformed=%" PRIu64 " turned_away=%" PRIu64,
            stats->cookie_none, stats->cookie_client, stats->cookie_good, stats->cookie_old,
            stats->cookie_bad, stats->cookie_malformed, stats->turned_away);
    cli_say(g->cli, "rrl slipped=%" PRIu64 " dropped=%" PRIu64 " displaced=%" PRIu64,
            stats->slipped, stats->dropped, g->limiter.stats.displaced);
}

void dns_rcodes_print(const struct cli *cli, const uint64_t *rcode)
{
    for (size_t i = 0; i < KIRIM_DNS_RCODE_COUNT; i++) {
        if (rcode[i] > 0) {
            char name[KIRIM_DNS_RCODE_TEXT_BYTES];
            kirim_dns_rcode_format((uint16_t)i, name);
            cli_say(cli, "dns rcode=%s count=%" PRIu64, name, rcode[i]);
        }
    }
}
