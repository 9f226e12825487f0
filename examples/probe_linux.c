/* SPDX-License-Identifier: MIT
 *
 * What kirim-probe says of a Linux system: how to get larger socket buffers, and reactors that
 * this build does not have. Sources: socket(7), capabilities(7).
 */
#include "probe.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Linux says twice what it gives (socket(7)). */
static const uint32_t SAID_BYTES = 2 * PROBE_BUFFER_BYTES;

static void hint_at_limit(struct probe *p, const char *buffer, const char *limit, uint32_t plain,
                          uint32_t forced)
{
    char what[PROBE_HINT_BYTES];
    char how[PROBE_HINT_BYTES];
    if (plain >= SAID_BYTES) {
        return;
    }
    (void)snprintf(what, sizeof what, "4 MiB of %s buffer: the system gives %" PRIu32 " bytes%s",
                   buffer, plain / 2, forced >= SAID_BYTES ? ", all of it if forced" : "");
    (void)snprintf(how, sizeof how, "sysctl -w net.core.%s=%d%s", limit, PROBE_BUFFER_BYTES,
                   forced >= SAID_BYTES ? "" : "; or give the program CAP_NET_ADMIN and force it");
    probe_add_hint(p, what, how);
}

static void hint_at_buffers(struct probe *p, const struct probe_family *f)
{
    hint_at_limit(p, "receive", "rmem_max", f->plain.receive_bytes, f->forced.receive_bytes);
    hint_at_limit(p, "send", "wmem_max", f->plain.send_bytes, f->forced.send_bytes);
}

static bool has_reactor(const char *name)
{
    for (size_t i = 0; kirim_reactor_name(i) != NULL; i++) {
        if (strcmp(kirim_reactor_name(i), name) == 0) {
            return true;
        }
    }
    return false;
}

void probe_add_platform_hints(struct probe *p)
{
    for (size_t i = 0; i < p->reactor_count; i++) {
        const struct probe_reactor *r = &p->reactor[i];
        const struct probe_family *f = &r->family[0];
        if (r->err == KIRIM_OK && (r->caps & KIRIM_CAP_VIRTUAL_TIME) == 0 && f->err == KIRIM_OK &&
            f->plain.err == KIRIM_OK) {
            hint_at_buffers(p, f); /* the limits are the system's, not the reactor's: once */
            break;
        }
    }
    if (p->cli.reactor == NULL && !has_reactor("libevent")) {
        probe_add_hint(p, "reactor libevent is not in this build",
                       "it needs a version of kirim that has it, built where libevent-dev is "
                       "installed; other reactors serve the same programs");
    }
}
