/* SPDX-License-Identifier: MIT
 *
 * Claims about lib/token.c: what a token is bound to, how long, to which keys, and that its bytes
 * never change from one version to the next.
 */
#include <kirim/token.h>

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define SECOND UINT64_C(1000000000)

enum { TOKEN_ROOM = KIRIM_TOKEN_BYTES(KIRIM_TOKEN_PAYLOAD_BYTES_MAX), LIFETIME_S = 60 };

static const uint8_t key_a[KIRIM_SIPHASH_KEY_BYTES] = { 0xa0, 1, 2,  3,  4,  5,  6,  7,
                                                        8,    9, 10, 11, 12, 13, 14, 15 };
static const uint8_t key_b[KIRIM_SIPHASH_KEY_BYTES] = { 0xb0 };
static const uint8_t key_c[KIRIM_SIPHASH_KEY_BYTES] = { 0xc0 };

struct fixture {
    struct kirim_token_keys keys;
    struct kirim_addr peer;
    struct kirim_token_claim claim;
    uint8_t token[TOKEN_ROOM];
    size_t token_bytes;
};

static struct kirim_addr addr_of(const char *text)
{
    struct kirim_addr addr;
    ck_assert_int_eq(kirim_addr_parse(text, &addr), KIRIM_OK);
    return addr;
}

/* A token for 192.0.2.1:5000 at 1,000 s, payload "pay", context "ctx". */
static void open_fixture(struct fixture *f)
{
    memset(f, 0, sizeof *f);
    ck_assert_int_eq(kirim_token_keys_init(&f->keys, key_a, LIFETIME_S), KIRIM_OK);
    f->peer = addr_of("192.0.2.1:5000");
    f->claim = (struct kirim_token_claim){ .peer = &f->peer,
                                           .now_ns = 1000 * SECOND,
                                           .context = (const uint8_t *)"ctx",
                                           .context_bytes = 3,
                                           .payload = (const uint8_t *)"pay",
                                           .payload_bytes = 3 };
    f->token_bytes = KIRIM_TOKEN_BYTES(3);
    ck_assert_int_eq(kirim_token_issue(&f->keys, &f->claim, f->token, f->token_bytes), KIRIM_OK);
    f->claim.payload = NULL;
    f->claim.payload_bytes = 0;
}

static kirim_err check(struct fixture *f)
{
    struct kirim_token_claim claim = f->claim;
    const kirim_err err = kirim_token_check(&f->keys, &claim, f->token, f->token_bytes);
    if (err == KIRIM_OK) {
        ck_assert_uint_eq(claim.payload_bytes, f->token_bytes - KIRIM_TOKEN_OVERHEAD_BYTES);
        ck_assert_ptr_eq(claim.payload, f->token + 6);
    } else {
        ck_assert_ptr_null(claim.payload);
    }
    return err;
}

START_TEST(token_comes_back_with_its_payload_and_age)
{
    struct fixture f;
    open_fixture(&f);
    f.claim.now_ns += 7 * SECOND;
    ck_assert_int_eq(kirim_token_check(&f.keys, &f.claim, f.token, f.token_bytes), KIRIM_OK);
    ck_assert_uint_eq(f.claim.payload_bytes, 3);
    ck_assert_mem_eq(f.claim.payload, "pay", 3);
    ck_assert_uint_eq(f.claim.age_s, 7);
}
END_TEST

START_TEST(any_changed_bit_is_noticed)
{
    struct fixture f;
    open_fixture(&f);
    for (size_t i = 0; i < f.token_bytes; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            f.token[i] ^= (uint8_t)(1U << bit);
            ck_assert_int_eq(check(&f), i == 0 ? KIRIM_EINVAL : KIRIM_EACCES);
            f.token[i] ^= (uint8_t)(1U << bit);
        }
    }
    ck_assert_int_eq(check(&f), KIRIM_OK);
}
END_TEST

