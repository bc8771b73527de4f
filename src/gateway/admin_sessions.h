/* SPDX-License-Identifier: Apache-2.0
 *
 * admin_sessions.h - /api/v1/sessions: what is kept of conversations, and what an operator does to
 * one of them.
 *
 *     GET  /api/v1/sessions?id=PREFIX&user=&upstream=&account=&key=CLIENT&status=&limit=
 *                              &scope=gateway|fleet
 *     GET  /api/v1/sessions/ID
 *     POST /api/v1/sessions/ID/rebind   {"account": "a2", "epoch": 3}; without epoch: as it is now
 *     POST /api/v1/sessions/ID/end      it goes where its hash says, like one that is new
 *
 * There is a record only of a conversation that is not where its hash says. Of users a digest is
 * kept and shown; who knows what a user is called can look for it.
 */
#pragma once
#include "base/bytes.h"
#include "gateway/admin_page.h"

#define SESSIONS_SHOWN 100U   /* unless the query says otherwise */
#define SESSIONS_MOST  10000U /* and at most */
