/* SPDX-License-Identifier: MIT
 *
 * Claims about lib/growth.c, and about every public structure that begins with its size: programs
 * of other versions are understood, or refused. On the scripted reactor.
 */
#include "support/stage.h"

#include <string.h>

#include <kirim/layer.h>

#include "core.h"

enum { MORE_BYTES = 64 }; /* that a later version may have */

/* A structure of a later version: `bytes` of the one that is known, and more. */
struct later {
    _Alignas(max_align_t) uint8_t bytes[512 + MORE_BYTES];
};

static struct later grow(const void *known, size_t bytes)
{
    struct later l;
    KS_CHECK(bytes <= 512);
    memset(&l, 0, sizeof l);
    memcpy(&l, known, bytes);
    return l;
}

/* ---- the copy -------------------------------------------------------------------------------- */

START_TEST(a_copy_fills_what_the_caller_does_not_know_with_zeros)
{
    const uint8_t from[4] = { 1, 2, 3, 4 };
    uint8_t to[6];
    memset(to, 9, sizeof to);
    KS_CHECK(ki_grown_copy(to, sizeof to, from, sizeof from, 4));
    KS_CHECK(memcmp(to, (const uint8_t[6]){ 1, 2, 3, 4 }, sizeof to) == 0);
    KS_CHECK(!ki_grown_copy(to, sizeof to, from, 3, 4)); /* no version was so short */
    KS_CHECK(!ki_grown_copy(to, sizeof to, from, 0, 4));
}
END_TEST

START_TEST(a_copy_refuses_what_the_library_does_not_know)
{
    uint8_t from[8] = { 1, 2, 3, 4 };
    uint8_t to[4];
    KS_CHECK(ki_grown_copy(to, sizeof to, from, sizeof from, 4));
    for (size_t i = 4; i < 8; i++) {
        from[i] = 1;
        KS_CHECK(!ki_grown_copy(to, sizeof to, from, sizeof from, 4));
        KS_CHECK(ki_grown_copy(to, sizeof to, from, i, 4)); /* the caller does not have it */
        from[i] = 0;
    }
}
END_TEST

START_TEST(a_handler_of_another_kind_is_refused)
{
    const size_t sizes[4] = { KIRIM_HANDLER_INIT, KIRIM_SESSION_HANDLER_INIT,
                              KIRIM_SESSIONS_HANDLER_INIT, KIRIM_LAYER_TYPE_INIT };
    const size_t bytes[4] = { sizeof(struct kirim_handler), sizeof(struct kirim_session_handler),
                              sizeof(struct kirim_sessions_handler),
                              sizeof(struct kirim_layer_type) };
    static const uint8_t zeros[1024];
    uint8_t to[1024];
    for (size_t kind = 0; kind < 4; kind++) {
        for (size_t i = 0; i < 4; i++) {
            KS_EQ(kind == i, ki_handler_copy(NULL, to, bytes[kind], zeros, sizes[i], kind));
        }
        /* A plain size says nothing but the size, which all but the first kind refuse. */
        KS_EQ(kind == 0, ki_handler_copy(NULL, to, bytes[kind], zeros, bytes[kind], kind));
    }
    KS_CHECK(!ki_grown_copy(to, 8, zeros, KIRIM_SESSION_HANDLER_INIT, 8));
}
END_TEST

/* ---- options --------------------------------------------------------------------------------- */

/* Opens a loop with options of `size` bytes. */
static kirim_err open_loop(struct stage *x, struct later *l, size_t size)
{
    memcpy(l, &size, sizeof size);
    const kirim_err err = kirim_loop_open((const void *)l, &x->t.loop);
    if (err == KIRIM_OK) {
        KS_OK(kirim_loop_close(x->t.loop));
    } else {
        KS_CHECK(x->t.loop == NULL);
    }
    x->t.loop = NULL;
    return err;
}

START_TEST(options_of_a_loop_may_be_of_a_later_version)
{
    struct stage *x = stage_new(0);
    struct kirim_loop_options options = KIRIM_LOOP_OPTIONS_INIT;
    options.reactor_ops = &x->s->ops;
    options.reactor_context = x->s;
    const size_t size = sizeof options;
    struct later l = grow(&options, size);
    KS_OK(open_loop(x, &l, size));
    KS_OK(open_loop(x, &l, size + MORE_BYTES));
    KS_ERR(KIRIM_EINVAL, open_loop(x, &l, size - 1));
    KS_ERR(KIRIM_EINVAL, open_loop(x, &l, 0));
    options.ki_reserved = 1;
    l = grow(&options, size);
    KS_ERR(KIRIM_EINVAL, open_loop(x, &l, size));
    options.ki_reserved = 0;
    l = grow(&options, size);
    l.bytes[size + 3] = 1;
    KS_OK(open_loop(x, &l, size + 3));
    KS_ERR(KIRIM_EINVAL, open_loop(x, &l, size + 4));
    stage_close(x);
}
END_TEST

