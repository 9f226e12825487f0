/* SPDX-License-Identifier: MIT
 *
 * Lines of standard input: see lines.h.
 */
#include "lines.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_BYTES = 1024 }; /* longer ones come in pieces */

struct reader {
    struct kirim_remote *remote;
    lines_fn fn;
    void *user;
};

struct line {
    struct kirim_post post;
    struct reader *reader;
    bool is_last;
    char text[LINE_BYTES];
};

static void hand_over(struct kirim_post *post, struct kirim_loop *loop, kirim_err err)
{
    struct line *const line = post->user;
    struct reader *const reader = line->reader;
    const bool is_last = line->is_last;
    (void)loop;
    if (err == KIRIM_OK) {
        reader->fn(is_last ? NULL : line->text, reader->user);
    }
    free(line);
    if (is_last) {
        kirim_remote_release(reader->remote); /* the thread has gone before */
        free(reader);
    }
}

void lines_read(void *started)
{
    struct reader *const reader = started;
    bool is_last = false;
    while (!is_last) {
        struct line *const line = calloc(1, sizeof *line);
        if (line == NULL) {
            return;
        }
        line->post = (struct kirim_post)KIRIM_POST_INIT(hand_over, line);
        line->reader = reader;
        is_last = line->is_last = fgets(line->text, sizeof line->text, stdin) == NULL;
        line->text[strcspn(line->text, "\r\n")] = '\0';
        if (kirim_remote_post(reader->remote, &line->post) < 0) {
            free(line); /* the loop is closed, and the program ends */
            return;
        }
    }
}

bool lines_start(struct kirim_loop *loop, lines_fn fn, void *user)
{
    struct reader *const reader = calloc(1, sizeof *reader);
    if (reader == NULL) {
        return false;
    }
    reader->remote = kirim_loop_remote(loop);
    reader->fn = fn;
    reader->user = user;
    if (!lines_start_thread(reader)) {
        kirim_remote_release(reader->remote);
        free(reader);
        return false;
    }
    return true;
}
