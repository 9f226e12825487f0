/* SPDX-License-Identifier: MIT
 *
 * Claims about lib/policy.c: the whole table, spelled out by hand.
 */
#include "policy.h"

#include <check.h>
#include <stdlib.h>

/* What follows from each error: at the first refusal of a datagram, and if it was tried again. */
static const struct row {
    kirim_err err;
    uint32_t first, again; /* KI_ACT_... */
    uint32_t reason;
} rows[] = {
    /* The system is full: wait, however often. */
    { KIRIM_EWOULDBLOCK, KI_ACT_WAIT, KI_ACT_WAIT, 0 },
    /* May be what an earlier datagram left at the socket: once more, then believe it. */
    { KIRIM_ECONNRESET, KI_ACT_RETRY, KI_ACT_DROP, KIRIM_DROP_RESET },
    { KIRIM_ENETRESET, KI_ACT_RETRY, KI_ACT_DROP, KIRIM_DROP_UNREACHABLE },
    { KIRIM_ENETUNREACH, KI_ACT_RETRY, KI_ACT_DROP, KIRIM_DROP_UNREACHABLE },
    { KIRIM_EACCES, KI_ACT_RETRY, KI_ACT_DROP, KIRIM_DROP_DENIED },
    /* This datagram's own. */
    { KIRIM_ENETDOWN, KI_ACT_DROP, KI_ACT_DROP, KIRIM_DROP_UNREACHABLE },
    { KIRIM_EADDRNOTAVAIL, KI_ACT_DROP, KI_ACT_DROP, KIRIM_DROP_UNREACHABLE },
    { KIRIM_EMSGSIZE, KI_ACT_DROP, KI_ACT_DROP, KIRIM_DROP_TOO_LONG },
    { KIRIM_ENOBUFS, KI_ACT_DROP, KI_ACT_DROP, KIRIM_DROP_NO_BUFFERS },
    { KIRIM_ENOMEM, KI_ACT_DROP, KI_ACT_DROP, KIRIM_DROP_NO_BUFFERS },
    { KIRIM_ESHUTDOWN, KI_ACT_DROP, KI_ACT_DROP, KIRIM_DROP_SHUTDOWN },
    { KIRIM_EABORTED, KI_ACT_DROP, KI_ACT_DROP, KIRIM_DROP_CANCELLED },
    { KIRIM_ETIMEDOUT, KI_ACT_DROP, KI_ACT_DROP, KIRIM_DROP_DEADLINE },
    /* Not expected of a send. */
    { KIRIM_EFAULT, KI_ACT_DROP, KI_ACT_DROP, KIRIM_DROP_SYSTEM },
    { KIRIM_EINPROGRESS, KI_ACT_DROP, KI_ACT_DROP, KIRIM_DROP_SYSTEM },
    { KIRIM_EINTR, KI_ACT_DROP, KI_ACT_DROP, KIRIM_DROP_SYSTEM },
    { KIRIM_EINVAL, KI_ACT_DROP, KI_ACT_DROP, KIRIM_DROP_SYSTEM },
    { KIRIM_ENOTCONN, KI_ACT_DROP, KI_ACT_DROP, KIRIM_DROP_SYSTEM },
    { KIRIM_ENOTSOCK, KI_ACT_DROP, KI_ACT_DROP, KIRIM_DROP_SYSTEM },
    { KIRIM_EOPNOTSUPP, KI_ACT_DROP, KI_ACT_DROP, KIRIM_DROP_SYSTEM },
    { KIRIM_ENOTINITIALISED, KI_ACT_DROP, KI_ACT_DROP, KIRIM_DROP_SYSTEM },
    { KIRIM_EADDRINUSE, KI_ACT_DROP, KI_ACT_DROP, KIRIM_DROP_SYSTEM },
    { KIRIM_EAFNOSUPPORT, KI_ACT_DROP, KI_ACT_DROP, KIRIM_DROP_SYSTEM },
    { KIRIM_EMFILE, KI_ACT_DROP, KI_ACT_DROP, KIRIM_DROP_SYSTEM },
    { KIRIM_ECLOSED, KI_ACT_DROP, KI_ACT_DROP, KIRIM_DROP_SYSTEM },
    { KIRIM_ENOENT, KI_ACT_DROP, KI_ACT_DROP, KIRIM_DROP_SYSTEM },
    { KIRIM_EEXIST, KI_ACT_DROP, KI_ACT_DROP, KIRIM_DROP_SYSTEM },
    { KIRIM_EBUSY, KI_ACT_DROP, KI_ACT_DROP, KIRIM_DROP_SYSTEM },
    { KIRIM_ESYSTEM, KI_ACT_DROP, KI_ACT_DROP, KIRIM_DROP_SYSTEM },
    { -1000, KI_ACT_DROP, KI_ACT_DROP, KIRIM_DROP_SYSTEM },
};

enum { ROW_COUNT = sizeof rows / sizeof rows[0] };

static void check_verdict(const struct row *row, uint32_t status, uint32_t action)
{
    const struct ki_verdict v = ki_judge(row->err, status);
    ck_assert_msg(v.action == action, "%s, status %u: action %u, not %u", kirim_err_name(row->err),
                  status, v.action, action);
    if (action == KI_ACT_DROP) {
        ck_assert_msg(v.reason == row->reason, "%s, status %u: reason %u, not %u",
                      kirim_err_name(row->err), status, v.reason, row->reason);
    }
}

START_TEST(every_error_has_its_consequence)
{
    const struct row *row = &rows[_i];
    check_verdict(row, KI_QUEUED, row->first);
    check_verdict(row, KI_RETRIED, row->again);
}
END_TEST

START_TEST(no_other_flag_of_an_entry_changes_the_consequence)
{
    static const uint32_t flags[] = { KI_INFLIGHT, KI_LENT, KI_STORED, KI_DONTROUTE, KI_COPIED };
    const struct row *row = &rows[_i];
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        check_verdict(row, flags[i], row->first);
        check_verdict(row, flags[i] | KI_RETRIED, row->again);
    }
}
END_TEST

START_TEST(the_table_knows_every_error)
{
    for (kirim_err err = KIRIM_EACCES; err >= KIRIM_ESYSTEM; err--) {
        size_t count = 0;
        for (size_t i = 0; i < ROW_COUNT; i++) {
            count += rows[i].err == err;
        }
        ck_assert_msg(count == 1, "%s stands in %zu rows", kirim_err_name(err), count);
    }
}
END_TEST

int main(void)
{
    Suite *const suite = suite_create("policy");
    TCase *const tcase = tcase_create("policy");
    tcase_add_loop_test(tcase, every_error_has_its_consequence, 0, ROW_COUNT);
    tcase_add_loop_test(tcase, no_other_flag_of_an_entry_changes_the_consequence, 0, ROW_COUNT);
    tcase_add_test(tcase, the_table_knows_every_error);
    suite_add_tcase(suite, tcase);
    SRunner *const runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed_count = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
