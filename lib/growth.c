/* SPDX-License-Identifier: MIT
 *
 * Growth of public structures: they begin with their size, so that programs and libraries of
 * different versions understand each other. What one side does not know must be zero, or it is
 * refused. Any thread.
 */
#include "growth.h"

#include <string.h>

enum {
    SIZE_MAX_OF_ALL = 1 << 16 /* of no structure; more is a size of some kind, or nonsense */
};

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
