/* SPDX-License-Identifier: Apache-2.0
 *
 * websocket.h - what the manager of WebSockets is made of: private to client/websocket*.c.
 *
 *   manager ──┬── names
 *             └── bay (one for each worker) ── desk, socks; and, once something was dialled, names
 *                                              of hosts, TLS, a pool of lines (HTTP/1.1) and,
 *                                              where http2 is on, one of calls (HTTP/2)
 *
 * A bay and all that is in it belong to its worker's thread, but for its slots, which are taken and
 * given under a lock, and their tags, by which any thread sees whether an id still lives. What
 * others want of a connection comes as a letter.
 *
 * A connection is a `struct sock`:
 *
 *      dialled   WAITING (for a lease) ─▶ OPENING ──▶ OPEN ──▶ gone
 *                   └── failed, cancelled ──┴── refused, late, cancelled ──▶ gone
 *      accepted                                  OPEN ──▶ gone
 *
 * Always true: on_close comes once, from an event of the loop, when its names are gone and its id
 * is stale; a sock that is there holds a seat, of which there are max_total.
 */
#pragma once
#include <weir/websocket.h>

#include "base/slots.h"
#include "client/ground.h"
#include "client/options.h"
#include "client/websocket_names.h"
#include "connector/websocket.h"
#include "connector/websocket_line.h"
#include "io/tls_profile.h"
#include "proto/http.h"
#include "runtime/worker.h"

#include <pthread.h>
#include <stdatomic.h>

#define WEBSOCKETS_MAX (1U << 24) /* at one worker: ids have 24 bits for it */
#define MANAGER_NAME   "websocket-manager"

struct dns;
struct opening;
struct ws_call;

struct line_user {
    struct ws_line_user user; /* first */
    void *line;
    weir_lease lease;
};

struct sock {
    struct ws_end end; /* its timer is also that of the opening */
    struct bay *bay;
    const weir_websocket_handler *handler;
    void *arg;
    struct opening *opening; /* until it is open */
    union {
        char *host;          /* dialled: where */
        uint8_t address[16]; /* accepted: whence */
    };
    union {
        struct http_tunnel tunnel; /* accepted */
        struct line_user line;     /* dialled, on a line */
        struct ws_call *call;      /* dialled, as a call: what is left of it, or NULL */
        struct sock *next_grave;   /* gone */
    };
    bool is_dialled : 1;
    bool is_call : 1; /* … over the other pool */
    bool was_open : 1;
};

/* For other threads; there is one for each slot. */
struct tag {
    _Atomic uint32_t generation; /* 0: nobody lives here */
    _Atomic uint32_t owed;       /* bytes on their way to it */
    struct ws_name *names;       /* under the manager's lock */
};

#define BAY_COUNTERS(ROW)                                                                          \
    ROW(dialled)                                                                                   \
    ROW(accepted)                                                                                  \
    ROW(failed)                                                                                    \
    ROW(closed)                                                                                    \
    ROW(unanswered)                                                                                \
    ROW(timed_out)                                                                                 \
    ROW(skipped)                                                                                   \
    ROW(cut)                                                                                       \
    ROW(open)

struct bay {
    weir_websocket_manager *manager;
    struct worker *worker;
    struct loop *loop;
    pthread_mutex_t mutex; /* taking and giving slots */
    struct slots socks;
    struct tag *tags;

    bool dials;     /* what follows is there */
    bool is_closed; /* the pool has said so */
    weir_pool *pool;
    struct ws_liner *liner;
    weir_pool *calls_pool; /* NULL: not asked for so far */
    struct http_connector *http;
    struct list calls;
    struct dns *dns;
    struct tls_desk *tls_desk;          /* NULL: no wss:// so far */
    struct tls_client *tls, *proxy_tls; /* NULL: no such proxy so far */

    struct worker_note check, check_on; /* a health check begins, goes on */
    uint32_t check_at;
    struct worker_note update, update_on; /* other options; whose times are still the old ones */
    uint32_t update_at;
    uint32_t open_timeout_ms;
    struct list casts;
    struct worker_note cast_on;
    bool is_shutting;
    struct loop_timer grace;
    struct sock *graves; /* gone, and given back when the turn ends */
    struct loop_later bury;
    char peer[64];
    struct http_field fields[HTTP_FIELDS_MAX];
#define BAY_ROW(name) _Atomic uint64_t name;
    BAY_COUNTERS(BAY_ROW)
#undef BAY_ROW
    struct ws_desk desk; /* last: it is large */
};

struct weir_websocket_manager {
    weir_runtime *runtime;
    const struct alloc *alloc;
    struct ground_member member;
    weir_websocket_manager_options opt; /* defaults filled in; under the mutex */
    char *dns_servers;
    struct tls_profile *profiles[2]; /* by enum options_tls; under the mutex while they are NULL */
    bool has_files[2];               /* they were read from files */
    uint32_t http2;                  /* as in opt, where it stays */
    uint32_t room;                   /* max_total cannot be more */
    _Atomic uint32_t seats;          /* taken */
    _Atomic uint32_t seats_max, casting_max, unsent_max, slow; /* as in opt */
    _Atomic uint64_t refused, broadcasts;
    _Atomic uint32_t casting;
    _Atomic uint32_t turn; /* whose dial is next */
    atomic_bool is_closing;
    _Atomic uint32_t pending; /* bays that are not empty yet */
    struct ground_wait emptied;

