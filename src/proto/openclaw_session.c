/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/openclaw_session.h"

#include <string.h>

#define TICKS_MISSED 2U /* and half of one more, for the network */

enum place { PLACE_WAITING, PLACE_LEFT, PLACE_ACCEPTED };

struct claw_pending {
    void *owner;
    struct node on_accepted;
    uint8_t place; /* enum place */
    bool wants_final;
};

bool claw_session_init(struct claw_session *session, const struct alloc *alloc,
                       uint32_t requests_max, uint32_t handshake_ms, uint64_t now_ms)
{
    *session = (struct claw_session){.handshake_ms = handshake_ms, .begun_ms = now_ms};
    list_init(&session->accepted);
    return slots_init(&session->pending, alloc, sizeof(struct claw_pending), requests_max);
}

void claw_session_fini(struct claw_session *session)
{
    weir_slots_each(struct claw_pending, it, &session->pending) {
        list_leave(&it->on_accepted);
    }
    slots_fini(&session->pending);
}

/* --- requests -----------------------------------------------------------------------------------
 */

static void pending_end(struct claw_session *session, struct claw_pending *pending)
{
    session->waiting -= pending->place == PLACE_WAITING;
    session->left -= pending->place == PLACE_LEFT;
    list_leave(&pending->on_accepted);
    slots_give(&session->pending, slots_id_of(&session->pending, pending));
}

uint64_t claw_session_begin(struct claw_session *session, void *owner, bool wants_final)
{
    uint64_t id;
    struct claw_pending *pending = slots_take(&session->pending, &id);
    if (pending == NULL && !list_is_empty(&session->accepted)) {
        pending_end(session,
                    list_entry(list_first(&session->accepted), struct claw_pending, on_accepted));
        pending = slots_take(&session->pending, &id);
    }
    if (pending == NULL) {
        return 0;
    }
    pending->owner = owner;
    pending->wants_final = wants_final;
    session->waiting++;
    return id;
}

static void pending_move(struct claw_session *session, struct claw_pending *pending,
                         enum place place)
{
    session->waiting -= pending->place == PLACE_WAITING;
    session->left += place == PLACE_LEFT;
    pending->place = (uint8_t)place;
    pending->owner = NULL;
}

void claw_session_leave(struct claw_session *session, uint64_t id)
{
    struct claw_pending *pending = slots_at(&session->pending, id);
    check(pending != NULL && pending->place == PLACE_WAITING);
    pending_move(session, pending, PLACE_LEFT);
}

void claw_session_undo(struct claw_session *session, uint64_t id)
{
    struct claw_pending *pending = slots_at(&session->pending, id);
    check(pending != NULL && pending->place == PLACE_WAITING);
    pending_end(session, pending);
}

void *claw_session_drop(struct claw_session *session)
{
    weir_slots_each(struct claw_pending, it, &session->pending) {
        if (it->place == PLACE_WAITING) {
            void *owner = it->owner;
            pending_end(session, it);
            return owner;
        }
    }
    return NULL;
}

/* --- frames -------------------------------------------------------------------------------------
 */

static void broken(struct claw_session *session, const char *why, struct claw_happening *ret)
{
    session->state = CLAW_OVER;
    ret->news = CLAW_BROKEN;
    ret->why = why;
}

static void take_hello(struct claw_session *session, uint64_t now_ms, struct claw_happening *ret)
{
    const struct claw_frame *frame = &ret->frame;
    if (frame->id != CLAW_CONNECT_ID) {
        broken(session, "stranger", ret);
    } else if (!frame->is_ok) {
        session->state = CLAW_OVER;
        ret->news = CLAW_REFUSED;
    } else if (!claw_read_hello(frame->payload, &session->hello)) {
        broken(session, "hello", ret);
    } else {
        session->state = CLAW_UP;
        session->ticked_ms = now_ms;
        ret->news = CLAW_WELCOMED;
    }
}

