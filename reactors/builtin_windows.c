/* SPDX-License-Identifier: MIT
 *
 * The reactors of a Windows build, in order of preference. The simulator stands last: it opens only
 * for those who name it. Owns nothing. Any thread.
 */
#include "builtin.h"

const struct ki_reactor_ops *const ki_reactors[] = {
    &ki_reactor_completion, &ki_reactor_wsaevent, &ki_reactor_select, &ki_reactor_sim, NULL,
};
