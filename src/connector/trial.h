/* SPDX-License-Identifier: Apache-2.0
 *
 * trial.h - whether a way to somewhere is open: one dial as a connector would do it, through the
 * same proxy and the same TLS, closed again when it is up. Nothing is asked of the target.
 *
 * It opens names and TLS of its own, so that it can be done on any loop. done() is called
 * exactly once, never from inside trial_start(), unless the trial was cancelled.
 */
#pragma once
#include "connector/dial.h"

#define TRIAL_WHY_MAX 160U

struct tls_profile;

struct trial_request {
    const char *host;
    uint16_t port;
    const char *proxy;             /* as in weir_key, or NULL */
    struct tls_profile *tls;       /* with the target, or NULL; borrowed until done() */
    struct tls_profile *proxy_tls; /* with a proxy of https:// */
    unsigned announce_version;     /* of a PROXY header that names nobody; 0: none is sent */
    /* Opens the names to use, on the trial's loop; NULL: the system's. */
    int (*open_names)(const void *arg, struct loop *loop, struct dns **ret_dns);
    const void *names_arg;
    uint32_t timeout_ms; /* as in dial.h, both */
    uint32_t tls_timeout_ms;
};

struct trial_result {
    enum dial_error error; /* DIAL_OK: the way is open */
    enum dns_error dns;    /* what else the dial said */
    enum tls_error tls;
    int os_error;
    enum dial_step step; /* where it ended */
    uint32_t step_us[DIAL_STEPS], took_us;
    char why[TRIAL_WHY_MAX]; /* "" when it is open; no secret is in it */
};

struct trial;
typedef void trial_fn(void *self, const struct trial_result *result);

/* 0; -EINVAL: the request is none; -EPROTONOSUPPORT: no TLS for that proxy; -ENOMEM. */
int trial_start(struct loop *loop, const struct trial_request *request, trial_fn *done, void *self,
                struct trial **ret_trial);
void trial_cancel(struct trial *take_trial);

/* The same, and waits, on a loop of its own. */
int trial_run(const struct trial_request *request, struct trial_result *ret_result);
