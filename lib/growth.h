/* SPDX-License-Identifier: MIT
 *
 * The copy of a public structure that begins with its size: see growth.c. Any thread.
 */
#ifndef KI_GROWTH_H
#define KI_GROWTH_H

#include <stdbool.h>
#include <stddef.h>

/* Copies the structure of `size` at `from` to the one of `known` bytes at `to`; what it lacks is
 * zero. False: it is smaller than the first version's, or says something that is not known here. */
bool ki_grown_copy(void *to, size_t known, const void *from, size_t size, size_t first);

#endif
