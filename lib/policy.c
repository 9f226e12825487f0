/* SPDX-License-Identifier: MIT
 *
 * The policy table; see policy.h.
 *
 * On a connected socket a system hands the ICMP error of an earlier datagram to the next send,
 * which then has not been made: such errors are tried once more before they are believed. A first
 * send on a new Linux socket may answer EPERM once. A system out of buffers is never waited for, as
 * no signal would come. Sources: udp(7), ip(7), WSASendMsg.
 */
#include "policy.h"

static const struct rule {
    kirim_err err;
    uint32_t is_retried; /* once */
    uint32_t reason;
} rules[] = {
    { KIRIM_ECONNRESET, 1, KIRIM_DROP_RESET },
    { KIRIM_ENETRESET, 1, KIRIM_DROP_UNREACHABLE },
    { KIRIM_ENETUNREACH, 1, KIRIM_DROP_UNREACHABLE },
    { KIRIM_EACCES, 1, KIRIM_DROP_DENIED },
    { KIRIM_ENETDOWN, 0, KIRIM_DROP_UNREACHABLE },
    { KIRIM_EADDRNOTAVAIL, 0, KIRIM_DROP_UNREACHABLE },
    { KIRIM_EMSGSIZE, 0, KIRIM_DROP_TOO_LONG },
    { KIRIM_ENOBUFS, 0, KIRIM_DROP_NO_BUFFERS },
    { KIRIM_ENOMEM, 0, KIRIM_DROP_NO_BUFFERS },
    { KIRIM_ESHUTDOWN, 0, KIRIM_DROP_SHUTDOWN },
    { KIRIM_EABORTED, 0, KIRIM_DROP_CANCELLED },
    { KIRIM_ETIMEDOUT, 0, KIRIM_DROP_DEADLINE },
};

struct ki_verdict ki_judge(kirim_err err, uint32_t status)
{
    if (err == KIRIM_EWOULDBLOCK) {
        return (struct ki_verdict){ KI_ACT_WAIT, 0 };
    }
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        if (rules[i].err == err) {
            const bool again = rules[i].is_retried != 0 && (status & KI_RETRIED) == 0;
            return (struct ki_verdict){ again ? KI_ACT_RETRY : KI_ACT_DROP, rules[i].reason };
        }
    }
    return (struct ki_verdict){ KI_ACT_DROP, KIRIM_DROP_SYSTEM };
}
