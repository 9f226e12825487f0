/* SPDX-License-Identifier: MIT
 *
 * The version, as text: the numbers stand in kirim/config.h alone. Owns nothing. Any thread.
 */
#include <kirim/config.h>

/* Two steps, so that the macro's value is quoted and not its name. */
#define QUOTE_TOKEN(x) #x
#define QUOTE(x)       QUOTE_TOKEN(x)

const char *kirim_version(void)
{
    return QUOTE(KIRIM_VERSION_MAJOR) "." QUOTE(KIRIM_VERSION_MINOR) "." QUOTE(KIRIM_VERSION_PATCH);
}