START_TEST(bounds_of_a_loop_are_checked_at_their_edges)
{
    static const struct {
        uint32_t datagram_bytes_max, receive_slot_count;
        kirim_err err;
    } rows[] = {
        { 0, 0, KIRIM_OK },        { 512, 64, KIRIM_OK },      { 65535, 4096, KIRIM_OK },
        { 511, 64, KIRIM_EINVAL }, { 65536, 0, KIRIM_EINVAL }, { 0, 63, KIRIM_EINVAL },
        { 0, 4097, KIRIM_EINVAL },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct stage *x = stage_new(0);
        struct kirim_loop_options options = KIRIM_LOOP_OPTIONS_INIT;
        options.datagram_bytes_max = rows[i].datagram_bytes_max;
        options.receive_slot_count = rows[i].receive_slot_count;
        KS_ERR(rows[i].err, script_try_open(x->s, &options));
        stage_close(x);
    }
}
END_TEST

static kirim_err open_endpoint(struct stage *x, struct later *l, size_t size)
{
    struct kirim_endpoint *ep = NULL;
    memcpy(l, &size, sizeof size);
    const kirim_err err = kirim_endpoint_open(x->t.loop, (const void *)l, &ep);
    KS_CHECK((err == KIRIM_OK) == (ep != NULL));
    return err;
}

START_TEST(options_of_an_endpoint_may_be_of_a_later_version)
{
    struct stage *x = stage_open(0);
    const struct kirim_endpoint_options options = ks_endpoint_options(&x->t);
    const size_t size = sizeof options;
    struct later l = grow(&options, size);
    KS_OK(open_endpoint(x, &l, size));
    KS_OK(open_endpoint(x, &l, size + MORE_BYTES));
    KS_ERR(KIRIM_EINVAL, open_endpoint(x, &l, size - 1));
    l.bytes[size + MORE_BYTES - 1] = 0x80;
    KS_OK(open_endpoint(x, &l, size + MORE_BYTES - 1));
    KS_ERR(KIRIM_EINVAL, open_endpoint(x, &l, size + MORE_BYTES));
    stage_close(x);
}
END_TEST

START_TEST(unknown_flags_of_an_endpoint_are_refused)
{
    struct stage *x = stage_open(0);
    for (unsigned bit = 0; bit < 32; bit++) {
        struct kirim_endpoint_options options = ks_endpoint_options(&x->t);
        struct kirim_endpoint *ep = NULL;
        options.flags = (uint32_t)1 << bit;
        const kirim_err err = kirim_endpoint_open(x->t.loop, &options, &ep);
        KS_CHECK(bit < 16 || err == KIRIM_EINVAL); /* 16 are known */
    }
    stage_close(x);
}
END_TEST

START_TEST(a_handler_may_be_of_a_later_version)
{
    struct stage *x = stage_open(0);
    struct kirim_endpoint_options options = ks_endpoint_options(&x->t);
    const struct kirim_handler handler = { KIRIM_HANDLER_INIT, NULL, NULL, NULL, NULL };
    const size_t size = sizeof handler;
    struct later l = grow(&handler, size);
    struct kirim_endpoint *ep = NULL;
    options.handler = (const void *)&l;
    const size_t more = size + 8;
    memcpy(&l, &more, sizeof more);
    KS_OK(kirim_endpoint_open(x->t.loop, &options, &ep));
    l.bytes[size] = 1; /* a callback that nobody would call */
    KS_ERR(KIRIM_EINVAL, kirim_endpoint_open(x->t.loop, &options, &ep));
    const size_t less = size - 8;
    memcpy(&l, &less, sizeof less);
    KS_ERR(KIRIM_EINVAL, kirim_endpoint_open(x->t.loop, &options, &ep));
    stage_close(x);
}
END_TEST

/* ---- control data ---------------------------------------------------------------------------- */

