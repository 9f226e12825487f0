/* SPDX-License-Identifier: MIT
 *
 * The rows that speak of Winsock alone, in a build without it.
 */
#include "conformance.h"

static const struct kc_case cases[] = {
    KC_MISSING("wsasendmsg_is_fetched_for_each_family_and_provider", "S12", 0, "winsock"),
    KC_MISSING("library_imports_nothing_newer_than_its_floor", "S53", 0, "winsock"),
};

const struct kc_subject kc_winsock = KC_SUBJECT("winsock", cases);
