/* SPDX-License-Identifier: MIT
 *
 * kirim-conformance: runs the conformance suite, and holds its results against the table of
 * expectations.
 *
 * One Check case for each case of the suite, reactor, family and mode; then one for each row,
 * reactor and family, which looks at the results so far. Runs with and without fork (CK_FORK=no).
 * Exit status: 0 all is as stated, 1 something is not, 2 wrong usage. Sources:
 * docs/send-contract.md, Check's manual.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plan.h"
#include "support/ks_spy.h"

enum { CASE_SECONDS_MAX = 30 };

struct options {
    struct kc_choice choice;
    const char *expected; /* NULL: this system's own table */
    uint64_t patience_ns;
    bool is_listing, is_checking_table, is_failing_fast;
};

struct kc_row {
    const char *reactor;
    int family;
    int row;
    char label[KC_LABEL_BYTES]; /* Check keeps a pointer to it */
};

/* What Check's functions work on: they get a number and nothing else. */
static struct {
    struct options options;
    struct kc_plan plan;
    struct kc_table *table;
    SRunner *runner;
    struct kc_row *rows;
    size_t row_count;
    const struct kc_entry *running; /* without fork: the case that has begun and not ended */
} run;

/* ---- cases ----------------------------------------------------------------------------------- */

START_TEST(run_case)
{
    const struct kc_entry *e = &run.plan.entry[_i];
    if (run.options.is_failing_fast && run.running != NULL) {
        return;
    }
    run.running = e;
    struct ks t;
    ks_init(&t, e->reactor, e->family);
    t.mode = e->mode;
    t.arg = e->c->arg;
    t.patience_ns = run.options.patience_ns;
    if ((e->c->flags & KC_SPIED) != 0) {
        ks_open_spied(&t);
    } else if ((e->c->flags & KC_UNOPENED) == 0) {
        ks_open(&t);
    }
    e->c->run(&t);
    ks_close(&t);
    run.running = NULL;
}
END_TEST

/* ---- rows ------------------------------------------------------------------------------------ */

struct verdict {
    enum kc_kind best;   /* proven */
    const char *skipped; /* label of a case skipped for want of a capability, */
    const char *reason;  /* and why */
    const char *denied;  /* label of one that is not permitted here */
    const char *failed;
    size_t case_count;
};

static bool has_passed(TestResult *const *results, int count, const char *label)
{
    for (int i = 0; i < count; i++) {
        if (strcmp(tr_tcname(results[i]), label) == 0) {
            return tr_rtype(results[i]) == CK_PASS;
        }
    }
    return false;
}

static struct verdict judge_row(const struct kc_row *row)
{
    struct verdict v = { KC_NONE, NULL, NULL, NULL, NULL, 0 };
    TestResult **results = srunner_results(run.runner);
    const int count = srunner_ntests_run(run.runner);
    const struct kc_entry *gap = NULL;
    for (size_t i = 0; i < run.plan.count; i++) {
        const struct kc_entry *e = &run.plan.entry[i];
        if (e->family != row->family || strcmp(e->reactor, row->reactor) != 0 ||
            !kc_case_cites(e->c, row->row)) {
            continue;
        }
        v.case_count++;
        if (kc_entry_is_not_permitted(e)) {
            v.denied = e->label;
        } else if (kc_entry_is_gap(e)) {
            gap = e;
        } else if (e->skip[0] != 0) {
            if ((e->c->flags & KC_EXTRA) != 0) {
                continue;
            }
            v.skipped = e->label;
            v.reason = e->skip;
        } else if (!has_passed(results, count, e->label)) {
            v.failed = e->label;
        } else if (e->c->kind > v.best) {
            v.best = e->c->kind;
        }
    }
    if (gap != NULL && v.best == KC_NONE && v.skipped == NULL) {
        v.skipped = gap->label; /* nothing else proves it */
        v.reason = gap->skip;
    }
    free(results);
    return v;
}