START_TEST(control_data_may_be_of_a_later_version)
{
    struct stage *x = stage_open(KIRIM_CAP_TTL);
    struct kirim_control control = KIRIM_CONTROL_INIT;
    control.ttl = 5;
    struct later l = grow(&control, sizeof control);
    const struct kirim_msg msg = { NULL, &x->to, (const void *)&l, 0, 0 };
    const uint32_t size = sizeof control;
    uint32_t more = size + 8;
    memcpy(&l, &more, sizeof more);
    KS_OK(ks_post_msg(x->n, &msg, 0, NULL));
    l.bytes[size] = 1;
    KS_ERR(KIRIM_EINVAL, ks_post_msg(x->n, &msg, 0, NULL));
    more = size - 1;
    memcpy(&l, &more, sizeof more);
    KS_ERR(KIRIM_EINVAL, ks_post_msg(x->n, &msg, 0, NULL));
    ks_turn(&x->t);
    KS_EQ(1, x->p->sent_count);
    KS_EQ(5, x->p->sent[0].control.ttl);
    stage_close(x);
}
END_TEST

START_TEST(control_data_that_says_something_unknown_is_refused)
{
    struct stage *x = stage_open(KIRIM_CAP_DONT_FRAGMENT);
    struct kirim_control control = KIRIM_CONTROL_INIT;
    const struct kirim_msg msg = { NULL, &x->to, &control, 0, 0 };
    control.flags = KIRIM_CONTROL_DONT_FRAGMENT;
    KS_OK(ks_post_msg(x->n, &msg, 0, NULL));
    control.flags = 2;
    KS_ERR(KIRIM_EINVAL, ks_post_msg(x->n, &msg, 0, NULL));
    control.flags = 0;
    control.ki_reserved = 1;
    KS_ERR(KIRIM_EINVAL, ks_post_msg(x->n, &msg, 0, NULL));
    stage_close(x);
}
END_TEST

/* ---- statistics ------------------------------------------------------------------------------ */

START_TEST(statistics_are_written_as_far_as_both_sides_know_them)
{
    struct stage *x = stage_open(0);
    const struct kirim_endpoint_stats ep_stats = KIRIM_ENDPOINT_STATS_INIT;
    const struct kirim_loop_stats loop_stats = KIRIM_LOOP_STATS_INIT;
    struct later e = grow(&ep_stats, sizeof ep_stats);
    struct later o = grow(&loop_stats, sizeof loop_stats);
    uint32_t size = (uint32_t)sizeof ep_stats + 16;
    memcpy(&e, &size, sizeof size);
    memset(e.bytes + sizeof ep_stats, 7, 32);
    KS_OK(kirim_endpoint_read_stats(x->n->ep, (void *)&e));
    KS_EQ(0, memcmp(&e, &size, sizeof size)); /* stays the caller's */
    KS_EQ(7, e.bytes[sizeof ep_stats]);       /* not written */
    size = (uint32_t)sizeof loop_stats + 16;
    memcpy(&o, &size, sizeof size);
    memset(o.bytes + sizeof loop_stats, 7, 32);
    KS_OK(kirim_loop_read_stats(x->t.loop, (void *)&o));
    KS_EQ(0, memcmp(&o, &size, sizeof size));
    KS_EQ(7, o.bytes[sizeof loop_stats]);
    size = 3;
    memcpy(&o, &size, sizeof size);
    KS_ERR(KIRIM_EINVAL, kirim_loop_read_stats(x->t.loop, (void *)&o));
    memcpy(&e, &size, sizeof size);
    KS_ERR(KIRIM_EINVAL, kirim_endpoint_read_stats(x->n->ep, (void *)&e));
    stage_close(x);
}
END_TEST

int main(void)
{
    Suite *const suite = suite_create("growth");
    TCase *const tcase = tcase_create("growth");
    tcase_add_test(tcase, a_copy_fills_what_the_caller_does_not_know_with_zeros);
    tcase_add_test(tcase, a_handler_of_another_kind_is_refused);
    tcase_add_test(tcase, a_copy_refuses_what_the_library_does_not_know);
    tcase_add_test(tcase, options_of_a_loop_may_be_of_a_later_version);
    tcase_add_test(tcase, bounds_of_a_loop_are_checked_at_their_edges);
    tcase_add_test(tcase, options_of_an_endpoint_may_be_of_a_later_version);
    tcase_add_test(tcase, unknown_flags_of_an_endpoint_are_refused);
    tcase_add_test(tcase, a_handler_may_be_of_a_later_version);
    tcase_add_test(tcase, control_data_may_be_of_a_later_version);
    tcase_add_test(tcase, control_data_that_says_something_unknown_is_refused);
    tcase_add_test(tcase, statistics_are_written_as_far_as_both_sides_know_them);
    suite_add_tcase(suite, tcase);
    SRunner *const runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed_count = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
