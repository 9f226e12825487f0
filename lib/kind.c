/* SPDX-License-Identifier: MIT
 *
 * Handlers say of which kind they are, in the size that they begin with: one that was begun by the
 * INIT macro of another kind is refused, with a word in the log. The loop's thread.
 */
#include "core.h"

enum { KIND_SHIFT = 24 };

_Static_assert(KIRIM_SIZE_OF_KIND(1, char) == (1 << KIND_SHIFT) + 1, "where the kind stands");

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
