/* SPDX-License-Identifier: Apache-2.0 */
#include "connector/openclaw_door.h"

#include "base/check.h"
#include "base/rand.h"

#include <pthread.h>
#include <stddef.h>
#include <string.h>

#define BUCKETS 256U

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct claw_door *buckets[BUCKETS];

static uint32_t hash_of(const char *name)
{
    uint64_t hash = 0;
    for (; *name != '\0'; name++) {
        hash = rand_mix(hash ^ (unsigned char)*name);
    }
    return (uint32_t)hash;
}

void claw_door_open(struct claw_door *door, const char *name)
{
    *door = (struct claw_door){.name = name, .hash = hash_of(name)};
    struct claw_door **bucket = &buckets[door->hash % BUCKETS];
    pthread_mutex_lock(&mutex);
    door->next = *bucket;
    *bucket = door;
    pthread_mutex_unlock(&mutex);
}

void claw_door_close(struct claw_door *door)
{
    check(door->busy == 0);
    pthread_mutex_lock(&mutex);
    struct claw_door **at = &buckets[door->hash % BUCKETS];
    while (*at != door) {
        check(*at != NULL);
        at = &(*at)->next;
    }
    *at = door->next;
    pthread_mutex_unlock(&mutex);
}

static uint32_t busy_at(const struct claw_door *door)
{
    uint32_t busy = 0;
    for (const struct claw_door *it = buckets[door->hash % BUCKETS]; it != NULL; it = it->next) {
        if (it->hash == door->hash && strcmp(it->name, door->name) == 0) {
            busy += it->busy;
        }
    }
    return busy;
}

bool claw_door_enter(struct claw_door *door, uint32_t most)
{
    pthread_mutex_lock(&mutex);
    bool enters = busy_at(door) < most;
    door->busy += enters;
    pthread_mutex_unlock(&mutex);
    return enters;
}

void claw_door_leave(struct claw_door *door)
{
    pthread_mutex_lock(&mutex);
    check(door->busy > 0);
    door->busy--;
    pthread_mutex_unlock(&mutex);
}
