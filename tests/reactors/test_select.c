/* SPDX-License-Identifier: MIT
 *
 * Claims about reactors/select.c: what it shares with epoll, and what is its own: sets of any size,
 * write interest only while it is wanted, and descriptors that were closed behind its back.
 */
#include "readiness.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ENDPOINT_COUNT = 1500, DESCRIPTOR_COUNT = 4096 };

static struct heard
    from; /* outlive the test function: their last callback comes with the loop's end */
static struct heard to;

static void set_up(void)
{
    script_reset();
    readiness_open("select", NULL);
}

static void tear_down(void)
{
    readiness_close();
}

START_TEST(loop_of_1500_endpoints_receives_on_each)
{
    static struct heard endpoints[ENDPOINT_COUNT];
    struct rlimit limit;
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_max < DESCRIPTOR_COUNT) {
        return; /* the machine forbids it */
    }
    limit.rlim_cur = DESCRIPTOR_COUNT;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    readiness_listen(&from);
    for (int i = 0; i < ENDPOINT_COUNT; i++) {
        readiness_listen(&endpoints[i]);
        endpoints[i].peer = from.addr; /* so many ports may well hear a stranger */
    }
    for (int round = 1; round <= 3; round++) {
        for (int i = 0; i < ENDPOINT_COUNT; i++) {
            ck_assert_int_eq(kirim_endpoint_send_to(from.ep, "x", 1, &endpoints[i].addr), KIRIM_OK);
            if (i % 500 == 499) {
                ck_assert_int_eq(kirim_endpoint_flush(from.ep), KIRIM_OK);
            }
        }
        for (int i = 0; i < ENDPOINT_COUNT; i++) {
            readiness_until(&endpoints[i].datagrams, (uint64_t)round);
        }
    }
    for (int i = 0; i < ENDPOINT_COUNT; i++) {
        ck_assert_uint_eq(endpoints[i].datagrams, 3);
    }
    /* Close the highest ones: those below go on. */
    for (int i = ENDPOINT_COUNT / 2; i < ENDPOINT_COUNT; i++) {
        ck_assert_int_eq(kirim_endpoint_close(endpoints[i].ep), KIRIM_OK);
    }
    ck_assert_int_eq(kirim_endpoint_send_to(from.ep, "x", 1, &endpoints[0].addr), KIRIM_OK);
    readiness_until(&endpoints[0].datagrams, 4);
}
END_TEST

START_TEST(writable_set_is_handed_over_only_while_wanted)
{
    readiness_listen(&from);
    readiness_listen(&to);
    readiness_turn();
    ck_assert(!script_select_had_writes());
    script_answer(SCRIPT_SENDMSG, EAGAIN);
    ck_assert_int_eq(kirim_endpoint_send_to(from.ep, "x", 1, &to.addr), KIRIM_OK);
    ck_assert_int_eq(kirim_endpoint_flush(from.ep), KIRIM_EWOULDBLOCK);
    readiness_turn();
    ck_assert(script_select_had_writes());
    readiness_until(&to.datagrams, 1);
    readiness_turn();
    ck_assert(!script_select_had_writes());
}
END_TEST

START_TEST(closed_guest_fails_alone)
{
    struct guest g = readiness_guest();
    int fds[2];
    readiness_listen(&from);
    readiness_listen(&to);
    ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
    ck_assert_int_eq(readiness_watch(&g, fds[0], KIRIM_GUEST_READABLE), KIRIM_OK);
    (void)close(fds[0]); /* too early */
    readiness_until(&g.calls, 1);
    ck_assert_uint_eq(g.events, KIRIM_GUEST_FAILED);
    ck_assert_int_eq(kirim_endpoint_send_to(from.ep, "x", 1, &to.addr), KIRIM_OK);
    readiness_until(&to.datagrams, 1);
    ck_assert_uint_eq(g.calls, 1);
    kirim_guest_remove(&g.guest);
    (void)close(fds[1]);
}
END_TEST

