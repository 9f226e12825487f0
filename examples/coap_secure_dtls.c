/* SPDX-License-Identifier: MIT
 *
 * coap_secure.h over protocols/dtls: keys from the command line, certificates from files.
 */
#include "coap_secure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dtls/dtls.h>

enum { FILE_BYTES_MAX = 1 << 20 };

/* An option that takes a text; its help is for both ends. */
static struct cli_option text_option(const char *name, const char *value, const char **to,
                                     const char *help)
{
    return (struct cli_option){ .name = name, .value = value, .text = to, .help = help };
}

size_t coap_secure_list_options(struct coap_secure *s, bool is_server, struct cli_option *out)
{
    size_t count = 0;
    out[count++] = text_option("--dtls-psk", "HEX", &s->psk, "coaps: pre-shared key");
    out[count++] = text_option("--dtls-identity", "NAME", &s->identity, "coaps: whose key it is");
    out[count++] =
        text_option("--dtls-cert", "FILE", &s->certificate, "coaps: certificate of this side, PEM");
    out[count++] = text_option("--dtls-key", "FILE", &s->key, "coaps: its private key, PEM");
    if (is_server) {
        out[count++] = text_option("--dtls-listen", "ADDR:PORT", &s->listen,
                                   "serve coaps at this address, too; its port is 5684");
        return count;
    }
    out[count++] = text_option("--dtls-ca", "FILE", &s->trusted,
                               "coaps: certificates of those who are trusted, PEM");
    out[count++] = text_option("--dtls-host", "HOST", &s->host,
                               "coaps: name or address that the server's certificate must be for");
    out[count++] = (struct cli_option){ .name = "--dtls-insecure",
                                        .is_given = &s->is_insecure,
                                        .help = "coaps: believe whatever certificate is shown" };
    return count;
}

static bool read_file(const struct cli *cli, const char *name, struct kirim_buf *out)
{
    if (name == NULL) {
        return true;
    }
    FILE *const file = fopen(name, "rb");
    out->data = malloc(FILE_BYTES_MAX);
    out->bytes = file != NULL && out->data != NULL ? fread(out->data, 1, FILE_BYTES_MAX, file) : 0;
    if (file != NULL) {
        (void)fclose(file);
    }
    if (out->bytes == 0 || out->bytes == FILE_BYTES_MAX) {
        cli_say(cli, "%s: cannot be read, is empty, or too long", name);
        return false;
    }
    return true;
}

static int hex_of(char digit)
{
    static const char digits[] = "0123456789abcdef0123456789ABCDEF";
    const char *const at = digit != '\0' ? strchr(digits, digit) : NULL;
    return at != NULL ? (int)((at - digits) % 16) : -1;
}

/* Two digits a byte; 0: it is not that. */
static size_t read_hex(const char *text, uint8_t key[KIRIM_DTLS_PSK_KEY_BYTES_MAX])
{
    const size_t digits = strlen(text);
    if (digits % 2 != 0 || digits / 2 > KIRIM_DTLS_PSK_KEY_BYTES_MAX) {
        return 0;
    }
    for (size_t i = 0; i < digits; i += 2) {
        if (hex_of(text[i]) < 0 || hex_of(text[i + 1]) < 0) {
            return 0;
        }
        key[i / 2] = (uint8_t)(hex_of(text[i]) * 16 + hex_of(text[i + 1]));
    }
    return digits / 2;
}

void coap_secure_check(const struct coap_secure *s, const struct cli *cli, bool is_server)
{
    uint8_t key[KIRIM_DTLS_PSK_KEY_BYTES_MAX];
    const bool has_key = s->psk != NULL || s->certificate != NULL;
    if ((s->psk == NULL) != (s->identity == NULL)) {
        cli_fail_usage(cli, "--dtls-psk and --dtls-identity go together");
    }
    if (s->psk != NULL && read_hex(s->psk, key) == 0) {
        cli_fail_usage(cli, "--dtls-psk: 2 to %d hexadecimal digits, two a byte",
                       2 * KIRIM_DTLS_PSK_KEY_BYTES_MAX);
    }
    if ((s->certificate == NULL) != (s->key == NULL)) {
        cli_fail_usage(cli, "--dtls-cert and --dtls-key go together");
    }
    if (is_server && has_key != (s->listen != NULL)) { /* what shall be secret is not served open */
        cli_fail_usage(cli, s->listen != NULL ? "--dtls-listen needs --dtls-psk or --dtls-cert"
                                              : "--dtls-psk and --dtls-cert are for --dtls-listen");
    }
    if (!is_server && s->psk == NULL && s->host == NULL && !s->is_insecure) {
        cli_fail_usage(cli, "coaps needs --dtls-psk, --dtls-host or --dtls-insecure");
    }
}

static bool open_context(struct coap_secure *s, const struct cli *cli, struct kirim_loop *loop)
{
    struct kirim_dtls_options o = KIRIM_DTLS_OPTIONS_INIT;
    uint8_t key[KIRIM_DTLS_PSK_KEY_BYTES_MAX];
    bool is_good = true;
    if (s->psk != NULL) {
        o.psk_key = (struct kirim_buf){ key, read_hex(s->psk, key) };
        is_good = o.psk_key.bytes != 0;
    }
    o.psk_identity = s->identity;
    o.handshake_ns = s->handshake_ns;
    o.verify = s->is_insecure ? KIRIM_DTLS_VERIFY_NONE : KIRIM_DTLS_VERIFY_DEFAULT;
    kirim_err err = KIRIM_EINVAL;
    if (is_good && read_file(cli, s->certificate, &o.certificate) &&
        read_file(cli, s->key, &o.private_key) && read_file(cli, s->trusted, &o.trusted)) {
        err = kirim_dtls_open(loop, &o, &s->dtls);
    }
    free(o.certificate.data);
    free(o.private_key.data);
    free(o.trusted.data);
    if (err < 0) {
        (void)cli_fail(cli, err, "coaps: keys or certificates");
    }
    return err >= 0;
}

bool coap_secure_open(struct coap_secure *s, const struct cli *cli, struct kirim_loop *loop,
                      bool is_server)
{
    struct kirim_dtls_config *const config = (struct kirim_dtls_config *)(void *)&s->config;
    _Static_assert(sizeof *config <= sizeof s->config, "room for it");
    if (!open_context(s, cli, loop)) {
        return false;
    }
    *config = (struct kirim_dtls_config)KIRIM_DTLS_CONFIG_INIT(
        s->dtls, is_server ? KIRIM_DTLS_SERVER : KIRIM_DTLS_CLIENT);
    config->host = s->host;
    s->layer = (struct kirim_layer_plan){ kirim_dtls_layer_type(), config };
    return true;
}

kirim_err coap_secure_admit(struct kirim_sessions *set, const struct kirim_datagram *datagram,
                            struct kirim_admission *out, void *user)
{
    const struct coap_secure *const s = user;
    return kirim_dtls_admit(s->dtls, set, datagram, out);
}

void coap_secure_close(struct coap_secure *s)
{
    kirim_dtls_close(s->dtls);
}
