/* SPDX-License-Identifier: MIT
 *
 * Prints a relay's counters as words of the form name=number; what is zero and seldom otherwise is
 * left out.
 */
#include "relay_report.h"

#include <inttypes.h>
#include <stdio.h>

enum { LINE_BYTES = 480 };

static void add_word(char *line, size_t bytes, const char *name, uint64_t value)
{
    size_t used = 0;
    while (used < bytes && line[used] != '\0') {
        used++;
    }
    if (value != 0) {
        (void)snprintf(line + used, bytes - used, " %s=%" PRIu64, name, value);
    }
}

void relay_report_way(const struct cli *cli, const char *name, const struct relay_way *way)
{
    char name_of_drop[32];
    char line[LINE_BYTES] = "";
    add_word(line, sizeof line, "trains", way->trains);
    for (int i = 0; i < RELAY_DROP_COUNT; i++) {
        (void)snprintf(name_of_drop, sizeof name_of_drop, "drop_%s", relay_drop_name(i));
        add_word(line, sizeof line, name_of_drop, way->drops[i]);
    }
    cli_say(cli, "%s datagrams=%" PRIu64 " bytes=%" PRIu64 " passed=%" PRIu64 "%s", name,
            way->datagrams, way->bytes, way->passed, line);
}

void relay_report_peers(const struct cli *cli, const struct relay *relay)
{
    const struct relay_stats *const stats = &relay->stats;
    struct kirim_sessions_stats set = KIRIM_SESSIONS_STATS_INIT;
    char line[LINE_BYTES] = "";
    for (int i = 0; i < RELAY_END_COUNT; i++) {
        add_word(line, sizeof line, relay_end_name(i), stats->ended[i]);
    }
    if (relay->set != NULL) {
        (void)kirim_sessions_read_stats(relay->set, &set);
    }
    add_word(line, sizeof line, "limited", stats->limited);
    add_word(line, sizeof line, "unopened", stats->unopened);
    add_word(line, sizeof line, "icmp_other", stats->icmp);
    add_word(line, sizeof line, "drop_nobody", set.rx_dropped);
    add_word(line, sizeof line, "drop_no_memory", set.refused_memory);
    cli_say(cli, "peers now=%" PRIu32 " most=%" PRIu32 " began=%" PRIu64 "%s", stats->peer_count,
            stats->peer_count_max, stats->began, line);
}

void relay_report_upstream(const struct cli *cli, const struct relay *relay)
{
    struct kirim_endpoint_stats sum;
    char line[LINE_BYTES] = "";
    char name[64];
    relay_read_upstream(relay, &sum);
    add_word(line, sizeof line, "rx_trains", sum.rx_trains);
    add_word(line, sizeof line, "tx_trains", sum.tx_trains);
    add_word(line, sizeof line, "copied", sum.tx_copied);
    add_word(line, sizeof line, "rx_errors", sum.rx_errors);
    for (unsigned i = 0; i < KIRIM_DROP_COUNT; i++) {
        (void)snprintf(name, sizeof name, "drop_%s", kirim_drop_name(i));
        add_word(line, sizeof line, name, sum.drops[i]);
    }
    cli_say(cli,
            "upstream rx=%" PRIu64 " tx=%" PRIu64 " rx_calls=%" PRIu64 " tx_calls=%" PRIu64 "%s",
            sum.rx_datagrams, sum.tx_datagrams, sum.rx_calls, sum.tx_calls, line);
}
