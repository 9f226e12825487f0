/* SPDX-License-Identifier: MIT
 *
 * The command line that all example programs share.
 *
 * Long options only, their value behind `=` or in the next word; what a program adds is a table.
 * Wrong usage ends the program with status 2 and says what is wrong; --help and --version end it
 * with 0. An option that would do nothing in a program is not one of its options. What is said goes
 * to stderr, one write a line; stdout is left to results. Owns nothing: all text is that of argv or
 * static.
 */
#ifndef EXAMPLES_COMMON_CLI_H
#define EXAMPLES_COMMON_CLI_H

#include <kirim/kirim.h>

enum {
    CLI_LISTEN_MAX = 16, /* addresses that --listen may name */
    CLI_OPERAND_MAX = 3, /* words beside the options */
    CLI_SUCCESS = 0,     /* exit status */
    CLI_FAILURE = 1,
    CLI_USAGE = 2
};

/* Lets the compiler check format and arguments, where it can. */
#ifdef __GNUC__
#define CLI_FORMAT(at, first) __attribute__((format(printf, at, first)))
#else
#define CLI_FORMAT(at, first)
#endif

/* Where the values of an option go that may be given more than once. */
struct cli_list {
    const char **item;
    size_t count, max;
};

/* One option. Its kind is what it writes to: `number`, `text`, `list`, or, without a value,
 * `is_given`. */
struct cli_option {
    const char *name;  /* with its dashes: "--count" */
    const char *value; /* what --help calls the value; NULL: there is none */
    const char *help;
    uint64_t *number;
    uint64_t number_min, number_max;
    const char **text;
    struct cli_list *list;
    bool *is_given; /* set to true if the option stands there; may be NULL */
};

/* What a program says of itself. */
struct cli_program {
    const char *name;
    const char *operands;    /* as the usage line shows them; NULL: none */
    const char *summary;     /* what --help says first */
    const char *listen_help; /* what --listen means here */
    size_t listen_max;       /* at most CLI_LISTEN_MAX; 0: there is no --listen */
    bool is_without_reactor; /* there is no --reactor */
    bool is_without_stats;   /* there is no --stats */
    size_t operand_min, operand_max;
    const struct cli_option *options;
    size_t option_count;
};

/* What the command line said. */
struct cli {
    struct cli_program program; /* without its options */
    struct kirim_addr listen[CLI_LISTEN_MAX];
    size_t listen_count;
    const char *reactor; /* NULL: kirim's choice */
    bool has_stats;      /* --stats was given */
    uint64_t stats_seconds;
    const char *operand[CLI_OPERAND_MAX];
    size_t operand_count;
};

/* Reads the command line; returns only if the program shall go on. */
void cli_parse(struct cli *cli, const struct cli_program *program, int argc, char **argv);

/* Writes one line to stderr, behind the program's name. */
void cli_say(const struct cli *cli, const char *format, ...) CLI_FORMAT(2, 3);

/* Says `what` failed and why; returns CLI_FAILURE for main to return. */
int cli_fail(const struct cli *cli, kirim_err err, const char *what);

/* The same of an address that could not be listened on; returns `err`. */
kirim_err cli_fail_addr(const struct cli *cli, kirim_err err, const struct kirim_addr *addr);

/* Says what is wrong with the command line, and ends the program. */
_Noreturn void cli_fail_usage(const struct cli *cli, const char *format, ...) CLI_FORMAT(2, 3);

/* Loop options that the command line decides: the reactor, and the log to stderr. `cli` must
 * outlive the loop. */
struct kirim_loop_options cli_loop_options(struct cli *cli);

/* Chooses a reactor as --reactor does; a name that this build does not have is wrong usage.
 * `option` is what gave the name, `name` must outlive `cli`. */
void cli_set_reactor(struct cli *cli, const char *option, const char *name);

/* Decimal digits only, in min .. max. Writes `out` on success only. */
bool cli_parse_number(const char *text, uint64_t min, uint64_t max, uint64_t *out);

/* ADDR:PORT or [ADDR]:PORT, numeric, and the port must be there. Writes `out` on success only. */
bool cli_parse_addr(const char *text, struct kirim_addr *out);

/* The same of an address to send to, whose port is not 0. */
bool cli_parse_peer(const char *text, struct kirim_addr *out);

#endif
