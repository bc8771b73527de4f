/* SPDX-License-Identifier: Apache-2.0
 *
 * probe.h - whether an endpoint can be connected to, found out by connecting. Blocking, with a loop
 * of its own: for `weir check --probe`.
 */
#pragma once
#include "gateway/config.h"

struct probe_result {
    bool connected;
    uint32_t took_us;
    char why[128]; /* when it was not */
};

void probe_endpoint(const struct config *config, const struct config_endpoint *endpoint,
                    const struct config_upstream *upstream, struct probe_result *ret);
