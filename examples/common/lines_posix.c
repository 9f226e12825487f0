/* SPDX-License-Identifier: MIT
 *
 * The thread of lines.h, for POSIX systems. Source: pthread_create(3).
 */
#define _POSIX_C_SOURCE 200809L
#include "lines.h"

#include <pthread.h>

static void *run(void *reader)
{
    lines_read(reader);
    return NULL;
}

bool lines_start_thread(void *reader)
{
    pthread_t thread;
    return pthread_create(&thread, NULL, run, reader) == 0 && pthread_detach(thread) == 0;
}
