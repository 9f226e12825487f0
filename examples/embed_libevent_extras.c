/* SPDX-License-Identifier: MIT
 *
 * A heartbeat, a thread that reads stdin, and a snapshot by a child: see embed_libevent_extras.h.
 *
 * The thread has nothing of libevent in its hands: it posts to the loop, which needs neither
 * evthread_use_pthreads() nor a lock of the base. Sources: docs/libevent.md, pthreads(7).
 */
#include "embed_libevent_extras.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <event2/buffer.h>

#include "embed_libevent_page.h"

enum { LINE_BYTES = 512 };

/* A line on its way from the reader to the loop. */
struct line {
    struct kirim_post post;
    struct extras *x;
    char text[LINE_BYTES];
};

void extras_send(const struct extras *x, const char *text)
{
    struct kirim_endpoint *ep = kirim_loop_endpoint_next(x->loop, NULL);
    if (ep != NULL && kirim_addr_family(&x->to) != KIRIM_FAMILY_NONE) {
        (void)kirim_endpoint_send_to(ep, text, strlen(text), &x->to);
    }
}

/* ---- the heartbeat --------------------------------------------------------------------------- */

static void on_beat(struct kirim_timer *timer)
{
    struct extras *x = timer->user;
    char text[80];
    const uint64_t now_ns = kirim_loop_now(x->loop);
    (void)snprintf(text, sizeof text, "beat %" PRIu64 " late_ns=%" PRIu64, ++x->beat_count,
                   now_ns - timer->deadline_ns);
    extras_send(x, text);
    (void)kirim_timer_arm(x->loop, timer, now_ns + x->beat_ns);
}

void extras_start_beat(struct extras *x, uint64_t period_ns)
{
    x->beat_ns = period_ns;
    x->beat = (struct kirim_timer)KIRIM_TIMER_INIT(on_beat, x);
    (void)kirim_timer_arm_after(x->loop, &x->beat, period_ns);
}

/* ---- the reader ------------------------------------------------------------------------------ */

/* In the loop's thread, from inside the host's dispatch. */
static void send_line(struct kirim_post *post, struct kirim_loop *loop, kirim_err err)
{
    struct line *line = post->user;
    (void)loop;
    if (err == KIRIM_OK) { /* and the loop has not been closed meanwhile */
        extras_send(line->x, line->text);
    }
    free(line);
}

/* In the reader's thread: hands over what one read() got, which of a terminal or of a program that
 * writes lines is a line. It can be cancelled while it waits, and nowhere else. */
static void *read_lines(void *user)
{
    struct extras *x = user;
    struct line *line = NULL;
    ssize_t bytes = 1;
    int state = 0;
    while (bytes > 0) {
        char text[LINE_BYTES];
        (void)pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &state);
        bytes = read(STDIN_FILENO, text, sizeof text - 1);
        (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
        line = bytes > 0 ? malloc(sizeof *line) : NULL;
        if (line == NULL) {
            continue;
        }
        text[bytes] = '\0';
        text[strcspn(text, "\n")] = '\0';
        line->post = (struct kirim_post)KIRIM_POST_INIT(send_line, line);
        line->x = x;
        memcpy(line->text, text, sizeof text);
        if (kirim_remote_post(x->remote, &line->post) < 0) {
            free(line);
        }
    }
    return NULL;
}

bool extras_start_reader(struct extras *x)
{
    x->remote = kirim_loop_remote(x->loop);
    x->has_reader = pthread_create(&x->reader, NULL, read_lines, x) == 0;
    if (!x->has_reader) {
        kirim_remote_release(x->remote);
    }
    return x->has_reader;
}

void extras_stop(struct extras *x)
{
    kirim_timer_cancel(&x->beat);
    if (x->has_reader) {
        (void)pthread_cancel(x->reader);
        (void)pthread_join(x->reader, NULL);
        kirim_remote_release(x->remote); /* while it is held the dispatch goes on */
        x->has_reader = false;
    }
}

/* ---- the snapshot ---------------------------------------------------------------------------- */

/* In the child: the base first, then the loop, and only then the work. */
static bool write_in_child(struct event_base *base, struct kirim_loop *loop, struct evbuffer *page,
                           const char *path)
{
    if (event_reinit(base) < 0 || kirim_loop_close(loop) < 0) {
        return false;
    }
    const int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (file < 0) {
        return false;
    }
    int bytes = 0;
    while (evbuffer_get_length(page) > 0 && bytes >= 0) {
        bytes = evbuffer_write(page, file);
    }
    return close(file) == 0 && bytes >= 0;
}

bool extras_write_snapshot(struct event_base *base, struct kirim_loop *loop, const char *path)
{
    int status = -1;
    struct evbuffer *page = evbuffer_new();
    if (page == NULL) {
        return false;
    }
    /* What the child shall know of the loop is asked before: there it can only be closed. */
    if (page_write_metrics(page, loop)) {
        const pid_t child = fork();
        if (child == 0) {
            _exit(write_in_child(base, loop, page, path) ? 0 : 1);
        }
        if (child > 0) {
            (void)waitpid(child, &status, 0);
        }
    }
    evbuffer_free(page);
    return status == 0;
}
