/* SPDX-License-Identifier: MIT
 *
 * What --stats prints of a relay, beside the report of its listening endpoint.
 */
#ifndef EXAMPLES_RELAY_REPORT_H
#define EXAMPLES_RELAY_REPORT_H

#include "common/cli.h"
#include "relay.h"

/* One direction, under a name. */
void relay_report_way(const struct cli *cli, const char *name, const struct relay_way *way);

/* Who began, who is there, and why the others ended. */
void relay_report_peers(const struct cli *cli, const struct relay *relay);

/* Sums over the sockets to the server. */
void relay_report_upstream(const struct cli *cli, const struct relay *relay);

#endif