START_TEST(any_other_length_is_noticed)
{
    struct fixture f;
    open_fixture(&f);
    for (size_t bytes = 0; bytes <= TOKEN_ROOM; bytes++) {
        f.token_bytes = bytes;
        ck_assert_int_eq(check(&f), bytes == KIRIM_TOKEN_BYTES(3)        ? KIRIM_OK
                                    : bytes < KIRIM_TOKEN_OVERHEAD_BYTES ? KIRIM_EINVAL
                                                                         : KIRIM_EACCES);
    }
    struct kirim_token_claim claim = f.claim;
    uint8_t longer[TOKEN_ROOM + 1] = { 0x10 };
    ck_assert_int_eq(kirim_token_check(&f.keys, &claim, longer, sizeof longer), KIRIM_EINVAL);
    ck_assert_int_eq(kirim_token_check(&f.keys, &claim, NULL, 30), KIRIM_EINVAL);
}
END_TEST

START_TEST(token_is_bound_to_its_peer)
{
    static const char *const others[] = { "192.0.2.1:5001", "192.0.2.2:5000", "[c000:201::]:5000",
                                          "0.0.0.0:5000" };
    struct fixture f;
    open_fixture(&f);
    for (unsigned i = 0; i < sizeof others / sizeof others[0]; i++) {
        f.peer = addr_of(others[i]);
        ck_assert_int_eq(check(&f), KIRIM_EACCES);
    }
    f.peer = addr_of("[::ffff:192.0.2.1]:5000"); /* the same address */
    ck_assert_int_eq(check(&f), KIRIM_OK);
}
END_TEST

START_TEST(token_for_any_port_is_bound_to_the_address)
{
    struct fixture f;
    open_fixture(&f);
    f.claim.is_any_port = true;
    ck_assert_int_eq(check(&f), KIRIM_EINVAL); /* the one is not the other */
    f.token_bytes = KIRIM_TOKEN_BYTES(0);
    ck_assert_int_eq(kirim_token_issue(&f.keys, &f.claim, f.token, sizeof f.token), KIRIM_OK);
    f.peer = addr_of("192.0.2.1:1");
    ck_assert_int_eq(check(&f), KIRIM_OK);
    f.peer = addr_of("192.0.2.2:1");
    ck_assert_int_eq(check(&f), KIRIM_EACCES);
    f.peer = addr_of("192.0.2.1:5000");
    f.claim.is_any_port = false;
    ck_assert_int_eq(check(&f), KIRIM_EINVAL);
}
END_TEST

START_TEST(token_is_bound_to_its_context)
{
    struct fixture f;
    open_fixture(&f);
    f.claim.context = (const uint8_t *)"ctX";
    ck_assert_int_eq(check(&f), KIRIM_EACCES);
    f.claim.context = (const uint8_t *)"ctx";
    f.claim.context_bytes = 2;
    ck_assert_int_eq(check(&f), KIRIM_EACCES);
    f.claim.context_bytes = 0;
    f.claim.context = NULL;
    ck_assert_int_eq(check(&f), KIRIM_EACCES);
}
END_TEST

/* What moves from the payload to the context is another token. */
START_TEST(payload_and_context_do_not_run_together)
{
    struct fixture f;
    open_fixture(&f);
    memmove(f.token + 6 + 2, f.token + 6 + 3, KIRIM_SIPHASH_LONG_TAG_BYTES);
    f.token_bytes -= 1;
    f.claim.context = (const uint8_t *)"yctx";
    f.claim.context_bytes = 4;
    ck_assert_int_eq(check(&f), KIRIM_EACCES);
}
END_TEST

