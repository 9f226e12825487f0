/* SPDX-License-Identifier: MIT
 *
 * The status pages of embed_libevent: kirim's statistics of a loop and its endpoints, for people
 * and for collectors. Nothing is kept; loop thread.
 */
#ifndef EXAMPLES_EMBED_LIBEVENT_PAGE_H
#define EXAMPLES_EMBED_LIBEVENT_PAGE_H

#include <event2/buffer.h>
#include <kirim/kirim.h>

#define PAGE_HTML_TYPE    "text/html; charset=utf-8"
#define PAGE_METRICS_TYPE "application/openmetrics-text; version=1.0.0; charset=utf-8"

/* Appends the page to `out`. False: out of memory, and the page is not whole. */
bool page_write_html(struct evbuffer *out, struct kirim_loop *loop);
bool page_write_metrics(struct evbuffer *out, struct kirim_loop *loop);

#endif
