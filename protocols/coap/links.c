/* SPDX-License-Identifier: MIT
 *
 * /.well-known/core: what there is, as links, filtered by what is asked. Only the part that will
 * be sent is written. Sources: RFC 6690 sections 2, 4 and 4.1, RFC 7252 section 7.2.
 */
#include "server.h"

#include <string.h>

/* A text that is made, of which only a window is kept. */
struct window {
    uint8_t *data;
    size_t from, room, kept; /* where it begins, its size, what is there */
    size_t at;               /* of the text, so far */
    struct kirim_siphash hash;
};

static void put(struct window *w, const char *text, size_t bytes)
{
    kirim_siphash_take(&w->hash, text, bytes);
    for (size_t i = 0; i < bytes; i++, w->at++) {
        if (w->at >= w->from && w->kept < w->room) {
            w->data[w->kept++] = (uint8_t)text[i];
        }
    }
}

/* Whether a value is what a filter says; a star at its end takes any rest. */
static bool match_value(struct kirim_coap_span filter, const char *value, size_t bytes)
{
    if (filter.bytes > 0 && filter.data[filter.bytes - 1] == '*') {
        filter.bytes--;
        bytes = bytes < filter.bytes ? bytes : filter.bytes;
    }
    return bytes == filter.bytes && (bytes == 0 || memcmp(value, filter.data, bytes) == 0);
}

/* The same for a list of values, parted by blanks, as rt, if and rel have. */
static bool match_values(struct kirim_coap_span filter, const char *value, size_t bytes)
{
    while (bytes > 0) {
        size_t word = 0;
        while (word < bytes && value[word] != ' ') {
            word++;
        }
        if (match_value(filter, value, word)) {
            return true;
        }
        word += word < bytes ? 1 : 0;
        value += word;
        bytes -= word;
    }
    return false;
}

/* The end of an attribute: a semicolon that is not between quotes, or the end. */
static size_t attribute_bytes(const char *text)
{
    bool is_quoted = false;
    size_t i = 0;
    for (; text[i] != '\0' && (is_quoted || text[i] != ';'); i++) {
        is_quoted = text[i] == '"' ? !is_quoted : is_quoted;
    }
    return i;
}

/* Whether one of the attributes of a resource has this name and value. */
static bool match_attribute(const char *attributes, struct kirim_coap_span name,
                            struct kirim_coap_span value)
{
    while (attributes != NULL && *attributes != '\0') {
        const size_t bytes = attribute_bytes(attributes);
        const char *text = attributes + name.bytes + 1;
        if (bytes > name.bytes && attributes[name.bytes] == '=' &&
            memcmp(attributes, name.data, name.bytes) == 0) {
            size_t rest = bytes - name.bytes - 1;
            if (rest >= 2 && text[0] == '"' && text[rest - 1] == '"') {
                text++;
                rest -= 2;
            }
            if (match_values(value, text, rest) || match_value(value, text, rest)) {
                return true;
            }
        }
        attributes += bytes + (attributes[bytes] == ';' ? 1 : 0);
    }
    return false;
}

static bool match_href(const struct kirim_coap_resource *r, struct kirim_coap_span value)
{
    if (value.bytes == 0 || value.data[0] != '/') {
        return false;
    }
    const struct kirim_coap_span path = { value.data + 1, value.bytes - 1 };
    return match_value(path, r->path, strlen(r->path));
}

/* Whether a resource is what all queries of a request ask for. */
static bool is_asked(const struct kirim_coap_resource *r, const struct kirim_coap_message *message)
{
    struct kirim_coap_walk walk = KIRIM_COAP_WALK_INIT(message);
    struct kirim_coap_option option;
    while (kirim_coap_walk_next(&walk, &option)) {
        if (option.number != KIRIM_COAP_URI_QUERY || option.value.bytes == 0) {
            continue;
        }
        const uint8_t *const equals = memchr(option.value.data, '=', option.value.bytes);
        if (equals == NULL) {
            return false;
        }
        const size_t name_bytes = (size_t)(equals - option.value.data);
        const struct kirim_coap_span name = { option.value.data, name_bytes };
        const struct kirim_coap_span value = { equals + 1, option.value.bytes - name_bytes - 1 };
        const bool is_href = name_bytes == 4 && memcmp(name.data, "href", 4) == 0;
        if (is_href ? !match_href(r, value) : !match_attribute(r->attributes, name, value)) {
            return false;
        }
    }
    return true;
}

static void put_link(struct window *w, const struct kirim_coap_resource *r)
{
    if (w->at > 0) {
        put(w, ",", 1);
    }
    put(w, "</", 2);
    put(w, r->path, strlen(r->path));
    put(w, ">", 1);
    if (r->attributes != NULL && r->attributes[0] != '\0') {
        put(w, ";", 1);
        put(w, r->attributes, strlen(r->attributes));
    }
    if ((r->flags & KIRIM_COAP_OBSERVABLE) != 0) {
        put(w, ";obs", 4);
    }
}

static void answer_core(struct kirim_coap_resource *resource,
                        const struct kirim_coap_request *request,
                        struct kirim_coap_response *response)
{
    struct kirim_coap_node *const node = request->node;
    struct window w = { .data = request->scratch, .from = request->offset, .room = request->room };
    (void)resource;
    kirim_siphash_begin(&w.hash, node->key, sizeof node->links_etag);
    for (const struct kirim_coap_resource *r = node->resources; r != NULL; r = r->next) {
        if (!r->is_prefix && (r->flags & KIRIM_COAP_UNLISTED) == 0 &&
            is_asked(r, request->message)) {
            put_link(&w, r);
        }
    }
    response->code = KIRIM_COAP_CONTENT;
    response->content_format = KIRIM_COAP_FORMAT_LINKS;
    response->body = (struct kirim_coap_span){ w.data, w.kept };
    response->total_bytes = w.at;
    kirim_siphash_end(&w.hash, node->links_etag);
    if (w.kept < w.at) { /* in blocks, between which resources come and go */
        response->etag = (struct kirim_coap_span){ node->links_etag, sizeof node->links_etag };
    }
}

struct kirim_coap_resource kirim_coap_core_resource(void)
{
    return (struct kirim_coap_resource)KIRIM_COAP_RESOURCE_INIT(
        ".well-known/core", KIRIM_COAP_METHOD(KIRIM_COAP_GET), KIRIM_COAP_UNLISTED, answer_core,
        NULL);
}
