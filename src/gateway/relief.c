/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/relief.h"

#include "gateway/generation.h"
#include "gateway/hold.h"
#include "gateway/inlet.h"
#include "gateway/pressure.h"
#include "gateway/relay.h"
#include "gateway/server.h"
#include "io/clock.h"
#include "io/socket.h"
#include "listener/accept.h"
#include "listener/idlers.h"
#include "runtime/worker.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#define LOOK_MS       100U
#define RECOUNT_MS    5000U /* of descriptors that are no sockets */
#define TRIM_MS       1000U /* between two times that free memory is given back to the system */
/* Those that are closed may have descriptors for so long: the last word of HTTP/2 lingers. */
#define SETTLE_MS     2000U
#define HOLD_PART     4U
#define MEMORY_PART   16U  /* of all clients close at a look, where memory is short */
#define LAST_PERMILLE 990U /* of anything is for nobody, whatever his priority, */
#define LAST_LEAST    2U   /* and of descriptors so many, at least, */
#define LAST_MOST     8U   /* and at most, for the admin's clients alone */

struct relief {
    struct server *server;
    struct loop_timer timer;
    struct pressure pressure;
    struct overload overload;
    uint64_t generation; /* that is told; a new one is told anew */
    bool favours;        /* some client of it has priority high */
    bool has_told;       /* workers know the level */
    uint64_t recount_ms, trim_ms;
    uint64_t settled_ms; /* until then what was closed last may still count */
    uint64_t settles_at; /* unless no more descriptors than these are in use */
};

static void tell_ports(const struct relief *relief);
static void on_timer(struct loop_timer *timer, uint64_t now_ms);

/* --- life ----------------------------------------------------------------------------------------
 */

static bool has_favourites(const struct config *config)
{
    for (uint32_t i = 0; i < config->clients.count; i++)
        if (config->clients.at[i].priority == PRIORITY_HIGH)
            return true;
    return false;
}

/* Nobody has told its listeners anything. */
static void meet_generation(struct relief *relief)
{
    const struct server *server = relief->server;
    if (relief->generation == server->generation->number)
        return;
    relief->generation = server->generation->number;
    relief->favours = has_favourites(server->config);
    relief->has_told = relief->overload.level == OVERLOAD_CALM;
}

void relief_obey(struct relief *relief)
{
    const struct config *config = relief->server->config;
    relief->favours = has_favourites(config);
    pressure_limit(&relief->pressure, config->overload.descriptors, config->overload.memory);
}

int relief_open(struct server *server, struct relief **ret_relief)
{
    const struct pressure_options opt = {.root = "",
                                         .descriptors = server->config->overload.descriptors,
                                         .memory = server->config->overload.memory};
    struct relief *relief = calloc(1, sizeof(*relief));
    if (relief == NULL)
        return -ENOMEM;
    relief->server = server;
    relief->timer.fire = on_timer;
    pressure_init(&relief->pressure, &opt);
    meet_generation(relief);
    tell_ports(relief); /* clients may come before the first look */
    loop_timer_set(server->opt.loop, &relief->timer, clock_now_ms() + LOOK_MS);
    *ret_relief = relief;
    return 0;
}

void relief_close(struct relief *take_relief)
{
    if (take_relief == NULL)
        return;
    loop_timer_stop(take_relief->server->opt.loop, &take_relief->timer);
    free(take_relief);
}

/* --- what workers do -----------------------------------------------------------------------------
 */

static void site_shortens(void *self, uint64_t is_short)
{
    const struct site *site = self;
    weir_list_each(it, &site->parts) {
        const struct generation_part *part = list_entry(it, struct generation_part, on_site);
        for (uint32_t l = 0; l < part->generation->config->listeners.count; l++)
            if (part->inlets[l] != NULL)
                inlet_shorten(part->inlets[l], is_short != 0);
    }
}

/* Of all its listeners. */
static void site_evicts(void *self, uint64_t most)
{
    const struct site *site = self;
    struct idlers idlers;
    idlers_init(&idlers, most < IDLERS_MAX ? (uint32_t)most : IDLERS_MAX);
    weir_list_each(it, &site->parts) {
        const struct generation_part *part = list_entry(it, struct generation_part, on_site);
        for (uint32_t l = 0; l < part->generation->config->listeners.count; l++)
            if (part->inlets[l] != NULL)
                inlet_offer_idle(part->inlets[l], &idlers);
    }
    idlers_close(&idlers);
}

/* --- what is given up ----------------------------------------------------------------------------
 */

/* A worker whose way is full is told at the next look. */
static void tell_workers(struct relief *relief)
{
    struct server *server = relief->server;
    bool is_short = relief->overload.level >= OVERLOAD_SHORTEN;
    relief->has_told = true;
    for (uint32_t i = 0; i < server->sites_count; i++)
        relief->has_told &= worker_post(server->sites[i].worker, site_shortens, &server->sites[i],
                                        is_short);
}

static uint32_t sockets_most(const struct relief *relief)
{
    uint64_t all = relief->pressure.descriptors_most, others = relief->pressure.others;
    uint64_t most = relief->favours ? all * LAST_PERMILLE / 1000 : overload_refuses_at(all);
    return most > others ? (uint32_t)(most - others) : 0;
}

