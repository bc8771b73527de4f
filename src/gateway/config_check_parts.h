/* SPDX-License-Identifier: Apache-2.0
 *
 * config_check_parts.h - what config_check.c (the order of the checks, and what is short),
 * config_check_tls.c, config_check_upstream.c and config_check_route.c share; nobody else
 * includes it.
 */
#pragma once
#include "gateway/config_check.h"

/* One run of the checks. */
struct check {
    struct config *config;
    const struct config_places *places;
    struct config_faults *faults;
    bool opens_files;
};

#define AT(c, field)      config_places_of((c)->places, &(field))
#define WRITTEN(c, field) config_places_has((c)->places, &(field))

/* Or nothing at all. */
bool config_check_is_url(const struct check *c, const char *text);

void config_check_listener_tls(const struct check *c, const struct config_listener *l);
void config_check_upstream_tls(const struct check *c, const struct config_upstream *u);
void config_check_proxy_tls(const struct check *c, const struct config_upstream *u);
void config_check_upstreams(const struct check *c);
void config_check_routes(const struct check *c, struct config_listener *listener);

static inline uint32_t config_check_zero_of(uint32_t number)
{
    return number == WEIR_NONE ? 0 : number;
}
