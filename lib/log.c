/* SPDX-License-Identifier: MIT
 *
 * The loop's log: one line at a time to the user's callback. Loop thread.
 */
#include "core.h"

#include <stdio.h>

enum { LINE_BYTES = 256 };

void ki_log(struct kirim_loop *loop, int level, const char *text, int sys_err)
{
    if (sys_err != 0) {
        loop->system_code = sys_err;
    }
    if (loop->log == NULL || level > loop->log_level) {
        return;
    }
    char line[LINE_BYTES];
    if (sys_err != 0) {
        snprintf(line, sizeof line, "%s: %s (system code %d)", loop->ops->name, text, sys_err);
    } else {
        snprintf(line, sizeof line, "%s: %s", loop->ops->name, text);
    }
    loop->log(loop->log_user, level, line);
}
