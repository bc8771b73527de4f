/* SPDX-License-Identifier: Apache-2.0
 *
 * openclaw_call.c - what a request says on the connection that it is given, what it is told, and
 * when it is sent again. Leases and time are mux.h's.
 */
#include "base/check.h"
#include "connector/openclaw_parts.h"

#include <string.h>

static struct claw_call *call_of(struct mux_call *mux)
{
    return container_of(mux, struct claw_call, mux);
}

static struct claw_connector *connector_of(const struct mux_call *mux)
{
    return container_of(mux->mux, struct claw_connector, mux);
}

static void tell(struct claw_call *call, struct claw_answer *answer)
{
    answer->replays = call->tries > 1 ? call->tries - 1 : 0;
    answer->was_sent = call->was_sent;
    call->done(call, answer);
}

/* --- as the mux has it --------------------------------------------------------------------------
 */

static void ask(struct mux_call *mux)
{
    struct claw_call *call = call_of(mux);
    bool wants_final = (call->flags & CLAW_CALL_FINAL) != 0;
    weir_err err = claw_send(mux->conn, call, call->method, call->params, wants_final, &call->id);
    if (err == WEIR_OK) {
        call->tries++;
        call->was_sent = true;
        claw_count(&connector_of(mux)->counters.requests);
    } else if (err == WEIR_EFULL) {
        /* It owes more answers than it ever will give: those who come get another connection. */
        mux_call_fail(mux, WEIR_RETIRE, WEIR_EREAD_TIMEOUT);
    } else {
        mux_call_fail(mux, WEIR_KEEP, err == WEIR_ESTATE ? WEIR_EHANGUP : err);
    }
}

static void forget(struct mux_call *mux)
{
    struct claw_conn *conn = mux->conn;
    claw_session_leave(&conn->session, call_of(mux)->id);
}

static void late(struct mux_call *mux)
{
    bool was_asked = mux->state == MUX_ASKED;
    struct claw_answer answer = {
        .err = was_asked ? WEIR_ETOTAL_TIMEOUT : WEIR_EACQUIRE_TIMEOUT,
        .detail = was_asked ? "no answer in time" : "",
    };
    if (was_asked) {
        claw_count(&connector_of(mux)->counters.timeouts);
    }
    mux_call_end(mux);
    tell(call_of(mux), &answer);
}

/* The pool's word, and where we were refused, why. */
static void failed(struct mux_call *mux, weir_err err, uint32_t retry_after_ms)
{
    const struct claw_connector_options *opt = &connector_of(mux)->opt;
    struct claw_answer answer = {.err = err, .detail = "", .retry_after_ms = retry_after_ms};
    const struct claw_account *account = opt->account(opt->self, &mux->key);
    if ((err == WEIR_EDOWN || err == WEIR_EDENIED) && account != NULL && account->is_denied) {
        answer.err = WEIR_EDENIED;
        answer.detail = account->refusal.message;
    }
    tell(call_of(mux), &answer);
}

const struct mux_ops claw_mux_ops = {.ask = ask, .forget = forget, .late = late, .failed = failed};

/* --- as its owner and its connection have it ----------------------------------------------------
 */

void claw_call_begin(struct claw_connector *connector, struct claw_call *call, const weir_key *key,
                     uint32_t timeout_ms)
{
    call->tries = 0;
    call->was_sent = false;
    mux_call_begin(&connector->mux, &call->mux, key, call->tag, timeout_ms);
}

void claw_call_cancel(struct claw_call *call)
{
    mux_call_end(&call->mux);
}

void claw_call_answered(struct claw_call *call, const struct claw_frame *frame)
{
    const struct claw_conn *conn = call->mux.conn;
    struct claw_answer answer = {.err = WEIR_OK,
                                 .is_ok = frame->is_ok,
                                 .payload = frame->payload,
                                 .error = frame->error,
                                 .detail = ""};
    mux_call_answered(&call->mux, conn->named.id);
    mux_call_end(&call->mux);
    tell(call, &answer);
}

void claw_call_lost(struct claw_call *call, weir_err why, uint16_t code, const char *detail)
{
    bool is_again = (call->flags & CLAW_CALL_REPLAY) != 0 && call->tries < CLAW_TRIES_MAX
                    && why != WEIR_ECLOSED;
    struct claw_answer answer = {.err = why, .code = code, .detail = detail};
    mux_call_lost(&call->mux, why);
    if (is_again) {
        claw_count(&connector_of(&call->mux)->counters.replays);
        mux_call_again(&call->mux);
    } else {
        mux_call_end(&call->mux);
        tell(call, &answer);
    }
}
