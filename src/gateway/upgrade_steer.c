/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/upgrade_steer.h"

#include "gateway/accounts.h"
#include "gateway/relay.h"
#include "gateway/server.h"
#include "gateway/steer.h"
#include "io/clock.h"

#include <stdio.h>

#define TEXT_MAX 600U

static void text_of(const struct config_upstream *upstream, uint32_t endpoint,
                    char ret_text[static TEXT_MAX])
{
    snprintf(ret_text, TEXT_MAX, "%s %s", upstream->name, upstream->endpoints.at[endpoint].name);
}

void upgrade_steer_each(const struct server *server,
                        void (*fn)(void *self, uint32_t mode, const char *text), void *self)
{
    char text[TEXT_MAX];
    for (uint32_t u = 0; u < server->config->upstreams.count; u++) {
        const struct config_upstream *upstream = &server->config->upstreams.at[u];
        const struct steer *steer = relay_shared_steer(server->shared, u);
        if (steer_is_paused(steer))
            fn(self, UPGRADE_STEER_PAUSED, upstream->name);
        for (uint32_t e = 0; e < upstream->endpoints.count; e++)
            if (steer_mode(steer, e) != STEER_READY) {
                text_of(upstream, e, text);
                fn(self, steer_mode(steer, e), text);
            }
    }
}

bool upgrade_steer_apply(struct server *server, uint32_t mode, struct slice text)
{
    char own[TEXT_MAX];
    bool is_applied = false;
    for (uint32_t u = 0; u < server->config->upstreams.count; u++) {
        const struct config_upstream *upstream = &server->config->upstreams.at[u];
        struct steer *steer = relay_shared_steer(server->shared, u);
        if (mode == UPGRADE_STEER_PAUSED && slice_is(text, upstream->name)) {
            steer_set_paused(steer, true);
            is_applied = true;
        }
        for (uint32_t e = 0; mode < STEER_MODES_COUNT && e < upstream->endpoints.count; e++) {
            text_of(upstream, e, own);
            if (!slice_is(text, own))
                continue;
            steer_set_mode(steer, e, (enum steer_mode)mode);
            is_applied = true;
        }
    }
    return is_applied;
}

/* --- accounts ------------------------------------------------------------------------------------
 */

static void account_text(const struct config_upstream *upstream, uint32_t account,
                         struct slice family, char ret_text[static TEXT_MAX])
{
    snprintf(ret_text, TEXT_MAX, "%s %s %.*s", upstream->name, upstream->accounts.at[account].name,
             SLICE_ARG(family));
}

void upgrade_cooling_each(const struct server *server,
                          void (*fn)(void *self, uint32_t reason, uint64_t until_ms,
                                     const char *text),
                          void *self)
{
    char text[TEXT_MAX];
    uint64_t now_ms = clock_now_ms();
    for (uint32_t u = 0; u < server->config->upstreams.count; u++) {
        const struct config_upstream *upstream = &server->config->upstreams.at[u];
        for (uint32_t a = 0; a < upstream->accounts.count; a++) {
            struct accounts_info info;
            accounts_info_of(relay_shared_accounts(server->shared, u), a, &info);
            for (uint32_t i = 0; i <= COOLDOWN_FAMILIES_MAX; i++) {
                const struct cooldown_term *term = i == 0 ? &info.cooldown.all
                                                          : &info.cooldown.families[i - 1];
                if (term->until_ms <= now_ms)
                    continue;
                account_text(upstream, a, (struct slice){term->family, term->family_len}, text);
                fn(self, term->reason, term->until_ms, text);
            }
        }
    }
}

bool upgrade_cooling_apply(struct server *server, uint32_t reason, uint64_t until_ms,
                           struct slice text)
{
    char own[TEXT_MAX];
    if (reason == COOLDOWN_NONE || reason >= COOLDOWN_REASONS)
        return false;
    for (uint32_t u = 0; u < server->config->upstreams.count; u++) {
        const struct config_upstream *upstream = &server->config->upstreams.at[u];
        for (uint32_t a = 0; a < upstream->accounts.count; a++) {
            account_text(upstream, a, SLICE(""), own);
            struct slice prefix = slice_of(own);
            if (!slice_starts(text, prefix))
                continue;
            accounts_cool(relay_shared_accounts(server->shared, u), a,
                          slice_sub(text, prefix.len, text.len), (enum cooldown_reason)reason,
                          until_ms, clock_now_ms());
            return true;
        }
    }
    return false;
}
