/* SPDX-License-Identifier: MIT
 *
 * The resources of coapd: a greeting, the time, a slow one, a large one, one that gives back what
 * it gets, one that wants an Echo, the list of all, and those that clients create.
 */
#include "coapd_resources.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const uint64_t ns_per_s = UINT64_C(1000000000);

/* A resource that a client has created. */
struct coapd_item {
    struct kirim_coap_resource resource;
    struct coapd_resources *all;
    struct coapd_item *next;
    uint8_t *data;
    size_t bytes;
    uint32_t format;
    uint8_t etag[8];
    char path[KIRIM_COAP_PATH_BYTES];
};

static void answer_text(struct kirim_coap_response *response, const char *text)
{
    response->code = KIRIM_COAP_CONTENT;
    response->content_format = KIRIM_COAP_FORMAT_TEXT;
    response->body = kirim_coap_span_text(text);
}

static void on_root(struct kirim_coap_resource *resource, const struct kirim_coap_request *request,
                    struct kirim_coap_response *response)
{
    (void)resource;
    (void)request;
    answer_text(response, "kirim coapd\n");
}

/* ---- /time ----------------------------------------------------------------------------------- */

static void on_time(struct kirim_coap_resource *resource, const struct kirim_coap_request *request,
                    struct kirim_coap_response *response)
{
    struct coapd_resources *const all = resource->user;
    const uint64_t s = (uint64_t)time(NULL);
    (void)snprintf(all->text, sizeof all->text, "%02u:%02u:%02u UTC", (unsigned)(s / 3600 % 24),
                   (unsigned)(s / 60 % 60), (unsigned)(s % 60));
    (void)request;
    answer_text(response, all->text);
    response->max_age_s = 1;
}

static void on_tick(struct kirim_timer *timer)
{
    struct coapd_resources *const all = timer->user;
    const uint64_t now_ns = kirim_loop_now(all->loop);
    kirim_coap_notify(all->node, kirim_coap_resource_find(all->node, "time"), now_ns);
    (void)kirim_timer_arm(all->loop, timer, now_ns + ns_per_s);
}

/* ---- /async ---------------------------------------------------------------------------------- */

static void on_async_over(struct kirim_timer *timer)
{
    struct coapd_async *const async = timer->user;
    struct kirim_coap_response response = { .max_age_s = KIRIM_COAP_MAX_AGE_S };
    answer_text(&response, "done\n");
    async->is_used = false;
    /* Who asked may have gone meanwhile. */
    (void)kirim_coap_respond(async->all->node, async->deferral, &response,
                             kirim_loop_now(async->all->loop));
}

static void on_async(struct kirim_coap_resource *resource, const struct kirim_coap_request *request,
                     struct kirim_coap_response *response)
{
    struct coapd_resources *const all = resource->user;
    uint32_t seconds = kirim_coap_query_number(request->message, "", COAPD_ASYNC_SECONDS);
    seconds = seconds < COAPD_ASYNC_SECONDS_MAX ? seconds : COAPD_ASYNC_SECONDS_MAX;
    /* What cannot be put off takes no place. */
    for (size_t i = 0; i < COAPD_ASYNC_COUNT_MAX && request->deferral != 0; i++) {
        struct coapd_async *const async = &all->async[i];
        if (!async->is_used) {
            async->is_used = true;
            async->deferral = request->deferral;
            response->is_deferred = true;
            (void)kirim_timer_arm(all->loop, &async->timer, request->now_ns + seconds * ns_per_s);
            return;
        }
    }
    response->code = KIRIM_COAP_UNAVAILABLE;
}

/* ---- /large, /echo, /button ------------------------------------------------------------------ */

/* A line for each sixteen bytes, so that what is missing shows. */
static uint8_t large_byte(uint64_t at)
{
    const uint64_t line = at / 16;
    const unsigned place = (unsigned)(at % 16);
    return (uint8_t)(place == 15 ? '\n' : "0123456789abcdef"[line >> 4 * (14 - place) & 15]);
}

/* It never changes. */
static const uint8_t large_etag_byte = 1;
static const struct kirim_coap_span large_etag = { &large_etag_byte, 1 };

static void on_large(struct kirim_coap_resource *resource, const struct kirim_coap_request *request,
                     struct kirim_coap_response *response)
{
    const struct coapd_resources *const all = resource->user;
    size_t bytes = 0;
    while (bytes < request->room && request->offset + bytes < all->large_bytes) {
        request->scratch[bytes] = large_byte(request->offset + bytes);
        bytes++;
    }
    response->code = KIRIM_COAP_CONTENT;
    response->content_format = KIRIM_COAP_FORMAT_TEXT;
    response->body = (struct kirim_coap_span){ request->scratch, bytes };
    response->total_bytes = (size_t)all->large_bytes;
    response->etag = large_etag;
}

