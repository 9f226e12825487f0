/* SPDX-License-Identifier: MIT
 *
 * A scene: something that a case does inside a callback of a given kind.
 */
#ifndef KC_SCENE_H
#define KC_SCENE_H

#include "conformance.h"

enum kc_place {
    KC_IN_RECEIVED,
    KC_IN_WRITABLE,
    KC_IN_FAILED,
    KC_IN_CLOSED,
    KC_IN_DONE,
    KC_IN_TIMER,
    KC_IN_POST,
    KC_IN_GUEST
};

struct kc_scene {
    struct ks *t;
    struct ks_node
        *self; /* whose callback it is; NULL: that of a timer, post or guest, or it is gone */
    struct ks_node *a, *b; /* two endpoints more */
    struct ks_op *o;       /* for the action */
    void (*action)(struct kc_scene *s);
    bool is_done;   /* the action was called */
    struct ks host; /* of what a guest watches */
    struct ks_node *watched;
    struct kirim_guest guest;
    struct kirim_remote *remote;
};

/* Sets up `a` and `b`; the fixture's loop has a spy. */
void kc_scene_init(struct kc_scene *s, struct ks *t);

/* Brings about one callback of the kind t->arg, in which `action` is called once; waits for it. */
void kc_scene_play(struct kc_scene *s, void (*action)(struct kc_scene *s));

/* Ends what the scene itself has opened. */
void kc_scene_fini(struct kc_scene *s);

/* A row of the table of cases for each place: the name is the claim and the place. */
#define KC_PLACES(claim, cites, function, proof, how)                                       \
    KC_ARG(claim "received", cites, function, proof, (how) | KC_SPIED, KC_IN_RECEIVED),     \
        KC_ARG(claim "writable", cites, function, proof, (how) | KC_SPIED, KC_IN_WRITABLE), \
        KC_ARG(claim "failed", cites, function, proof, (how) | KC_SPIED, KC_IN_FAILED),     \
        KC_ARG(claim "closed", cites, function, proof, (how) | KC_SPIED, KC_IN_CLOSED),     \
        KC_ARG(claim "an_operations_callback", cites, function, proof, (how) | KC_SPIED,    \
               KC_IN_DONE),                                                                 \
        KC_ARG(claim "a_timer", cites, function, proof, (how) | KC_SPIED, KC_IN_TIMER),     \
        KC_ARG(claim "a_post", cites, function, proof, (how) | KC_SPIED, KC_IN_POST),       \
    {                                                                                       \
        .name = claim "a_guest", .rows = (cites), .run = (function), .kind = (proof),       \
        .flags = (how) | KC_SPIED | KC_EXTRA, .caps = KIRIM_CAP_GUESTS, .arg = KC_IN_GUEST  \
    }

#endif
