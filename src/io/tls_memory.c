/* SPDX-License-Identifier: Apache-2.0
 *
 * What servers gave us to resume with: a few tickets for each place, newest first. A ticket of TLS
 * 1.3 is used once (RFC 8446 §C.4); a session of TLS 1.2 as long as it lasts. A place is
 * somebody's: by a ticket a server knows who comes again, whatever address he comes from then.
 *
 * An origin that no connection uses stays for its tickets, and is the first to go when there are
 * too many. All of it belongs to one loop's thread.
 */
#include "base/list.h"
#include "base/map.h"
#include "io/tls_parts.h"

#include <string.h>
#include <xxhash.h>

#define ORIGINS_MAX 1024U /* with their tickets, of one profile on one loop */
#define TICKETS_MAX 4U    /* of one origin */

struct tls_memory {
    struct map by_name;
    struct list unused;            /* origins that only wait, the longest first */
    const struct tls_contexts *by; /* whose tickets they are */
};

struct tls_origin {
    struct tls_memory *memory; /* NULL: it is gone */
    struct node on_unused;
    uint64_t hash;
    uint32_t users;
    uint32_t count;
    SSL_SESSION *tickets[TICKETS_MAX];
    uint16_t port;
    const char *whose; /* behind the host */
    char host[];
};

struct tls_memory *tls_memory_new(void)
{
    struct tls_memory *memory = alloc_zeroed(&alloc_libc, sizeof *memory);
    if (memory == NULL) {
        return NULL;
    }
    if (!map_init(&memory->by_name, &alloc_libc, ORIGINS_MAX)) {
        alloc_free(&alloc_libc, memory);
        return NULL;
    }
    list_init(&memory->unused);
    return memory;
}

static void origin_forget(struct tls_origin *origin)
{
    while (origin->count > 0) {
        SSL_SESSION_free(origin->tickets[--origin->count]);
    }
}

/* Out of the memory, and freed unless a connection still holds it. */
static void origin_drop(struct tls_origin *origin)
{
    origin_forget(origin);
    list_leave(&origin->on_unused);
    map_remove(&origin->memory->by_name, origin->hash, origin);
    origin->memory = NULL;
    if (origin->users == 0) {
        alloc_free(&alloc_libc, origin);
    }
}

void tls_memory_free(struct tls_memory *take_memory)
{
    uint32_t at = 0;
    for (struct tls_origin *origin; (origin = map_walk(&take_memory->by_name, &at)) != NULL;) {
        origin_drop(origin);
        at = 0;
    }
    map_fini(&take_memory->by_name);
    alloc_free(&alloc_libc, take_memory);
}

static void forget_all(struct tls_memory *memory)
{
    uint32_t at = 0;
    for (struct tls_origin *origin; (origin = map_walk(&memory->by_name, &at)) != NULL;) {
        origin_forget(origin);
    }
}

void tls_memory_serve(struct tls_memory *memory, const struct tls_contexts *by, bool is_swapped)
{
    if (is_swapped || memory->by != by) {
        forget_all(memory);
    }
    memory->by = by;
}

static bool is_place(const void *value, const void *key)
{
    const struct tls_origin *origin = value;
    const struct tls_place *place = key;
    return origin->port == place->port && strcmp(origin->host, place->host) == 0
           && strcmp(origin->whose, place->whose) == 0;
}

static struct tls_origin *origin_new(struct tls_memory *memory, const struct tls_place *place,
                                     uint64_t hash)
{
    size_t size = strlen(place->host) + 1, whose_size = strlen(place->whose) + 1;
    if (memory->by_name.count >= ORIGINS_MAX && !list_is_empty(&memory->unused)) {
        origin_drop(list_entry(list_first(&memory->unused), struct tls_origin, on_unused));
    }
    struct tls_origin *origin = alloc_zeroed(&alloc_libc, sizeof *origin + size + whose_size);
    if (origin == NULL) {
        return NULL;
    }
    origin->memory = memory;
    origin->hash = hash;
    origin->port = place->port;
    memcpy(origin->host, place->host, size);
    origin->whose = memcpy(origin->host + size, place->whose, whose_size);
    if (!map_put(&memory->by_name, hash, origin)) {
        alloc_free(&alloc_libc, origin);
        return NULL;
    }
    return origin;
}

struct tls_origin *tls_origin_of(struct tls_memory *memory, const struct tls_place *place)
{
    uint64_t hash = XXH3_64bits_withSeed(place->host, strlen(place->host), place->port);
    hash = XXH3_64bits_withSeed(place->whose, strlen(place->whose), hash);
    struct tls_origin *origin = map_find(&memory->by_name, hash, is_place, place);
    if (origin == NULL) {
        origin = origin_new(memory, place, hash);
    }
    if (origin != NULL) {
        list_leave(&origin->on_unused);
        origin->users++;
    }
    return origin;
}

void tls_origin_leave(struct tls_origin *origin)
{
    if (origin == NULL || --origin->users > 0) {
        return;
    }
    if (origin->memory != NULL) {
        list_push_back(&origin->memory->unused, &origin->on_unused);
    } else {
        origin_forget(origin);
        alloc_free(&alloc_libc, origin);
    }
}

void tls_origin_remember(struct tls_origin *origin, const struct tls_contexts *by,
                         SSL_SESSION *take_session)
{
    if (origin->memory == NULL || origin->memory->by != by) {
        SSL_SESSION_free(take_session);
        return;
    }
    if (origin->count == TICKETS_MAX) {
        SSL_SESSION_free(origin->tickets[0]);
        memmove(&origin->tickets[0], &origin->tickets[1],
                (TICKETS_MAX - 1) * sizeof origin->tickets[0]);
        origin->count--;
    }
    origin->tickets[origin->count++] = take_session;
}

SSL_SESSION *tls_origin_recall(struct tls_origin *origin)
{
    while (origin->count > 0) {
        SSL_SESSION *session = origin->tickets[origin->count - 1];
        bool is_used_up = SSL_SESSION_get_protocol_version(session) >= TLS1_3_VERSION;
        if (!SSL_SESSION_is_resumable(session)) {
            SSL_SESSION_free(session);
            origin->count--;
        } else if (is_used_up) {
            origin->count--;
            return session;
        } else {
            SSL_SESSION_up_ref(session);
            return session;
        }
    }
    return NULL;
}
