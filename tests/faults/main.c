/* SPDX-License-Identifier: MIT
 *
 * Runs the scenario once for every fault there can be: the n-th allocation, the n-th system call
 * with each code, the n-th call that does less than asked, for every n until nothing fails any
 * more; once, and with all that come after it.
 *
 *     test_faults REACTOR [KIND [NTH]]
 *     test_faults --sample REACTOR
 *
 * KIND is memory, partial, or a code as EAGAIN; with ",lasting" for what lasts. Where a system call
 * costs a tenth of a millisecond (Wine), --sample leaves out most of the late ones: a code that has
 * few places, as all have that fail an open, fails at each of them; one that sends and receives
 * have too, which come in long rows that are all alike, fails at the first places and from there on
 * in steps that grow with n.
 *
 * Prints a line for each kind; stops at the first run that is wrong, with the line that repeats it.
 */
#include "faults.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EXIT_SKIP = 77, NAME_BYTES = 32, PLACES_FEW = 64, SAMPLE_EACH = 16, SAMPLE_PARTS = 2 };

static const char *reactor_name;
static char kind_name[NAME_BYTES];
static bool is_sampling;

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

/* The step from one n to the next, of a kind that has so many places: see above. */
static uint64_t step_of(uint64_t nth, uint64_t place_count)
{
    const bool is_each = !is_sampling || place_count <= PLACES_FEW || nth < SAMPLE_EACH;
    return is_each ? 1 : nth / SAMPLE_PARTS;
}

/* How many places a kind has while nothing fails. */
static uint64_t count_places(struct fault_plan plan)
{
    plan.nth = UINT64_MAX;
    run_once(&plan);
    return fault_plan.eligible_count;
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
    const uint64_t open_count = fault_count_open();
    const uint64_t place_count = is_sampling ? count_places(plan) : 0;
    uint64_t run_count = 0;
    plan.nth = 0;
    do {
        plan.nth += step_of(plan.nth, place_count);
        run_once(&plan);
        run_count++;
    } while (fault_plan.hit_count > 0);
    if (fault_count_open() != open_count) {
        fault_fail("%" PRIu64 " descriptors were open before, %" PRIu64 " behind it", open_count,
                   fault_count_open());
    }
    printf("%s: %s: %" PRIu64 " faults up to number %" PRIu64 "\n", reactor_name, kind_name,
           run_count - 1, plan.nth - 1);
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
            if (!is_lasting || !fault_code_is_passing(c->code)) {
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
    is_sampling = argc > 1 && strcmp(argv[1], "--sample") == 0;
    argc -= is_sampling;
    argv += is_sampling;
    if (argc < 2 || argc > 4) {
        fprintf(stderr, "usage: test_faults [--sample] REACTOR [KIND [NTH]]\n");
        return 2;
    }
    reactor_name = argv[1];
    snprintf(kind_name, sizeof kind_name, "none");
    run_once(&(struct fault_plan){ .kind = FAULT_NONE });
    run_all(argc > 2 ? argv[2] : NULL, argc > 3 ? strtoull(argv[3], NULL, 10) : 0);
    return EXIT_SUCCESS;
}
