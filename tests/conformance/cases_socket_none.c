/* SPDX-License-Identifier: MIT
 *
 * The rows that speak of sockets of the caller's, in a build that adopts none.
 */
#include "conformance.h"

static const struct kc_case cases[] = {
    KC_MISSING("stream_socket_is_refused", "S3", 0, "adopt"),
};

const struct kc_subject kc_socket = KC_SUBJECT("socket", cases);