START_TEST(token_is_good_for_its_lifetime)
{
    static const struct {
        int64_t after_s;
        uint32_t skew_s;
        kirim_err err;
    } cases[] = {
        { 0, 0, KIRIM_OK },
        { 60, 0, KIRIM_OK },
        { 61, 0, KIRIM_ETIMEDOUT },
        { -1, 0, KIRIM_ETIMEDOUT },
        { -5, 5, KIRIM_OK },
        { -6, 5, KIRIM_ETIMEDOUT },
        { 61, 5, KIRIM_ETIMEDOUT },
        { 100000, 0, KIRIM_ETIMEDOUT },
        { 3000000000, 0, KIRIM_ETIMEDOUT },
    };
    struct fixture f;
    open_fixture(&f);
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        f.keys.skew_s = cases[i].skew_s;
        f.claim.now_ns = (uint64_t)(1000 + cases[i].after_s) * SECOND;
        ck_assert_int_eq(check(&f), cases[i].err);
    }
}
END_TEST

/* Seconds on the wire have 32 bits; ages survive their turn. */
START_TEST(age_survives_the_end_of_the_seconds)
{
    struct fixture f;
    open_fixture(&f);
    f.claim.now_ns = UINT64_C(0xffffffff) * SECOND;
    f.token_bytes = KIRIM_TOKEN_BYTES(0);
    ck_assert_int_eq(kirim_token_issue(&f.keys, &f.claim, f.token, sizeof f.token), KIRIM_OK);
    f.claim.now_ns += 10 * SECOND;
    ck_assert_int_eq(kirim_token_check(&f.keys, &f.claim, f.token, f.token_bytes), KIRIM_OK);
    ck_assert_uint_eq(f.claim.age_s, 10);
}
END_TEST

START_TEST(two_keys_live_at_a_time)
{
    struct fixture f;
    open_fixture(&f);
    kirim_token_keys_rotate(&f.keys, key_b);
    ck_assert_int_eq(check(&f), KIRIM_OK);
    uint8_t later[TOKEN_ROOM];
    struct kirim_token_claim claim = f.claim;
    ck_assert_int_eq(kirim_token_issue(&f.keys, &claim, later, sizeof later), KIRIM_OK);
    kirim_token_keys_rotate(&f.keys, key_c);
    ck_assert_int_eq(check(&f), KIRIM_EACCES);
    ck_assert_int_eq(kirim_token_check(&f.keys, &claim, later, KIRIM_TOKEN_BYTES(0)), KIRIM_OK);
    kirim_token_keys_fini(&f.keys);
    ck_assert_int_eq(kirim_token_check(&f.keys, &claim, later, KIRIM_TOKEN_BYTES(0)), KIRIM_EACCES);
    ck_assert_int_eq(kirim_token_issue(&f.keys, &claim, later, sizeof later), KIRIM_EINVAL);
}
END_TEST

/* Keys of one name (8 bits) are found among a few hundred; both are tried. */
START_TEST(keys_of_one_name_do_not_hide_each_other)
{
    struct fixture f;
    open_fixture(&f);
    uint8_t key[KIRIM_SIPHASH_KEY_BYTES] = { 0xd0 };
    struct kirim_token_keys other;
    for (unsigned i = 0; i < 10000; i++) {
        key[1] = (uint8_t)i;
        key[2] = (uint8_t)(i >> 8);
        ck_assert_int_eq(kirim_token_keys_init(&other, key, 1), KIRIM_OK);
        if (other.ki_id[0] == f.keys.ki_id[0]) {
            break;
        }
    }
    ck_assert_uint_eq(other.ki_id[0], f.keys.ki_id[0]);
    ck_assert_int_eq(kirim_token_check(&other, &f.claim, f.token, f.token_bytes), KIRIM_EACCES);
    kirim_token_keys_rotate(&f.keys, key);
    ck_assert_int_eq(check(&f), KIRIM_OK); /* by the last key */
    kirim_token_keys_rotate(&f.keys, key_a);
    ck_assert_int_eq(check(&f), KIRIM_OK); /* by the present key */
}
END_TEST

