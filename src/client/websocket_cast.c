/* SPDX-License-Identifier: Apache-2.0
 *
 * Broadcasts: the frame is made once, and each bay goes through its connections, a few in each turn
 * of its loop, one broadcast after the other.
 */
#include "base/check.h"
#include "client/websocket.h"

#include <string.h>

#define CAST_LOOKS 64U /* connections in one event */

/* A broadcast, at all bays. */
struct cast_part {
    struct worker_note note;
    struct node on_bay;
    struct cast *cast;
    struct bay *bay;
    uint32_t at; /* the next slot */
};

struct cast {
    weir_websocket_manager *manager;
    _Atomic uint32_t users; /* bays that have not ended */
    unsigned opcode;
    uint32_t head_len;
    size_t len;
    char *frame; /* head_len, len */
    struct cast_part parts[];
};

static void cast_end(struct cast *cast)
{
    weir_websocket_manager *manager = cast->manager;
    if (atomic_fetch_sub(&cast->users, 1) == 1) {
        alloc_free(manager->alloc, cast);
        atomic_fetch_sub(&manager->casting, 1);
    }
}

static void give(struct sock *sock, const struct cast *cast)
{
    struct bay *bay = sock->bay;
    if (sock->end.state != WS_END_OPEN) {
        return;
    }
    const struct slice frame = {cast->frame, cast->head_len + (uint32_t)cast->len};
    weir_err err = sock->end.is_server ? ws_end_send_frame(&sock->end, frame)
                                       : ws_end_send(&sock->end, cast->opcode,
                                                     cast->frame + cast->head_len, cast->len);
    if (err == WEIR_OK || err == WEIR_ESTATE) {
        return;
    }
    if (atomic_load(&bay->manager->slow) == WEIR_WEBSOCKET_CUT) {
        bay_count(&bay->cut, 1);
        ws_end_close(&sock->end, WS_CODE_POLICY, SLICE("too slow"));
    } else {
        bay_count(&bay->skipped, 1);
    }
}

static void casts_some(struct bay *bay)
{
    for (uint32_t looks = 0; looks < CAST_LOOKS; looks++) {
        struct node *node = list_first(&bay->casts);
        if (node == NULL) {
            return;
        }
        struct cast_part *part = list_entry(node, struct cast_part, on_bay);
        struct sock *sock = bay_next(bay, &part->at);
        if (sock != NULL) {
            give(sock, part->cast);
        } else {
            list_remove(&bay->casts, node);
            cast_end(part->cast);
        }
    }
    worker_note(bay->worker, &bay->cast_on);
}

void bay_casts_on(struct worker_note *note)
{
    casts_some(container_of(note, struct bay, cast_on));
}

void casts_end(struct bay *bay)
{
    for (struct node *node; (node = list_pop_front(&bay->casts)) != NULL;) {
        cast_end(list_entry(node, struct cast_part, on_bay)->cast);
    }
}

static void part_arrives(struct worker_note *note)
{
    struct cast_part *part = container_of(note, struct cast_part, note);
    struct bay *bay = part->bay;
    bool is_first = list_is_empty(&bay->casts);
    list_push_back(&bay->casts, &part->on_bay);
    if (is_first) {
        casts_some(bay);
    }
}

static struct cast *cast_new(weir_websocket_manager *manager, unsigned opcode, const void *data,
                             size_t len)
{
    size_t parts = manager->bays_count * sizeof(struct cast_part);
    struct cast *cast = alloc_zeroed(manager->alloc, sizeof *cast + parts + WS_HEAD_MAX + len);
    if (cast == NULL) {
        return NULL;
    }
    cast->manager = manager;
    cast->users = manager->bays_count;
    cast->opcode = opcode;
    cast->len = len;
    cast->frame = (char *)(cast + 1) + parts;
    cast->head_len = (uint32_t)ws_write_head(cast->frame, (uint8_t)(opcode | WS_FIN), len, NULL);
    if (len > 0) {
        memcpy(cast->frame + cast->head_len, data, len);
    }
    for (uint32_t i = 0; i < manager->bays_count; i++) {
        cast->parts[i] = (struct cast_part){
            .note = {.run = part_arrives}, .cast = cast, .bay = manager->bays[i]};
    }
    return cast;
}

weir_err weir_websocket_broadcast(weir_websocket_manager *manager, weir_websocket_kind kind,
                                  const void *data, size_t len)
{
    if (kind != WEIR_WEBSOCKET_TEXT && kind != WEIR_WEBSOCKET_BINARY) {
        return ground_fault(WEIR_EINVAL, "kind");
    }
    if (len > UINT32_MAX - WS_HEAD_MAX) {
        return WEIR_ETOO_LARGE;
    }
    if (atomic_load(&manager->is_closing)) {
        return WEIR_ECLOSED;
    }
    if (atomic_fetch_add(&manager->casting, 1) >= atomic_load(&manager->casting_max)) {
        atomic_fetch_sub(&manager->casting, 1);
        return WEIR_EAGAIN;
    }
    struct cast *cast = cast_new(manager, (unsigned)kind, data, len);
    if (cast == NULL) {
        atomic_fetch_sub(&manager->casting, 1);
        return WEIR_ENOMEM;
    }
    atomic_fetch_add(&manager->broadcasts, 1);
    for (uint32_t i = 0; i < manager->bays_count; i++) {
        worker_note(manager->bays[i]->worker, &cast->parts[i].note);
    }
    return WEIR_OK;
}
