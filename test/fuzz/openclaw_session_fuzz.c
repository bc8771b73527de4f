/* SPDX-License-Identifier: Apache-2.0
 *
 * A session with an OpenClaw gateway, as bytes that a gateway and its client's owners might do:
 * lines are messages; a line that begins with '@' is something of ours (a request, a leaving,
 * time). Every request that was begun ends once, and nothing is told after the end.
 */
#include "proto/openclaw_session.h"

#include <stdlib.h>
#include <string.h>

#define OWNERS 8U

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct owner {
    uint64_t id; /* 0: it does not wait */
};

struct world {
    struct claw_session session;
    struct owner owners[OWNERS];
    uint64_t now_ms;
};

static void heard(struct world *world, const struct claw_happening *now)
{
    if (now->news == CLAW_ASKED) {
        claw_session_connected(&world->session);
    } else if (now->news == CLAW_ANSWERED) {
        struct owner *owner = now->owner;
        check(owner != NULL && owner->id != 0 && owner->id == now->frame.id);
        owner->id = 0;
    }
    check((now->news == CLAW_BROKEN) == (now->why != NULL));
    check(now->news != CLAW_BROKEN || world->session.state == CLAW_OVER);
}

static void message(struct world *world, const uint8_t *at, size_t len)
{
    struct claw_happening now;
    char *text = malloc(len + 1); /* of its own, so that one byte too far is seen */
    check(text != NULL);
    memcpy(text, at, len);
    /* "$0" … "$7" stand for the ids of requests: a gateway knows them. */
    char filled[4096];
    size_t to = 0;
    for (size_t i = 0; i < len && to + 32 < sizeof filled; i++) {
        if (text[i] == '$' && i + 1 < len) {
            uint64_t id = world->owners[(uint8_t)text[++i] % OWNERS].id;
            struct json json = json_into(filled + to, sizeof filled - to);
            json_u64(&json, NULL, id);
            to += json.len;
        } else {
            filled[to++] = text[i];
        }
    }
    bool was_over = world->session.state == CLAW_OVER;
    claw_session_take(&world->session, (struct slice){filled, (uint32_t)to}, world->now_ms, &now);
    check(!was_over || now.news == CLAW_NOTHING);
    heard(world, &now);
    free(text);
}

static void ours(struct world *world, uint8_t what, uint8_t which)
{
    struct owner *owner = &world->owners[which % OWNERS];
    struct claw_happening now;
    if (what % 4 == 0 && owner->id == 0) {
        owner->id = claw_session_begin(&world->session, owner, which & 8);
    } else if (what % 4 == 1 && owner->id != 0) {
        claw_session_leave(&world->session, owner->id);
        owner->id = 0;
    } else if (what % 4 == 2 && owner->id != 0) {
        claw_session_undo(&world->session, owner->id);
        owner->id = 0;
    } else if (what % 4 == 3) {
        world->now_ms += (uint64_t)which * which;
        claw_session_time(&world->session, world->now_ms, &now);
        heard(world, &now);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world world = {0};
    if (size > 65536) {
        return 0;
    }
    check(claw_session_init(&world.session, &alloc_libc, OWNERS / 2, 15000, 0));
    while (size > 0) {
        const uint8_t *end = memchr(data, '\n', size);
        size_t len = end != NULL ? (size_t)(end - data) : size;
        if (len >= 3 && data[0] == '@') {
            ours(&world, data[1], data[2]);
        } else if (len > 0) {
            message(&world, data, len);
        }
        data += len;
        size -= len;
        if (size > 0) {
            data++;
            size--;
        }
    }
    uint32_t waiting = 0;
    for (unsigned i = 0; i < OWNERS; i++) {
        waiting += world.owners[i].id != 0;
    }
    check(world.session.waiting == waiting);
    for (struct owner *owner; (owner = claw_session_drop(&world.session)) != NULL; waiting--) {
        check(owner->id != 0);
        owner->id = 0;
    }
    check(waiting == 0 && world.session.waiting == 0);
    claw_session_fini(&world.session);
    return 0;
}
