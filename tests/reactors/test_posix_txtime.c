/* SPDX-License-Identifier: MIT
 *
 * Claims about not-before times that the system keeps (KIRIM_ENDPOINT_TXTIME): what the POSIX
 * reactors say to it, byte for byte.
 *
 * No queue of this test's network keeps times (that needs "fq", which few kernels in a test have),
 * so that every datagram leaves at once, whatever it says; what the system would do is not claimed
 * here. The bytes were written by hand after the layouts of cmsg(3) and struct sock_txtime, for a
 * little-endian system with words of 64 bits. Sources: socket(7), cmsg(3), linux/net_tstamp.h.
 */
#include "support/ks.h"
#include "support/posix_script.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    SO_TXTIME_NUMBER = 61,
    SEEN_MAX = 8,
    CONTROL_MAX = 256,
    TIME_BYTES = 24 /* of a control message that says a time */
};

/* A time that is never reached. */
#define FAR_NS 0x0102030405060708U

static const uint8_t option_bytes[8] = { 1 }; /* CLOCK_MONOTONIC, no flags */
static const uint8_t far_bytes[TIME_BYTES] = {
    24, 0, 0, 0, 0, 0, 0, 0, /* length */
    1,  0, 0, 0,             /* SOL_SOCKET */
    61, 0, 0, 0,             /* SCM_TXTIME */
    8,  7, 6, 5, 4, 3, 2, 1  /* ns */
};

/* ---- a table that writes down ---------------------------------------------------------------- */

static struct {
    struct ki_posix_sys table;
    int refuse_with; /* what setting the option fails with; 0: it does not */
    size_t option_count;
    uint8_t option[16];
    size_t option_bytes;
    size_t seen_count;
    size_t control_bytes[SEEN_MAX];
    uint8_t control[SEEN_MAX][CONTROL_MAX];
} record;

static int note_option(int fd, int level, int name, const void *value, socklen_t bytes)
{
    if (level == SOL_SOCKET && name == SO_TXTIME_NUMBER) {
        record.option_count++;
        record.option_bytes = bytes;
        memcpy(record.option, value, bytes < sizeof record.option ? bytes : sizeof record.option);
        if (record.refuse_with != 0) {
            errno = record.refuse_with;
            return -1;
        }
    }
    return script_table()->setsockopt(fd, level, name, value, bytes);
}

static void note_control(const struct msghdr *header)
{
    ck_assert_uint_lt(record.seen_count, SEEN_MAX);
    ck_assert_uint_le(header->msg_controllen, CONTROL_MAX);
    record.control_bytes[record.seen_count] = header->msg_controllen;
    if (header->msg_controllen > 0) {
        memcpy(record.control[record.seen_count], header->msg_control, header->msg_controllen);
    }
    record.seen_count++;
}

static ssize_t note_sendmsg(int fd, const struct msghdr *msg, int flags)
{
    note_control(msg);
    return script_table()->sendmsg(fd, msg, flags);
}

static int note_sendmmsg(int fd, struct mmsghdr *msgs, unsigned count, int flags)
{
    for (unsigned i = 0; i < count; i++) {
        note_control(&msgs[i].msg_hdr);
    }
    return script_table()->sendmmsg(fd, msgs, count, flags);
}

/* ---- the fixture: each reactor over each family ---------------------------------------------- */

static const char *const reactors[] = { "epoll", "select", "libevent" };
enum { WAY_COUNT = 2 * sizeof reactors / sizeof reactors[0] };

static struct ks t;
static struct ks_node *a, *b;

static bool has_reactor(const char *name)
{
    for (size_t i = 0; kirim_reactor_name(i) != NULL; i++) {
        if (strcmp(kirim_reactor_name(i), name) == 0) {
            return true;
        }
    }
    return false;
}

