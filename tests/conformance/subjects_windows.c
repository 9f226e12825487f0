/* SPDX-License-Identifier: MIT
 *
 * The subjects of the conformance suite on Windows, in the order in which they run.
 */
#include "conformance.h"

const struct kc_subject *const kc_subjects[] = {
    &kc_send,    &kc_control,  &kc_op,        &kc_mode,    &kc_mtu,      &kc_order,
    &kc_pace,    &kc_train,    &kc_handover,  &kc_late,    &kc_close,    &kc_place,
    &kc_error,   &kc_pressure, &kc_receive,   &kc_timer,   &kc_fairness, &kc_guest,
    &kc_remote,  &kc_loop,     &kc_open,      &kc_stats,   &kc_socket,   &kc_system,
    &kc_threads, &kc_slow,     &kc_multicast, &kc_winsock, NULL,
};
