/* SPDX-License-Identifier: MIT
 *
 * Socket activation on POSIX systems: reads what a service manager has left in the environment.
 *
 * Keeps true: what is not exactly as the protocol says counts as nothing; text from the environment
 * is never changed and never handed out. Owns nothing, keeps nothing. Any thread, while none
 * changes the environment. Source: sd_listen_fds(3), systemd.socket(5).
 */
#include <kirim/activation.h>

#include "posix_sys.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum {
    FIRST_DESCRIPTOR = 3, /* behind stdin, stdout and stderr */
    NAME_LENGTH_MAX = KIRIM_ACTIVATION_NAME_BYTES - 1
};

/* A decimal number of at most `max`, without sign, blanks and leading zeros. */
static bool read_number(const char *text, uint64_t max, uint64_t *out)
{
    uint64_t number = 0;
    if (text == NULL || *text < '0' || *text > '9' || (*text == '0' && text[1] != 0)) {
        return false;
    }
    for (; *text >= '0' && *text <= '9'; text++) {
        number = number * 10 + (uint64_t)(*text - '0');
        if (number > max) {
            return false;
        }
    }
    *out = number;
    return *text == 0;
}

size_t kirim_activation_count(void)
{
    uint64_t pid;
    uint64_t count;
    if (!read_number(getenv("LISTEN_PID"), INT_MAX, &pid) ||
        !read_number(getenv("LISTEN_FDS"), INT_MAX - FIRST_DESCRIPTOR, &count) ||
        pid != (uint64_t)ki_posix_sys_default.getpid()) {
        return 0;
    }
    return (size_t)count;
}

kirim_err kirim_activation_descriptor(size_t index, intptr_t *out)
{
    if (out == NULL) {
        return KIRIM_EINVAL;
    }
    if (index >= kirim_activation_count()) {
        return KIRIM_ENOENT;
    }
    *out = (intptr_t)(FIRST_DESCRIPTOR + index);
    return KIRIM_OK;
}

/* Length of the name that begins here; false: it is none. */
static bool measure_name(const char *at, size_t *length)
{
    *length = strcspn(at, ":");
    for (size_t i = 0; i < *length; i++) {
        if (at[i] < ' ' || at[i] > '~') {
            return false;
        }
    }
    return *length <= NAME_LENGTH_MAX;
}

/* The list of names, or NULL if there is not one for each of `count` descriptors. */
static const char *read_names(size_t count)
{
    const char *const names = getenv("LISTEN_FDNAMES");
    const char *at = names;
    size_t found = 0;
    size_t length;
    while (at != NULL && found < count && measure_name(at, &length)) {
        found++;
        if (at[length] == 0) {
            return found == count ? names : NULL;
        }
        at += length + 1;
    }
    return NULL;
}

kirim_err kirim_activation_name(size_t index, char *name, size_t bytes)
{
    if (name == NULL) {
        return KIRIM_EINVAL;
    }
    const size_t count = kirim_activation_count();
    const char *at = read_names(count);
    if (at == NULL || index >= count) {
        return KIRIM_ENOENT;
    }
    for (size_t i = 0; i < index; i++) {
        at += strcspn(at, ":") + 1;
    }
    const size_t length = strcspn(at, ":");
    if (bytes <= length) {
        return KIRIM_EMSGSIZE;
    }
    memcpy(name, at, length);
    name[length] = 0;
    return KIRIM_OK;
}

kirim_err kirim_activation_find(const char *name, size_t first, size_t *index)
{
    if (name == NULL || index == NULL) {
        return KIRIM_EINVAL;
    }
    const size_t count = kirim_activation_count();
    const size_t wanted = strlen(name);
    const char *at = read_names(count);
    for (size_t i = 0; at != NULL && i < count; i++) {
        const size_t length = strcspn(at, ":");
        if (i >= first && length == wanted && memcmp(at, name, length) == 0) {
            *index = i;
            return KIRIM_OK;
        }
        at += length + 1;
    }
    return KIRIM_ENOENT;
}
