/* SPDX-License-Identifier: MIT
 *
 * Claims about lib/pcapng.c: bytes to the last one, checksums, and buffers that are too small.
 * Other people's programs read whole captures in tests/reactors/test_capture.py.
 */
#include <kirim/pcapng.h>

#include <check.h>
#include <stdlib.h>
#include <string.h>

enum { PAYLOAD_IPV4_MAX = 65507, PAYLOAD_IPV6_MAX = 65527 };

static struct kirim_addr addr_of(const char *text)
{
    struct kirim_addr addr;
    ck_assert_int_eq(kirim_addr_parse(text, &addr), KIRIM_OK);
    return addr;
}

START_TEST(capture_begins_with_a_section)
{
    static const uint8_t wanted[28] = {
        0x0a, 0x0d, 0x0d, 0x0a, 28,   0,    0,    0,    0x4d, 0x3c, 0x2b, 0x1a, 1, 0,
        0,    0,    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 28,   0,    0, 0,
    };
    uint8_t out[64];
    ck_assert_uint_eq(kirim_pcapng_begin(out, sizeof out), sizeof wanted);
    ck_assert_mem_eq(out, wanted, sizeof wanted);
    ck_assert_uint_eq(kirim_pcapng_begin(out, sizeof wanted), sizeof wanted);
    ck_assert_uint_eq(kirim_pcapng_begin(out, sizeof wanted - 1), 0);
}
END_TEST

START_TEST(interface_has_its_name_and_nanoseconds)
{
    static const uint8_t wanted[44] = {
        1,   0,   0,   0, 44, 0, 0, 0, 101, 0, 0, 0, 0, 0, 0, 0, 2, 0, 5,  0, 'h', 'o',
        's', 't', '1', 0, 0,  0, 9, 0, 1,   0, 9, 0, 0, 0, 0, 0, 0, 0, 44, 0, 0,   0,
    };
    uint8_t out[64];
    ck_assert_uint_eq(kirim_pcapng_interface(out, sizeof out, "host1"), sizeof wanted);
    ck_assert_mem_eq(out, wanted, sizeof wanted);
    ck_assert_uint_eq(kirim_pcapng_interface(out, sizeof wanted, "host1"), sizeof wanted);
    ck_assert_uint_eq(kirim_pcapng_interface(out, sizeof wanted - 1, "host1"), 0);
}
END_TEST

START_TEST(packet_has_headers_that_say_what_it_is)
{
    static const uint8_t wanted[76] = {
        6,    0,    0,    0,    76,   0,    0,    0,    3,   0,   0,   0, 0x02, 0,    0,    0,
        0x01, 0,    0,    0,    31,   0,    0,    0,    31,  0,   0,   0, 0x45, 0xb9, 0x00, 0x1f,
        0x00, 0x00, 0x00, 0x00, 0x07, 0x11, 0x9f, 0x13, 10,  0,   0,   1, 10,   0,    0,    2,
        0x13, 0x88, 0x00, 0x07, 0x00, 0x0b, 0x13, 0xe4, 'a', 'b', 'c', 0, 2,    0,    4,    0,
        2,    0,    0,    0,    0,    0,    0,    0,    76,  0,   0,   0,
    };
    const struct kirim_pcapng_packet packet = {
        .time_ns = UINT64_C(0x200000001),
        .data = (const uint8_t *)"abc",
        .bytes = 3,
        .interface_index = 3,
        .source = addr_of("10.0.0.1:5000"),
        .dest = addr_of("10.0.0.2:7"),
        .ecn = 1,
        .dscp = 46,
        .ttl = 7,
        .is_sent = true,
    };
    uint8_t out[128];
    ck_assert_uint_eq(kirim_pcapng_packet(out, sizeof out, &packet), sizeof wanted);
    ck_assert_mem_eq(out, wanted, sizeof wanted);
    ck_assert_uint_eq(kirim_pcapng_packet(out, sizeof wanted, &packet), sizeof wanted);
    ck_assert_uint_eq(kirim_pcapng_packet(out, sizeof wanted - 1, &packet), 0);
}
END_TEST