    pthread_mutex_t mutex; /* names, and those of tags */
    struct ws_names names;
    uint32_t bays_count;
    struct bay *bays[];
};

static inline void bay_count(_Atomic uint64_t *counter, uint64_t n)
{
    ws_tally(counter, n);
}

/* --- websocket_options.c ------------------------------------------------------------------------
 */

weir_err manager_take_options(weir_websocket_manager *manager,
                              const weir_websocket_manager_options *opt);
void manager_options(const weir_websocket_manager *manager,
                     weir_websocket_manager_options *ret_opt);
bool manager_is_like(weir_websocket_manager *manager, const weir_websocket_manager *like);

/* --- websocket_bay.c ----------------------------------------------------------------------------
 */

struct bay *bay_new(weir_websocket_manager *manager, struct worker *worker);
void bay_open(struct bay *bay, uint32_t seed); /* on its thread */
void bay_free(struct bay *bay);                /* closed, or never open */
void bay_bury(struct loop_later *later);
/* While it shuts: whether that was the last. */
void bay_look_empty(struct bay *bay);
/* Says goodbye to all; the last one that goes takes one off manager->pending. */
void bay_shut(struct bay *bay, uint32_t grace_ms);
void bay_close(struct bay *bay); /* it is empty; its pool, and the rest of what dials */
/* What one of its two pools says is told, until it is closed: then it is NULL. */
void bay_hears(struct bay *bay, weir_pool *pool, const weir_websocket_manager_options *opt);
void bay_pool_close(struct bay *bay, weir_pool *const *pool); /* at once */
/* What dialling needs, TLS where that is wanted. WEIR_ENOMEM, WEIR_ETLS, WEIR_EIO, WEIR_EEXISTS. */
weir_err bay_dials(struct bay *bay, bool is_tls, const char *proxy);
weir_err bay_has_tls(weir_websocket_manager *manager, enum options_tls which,
                     const char **ret_fault);
struct bay *bay_here(const weir_websocket_manager *manager); /* NULL: this is no worker's thread */

/* --- websocket_sock.c ---------------------------------------------------------------------------
 */

/* A seat and a slot. WEIR_EFULL, WEIR_ENOMEM. Any thread; it is found by its id from sock_show().
 */
weir_err sock_new(struct bay *bay, const weir_websocket_handler *handler, void *arg,
                  struct sock **ret_sock);
void sock_show(struct sock *sock);
/* It never was: no on_close. Only before sock_show(). */
void sock_undo(struct sock *sock);
weir_websocket sock_name(const struct sock *sock);
/* On its thread; NULL: stale. */
struct sock *sock_at(const struct bay *bay, uint64_t id);
struct bay *bay_of(weir_websocket ws); /* NULL: no such */
struct tag *tag_of(weir_websocket ws); /* NULL: stale, by now */

/* The first at or after slot *at that can be found, which moves past it; NULL at the end. */
struct sock *bay_next(struct bay *bay, uint32_t *at);

/* It is open. */
void sock_opened(struct sock *sock, const weir_websocket_opening *opening);
/* The last of it: on_close, and its place is free. */
void sock_gone(struct sock *sock, const weir_websocket_end *end);
/* Closing, wherever it stands; nothing is told from inside. */
void sock_close(struct sock *sock, uint16_t code, struct slice reason);
extern const struct ws_end_ops sock_end_ops;

/* --- websocket.c ---------------------------------------------------------------------------------
 */

/* Valid until the next call at this bay. */
const char *sock_peer(struct sock *sock);

/* --- websocket_dial.c ---------------------------------------------------------------------------
 */

void sock_cancel(struct sock *sock);                 /* not open yet: on_close comes soon */
void opening_abort(struct sock *sock, weir_err why); /* the same, at once, from an event */
void line_release(struct sock *sock, weir_err why);  /* the stream is closed */

/* Fields of the program's own, in an opening. */
bool ws_fields_fit(const weir_http_field *fields, size_t count);
bool ws_protocols_fit(const char *protocols); /* a list of tokens */

/* --- websocket_call.c ---------------------------------------------------------------------------
 */

/* The pool of calls. WEIR_ENOMEM: nothing has changed. */
weir_err bay_calls_open(struct bay *bay, const weir_websocket_manager_options *opt);
void bay_calls_update(struct bay *bay, const weir_websocket_manager_options *opt);
void bay_calls_close(struct bay *bay); /* at once, with all that is left of its calls */
/* An opening asks for its lease. */
weir_err ws_call_begin(struct opening *opening);
/* It has failed, or was given up. */
void ws_call_end(struct ws_call *call);
/* The WebSocket is gone, its stream is closed. call may be NULL. */
void ws_call_gone(struct ws_call *call, weir_err why);

/* --- websocket_cast.c ---------------------------------------------------------------------------
 */

void bay_casts_on(struct worker_note *note);
void casts_end(struct bay *bay); /* nobody is left to hear them */
