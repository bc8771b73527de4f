/* SPDX-License-Identifier: Apache-2.0
 *
 * relay_client.c - who asks, where the configuration names clients: a request without a key of one
 * of them gets no further than its head.
 *
 * A key is shown as Authorization: Bearer, or as x-api-key. Whatever shows one goes no further; the
 * other field, if it is no key of ours, is the upstream's affair.
 */
#include "gateway/client_keys.h"
#include "gateway/relay_parts.h"
#include "io/loop.h"

static struct client_keys *keys_of(const struct transit *transit)
{
    return transit->lane->relay->opt.shared->client_keys;
}

/* RFC 6750 §2.1; what is no Bearer shows no key. */
static struct slice bearer_of(struct slice value)
{
    struct slice rest = value, scheme;
    if (!slice_word(&rest, &scheme) || !slice_is_nocase(scheme, "bearer") || rest.at == NULL) {
        return (struct slice){0};
    }
    return slice_trim(rest);
}

static struct slice key_in(const struct http_field *field)
{
    return field->id == HTTP_AUTHORIZATION ? bearer_of(field->value) : field->value;
}

/* The first that is known; *ret_has_key: something was shown. */
static uint32_t find(struct transit *transit, const struct http_head *head, bool *ret_has_key)
{
    static const enum http_field_id ids[] = {HTTP_AUTHORIZATION, HTTP_X_API_KEY};
    struct client_digester *digester = &transit->lane->relay->digester;
    uint32_t who = CLIENT_NOBODY;
    *ret_has_key = false;
    for (uint32_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        const struct http_field *field = http_find(head, ids[i]);
        struct slice key = field != NULL ? key_in(field) : (struct slice){0};
        uint32_t found = client_keys_find(keys_of(transit), digester, key);
        *ret_has_key |= key.len > 0;
        if (found != CLIENT_NOBODY) {
            transit->shown |= UINT64_C(1) << ids[i];
            who = who == CLIENT_NOBODY ? found : who;
        }
    }
    return who;
}

bool client_admit(struct transit *transit, const struct http_head *head)
{
    bool has_key;
    uint32_t who = find(transit, head, &has_key);
    if (who == CLIENT_NOBODY) {
        client_keys_count_stranger(keys_of(transit), has_key);
        transit_refuse(transit, has_key ? FAULT_KEY_WRONG : FAULT_KEY_MISSING, 0);
        return false;
    }
    transit->client_no = who + 1;
    transit->ex->is_favoured = client_priority(transit) == PRIORITY_HIGH;
    uint32_t early_ms = client_keys_pace(keys_of(transit), who,
                                         loop_turn_ns(transit->lane->relay->opt.loop));
    transit->needs_token = early_ms == CLIENT_ASKS;
    if (early_ms > 0 && !transit->needs_token) {
        transit_refuse(transit, FAULT_CLIENT_FAST, early_ms);
    }
    return early_ms == 0 || transit->needs_token;
}

/* --- places --------------------------------------------------------------------------------------
 */

/* 0: it has its place, and what its rate takes. CLIENT_ASKS: not yet; else for how long it is too
 * early. */
static uint32_t enter(struct transit *transit, bool is_due)
{
    uint32_t who = transit->client_no - 1;
    if (transit->needs_token) {
        uint32_t early_ms = client_keys_token(keys_of(transit), who,
                                              loop_now_ms(transit->lane->relay->opt.loop));
        if (early_ms != 0 && early_ms != CLIENT_ASKS) {
            return early_ms;
        }
        transit->needs_token = early_ms != 0;
        transit_heed_thirst(transit, transit->needs_token && transit->is_thirsty);
    }
    if (!transit->needs_token && !transit->has_place) {
        transit->has_place = client_keys_enter(keys_of(transit), who, is_due);
    }
    return !transit->needs_token && transit->has_place ? 0 : CLIENT_ASKS;
}

static void on_turn(struct waiter *wait, bool is_late)
{
    struct transit *transit = container_of(wait, struct transit, wait);
    uint32_t early_ms = enter(transit, true);
    bool is_full = early_ms == CLIENT_ASKS;
    if (is_full && !is_late) {
        return;
    }
    transit_leave_line(transit, is_full);
    if (early_ms == 0) {
        transit_begin(transit, held_head(&transit->held));
    } else if (is_full) {
        transit_refuse(transit, FAULT_CLIENT_BUSY, CLIENT_FULL_MS);
    } else {
        transit_refuse(transit, FAULT_CLIENT_FAST, early_ms);
    }
}

bool client_enter(struct transit *transit)
{
    struct relay *relay = transit->lane->relay;
    uint32_t who = transit->client_no - 1, early_ms = enter(transit, false);
    if (early_ms != CLIENT_ASKS) {
        if (early_ms > 0) {
            transit_refuse(transit, FAULT_CLIENT_FAST, early_ms);
        }
        return early_ms == 0;
    }
    const weir_pool_options *pool = &transit->upstream->config->pool;
    uint32_t most = pool->waiting_max == WEIR_NONE ? 0 : pool->waiting_max;
    transit_heed_thirst(transit, transit->needs_token);
    if (!client_keys_wait(keys_of(transit), who, most)) {
        transit_heed_thirst(transit, false);
        transit_refuse(transit, FAULT_CLIENT_BUSY, CLIENT_FULL_MS);
        return false;
    }
    transit->waits_for_place = true;
    transit_get_in_line(transit, &relay->client_line, on_turn);
    return false;
}

uint64_t client_hash(const struct transit *transit, const struct http_head *head)
{
    return transit->client_no != 0 ? client_keys_hash(keys_of(transit), transit->client_no - 1)
                                   : affinity_client(head);
}

const char *client_name(const struct transit *transit)
{
    return transit->client_no != 0 ? client_keys_name(keys_of(transit), transit->client_no - 1)
                                   : "";
}

enum config_priority client_priority(const struct transit *transit)
{
    return transit->client_no != 0 ? client_keys_priority(keys_of(transit), transit->client_no - 1)
                                   : PRIORITY_NORMAL;
}
