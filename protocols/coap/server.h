/* SPDX-License-Identifier: MIT
 *
 * The server of CoAP: resources and what becomes of requests for them.
 *
 * A resource has a path and a function that answers. It sees whole bodies: what comes in blocks is
 * put together before, what is longer than a block is cut behind. Which methods, formats, blocks
 * and conditions are possible is looked after here; duplicates never reach it. Sources: RFC 7252
 * section 5, RFC 7641, RFC 7959, RFC 6690, RFC 7967, RFC 9175.
 */
#ifndef KIRIM_COAP_SERVER_H
#define KIRIM_COAP_SERVER_H

#include "node.h"
#include "option.h"

/** Room for the path of a resource, its closing zero included. */
#define KIRIM_COAP_PATH_BYTES 256

/** A request as a resource sees it; lent until the return. */
struct kirim_coap_request {
    struct kirim_coap_node *node;             /**< Who was asked. */
    struct kirim_coap_peer *peer;             /**< Who asks. */
    const struct kirim_coap_message *message; /**< For queries and rare options. */
    const struct kirim_coap_fields *fields;   /**< What its options say. */
    const char *path;                         /**< As kirim_coap_path_text() writes it. */
    uint8_t method;                           /**< KIRIM_COAP_GET .... */
    bool is_group;                            /**< It was sent to many. */
    bool is_notification;                     /**< Nobody asks just now: an observer is told. */
    struct kirim_coap_span body;              /**< Whole. */
    uint64_t now_ns;                          /**< Present time. */
    uint64_t deferral; /**< If the answer comes later: kirim_coap_respond() takes this. 0: it
                            cannot come later, and is 5.03 if that is asked for. */
    size_t offset;     /**< Where the part of the answer begins that will be sent, */
    size_t room;       /**< how long that part is at the most, */
    uint8_t *scratch;  /**< and so many bytes to write it to, if that is of use. */
};

/** An answer; zeroed but for the formats before a resource is asked. */
struct kirim_coap_response {
    uint8_t code;                /**< KIRIM_COAP_CONTENT .... 0: 5.00. */
    bool is_deferred;            /**< It comes later, by kirim_coap_respond(). */
    uint32_t content_format;     /**< Or KIRIM_COAP_FORMAT_NONE. */
    uint32_t max_age_s;          /**< 60 is not sent. */
    struct kirim_coap_span body; /**< Whole, or, if `total_bytes` is not 0, what is at the offset
                                      asked for. Good until the resource is called again. */
    size_t total_bytes;          /**< Of the body, if only a part of it is there. */
    struct kirim_coap_span
        etag;             /**< At most 8 bytes. None: one is made of a whole body in blocks. */
    const char *location; /**< A path for Location-Path, or NULL. */
};

/** Answers a request for a resource. */
typedef void (*kirim_coap_handle_fn)(struct kirim_coap_resource *resource,
                                     const struct kirim_coap_request *request,
                                     struct kirim_coap_response *response);

/** Flags of a resource. */
enum {
    KIRIM_COAP_OBSERVABLE = 1, /**< It may be observed. */
    KIRIM_COAP_FRESH = 2,      /**< Every request must bring an Echo: it is costly, or acts. */
    KIRIM_COAP_UNLISTED = 4,   /**< /.well-known/core does not show it. */
    KIRIM_COAP_CONDITIONS = 8  /**< Its function looks at If-Match and If-None-Match by itself, with
                                    kirim_coap_is_matching(): it has several ETags at a time. */
};

/** Bit of a method in `methods`. */
#define KIRIM_COAP_METHOD(method) (1U << (method))

