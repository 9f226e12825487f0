/* SPDX-License-Identifier: MIT
 *
 * Claims about what a server agrees to, by a table of requests and the OACKs that answer them.
 */
#include "kit.h"

enum { FILE_BYTES = 5000, PATH_BLKSIZE = 1468 };

#define ALL                                                                   \
    (KIRIM_TFTP_HAS_BLKSIZE | KIRIM_TFTP_HAS_TSIZE | KIRIM_TFTP_HAS_TIMEOUT | \
     KIRIM_TFTP_HAS_WINDOWSIZE)

/* What is asked for in octet mode, and what holds; `has` 0: no OACK. */
static const struct {
    uint16_t kind, mode;
    struct kirim_tftp_options asked, agreed;
} cases[] = {
    { 1, 1, { 0, 0, 0, 0, 0 }, { 0, 512, 0, 1, 0 } },
    { 2, 1, { 0, 0, 0, 0, 0 }, { 0, 512, 0, 1, 0 } },
    { 1, 1, { ALL, 1024, 5, 8, 0 }, { ALL, 1024, 5, 8, FILE_BYTES } },
    { 2, 1, { ALL, 1024, 5, 8, 77 }, { ALL, 1024, 5, 8, 77 } },
    { 1, 1, { ALL, 65464, 5, 65535, 0 }, { ALL, PATH_BLKSIZE, 5, 64, FILE_BYTES } },
    { 1, 1, { KIRIM_TFTP_HAS_TIMEOUT, 0, 30, 0, 0 }, { KIRIM_TFTP_HAS_TIMEOUT, 512, 30, 1, 0 } },
    { 1, 1, { KIRIM_TFTP_HAS_TIMEOUT, 0, 31, 0, 0 }, { 0, 512, 0, 1, 0 } },
    { 1, 2, { KIRIM_TFTP_HAS_TSIZE, 0, 0, 0, 0 }, { 0, 512, 0, 1, 0 } },
    { 2, 2, { KIRIM_TFTP_HAS_TSIZE, 0, 0, 0, 9 }, { KIRIM_TFTP_HAS_TSIZE, 512, 0, 1, 9 } },
    { 1, 1, { KIRIM_TFTP_HAS_BLKSIZE, 8, 0, 0, 0 }, { KIRIM_TFTP_HAS_BLKSIZE, 8, 0, 1, 0 } },
};

static struct kirim_tftp_packet packet_of(uint16_t kind, const char *name)
{
    struct kirim_tftp_packet packet;
    memset(&packet, 0, sizeof packet);
    packet.kind = kind;
    packet.mode = KIRIM_TFTP_OCTET;
    packet.name = (struct kirim_tftp_span){ (const uint8_t *)name, strlen(name) };
    return packet;
}

START_TEST(server_agrees_to_what_it_can)
{
    struct kit_store store;
    struct kirim_tftp_server server;
    struct kirim_tftp_transfer t;
    struct kirim_tftp_packet packet =
        packet_of(cases[_i].kind, cases[_i].kind == KIRIM_TFTP_RRQ ? "f" : "new");
    kit_store_init(&store);
    (void)kit_put_pattern(&store, "f", FILE_BYTES);
    kirim_tftp_server_init(&server, &store.storage);
    server.is_writable = true;
    packet.mode = cases[_i].mode;
    packet.options = cases[_i].asked;
    ck_assert_int_eq(kirim_tftp_server_accept(&server, &packet, PATH_BLKSIZE, &t, 1), KIRIM_OK);
    ck_assert_uint_eq(t.agreed.has, cases[_i].agreed.has);
    ck_assert_uint_eq(t.agreed.blksize, cases[_i].agreed.blksize);
    ck_assert_uint_eq(t.agreed.timeout_s, cases[_i].agreed.timeout_s);
    ck_assert_uint_eq(t.agreed.windowsize, cases[_i].agreed.windowsize);
    ck_assert_uint_eq(t.agreed.tsize, cases[_i].agreed.tsize);
    ck_assert((t.state == KIRIM_TFTP_OFFERING) == (t.agreed.has != 0));
    kirim_tftp_transfer_limit_window(&t, 0);
    ck_assert_uint_eq(t.agreed.windowsize, 1);
    kirim_tftp_transfer_fail(&t, KIRIM_EABORTED, false);
    kit_store_fini(&store);
}
END_TEST

START_TEST(what_the_storage_says_is_the_answer)
{
    static const kirim_err errs[] = { KIRIM_EACCES, KIRIM_ENOMEM, KIRIM_EMFILE, KIRIM_ESYSTEM };
    struct kit_store store;
    struct kirim_tftp_server server;
    struct kirim_tftp_transfer t;
    kit_store_init(&store);
    (void)kit_put_pattern(&store, "f", FILE_BYTES);
    kirim_tftp_server_init(&server, &store.storage);
    server.is_writable = true;
    for (size_t i = 0; i < COUNT_OF(errs); i++) {
        struct kirim_tftp_packet packet = packet_of((uint16_t)(1 + i % 2), "f");
        store.open_err = errs[i];
        ck_assert_int_eq(kirim_tftp_server_accept(&server, &packet, 512, &t, 1), errs[i]);
    }
    store.open_err = KIRIM_OK;
    struct kirim_tftp_packet packet = packet_of(KIRIM_TFTP_ACK, "f");
    ck_assert_int_eq(kirim_tftp_server_accept(&server, &packet, 512, &t, 1), KIRIM_TFTP_EFORM);
    packet = packet_of(KIRIM_TFTP_WRQ, "f");
    ck_assert_int_eq(kirim_tftp_server_accept(&server, &packet, 512, &t, 1), KIRIM_EEXIST);
    server.is_writable = false;
    ck_assert_int_eq(kirim_tftp_server_accept(&server, &packet, 512, &t, 1), KIRIM_EACCES);
    kit_store_fini(&store);
}
END_TEST

int main(void)
{
    const struct kit_claim claims[] = {
        { server_agrees_to_what_it_can, COUNT_OF(cases) },
        { what_the_storage_says_is_the_answer, 0 },
        { NULL, 0 },
    };
    return kit_main("protocols/tftp server", claims);
}
