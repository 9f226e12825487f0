/* SPDX-License-Identifier: MIT
 *
 * Runs the scenario once for every fault there can be: the n-th allocation, the n-th system call
 * with each code, the n-th call that does less than asked, for every n until nothing fails any
 * more; once, and with all that come after it.
 *
 *     test_faults REACTOR [KIND [NTH]]     KIND: memory, partial, or a code as EAGAIN; with
 * ",lasting"
 *
 * Prints a line for each kind; stops at the first run that is wrong, with the line that repeats it.
 */
#include "faults.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EXIT_SKIP = 77, NAME_BYTES = 32 };

static const char *reactor_name;
static char kind_name[NAME_BYTES];

void fault_fail(const char *format, ...)
{
    va_list arguments;
    fflush(stdout);
    fprintf(stderr, "test_faults %s %s %" PRIu64 ": ", reactor_name, kind_name, fault_plan.nth);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    fflush(stderr);
    exit(EXIT_FAILURE);
}

static void run_once(const struct fault_plan *plan)
{
    fault_plan = *plan;
    if (!fault_run_scenario(reactor_name)) {
        printf("faults: skipped, there is no reactor %s in this build\n", reactor_name);
        exit(EXIT_SKIP);
    }
}

/* Whether the user asked for this kind; NULL: for all. */
static bool is_asked(const struct fault_plan *plan, const char *name, const char *wanted)
{
    snprintf(kind_name, sizeof kind_name, "%s%s", name, plan->is_lasting ? ",lasting" : "");
    return wanted == NULL || strcmp(wanted, kind_name) == 0;
}

/* One run for each n, until one in which nothing failed. */
static void run_kind(struct fault_plan plan, const char *name, const char *wanted, uint64_t nth)
{
    if (!is_asked(&plan, name, wanted)) {
        return;
    }
    if (nth != 0) {
        plan.nth = nth;
        run_once(&plan);
        return;
    }
    plan.nth = 0;
    do {
        plan.nth++;
        run_once(&plan);
    } while (fault_plan.hit_count > 0);
    printf("%s: %s: %" PRIu64 " faults\n", reactor_name, kind_name, plan.nth - 1);
    fflush(stdout);
}

static void run_all(const char *wanted, uint64_t nth)
{
    const bool has_calls = strcmp(reactor_name, "sim") != 0;
    for (int i = 0; i < 2; i++) {
        const bool is_lasting = i == 1;
        run_kind((struct fault_plan){ .kind = FAULT_MEMORY, .is_lasting = is_lasting }, "memory",
                 wanted, nth);
        if (!has_calls) {
            continue;
        }
        run_kind((struct fault_plan){ .kind = FAULT_PARTIAL, .is_lasting = is_lasting }, "partial",
                 wanted, nth);
        for (const struct fault_code *c = fault_codes; c->name != NULL; c++) {
            /* No system interrupts or forgets for ever. */
            if (!is_lasting || strcmp(c->name, "EINTR") != 0) {
                run_kind((struct fault_plan){ .kind = FAULT_CALL,
                                              .code = c->code,
                                              .is_lasting = is_lasting },
                         c->name, wanted, nth);
            }
        }
    }
}

int main(int argc, char **argv)
{
    if (argc < 2 || argc > 4) {
        fprintf(stderr, "usage: test_faults REACTOR [KIND [NTH]]\n");
        return 2;
    }
    reactor_name = argv[1];
    snprintf(kind_name, sizeof kind_name, "none");
    run_once(&(struct fault_plan){ .kind = FAULT_NONE });
    run_all(argc > 2 ? argv[2] : NULL, argc > 3 ? strtoull(argv[3], NULL, 10) : 0);
    return EXIT_SUCCESS;
}
