/* SPDX-License-Identifier: MIT
 *
 * The command line of the example programs: see cli.h. Runs before and beside the loop, in its
 * thread.
 */
#include "cli.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    LINE_BYTES = 1024, /* longer lines are cut */
    STATS_SECONDS_MAX = 86400,
    COMMON_MAX = 5,  /* options that most programs have */
    HELP_COLUMN = 26 /* where the explanations of --help begin */
};

/* Everything cli_parse() needs while it runs. */
struct parser {
    struct cli *cli;
    struct cli_option common[COMMON_MAX];
    size_t common_count;
    bool is_help;
    bool is_version;
    const char *listen; /* the value of the --listen just met */
};

static void write_line(const struct cli *cli, const char *format, va_list arguments)
    CLI_FORMAT(2, 0);

static void write_line(const struct cli *cli, const char *format, va_list arguments)
{
    char line[LINE_BYTES];
    const int head = snprintf(line, sizeof line, "%s: ", cli->program.name);
    if (head < 0 || (size_t)head >= sizeof line - 2) {
        return;
    }
    (void)vsnprintf(line + head, sizeof line - 1 - (size_t)head, format, arguments);
    const size_t len = strlen(line);
    line[len] = '\n';
    line[len + 1] = '\0';
    (void)fputs(line, stderr);
    (void)fflush(stderr); /* unbuffered by the standard, but not in every C runtime */
}

void cli_say(const struct cli *cli, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    write_line(cli, format, arguments);
    va_end(arguments);
}

int cli_fail(const struct cli *cli, kirim_err err, const char *what)
{
    cli_say(cli, "%s: %s (%s)", what, kirim_err_text(err), kirim_err_name(err));
    return CLI_FAILURE;
}

kirim_err cli_fail_addr(const struct cli *cli, kirim_err err, const struct kirim_addr *addr)
{
    char text[KIRIM_ADDR_TEXT_BYTES];
    (void)kirim_addr_format(addr, text, sizeof text);
    (void)cli_fail(cli, err, text);
    return err;
}

void cli_fail_usage(const struct cli *cli, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    write_line(cli, format, arguments);
    va_end(arguments);
    cli_say(cli, "try '%s --help'", cli->program.name);
    exit(CLI_USAGE);
}

static void write_log(void *user, int level, const char *line)
{
    static const char *const names[] = { "error", "warning", "info", "debug" };
    const struct cli *cli = (const struct cli *)user;
    const bool is_known = level >= 0 && (size_t)level < sizeof names / sizeof names[0];
    cli_say(cli, "%s: %s", is_known ? names[level] : "log", line);
}

static bool is_reactor(const char *name)
{
    for (size_t i = 0; kirim_reactor_name(i) != NULL; i++) {
        if (strcmp(name, kirim_reactor_name(i)) == 0) {
            return true;
        }
    }
    return false;
}

struct kirim_loop_options cli_loop_options(struct cli *cli)
{
    struct kirim_loop_options options = KIRIM_LOOP_OPTIONS_INIT;
    const char *const preferred = getenv("KIRIM_REACTOR");
    if (cli->reactor == NULL && !cli->program.is_without_reactor && preferred != NULL &&
        !is_reactor(preferred)) { /* opening the loop will fail, and not say this */
        cli_say(cli, "KIRIM_REACTOR: this build has no reactor '%s'", preferred);
    }
    options.reactor = cli->reactor;
    options.log = write_log;
    options.log_user = cli;
    return options;
}

bool cli_parse_number(const char *text, uint64_t min, uint64_t max, uint64_t *out)
{
    uint64_t value = 0;
    const char *digit = text;
    for (; *digit >= '0' && *digit <= '9'; digit++) {
        const uint64_t units = (uint64_t)(*digit - '0');
        if (value > (UINT64_MAX - units) / 10) {
            return false;
        }
        value = value * 10 + units;
    }
    if (digit == text || *digit != '\0' || value < min || value > max) {
        return false;
    }
    *out = value;
    return true;
}

