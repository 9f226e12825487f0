/* SPDX-License-Identifier: MIT
 *
 * Claims about reactors/win_map.c: which error each code of Winsock is. S30 to S49. The codes are
 * written as the numbers of the reference page "Windows Sockets error codes".
 */
#include "win_map.h"

#include <check.h>
#include <stdlib.h>

static const struct row {
    int sys_err;
    kirim_err err;
} table[] = {
    { 10013, KIRIM_EACCES },          /* S30 WSAEACCES */
    { 10054, KIRIM_ECONNRESET },      /* S31 WSAECONNRESET */
    { 10061, KIRIM_ECONNRESET },      /* S31 WSAECONNREFUSED: what Wine says */
    { 10014, KIRIM_EFAULT },          /* S32 WSAEFAULT */
    { 10036, KIRIM_EINPROGRESS },     /* S33 WSAEINPROGRESS */
    { 10037, KIRIM_EINPROGRESS },     /* S33 WSAEALREADY */
    { 10004, KIRIM_EINTR },           /* S34 WSAEINTR */
    { 10022, KIRIM_EINVAL },          /* S35 WSAEINVAL */
    { 10040, KIRIM_EMSGSIZE },        /* S36 WSAEMSGSIZE */
    { 10050, KIRIM_ENETDOWN },        /* S37 WSAENETDOWN */
    { 10091, KIRIM_ENETDOWN },        /* S37 WSASYSNOTREADY */
    { 10052, KIRIM_ENETRESET },       /* S38 WSAENETRESET */
    { 10051, KIRIM_ENETUNREACH },     /* S39 WSAENETUNREACH */
    { 10065, KIRIM_ENETUNREACH },     /* S39 WSAEHOSTUNREACH */
    { 10064, KIRIM_ENETUNREACH },     /* S39 WSAEHOSTDOWN */
    { 10055, KIRIM_ENOBUFS },         /* S40 WSAENOBUFS: never KIRIM_EWOULDBLOCK */
    { 10057, KIRIM_ENOTCONN },        /* S41 WSAENOTCONN */
    { 10039, KIRIM_ENOTCONN },        /* S41 WSAEDESTADDRREQ */
    { 10038, KIRIM_ENOTSOCK },        /* S42 WSAENOTSOCK */
    { 10009, KIRIM_ENOTSOCK },        /* S42 WSAEBADF */
    { 6, KIRIM_ENOTSOCK },            /* S42 WSA_INVALID_HANDLE */
    { 10045, KIRIM_EOPNOTSUPP },      /* S43 WSAEOPNOTSUPP */
    { 10042, KIRIM_EOPNOTSUPP },      /* S43 WSAENOPROTOOPT */
    { 10043, KIRIM_EOPNOTSUPP },      /* S43 WSAEPROTONOSUPPORT */
    { 10041, KIRIM_EOPNOTSUPP },      /* S43 WSAEPROTOTYPE */
    { 10044, KIRIM_EOPNOTSUPP },      /* S43 WSAESOCKTNOSUPPORT */
    { 10092, KIRIM_EOPNOTSUPP },      /* S43 WSAVERNOTSUPPORTED */
    { 10058, KIRIM_ESHUTDOWN },       /* S44 WSAESHUTDOWN */
    { 10060, KIRIM_ETIMEDOUT },       /* S45 WSAETIMEDOUT */
    { 10035, KIRIM_EWOULDBLOCK },     /* S46 WSAEWOULDBLOCK */
    { 10093, KIRIM_ENOTINITIALISED }, /* S47 WSANOTINITIALISED */
    { 997, KIRIM_PENDING },           /* S48 WSA_IO_PENDING */
    { 995, KIRIM_EABORTED },          /* S49 WSA_OPERATION_ABORTED */
    { 10053, KIRIM_EABORTED },        /* S49 WSAECONNABORTED */
    { 10046, KIRIM_EAFNOSUPPORT },    /* WSAEPFNOSUPPORT */
    { 10047, KIRIM_EAFNOSUPPORT },    /* WSAEAFNOSUPPORT */
    { 10048, KIRIM_EADDRINUSE },      /* WSAEADDRINUSE */
    { 10049, KIRIM_EADDRNOTAVAIL },   /* WSAEADDRNOTAVAIL */
    { 10024, KIRIM_EMFILE },          /* WSAEMFILE */
    { 10067, KIRIM_EMFILE },          /* WSAEPROCLIM */
    { 8, KIRIM_ENOMEM },              /* WSA_NOT_ENOUGH_MEMORY */
    { 87, KIRIM_EINVAL },             /* WSA_INVALID_PARAMETER */
    { 10056, KIRIM_ESYSTEM },         /* WSAEISCONN: nothing here asks for it */
    { 0, KIRIM_ESYSTEM },
    { -1, KIRIM_ESYSTEM },
    { 99999, KIRIM_ESYSTEM },
};

enum { ROW_COUNT = sizeof table / sizeof table[0], PENDING = 997 };

START_TEST(code_maps_to_one_error)
{
    ck_assert_int_eq(ki_win_map(table[_i].sys_err), table[_i].err);
}
END_TEST

START_TEST(no_code_but_pending_is_a_success)
{
    for (int sys_err = -1; sys_err < 12000; sys_err++) {
        if (sys_err != PENDING) {
            ck_assert_int_lt(ki_win_map(sys_err), 0);
        }
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("reactors/win_map");
    TCase *tcase = tcase_create("map");
    tcase_add_loop_test(tcase, code_maps_to_one_error, 0, ROW_COUNT);
    tcase_add_test(tcase, no_code_but_pending_is_a_success);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed_count = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed_count == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
