/* SPDX-License-Identifier: MIT
 *
 * Any bytes as a zone file. What is read can be asked, every error has its place, and all memory
 * comes back. $INCLUDE gives the same bytes again, so that the bounds are met.
 */
#include <string.h>

#include "fuzz.h"
#include "protocols/dns/server.h"
#include "protocols/dns/zonefile.h"

enum { FILE_BYTES_MAX = 1 << 18, ZONE_BYTES_MAX = 1 << 20, RECORD_COUNT_MAX = 2000 };

static kirim_err give_same(void *user, const char *name, struct kirim_dns_span *out)
{
    const struct kirim_dns_span *const text = user;
    if (name[0] == 'x') {
        return KIRIM_ENOENT;
    }
    *out = *text;
    return KIRIM_OK;
}

static size_t count_lines(struct kirim_dns_span text)
{
    size_t count = 1;
    for (size_t i = 0; i < text.bytes; i++) {
        count += text.data[i] == '\n' ? 1 : 0;
    }
    return count;
}

static void check_error(const struct kirim_dns_zonefile_error *error, kirim_err err,
                        struct kirim_dns_span text)
{
    FUZZ_CLAIM(error->err == err);
    FUZZ_CLAIM(error->line >= 1 && error->line <= count_lines(text));
    FUZZ_CLAIM(error->column >= 1 && error->column <= text.bytes + 1);
    FUZZ_CLAIM(error->text[0] != '\0' && strlen(error->text) < sizeof error->text);
    for (const char *at = error->text; *at != '\0'; at++) {
        FUZZ_CLAIM(*at >= ' ' && *at <= '~');
    }
}

/* Asks for what the words of the file might name, with answers of every size. */
static void ask_all(const struct kirim_dns_zone *zone, struct kirim_dns_span text)
{
    static const uint16_t types[] = { KIRIM_DNS_A,   KIRIM_DNS_NS, KIRIM_DNS_CNAME, KIRIM_DNS_MX,
                                      KIRIM_DNS_SRV, KIRIM_DNS_DS, KIRIM_DNS_ANY };
    struct kirim_dns_server server;
    kirim_dns_server_init(&server);
    FUZZ_CLAIM(kirim_dns_server_add(&server, zone) == KIRIM_OK);
    size_t at = 0;
    for (size_t count = 0; count < 64 && at < text.bytes; count++) {
        const size_t begin = at;
        while (at < text.bytes && text.data[at] > ' ') {
            at++;
        }
        uint8_t query[512];
        uint8_t wire[KIRIM_DNS_UDP_BYTES];
        struct kirim_dns_room reply = { wire, sizeof wire, 0 };
        struct kirim_dns_question question = { .type = types[count % 7], .dns_class = 1 };
        struct kirim_dns_builder b;
        struct kirim_dns_message message;
        if (kirim_dns_name_parse((const char *)text.data + begin, at - begin,
                                 kirim_dns_zone_origin(zone), &question.name) == KIRIM_OK) {
            const struct kirim_dns_edns edns = { .udp_bytes = (uint16_t)(count * 37) };
            kirim_dns_builder_init(&b, query, sizeof query);
            FUZZ_CLAIM(kirim_dns_builder_question(&b, &question) == KIRIM_OK);
            FUZZ_CLAIM(kirim_dns_builder_edns(&b, &edns) == KIRIM_OK);
            const struct kirim_dns_span asked = { query, kirim_dns_builder_end(&b, 1, 0) };
            FUZZ_CLAIM(kirim_dns_server_answer(&server, asked, &reply) == KIRIM_OK);
            const struct kirim_dns_span answered = { wire, reply.bytes };
            FUZZ_CLAIM(kirim_dns_message_read(answered, &message) == KIRIM_OK);
        }
        at++;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct kirim_dns_zonefile_options options = KIRIM_DNS_ZONEFILE_OPTIONS_INIT;
    struct kirim_dns_zonefile_error error;
    struct kirim_dns_span text = { data, bytes };
    struct kirim_dns_zone *zone = NULL;
    size_t blocks = 0;
    options.bytes_max = FILE_BYTES_MAX;
    options.include = give_same;
    options.include_user = &text;
    options.zone.alloc = fuzz_alloc;
    options.zone.alloc_user = &blocks;
    options.zone.bytes_max = ZONE_BYTES_MAX;
    options.zone.record_count_max = RECORD_COUNT_MAX;
    const kirim_err err = kirim_dns_zonefile_read(text, &options, &zone, &error);
    if (err == KIRIM_OK) {
        ask_all(zone, text);
        kirim_dns_zone_close(zone);
    } else {
        check_error(&error, err, text);
    }
    FUZZ_CLAIM(blocks == 0);
    return 0;
}
