/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/metrics_accounts.h"

#include "gateway/accounts.h"
#include "gateway/relay.h"
#include "gateway/server.h"
#include "io/clock.h"

#include <stdio.h>
#include <string.h>

#define LABELS(...) ((const struct prom_label[]){__VA_ARGS__, {NULL, NULL}})

/* What one family says of one account. */
typedef void write_fn(struct prom *prom, const char *upstream, const struct accounts_info *info);

static void write_open(struct prom *prom, const char *upstream, const struct accounts_info *info)
{
    prom_u64(prom, LABELS({"upstream", upstream}, {"account", info->config->name}), info->open);
}

static void write_answers(struct prom *prom, const char *upstream, const struct accounts_info *info)
{
    for (unsigned code = 0; code < ACCOUNTS_CODES; code++) {
        char text[8];
        if (info->by_code[code] == 0) {
            continue;
        }
        snprintf(text, sizeof text, "%u", code);
        prom_u64(prom,
                 LABELS({"upstream", upstream}, {"account", info->config->name}, {"code", text}),
                 info->by_code[code]);
    }
}

static void write_left(struct prom *prom, const char *upstream, const struct accounts_info *info)
{
    enum cooldown_reason reason;
    uint64_t left_ms = cooldown_left(&info->cooldown, (struct slice){"", 0}, clock_now_ms(),
                                     &reason);
    prom_double(prom, LABELS({"upstream", upstream}, {"account", info->config->name}),
                (double)left_ms / 1000);
}

static void write_cooldowns(struct prom *prom, const char *upstream,
                            const struct accounts_info *info)
{
    for (unsigned reason = COOLDOWN_NONE + 1; reason < COOLDOWN_REASONS; reason++) {
        prom_u64(prom,
                 LABELS({"upstream", upstream}, {"account", info->config->name},
                        {"reason", cooldown_word(reason)}),
                 info->cooldowns[reason]);
    }
}

static void write_given_up(struct prom *prom, const char *upstream,
                           const struct accounts_info *info)
{
    prom_u64(prom, LABELS({"upstream", upstream}, {"account", info->config->name}), info->given_up);
}

static void write_tokens(struct prom *prom, const char *upstream, const struct accounts_info *info,
                         enum ai_tokens kind)
{
    prom_u64(prom, LABELS({"upstream", upstream}, {"account", info->config->name}),
             info->tokens[kind]);
}

static void write_input(struct prom *prom, const char *upstream, const struct accounts_info *info)
{
    write_tokens(prom, upstream, info, AI_TOKENS_INPUT);
}

static void write_output(struct prom *prom, const char *upstream, const struct accounts_info *info)
{
    write_tokens(prom, upstream, info, AI_TOKENS_OUTPUT);
}

static void write_cache_read(struct prom *prom, const char *upstream,
                             const struct accounts_info *info)
{
    write_tokens(prom, upstream, info, AI_TOKENS_CACHE_READ);
}

static void write_cache_write(struct prom *prom, const char *upstream,
                              const struct accounts_info *info)
{
    write_tokens(prom, upstream, info, AI_TOKENS_CACHE_WRITE);
}

static void write_unread(struct prom *prom, const char *upstream, const struct accounts_info *info)
{
    prom_u64(prom, LABELS({"upstream", upstream}, {"account", info->config->name}), info->unread);
}

static const struct {
    const char *name, *help;
    enum prom_type type;
    write_fn *write;
} families[] = {
    {"weir_account_in_flight", "Requests open as an account.", PROM_GAUGE, write_open},
    {"weir_account_cooldown_seconds", "How long an account still cools down, for all models.",
     PROM_GAUGE, write_left},
    {"weir_account_answers_total", "Answers to requests as an account.", PROM_COUNTER,
     write_answers},
    {"weir_account_cooldowns_total", "Cooldowns that an answer began or made longer.", PROM_COUNTER,
     write_cooldowns},
    {"weir_account_given_up_total", "Requests that went on as another account.", PROM_COUNTER,
     write_given_up},
    {"weir_account_input_tokens_total",
     "Tokens of requests that answers say were read, without those of a cache.", PROM_COUNTER,
     write_input},
    {"weir_account_output_tokens_total", "Tokens that answers say were written.", PROM_COUNTER,
     write_output},
    {"weir_account_cache_read_tokens_total", "Tokens of requests that answers say came of a cache.",
     PROM_COUNTER, write_cache_read},
    {"weir_account_cache_write_tokens_total",
     "Tokens of requests that answers say were put into a cache.", PROM_COUNTER, write_cache_write},
    {"weir_account_unread_answers_total",
     "Answers whose tokens are not counted because they are compressed.", PROM_COUNTER,
     write_unread},
};

void metrics_accounts_write(const struct server *server, struct prom *prom)
{
    const struct config *config = server->config;
    struct accounts_info info;
    for (size_t f = 0; f < sizeof families / sizeof families[0]; f++) {
        prom_family(prom, families[f].name, families[f].type, families[f].help);
        for (uint32_t u = 0; u < config->upstreams.count; u++) {
            for (uint32_t i = 0; i < config->upstreams.at[u].accounts.count; i++) {
                accounts_info_of(relay_shared_accounts(server->shared, u), i, &info);
                families[f].write(prom, config->upstreams.at[u].name, &info);
            }
        }
    }
    prom_family(prom, "weir_accounts_waiting", PROM_GAUGE,
                "Requests that wait because every account is full.");
    for (uint32_t u = 0; u < config->upstreams.count; u++) {
        if (config->upstreams.at[u].accounts.count > 0) {
            prom_u64(prom, LABELS({"upstream", config->upstreams.at[u].name}),
                     accounts_waiting(relay_shared_accounts(server->shared, u)));
        }
    }
}
