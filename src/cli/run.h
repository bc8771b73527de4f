/* SPDX-License-Identifier: Apache-2.0
 *
 * run.h - a gateway in the foreground: the loop of the main thread, its signals, and a server.
 */
#pragma once
#include "gateway/config.h"
#include "gateway/server.h"
#include "io/loop.h"

struct inherited;
struct launcher;
struct run;
struct sandbox;
struct sdnotify;
struct successor;

struct run_options {
    const char *command;         /* for messages */
    struct config **take_config; /* NULL behind it once it is the server's */
    const char *path;            /* of its file; NULL: there is none to reload */
    struct loop *loop;
    struct sandbox *sandbox; /* entered already; NULL: the configuration's */
    void (*on_ready)(const struct server *server, void *arg); /* or NULL */
    void *arg;
    /* Each may be NULL, and outlives it. */
    struct inherited *inherited; /* sockets that it was given */
    struct successor *successor; /* it takes over from another process */
    struct launcher *launcher;   /* another process can take over from it */
    struct sdnotify *notify;     /* a service manager hears how it goes */
};

/* Serves until a signal ends it. The exit status. */
int run_gateway(const struct run_options *opt);
