/* SPDX-License-Identifier: Apache-2.0 */
#include "connector/trial.h"

#include "io/oserror.h"
#include "io/tls_profile.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct trial {
    struct loop *loop;
    trial_fn *done;
    void *self;
    struct dns *dns;
    struct tls_desk *desk;
    struct tls_client *tls, *proxy_tls; /* NULL: none */
    struct dial *dial;                  /* NULL: it has ended */
    uint64_t began_ns;
};

static void on_dialled(void *self, const struct dial_result *dialled);

static void trial_free(struct trial *trial)
{
    if (trial->dial != NULL) {
        dial_cancel(trial->dial);
    }
    tls_client_free(trial->tls);
    tls_client_free(trial->proxy_tls);
    tls_desk_free(trial->desk);
    if (trial->dns != NULL) {
        dns_close(trial->dns);
    }
    alloc_free(loop_alloc(trial->loop), trial);
}

static int equip(struct trial *trial, const struct trial_request *request)
{
    int error = request->open_names != NULL
                    ? request->open_names(request->names_arg, trial->loop, &trial->dns)
                    : dns_open(trial->loop, &(struct dns_options){0}, &trial->dns);
    if (error == 0 && (request->tls != NULL || request->proxy_tls != NULL)) {
        error = tls_desk_new(trial->loop, &trial->desk);
    }
    if (error == 0 && request->tls != NULL) {
        error = tls_client_new(trial->desk, request->tls, &trial->tls);
    }
    if (error == 0 && request->proxy_tls != NULL) {
        error = tls_client_new(trial->desk, request->proxy_tls, &trial->proxy_tls);
    }
    return error;
}

static int dial(struct trial *trial, const struct trial_request *request)
{
    const struct dial_request how = {
        .host = request->host,
        .port = request->port,
        .proxy = request->proxy,
        .proxy_tls = trial->proxy_tls,
        .timeout_ms = request->timeout_ms,
        .announce_version = request->announce_version,
        .announce = {.family = PROXY_LOCAL},
        .desk = trial->desk,
        .tls = trial->tls,
        .tls_timeout_ms = request->tls_timeout_ms,
    };
    trial->began_ns = loop_now_ns(trial->loop);
    int error = dial_start(trial->loop, trial->dns, &how, on_dialled, trial, &trial->dial);
    if (error != 0) {
        trial->dial = NULL;
    }
    return error;
}

int trial_start(struct loop *loop, const struct trial_request *request, trial_fn *done, void *self,
                struct trial **ret_trial)
{
    struct trial *trial = alloc_zeroed(loop_alloc(loop), sizeof *trial);
    if (trial == NULL) {
        return -ENOMEM;
    }
    trial->loop = loop;
    trial->done = done;
    trial->self = self;
    int error = equip(trial, request);
    if (error == 0) {
        error = dial(trial, request);
    }
    if (error != 0) {
        trial_free(trial);
        return error;
    }
    *ret_trial = trial;
    return 0;
}

void trial_cancel(struct trial *take_trial)
{
    trial_free(take_trial);
}

/* In words. Through a proxy the target is what the proxy says of it. */
static void say_why(const struct dial_result *dialled, char ret[TRIAL_WHY_MAX])
{
    switch (dialled->error) {
    case DIAL_OK: ret[0] = '\0'; break;
    case DIAL_DNS:
        snprintf(ret, TRIAL_WHY_MAX, "the name: %s", dns_error_text(dialled->dns));
        break;
    case DIAL_PROXY: snprintf(ret, TRIAL_WHY_MAX, "%s", dialled->proxy); break;
    case DIAL_TLS:
    case DIAL_TLS_TIMEOUT: snprintf(ret, TRIAL_WHY_MAX, "%s", dialled->tls.detail); break;
    default:
        snprintf(ret, TRIAL_WHY_MAX, "%s%s%s", dial_error_text(dialled->error),
                 dialled->os_error != 0 ? ": " : "",
                 dialled->os_error != 0 ? oserror_text(dialled->os_error) : "");
    }
}

static void on_dialled(void *self, const struct dial_result *dialled)
{
    struct trial *trial = self;
    trial_fn *done = trial->done;
    void *of = trial->self;
    struct trial_result result = {
        .error = dialled->error,
        .step = dialled->step,
        .dns = dialled->dns,
        .tls = dialled->tls.error,
        .os_error = dialled->os_error,
    };
    result.took_us = (uint32_t)((loop_now_ns(trial->loop) - trial->began_ns) / 1000);
    memcpy(result.step_us, dialled->step_us, sizeof result.step_us);
    say_why(dialled, result.why);
    if (dialled->take_stream != NULL) {
        stream_close(dialled->take_stream);
    }
    trial->dial = NULL;
    trial_free(trial);
    done(of, &result);
}

/* --- waiting ------------------------------------------------------------------------------------
 */

struct waiting {
    struct loop *loop;
    struct trial_result *result;
};

static void waited(void *self, const struct trial_result *result)
{
    struct waiting *waiting = self;
    *waiting->result = *result;
    loop_stop(waiting->loop);
}

int trial_run(const struct trial_request *request, struct trial_result *ret_result)
{
    struct waiting waiting = {.result = ret_result};
    struct trial *trial;
    int error = loop_new(&(struct loop_options){0}, &waiting.loop);
    if (error != 0) {
        return error;
    }
    error = trial_start(waiting.loop, request, waited, &waiting, &trial);
    if (error == 0) {
        loop_run(waiting.loop);
    }
    loop_free(waiting.loop);
    return error;
}