static void on_echo(struct kirim_coap_resource *resource, const struct kirim_coap_request *request,
                    struct kirim_coap_response *response)
{
    (void)resource;
    response->code = request->method == KIRIM_COAP_FETCH ? KIRIM_COAP_CONTENT : KIRIM_COAP_CHANGED;
    response->content_format = request->fields->content_format;
    response->body = request->body;
}

/* Who presses may say so, but in words. */
static const uint16_t button_formats[] = { KIRIM_COAP_FORMAT_TEXT };

static void on_button(struct kirim_coap_resource *resource,
                      const struct kirim_coap_request *request,
                      struct kirim_coap_response *response)
{
    struct coapd_resources *const all = resource->user;
    if (request->method == KIRIM_COAP_POST) {
        all->pressed_count++;
        response->code = KIRIM_COAP_CHANGED;
        return;
    }
    (void)snprintf(all->text, sizeof all->text, "pressed %" PRIu64 " times\n", all->pressed_count);
    answer_text(response, all->text);
}

/* ---- what clients create --------------------------------------------------------------------- */

/* Puts new bytes in place of the old ones; 0, or the code of the refusal. */
static uint8_t replace(struct coapd_item *item, const struct kirim_coap_request *request)
{
    struct coapd_resources *const all = item->all;
    const size_t bytes = request->body.bytes;
    if (all->created_bytes - item->bytes + bytes > all->created_bytes_max) {
        return KIRIM_COAP_TOO_LARGE;
    }
    uint8_t *const data = malloc(bytes > 0 ? bytes : 1);
    if (data == NULL) {
        return KIRIM_COAP_INTERNAL_ERROR;
    }
    if (bytes > 0) {
        memcpy(data, request->body.data, bytes);
    }
    free(item->data);
    all->created_bytes = all->created_bytes - item->bytes + bytes;
    all->version++;
    item->data = data;
    item->bytes = bytes;
    item->format = request->fields->content_format;
    memcpy(item->etag, &all->version, sizeof item->etag);
    return 0;
}

static void remove_item(struct coapd_item *item, uint64_t now_ns)
{
    struct coapd_resources *const all = item->all;
    struct coapd_item **at = &all->items;
    while (*at != item) {
        at = &(*at)->next;
    }
    *at = item->next;
    kirim_coap_resource_remove(all->node, &item->resource, now_ns);
    all->created_count--;
    all->created_bytes -= item->bytes;
    free(item->data);
    free(item);
}

static void on_item(struct kirim_coap_resource *resource, const struct kirim_coap_request *request,
                    struct kirim_coap_response *response)
{
    struct coapd_item *const item = resource->user;
    if (request->method == KIRIM_COAP_GET) {
        response->code = KIRIM_COAP_CONTENT;
        response->content_format = item->format;
        response->body = (struct kirim_coap_span){ item->data, item->bytes };
        response->etag = resource->etag;
    } else if (request->method == KIRIM_COAP_DELETE) {
        remove_item(item, request->now_ns);
        response->code = KIRIM_COAP_DELETED;
    } else {
        response->code = replace(item, request);
        if (response->code == 0) {
            response->code = KIRIM_COAP_CHANGED;
            kirim_coap_notify(request->node, resource, request->now_ns);
        }
    }
}

/* A path that no resource has: PUT makes one. */
static void on_create(struct kirim_coap_resource *resource,
                      const struct kirim_coap_request *request,
                      struct kirim_coap_response *response)
{
    static const struct kirim_coap_span none = { NULL, 0 };
    struct coapd_resources *const all = resource->user;
    if (!kirim_coap_is_matching(request, none)) {
        response->code = KIRIM_COAP_PRECONDITION_FAILED;
        return;
    }
    if (request->method == KIRIM_COAP_DELETE) {
        response->code = KIRIM_COAP_DELETED; /* as if it had been there, RFC 7252 section 5.8.4 */
        return;
    }
    if (request->method != KIRIM_COAP_PUT || !all->is_writable) {
        response->code = KIRIM_COAP_NOT_FOUND;
        return;
    }
    struct coapd_item *const item =
        all->created_count < all->created_count_max ? calloc(1, sizeof *item) : NULL;
    if (item == NULL) {
        response->code = KIRIM_COAP_FORBIDDEN;
        return;
    }
    item->all = all;
    (void)snprintf(item->path, sizeof item->path, "%s", request->path);
    item->resource = (struct kirim_coap_resource)KIRIM_COAP_RESOURCE_INIT(
        item->path,
        KIRIM_COAP_METHOD(KIRIM_COAP_GET) | KIRIM_COAP_METHOD(KIRIM_COAP_PUT) |
            KIRIM_COAP_METHOD(KIRIM_COAP_DELETE),
        KIRIM_COAP_OBSERVABLE, on_item, item);
    item->resource.etag = (struct kirim_coap_span){ item->etag, sizeof item->etag };
    response->code = replace(item, request);
    if (response->code == 0 && kirim_coap_resource_add(all->node, &item->resource) < 0) {
        all->created_bytes -= item->bytes;
        response->code = KIRIM_COAP_FORBIDDEN;
    }
    if (response->code != 0) {
        free(item->data);
        free(item);
        return;
    }
    item->next = all->items;
    all->items = item;
    all->created_count++;
    response->code = KIRIM_COAP_CREATED;
}

