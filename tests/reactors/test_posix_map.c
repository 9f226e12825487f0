/* SPDX-License-Identifier: MIT
 *
 * Claims about reactors/posix_map.c: which error each value of errno is. S30 to S49.
 */
#include "posix_map.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>

static const struct row {
    int sys_err;
    kirim_err err;
} table[] = {
    { EACCES, KIRIM_EACCES },              /* S30 */
    { EPERM, KIRIM_EACCES },               /* S30: what a packet filter says */
    { ECONNREFUSED, KIRIM_ECONNRESET },    /* S31 */
    { ECONNRESET, KIRIM_ECONNRESET },      /* S31 */
    { EFAULT, KIRIM_EFAULT },              /* S32 */
    { EINPROGRESS, KIRIM_EINPROGRESS },    /* S33 */
    { EALREADY, KIRIM_EINPROGRESS },       /* S33 */
    { EINTR, KIRIM_EINTR },                /* S34 */
    { EINVAL, KIRIM_EINVAL },              /* S35 */
    { EMSGSIZE, KIRIM_EMSGSIZE },          /* S36 */
    { ENETDOWN, KIRIM_ENETDOWN },          /* S37 */
    { ENETRESET, KIRIM_ENETRESET },        /* S38 */
    { ENETUNREACH, KIRIM_ENETUNREACH },    /* S39 */
    { EHOSTUNREACH, KIRIM_ENETUNREACH },   /* S39 */
    { EHOSTDOWN, KIRIM_ENETUNREACH },      /* S39 */
    { ENOBUFS, KIRIM_ENOBUFS },            /* S40: never KIRIM_EWOULDBLOCK */
    { ENOTCONN, KIRIM_ENOTCONN },          /* S41 */
    { EDESTADDRREQ, KIRIM_ENOTCONN },      /* S41: what Linux says */
    { ENOTSOCK, KIRIM_ENOTSOCK },          /* S42 */
    { EBADF, KIRIM_ENOTSOCK },             /* S42 */
    { EOPNOTSUPP, KIRIM_EOPNOTSUPP },      /* S43 */
    { ENOTSUP, KIRIM_EOPNOTSUPP },         /* S43 */
    { ENOSYS, KIRIM_EOPNOTSUPP },          /* S43 */
    { ENOPROTOOPT, KIRIM_EOPNOTSUPP },     /* S43 */
    { EPROTONOSUPPORT, KIRIM_EOPNOTSUPP }, /* S43 */
    { ESOCKTNOSUPPORT, KIRIM_EOPNOTSUPP }, /* S43 */
    { EPIPE, KIRIM_ESHUTDOWN },            /* S44: what Linux says */
    { ESHUTDOWN, KIRIM_ESHUTDOWN },        /* S44 */
    { ETIMEDOUT, KIRIM_ETIMEDOUT },        /* S45 */
    { EAGAIN, KIRIM_EWOULDBLOCK },         /* S46 */
    { EWOULDBLOCK, KIRIM_EWOULDBLOCK },    /* S46 */
    { ECANCELED, KIRIM_EABORTED },         /* S49 */
    { ENOMEM, KIRIM_ENOMEM },
    { ENOSPC, KIRIM_ENOMEM },
    { EADDRINUSE, KIRIM_EADDRINUSE },
    { EADDRNOTAVAIL, KIRIM_EADDRNOTAVAIL },
    { EAFNOSUPPORT, KIRIM_EAFNOSUPPORT },
    { EPFNOSUPPORT, KIRIM_EAFNOSUPPORT },
    { EMFILE, KIRIM_EMFILE },
    { ENFILE, KIRIM_EMFILE },
    { ENOENT, KIRIM_ENOENT },
    { EEXIST, KIRIM_EEXIST },
    { EBUSY, KIRIM_EBUSY },
    { EIO, KIRIM_ESYSTEM },
    { EPROTO, KIRIM_ESYSTEM },
    { 0, KIRIM_ESYSTEM },
    { -1, KIRIM_ESYSTEM },
    { 99999, KIRIM_ESYSTEM },
};

enum { ROW_COUNT = sizeof table / sizeof table[0] };

START_TEST(errno_maps_to_one_error)
{
    ck_assert_int_eq(ki_posix_map(table[_i].sys_err), table[_i].err);
}
END_TEST

START_TEST(no_errno_is_a_success)
{
    for (int sys_err = -1; sys_err < 4096; sys_err++) {
        ck_assert_int_lt(ki_posix_map(sys_err), 0);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("reactors/posix_map");
    TCase *tcase = tcase_create("map");
    tcase_add_loop_test(tcase, errno_maps_to_one_error, 0, ROW_COUNT);
    tcase_add_test(tcase, no_errno_is_a_success);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed_count = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
