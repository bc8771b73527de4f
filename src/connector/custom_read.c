/* SPDX-License-Identifier: Apache-2.0
 *
 * custom_read.c - what a connection's record says, and what a factory did.
 */
#include "connector/custom_parts.h"

void *custom_object(const void *made)
{
    return ((const struct made *)made)->object;
}

weir_conn custom_conn(const void *made)
{
    return ((const struct made *)made)->conn;
}

uint32_t custom_slot(const void *made)
{
    return ((const struct made *)made)->slot;
}

const weir_key *custom_key(const void *made)
{
    return &((const struct made *)made)->key.view;
}

const char *custom_scheme(const void *made)
{
    return ((const struct made *)made)->custom->scheme;
}

uint32_t custom_number(const void *made)
{
    return ((const struct made *)made)->number;
}

uint32_t custom_leases_max(const struct custom *custom)
{
    return custom->factory.leases_max;
}

bool custom_has_usable(const struct custom *custom)
{
    return custom->factory.usable != NULL;
}

uint32_t custom_records(uint32_t conns_max)
{
    return conns_max + OFFLOAD_LOST_MAX;
}

bool custom_lease(void *made)
{
    return ((struct made *)made)->leases++ > 0;
}

bool custom_is_same(const struct custom *custom, const weir_factory *factory, void *factory_self)
{
    const weir_factory *own = &custom->factory;
    return custom->self == factory_self && own->create == factory->create
           && own->validate == factory->validate && own->destroy == factory->destroy
           && own->cancel == factory->cancel && own->cut == factory->cut
           && own->usable == factory->usable && own->threads_max == factory->threads_max
           && own->contain_crashes == factory->contain_crashes;
}

void custom_stats(struct custom *custom, weir_factory_stats *ret_stats)
{
    weir_factory_stats stats = {
        .size = sizeof stats,
        .creating = custom->by_state[MADE_CREATING].count + custom->by_state[MADE_WITHDRAWN].count,
        .validating = custom->by_state[MADE_VALIDATING].count,
        .destroying = custom->by_state[MADE_ENDING].count,
        .created = custom->created,
        .failed = custom->failed,
        .destroyed = custom->destroyed,
    };
    memcpy(stats.faults, custom->faults, sizeof stats.faults);
    if (custom->offload != NULL) {
        struct offload_count count = offload_count(custom->offload);
        stats.threads = count.threads;
        stats.threads_busy = count.busy;
        stats.threads_lost = count.lost;
    }
    *ret_stats = stats;
}

const char *weir_factory_fault_word(weir_factory_fault fault)
{
    static const char *const words[WEIR_FAULTS] = {"late", "twice", "stuck", "undestroyed",
                                                   "crashed"};
    return (unsigned)fault < WEIR_FAULTS ? words[fault] : "unknown";
}
