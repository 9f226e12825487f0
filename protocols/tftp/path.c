/* SPDX-License-Identifier: MIT
 *
 * Which names of files a server takes: see path.h.
 */
#include "path.h"

#include <string.h>

static char upper(char byte)
{
    return (char)(byte >= 'a' && byte <= 'z' ? byte - ('a' - 'A') : byte);
}

/* Whether the stem, `bytes` long, is this word, which is upper-case. */
static bool is_stem(const char *stem, size_t bytes, const char *word)
{
    size_t i = 0;
    while (i < bytes && word[i] != '\0' && upper(stem[i]) == word[i]) {
        i++;
    }
    return i == bytes && word[i] == '\0';
}

/* A digit as Windows counts its ports: ASCII, or one of the superscripts in UTF-8 or Latin-1. */
static bool is_port_digit(const char *text, size_t bytes)
{
    static const char *const superscript[] = { "\xb9",     "\xb2",     "\xb3",
                                               "\xc2\xb9", "\xc2\xb2", "\xc2\xb3" };
    if (bytes == 1 && text[0] >= '0' && text[0] <= '9') {
        return true;
    }
    for (size_t i = 0; i < sizeof superscript / sizeof superscript[0]; i++) {
        if (bytes == strlen(superscript[i]) && memcmp(text, superscript[i], bytes) == 0) {
            return true;
        }
    }
    return false;
}

/* Windows looks for a device in what stands before the first dot, blanks at its end left out. */
static bool is_device(const char *component, size_t bytes)
{
    static const char *const words[] = {
        "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", "CLOCK$"
    };
    const char *const dot = memchr(component, '.', bytes);
    size_t stem = dot != NULL ? (size_t)(dot - component) : bytes;
    while (stem > 0 && component[stem - 1] == ' ') {
        stem--;
    }
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (is_stem(component, stem, words[i])) {
            return true;
        }
    }
    return stem > 3 && (is_stem(component, 3, "COM") || is_stem(component, 3, "LPT")) &&
           is_port_digit(component + 3, stem - 3);
}

static bool is_reserved(char byte)
{
    const uint8_t code = (uint8_t)byte;
    return code < 0x20 || code == 0x7f || strchr("\\:*?\"<>|", byte) != NULL;
}

static bool is_good_component(const char *component, size_t bytes)
{
    const char last = component[bytes - 1];
    if (bytes > KIRIM_TFTP_COMPONENT_BYTES_MAX || last == '.' || last == ' ') {
        return false; /* ".." ends in a dot */
    }
    for (size_t i = 0; i < bytes; i++) {
        if (is_reserved(component[i])) {
            return false;
        }
    }
    return !is_device(component, bytes);
}

kirim_err kirim_tftp_path_check(struct kirim_tftp_span name, char out[KIRIM_TFTP_PATH_BYTES_MAX])
{
    char path[KIRIM_TFTP_PATH_BYTES_MAX];
    const char *const text = (const char *)name.data;
    size_t used = 0;
    size_t component_count = 0;
    size_t at = 0;
    while (at < name.bytes) {
        const char *const slash = memchr(text + at, '/', name.bytes - at);
        const size_t bytes = slash != NULL ? (size_t)(slash - text) - at : name.bytes - at;
        if (bytes > 0 && !(bytes == 1 && text[at] == '.')) {
            if (++component_count > KIRIM_TFTP_COMPONENT_COUNT_MAX ||
                !is_good_component(text + at, bytes) || used + bytes + 2 > sizeof path) {
                return KIRIM_EACCES;
            }
            if (used > 0) {
                path[used++] = '/';
            }
            memcpy(path + used, text + at, bytes);
            used += bytes;
        }
        at += bytes + 1;
    }
    if (used == 0 || text[name.bytes - 1] == '/') {
        return KIRIM_EACCES;
    }
    path[used] = '\0';
    memcpy(out, path, used + 1);
    return KIRIM_OK;
}
