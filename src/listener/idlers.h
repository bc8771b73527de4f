/* SPDX-License-Identifier: Apache-2.0
 *
 * idlers.h - which idle clients close where some have to: those that have been idle for longest,
 * whatever their listener and protocol; those who are favoured after all others.
 *
 * A choice of a fixed size that is made in one pass: each is offered once, and those that are left
 * in it at the end are the ones. No memory but its own.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#define IDLERS_MAX 256U

struct idler {
    uint64_t idle_ms; /* for so long */
    bool is_favoured;
    void (*close)(void *client);
    void *client; /* stays what it is until idlers_close() */
};

struct idlers {
    uint32_t most, count; /* that are chosen; of them here */
    uint64_t offered;
    struct idler at[IDLERS_MAX]; /* a heap: the one that would go last is the first */
};

/* `most` beyond IDLERS_MAX is IDLERS_MAX. */
void idlers_init(struct idlers *idlers, uint32_t most);
void idlers_offer(struct idlers *idlers, const struct idler *idler);
/* Closes those that are chosen; how many. */
uint32_t idlers_close(struct idlers *idlers);
