/* SPDX-License-Identifier: MIT
 *
 * Any bytes as a datagram of DTLS: its records lie in it, one behind the other; and a ClientHello
 * among them is answered by fewer bytes, with a cookie that is good for it, and for no other.
 */
#include <string.h>

#include "fuzz.h"
#include "protocols/dtls/hello.h"

enum { COOKIE_AT = KI_DTLS_VERIFY_BYTES - KI_DTLS_COOKIE_BYTES };

static void check_cookie(const struct ki_dtls_hello *hello, size_t bytes)
{
    static const uint8_t key[KIRIM_SIPHASH_KEY_BYTES] = { 7 };
    const uint64_t now_ns = UINT64_C(5000000000);
    const struct kirim_addr peer = kirim_addr_ipv4((const uint8_t[]){ 192, 0, 2, 1 }, 5000);
    const struct kirim_addr other = kirim_addr_ipv4((const uint8_t[]){ 192, 0, 2, 2 }, 5000);
    struct kirim_token_keys keys;
    uint8_t verify[KI_DTLS_VERIFY_BYTES];
    struct ki_dtls_record record;
    const uint8_t *data = verify;
    size_t left = sizeof verify;
    FUZZ_CLAIM(kirim_token_keys_init(&keys, key, 30) == KIRIM_OK);
    FUZZ_CLAIM(ki_dtls_cookie_check(&keys, &peer, now_ns, hello) != KIRIM_OK);
    FUZZ_CLAIM(ki_dtls_verify_write(&keys, &peer, now_ns, hello, verify) == KIRIM_OK);
    FUZZ_CLAIM(sizeof verify < bytes);
    FUZZ_CLAIM(ki_dtls_record_take(&data, &left, &record) && left == 0);
    FUZZ_CLAIM(!ki_dtls_record_is_hello(&record));
    struct ki_dtls_hello answer = *hello;
    answer.cookie = verify + COOKIE_AT;
    answer.cookie_bytes = KI_DTLS_COOKIE_BYTES;
    FUZZ_CLAIM(ki_dtls_cookie_check(&keys, &peer, now_ns, &answer) == KIRIM_OK);
    FUZZ_CLAIM(ki_dtls_cookie_check(&keys, &other, now_ns, &answer) == KIRIM_EACCES);
    answer.prefix_bytes--;
    FUZZ_CLAIM(ki_dtls_cookie_check(&keys, &peer, now_ns, &answer) == KIRIM_EACCES);
}

static void check_hello(const struct ki_dtls_record *record)
{
    struct ki_dtls_hello hello;
    const uint8_t *const end = record->data + record->bytes;
    if (!ki_dtls_hello_read(record, &hello)) {
        return;
    }
    FUZZ_CLAIM(ki_dtls_record_is_hello(record));
    FUZZ_CLAIM(hello.random >= record->body && hello.random + KI_DTLS_RANDOM_BYTES <= end);
    FUZZ_CLAIM(hello.prefix + hello.prefix_bytes + 1 == hello.cookie);
    FUZZ_CLAIM(hello.cookie + hello.cookie_bytes <= end);
    FUZZ_CLAIM(hello.cookie_bytes <= KI_DTLS_COOKIE_BYTES_MAX);
    check_cookie(&hello, record->bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    const uint8_t *at = data;
    size_t left = bytes;
    struct ki_dtls_record record;
    while (ki_dtls_record_take(&at, &left, &record)) {
        FUZZ_CLAIM(record.data + record.bytes == at && at + left == data + bytes);
        FUZZ_CLAIM(record.body + record.body_bytes == at);
        FUZZ_CLAIM(record.epoch != 0 || record.body_bytes > 0);
        check_hello(&record);
    }
    return 0;
}
