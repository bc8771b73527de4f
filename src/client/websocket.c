/* SPDX-License-Identifier: Apache-2.0
 *
 * Connections as the program holds them: what is said on the worker's own thread is done at once,
 * what comes from elsewhere is a letter. And their names.
 */
#include "client/websocket.h"

#include "base/check.h"
#include "listener/guest.h"
#include "proto/utf8.h"

#include <string.h>

/* --- letters ------------------------------------------------------------------------------------
 */

enum letter_kind { LETTER_SEND, LETTER_PING, LETTER_CLOSE, LETTER_PAUSE, LETTER_RESUME };

struct letter_to {
    struct worker_note note; /* first */
    struct bay *bay;
    uint64_t id;
    uint8_t kind;  /* enum letter_kind */
    uint16_t word; /* the opcode, the code */
    uint32_t len;
    char data[];
};

static void letter_read(struct sock *sock, const struct letter_to *letter)
{
    const struct slice text = {letter->data, letter->len};
    switch ((enum letter_kind)letter->kind) {
    case LETTER_SEND:
        if (ws_end_send(&sock->end, letter->word, text.at, text.len) == WEIR_EAGAIN) {
            bay_count(&sock->bay->cut, 1); /* it was promised: a gap would be worse */
            ws_end_close(&sock->end, WS_CODE_POLICY, SLICE("too slow"));
        }
        break;
    case LETTER_PING: ws_end_ping(&sock->end, text); break;
    case LETTER_CLOSE: sock_close(sock, letter->word, text); break;
    case LETTER_PAUSE:
    case LETTER_RESUME: ws_end_pause(&sock->end, letter->kind == LETTER_PAUSE); break;
    }
}

static void letter_arrives(struct worker_note *note)
{
    struct letter_to *letter = container_of(note, struct letter_to, note);
    struct bay *bay = letter->bay;
    struct sock *sock = sock_at(bay, letter->id);
    if (sock != NULL) {
        struct tag *tag = tag_of(sock_name(sock));
        atomic_fetch_sub(&tag->owed, letter->len);
        if (sock->was_open || letter->kind == LETTER_CLOSE) {
            letter_read(sock, letter);
        }
    }
    alloc_free(bay->manager->alloc, letter);
}

static weir_err post(weir_websocket ws, enum letter_kind kind, unsigned word, struct slice text)
{
    struct tag *tag = tag_of(ws);
    struct bay *bay = bay_of(ws);
    if (tag == NULL) {
        return WEIR_ESTALE;
    }
    uint32_t owed = atomic_load(&tag->owed);
    if (text.len > 0 && owed > 0 && owed + text.len > atomic_load(&ws.manager->unsent_max)) {
        return WEIR_EAGAIN;
    }
    struct letter_to *letter = alloc_new(ws.manager->alloc, sizeof *letter + text.len);
    if (letter == NULL) {
        return WEIR_ENOMEM;
    }
    *letter = (struct letter_to){.note = {.run = letter_arrives},
                                 .bay = bay,
                                 .id = ws.id,
                                 .kind = (uint8_t)kind,
                                 .word = (uint16_t)word,
                                 .len = text.len};
    if (text.len > 0) {
        memcpy(letter->data, text.at, text.len);
    }
    atomic_fetch_add(&tag->owed, text.len);
    worker_note(bay->worker, &letter->note);
    return WEIR_OK;
}

/* --- verbs --------------------------------------------------------------------------------------
 */

/* This thread is its worker's: WEIR_OK and the record, or WEIR_ESTALE. Elsewhere WEIR_EAGAIN. */
static weir_err find_here(weir_websocket ws, struct sock **ret_sock)
{
    struct bay *bay = bay_of(ws);
    if (bay == NULL) {
        return WEIR_ESTALE;
    }
    if (bay_here(ws.manager) != bay) {
        return WEIR_EAGAIN;
    }
    *ret_sock = sock_at(bay, ws.id);
    return *ret_sock != NULL ? WEIR_OK : WEIR_ESTALE;
}

weir_err weir_websocket_send(weir_websocket ws, weir_websocket_kind kind, const void *data,
                             size_t len)
{
    struct sock *sock;
    if (kind != WEIR_WEBSOCKET_TEXT && kind != WEIR_WEBSOCKET_BINARY) {
        return ground_fault(WEIR_EINVAL, "kind");
    }
    if (len > UINT32_MAX - WS_HEAD_MAX) {
        return WEIR_ETOO_LARGE;
    }
    weir_err err = find_here(ws, &sock);
    if (err == WEIR_OK) {
        return sock->was_open ? ws_end_send(&sock->end, kind, data, len) : WEIR_ESTATE;
    }
    return err == WEIR_EAGAIN ? post(ws, LETTER_SEND, kind, (struct slice){data, (uint32_t)len})
                              : err;
}

weir_err weir_websocket_ping(weir_websocket ws, const void *data, size_t len)
{
    struct sock *sock;
    if (len > WS_CONTROL_MAX) {
        return WEIR_ETOO_LARGE;
    }
    const struct slice text = {data, (uint32_t)len};
    weir_err err = find_here(ws, &sock);
    if (err == WEIR_OK) {
        return sock->was_open ? ws_end_ping(&sock->end, text) : WEIR_ESTATE;
    }
    return err == WEIR_EAGAIN ? post(ws, LETTER_PING, 0, text) : err;
}