START_TEST(number_of_a_guest_closed_too_early_belongs_to_its_new_owner)
{
    struct guest g = readiness_guest();
    int fds[2];
    readiness_listen(&from);
    ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
    ck_assert_int_eq(readiness_watch(&g, fds[0], KIRIM_GUEST_READABLE), KIRIM_OK);
    (void)close(fds[0]);
    readiness_listen(&to);
    ck_assert_int_eq((int)kirim_endpoint_descriptor(to.ep), fds[0]);
    ck_assert_int_eq(readiness_watch(&g, fds[0], KIRIM_GUEST_WRITABLE), KIRIM_EINVAL);
    kirim_guest_remove(&g.guest);
    ck_assert_int_eq(kirim_endpoint_send_to(from.ep, "x", 1, &to.addr), KIRIM_OK);
    readiness_until(&to.datagrams, 1);
    ck_assert_uint_eq(g.calls, 0);
    (void)close(fds[1]);
}
END_TEST

START_TEST(pollable_handle_is_refused)
{
    intptr_t handle = 0;
    ck_assert_int_eq(kirim_loop_pollable(readiness_loop(), &handle), KIRIM_EOPNOTSUPP);
    ck_assert_uint_eq(kirim_loop_caps(readiness_loop()) & KIRIM_CAP_POLLABLE, 0);
}
END_TEST

/* ---- memory ---------------------------------------------------------------------------------- */

/* An allocator that counts, and refuses from one call on. */
struct memory {
    size_t bytes;
    int calls_left; /* until it refuses; negative: never */
};

static void *give(void *user, void *old, size_t old_bytes, size_t new_bytes)
{
    struct memory *memory = user;
    if (new_bytes > old_bytes && memory->calls_left == 0) {
        return NULL;
    }
    memory->calls_left -= new_bytes > old_bytes && memory->calls_left > 0;
    memory->bytes += new_bytes;
    memory->bytes -= old_bytes;
    if (new_bytes == 0) {
        free(old);
        return NULL;
    }
    return realloc(old, new_bytes);
}

START_TEST(sets_that_cannot_grow_fail_the_open_and_nothing_else)
{
    struct memory memory = { 0, -1 };
    struct kirim_loop_options options = KIRIM_LOOP_OPTIONS_INIT;
    struct kirim_endpoint_options o = KIRIM_ENDPOINT_OPTIONS_INIT;
    struct kirim_endpoint *ep = NULL;
    const int far = 300; /* beyond the words that a set begins with */
    options.alloc = give;
    options.alloc_user = &memory;
    script_reset();
    readiness_open("select", &options);
    readiness_listen(&from);
    readiness_listen(&to);
    const int fd = fcntl(socket(AF_INET, SOCK_DGRAM, 0), F_DUPFD, far);
    ck_assert_int_ge(fd, far);
    o.flags = KIRIM_ENDPOINT_ADOPT | KIRIM_ENDPOINT_BIND_ADOPTED;
    o.adopt = fd;
    o.local = from.addr;
    kirim_addr_set_port(&o.local, 0);
    bool has_failed_in_reactor = false;
    kirim_err err = KIRIM_ENOMEM;
    for (int calls = 0; err != KIRIM_OK; calls++) {
        const size_t bytes = memory.bytes;
        memory.calls_left = calls;
        err = kirim_endpoint_open(readiness_loop(), &o, &ep);
        memory.calls_left = -1;
        ck_assert(err == KIRIM_OK || err == KIRIM_ENOMEM);
        ck_assert_int_ge(fcntl(fd, F_GETFD), 0);
        has_failed_in_reactor = has_failed_in_reactor || (err < 0 && calls > 0);
        ck_assert(err == KIRIM_OK || memory.bytes == bytes);
        ck_assert_int_eq(kirim_endpoint_send_to(from.ep, "x", 1, &to.addr), KIRIM_OK);
        readiness_until(&to.datagrams, (uint64_t)calls + 1);
    }
    ck_assert(has_failed_in_reactor);
    script_note_descriptor();
    readiness_close();
    ck_assert_uint_eq(memory.bytes, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("reactors/select");
    TCase *tcase = tcase_create("select");
    TCase *memory = tcase_create("memory");
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    readiness_add_cases(tcase);
    readiness_add_wait_cases(tcase);
    tcase_add_test(tcase, loop_of_1500_endpoints_receives_on_each);
    tcase_add_test(tcase, writable_set_is_handed_over_only_while_wanted);
    tcase_add_test(tcase, closed_guest_fails_alone);
    tcase_add_test(tcase, number_of_a_guest_closed_too_early_belongs_to_its_new_owner);
    tcase_add_test(tcase, pollable_handle_is_refused);
    tcase_add_test(memory, sets_that_cannot_grow_fail_the_open_and_nothing_else);
    suite_add_tcase(suite, tcase);
    suite_add_tcase(suite, memory);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed_count = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
