/* SPDX-License-Identifier: MIT
 *
 * Lines of standard input, handed to a loop. Waiting for a terminal takes a thread, on every
 * system; it posts each line, and goes when the input or the program ends. lines_posix.c and
 * lines_windows.c start it. Once in a program.
 */
#ifndef EXAMPLES_COMMON_LINES_H
#define EXAMPLES_COMMON_LINES_H

#include <kirim/remote.h>

/* Gets a line without its end, in the loop's thread; NULL: there are no more. */
typedef void (*lines_fn)(const char *line, void *user);

/* Begins to read; false: the system refuses. `fn` is not called after the loop is closed. */
bool lines_start(struct kirim_loop *loop, lines_fn fn, void *user);

/* What the thread runs, for lines_posix.c and lines_windows.c alone. */
void lines_read(void *started);

/* Starts a thread that runs lines_read(), and is not waited for. */
bool lines_start_thread(void *reader);

#endif
