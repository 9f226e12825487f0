/* SPDX-License-Identifier: MIT
 *
 * Claims about what is read of DTLS before its engine is asked: which bytes are records, which
 * records may stand in the clear, which ClientHellos are whole, and what a cookie is bound to.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "protocols/dtls/hello.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define SECOND          UINT64_C(1000000000)

enum { ROOM = 512, HELLO_AT = 13, BODY_AT = 25, COOKIE_AT = BODY_AT + 35, VERIFY_COOKIE_AT = 28 };

/* A hello as it is being built. */
struct text {
    uint8_t data[ROOM];
    size_t bytes;
};

static void put(struct text *t, unsigned number, size_t width)
{
    for (size_t i = width; i-- > 0;) {
        t->data[t->bytes++] = (uint8_t)(number >> 8 * i);
    }
}

static void put_sized(struct text *t, size_t width, size_t bytes)
{
    put(t, (unsigned)bytes, width);
    for (size_t i = 0; i < bytes; i++) {
        t->data[t->bytes++] = (uint8_t)(0xa0 + i);
    }
}

/* The lengths of record and message say what is there. */
static void finish(struct text *t)
{
    struct text head = { .bytes = 11 };
    put(&head, (unsigned)(t->bytes - HELLO_AT), 2);
    put(&head, 1, 1);
    put(&head, (unsigned)(t->bytes - BODY_AT), 3);
    memcpy(t->data + 11, head.data + 11, 2 + 4);
    t->data[BODY_AT - 3] = head.data[14];
    t->data[BODY_AT - 2] = head.data[15];
    t->data[BODY_AT - 1] = head.data[16];
}

/* A hello of random bytes 1, 2, 3 ..., without a session and with `cookie_bytes` of a cookie. */
static struct text hello_of(size_t cookie_bytes, bool has_extensions)
{
    struct text t = { .bytes = 0 };
    put(&t, 22, 1);
    put(&t, 0xfeff, 2);
    put(&t, 0, 2);
    put(&t, 0, 4);
    put(&t, 7, 2); /* the record's number */
    put(&t, 0, 2);
    put(&t, 1, 1);
    put(&t, 0, 3);
    put(&t, cookie_bytes != 0, 2);
    put(&t, 0, 3);
    put(&t, 0, 3);
    put(&t, 0xfefd, 2);
    for (unsigned i = 1; i <= 32; i++) {
        put(&t, i, 1);
    }
    put_sized(&t, 1, 0);
    put_sized(&t, 1, cookie_bytes);
    put_sized(&t, 2, 4);
    put_sized(&t, 1, 1);
    if (has_extensions) {
        put_sized(&t, 2, 10);
    }
    finish(&t);
    return t;
}

static bool finds(const struct text *t, struct ki_dtls_hello *out)
{
    return ki_dtls_hello_find(t->data, t->bytes, out);
}

/* ---- hellos ---------------------------------------------------------------------------------- */

START_TEST(whole_hello_is_read)
{
    struct ki_dtls_hello h;
    const struct text t = hello_of((size_t)_i, _i % 2 == 0);
    ck_assert(finds(&t, &h));
    ck_assert_uint_eq(h.cookie_bytes, (size_t)_i);
    ck_assert_uint_eq(h.message, _i != 0);
    ck_assert_uint_eq(h.prefix_bytes, 2 + 32 + 1);
    ck_assert_ptr_eq(h.random, t.data + BODY_AT + 2);
    ck_assert_ptr_eq(h.sequence, t.data + 3);
    ck_assert_uint_ge(t.bytes, KI_DTLS_VERIFY_BYTES); /* the answer is never longer */
}
END_TEST