/* Opens a loop and `b`. False: this build or this host lacks it. */
static bool open_way(int way)
{
    struct kirim_loop_options options = KIRIM_LOOP_OPTIONS_INIT;
    const char *name = reactors[way / 2];
    if (!has_reactor(name)) {
        return false;
    }
    memset(&record, 0, sizeof record);
    script_reset();
    record.table = *script_table();
    record.table.setsockopt = note_option;
    record.table.sendmsg = note_sendmsg;
    record.table.sendmmsg = note_sendmmsg;
    ks_init(&t, name, way % 2 == 0 ? KIRIM_IPV4 : KIRIM_IPV6);
    options.system_calls = &record.table;
    KS_OK(ks_try_open(&t, &options));
    if (way % 2 == 1 && (t.caps & KIRIM_CAP_IPV6) == 0) {
        ks_close(&t);
        return false;
    }
    b = ks_node(&t);
    KS_EQ(0, record.option_count); /* nobody asked for it */
    record.seen_count = 0;         /* what the reactor probed */
    return true;
}

static kirim_err try_timed(void)
{
    struct kirim_endpoint_options options = ks_endpoint_options(&t);
    options.flags = KIRIM_ENDPOINT_TXTIME;
    return ks_node_try(&t, &options, &a);
}

static kirim_err send_at(uint64_t not_before_ns, uint32_t flags, struct ks_op *o)
{
    static uint8_t bytes[8];
    struct kirim_control control = KIRIM_CONTROL_INIT;
    const struct kirim_buf one = { bytes, sizeof bytes };
    const struct kirim_msg msg = { &one, &b->addr, &control, 1, 0 };
    control.not_before_ns = not_before_ns;
    return ks_post_msg(a, &msg, flags, o);
}

/* ---- claims ---------------------------------------------------------------------------------- */

START_TEST(socket_is_told_the_clock)
{
    if (open_way(_i)) {
        KS_EQ(KIRIM_PACING_LOOP, kirim_endpoint_pacing(b->ep));
        KS_OK(try_timed());
        KS_EQ(KIRIM_PACING_SYSTEM, kirim_endpoint_pacing(a->ep));
        KS_EQ(1, record.option_count);
        KS_EQ(sizeof option_bytes, record.option_bytes);
        ck_assert_mem_eq(record.option, option_bytes, sizeof option_bytes);
        ks_close(&t);
    }
}
END_TEST

START_TEST(refused_option_is_a_refused_endpoint)
{
    static const int codes[] = { ENOPROTOOPT, EPERM, EINVAL };
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        if (open_way(_i)) {
            const int open_count = script_open_descriptors();
            record.refuse_with = codes[i];
            KS_ERR(KIRIM_EOPNOTSUPP, try_timed());
            KS_EQ(open_count, script_open_descriptors());
            ks_close(&t);
        }
    }
}
END_TEST

START_TEST(system_is_told_the_time_and_the_loop_does_not_wait)
{
    static const uint32_t modes[] = { 0, KIRIM_SEND_NOW };
    if (open_way(_i)) {
        KS_OK(try_timed());
        for (size_t i = 0; i < 2; i++) {
            KS_OK(send_at(FAR_NS, modes[i], NULL));
            KS_CHECK(send_at(FAR_NS, modes[i], ks_op(&t, 0)) >= 0);
        }
        KS_UNTIL(&t, b->rx_count == 4);
        KS_EQ(0, kirim_endpoint_queued_count(a->ep));
        KS_CHECK(record.seen_count > 0);
        for (size_t i = 0; i < record.seen_count; i++) {
            KS_CHECK(record.control_bytes[i] >= TIME_BYTES); /* two of one time may be a train */
            ck_assert_mem_eq(record.control[i], far_bytes, TIME_BYTES);
        }
        ks_close(&t);
    }
}
END_TEST

START_TEST(neighbours_of_different_times_stay_apart)
{
    if (open_way(_i)) {
        KS_OK(try_timed());
        KS_OK(send_at(FAR_NS, 0, NULL));
        KS_OK(send_at(FAR_NS + 1, 0, NULL));
        KS_OK(send_at(0, 0, NULL));
        KS_UNTIL(&t, b->rx_count == 3);
        KS_EQ(3, record.seen_count);
        KS_EQ(TIME_BYTES, record.control_bytes[0]);
        KS_EQ(TIME_BYTES, record.control_bytes[1]);
        KS_EQ(0, record.control_bytes[2]);
        ck_assert_mem_eq(record.control[0], far_bytes, TIME_BYTES);
        KS_EQ(9, record.control[1][16]); /* the lowest byte of the time */
        ck_assert_mem_eq(record.control[1] + 17, far_bytes + 17, 7);
        ks_close(&t);
    }
}
END_TEST

