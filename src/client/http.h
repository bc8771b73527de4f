/* SPDX-License-Identifier: Apache-2.0
 *
 * http.h - what an HTTP client is made of: private to client/http_*.c.
 *
 *   client ──┬── lane (one for each worker) ── pool, connector, names, origins
 *            └── requests, in chunks; each belongs to one lane while it is under way
 *
 * A lane and all that is in it belong to its worker's thread. Two things reach it from elsewhere:
 * requests through its inbox, with orders written on their tickets, and looks at its figures.
 *
 * A request (http_request.c decides, http_body.c sends, http_answer.c receives):
 *
 *      weir_http_send() ──▶ POSTED (from another thread) ──▶ ┐
 *              │                                             ▼
 *              └─────────────── begun ──▶ WAITING ──▶ CALLING ──▶ ended: on_end, FREE
 *                                            ▲  │ redirect, replay │
 *                                            └──┼──────────────────┘
 *                                               └──▶ LEAVING (its lease's callback is to come)
 *
 * Always true: on_end is called once, from an event of the loop, never inside a call of the
 * program's; before it the lease is back and the request FREE, so that the next one, sent from
 * there, finds both warm.
 */
#pragma once
#include <weir/http.h>

#include "base/bytes.h"
#include "base/list.h"
#include "base/map.h"
#include "client/ground.h"
#include "connector/http.h"
#include "connector/replay.h"
#include "io/loop.h"
#include "io/outbox.h"
#include "io/tls_profile.h"
#include "proto/http.h"
#include "proto/url.h"
#include "runtime/worker.h"

#include <pthread.h>
#include <stdatomic.h>

#define HTTP_REQUESTS_MAX  1000000U
#define HTTP_CHUNK         32U         /* requests in one allocation */
#define HTTP_ORIGINS_MAX   1024U       /* places that a lane remembers */
#define HTTP_TEXT_KEEP_MAX 4096U       /* of memory that an unused request may keep */
#define HTTP_PIECE         (64U << 10) /* of a body, between two looks at the peer's window */
#define HTTP_DISCARD_MAX   (64U << 10) /* of a redirect's body, to save the connection */
#define HTTP_PULLS         16U         /* pieces of one body in one event */

struct dns;
struct inflater;
struct key;
struct request;

/* --- a request ----------------------------------------------------------------------------------
 */

enum request_state {
    REQUEST_FREE,
    REQUEST_POSTED,  /* on its way to its lane */
    REQUEST_BEGUN,   /* there; nothing is asked for yet */
    REQUEST_WAITING, /* for a connection */
    REQUEST_CALLING,
    REQUEST_LEAVING, /* has given up waiting; the lease's callback is to come */
    REQUEST_ENDING,  /* on lane->kicks, with what on_end will say */
};

/* Orders on a ticket, below the generation. */
#define ORDER_BEGIN  1U
#define ORDER_CANCEL 2U
#define ORDER_RESUME 4U
#define ORDER_PULL   8U /* ask for more of the body; the answer stays as it is */
#define ORDERS       0xffU

#define ANSWER_HIDDEN 0x80U /* in http_field.drop: not for the program to see */

/* Where a request goes: a pinned key, and what is the same for all who go there. */
struct origin {
    struct node on_lane; /* least recently used first */
    uint64_t hash;
    uint64_t used_ms;
    struct key *pin;
    uint32_t users; /* requests that name it */
    uint32_t text_len;
    char text[]; /* scheme, authority, tenant, source, proxy, each with a NUL */
};

/* The request as it is sent, in one block: fields, then text, then the body unless it is borrowed.
 */
struct message {
    const struct alloc *alloc;
    char *at;
    size_t size;
    uint8_t *secrets; /* one for each field */
    struct url url;
    struct http_head head;
    struct slice tenant, source, proxy; /* each with a NUL behind */
    const void *body;                   /* NULL with body_len > 0: pulled */
    uint64_t body_len;
};

struct request {
    _Atomic uint64_t ticket; /* generation << 8 | orders; an odd generation is alive */
    struct request *next;    /* in the inbox, or on a free list */
    struct loop_later kick;  /* something to be done outside of a call of the program's */
    struct loop_timer timer; /* may be early */
    struct node on_lane;     /* lane->live, once it has begun */
    struct lane *lane;
    uint32_t number; /* in the client */
    uint8_t state;   /* enum request_state */
    bool is_outer;   /* of the client's free list, not the lane's */
    bool is_stuck;   /* freed while it lay in the inbox, which gives it back */

