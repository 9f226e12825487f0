/* SPDX-License-Identifier: MIT
 *
 * Growth of public structures: they begin with their size, so that programs and libraries of
 * different versions understand each other. What one side does not know must be zero, or it is
 * refused. Any thread.
 */
#include "growth.h"

#include <string.h>

enum {
    KIND_SHIFT = 24,
    SIZE_MAX_OF_ALL = 1 << 16 /* of no structure; more is a size of some kind, or nonsense */
};

_Static_assert(KIRIM_SIZE_OF_KIND(1, char) == (1 << KIND_SHIFT) + 1, "where the kind stands");

bool ki_grown_copy(void *to, size_t known, const void *from, size_t size, size_t first)
{
    if (size < first || size > SIZE_MAX_OF_ALL) {
        return false;
    }
    memset(to, 0, known);
    memcpy(to, from, size < known ? size : known);
    const unsigned char *rest = from;
    for (size_t i = known; i < size; i++) {
        if (rest[i] != 0) {
            return false;
        }
    }
    return true;
}

bool ki_handler_copy(struct kirim_loop *loop, void *to, size_t bytes, const void *from, size_t size,
                     size_t kind)
{
    if (size >> KIND_SHIFT != kind) {
        if (loop != NULL) {
            ki_log(loop, KIRIM_LOG_ERROR,
                   "refused: a handler that begins with the INIT macro of another kind", 0);
        }
        return false;
    }
    return ki_grown_copy(to, bytes, from, size - (kind << KIND_SHIFT), bytes);
}