/* "accepted" is what a gateway says of work that it goes on with: the answer is still to come. */
static bool is_accepted(const struct claw_frame *frame)
{
    struct slice status;
    char text[16];
    return frame->is_ok && json_is_object(frame->payload)
           && json_member(frame->payload, SLICE("status"), &status)
           && json_get_text(status, text, sizeof text) != JSON_NO_TEXT
           && strcmp(text, "accepted") == 0;
}

static void take_answer(struct claw_session *session, struct claw_happening *ret)
{
    struct claw_pending *pending = slots_at(&session->pending, ret->frame.id);
    if (pending == NULL) {
        broken(session, "stranger", ret);
        return;
    }
    bool is_waiting = pending->place == PLACE_WAITING;
    bool goes_on = pending->place != PLACE_ACCEPTED && is_accepted(&ret->frame);
    ret->news = is_waiting ? CLAW_ANSWERED : CLAW_LATE;
    ret->owner = pending->owner;
    ret->is_final = !goes_on;
    if (!goes_on) {
        pending_end(session, pending);
    } else if (is_waiting && pending->wants_final) {
        ret->news = CLAW_NOTHING;
        pending->wants_final = false; /* the next one is, whatever it says */
    } else {
        session->left -= pending->place == PLACE_LEFT;
        pending_move(session, pending, PLACE_ACCEPTED);
        list_push_back(&session->accepted, &pending->on_accepted);
    }
}

static void take_event(struct claw_session *session, uint64_t now_ms, struct claw_happening *ret)
{
    bool is_challenge = strcmp(ret->frame.name, "connect.challenge") == 0;
    if (session->state == CLAW_CHALLENGE && is_challenge) {
        if (claw_read_challenge(ret->frame.payload, session->nonce)) {
            ret->news = CLAW_ASKED;
        } else {
            broken(session, "challenge", ret);
        }
    } else if (session->state != CLAW_UP || is_challenge) {
        broken(session, "early", ret);
    } else if (strcmp(ret->frame.name, "tick") == 0) {
        session->ticked_ms = now_ms;
        ret->news = CLAW_TICKED;
    } else {
        ret->news = CLAW_TOLD;
    }
}

void claw_session_take(struct claw_session *session, struct slice text, uint64_t now_ms,
                       struct claw_happening *ret)
{
    ret->news = CLAW_NOTHING;
    ret->why = NULL;
    ret->owner = NULL;
    ret->is_final = false;
    if (session->state == CLAW_OVER) {
        return;
    }
    claw_read(text, &ret->frame);
    if (ret->frame.kind == CLAW_BAD) {
        broken(session, ret->frame.why, ret);
    } else if (ret->frame.kind == CLAW_EVENT) {
        take_event(session, now_ms, ret);
    } else if (session->state == CLAW_UP) {
        take_answer(session, ret);
    } else if (session->state == CLAW_CONNECTING) {
        take_hello(session, now_ms, ret);
    } else {
        broken(session, "early", ret);
    }
}

void claw_session_connected(struct claw_session *session)
{
    check(session->state == CLAW_CHALLENGE);
    session->state = CLAW_CONNECTING;
}

/* --- time ---------------------------------------------------------------------------------------
 */

uint64_t claw_session_due_ms(const struct claw_session *session)
{
    uint64_t tick_ms = session->hello.tick_interval_ms;
    switch (session->state) {
    case CLAW_CHALLENGE:
    case CLAW_CONNECTING: return session->begun_ms + session->handshake_ms;
    case CLAW_UP: return session->ticked_ms + TICKS_MISSED * tick_ms + tick_ms / 2;
    case CLAW_OVER: break;
    }
    return UINT64_MAX;
}

void claw_session_time(struct claw_session *session, uint64_t now_ms, struct claw_happening *ret)
{
    *ret = (struct claw_happening){0};
    if (now_ms >= claw_session_due_ms(session)) {
        broken(session, session->state == CLAW_UP ? "ticks" : "handshake", ret);
    }
}
