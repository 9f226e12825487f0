/* SPDX-License-Identifier: MIT
 *
 * The table of expectations: expected.tsv, one line for each row, one column for each reactor and
 * family.
 *
 * The first line names the columns: `row`, then `REACTOR-FAMILY`. A field is a kind of proof or
 * `skip:REASON`. Lines that begin with # say something to people.
 */
#include "conformance.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COLUMN_MAX = 32, NAME_BYTES = 32, LINE_BYTES = 4096 };

struct kc_table {
    size_t column_count;
    char column[COLUMN_MAX][NAME_BYTES];
    struct kc_expected field[KC_ROW_COUNT + 1][COLUMN_MAX];
};

static const char *const kind_names[] = {
    [KC_NONE] = "nothing",    [KC_SKIP] = "skip", [KC_MAPPED] = "mapped",
    [KC_CHECKED] = "checked", [KC_SPY] = "spy",   [KC_LIVE] = "live",
};

const char *kc_kind_name(enum kc_kind kind)
{
    return kind_names[kind];
}

/* Number behind the S of a row's name that ends at `end`; 0 if it is none. */
static int row_number(const char *text, const char *end)
{
    int number = 0;
    if (text == end || *text != 'S' || text + 1 == end || text[1] == '0') {
        return 0;
    }
    for (const char *at = text + 1; at != end; at++) {
        if (*at < '0' || *at > '9' || number > KC_ROW_COUNT) {
            return 0;
        }
        number = number * 10 + (*at - '0');
    }
    return number <= KC_ROW_COUNT ? number : 0;
}

/* Calls for each word of a case's rows: whether one is `row`; row 0: whether all are good. */
static bool look_at_rows(const struct kc_case *c, int row)
{
    for (const char *at = c->rows; *at != 0;) {
        const size_t length = strcspn(at, " ");
        const int number = row_number(at, at + length);
        if (row == 0 && number == 0) {
            return false;
        }
        if (row != 0 && number == row) {
            return true;
        }
        at += length;
        at += strspn(at, " ");
    }
    return row == 0;
}

bool kc_case_cites(const struct kc_case *c, int row)
{
    return look_at_rows(c, row);
}

bool kc_case_rows_are_good(const struct kc_case *c)
{
    return look_at_rows(c, 0);
}

static bool read_field(const char *text, struct kc_expected *out)
{
    static const char skip[] = "skip:";
    if (strncmp(text, skip, sizeof skip - 1) == 0) {
        text += sizeof skip - 1;
        const size_t length = strlen(text);
        if (length == 0 || length >= sizeof out->reason) {
            return false;
        }
        out->kind = KC_SKIP;
        memcpy(out->reason, text, length + 1);
        return true;
    }
    for (size_t i = KC_MAPPED; i <= KC_LIVE; i++) {
        if (strcmp(text, kind_names[i]) == 0) {
            out->kind = (enum kc_kind)i;
            return true;
        }
    }
    return false;
}

static bool read_header(struct kc_table *table, char *line)
{
    char *at = line;
    for (size_t i = 0; at != NULL; i++) {
        char *next = strchr(at, '\t');
        if (next != NULL) {
            *next = 0;
            next++;
        }
        if (i > 0) {
            const size_t length = strlen(at);
            if (table->column_count == COLUMN_MAX || length >= NAME_BYTES) {
                return false;
            }
            memcpy(table->column[table->column_count], at, length + 1);
            table->column_count++;
        }
        at = next;
    }
    return table->column_count > 0;
}

static bool read_row(struct kc_table *table, char *line)
{
    char *next = strchr(line, '\t');
    const int row = next == NULL ? 0 : row_number(line, next);
    if (row == 0 || table->field[row][0].kind != KC_NONE) {
        return false;
    }
    size_t column = 0;
    for (; next != NULL; column++) {
        char *field = next + 1;
        next = strchr(field, '\t');
        if (next != NULL) {
            *next = 0;
        }
        if (column == table->column_count || !read_field(field, &table->field[row][column])) {
            return false;
        }
    }
    return column == table->column_count;
}

static bool read_lines(struct kc_table *table, FILE *file, const char *path)
{
    char line[LINE_BYTES];
    for (int number = 1; fgets(line, sizeof line, file) != NULL; number++) {
        line[strcspn(line, "\r\n")] = 0;
        if (line[0] == '#' || line[0] == 0) {
            continue;
        }
        const bool is_header = table->column_count == 0;
        if (!(is_header ? read_header(table, line) : read_row(table, line))) {
            fprintf(stderr, "%s:%d: not a line of the table\n", path, number);
            return false;
        }
    }
    return true;
}

struct kc_table *kc_table_read(const char *path)
{
    FILE *file = fopen(path, "r");
    struct kc_table *table = calloc(1, sizeof *table);
    if (file == NULL || table == NULL) {
        fprintf(stderr, "%s: cannot be read\n", path);
    } else if (read_lines(table, file, path)) {
        (void)fclose(file);
        return table;
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    free(table);
    return NULL;
}

void kc_table_free(struct kc_table *table)
{
    free(table);
}

struct kc_expected kc_table_find(const struct kc_table *table, int row, const char *reactor,
                                 int family)
{
    char name[NAME_BYTES];
    (void)snprintf(name, sizeof name, "%s-%d", reactor, family);
    for (size_t i = 0; i < table->column_count; i++) {
        if (strcmp(table->column[i], name) == 0) {
            return table->field[row][i];
        }
    }
    return (struct kc_expected){ KC_NONE, "" };
}

const char *kc_table_column(const struct kc_table *table, size_t index)
{
    return index < table->column_count ? table->column[index] : NULL;
}

enum kc_kind kc_table_kind(const struct kc_table *table, int row, size_t column)
{
    return table->field[row][column].kind;
}
