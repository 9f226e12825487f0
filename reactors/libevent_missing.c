/* SPDX-License-Identifier: MIT
 *
 * Stands for libevent.c where a build has no libevent: a reactor without a name, which nobody can
 * ask for and none of the lists shows. Owns nothing. Any thread.
 */
#include "builtin.h"

const struct ki_reactor_ops ki_reactor_libevent = { .name = "" };