/* What is wrong with a row, written to `text`; "" if nothing is. */
static void find_fault(const struct kc_row *row, const struct verdict *v, char *text, size_t bytes)
{
    const struct kc_expected e = kc_table_find(run.table, row->row, row->reactor, row->family);
    text[0] = 0;
    if (e.kind == KC_NONE) {
        (void)snprintf(text, bytes, "the table of expectations has no such field");
    } else if (v->case_count == 0) {
        (void)snprintf(text, bytes, "no case cites it");
    } else if (v->failed != NULL) {
        (void)snprintf(text, bytes, "failed: %s", v->failed);
    } else if (e.kind == KC_SKIP) {
        if (v->best == KC_NONE && v->reason != NULL && strcmp(v->reason, e.reason) != 0) {
            (void)snprintf(text, bytes, "skipped for \"%s\", stated is \"%s\"", v->reason,
                           e.reason);
        }
    } else if (v->skipped != NULL) {
        (void)snprintf(text, bytes, "stated is %s, but %s was skipped: %s", kc_kind_name(e.kind),
                       v->skipped, v->reason);
    } else if (v->best < e.kind && v->denied == NULL) {
        (void)snprintf(text, bytes, "stated is %s, proven is %s", kc_kind_name(e.kind),
                       kc_kind_name(v->best));
    }
}

START_TEST(judge)
{
    const struct kc_row *row = &run.rows[_i];
    const struct verdict v = judge_row(row);
    char text[512];
    find_fault(row, &v, text, sizeof text);
    if (text[0] != 0) {
        ck_abort_msg("S%d: %s", row->row, text);
    }
}
END_TEST

/* ---- running --------------------------------------------------------------------------------- */

static void add_rows(const char *reactor, int family, Suite *suite)
{
    for (int number = 1; number <= KC_ROW_COUNT; number++) {
        if (run.options.choice.row != 0 && run.options.choice.row != number) {
            continue;
        }
        struct kc_row *row = &run.rows[run.row_count];
        *row = (struct kc_row){ .reactor = reactor, .family = family, .row = number };
        (void)snprintf(row->label, sizeof row->label, "%s-%d row S%d", reactor, family, number);
        TCase *tcase = tcase_create(row->label);
        tcase_add_loop_test(tcase, judge, (int)run.row_count, (int)run.row_count + 1);
        suite_add_tcase(suite, tcase);
        run.row_count++;
    }
}

/* Whether an entry is the first of its reactor and family. */
static bool begins_group(size_t index)
{
    const struct kc_entry *e = &run.plan.entry[index];
    return index == 0 || e[-1].family != e->family || strcmp(e[-1].reactor, e->reactor) != 0;
}

/* Adds the rows behind the cases of each reactor and family of the plan. */
static void add_all_rows(Suite *suite)
{
    size_t group_count = 0;
    for (size_t i = 0; i < run.plan.count; i++) {
        group_count += begins_group(i);
    }
    run.rows = calloc(group_count * KC_ROW_COUNT + 1, sizeof *run.rows);
    if (run.rows == NULL) {
        abort();
    }
    for (size_t i = 0; i < run.plan.count; i++) {
        if (begins_group(i)) {
            add_rows(run.plan.entry[i].reactor, run.plan.entry[i].family, suite);
        }
    }
}

static void print_skips(void)
{
    for (size_t i = 0; i < run.plan.count; i++) {
        if (run.plan.entry[i].skip[0] != 0) {
            printf("skipped: %s: %s\n", run.plan.entry[i].label, run.plan.entry[i].skip);
        }
    }
}

static void print_failures(void)
{
    TestResult **failures = srunner_failures(run.runner);
    const int count = srunner_ntests_failed(run.runner);
    for (int i = 0; i < count; i++) {
        const char *file = strrchr(tr_lfile(failures[i]), '/');
        printf("FAILED: %s: %s:%d: %s\n", tr_tcname(failures[i]),
               file != NULL ? file + 1 : tr_lfile(failures[i]), tr_lno(failures[i]),
               tr_msg(failures[i]));
    }
    free(failures);
}

/* One line for each reactor and family: how many rows are proven how; and where more was proven
 * than is stated. */
static void print_rows(void)
{
    size_t counts[KC_LIVE + 1] = { 0 };
    for (size_t i = 0; i < run.row_count; i++) {
        const struct kc_row *row = &run.rows[i];
        const struct verdict v = judge_row(row);
        const struct kc_expected e = kc_table_find(run.table, row->row, row->reactor, row->family);
        const bool is_proven = v.failed == NULL && v.best != KC_NONE && v.skipped == NULL;
        counts[is_proven ? v.best : v.failed != NULL ? KC_NONE : KC_SKIP]++;
        if (is_proven && e.kind != KC_NONE && v.best > e.kind) {
            printf("better than stated: S%d %s-%d: %s\n", row->row, row->reactor, row->family,
                   kc_kind_name(v.best));
        }
        const bool is_last = i + 1 == run.row_count || run.rows[i + 1].family != row->family ||
                             strcmp(run.rows[i + 1].reactor, row->reactor) != 0;
        if (is_last) {
            printf(
                "rows %s-%d: %zu live, %zu spy, %zu mapped, %zu checked, %zu skipped, %zu failed\n",
                row->reactor, row->family, counts[KC_LIVE], counts[KC_SPY], counts[KC_MAPPED],
                counts[KC_CHECKED], counts[KC_SKIP], counts[KC_NONE]);
            memset(counts, 0, sizeof counts);
        }
    }
}