bool cli_parse_addr(const char *text, struct kirim_addr *out)
{
    /* kirim_addr_parse() takes an address without a port too, and 2001:db8::1:53 is one. */
    const char *const bracket = strchr(text, ']');
    const char *const colon = strchr(text, ':');
    const bool has_port =
        bracket != NULL ? bracket[1] == ':' : colon != NULL && strchr(colon + 1, ':') == NULL;
    return has_port && kirim_addr_parse(text, out) == KIRIM_OK;
}

bool cli_parse_peer(const char *text, struct kirim_addr *out)
{
    struct kirim_addr addr;
    if (!cli_parse_addr(text, &addr) || kirim_addr_port(&addr) == 0) {
        return false;
    }
    *out = addr;
    return true;
}

static const struct cli_option *find_option(const struct parser *p, const char *name, size_t len)
{
    const struct cli_program *program = &p->cli->program;
    for (size_t i = 0; i < program->option_count + p->common_count; i++) {
        const struct cli_option *o = i < program->option_count
                                         ? &program->options[i]
                                         : &p->common[i - program->option_count];
        if (strlen(o->name) == len && memcmp(o->name, name, len) == 0) {
            return o;
        }
    }
    return NULL;
}

static void print_options(const struct cli_option *options, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const int used = printf("  %s%s%s", options[i].name, options[i].value != NULL ? " " : "",
                                options[i].value != NULL ? options[i].value : "");
        const int blanks = used >= 0 && used < HELP_COLUMN ? HELP_COLUMN - used : 1;
        (void)printf("%*s%s\n", blanks, "", options[i].help);
    }
}

static void print_help(const struct parser *p)
{
    const struct cli_program *program = &p->cli->program;
    (void)printf("usage: %s [option...]%s%s\n\n%s\n\n", program->name,
                 program->operands != NULL ? " " : "",
                 program->operands != NULL ? program->operands : "", program->summary);
    if (program->option_count > 0) {
        (void)printf("options:\n");
        print_options(program->options, program->option_count);
        (void)printf("\n");
    }
    (void)printf("options that the example programs share:\n");
    print_options(p->common, p->common_count);
    (void)printf(
        "\n%sExit status: 0 success, 1 failure, 2 wrong usage.\n",
        program->listen_max > 0 ||
                (program->operands != NULL && strstr(program->operands, "ADDR") != NULL)
            ? "ADDR is numeric, IPv6 in brackets: 192.0.2.1:7, [2001:db8::1]:7; an interface has\n"
              "its index: [fe80::1%2]:7.\n"
            : "");
    if (!program->is_without_reactor) {
        (void)printf("reactors of this build:");
        for (size_t i = 0; kirim_reactor_name(i) != NULL; i++) {
            (void)printf(" %s", kirim_reactor_name(i));
        }
        (void)printf("\n");
    }
}

static void add_listen(const struct parser *p)
{
    struct cli *cli = p->cli;
    if (cli->listen_count == cli->program.listen_max) {
        cli_fail_usage(cli, "--listen: at most %zu here", cli->program.listen_max);
    }
    if (!cli_parse_addr(p->listen, &cli->listen[cli->listen_count])) {
        cli_fail_usage(cli,
                       "--listen: '%s' is not a numeric address with a port, such as "
                       "192.0.2.1:7 or [2001:db8::1]:7",
                       p->listen);
    }
    cli->listen_count++;
}

void cli_set_reactor(struct cli *cli, const char *option, const char *name)
{
    cli->reactor = name;
    if (!is_reactor(name)) {
        cli_fail_usage(cli, "%s: this build has no reactor '%s'", option, name);
    }
}

static void apply_value(struct parser *p, const struct cli_option *o, const char *value)
{
    struct cli *cli = p->cli;
    if (o->text != NULL) {
        *o->text = value;
    }
    if (o->list != NULL) {
        if (o->list->count == o->list->max) {
            cli_fail_usage(cli, "%s: at most %zu here", o->name, o->list->max);
        }
        o->list->item[o->list->count++] = value;
    }
    if (o->number != NULL && !cli_parse_number(value, o->number_min, o->number_max, o->number)) {
        cli_fail_usage(cli, "%s: '%s' is not a number from %" PRIu64 " to %" PRIu64, o->name, value,
                       o->number_min, o->number_max);
    }
    if (o->text == &p->listen) {
        add_listen(p);
    } else if (o->text == &cli->reactor) {
        cli_set_reactor(cli, o->name, value);
    }
}

