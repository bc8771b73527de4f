/* SPDX-License-Identifier: Apache-2.0 */
#include "connector/registry.h"

#include <pthread.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct list all = {.head = {&all.head, &all.head, &all}};
static uint32_t serials;

void registry_add(struct registered *registered)
{
    pthread_mutex_lock(&mutex);
    serials += serials == UINT32_MAX;
    registered->serial = ++serials;
    registered->users = 1;
    list_push_back(&all, &registered->node);
    pthread_mutex_unlock(&mutex);
}

void registry_remove(struct registered *registered)
{
    pthread_mutex_lock(&mutex);
    list_remove(&all, &registered->node);
    pthread_mutex_unlock(&mutex);
}

struct registered *registry_find(uint32_t serial)
{
    struct registered *found = NULL;
    pthread_mutex_lock(&mutex);
    weir_list_each(it, &all) {
        struct registered *registered = list_entry(it, struct registered, node);
        if (registered->serial == serial) {
            found = registered;
            found->users++;
        }
    }
    pthread_mutex_unlock(&mutex);
    return found;
}

void registered_use(struct registered *registered)
{
    pthread_mutex_lock(&mutex);
    registered->users++;
    pthread_mutex_unlock(&mutex);
}

bool registered_disuse(struct registered *registered)
{
    pthread_mutex_lock(&mutex);
    bool is_last = --registered->users == 0;
    pthread_mutex_unlock(&mutex);
    return is_last;
}