/* Sum of the words of a UDP datagram and its pseudo-header: all ones if its checksum is right. */
static uint32_t sum_of(const uint8_t *ip, size_t addrs_at, size_t addrs_bytes)
{
    const uint8_t *const udp = ip + addrs_at + addrs_bytes;
    const size_t length = (size_t)udp[4] << 8 | udp[5];
    uint64_t sum = 17 + length;
    for (size_t i = 0; i < addrs_bytes + length; i++) {
        sum += i % 2 == 0 ? (uint64_t)ip[addrs_at + i] << 8 : ip[addrs_at + i];
    }
    while (sum > 0xffff) {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    return (uint32_t)sum;
}

START_TEST(checksums_are_right_for_all_lengths)
{
    static uint8_t data[300];
    static uint8_t out[KIRIM_PCAPNG_BLOCK_BYTES_MAX];
    for (size_t i = 0; i < sizeof data; i++) {
        data[i] = (uint8_t)(i * 37 + (i % 3 == 0 ? 0xff : 0));
    }
    struct kirim_pcapng_packet packet = { .data = data, .ttl = 64 };
    for (packet.bytes = 0; packet.bytes <= sizeof data; packet.bytes++) {
        packet.source = addr_of("198.51.100.255:65535");
        packet.dest = addr_of("203.0.113.7:1");
        ck_assert_uint_gt(kirim_pcapng_packet(out, sizeof out, &packet), 0);
        ck_assert_uint_eq(sum_of(out + 28, 12, 8), 0xffff);
        packet.source = addr_of("[2001:db8::ffff]:65535");
        packet.dest = addr_of("[fe80::1]:1");
        ck_assert_uint_gt(kirim_pcapng_packet(out, sizeof out, &packet), 0);
        ck_assert_uint_eq(sum_of(out + 28, 8, 32), 0xffff);
        ck_assert_uint_eq(out[28] >> 4, 6);
        ck_assert_uint_eq((size_t)out[32] << 8 | out[33], packet.bytes + 8);
    }
}
END_TEST

/* A sum of 0 is sent as all ones: 0 would say that there is no checksum. */
START_TEST(checksum_is_never_absent)
{
    uint8_t out[128];
    uint8_t data[2] = { 0, 0 };
    struct kirim_pcapng_packet packet = {
        .data = data, .bytes = 2, .source = addr_of("0.0.0.0:0"), .dest = addr_of("0.0.0.0:0")
    };
    const uint32_t rest = 0xffff - (17 + 10 + 10);
    data[0] = (uint8_t)(rest >> 8);
    data[1] = (uint8_t)rest;
    ck_assert_uint_gt(kirim_pcapng_packet(out, sizeof out, &packet), 0);
    ck_assert_uint_eq(out[28 + 26], 0xff);
    ck_assert_uint_eq(out[28 + 27], 0xff);
}
END_TEST

START_TEST(comment_stands_behind_the_packet)
{
    uint8_t out[512];
    char text[300];
    struct kirim_pcapng_packet packet = { .data = (const uint8_t *)"",
                                          .source = addr_of("10.0.0.1:1"),
                                          .dest = addr_of("10.0.0.2:2"),
                                          .comment = "lost" };
    const size_t without = 12 + 20 + 28 + 8 + 4;
    ck_assert_uint_eq(kirim_pcapng_packet(out, sizeof out, &packet), without + 8);
    ck_assert_mem_eq(out + 28 + 28 + 8, "\1\0\4\0lost\0\0\0\0", 12);
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    packet.comment = text;
    ck_assert_uint_eq(kirim_pcapng_packet(out, sizeof out, &packet), without + 4 + 256);
    packet.comment = "";
    ck_assert_uint_eq(kirim_pcapng_packet(out, sizeof out, &packet), without);
}
END_TEST

START_TEST(largest_packets_fit_and_no_larger_ones)
{
    static uint8_t data[PAYLOAD_IPV6_MAX + 1];
    static uint8_t out[KIRIM_PCAPNG_BLOCK_BYTES_MAX];
    char comment[KIRIM_PCAPNG_TEXT_BYTES_MAX + 1];
    memset(comment, 'x', sizeof comment - 1);
    comment[sizeof comment - 1] = '\0';
    struct kirim_pcapng_packet packet = { .data = data,
                                          .bytes = PAYLOAD_IPV4_MAX,
                                          .source = addr_of("10.0.0.1:1"),
                                          .dest = addr_of("10.0.0.2:2"),
                                          .comment = comment };
    ck_assert_uint_gt(kirim_pcapng_packet(out, sizeof out, &packet), PAYLOAD_IPV4_MAX);
    packet.bytes++;
    ck_assert_uint_eq(kirim_pcapng_packet(out, sizeof out, &packet), 0);
    packet.source = packet.dest = addr_of("[::1]:1");
    packet.bytes = PAYLOAD_IPV6_MAX;
    ck_assert_uint_gt(kirim_pcapng_packet(out, sizeof out, &packet), PAYLOAD_IPV6_MAX);
    packet.bytes++;
    ck_assert_uint_eq(kirim_pcapng_packet(out, sizeof out, &packet), 0);
}
END_TEST

START_TEST(packet_needs_two_addresses_of_one_family)
{
    uint8_t out[512];
    struct kirim_pcapng_packet packet = { .data = (const uint8_t *)"",
                                          .source = addr_of("10.0.0.1:1"),
                                          .dest = addr_of("[::1]:2") };
    ck_assert_uint_eq(kirim_pcapng_packet(out, sizeof out, &packet), 0);
    memset(&packet.source, 0, sizeof packet.source);
    memset(&packet.dest, 0, sizeof packet.dest);
    ck_assert_uint_eq(kirim_pcapng_packet(out, sizeof out, &packet), 0);
}
END_TEST

int main(void)
{
    Suite *const suite = suite_create("pcapng");
    TCase *const t = tcase_create("pcapng");
    tcase_add_test(t, capture_begins_with_a_section);
    tcase_add_test(t, interface_has_its_name_and_nanoseconds);
    tcase_add_test(t, packet_has_headers_that_say_what_it_is);
    tcase_add_test(t, checksums_are_right_for_all_lengths);
    tcase_add_test(t, checksum_is_never_absent);
    tcase_add_test(t, comment_stands_behind_the_packet);
    tcase_add_test(t, largest_packets_fit_and_no_larger_ones);
    tcase_add_test(t, packet_needs_two_addresses_of_one_family);
    suite_add_tcase(suite, t);
    SRunner *const runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