    /* From here on zeroed for each request. */
    const weir_http_handler *handler;
    void *arg;
    struct origin *origin;
    weir_lease lease;
    struct http_call *call;    /* while CALLING */
    struct inflater *inflater; /* the answer's body is compressed */
    uint64_t sent_ns, asked_ns, granted_ns, first_byte_ns;
    uint64_t deadline_ms;
    uint64_t tag;
    uint64_t body_done; /* of the request's body: given to the call */
    uint64_t body_told; /* of the answer's: told to the program */
    uint32_t discarded; /* of a redirect's body */
    uint32_t flags;     /* of the program: WEIR_HTTP_BORROW | … */
    uint16_t status;
    uint8_t redirects, retries, replays;
    uint8_t err;          /* ENDING, LEAVING: what on_end will say */
    bool is_harmless : 1; /* may be done twice */
    bool is_pulled : 1;   /* its body comes from the handler */
    bool was_pulled : 1;  /* some of it has */
    bool pull_waits : 1;  /* the handler has nothing now */
    bool is_blocked : 1;  /* the peer takes nothing now */
    bool is_sent : 1;     /* all of it was given to the call */
    bool is_paused : 1;   /* the program wants no more of the answer now */
    bool is_resumed : 1;  /* and now it does */
    bool is_reused : 1;   /* the connection had served before */
    bool is_redirect : 1; /* the answer at hand is not for the program */
    bool is_received : 1; /* all of the answer is here, some of it held back */
    bool is_canceled : 1;
    bool is_short : 1;      /* of memory, and called off for it */
    bool has_left_home : 1; /* has been sent to another origin: secrets are gone */
    struct message message; /* last: its block stays */
};

/* --- a lane -------------------------------------------------------------------------------------
 */

#define LANE_COUNTERS(ROW)                                                                         \
    ROW(sent)                                                                                      \
    ROW(answered)                                                                                  \
    ROW(failed)                                                                                    \
    ROW(reused)                                                                                    \
    ROW(redirects)                                                                                 \
    ROW(retries)                                                                                   \
    ROW(bytes_in)                                                                                  \
    ROW(bytes_out)

/* As of the end of a turn. */
#define LANE_GAUGES(ROW)                                                                           \
    ROW(total)                                                                                     \
    ROW(acquired)                                                                                  \
    ROW(idle)                                                                                      \
    ROW(dialling)                                                                                  \
    ROW(waiting)                                                                                   \
    ROW(created)                                                                                   \
    ROW(closed)

struct lane {
    struct weir_http_client *client;
    struct worker *worker;
    _Atomic(struct request *) inbox; /* the latest first */
    struct worker_note note;         /* the inbox is to be looked at */
    struct worker_note update;       /* the client's options are news */
    struct worker_note flush;
    struct worker_note close;

    bool is_open;
    bool is_closed; /* its pool has said so */
    uint32_t depth; /* calls of the program's that are under way on this thread */
    struct loop *loop;
    weir_pool *pool;
    struct http_connector *connector;
    struct tls_desk *desk; /* NULL: no https:// so far */
    struct tls_client *tls;
    struct tls_client *proxy_tls; /* NULL: no proxy of https:// so far */
    struct dns *dns;
    struct cork *cork;
    char *piece; /* HTTP_PIECE bytes, for bodies that are pulled */
    struct loop_hook hook;
    uint32_t total_timeout_ms;
    struct replay_budget budget;
    struct map by_origin;
    struct list origins;
    struct list live;      /* requests that have begun and not ended */
    struct request *spare; /* its own free ones */

#define LANE_ROW(name) _Atomic uint64_t name;
    LANE_COUNTERS(LANE_ROW)
    LANE_GAUGES(LANE_ROW)
#undef LANE_ROW
};

/* How one kind of peer is known by TLS. */
struct identity {
    bool has_files;              /* the profile was there from the beginning */
    struct tls_profile *profile; /* under the client's mutex while it is NULL */
};

struct weir_http_client {
    weir_runtime *runtime;
    const struct alloc *alloc;
    struct ground_member member;  /* its name */
    weir_http_client_options opt; /* defaults filled in; `pool` is under the mutex */
    char *user_agent;             /* "name: value CRLF", or NULL */
    char *dns_servers;
    char *proxy;             /* NULL: none */
    struct identity targets; /* of https:// */
    struct identity proxies; /* of https://, too */

    pthread_mutex_t mutex; /* options of the pool, spare requests, chunks */
    struct ground_wait closed;
    _Atomic uint32_t pending; /* lanes that have not closed yet */
    atomic_bool is_closing;
    struct request *spare;
    _Atomic uint32_t requests_count; /* in all chunks */
    _Atomic uint32_t requests_live;
    _Atomic(struct request *) *chunks;
    uint32_t lanes_count;
    struct lane lanes[];
};

/* --- http_tls.c -------------------------------------------------------------------------------
 */

/* The field of client->opt that is wrong, or NULL. */
const char *client_tls_check(const struct weir_http_client *client);
/* Reads what the options name. 0, or -errno and the field. */
int client_tls_take(struct weir_http_client *client, const char **ret_fault);
void client_tls_fini(struct weir_http_client *client);
bool client_tls_is_same(const struct weir_http_client *a, const struct weir_http_client *b);
/* TLS on this worker, from now on: with targets, and with proxies. */
weir_err lane_secure(struct lane *lane);
weir_err lane_secure_proxies(struct lane *lane);
void lane_insecure(struct lane *lane); /* when its connections are gone */

