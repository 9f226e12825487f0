/* SPDX-License-Identifier: MIT
 *
 * Making the plan of a run: probing each reactor and family, and crossing them with the table of
 * cases. See plan.h.
 */
#include "plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a reactor can do with a family. */
struct probe {
    const char *reactor;
    int family;
    uint32_t caps;
    bool has_family;
};

bool kc_is_forking = true;

static const char not_permitted[] = "not-permitted";
static const char gap[] = "wine-";

bool kc_entry_is_not_permitted(const struct kc_entry *e)
{
    return strncmp(e->skip, not_permitted, sizeof not_permitted - 1) == 0;
}

bool kc_entry_is_gap(const struct kc_entry *e)
{
    return strncmp(e->skip, gap, sizeof gap - 1) == 0;
}

static bool probe_reactor(struct probe *p)
{
    struct kirim_loop_options options = KIRIM_LOOP_OPTIONS_INIT;
    struct kirim_loop *loop = NULL;
    options.reactor = p->reactor;
    const kirim_err err = kirim_loop_open(&options, &loop);
    if (err < 0) {
        fprintf(stderr, "%s: %s\n", p->reactor, kirim_err_name(err));
        return false;
    }
    p->caps = kirim_loop_caps(loop);
    struct kirim_endpoint_options local = KIRIM_ENDPOINT_OPTIONS_INIT;
    struct kirim_endpoint *ep = NULL;
    local.local = ks_loopback(p->family, 0);
    p->has_family = kirim_endpoint_open(loop, &local, &ep) == KIRIM_OK;
    (void)kirim_loop_close(loop);
    return true;
}

/* Why the case cannot run here although the reactor could, or "". */
static const char *ask_system(const struct kc_case *c, const struct probe *p)
{
    const struct kc_where where = { p->reactor, p->family, p->caps };
    const char *text = NULL;
    if ((p->caps & KIRIM_CAP_VIRTUAL_TIME) == 0) {
        text = c->obstacle != NULL ? c->obstacle() : NULL;
        if (text == NULL && c->gap != NULL) {
            text = c->gap(&where);
        }
    }
    return text != NULL ? text : "";
}

/* Writes why the case cannot run, or "". */
static void find_skip(const struct kc_case *c, const struct probe *p, char *reason)
{
    const char *text = "";
    const uint32_t lacking = c->caps & ~p->caps;
    if (c->missing != NULL) {
        text = c->missing;
    } else if (!p->has_family) {
        text = p->family == KIRIM_IPV6 ? "ipv6" : "ipv4";
    } else if ((c->flags & KC_SYSTEM) != 0 && (p->caps & KIRIM_CAP_VIRTUAL_TIME) != 0) {
        text = "system-calls";
    } else if (lacking != 0) {
        text = kirim_cap_name(lacking & (~lacking + 1));
    } else {
        text = ask_system(c, p);
    }
    (void)snprintf(reason, KC_REASON_BYTES, "%s", text);
}

static void add_entry(struct kc_plan *plan, const struct kc_subject *subject,
                      const struct kc_case *c, const struct probe *p, uint32_t mode)
{
    if (plan->count == plan->room) {
        plan->room = plan->room == 0 ? 256 : 2 * plan->room;
        plan->entry = realloc(plan->entry, plan->room * sizeof *plan->entry);
        if (plan->entry == NULL) {
            abort();
        }
    }
    struct kc_entry *e = &plan->entry[plan->count];
    plan->count++;
    *e = (struct kc_entry){
        .c = c,
        .subject = subject,
        .reactor = p->reactor,
        .family = p->family,
        .mode = mode,
    };
    const char *mode_text = (c->flags & KC_MODES) == 0 ? "" : mode == 0 ? " (queued)" : " (now)";
    (void)snprintf(e->label, sizeof e->label, "%s-%d %s%s", p->reactor, p->family, c->name,
                   mode_text);
    find_skip(c, p, e->skip);
}

static void add_case(struct kc_plan *plan, const struct kc_choice *choice,
                     const struct kc_subject *subject, const struct kc_case *c,
                     const struct probe *p)
{
    const uint32_t only = p->family == KIRIM_IPV4 ? KC_IPV6_ONLY : KC_IPV4_ONLY;
    if ((c->flags & only) != 0 || (choice->row != 0 && !kc_case_cites(c, choice->row)) ||
        (choice->name != NULL && strcmp(choice->name, c->name) != 0)) {
        return;
    }
    add_entry(plan, subject, c, p, 0);
    if ((c->flags & KC_MODES) != 0) {
        add_entry(plan, subject, c, p, KIRIM_SEND_NOW);
    }
}

bool kc_plan_make(struct kc_plan *plan, const struct kc_choice *choice)
{
    static const int families[] = { KIRIM_IPV4, KIRIM_IPV6 };
    const char *reactor;
    for (size_t i = 0; (reactor = kirim_reactor_name(i)) != NULL; i++) {
        if (choice->reactor != NULL && strcmp(choice->reactor, reactor) != 0) {
            continue;
        }
        for (size_t k = 0; k < 2; k++) {
            struct probe p = { reactor, families[k], 0, false };
            if (choice->family != 0 && choice->family != families[k]) {
                continue;
            }
            if (!probe_reactor(&p)) {
                return false;
            }
            for (size_t s = 0; kc_subjects[s] != NULL; s++) {
                const struct kc_subject *subject = kc_subjects[s];
                if (choice->subject != NULL && strcmp(choice->subject, subject->name) != 0) {
                    continue;
                }
                for (size_t c = 0; c < subject->count; c++) {
                    add_case(plan, choice, subject, &subject->cases[c], &p);
                }
            }
        }
    }
    return true;
}

void kc_plan_free(struct kc_plan *plan)
{
    free(plan->entry);
    *plan = (struct kc_plan){ NULL, 0, 0 };
}
