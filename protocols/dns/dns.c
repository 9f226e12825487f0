/* SPDX-License-Identifier: MIT
 *
 * Names of errors and of results: see dns.h.
 */
#include "dns.h"

#include "text.h"

const char *kirim_dns_err_text(kirim_err err)
{
    static const char *const texts[] = {
        "the bytes end too early",
        "malformed",
        "a compression pointer that does not go back",
        "a label of more than 63 bytes",
        "a name of more than 255 bytes",
        "an empty label inside a name",
        "a backslash without a character or three digits up to 255",
        "a relative name without an origin",
        "more than one OPT record, or one that does not belong to the root",
        "a bound of the zone is reached",
        "the zone contradicts itself or is incomplete",
    };
    const int index = KIRIM_DNS_ESHORT - err;
    if (index >= 0 && index < (int)(sizeof texts / sizeof texts[0])) {
        return texts[index];
    }
    switch (err) {
    case KIRIM_OK:
        return "success";
    case KIRIM_ENOMEM:
        return "out of memory";
    case KIRIM_EMSGSIZE:
        return "too little room";
    case KIRIM_EINVAL:
        return "invalid argument";
    case KIRIM_ETIMEDOUT:
        return "no answer in time";
    default:
        return "an error of the system or of the network";
    }
}

void kirim_dns_rcode_format(uint16_t rcode, char text[KIRIM_DNS_RCODE_TEXT_BYTES])
{
    static const char *const names[] = { "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN",
                                         "NOTIMP",  "REFUSED", "YXDOMAIN", "YXRRSET",
                                         "NXRRSET", "NOTAUTH", "NOTZONE" };
    struct ki_dns_text out;
    ki_dns_text_init(&out, text, KIRIM_DNS_RCODE_TEXT_BYTES);
    if (rcode < sizeof names / sizeof names[0]) {
        ki_dns_text_string(&out, names[rcode]);
    } else if (rcode == KIRIM_DNS_BADVERS) {
        ki_dns_text_string(&out, "BADVERS");
    } else if (rcode == KIRIM_DNS_BADCOOKIE) {
        ki_dns_text_string(&out, "BADCOOKIE");
    } else {
        ki_dns_text_string(&out, "RCODE");
        ki_dns_text_number(&out, rcode);
    }
}
