/* SPDX-License-Identifier: MIT
 *
 * dtls_echo: an echo server and client over DTLS 1.2 (RFC 6347).
 *
 * The layer is protocols/dtls; what is above it is the code of any echo. This file reads the
 * command line, and the files with keys and certificates.
 */
#include "dtls_echo.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    FILE_BYTES_MAX = 1 << 20,
    ALPN_MAX = 8,
    OPTIONS_MAX = 32,
    DATAGRAM_BYTES = 1200,
    SESSIONS = 65536,
    SESSIONS_MAX = 1 << 24,
    IDLE_S = 120,
    IDLE_S_MAX = 86400 * 365
};

/* What goes into the context. */
struct secrets {
    const char *certificate, *key, *trusted, *psk, *identity, *ciphers, *srtp;
    const char *alpn[ALPN_MAX];
    struct cli_list alpn_list;
    bool is_system_trusted, is_insecure, is_asking;
    void *text[3]; /* to be freed */
    uint8_t psk_key[KIRIM_DTLS_PSK_KEY_BYTES_MAX];
    uint64_t handshake_ms;
};

/* ---- files ----------------------------------------------------------------------------------- */

void *dtls_echo_read_file(const struct cli *cli, const char *name, size_t *bytes)
{
    char *const text = malloc(FILE_BYTES_MAX + 1);
    FILE *const file = fopen(name, "rb");
    const size_t got = text != NULL && file != NULL ? fread(text, 1, FILE_BYTES_MAX + 1, file) : 0;
    const bool is_good = got > 0 && got <= FILE_BYTES_MAX && ferror(file) == 0;
    if (file != NULL) {
        (void)fclose(file);
    }
    if (!is_good) {
        cli_say(cli, "%s: cannot be read, is empty, or too long", name);
        free(text);
        return NULL;
    }
    text[got] = '\0';
    *bytes = got;
    return text;
}

/* False: it was said why. */
static bool read_text(const struct dtls_echo *p, const char *name, void **text,
                      struct kirim_buf *out)
{
    if (name == NULL) {
        return true;
    }
    *text = dtls_echo_read_file(&p->cli, name, &out->bytes);
    out->data = *text;
    return *text != NULL;
}

static int hex_of(char digit)
{
    static const char digits[] = "0123456789abcdef";
    const char *const at = strchr(digits, digit >= 'A' && digit <= 'F' ? digit + 32 : digit);
    return digit != '\0' && at != NULL ? (int)(at - digits) : -1;
}

static void parse_psk(const struct dtls_echo *p, struct secrets *s, struct kirim_buf *out)
{
    const size_t digits = s->psk != NULL ? strlen(s->psk) : 0;
    if ((s->psk == NULL) != (s->identity == NULL)) {
        cli_fail_usage(&p->cli, "--psk and --identity go together");
    }
    if (s->psk != NULL && (digits == 0 || digits % 2 != 0 || digits / 2 > sizeof s->psk_key)) {
        cli_fail_usage(&p->cli, "--psk: at least 2 and at most %zu hexadecimal digits, two a byte",
                       2 * sizeof s->psk_key);
    }
    for (size_t i = 0; i < digits; i += 2) {
        const int high = hex_of(s->psk[i]);
        const int low = hex_of(s->psk[i + 1]);
        if (high < 0 || low < 0) {
            cli_fail_usage(&p->cli, "--psk: '%c' is no hexadecimal digit", s->psk[i + (high >= 0)]);
        }
        s->psk_key[i / 2] = (uint8_t)(high * 16 + low);
    }
    *out = (struct kirim_buf){ s->psk_key, digits / 2 };
}

/* ---- the context ----------------------------------------------------------------------------- */

static int open_context(struct dtls_echo *p, struct secrets *s)
{
    struct kirim_dtls_options o = KIRIM_DTLS_OPTIONS_INIT;
    parse_psk(p, s, &o.psk_key);
    if (!read_text(p, s->certificate, &s->text[0], &o.certificate) ||
        !read_text(p, s->key, &s->text[1], &o.private_key) ||
        !read_text(p, s->trusted, &s->text[2], &o.trusted)) {
        return CLI_FAILURE;
    }
    o.psk_identity = s->identity;
    o.ciphers = s->ciphers;
    o.srtp_profiles = s->srtp;
    o.alpn = s->alpn;
    o.alpn_count = s->alpn_list.count;
    o.is_system_trusted = s->is_system_trusted;
    o.handshake_ns = s->handshake_ms * 1000000;
    if (s->is_insecure) {
        o.verify = KIRIM_DTLS_VERIFY_NONE;
    } else if (s->is_asking) {
        o.verify = KIRIM_DTLS_VERIFY_REQUIRE;
    }
    const kirim_err err = kirim_dtls_open(p->loop, &o, &p->dtls);
    return err < 0 ? cli_fail(&p->cli, err, "certificates, keys, or ciphers") : CLI_SUCCESS;
}