START_TEST(hello_cut_anywhere_is_none)
{
    struct ki_dtls_hello h;
    const struct text whole = hello_of(20, true);
    for (size_t bytes = 0; bytes < whole.bytes; bytes++) {
        struct text t = whole;
        t.bytes = bytes;
        ck_assert(!finds(&t, &h)); /* the lengths say more */
        if (bytes >= BODY_AT) {
            finish(&t);
            /* The extensions may be missing as a whole. */
            ck_assert_int_eq(finds(&t, &h), bytes == whole.bytes - 12);
        }
    }
}
END_TEST

/* One byte is another one. */
START_TEST(unsound_hello_is_none)
{
    static const struct {
        size_t at;
        uint8_t byte;
    } changes[] = {
        { 0, 23 },              /* application data in the clear */
        { 0, 99 },              /* no such type */
        { 1, 3 },               /* TLS */
        { 2, 0 },               /* DTLS of no version */
        { 4, 1 },               /* encrypted, of version 1.0 */
        { 12, 0 },              /* a record without a message */
        { HELLO_AT, 2 },        /* ServerHello */
        { HELLO_AT + 3, 0 },    /* the message is shorter than the fragment */
        { HELLO_AT + 3, 99 },   /* a fragment: there is more of it */
        { HELLO_AT + 8, 1 },    /* it does not begin at its beginning */
        { HELLO_AT + 11, 3 },   /* it is shorter than what came */
        { BODY_AT + 34, 33 },   /* a session id of 33 bytes */
        { COOKIE_AT, 200 },     /* a cookie beyond the end */
        { COOKIE_AT + 22, 3 },  /* half a cipher suite */
        { COOKIE_AT + 22, 0 },  /* none */
        { COOKIE_AT + 27, 0 },  /* no compression method, not even none */
        { COOKIE_AT + 30, 9 },  /* something behind the extensions */
        { COOKIE_AT + 30, 11 }, /* extensions beyond the end */
    };
    struct ki_dtls_hello h;
    struct text t = hello_of(20, true);
    ck_assert(finds(&t, &h));
    ck_assert_uint_ne(t.data[changes[_i].at], changes[_i].byte);
    t.data[changes[_i].at] = changes[_i].byte;
    ck_assert(!finds(&t, &h));
}
END_TEST

/* ---- records --------------------------------------------------------------------------------- */

/* What may be said before there are keys, and what with them. */
START_TEST(records_are_told_from_other_bytes)
{
    static const struct {
        uint8_t type;
        uint16_t version, epoch;
        uint8_t body[2];
        size_t body_bytes;
        bool is_record;
    } rows[] = {
        { 20, 0xfefd, 0, { 1 }, 1, true },      { 20, 0xfeff, 0, { 1 }, 1, true },
        { 20, 0xfefd, 0, { 2 }, 1, false },     { 20, 0xfefd, 0, { 1, 1 }, 2, false },
        { 21, 0xfefd, 0, { 1, 0 }, 2, true },   { 21, 0xfefd, 0, { 2, 40 }, 2, true },
        { 21, 0xfefd, 0, { 3, 40 }, 2, false }, { 21, 0xfefd, 0, { 2 }, 1, false },
        { 22, 0xfefd, 0, { 1, 0 }, 2, false },  { 23, 0xfefd, 0, { 1, 0 }, 2, false },
        { 23, 0xfefd, 1, { 1, 0 }, 2, true },   { 23, 0xfeff, 1, { 1, 0 }, 2, false },
        { 23, 0xfefc, 1, { 1, 0 }, 2, false },  { 19, 0xfefd, 1, { 1, 0 }, 2, false },
        { 24, 0xfefd, 1, { 1, 0 }, 2, false },  { 25, 0xfefd, 1, { 1, 0 }, 2, false },
        { 22, 0xfefd, 1, { 9, 9 }, 2, true },   { 21, 0xfefd, 65535, { 0 }, 0, true },
    };
    struct ki_dtls_record r;
    struct text t = { .bytes = 0 };
    put(&t, rows[_i].type, 1);
    put(&t, rows[_i].version, 2);
    put(&t, rows[_i].epoch, 2);
    put(&t, 0, 4);
    put(&t, 0, 2);
    put(&t, (unsigned)rows[_i].body_bytes, 2);
    memcpy(t.data + t.bytes, rows[_i].body, rows[_i].body_bytes);
    t.bytes += rows[_i].body_bytes;
    const uint8_t *data = t.data;
    size_t bytes = t.bytes + 3; /* there is more behind it */
    ck_assert_int_eq(ki_dtls_record_take(&data, &bytes, &r), rows[_i].is_record);
    ck_assert_uint_eq(bytes, rows[_i].is_record ? 3 : t.bytes + 3);
    if (rows[_i].is_record) {
        ck_assert_ptr_eq(data, t.data + t.bytes);
        ck_assert_uint_eq(r.epoch, rows[_i].epoch);
        ck_assert_uint_eq(r.type, rows[_i].type);
        ck_assert_uint_eq(r.body_bytes, rows[_i].body_bytes);
    }
}
END_TEST

