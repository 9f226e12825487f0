/* SPDX-License-Identifier: MIT
 *
 * The reactors that kirim brings. Which of them a build has, and in which order they are preferred,
 * stands in builtin_SYSTEM.c. Owns nothing. Any thread.
 */
#ifndef KI_BUILTIN_H
#define KI_BUILTIN_H

#include "reactor.h"

extern const struct ki_reactor_ops ki_reactor_completion;
extern const struct ki_reactor_ops ki_reactor_epoll;
extern const struct ki_reactor_ops ki_reactor_libevent; /* nameless where a build has none */
extern const struct ki_reactor_ops ki_reactor_select;
extern const struct ki_reactor_ops ki_reactor_sim;
extern const struct ki_reactor_ops ki_reactor_wsaevent;

#endif
