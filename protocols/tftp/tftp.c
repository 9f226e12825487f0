/* SPDX-License-Identifier: MIT
 *
 * Errors of TFTP as text and as codes: see tftp.h.
 */
#include "tftp.h"

const char *kirim_tftp_err_text(kirim_err err)
{
    switch (err) {
    case KIRIM_TFTP_EFORM:
        return "illegal TFTP operation";
    case KIRIM_TFTP_EMODE:
        return "the mode is neither octet nor netascii";
    case KIRIM_TFTP_EFULL:
        return "disk full";
    case KIRIM_TFTP_EREMOTE:
        return "the other side ended the transfer";
    case KIRIM_TFTP_EOPTION:
        return "an option that was not asked for";
    case KIRIM_TFTP_ECHANGED:
        return "the file has changed";
    case KIRIM_ENOENT:
        return "file not found";
    case KIRIM_EACCES:
        return "access violation";
    case KIRIM_EEXIST:
        return "file already exists";
    case KIRIM_ETIMEDOUT:
        return "gave up waiting";
    case KIRIM_ECONNRESET:
        return "the port is closed";
    case KIRIM_EMSGSIZE:
        return "too long a name";
    case KIRIM_EBUSY:
        return "too many transfers";
    case KIRIM_EABORTED:
        return "cancelled";
    default:
        return "an error of the system";
    }
}

uint16_t kirim_tftp_err_code(kirim_err err)
{
    switch (err) {
    case KIRIM_ENOENT:
        return KIRIM_TFTP_CODE_NOT_FOUND;
    case KIRIM_EACCES:
        return KIRIM_TFTP_CODE_ACCESS;
    case KIRIM_TFTP_EFULL:
        return KIRIM_TFTP_CODE_FULL;
    case KIRIM_TFTP_EFORM:
    case KIRIM_TFTP_EMODE:
        return KIRIM_TFTP_CODE_ILLEGAL;
    case KIRIM_EEXIST:
        return KIRIM_TFTP_CODE_EXISTS;
    case KIRIM_TFTP_EOPTION:
        return KIRIM_TFTP_CODE_OPTION;
    default:
        return KIRIM_TFTP_CODE_OTHER;
    }
}

const char *kirim_tftp_code_text(uint16_t code)
{
    static const char *const text[] = {
        [KIRIM_TFTP_CODE_OTHER] = "other error",
        [KIRIM_TFTP_CODE_NOT_FOUND] = "file not found",
        [KIRIM_TFTP_CODE_ACCESS] = "access violation",
        [KIRIM_TFTP_CODE_FULL] = "disk full",
        [KIRIM_TFTP_CODE_ILLEGAL] = "illegal TFTP operation",
        [KIRIM_TFTP_CODE_UNKNOWN_ID] = "unknown transfer ID",
        [KIRIM_TFTP_CODE_EXISTS] = "file already exists",
        [KIRIM_TFTP_CODE_NO_USER] = "no such user",
        [KIRIM_TFTP_CODE_OPTION] = "options not agreed on",
    };
    return code < sizeof text / sizeof text[0] ? text[code] : "unknown code";
}