static inline void lane_count(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

/* Changes when the request ends, whoever has its record then. */
static inline uint64_t request_turn(const struct request *request)
{
    return atomic_load_explicit(&request->ticket, memory_order_relaxed) >> 8;
}

static inline weir_http_call request_id(const struct request *request)
{
    return (weir_http_call){(uint64_t)(uint32_t)request_turn(request) << 32 | request->number};
}

/* --- http_lane.c --------------------------------------------------------------------------------
 */

/* The lane of the thread this is, or NULL. */
struct lane *lane_here(struct weir_http_client *client);
/* The lane of a request from elsewhere. */
struct lane *lane_of_url(struct weir_http_client *client, const char *url);
/* On its thread, before the first request: 0 or -errno. */
int lane_open(struct lane *lane);
/* Ends its requests and closes what it has. */
void lane_close(struct lane *lane);
void lane_publish(struct lane *lane);
/* A request has an order on its ticket that was not there. Any thread. */
void lane_post(struct lane *lane, struct request *request);
void lane_init(struct lane *lane, struct weir_http_client *client, struct worker *worker);

/* Where the message goes, as its user: WEIR_OK, WEIR_EKEYS, WEIR_ENOMEM, WEIR_EINVAL. */
weir_err lane_origin(struct lane *lane, const struct message *message, struct origin **ret_origin);
void lane_origin_leave(struct lane *lane, struct origin *origin);

/* --- http_client.c ------------------------------------------------------------------------------
 */

/* NULL: no memory, or *ret_full. */
struct request *request_take(struct weir_http_client *client, struct lane *lane, bool is_outer,
                             bool *ret_full);
/* On its lane's thread, or never begun. The ticket is a new one. */
void request_give(struct request *request);
struct request *request_at(struct weir_http_client *client, uint32_t number);

/* --- http_message.c: what is sent ---------------------------------------------------------------
 */

/* Copies and checks. WEIR_EINVAL: *ret_fault names the field; WEIR_ENOMEM. */
weir_err message_take(struct message *message, const struct weir_http_client *client,
                      const weir_http_request *request, const char **ret_fault);

enum redirect {
    REDIRECT_NOT,  /* an answer like any other */
    REDIRECT_GO,   /* the message is the next one to send */
    REDIRECT_WONT, /* it cannot be followed */
    REDIRECT_MEMORY
};
/* What an answer of 3xx asks for. `is_repeatable`: the body can be sent again. `hide`: secrets are
 * not for where it goes; set when it leaves its first origin. */
enum redirect message_redirect(struct message *message, uint16_t status, struct slice location,
                               bool is_repeatable, bool *hide);
void message_fini(struct message *message);

/* --- http_request.c -----------------------------------------------------------------------------
 */

/* It is on its lane: asks for a connection. `here`: inside a call of the program's. */
void request_begin(struct request *request, bool here);
/* From its ticket; `err`: its lane could not be opened. */
void request_orders(struct request *request, unsigned orders, weir_err err);
/* Something for later in this turn. */
void request_kick(struct request *request);
void request_kicked(struct loop_later *later);
void request_timer(struct loop_timer *timer, uint64_t now_ms);
/* Ends it wherever it stands; on_end may be told later. Not inside a call of the program's. */
void request_abandon(struct request *request, weir_err err);
static inline weir_err request_why_canceled(const struct request *request)
{
    return request->is_short ? WEIR_ENOMEM : WEIR_ECANCELED;
}
/* It holds nothing: on_end. Not inside a call of the program's. */
void request_end(struct request *request, weir_err err);
/* Ends the call under way, and it. */
void request_fail(struct request *request, weir_err err);
/* The call is over: the connection goes back. */
void request_let_go(struct request *request, weir_fate fate, weir_err why);
/* Ends the call that is under way, with its connection. */
void request_cut(struct request *request, weir_err why);
/* The next call: for another place, or another connection. */
void request_again(struct request *request, uint32_t flags);
extern const struct http_caller request_caller;

/* --- http_body.c: sending -----------------------------------------------------------------------
 */

/* A call was begun: the head, and as much of the body as the peer takes. `here`: inside a call of
 * the program's, so that nothing is pulled yet. */
void request_send(struct request *request, bool here);
void request_send_more(struct request *request);
/* The body can be sent from its beginning. Asks the handler. */
bool request_rewind(struct request *request);
bool request_is_repeatable(const struct request *request);

/* --- http_answer.c: receiving -------------------------------------------------------------------
 */

void answer_head(struct request *request, struct http_head *head);
void answer_body(struct request *request, const void *data, size_t len);
void answer_trailers(struct request *request, const struct http_head *trailers);
void answer_end(struct request *request);
/* The program wants more. */
void answer_resume(struct request *request);

/* There is more for `pull` now; an answer that is held back stays so. WEIR_ESTALE: it has ended. */
weir_err http_client_pull(weir_http_client *client, weir_http_call call);

struct weir_http_answer {
    const struct http_head *head;
    struct slice url;
    /* Of a fetched one. */
    struct http_head own;
    weir_http_result result;
    char *text; /* fields, text of the head */
    struct bytes body;
    char *url_text;
};

/* What the end of a call is called. */
weir_err http_err_of(enum http_fault why);
