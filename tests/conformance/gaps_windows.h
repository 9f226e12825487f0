/* SPDX-License-Identifier: MIT
 *
 * What of Wine a case on Windows may have to know. Any thread.
 */
#ifndef KC_GAPS_WINDOWS_H
#define KC_GAPS_WINDOWS_H

#include <stdbool.h>

/* Whether this is Wine. */
bool kc_is_wine(void);

#endif