START_TEST(servers_that_share_a_key_agree)
{
    struct fixture f;
    open_fixture(&f);
    ck_assert_int_eq(kirim_token_keys_init(&f.keys, key_c, LIFETIME_S), KIRIM_OK);
    ck_assert_int_eq(check(&f), KIRIM_EACCES);
    kirim_token_keys_rotate(&f.keys, key_a);
    ck_assert_int_eq(check(&f), KIRIM_OK);
}
END_TEST

START_TEST(misuse_is_refused)
{
    struct fixture f;
    open_fixture(&f);
    struct kirim_token_claim claim = f.claim;
    ck_assert_int_eq(kirim_token_keys_init(&f.keys, key_a, 0), KIRIM_EINVAL);
    ck_assert_int_eq(kirim_token_keys_init(&f.keys, key_a, (1U << 30) + 1), KIRIM_EINVAL);
    ck_assert_int_eq(kirim_token_issue(&f.keys, &claim, f.token, KIRIM_TOKEN_OVERHEAD_BYTES - 1),
                     KIRIM_EMSGSIZE);
    claim.payload_bytes = 1;
    ck_assert_int_eq(kirim_token_issue(&f.keys, &claim, f.token, TOKEN_ROOM), KIRIM_EFAULT);
    claim.payload_bytes = KIRIM_TOKEN_PAYLOAD_BYTES_MAX + 1;
    ck_assert_int_eq(kirim_token_issue(&f.keys, &claim, f.token, SIZE_MAX), KIRIM_EINVAL);
    claim = f.claim;
    claim.context = NULL;
    ck_assert_int_eq(kirim_token_issue(&f.keys, &claim, f.token, TOKEN_ROOM), KIRIM_EFAULT);
    ck_assert_int_eq(kirim_token_check(&f.keys, &claim, f.token, f.token_bytes), KIRIM_EINVAL);
    claim = f.claim;
    claim.peer = NULL;
    ck_assert_int_eq(kirim_token_issue(&f.keys, &claim, f.token, TOKEN_ROOM), KIRIM_EINVAL);
    ck_assert_int_eq(kirim_token_check(&f.keys, &claim, f.token, f.token_bytes), KIRIM_EINVAL);
}
END_TEST

/* The wire form, computed by OpenSSL's SipHash over the bytes that lib/token.c lists. */
START_TEST(bytes_of_a_token_never_change)
{
    static const uint8_t expected[] = { 0x10, 0x89, 0x00, 0x00, 0x03, 0xe8, 0x70, 0x61, 0x79,
                                        0xa8, 0x0f, 0x93, 0xc5, 0x82, 0xc1, 0x69, 0xef, 0xde,
                                        0xd9, 0x9a, 0xa2, 0x59, 0xb3, 0x8c, 0x58 };
    struct fixture f;
    open_fixture(&f);
    ck_assert_uint_eq(f.token_bytes, sizeof expected);
    ck_assert_mem_eq(f.token, expected, sizeof expected);
}
END_TEST

int main(void)
{
    Suite *const suite = suite_create("token");
    TCase *const t = tcase_create("token");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, token_comes_back_with_its_payload_and_age);
    tcase_add_test(t, any_changed_bit_is_noticed);
    tcase_add_test(t, any_other_length_is_noticed);
    tcase_add_test(t, token_is_bound_to_its_peer);
    tcase_add_test(t, token_for_any_port_is_bound_to_the_address);
    tcase_add_test(t, token_is_bound_to_its_context);
    tcase_add_test(t, payload_and_context_do_not_run_together);
    tcase_add_test(t, token_is_good_for_its_lifetime);
    tcase_add_test(t, age_survives_the_end_of_the_seconds);
    tcase_add_test(t, two_keys_live_at_a_time);
    tcase_add_test(t, keys_of_one_name_do_not_hide_each_other);
    tcase_add_test(t, servers_that_share_a_key_agree);
    tcase_add_test(t, misuse_is_refused);
    tcase_add_test(t, bytes_of_a_token_never_change);
    suite_add_tcase(suite, t);
    SRunner *const runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed_count = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
