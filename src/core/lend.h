/* SPDX-License-Identifier: Apache-2.0
 *
 * lend.h - an engine that several threads use, one at a time, and only one of which steps.
 *
 * The owner holds a lock around every call. The others acquire and release, too; what they cause
 * beyond that - dials, closes, callbacks - is done in the next step of the thread that steps, and
 * they tell it that there is one to be taken. Two things cannot wait for it: the time, which only
 * steps move, and the answer to a caller whose thread sleeps until it comes.
 */
#pragma once
#include <weir/weir.h>

/* Time moves on; what is due stays due until the next step. */
void engine_pass_time(weir_engine *engine, uint64_t now_ms);

/* When the next step is due at the latest; not counting what is due now. */
uint64_t engine_next_ms(const weir_engine *engine);

/* Runs the callbacks that are due and are this function, outside of a step. It calls nothing of the
 * engine. */
void engine_answer(weir_engine *engine, weir_lease_fn *fn);

/* Ends a wait, or a grant that its caller was not told of. WEIR_ESTALE: it was told, or is none of
 * the pool's. */
weir_err lease_cancel(weir_pool *pool, weir_lease id);

/* The lease ended and began anew so many times, on its connection, with nobody waiting; the engine
 * hears of it now. WEIR_ESTALE. */
weir_err lease_renewed(weir_pool *pool, weir_lease id, uint32_t times);
