/* SPDX-License-Identifier: Apache-2.0
 *
 * server.h - a gateway that runs: a snapshot of the configuration turned into workers, ports,
 * listeners, relays, logs and the admin interface.
 *
 *     hub thread (the caller's loop)            worker threads
 *     admin, signals, drain, logs     letters   loop, engine, dns, relay, a listener per port
 *            └──────────────────────────────────────▶
 *
 * Life: server_open() binds everything or nothing; the loop runs; server_drain() lets open requests
 * end, server_stop() does not; on_end() says that nothing is left to wait for; server_close().
 * All of it on the hub's thread.
 */
#pragma once
#include "base/list.h"
#include "gateway/config.h"
#include "gateway/engine_room.h"
#include "gateway/eventlog.h"
#include "gateway/journal.h"
#include "gateway/reload.h"
#include "io/address.h"
#include "io/loop.h"
#include "io/outbox.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define SERVER_FAULT_MAX 400

struct admin;
struct capacity;
struct crew;
struct discovery;
struct dns;
struct generation;
struct inherited;
struct inlet;
struct relay;
struct relay_shared;
struct sandbox;
struct secure;
struct server;
struct site;
struct upgrade;
struct lookout;
struct manager;
struct notify_ring;
struct otlp;
struct prom_totals;
struct relay_event;
struct relief;
struct worker;

struct server_options {
    struct config **take_config; /* NULL behind it once it is the server's, also where that fails */
    const char *path;        /* of its file, outlives the server; NULL: there is none to reload */
    struct loop *loop;       /* the hub's */
    struct sandbox *sandbox; /* to enter once ports are bound, to seal once threads run; or NULL */
    void (*on_end)(void *arg); /* drained or stopped: leave the loop and close */
    void *arg;
    struct inherited
        *inherited; /* sockets that it was given; borrowed, until it is open; or NULL */
    bool waits;     /* it takes nobody before server_resume() */
    struct discovery *discovery; /* of the same configuration; closed before the server; or NULL */
};

/* 0, or -errno and in `ret_fault` what failed, where, why, and what helps, in one line. */
int server_open(const struct server_options *opt, struct server **ret_server,
                char ret_fault[static SERVER_FAULT_MAX]);
/* Its threads have ended, and all that they have counted is the caller's thread's to read;
 * server_close() follows, and does so itself where nobody has. */
void server_halt(struct server *server);
void server_close(struct server *server);

/* No new clients once process.drain_delay is over; what is open may take as long as drain_timeout
 * of its listener allows then, and at most `at_most_ms`. The same again at once: no delay. */
void server_drain_at_once(struct server *server, uint32_t at_most_ms);
void server_drain(struct server *server, uint32_t at_most_ms);
/* The same when this turn of the loop is over, and with it what is being answered. */
void server_drain_soon(struct server *server, uint32_t at_most_ms);
/* Of a drain: clients that are left, and how long they may be. */
uint32_t server_left(const struct server *server);
uint32_t server_drain_left_ms(const struct server *server); /* WEIR_NEVER: for ever */
/* An event of the hub's: on the admin interface, and as a line of the log. */
void server_tell(struct server *server, enum log_level level, const struct told_event *event);
void server_stop(struct server *server);

/* --- another process takes over: server_drain.c --------------------------------------------------
 */

/* Every listening socket, with its listener's name ("admin"). */
void server_sockets(const struct server *server, void (*fn)(void *self, const char *name, int fd),
                    void *self);
/* Nobody is taken from the backlogs any more; paused(arg) is called on the hub's thread once no
 * worker does. False: some worker cannot be asked. */
bool server_pause(struct server *server, void (*paused)(void *arg), void *arg);
/* They are again, those that wait first; and who waited to begin (`waits`) serves from now on. */
void server_resume(struct server *server);
/* After server_pause(): the sockets are another process's. A drain, in which clients are let go
 * over half of the time that they have (15 s as a rule), and those that wait in the backlogs are
 * left to it. */
void server_give(struct server *server);

/* Reads every certificate again; how many were replaced. Those whose files change are anyway. */
uint32_t server_reload_certificates(struct server *server);
void server_reopen_logs(struct server *server);
/* Reads the configuration's file again, and puts it in force, or says in the log why not. */
void server_reload(struct server *server);

/* The address a listener is bound to, with the port the kernel chose if it was to choose. */
uint16_t server_port(const struct server *server, uint32_t listener);
uint16_t server_admin_port(const struct server *server); /* 0: off, or a unix socket */

