/* SPDX-License-Identifier: Apache-2.0
 *
 * peer.h - the connector's side of a connection. Its reports are weir_conn_up() and the others of
 * weir.h.
 */
#pragma once
#include "core/parts.h"

/* Tells connectors what is due; true when there was anything. */
bool peer_deliver(weir_engine *engine);

/* A dial failed, or took too long: what its key makes of it. The connection is still there. */
void peer_dial_failed(struct conn *conn, weir_err why);

/* After that, and when it no longer counts as a dial: which callers fail with it. */
void peer_fail_callers(struct key *key, weir_err why);
