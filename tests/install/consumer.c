/* SPDX-License-Identifier: MIT
 *
 * The smallest program on the installed library: says which version it was compiled with and which
 * one it runs with, and fails if they differ. Owns nothing.
 */
#include <stdio.h>
#include <string.h>

#include <kirim/config.h>

int main(void)
{
    char compiled[32];
    (void)snprintf(compiled, sizeof compiled, "%d.%d.%d", KIRIM_VERSION_MAJOR, KIRIM_VERSION_MINOR,
                   KIRIM_VERSION_PATCH);
    (void)printf("compiled with kirim %s, runs with %s\n", compiled, kirim_version());
    return strcmp(compiled, kirim_version()) == 0 ? 0 : 1;
}