START_TEST(time_stands_beside_all_other_fields)
{
    static uint8_t bytes[8];
    if (open_way(_i)) {
        struct kirim_control control = KIRIM_CONTROL_INIT;
        const struct kirim_buf one = { bytes, sizeof bytes };
        const struct kirim_msg msg = { &one, &b->addr, &control, 1, 0 };
        KS_OK(try_timed());
        control.source = ks_loopback(t.family, 0);
        control.ecn = 1;
        control.ttl = 9;
        control.not_before_ns = FAR_NS;
        KS_OK(ks_post_msg(a, &msg, 0, NULL));
        KS_UNTIL(&t, b->rx_count == 1);
        const size_t source_bytes = t.family == KIRIM_IPV4 ? 32 : 40;
        KS_EQ(source_bytes + 3 * 24, record.control_bytes[0]);
        ck_assert_mem_eq(record.control[0] + source_bytes + 2 * 24, far_bytes, TIME_BYTES);
        ks_close(&t);
    }
}
END_TEST

START_TEST(environment_leaves_the_times_to_the_loop)
{
    KS_EQ(0, setenv("KIRIM_TXTIME", "0", 1));
    if (open_way(_i)) {
        KS_OK(try_timed());
        KS_EQ(0, record.option_count);
        KS_EQ(KIRIM_PACING_LOOP, kirim_endpoint_pacing(a->ep));
        const uint64_t at_ns = kirim_loop_now(t.loop) + KS_MILLISECOND_NS;
        KS_OK(send_at(at_ns, 0, NULL));
        KS_EQ(1, kirim_endpoint_queued_count(a->ep));
        KS_UNTIL(&t, b->rx_count == 1);
        KS_CHECK(kirim_loop_now(t.loop) >= at_ns);
        KS_EQ(1, record.seen_count);
        KS_EQ(0, record.control_bytes[0]); /* nothing is left to say */
        ks_close(&t);
    }
    KS_EQ(0, unsetenv("KIRIM_TXTIME"));
}
END_TEST

/* Whatever way a time takes that has passed: a socket that was not told the clock would refuse it.
 */
START_TEST(loop_tells_the_system_no_time)
{
    if (open_way(_i)) {
        a = ks_node(&t);
        KS_OK(send_at(1, 0, NULL));
        KS_OK(send_at(1, KIRIM_SEND_NOW, NULL));
        KS_CHECK(send_at(1, KIRIM_SEND_NOW, ks_op(&t, 0)) >= 0);
        KS_UNTIL(&t, b->rx_count == 3);
        for (size_t i = 0; i < record.seen_count; i++) {
            KS_CHECK(record.control_bytes[i] < TIME_BYTES ||
                     record.control[i][12] != SO_TXTIME_NUMBER);
        }
        KS_EQ(0, a->failed_count);
        ks_close(&t);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("reactors/posix_txtime");
    TCase *tcase = tcase_create("txtime");
    tcase_add_loop_test(tcase, socket_is_told_the_clock, 0, WAY_COUNT);
    tcase_add_loop_test(tcase, refused_option_is_a_refused_endpoint, 0, WAY_COUNT);
    tcase_add_loop_test(tcase, system_is_told_the_time_and_the_loop_does_not_wait, 0, WAY_COUNT);
    tcase_add_loop_test(tcase, neighbours_of_different_times_stay_apart, 0, WAY_COUNT);
    tcase_add_loop_test(tcase, time_stands_beside_all_other_fields, 0, WAY_COUNT);
    tcase_add_loop_test(tcase, environment_leaves_the_times_to_the_loop, 0, WAY_COUNT);
    tcase_add_loop_test(tcase, loop_tells_the_system_no_time, 0, WAY_COUNT);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed_count = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