/* Of a message of 10 bytes the last five or six, from its fifth on. */
START_TEST(fragment_ends_within_its_message)
{
    for (unsigned count = 5; count <= 6; count++) {
        struct text t = { .bytes = 0 };
        struct ki_dtls_record record;
        put(&t, 22, 1);
        put(&t, 0xfefd, 2);
        put(&t, 0, 2); /* the epoch, and the number */
        put(&t, 0, 3);
        put(&t, 0, 3);
        put(&t, 12 + count, 2);
        put(&t, 11, 1);
        put(&t, 10, 3);
        put(&t, 0, 2);
        put(&t, 5, 3);
        put(&t, count, 3);
        t.bytes += count;
        const uint8_t *data = t.data;
        size_t bytes = t.bytes;
        ck_assert_int_eq(ki_dtls_record_take(&data, &bytes, &record), count == 5);
    }
}
END_TEST

START_TEST(record_over_its_bound_is_none)
{
    static uint8_t data[13 + 16384 + 2048 + 1] = { 23, 0xfe, 0xfd, 0, 1 };
    const size_t body_bytes = 16384 + 2048 + (size_t)_i;
    const uint8_t *p = data;
    size_t bytes = sizeof data;
    struct ki_dtls_record r;
    data[11] = (uint8_t)(body_bytes >> 8);
    data[12] = (uint8_t)body_bytes;
    ck_assert_int_eq(ki_dtls_record_take(&p, &bytes, &r), _i == 0);
}
END_TEST

/* ---- cookies --------------------------------------------------------------------------------- */

static struct kirim_addr addr_of(const char *text)
{
    struct kirim_addr addr;
    ck_assert_int_eq(kirim_addr_parse(text, &addr), KIRIM_OK);
    return addr;
}

/* The same hello, with the cookie of a HelloVerifyRequest. */
static struct text answer(const struct text *first, const uint8_t verify[KI_DTLS_VERIFY_BYTES])
{
    struct text t = hello_of(KI_DTLS_COOKIE_BYTES, true);
    memcpy(t.data + BODY_AT, first->data + BODY_AT, 35);
    memcpy(t.data + COOKIE_AT + 1, verify + VERIFY_COOKIE_AT, KI_DTLS_COOKIE_BYTES);
    return t;
}

START_TEST(verify_request_is_as_the_protocol_says)
{
    static const uint8_t expected[] = { 22, 0xfe, 0xff, 0, 0, 0, 0, 0, 0, 0, 7,  0,    37,   3,
                                        0,  0,    25,   0, 0, 0, 0, 0, 0, 0, 25, 0xfe, 0xff, 22 };
    static const uint8_t key[KIRIM_SIPHASH_KEY_BYTES] = { 1 };
    const struct kirim_addr peer = addr_of("192.0.2.1:5000");
    const struct text t = hello_of(0, true);
    struct kirim_token_keys keys;
    struct ki_dtls_hello h;
    uint8_t out[KI_DTLS_VERIFY_BYTES];
    ck_assert_int_eq(kirim_token_keys_init(&keys, key, 30), KIRIM_OK);
    ck_assert(finds(&t, &h));
    ck_assert_int_eq(ki_dtls_verify_write(&keys, &peer, SECOND, &h, out), KIRIM_OK);
    ck_assert_uint_eq(sizeof out, sizeof expected + KI_DTLS_COOKIE_BYTES);
    ck_assert_mem_eq(out, expected, sizeof expected);
}
END_TEST

