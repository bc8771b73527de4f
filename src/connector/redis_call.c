/* SPDX-License-Identifier: Apache-2.0
 *
 * redis_call.c - what a call says on the connection that it is given, and what it is told. Leases
 * and time are mux.h's.
 */
#include "base/check.h"
#include "connector/redis_parts.h"

static struct redis_call *call_of(struct mux_call *mux)
{
    return container_of(mux, struct redis_call, mux);
}

static struct redis_connector *connector_of(const struct mux_call *mux)
{
    return container_of(mux->mux, struct redis_connector, mux);
}

static void tell(struct redis_call *call, struct redis_outcome *outcome)
{
    outcome->was_sent = call->was_sent;
    outcome->replies = call->replies;
    outcome->detail = outcome->detail != NULL ? outcome->detail : "";
    outcome->run_id = outcome->run_id != NULL ? outcome->run_id : "";
    call->done(call, outcome);
}

/* --- as the mux has it --------------------------------------------------------------------------
 */

static void ask(struct mux_call *mux)
{
    struct redis_call *call = call_of(mux);
    struct redis_connector *connector = connector_of(mux);
    struct redis_conn *conn = mux->conn;
    if (conn->stage != REDIS_UP) {
        mux_call_fail(mux, WEIR_BROKEN, WEIR_EHANGUP);
        return;
    }
    if (!redis_talk_owe(conn, call, call->count, false)) {
        /* It owes more than it ever will give: those who come get another connection. */
        mux_call_fail(mux, WEIR_RETIRE, WEIR_EREAD_TIMEOUT);
        return;
    }
    call->was_sent = true;
    redis_count(&connector->counters.commands, call->count);
    if (!redis_talk_say(conn, call->commands)) {
        redis_talk_forget(conn, call); /* the others on it learn from its end */
        mux_call_fail(mux, WEIR_BROKEN, WEIR_EWRITE_TIMEOUT);
    }
}

static void forget(struct mux_call *mux)
{
    redis_talk_forget(mux->conn, call_of(mux));
}

static void late(struct mux_call *mux)
{
    struct redis_counters *counters = &connector_of(mux)->counters;
    struct redis_conn *conn = mux->conn;
    bool was_asked = mux->state == MUX_ASKED;
    struct redis_outcome outcome = {.err = was_asked ? WEIR_ETOTAL_TIMEOUT : WEIR_EACQUIRE_TIMEOUT};
    redis_count(&counters->timeouts, was_asked);
    if (was_asked && conn->heard_ns <= mux->asked_ns) { /* nothing since: it is dead, or stopped */
        redis_count(&counters->silent, 1);
        redis_conn_gone(conn, WEIR_EREAD_TIMEOUT, "the server says nothing"); /* tells this one */
        return;
    }
    mux_call_end(mux);
    tell(call_of(mux), &outcome);
}

static void failed(struct mux_call *mux, weir_err err, uint32_t retry_after_ms)
{
    struct redis_call *call = call_of(mux);
    const char *refusal = redis_says_word(connector_of(mux)->refusal);
    struct redis_outcome outcome = {
        .err = err, .retry_after_ms = retry_after_ms, .detail = call->was_sent ? "" : refusal};
    tell(call, &outcome);
}

const struct mux_ops redis_mux_ops = {.ask = ask, .forget = forget, .late = late, .failed = failed};

/* --- as its owner and its connection have it ----------------------------------------------------
 */

void redis_call_begin(struct redis_connector *connector, struct redis_call *call,
                      const weir_key *key, uint32_t timeout_ms)
{
    check(call->count > 0 && timeout_ms != WEIR_NEVER);
    call->replies = 0;
    call->was_sent = false;
    mux_call_begin(&connector->mux, &call->mux, key, 0, timeout_ms);
}

void redis_call_cancel(struct redis_call *call)
{
    mux_call_end(&call->mux);
}

void redis_call_replied(struct redis_call *call, const struct resp_value *value,
                        struct resp_walk *inside, bool is_last)
{
    struct mux_call *mux = &call->mux;
    const struct redis_conn *conn = mux->conn;
    uint32_t index = call->replies++;
    if (is_last) {
        mux_call_answered(mux, conn->named.id);
    }
    if (call->on_reply != NULL) {
        call->on_reply(call, index, value, inside);
    }
    if (is_last && mux->state == MUX_ENDING) { /* else it was cancelled */
        struct redis_outcome outcome = {.err = WEIR_OK, .run_id = conn->run_id};
        mux_call_end(mux);
        tell(call, &outcome);
    }
}

void redis_call_lost(struct redis_call *call, weir_err why, const char *detail)
{
    struct redis_outcome outcome = {.err = why, .detail = detail};
    mux_call_lost(&call->mux, why);
    mux_call_end(&call->mux);
    tell(call, &outcome);
}
