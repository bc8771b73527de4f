/* SPDX-License-Identifier: Apache-2.0
 *
 * weir_proxy_test(): a trial of the connectors, on a loop of its own.
 */
#include "client/http.h"
#include "client/options.h"
#include "connector/dial.h"
#include "connector/trial.h"
#include "connector/tunnel.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* The field that is wrong, or NULL. */
static const char *fault_of(const weir_proxy_way *way)
{
    struct proxy proxy;
    if (way->size > sizeof *way) {
        return "size";
    }
    if (way->host == NULL || way->host[0] == '\0') {
        return "host";
    }
    if (way->port == 0) {
        return "port";
    }
    bool has_proxy = way->proxy != NULL && way->proxy[0] != '\0';
    return has_proxy && !proxy_parse(slice_of(way->proxy), &proxy) ? "proxy" : NULL;
}

static weir_err read_profiles(const weir_proxy_way *way, struct trial_request *request)
{
    const char *field;
    if (way->secure == WEIR_ON
        && options_tls_profile(&way->tls, OPTIONS_TLS, TLS_OFFER_HTTP1 | TLS_OFFER_H2,
                               &request->tls, &field)
               != 0) {
        return ground_fault(WEIR_EINVAL, "tls");
    }
    if (request->proxy != NULL && proxy_is_https(slice_of(request->proxy))
        && options_tls_profile(&way->proxy_tls, OPTIONS_PROXY_TLS, TLS_OFFER_HTTP1,
                               &request->proxy_tls, &field)
               != 0) {
        return ground_fault(WEIR_EINVAL, "proxy_tls");
    }
    return WEIR_OK;
}

static void report(const struct trial_result *result, weir_proxy_report *ret_report)
{
    const struct dial_result dialled = {
        .error = result->error,
        .tls = {.error = result->tls},
        .os_error = result->os_error,
    };
    const uint32_t *step_us = result->step_us;
    *ret_report = (weir_proxy_report){
        .size = sizeof *ret_report,
        .err = http_err_of_dial(&dialled),
        .step = dial_step_text(result->step),
        .total_us = result->took_us,
        .resolve_us = step_us[DIAL_RESOLVING],
        .connect_us = step_us[DIAL_CONNECTING],
        .proxy_tls_us = step_us[DIAL_GREETING],
        .proxy_us = step_us[DIAL_PASSING],
        .tls_us = step_us[DIAL_SECURING],
    };
    snprintf(ret_report->why, sizeof ret_report->why, "%s", result->why);
}

weir_err weir_proxy_test(const weir_proxy_way *way, weir_proxy_report *ret_report)
{
    struct trial_result result;
    weir_proxy_way mine = {0};
    *ret_report = (weir_proxy_report){.size = sizeof *ret_report};
    memcpy(&mine, way, way->size != 0 && way->size < sizeof mine ? way->size : sizeof mine);
    const char *fault = fault_of(&mine);
    if (fault != NULL) {
        return ground_fault(WEIR_EINVAL, fault);
    }
    struct trial_request request = {
        .host = mine.host,
        .port = mine.port,
        .proxy = mine.proxy != NULL && mine.proxy[0] != '\0' ? mine.proxy : NULL,
        .timeout_ms = mine.timeout_ms,
        .tls_timeout_ms = mine.tls_timeout_ms,
    };
    weir_err err = read_profiles(&mine, &request);
    if (err == WEIR_OK) {
        int error = trial_run(&request, &result);
        err = error == 0         ? WEIR_OK
              : error == -EINVAL ? ground_fault(WEIR_EINVAL, "host")
                                 : WEIR_ENOMEM;
    }
    tls_profile_free(request.tls);
    tls_profile_free(request.proxy_tls);
    if (err != WEIR_OK) {
        return err;
    }
    report(&result, ret_report);
    return ret_report->err;
}