START_TEST(cookie_is_bound_to_hello_peer_and_time)
{
    static const uint8_t key[KIRIM_SIPHASH_KEY_BYTES] = { 2 };
    const struct kirim_addr peer = addr_of("192.0.2.1:5000");
    const struct kirim_addr other = addr_of("192.0.2.1:5001");
    const struct text first = hello_of(0, true);
    struct kirim_token_keys keys;
    struct ki_dtls_hello h;
    uint8_t verify[KI_DTLS_VERIFY_BYTES];
    ck_assert_int_eq(kirim_token_keys_init(&keys, key, 30), KIRIM_OK);
    ck_assert(finds(&first, &h));
    ck_assert_int_eq(ki_dtls_cookie_check(&keys, &peer, SECOND, &h), KIRIM_ENOENT);
    ck_assert_int_eq(ki_dtls_verify_write(&keys, &peer, SECOND, &h, verify), KIRIM_OK);
    struct text t = answer(&first, verify);
    ck_assert(finds(&t, &h));
    ck_assert_int_eq(ki_dtls_cookie_check(&keys, &peer, SECOND, &h), KIRIM_OK);
    ck_assert_int_eq(ki_dtls_cookie_check(&keys, &peer, 31 * SECOND, &h), KIRIM_OK);
    ck_assert_int_eq(ki_dtls_cookie_check(&keys, &peer, 32 * SECOND, &h), KIRIM_ETIMEDOUT);
    ck_assert_int_eq(ki_dtls_cookie_check(&keys, &other, SECOND, &h), KIRIM_EACCES);
    for (size_t at = BODY_AT; at < BODY_AT + 34; at++) { /* version and random */
        t.data[at] ^= 1;
        ck_assert(finds(&t, &h));
        ck_assert_int_eq(ki_dtls_cookie_check(&keys, &peer, SECOND, &h), KIRIM_EACCES);
        t.data[at] ^= 1;
    }
    for (size_t i = 0; i < KI_DTLS_COOKIE_BYTES; i++) {
        t.data[COOKIE_AT + 1 + i] ^= 0x80;
        ck_assert(finds(&t, &h));
        ck_assert_int_lt(ki_dtls_cookie_check(&keys, &peer, SECOND, &h), 0);
        t.data[COOKIE_AT + 1 + i] ^= 0x80;
    }
    const struct text longer = hello_of(KI_DTLS_COOKIE_BYTES + 1, true);
    ck_assert(finds(&longer, &h));
    ck_assert_int_eq(ki_dtls_cookie_check(&keys, &peer, SECOND, &h), KIRIM_EINVAL);
}
END_TEST

int main(void)
{
    Suite *const suite = suite_create("protocols_dtls_hello");
    TCase *const tcase = tcase_create("hello");
    tcase_add_loop_test(tcase, whole_hello_is_read, 0, 60);
    tcase_add_test(tcase, hello_cut_anywhere_is_none);
    tcase_add_loop_test(tcase, unsound_hello_is_none, 0, 18);
    tcase_add_loop_test(tcase, records_are_told_from_other_bytes, 0, 18);
    tcase_add_test(tcase, fragment_ends_within_its_message);
    tcase_add_loop_test(tcase, record_over_its_bound_is_none, 0, 2);
    tcase_add_test(tcase, verify_request_is_as_the_protocol_says);
    tcase_add_test(tcase, cookie_is_bound_to_hello_peer_and_time);
    suite_add_tcase(suite, tcase);
    SRunner *const runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