static bool is_reason(struct slice text)
{
    struct utf8 utf8 = {0};
    return text.len <= WS_CONTROL_MAX - 2 && (text.len == 0 || utf8_feed(&utf8, text.at, text.len))
           && utf8_is_whole(&utf8);
}

weir_err weir_websocket_close(weir_websocket ws, uint16_t code, const char *reason)
{
    struct sock *sock;
    uint16_t said = code != 0 ? code : WS_CODE_NORMAL;
    const struct slice text = reason != NULL ? slice_of(reason) : (struct slice){0};
    if (!ws_code_is_sendable(said)) {
        return ground_fault(WEIR_EINVAL, "code");
    }
    if (!is_reason(text)) {
        return ground_fault(WEIR_EINVAL, "reason");
    }
    weir_err err = find_here(ws, &sock);
    if (err == WEIR_OK) {
        sock_close(sock, said, text);
    }
    return err == WEIR_EAGAIN ? post(ws, LETTER_CLOSE, said, text) : err;
}

weir_err weir_websocket_pause(weir_websocket ws, bool paused)
{
    struct sock *sock;
    weir_err err = find_here(ws, &sock);
    if (err == WEIR_OK && sock->was_open) {
        ws_end_pause(&sock->end, paused);
    }
    return err == WEIR_EAGAIN
               ? post(ws, paused ? LETTER_PAUSE : LETTER_RESUME, 0, (struct slice){0})
               : err;
}

size_t weir_websocket_unsent(weir_websocket ws)
{
    struct sock *sock;
    return find_here(ws, &sock) == WEIR_OK ? ws_end_unsent(&sock->end) : 0;
}

const char *sock_peer(struct sock *sock)
{
    if (sock->is_dialled) {
        return sock->host;
    }
    guest_print(sock->address, sock->bay->peer);
    return sock->bay->peer;
}

const char *weir_websocket_peer(weir_websocket ws)
{
    struct sock *sock;
    return find_here(ws, &sock) == WEIR_OK ? sock_peer(sock) : "";
}

weir_err weir_websocket_set_arg(weir_websocket ws, void *arg)
{
    struct sock *sock;
    weir_err err = find_here(ws, &sock);
    if (err == WEIR_OK) {
        sock->arg = arg;
    }
    return err == WEIR_EAGAIN ? WEIR_ESTATE : err;
}

/* --- names --------------------------------------------------------------------------------------
 */

weir_err weir_websocket_add(weir_websocket_manager *manager, const char *name, weir_websocket ws)
{
    const struct slice text = slice_of(name);
    enum ws_naming naming = WS_NAMING_FINE;
    if (text.len == 0 || text.len > WS_NAME_LEN_MAX) {
        return ground_fault(WEIR_EINVAL, "name");
    }
    if (ws.manager != manager) {
        return WEIR_ESTALE;
    }
    pthread_mutex_lock(&manager->mutex);
    struct tag *tag = tag_of(ws);
    if (tag != NULL) {
        naming = ws_names_add(&manager->names, text, ws.id, &tag->names);
    }
    pthread_mutex_unlock(&manager->mutex);
    if (tag == NULL) {
        return WEIR_ESTALE;
    }
    static const weir_err errs[] = {
        [WS_NAMING_FINE] = WEIR_OK,
        [WS_NAMING_TAKEN] = WEIR_EEXISTS,
        [WS_NAMING_FULL] = WEIR_EFULL,
        [WS_NAMING_MEMORY] = WEIR_ENOMEM,
    };
    return errs[naming];
}

weir_err weir_websocket_get(weir_websocket_manager *manager, const char *name,
                            weir_websocket *ret_ws)
{
    pthread_mutex_lock(&manager->mutex);
    const struct ws_name *found = ws_names_find(&manager->names, slice_of(name));
    uint64_t id = found != NULL ? found->id : 0;
    pthread_mutex_unlock(&manager->mutex);
    if (id == 0) {
        return WEIR_ESTALE;
    }
    *ret_ws = (weir_websocket){.manager = manager, .id = id};
    return WEIR_OK;
}

weir_err weir_websocket_remove(weir_websocket_manager *manager, const char *name, uint16_t code)
{
    if (code != 0 && !ws_code_is_sendable(code)) {
        return ground_fault(WEIR_EINVAL, "code");
    }
    pthread_mutex_lock(&manager->mutex);
    struct ws_name *found = ws_names_find(&manager->names, slice_of(name));
    uint64_t id = found != NULL ? found->id : 0;
    if (found != NULL) {
        ws_names_remove(&manager->names, found);
    }
    pthread_mutex_unlock(&manager->mutex);
    if (id == 0) {
        return WEIR_ESTALE;
    }
    if (code != 0) {
        weir_websocket_close((weir_websocket){.manager = manager, .id = id}, code, NULL);
    }
    return WEIR_OK;
}

void weir_websocket_each_name(weir_websocket_manager *manager,
                              bool (*fn)(void *arg, const char *name, weir_websocket ws), void *arg)
{
    uint32_t at = 0;
    struct ws_name *name;
    bool goes_on = true;
    pthread_mutex_lock(&manager->mutex);
    while (goes_on && (name = map_walk(&manager->names.map, &at)) != NULL) {
        goes_on = fn(arg, name->text, (weir_websocket){.manager = manager, .id = name->id});
    }
    pthread_mutex_unlock(&manager->mutex);
}
