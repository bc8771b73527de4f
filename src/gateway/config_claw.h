/* SPDX-License-Identifier: Apache-2.0
 *
 * config_claw.h - who we are to an upstream's OpenClaw gateways: for each account what it says
 * itself, and the upstream's where it says nothing; without accounts the upstream's alone.
 */
#pragma once
#include "gateway/config.h"

struct config_claw {
    const char *token, *password; /* of one of them; "": none */
    const char *identity;         /* a device's file; "": none */
};

/* Account: as of config_way.h. */
struct config_claw config_claw_of(const struct config_upstream *upstream, uint32_t account);