/* Of the generation in force, on the hub's thread: for what any thread may read of them. */
struct relay *server_relay(const struct server *server, uint32_t worker);
struct inlet *server_inlet(const struct server *server, uint32_t worker, uint32_t listener);

/* As the system takes it. */
struct address server_address(const struct config_address *address);

/* --- for generation.c and reload.c
 * ----------------------------------------------------------------------------
 */

/* Writes why, and returns the error. */
__attribute__((format(printf, 3, 4))) int server_fault(char *ret_fault, int error,
                                                       const char *format, ...);
int server_bind_fault(char *ret_fault, int error, const char *what, const char *address);
/* What it is in force of is that one's from now on. */
void server_obey(struct server *server, struct generation *generation);
/* Every worker obeys: so do those on the hub. */
void server_renewed(struct server *server, const struct config *before);
/* The worker has an older generation to look after. */
void server_age(struct site *site);
/* On a worker, where the server drains: tells the hub once nobody is left, of older ones either. */
void server_drain_look(struct site *site);
void server_drain_if_due(struct server *server);
void server_on_relay_event(void *self, const struct relay_event *event); /* self: the site */
/* … and server.c: */
void server_drain_init(struct server *server);
void server_drain_fini(struct server *server);
void server_hold(struct server *server); /* pauses it before its threads run */

/* --- what it is made of; for the admin, its census and its metrics -------------------------------
 */

/* What one worker has. Touched by its thread, and by the hub's before it starts and after it ends.
 */
struct site {
    struct server *server;
    struct worker *worker;
    struct dns *dns;
    struct cork cork;           /* of what its upstreams are sent */
    struct notify_ring *access; /* or NULL */
    struct list relays;         /* all of this worker's that are not freed, in force last */
    struct list parts;          /* of generations, the same */
    struct loop_timer ageing;   /* while there are older ones: how they are */
    uint32_t ageing_ms;         /* until the next look */
    struct relay *relay;        /* of the generation in force, as are */
    struct inlet **inlets;      /* one for each listener of the configuration */
    uint32_t draining;          /* listeners not yet drained */
    bool is_draining;           /* the server is, and has not heard that this one has */
    struct eventlog events;
    struct journal_voice voice;
};

enum server_state { SERVER_OPENING, SERVER_SERVING, SERVER_DRAINING, SERVER_STOPPED };

struct server {
    struct server_options opt;
    const struct config *config; /* in force */
    enum server_state state;
    uint64_t started_wall_ms;
    uint64_t started_ms;
    char node[65];
    struct crew *crew;
    struct list generations; /* in force last, and those that still serve */
    struct engine_room room; /* of each worker */
    struct reload *reload;
    struct generation *generation; /* in force; and what is its, for short: */
    struct relay_shared *shared;
    struct secure *secure;
    struct site *sites; /* one for each worker */
    uint32_t sites_count;
    uint32_t sites_draining, sites_open; /* the latter: still accept */
    bool started;
    struct journal *journal; /* the program's own log */
    struct journal_voice voice;
    struct notify *access;     /* the access log, or NULL */
    struct otlp *otlp;         /* spans, or NULL */
    struct admin *admin;       /* or NULL */
    struct capacity *capacity; /* with the admin */
    struct lookout *lookout;
    struct discovery *discovery;           /* or NULL */
    struct relief *relief;                 /* what is given up for want of descriptors or memory */
    struct list censuses;                  /* under way */
    uint64_t census_ns, census_longest_ns; /* that they have taken of workers: in all, in one go */
    bool holds_censuses;                   /* those to come wait for a reload */
    _Atomic uint64_t last_event;           /* its number; 0: there was none */
    struct eventlog events;                /* of the hub's own */
    struct loop_later drain_soon;          /* … for drain_at_most_ms */
    uint32_t drain_at_most_ms;
    uint64_t drain_until_ms;       /* UINT64_MAX: for ever */
    struct loop_timer drain_told;  /* how it goes on */
    struct loop_timer drain_delay; /* while it is asked for more still */
    bool is_given;                 /* its sockets are another process's as well */
    uint32_t sites_pausing;
    void (*paused)(void *arg);
    void *paused_arg;
    struct upgrade *upgrade;    /* how another process takes over; or NULL */
    struct prom_totals *totals; /* what processes before it have counted; or NULL */
    int totals_error;           /* of what was heard of them last */
    struct manager *manager;    /* hears how it goes; or NULL */
    bool is_drain_due;          /* as soon as a reload is over */
    bool is_drain_hasty;        /* … and without a delay */
    struct reload_ask hang_up;  /* SIGHUP */
    bool is_hung_up, is_hung_up_again;
};