void dtls_echo_print_counters(const struct dtls_echo *p)
{
    struct kirim_dtls_stats s = KIRIM_DTLS_STATS_INIT;
    (void)kirim_dtls_read_stats(p->dtls, &s);
    cli_say(&p->cli,
            "dtls begun=%" PRIu64 " done=%" PRIu64 " resumed=%" PRIu64 " failed=%" PRIu64
            " timed_out=%" PRIu64 " evicted=%" PRIu64 " evicted_crowd=%" PRIu64 " replaced=%" PRIu64
            " cookies_sent=%" PRIu64 " cookies_refused=%" PRIu64 " hellos_dropped=%" PRIu64
            " retransmits=%" PRIu64 " malformed=%" PRIu64 " discarded=%" PRIu64 " closed=%" PRIu64
            " fatal=%" PRIu64 " tx_lost=%" PRIu64,
            s.begun, s.done, s.resumed, s.failed, s.timed_out, s.evicted, s.evicted_crowd,
            s.replaced, s.cookies_sent, s.cookies_refused, s.hellos_dropped, s.retransmits,
            s.rx_malformed, s.rx_discarded, s.rx_closed, s.rx_fatal, s.tx_lost);
}

/* ---- the command line ------------------------------------------------------------------------ */

static void check_options(struct dtls_echo *p, struct secrets *s)
{
    const bool is_server = p->connect == NULL;
    if (!is_server && !cli_parse_peer(p->connect, &p->remote)) {
        cli_fail_usage(&p->cli,
                       "'%s' is not a numeric address with a port, such as 192.0.2.1:4433 or "
                       "[2001:db8::1]:4433",
                       p->connect);
    }
    if (!is_server && p->cli.listen_count > 1) {
        cli_fail_usage(&p->cli, "--listen: once at most with --connect");
    }
    if (is_server && s->certificate == NULL && s->psk == NULL) {
        cli_fail_usage(&p->cli, "a server needs --cert and --key, or --psk and --identity");
    }
    if ((s->certificate == NULL) != (s->key == NULL)) {
        cli_fail_usage(&p->cli, "--cert and --key go together");
    }
    if (is_server && p->cli.listen_count == 0) {
        (void)kirim_addr_parse("0.0.0.0:4433", &p->cli.listen[p->cli.listen_count++]);
    }
    if (!is_server && p->host == NULL && !s->is_insecure && s->psk == NULL) {
        cli_fail_usage(&p->cli, "whom the certificate must be for: --host, or --insecure");
    }
}

/* Who is who. */
static size_t list_identities(struct dtls_echo *p, struct secrets *s, struct cli_option *out)
{
    const struct cli_option options[] = {
        { .name = "--cert",
          .value = "FILE",
          .text = &s->certificate,
          .help = "certificate of this side, and those behind it, PEM" },
        { .name = "--key", .value = "FILE", .text = &s->key, .help = "its private key, PEM" },
        { .name = "--ca",
          .value = "FILE",
          .text = &s->trusted,
          .help = "certificates of those who are trusted, PEM" },
        { .name = "--system-trust",
          .is_given = &s->is_system_trusted,
          .help = "those that the system trusts are trusted, too" },
        { .name = "--host",
          .value = "NAME",
          .text = &p->host,
          .help = "name or address that the server's certificate must be for" },
        { .name = "--insecure",
          .is_given = &s->is_insecure,
          .help = "believe whatever certificate the peer shows" },
        { .name = "--ask-cert",
          .is_given = &s->is_asking,
          .help = "clients must show a certificate that a trusted one issued" },
        { .name = "--psk", .value = "HEX", .text = &s->psk, .help = "pre-shared key" },
        { .name = "--identity", .value = "NAME", .text = &s->identity, .help = "whose key it is" },
        { .name = "--ciphers",
          .value = "LIST",
          .text = &s->ciphers,
          .help = "cipher suites, as OpenSSL names them; AEAD only" },
        { .name = "--alpn",
          .value = "NAME",
          .list = &s->alpn_list,
          .help = "application protocol; repeatable, the best first" },
        { .name = "--srtp",
          .value = "LIST",
          .text = &s->srtp,
          .help = "SRTP profiles, as OpenSSL names them" },
    };
    memcpy(out, options, sizeof options);
    return sizeof options / sizeof options[0];
}

