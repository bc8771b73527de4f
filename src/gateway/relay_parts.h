/* SPDX-License-Identifier: Apache-2.0
 *
 * relay_parts.h - what the parts of a relay need of each other: relay.c (there and back),
 * relay_client.c (for whom), relay_pause.c (when), relay_account.c (as whom), relay_health.c
 * (questions about ourselves), relay_end.c (answers of our own).
 */
#pragma once
#include "gateway/transit.h"

/* --- relay.c -----------------------------------------------------------------------------------
 */

/* Chooses an account and an endpoint, and asks for a connection; `head` is the one at hand, or that
 * of the copy. */
void transit_begin(struct transit *transit, struct http_head *head);
/* The same where both are chosen. */
void transit_go(struct transit *transit, struct http_head *head);
/* Asks for a connection at the chosen endpoint. */
void transit_ask(struct transit *transit, uint32_t flags);
/* Whether a request for that path is one to the OpenClaw gateway itself. */
bool transit_is_for_openclaw(const struct transit *transit, struct slice path);
/* Takes one retry from the budget, unless it is free; false: there is none left. */
bool transit_again(struct transit *transit, uint64_t *counter, bool is_free);
void transit_pace_client(struct transit *transit, bool blocked);
void transit_pace_upstream(struct transit *transit, bool blocked);
/* It waits there as long as it would wait for a connection. */
void transit_get_in_line(struct transit *transit, struct wait_line *line, wait_turn_fn *turn);

/* --- relay_shared.c ------------------------------------------------------------------------------
 */

/* The place of an endpoint at that address in an upstream, or UINT32_MAX. */
uint32_t relay_endpoint_in(const struct config_upstream *upstream,
                           const struct config_endpoint *endpoint);

/* --- relay_client.c ------------------------------------------------------------------------------
 */

/* Where there are clients: whose key the request shows, and whether it is time for it. False: it
 * was refused. */
bool client_admit(struct transit *transit, const struct http_head *head);
/* One of its client's places. False: it waits for one, or was refused. */
bool client_enter(struct transit *transit);
/* Who asks: the client, else what the request shows of one; 0: it shows nothing. */
uint64_t client_hash(const struct transit *transit, const struct http_head *head);
/* "": none that the configuration names. */
const char *client_name(const struct transit *transit);
/* Which is normal where nobody says so. */
enum config_priority client_priority(const struct transit *transit);

/* --- relay_pause.c -------------------------------------------------------------------------------
 */

/* False: it waits for the end of a pause, or was refused. */
bool pause_passes(struct transit *transit);

/* --- relay_account.c ---------------------------------------------------------------------------
 */

/* Whether the body is kept until an account is chosen. */
bool account_keeps_body(struct transit *transit, const struct http_head *head);
/* A piece of a body that is kept. False: it was refused. */
bool account_take_body(struct transit *transit, const void *data, size_t len);
/* The account and the endpoint. False: it waits for one, or was refused. */
bool account_choose(struct transit *transit, struct slice path);
/* The account's credentials instead of the client's. */
void account_sign(struct transit *transit, struct http_head *head);
/* The head of an answer: true where another account is asked instead. */
bool account_answered(struct transit *transit, const struct http_head *head);
/* There was no answer: true where another account is asked instead. */
bool account_failed(struct transit *transit, uint64_t *counter);

/* --- relay_session.c ---------------------------------------------------------------------------
 */

/* What its body and its fields say, once. False: it waits for what others know of its conversation,
 * and transit_begin() is called again. */
bool session_read(struct transit *transit);
/* What the choice among endpoints goes by. */
uint64_t session_hash(const struct transit *transit, struct slice path);
void session_wish(const struct transit *transit, struct accounts_wish *wish);
/* It has got an account. */
void session_placed(struct transit *transit, const struct accounts_choice *choice);
/* An answer that goes to its client begins, and is complete. */
void session_answered(struct transit *transit, struct http_head *head);
void session_ended(struct transit *transit);

/* --- relay_stream.c ------------------------------------------------------------------------------
 */

/* An answer that goes to its client begins; a part of its body, not empty, where `hears` says that
 * something is heard; there is no more of it. */
void stream_begin(struct transit *transit, const struct http_head *head);
void stream_hear(struct transit *transit, const void *data, size_t len);
void stream_end(struct transit *transit);

/* --- relay_health.c ------------------------------------------------------------------------------
 */

/* It is asked for, or there is no route; the question comes in the body. */
void relay_ask_health(struct transit *transit, bool is_health, bool end);
void relay_answer_health(struct transit *transit);

/* --- relay_span.c --------------------------------------------------------------------------------
 */

/* Where spans are asked for: its upstream gets to know whose it is part of. */
void span_pass_on(struct transit *transit, struct http_head *head);
/* It has ended. */
void span_record(struct transit *transit, uint64_t ended_ns);

/* --- relay_pace.c
 * ---------------------------------------------------------------------------------
 */

/* A request waits for an upstream: from now on it is looked at how long. */
void pace_begin(struct relay *relay);

/* --- relay_end.c ---------------------------------------------------------------------------------
 */

void relay_answer_with(struct relay *relay, struct http_exchange *ex, enum fault fault,
                       uint32_t retry_after_ms, bool head_only);
/* Answers with an error where nothing was told to the client yet. */
void transit_refuse(struct transit *transit, enum fault fault, uint32_t retry_after_ms);
void transit_refuse_down(struct transit *transit);
/* The same wherever the request stands: an answer that has begun is cut, never completed. */
void transit_cut(struct transit *transit, enum fault fault);
void transit_deadline_passed(struct loop_timer *timer, uint64_t now_ms);
/* Ends what is under way towards the upstream, if anything is. */
void transit_call_off(struct transit *transit);
/* The client has what it will get. */
void transit_finish(struct transit *transit);
/* The lease of its call, which is over. */
void transit_give_back(struct transit *transit, weir_fate fate, weir_err why);
