/* SPDX-License-Identifier: MIT
 *
 * What kirim-probe says of Windows: nothing beyond what the library tells. Socket buffers have no
 * limit there that an administrator would raise.
 */
#include "probe.h"

void probe_add_platform_hints(struct probe *p)
{
    (void)p;
}