/* What both ends, or a server, do. */
static size_t list_limits(struct dtls_echo *p, struct secrets *s, struct cli_option *out)
{
    const struct cli_option options[] = {
        { .name = "--mtu",
          .value = "BYTES",
          .number = &p->datagram_bytes,
          .number_min = KIRIM_DTLS_PAYLOAD_BYTES_MIN,
          .number_max = KIRIM_PAYLOAD_IPV4_BYTES_MAX,
          .help = "longest datagram to send, UDP payload in bytes; default: 1200" },
        { .name = "--handshake-ms",
          .value = "T",
          .number = &s->handshake_ms,
          .number_min = 1,
          .number_max = 3600000,
          .help = "a handshake fails after it; default: 30000" },
        { .name = "--sessions-max",
          .value = "N",
          .number = &p->session_count_max,
          .number_min = 1,
          .number_max = SESSIONS_MAX,
          .help = "server: so many peers at once for each --listen; default: 65536" },
        { .name = "--idle",
          .value = "SECONDS",
          .number = &p->idle_s,
          .number_min = 1,
          .number_max = IDLE_S_MAX,
          .help = "server: forget a peer after so much silence; default: 120" },
        { .name = "--log",
          .is_given = &p->is_logging,
          .help = "server: tell of each peer that comes and goes" },
    };
    memcpy(out, options, sizeof options);
    return sizeof options / sizeof options[0];
}

/* What a client does. */
static size_t list_client(struct dtls_echo *p, struct cli_option *out)
{
    const struct cli_option options[] = {
        { .name = "--connect",
          .value = "ADDR:PORT",
          .text = &p->connect,
          .help = "be the client of the server at this address" },
        { .name = "--count",
          .value = "N",
          .number = &p->count,
          .number_max = UINT32_MAX,
          .help = "client: messages to send, one after the other; default: 10" },
        { .name = "--size",
          .value = "S",
          .number = &p->payload_bytes,
          .number_min = 8,
          .number_max = KIRIM_DTLS_RECORD_BYTES_MAX,
          .help = "client: bytes of each; default: 64" },
        { .name = "--timeout-ms",
          .value = "T",
          .number = &p->timeout_ms,
          .number_min = 1,
          .number_max = 3600000,
          .help = "client: a message is lost after it; default: 1000" },
        { .name = "--text",
          .value = "TEXT",
          .text = &p->text,
          .help = "client: send this once instead, and print what comes until the time-out" },
        { .name = "--session",
          .value = "FILE",
          .text = &p->session_file,
          .help = "client: resume the session in it, if there is one, and save the new one" },
        { .name = "--json", .is_given = &p->is_json, .help = "client: print one JSON object" },
    };
    memcpy(out, options, sizeof options);
    return sizeof options / sizeof options[0];
}

static void parse_options(struct dtls_echo *p, struct secrets *s, int argc, char **argv)
{
    struct cli_option options[OPTIONS_MAX];
    size_t count = list_identities(p, s, options);
    count += list_limits(p, s, options + count);
    count += list_client(p, options + count);
    const struct cli_program program = {
        .name = "dtls_echo",
        .summary = "Sends back what it gets over DTLS 1.2 (RFC 6347); with --connect it is the\n"
                   "client, and fails if an echo is missing or wrong.",
        .listen_help = "serve this address; repeatable; default: 0.0.0.0:4433",
        .listen_max = CLI_LISTEN_MAX,
        .options = options,
        .option_count = count,
    };
    s->alpn_list = (struct cli_list){ s->alpn, 0, ALPN_MAX };
    p->count = 10;
    p->payload_bytes = 64;
    p->timeout_ms = 1000;
    p->datagram_bytes = DATAGRAM_BYTES;
    p->session_count_max = SESSIONS;
    p->idle_s = IDLE_S;
    cli_parse(&p->cli, &program, argc, argv);
    check_options(p, s);
}

int main(int argc, char **argv)
{
    static struct dtls_echo echo;
    static struct secrets secrets;
    struct dtls_echo *const p = &echo;
    parse_options(p, &secrets, argc, argv);
    const struct kirim_loop_options options = cli_loop_options(&p->cli);
    const kirim_err err = kirim_loop_open(&options, &p->loop);
    if (err < 0) {
        return cli_fail(&p->cli, err, "cannot open a loop");
    }
    int status = open_context(p, &secrets);
    if (status == CLI_SUCCESS) {
        status = p->connect != NULL ? dtls_echo_ask(p) : dtls_echo_serve(p);
    }
    stop_release();
    (void)kirim_loop_close(p->loop);
    if (p->dtls != NULL && p->cli.has_stats) {
        dtls_echo_print_counters(p);
    }
    kirim_dtls_close(p->dtls);
    for (size_t i = 0; i < sizeof secrets.text / sizeof secrets.text[0]; i++) {
        free(secrets.text[i]);
    }
    return status;
}