static enum relay_strain strain_of(const struct relief *relief)
{
    if (relief->overload.share[OVERLOAD_MEMORY] >= LAST_PERMILLE)
        return RELAY_SPENT;
    return relief->overload.level == OVERLOAD_REFUSE && relief->favours ? RELAY_NO_NEWCOMERS
                                                                        : RELAY_AT_EASE;
}

/* Bodies are kept where there is room for them: at most in a quarter of all, and in none of what is
 * left when little is. They pass all the same. */
static uint64_t hold_most(const struct relief *relief)
{
    uint64_t most = relief->pressure.use[OVERLOAD_MEMORY].most / HOLD_PART;
    if (relief->overload.share[OVERLOAD_MEMORY] >= overload_begins(OVERLOAD_SHORTEN))
        return 0;
    return most > 0 && most < HOLD_STOCK_BYTES ? most : HOLD_STOCK_BYTES;
}

/* The last few are for the admin's clients. */
static uint32_t connects_most(const struct relief *relief)
{
    uint64_t all = relief->pressure.descriptors_most;
    uint64_t last = all * (1000 - LAST_PERMILLE) / 1000;
    last = last < LAST_LEAST ? LAST_LEAST : last > LAST_MOST ? LAST_MOST : last;
    uint64_t kept = relief->pressure.others + last;
    return all > kept ? (uint32_t)(all - kept) : 0;
}

static void tell_ports(const struct relief *relief)
{
    const struct overload *overload = &relief->overload;
    const struct server *server = relief->server;
    bool refuses = overload->level == OVERLOAD_REFUSE;
    bool is_shut = refuses
                   && (!relief->favours || overload->share[overload->scarcest] >= LAST_PERMILLE);
    relay_shared_strain(server->shared, strain_of(relief), hold_most(relief));
    socket_connect_below(connects_most(relief));
    for (uint32_t l = 0; l < server->config->listeners.count; l++)
        accept_port_shorten(server->generation->ports[l], is_shut, sockets_most(relief));
}

static uint64_t clients_of(const struct server *server)
{
    uint64_t clients = 0;
    for (uint32_t l = 0; l < server->config->listeners.count; l++)
        clients += accept_port_taken(server->generation->ports[l]);
    return clients;
}

static void evict(struct relief *relief, uint64_t now_ms)
{
    const struct server *server = relief->server;
    const struct overload_use *descriptors = &relief->pressure.use[OVERLOAD_DESCRIPTORS];
    uint64_t most = overload_excess(descriptors);
    if (now_ms < relief->settled_ms && descriptors->used > relief->settles_at)
        return;
    if (relief->overload.share[OVERLOAD_MEMORY] >= overload_begins(OVERLOAD_EVICT)) {
        uint64_t part = clients_of(server) / MEMORY_PART + 1;
        most = most > part ? most : part;
    }
    if (most == 0)
        return;
    relief->settled_ms = now_ms + SETTLE_MS;
    relief->settles_at = descriptors->used > most ? descriptors->used - most : 0;
    for (uint32_t i = 0; i < server->sites_count; i++)
        worker_post(server->sites[i].worker, site_evicts, &server->sites[i],
                    (most + server->sites_count - 1) / server->sites_count);
}

/* What was freed is the allocator's until it is given back. */
static void trim(struct relief *relief, uint64_t now_ms)
{
    if (relief->overload.share[OVERLOAD_MEMORY] < overload_begins(OVERLOAD_SHORTEN)
        || now_ms < relief->trim_ms)
        return;
    relief->trim_ms = now_ms + TRIM_MS;
    malloc_trim(0);
}

/* --- a look --------------------------------------------------------------------------------------
 */

void relief_print(const struct relief *relief, char ret_text[RELIEF_TEXT])
{
    const struct overload *overload = &relief->overload;
    uint32_t share = overload->share[overload->scarcest];
    snprintf(ret_text, RELIEF_TEXT, "%s at %u.%u %%: %s",
             overload_resource_word(overload->scarcest), share / 10, share % 10,
             overload_text(overload->level));
}

static void tell(const struct relief *relief)
{
    char why[RELIEF_TEXT];
    bool is_over = relief->overload.level == OVERLOAD_CALM;
    relief_print(relief, why);
    server_tell(relief->server, is_over ? LOG_INFO_LEVEL : LOG_WARN_LEVEL,
                &(struct told_event){.event = is_over ? "overload_over" : "overload",
                                     .what = overload_word(relief->overload.level),
                                     .why = why});
}

static void on_timer(struct loop_timer *timer, uint64_t now_ms)
{
    struct relief *relief = container_of(timer, struct relief, timer);
    loop_timer_set(relief->server->opt.loop, timer, now_ms + LOOK_MS);
    if (now_ms >= relief->recount_ms) {
        relief->recount_ms = now_ms + RECOUNT_MS;
        pressure_recount(&relief->pressure);
    }
    pressure_look(&relief->pressure);
    if (overload_look(&relief->overload, relief->pressure.use, now_ms)) {
        tell(relief);
        relief->has_told = false;
    }
    meet_generation(relief);
    if (!relief->has_told)
        tell_workers(relief);
    tell_ports(relief);
    if (relief->overload.level >= OVERLOAD_EVICT)
        evict(relief, now_ms);
    trim(relief, now_ms);
}

void relief_info_of(const struct relief *relief, struct relief_info *ret_info)
{
    ret_info->overload = relief->overload;
    for (unsigned i = 0; i < OVERLOAD_RESOURCES; i++)
        ret_info->use[i] = relief->pressure.use[i];
}