/* ---- all of them ----------------------------------------------------------------------------- */

kirim_err coapd_resources_open(struct coapd_resources *all, struct kirim_loop *loop,
                               struct kirim_coap_node *node)
{
    enum {
        GET = KIRIM_COAP_METHOD(KIRIM_COAP_GET),
        POST = KIRIM_COAP_METHOD(KIRIM_COAP_POST),
        FETCH = KIRIM_COAP_METHOD(KIRIM_COAP_FETCH)
    };
    const struct kirim_coap_resource fixed[COAPD_FIXED_COUNT] = {
        KIRIM_COAP_RESOURCE_INIT("", GET, 0, on_root, all),
        KIRIM_COAP_RESOURCE_INIT("time", GET, KIRIM_COAP_OBSERVABLE, on_time, all),
        KIRIM_COAP_RESOURCE_INIT("async", GET, 0, on_async, all),
        KIRIM_COAP_RESOURCE_INIT("large", GET, 0, on_large, all),
        KIRIM_COAP_RESOURCE_INIT("echo", POST | FETCH, 0, on_echo, all),
        KIRIM_COAP_RESOURCE_INIT("button", GET | POST, KIRIM_COAP_FRESH, on_button, all),
        kirim_coap_core_resource(),
    };
    static const char *const attributes[COAPD_FIXED_COUNT] = {
        "title=\"General Info\";ct=0",
        "rt=\"ticks\";if=\"clock\";ct=0",
        "title=\"slow\";ct=0",
        "title=\"large\";ct=0",
        "rt=\"echo\"",
        "rt=\"button\";if=\"actuator\";ct=0",
        NULL,
    };
    all->loop = loop;
    all->node = node;
    all->creator = (struct kirim_coap_resource)KIRIM_COAP_RESOURCE_INIT(
        NULL, GET | POST | KIRIM_COAP_METHOD(KIRIM_COAP_PUT) | KIRIM_COAP_METHOD(KIRIM_COAP_DELETE),
        0, on_create, all);
    for (size_t i = 0; i < COAPD_ASYNC_COUNT_MAX; i++) {
        all->async[i] = (struct coapd_async){ .all = all };
        all->async[i].timer = (struct kirim_timer)KIRIM_TIMER_INIT(on_async_over, &all->async[i]);
    }
    for (size_t i = 0; i < COAPD_FIXED_COUNT; i++) {
        all->fixed[i] = fixed[i];
        all->fixed[i].attributes = attributes[i];
        const kirim_err err = kirim_coap_resource_add(node, &all->fixed[i]);
        if (err < 0) {
            return err;
        }
    }
    struct kirim_coap_resource *const button = kirim_coap_resource_find(node, "button");
    button->formats = button_formats;
    button->format_count = sizeof button_formats / sizeof button_formats[0];
    kirim_coap_resource_find(node, "large")->etag = large_etag;
    all->tick = (struct kirim_timer)KIRIM_TIMER_INIT(on_tick, all);
    const kirim_err err = kirim_timer_arm(loop, &all->tick, kirim_loop_now(loop) + ns_per_s);
    return err < 0 ? err : kirim_coap_resource_add_default(node, &all->creator);
}

void coapd_resources_close(struct coapd_resources *all)
{
    kirim_timer_cancel(&all->tick);
    for (size_t i = 0; i < COAPD_ASYNC_COUNT_MAX; i++) {
        kirim_timer_cancel(&all->async[i].timer);
    }
    while (all->items != NULL) {
        remove_item(all->items, 0);
    }
}
