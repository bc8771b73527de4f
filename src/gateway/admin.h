/* SPDX-License-Identifier: Apache-2.0
 *
 * admin.h - the admin interface: how it stands, what it counts, what there is. On the hub's thread.
 *
 * Its pages are the table in admin.def (admin_page.h).
 *
 * Always true: nothing is changed by a GET; a request whose Host or Origin is another site's gets
 * 403, one without the token (where there is one) 401, and whoever guesses is slowed down; no
 * answer holds a secret. A slow reader costs its own answer's memory and nobody else's time.
 */
#pragma once
#include "gateway/server.h"

/* More than may read live figures and follow events, so that those keep nobody else out. */
#define ADMIN_REQUESTS_MAX 96U         /* at a time */
#define ADMIN_ANSWER_MAX   (64U << 20) /* bytes of one answer */
#define ADMIN_INPUT_MAX    (64U << 10) /* bytes of a command's body, */
#define ADMIN_PUT_MAX      (1U << 20)  /* and of what is PUT */
#define ADMIN_CLIENTS_MAX  128U
#define ADMIN_RESERVE      4U  /* of them are let in when nobody else can be any more */
#define ADMIN_GUESSES_MAX  10U /* wrong tokens of one address a minute */
#define ADMIN_GUESSERS_MAX 64U /* addresses remembered */

/* Binds config.admin.address. 0 or -errno. */
int admin_open(struct server *server, struct admin **ret_admin);
/* Cuts its clients. The workers must be gone, or still answer letters. */
void admin_close(struct admin *admin);
uint16_t admin_port(const struct admin *admin);
/* See server_sockets(), server_pause(), server_resume(), server_give(). */
struct accept_port *admin_socket(const struct admin *admin);
void admin_pause(struct admin *admin);
void admin_resume(struct admin *admin);
void admin_give(struct admin *admin);
/* The gateway is about to end: streams of events end, other requests are answered, for which they
 * have a second. Then `ended` is called, in a later event; what is left is admin_close()'s. */
void admin_end(struct admin *admin, void (*ended)(void *arg), void *arg);