/** A resource; the caller's storage, put while it is added. */
struct kirim_coap_resource {
    const char *path;            /**< Without a slash in front: "sensors/temp", "". Lent. */
    const char *attributes;      /**< For links: `rt="temp";ct=0`. NULL: none. Lent. */
    uint32_t methods;            /**< KIRIM_COAP_METHOD() of those that it knows. */
    uint32_t flags;              /**< KIRIM_COAP_OBSERVABLE .... */
    kirim_coap_handle_fn handle; /**< Not NULL. */
    void *user;                  /**< The caller's. */
    const uint16_t *formats;     /**< Content-Formats that the body of a request may have: the node
                                      refuses others by 4.15. NULL: all. Lent. */
    size_t format_count;         /**< Of those; 0: none but what says none. */
    struct kirim_coap_span etag; /**< Its present ETag, which the node holds If-Match against; may
                                    be changed at any time. Empty: there is none that could match,
                                      but the resource is there, which If-None-Match denies. Not for
                                      the resource of all other paths. Lent. */
    /** @privatesection The node's. */
    struct kirim_coap_resource *next;
    struct kirim_coap_observer *observers;
    bool is_prefix; /**< It takes all paths that no other resource has. */
};

/** Initialises a resource: `static struct kirim_coap_resource r = KIRIM_COAP_RESOURCE_INIT("x",
 * KIRIM_COAP_METHOD(KIRIM_COAP_GET), 0, on_x, ctx);` */
#define KIRIM_COAP_RESOURCE_INIT(at, known, bits, fn, ctx)                               \
    {                                                                                    \
        .path = (at), .methods = (known), .flags = (bits), .handle = (fn), .user = (ctx) \
    }

/**
 * @brief Adds a resource.
 *
 * @param node      The node.
 * @param resource  Caller's storage.
 * @retval KIRIM_OK          It is there.
 * @retval KIRIM_EINVAL      No path, one that is too long or begins with a slash, or no function.
 * @retval KIRIM_EEXIST      There is one of this path.
 * @retval KIRIM_EWOULDBLOCK There are as many as allowed.
 * @note The node's thread.
 */
kirim_err kirim_coap_resource_add(struct kirim_coap_node *node,
                                  struct kirim_coap_resource *resource);

/**
 * @brief Adds the resource that is asked for all paths that no other has, and is not listed: one
 * that creates resources. Its path is not read. As kirim_coap_resource_add().
 */
kirim_err kirim_coap_resource_add_default(struct kirim_coap_node *node,
                                          struct kirim_coap_resource *resource);

/** @brief Takes a resource away; its observers are told 4.04. Not from inside its own function,
 * unless that touches it no more. The node's thread. */
void kirim_coap_resource_remove(struct kirim_coap_node *node, struct kirim_coap_resource *resource,
                                uint64_t now_ns);

/** @brief The resource of a path, or NULL. The node's thread. */
struct kirim_coap_resource *kirim_coap_resource_find(const struct kirim_coap_node *node,
                                                     const char *path);

/** @brief Says that a resource has changed: its observers are told, each as soon as it may be. The
 * node's thread. */
void kirim_coap_notify(struct kirim_coap_node *node, struct kirim_coap_resource *resource,
                       uint64_t now_ns);

/**
 * @brief Answers a request that was put off.
 *
 * @param node      The node.
 * @param deferral  Of the request.
 * @param response  Copied.
 * @param now_ns    Present time.
 * @retval KIRIM_OK      It is on its way.
 * @retval KIRIM_ENOENT  No such request: its peer has gone, or it was answered.
 * @retval KIRIM_ENOMEM  Out of memory; the request is forgotten.
 * @note The node's thread.
 */
kirim_err kirim_coap_respond(struct kirim_coap_node *node, uint64_t deferral,
                             const struct kirim_coap_response *response, uint64_t now_ns);

/** @brief Whether the conditions of a request hold (If-Match, If-None-Match) for a resource with
 * this ETag, or, with an empty one, that is not there. For functions that look by themselves: of
 * the resource of all other paths, or with KIRIM_COAP_CONDITIONS. Any thread. */
bool kirim_coap_is_matching(const struct kirim_coap_request *request, struct kirim_coap_span etag);

/** @brief The resource /.well-known/core: links to all that are listed, filtered by a query. Its
 * `handle`, `methods` and `path` are set, the rest is zero. Any thread. */
struct kirim_coap_resource kirim_coap_core_resource(void);

#endif
