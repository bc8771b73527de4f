/* SPDX-License-Identifier: Apache-2.0
 *
 * ends.h - how a connection leaves its pool.
 */
#pragma once
#include "core/parts.h"

/* Tells it to close. */
void pool_conn_close(struct conn *conn, weir_err why);

/* Closes it now when it has no lease, else when the last one ends; those are cut after grace_ms. */
void pool_conn_retire(struct conn *conn, weir_err why, uint32_t grace_ms);

/* Its descriptor is shut down under its holders. */
void pool_conn_cut(struct conn *conn, weir_err why);

/* Whether it is too old and closes now. Where somebody uses the key and there is room, its
 * replacement is dialled first, and it serves on until that is up or has failed. */
bool ends_of_age(struct conn *conn);
/* For what it ends then. */
weir_err ends_why(const struct conn *conn);

/* A deadline of the connection fired. */
void pool_conn_timer(struct conn *conn);

/* It is gone; why: as the connector says. */
void pool_conn_gone(struct conn *conn, weir_err why);
