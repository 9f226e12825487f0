/* SPDX-License-Identifier: MIT
 *
 * All of kirim's public interface in one include.
 */
#ifndef KIRIM_KIRIM_H
#define KIRIM_KIRIM_H

#include <kirim/activation.h>
#include <kirim/addr.h>
#include <kirim/amplification.h>
#include <kirim/bucket.h>
#include <kirim/config.h>
#include <kirim/duplicate.h>
#include <kirim/endpoint.h>
#include <kirim/error.h>
#include <kirim/guest.h>
#include <kirim/keepalive.h>
#include <kirim/layer.h>
#include <kirim/limiter.h>
#include <kirim/link.h>
#include <kirim/loop.h>
#include <kirim/msg.h>
#include <kirim/multicast.h>
#include <kirim/mux.h>
#include <kirim/op.h>
#include <kirim/pcapng.h>
#include <kirim/pmtu.h>
#include <kirim/remote.h>
#include <kirim/replay.h>
#include <kirim/retransmit.h>
#include <kirim/rtt.h>
#include <kirim/secret.h>
#include <kirim/session.h>
#include <kirim/share.h>
#include <kirim/sim.h>
#include <kirim/siphash.h>
#include <kirim/stats.h>
#include <kirim/timer.h>
#include <kirim/token.h>
#include <kirim/transaction.h>
#include <kirim/trial.h>

#endif
