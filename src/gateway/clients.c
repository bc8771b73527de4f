/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/clients.h"

#include "base/alloc.h"
#include "base/check.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/random.h>
#include <xxhash.h>

#define SHARDS 64U
#define ROWS   (CLIENTS_MAX / SHARDS)

/* Rows form chains by hash; a row whose last request ended goes back to the free chain. */
struct row {
    uint8_t address[16];
    uint32_t open;
    uint16_t next; /* index + 1 */
};

struct shard {
    pthread_mutex_t lock;
    uint16_t buckets[ROWS]; /* index + 1 of a chain's first row */
    uint16_t free;          /* index + 1 */
    struct row rows[ROWS];
};

struct clients {
    uint64_t secret; /* addresses are the peers' choice */
    struct shard shards[SHARDS];
};

static uint16_t *find(struct shard *shard, uint32_t bucket, const uint8_t address[16]);

int clients_new(struct clients **ret_clients)
{
    struct clients *clients = alloc_zeroed(&alloc_libc, sizeof *clients);
    if (clients == NULL) {
        return -ENOMEM;
    }
    if (getrandom(&clients->secret, sizeof clients->secret, 0) < 0) {
        clients->secret = (uint64_t)(uintptr_t)clients;
    }
    for (uint32_t s = 0; s < SHARDS; s++) {
        struct shard *shard = &clients->shards[s];
        pthread_mutex_init(&shard->lock, NULL);
        for (uint32_t i = 0; i < ROWS; i++) {
            shard->rows[i].next = i + 1 < ROWS ? (uint16_t)(i + 2) : 0;
        }
        shard->free = 1;
    }
    *ret_clients = clients;
    return 0;
}

void clients_free(struct clients *take_clients)
{
    if (take_clients != NULL) {
        for (uint32_t s = 0; s < SHARDS; s++) {
            pthread_mutex_destroy(&take_clients->shards[s].lock);
        }
        alloc_free(&alloc_libc, take_clients);
    }
}

bool clients_take(struct clients *clients, const uint8_t address[16], uint32_t most,
                  uint32_t *ret_seat)
{
    uint64_t hash = XXH3_64bits_withSeed(address, 16, clients->secret);
    uint32_t s = (uint32_t)(hash >> 32) % SHARDS, bucket = (uint32_t)hash % ROWS;
    struct shard *shard = &clients->shards[s];
    bool taken = true;
    *ret_seat = 0;
    pthread_mutex_lock(&shard->lock);
    uint16_t *link = find(shard, bucket, address);
    if (*link == 0 && shard->free != 0) {
        struct row *row = &shard->rows[shard->free - 1];
        *link = shard->free;
        shard->free = row->next;
        memcpy(row->address, address, 16);
        row->open = 0;
        row->next = 0;
    }
    if (*link != 0) {
        struct row *row = &shard->rows[*link - 1];
        taken = row->open < most;
        if (taken) {
            row->open++;
            *ret_seat = s * ROWS + (*link - 1U) + 1;
        }
    }
    pthread_mutex_unlock(&shard->lock);
    return taken;
}

void clients_give(struct clients *clients, uint32_t seat)
{
    if (seat == 0) {
        return;
    }
    struct shard *shard = &clients->shards[(seat - 1) / ROWS];
    pthread_mutex_lock(&shard->lock);
    struct row *row = &shard->rows[(seat - 1) % ROWS];
    check(row->open > 0);
    if (--row->open == 0) {
        uint64_t hash = XXH3_64bits_withSeed(row->address, 16, clients->secret);
        uint16_t *link = find(shard, (uint32_t)hash % ROWS, row->address);
        uint16_t index = *link;
        *link = row->next;
        row->next = shard->free;
        shard->free = index;
    }
    pthread_mutex_unlock(&shard->lock);
}

/* The link that leads to the address's row, or the end of its chain. */
static uint16_t *find(struct shard *shard, uint32_t bucket, const uint8_t address[16])
{
    uint16_t *link = &shard->buckets[bucket];
    while (*link != 0 && memcmp(shard->rows[*link - 1].address, address, 16) != 0) {
        link = &shard->rows[*link - 1].next;
    }
    return link;
}
