/* SPDX-License-Identifier: Apache-2.0
 *
 * probe.c - one dial, as a connector would do it, and the loop around it.
 */
#include "gateway/probe.h"

#include "connector/dial.h"
#include "gateway/resolver.h"
#include "io/oserror.h"

#include <stdio.h>
#include <string.h>

struct probe {
    struct loop *loop;
    uint64_t began_ns;
    struct probe_result *result;
};

static void on_dialled(void *self, const struct dial_result *dialled)
{
    struct probe *probe = self;
    probe->result->connected = dialled->error == DIAL_OK;
    probe->result->took_us = (uint32_t)((loop_now_ns(probe->loop) - probe->began_ns) / 1000);
    if (dialled->take_stream != NULL)
        stream_close(dialled->take_stream);
    else if (dialled->error == DIAL_DNS)
        snprintf(probe->result->why, sizeof(probe->result->why), "the name: %s",
                 dns_error_text(dialled->dns));
    else if (dialled->error == DIAL_PROXY)
        snprintf(probe->result->why, sizeof(probe->result->why), "%s", dialled->proxy);
    else
        snprintf(probe->result->why, sizeof(probe->result->why), "%s%s%s",
                 dial_error_text(dialled->error), dialled->os_error != 0 ? ": " : "",
                 dialled->os_error != 0 ? oserror_text(dialled->os_error) : "");
    loop_stop(probe->loop);
}

void probe_endpoint(const struct config *config, const struct config_endpoint *endpoint,
                    const struct config_upstream *upstream, struct probe_result *ret)
{
    struct probe probe = {.result = ret};
    struct dns *dns = NULL;
    struct dial *dial;
    struct dial_request request = {.host = endpoint->host,
                                   .port = endpoint->port,
                                   .proxy = upstream->proxy,
                                   .timeout_ms = upstream->pool.connect_timeout_ms};
    *ret = (struct probe_result){.why = "no memory"};
    if (loop_new(&(struct loop_options){0}, &probe.loop) != 0)
        return;
    if (resolver_open(config, probe.loop, &dns) == 0) {
        probe.began_ns = loop_now_ns(probe.loop);
        if (dial_start(probe.loop, dns, &request, on_dialled, &probe, &dial) == 0)
            loop_run(probe.loop);
        dns_close(dns);
    }
    loop_free(probe.loop);
}