static int run_all(void)
{
    Suite *cases = suite_create("conformance");
    Suite *rows = suite_create("rows");
    for (size_t i = 0; i < run.plan.count; i++) {
        if (run.plan.entry[i].skip[0] == 0) {
            TCase *tcase = tcase_create(run.plan.entry[i].label);
            tcase_set_timeout(tcase, CASE_SECONDS_MAX);
            tcase_add_loop_test(tcase, run_case, (int)i, (int)i + 1);
            suite_add_tcase(cases, tcase);
        }
    }
    if (run.options.choice.subject == NULL && run.options.choice.name == NULL) {
        add_all_rows(rows);
    }
    run.runner = srunner_create(cases);
    srunner_add_suite(run.runner, rows);
    if (run.options.is_failing_fast) {
        srunner_set_fork_status(run.runner, CK_NOFORK);
    }
    (void)fflush(stdout);
    srunner_run_all(run.runner, CK_SILENT);
    print_skips();
    print_rows();
    print_failures();
    srunner_print(run.runner, CK_MINIMAL);
    const bool is_good = srunner_ntests_failed(run.runner) == 0;
    srunner_free(run.runner);
    return is_good ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* ---- the table and the list ------------------------------------------------------------------ */

static void list_cases(void)
{
    for (size_t s = 0; kc_subjects[s] != NULL; s++) {
        for (size_t i = 0; i < kc_subjects[s]->count; i++) {
            const struct kc_case *c = &kc_subjects[s]->cases[i];
            printf("%-9s %-8s %s%s%s%s%s\n", kc_subjects[s]->name, kc_kind_name(c->kind), c->name,
                   c->rows[0] != 0 ? " [" : "", c->rows, c->rows[0] != 0 ? "]" : "",
                   c->missing != NULL ? " (not in this build)" : "");
        }
    }
}

static bool is_cited(int row)
{
    for (size_t s = 0; kc_subjects[s] != NULL; s++) {
        for (size_t i = 0; i < kc_subjects[s]->count; i++) {
            if (kc_case_cites(&kc_subjects[s]->cases[i], row)) {
                return true;
            }
        }
    }
    return false;
}

/* Cases that cite what is no row. */
static int check_cases(void)
{
    int faults = 0;
    for (size_t s = 0; kc_subjects[s] != NULL; s++) {
        for (size_t i = 0; i < kc_subjects[s]->count; i++) {
            if (!kc_case_rows_are_good(&kc_subjects[s]->cases[i])) {
                faults++;
                printf("%s cites what is no row: %s\n", kc_subjects[s]->cases[i].name,
                       kc_subjects[s]->cases[i].rows);
            }
        }
    }
    return faults;
}

/* A row that this build's reactors lack in the table. */
static int check_reactors(int row)
{
    int faults = 0;
    const char *reactor;
    for (size_t i = 0; (reactor = kirim_reactor_name(i)) != NULL; i++) {
        for (int family = KIRIM_IPV4; family <= KIRIM_IPV6; family += KIRIM_IPV6 - KIRIM_IPV4) {
            if (kc_table_find(run.table, row, reactor, family).kind == KC_NONE) {
                faults++;
                printf("S%d %s-%d: not in the table\n", row, reactor, family);
            }
        }
    }
    return faults;
}

/* A table that is named may be that of another system: then its own columns count. */
static int check_table(void)
{
    int faults = check_cases();
    const bool is_own = run.options.expected == NULL;
    const char *column;
    for (int row = 1; row <= KC_ROW_COUNT; row++) {
        if (!is_cited(row)) {
            faults++;
            printf("S%d: no case cites it\n", row);
        }
        faults += is_own ? check_reactors(row) : 0;
        for (size_t i = 0; (column = kc_table_column(run.table, i)) != NULL; i++) {
            if (kc_table_kind(run.table, row, i) == KC_NONE) {
                faults++;
                printf("S%d %s: not in the table\n", row, column);
            }
        }
    }
    size_t case_count = 0;
    for (size_t s = 0; kc_subjects[s] != NULL; s++) {
        case_count += kc_subjects[s]->count;
    }
    printf("%zu cases, %d rows, %d faults\n", case_count, KC_ROW_COUNT, faults);
    return faults == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* ---- the command line ------------------------------------------------------------------------ */

static int usage(const char *what)
{
    fprintf(stderr,
            "kirim-conformance: %s\n"
            "usage: kirim-conformance [--list] [--reactor NAME] [--family 4|6] [--row S12]\n"
            "                         [--subject NAME] [--case NAME] [--expected FILE]\n"
            "                         [--check-table] [--fail-fast] [--patience SECONDS]\n",
            what);
    return 2;
}

static bool is_reactor(const char *name)
{
    const char *reactor;
    for (size_t i = 0; (reactor = kirim_reactor_name(i)) != NULL; i++) {
        if (strcmp(reactor, name) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_subject(const char *name)
{
    for (size_t i = 0; kc_subjects[i] != NULL; i++) {
        if (strcmp(kc_subjects[i]->name, name) == 0) {
            return true;
        }
    }
    return false;
}

/* A number of 1 .. `max`; 0 if it is none. */
static int read_number(const char *text, int max)
{
    char *end;
    const long number = strtol(text, &end, 10); /* long: strtol's */
    return *text < '1' || *text > '9' || *end != 0 || number > max ? 0 : (int)number;
}

static bool read_value(struct options *o, const char *name, const char *value)
{
    if (strcmp(name, "--reactor") == 0) {
        o->choice.reactor = value;
        return is_reactor(value);
    }
    if (strcmp(name, "--family") == 0) {
        o->choice.family = read_number(value, 6);
        return o->choice.family == KIRIM_IPV4 || o->choice.family == KIRIM_IPV6;
    }
    if (strcmp(name, "--row") == 0) {
        o->choice.row = value[0] == 'S' ? read_number(value + 1, KC_ROW_COUNT) : 0;
        return o->choice.row != 0;
    }
    if (strcmp(name, "--subject") == 0) {
        o->choice.subject = value;
        return is_subject(value);
    }
    if (strcmp(name, "--case") == 0) {
        o->choice.name = value;
        return true;
    }
    if (strcmp(name, "--expected") == 0) {
        o->expected = value;
        return true;
    }
    if (strcmp(name, "--patience") == 0) {
        o->patience_ns = (uint64_t)read_number(value, 3600) * KS_SECOND_NS;
        return o->patience_ns != 0;
    }
    return false;
}

static bool read_options(struct options *o, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--list") == 0) {
            o->is_listing = true;
        } else if (strcmp(argv[i], "--check-table") == 0) {
            o->is_checking_table = true;
        } else if (strcmp(argv[i], "--fail-fast") == 0) {
            o->is_failing_fast = true;
        } else if (i + 1 == argc || !read_value(o, argv[i], argv[i + 1])) {
            (void)usage(argv[i]);
            return false;
        } else {
            i++;
        }
    }
    return true;
}

/* Reads this system's own table: the one beside the program, as in the zip for Windows, else that
 * of the source tree. */
static struct kc_table *read_own_table(const char *program)
{
    const char *in_tree = KC_EXPECTED_FILE;
    size_t bytes = strlen(program);
    while (bytes > 0 && strchr("/\\", program[bytes - 1]) == NULL) {
        bytes--;
    }
    char beside[1024];
    const int length =
        snprintf(beside, sizeof beside, "%.*s%s", (int)bytes, program, strrchr(in_tree, '/') + 1);
    FILE *file = length < (int)sizeof beside ? fopen(beside, "r") : NULL;
    if (file != NULL) {
        (void)fclose(file);
    }
    return kc_table_read(file != NULL ? beside : in_tree);
}

int main(int argc, char **argv)
{
    run.options = (struct options){ .patience_ns = 10ULL * KS_SECOND_NS };
    if (!read_options(&run.options, argc, argv)) {
        return 2;
    }
    if (run.options.is_listing) {
        list_cases();
        return EXIT_SUCCESS;
    }
    run.table = run.options.expected != NULL ? kc_table_read(run.options.expected)
                                             : read_own_table(argv[0]);
    if (run.table == NULL) {
        return EXIT_FAILURE;
    }
    const char *fork_text = getenv("CK_FORK");
    kc_is_forking =
        !run.options.is_failing_fast && (fork_text == NULL || strcmp(fork_text, "no") != 0);
    int status = EXIT_FAILURE;
    if (run.options.is_checking_table) {
        status = check_table();
    } else if (kc_plan_make(&run.plan, &run.options.choice)) {
        status = run.plan.count > 0 ? run_all() : usage("no case of that name");
    }
    kc_plan_free(&run.plan);
    kc_table_free(run.table);
    free(run.rows);
    return status;
}