/* `value` is NULL if the option takes none. */
static void apply_option(struct parser *p, const struct cli_option *o, const char *value)
{
    if (o->is_given != NULL) {
        *o->is_given = true;
    }
    if (value != NULL) {
        apply_value(p, o, value);
    } else if (p->is_help) {
        print_help(p);
        exit(CLI_SUCCESS);
    } else if (p->is_version) {
        (void)printf("%s (kirim) %s\n", p->cli->program.name, kirim_version());
        exit(CLI_SUCCESS);
    }
}

/* Works off the option at argv[index]; returns how many words it took. */
static int parse_option(struct parser *p, int argc, char **argv, int index)
{
    const char *const word = argv[index];
    const char *const equals = strchr(word, '=');
    const size_t name_len = equals != NULL ? (size_t)(equals - word) : strlen(word);
    const struct cli_option *const o = find_option(p, word, name_len);
    if (o == NULL) {
        cli_fail_usage(p->cli, "unknown option '%.*s'", (int)name_len, word);
    }
    if (o->value == NULL) {
        if (equals != NULL) {
            cli_fail_usage(p->cli, "%s takes no value", o->name);
        }
        apply_option(p, o, NULL);
        return 1;
    }
    if (equals != NULL) {
        apply_option(p, o, equals + 1);
        return 1;
    }
    if (index + 1 == argc) {
        cli_fail_usage(p->cli, "%s needs a value: %s", o->name, o->value);
    }
    apply_option(p, o, argv[index + 1]);
    return 2;
}

static void init_parser(struct parser *p, struct cli *cli)
{
    const struct cli_option listen = { .name = "--listen",
                                       .value = "ADDR:PORT",
                                       .text = &p->listen,
                                       .help = cli->program.listen_help };
    const struct cli_option reactor = {
        .name = "--reactor",
        .value = "NAME",
        .text = &cli->reactor,
        .help = "which reactor to use; default: KIRIM_REACTOR, else the best"
    };
    const struct cli_option stats = {
        .name = "--stats",
        .value = "SECONDS",
        .number = &cli->stats_seconds,
        .number_max = STATS_SECONDS_MAX,
        .is_given = &cli->has_stats,
        .help = "print statistics to stderr so often, and at the end; 0: only then"
    };
    *p = (struct parser){ .cli = cli };
    if (cli->program.listen_max > 0) {
        p->common[p->common_count++] = listen;
    }
    if (!cli->program.is_without_reactor) {
        p->common[p->common_count++] = reactor;
    }
    if (!cli->program.is_without_stats) {
        p->common[p->common_count++] = stats;
    }
    p->common[p->common_count++] = (struct cli_option){ .name = "--help",
                                                        .is_given = &p->is_help,
                                                        .help = "print this and end" };
    p->common[p->common_count++] = (struct cli_option){ .name = "--version",
                                                        .is_given = &p->is_version,
                                                        .help = "print the version and end" };
}

void cli_parse(struct cli *cli, const struct cli_program *program, int argc, char **argv)
{
    struct parser p;
    *cli = (struct cli){ .program = *program };
    init_parser(&p, cli);
    bool is_option_possible = true;
    int index = 1;
    while (index < argc) {
        const char *const word = argv[index];
        if (is_option_possible && strcmp(word, "--") == 0) {
            is_option_possible = false;
            index++;
        } else if (is_option_possible && word[0] == '-') {
            index += parse_option(&p, argc, argv, index);
        } else {
            if (cli->operand_count == program->operand_max) {
                cli_fail_usage(cli, "unexpected argument '%s'", word);
            }
            cli->operand[cli->operand_count++] = word;
            index++;
        }
    }
    if (cli->operand_count < program->operand_min) {
        cli_fail_usage(cli, "%s is missing", program->operands);
    }
    cli->program.options = NULL; /* the caller's table may end now */
    cli->program.option_count = 0;
}
