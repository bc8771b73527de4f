/* SPDX-License-Identifier: Apache-2.0
 *
 * Requests: taken on any thread, begun on their gateway's worker, told there. And to several
 * gateways at once.
 */
#include "base/check.h"
#include "client/openclaw.h"
#include "proto/json_read.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define WORKER_SHIFT 24U /* of a ticket: the worker, in the upper bits of its index */
#define FAN_MAX      1000U

static void ask_begins(struct worker_note *note);
static void ask_done(struct claw_call *call, const struct claw_answer *answer);

static uint64_t unix_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

/* --- taking one ---------------------------------------------------------------------------------
 */

static struct slice params_of(const weir_openclaw_request *request)
{
    size_t len = request->params == NULL    ? 0
                 : request->params_len != 0 ? request->params_len
                                            : strlen(request->params);
    return slice_trim((struct slice){request->params, (uint32_t)len});
}

static const char *fault_of(const weir_openclaw_request *request)
{
    struct slice params = params_of(request), key;
    if (request->size > sizeof *request) {
        return "size";
    }
    if (request->method == NULL || request->method[0] == '\0'
        || strlen(request->method) >= CLAW_WORD_MAX) {
        return "method";
    }
    if (request->params_len > UINT32_MAX
        || (params.len > 0 && (!json_is_object(params) || !json_check(params)))) {
        return "params";
    }
    if ((request->flags & ~(unsigned)(WEIR_OPENCLAW_REPLAY | WEIR_OPENCLAW_FINAL)) != 0) {
        return "flags";
    }
    bool is_keyed = params.len > 0 && json_member(params, SLICE("idempotencyKey"), &key);
    return (request->flags & WEIR_OPENCLAW_REPLAY) != 0 && !is_keyed ? "flags" : NULL;
}

static bool take_seat(struct weir_openclaw *claw)
{
    uint32_t taken = atomic_load(&claw->taken);
    do {
        if (taken >= claw->opt.requests_max) {
            return false;
        }
    } while (!atomic_compare_exchange_weak(&claw->taken, &taken, taken + 1));
    return true;
}

static void ask_free(struct claw_ask *ask)
{
    struct weir_openclaw_gateway *gateway = ask->gateway;
    struct claw_post *post = gateway->post;
    struct weir_openclaw *claw = post->claw;
    alloc_free(claw->alloc, ask->text);
    atomic_fetch_sub(&gateway->in_flight, 1);
    pthread_mutex_lock(&post->mutex);
    slots_give(&post->asks, slots_id_of(&post->asks, ask));
    pthread_mutex_unlock(&post->mutex);
    atomic_fetch_sub(&claw->taken, 1);
}

static weir_err ask_new(struct weir_openclaw_gateway *gateway, const weir_openclaw_request *request,
                        struct claw_ask **ret_ask)
{
    struct claw_post *post = gateway->post;
    struct weir_openclaw *claw = post->claw;
    struct slice params = params_of(request);
    size_t method_size = strlen(request->method) + 1;
    uint64_t id;
    if (!take_seat(claw)) {
        return WEIR_EFULL;
    }
    char *text = alloc_new(claw->alloc, method_size + params.len);
    pthread_mutex_lock(&post->mutex);
    struct claw_ask *ask = text != NULL ? slots_take(&post->asks, &id) : NULL;
    pthread_mutex_unlock(&post->mutex);
    if (ask == NULL) {
        alloc_free(claw->alloc, text);
        atomic_fetch_sub(&claw->taken, 1);
        return text != NULL ? WEIR_EFULL : WEIR_ENOMEM;
    }
    memcpy(text, request->method, method_size);
    if (params.len > 0) {
        memcpy(text + method_size, params.at, params.len);
    }
    ask->text = text;
    ask->gateway = gateway;
    ask->note.run = ask_begins;
    ask->timeout_ms = request->timeout_ms != 0 ? request->timeout_ms
                                               : claw->opt.pool.total_timeout_ms;
    ask->begun_ns = now_ns();
    ask->call.done = ask_done;
    ask->call.method = text;
    ask->call.params = (struct slice){text + method_size, params.len};
    ask->call.flags = ((request->flags & WEIR_OPENCLAW_REPLAY) != 0 ? CLAW_CALL_REPLAY : 0U)
                      | ((request->flags & WEIR_OPENCLAW_FINAL) != 0 ? CLAW_CALL_FINAL : 0U);
    ask->call.tag = request->tag;
    atomic_fetch_add(&gateway->in_flight, 1);
    atomic_fetch_add(&claw->calls, 1);
    *ret_ask = ask;
    return WEIR_OK;
}

static weir_err may_ask(const struct weir_openclaw *claw, const weir_openclaw_request *request)
{
    const char *fault = fault_of(request);
    if (fault != NULL) {
        return ground_fault(WEIR_EINVAL, fault);
    }
    return atomic_load(&claw->is_closing) ? WEIR_ECLOSED : WEIR_OK;
}

static weir_openclaw_ticket ticket_of(const struct claw_ask *ask)
{
    const struct claw_post *post = ask->gateway->post;
    uint64_t worker = worker_index(post->worker);
    return (weir_openclaw_ticket){.id = slots_id_of(&post->asks, ask) | worker << WORKER_SHIFT};
}

weir_err weir_openclaw_call(weir_openclaw_gateway *gateway, const weir_openclaw_request *request,
                            weir_openclaw_fn *fn, void *arg, weir_openclaw_ticket *ret_ticket)
{
    struct claw_ask *ask;
    weir_err err = may_ask(gateway->claw, request);
    err = err == WEIR_OK ? ask_new(gateway, request, &ask) : err;
    if (err != WEIR_OK) {
        return err;
    }
    ask->fn = fn;
    ask->arg = arg;
    if (ret_ticket != NULL) {
        *ret_ticket = ticket_of(ask);
    }
    worker_note(gateway->post->worker, &ask->note);
    return WEIR_OK;
}

/* --- its life -----------------------------------------------------------------------------------
 */

static void fan_hears(struct claw_ask *ask, weir_openclaw_result *result);

static void ask_ends(struct claw_ask *ask, const struct claw_answer *answer)
{
    struct weir_openclaw_gateway *gateway = ask->gateway;
    struct weir_openclaw *claw = gateway->claw;
    weir_openclaw_result result = {
        .size = sizeof result,
        .err = answer->err,
        .ok = answer->is_ok,
        .payload = {answer->payload.at, answer->payload.len},
        .error = {answer->error.at, answer->error.len},
        .gateway = gateway,
        .retry_after_ms = answer->retry_after_ms,
        .close_code = answer->code,
        .was_sent = answer->was_sent,
        .replays = answer->replays,
        .total_us = (uint32_t)((now_ns() - ask->begun_ns) / 1000),
    };
    snprintf(result.detail, sizeof result.detail, "%s", answer->detail);
    atomic_fetch_add(answer->err == WEIR_OK ? &claw->answered : &claw->failed, 1);
    if (answer->err == WEIR_OK) {
        atomic_store(&gateway->used_unix_ms, unix_ms());
    }
    struct claw_ask told = *ask; /* its place is free when its owner hears */
    if (ask->fan != NULL) {
        fan_hears(ask, &result);
        ask_free(ask);
        return;
    }
    ask_free(ask);
    told.fn(told.arg, &result);
}

static void ask_done(struct claw_call *call, const struct claw_answer *answer)
{
    ask_ends(container_of(call, struct claw_ask, call), answer);
}

static void ask_begins(struct worker_note *note)
{
    struct claw_ask *ask = container_of(note, struct claw_ask, note);
    struct weir_openclaw_gateway *gateway = ask->gateway;
    struct claw_post *post = gateway->post;
    weir_err err = ask->is_cancelled ? WEIR_ECANCELED : claw_post_ready(post, gateway);
    ask->is_shown = true;
    if (err != WEIR_OK) {
        const struct claw_answer answer = {.err = err, .detail = ""};
        ask_ends(ask, &answer);
        return;
    }
    atomic_store(&gateway->used_unix_ms, unix_ms());
    claw_call_begin(post->connector, &ask->call, &gateway->key.view, ask->timeout_ms);
}

static void ask_cancel(struct claw_ask *ask, weir_err err)
{
    const struct claw_answer answer = {.err = err, .detail = "", .was_sent = ask->call.was_sent};
    if (!ask->is_shown) {
        ask->is_cancelled = true;
        return;
    }
    claw_call_cancel(&ask->call);
    ask_ends(ask, &answer);
}

void claw_asks_end(struct claw_post *post)
{
    for (;;) {
        uint32_t at = 0;
        struct claw_ask *ask;
        pthread_mutex_lock(&post->mutex);
        do {
            ask = slots_walk(&post->asks, &at);
        } while (ask != NULL && !ask->is_shown);
        pthread_mutex_unlock(&post->mutex);
        if (ask == NULL) {
            return;
        }
        ask_cancel(ask, WEIR_ECLOSED);
    }
}

/* --- cancelling ---------------------------------------------------------------------------------
 */

struct recall {
    struct worker_note note;
    struct claw_post *post;
    uint64_t id;
};

static struct claw_ask *ask_at(struct claw_post *post, uint64_t id)
{
    pthread_mutex_lock(&post->mutex);
    struct claw_ask *ask = slots_at(&post->asks, id);
    pthread_mutex_unlock(&post->mutex);
    return ask;
}

static void recall_arrives(struct worker_note *note)
{
    struct recall *recall = container_of(note, struct recall, note);
    struct claw_ask *ask = ask_at(recall->post, recall->id);
    if (ask != NULL) {
        ask_cancel(ask, WEIR_ECANCELED);
    }
    alloc_free(recall->post->claw->alloc, recall);
}

static weir_err recall(struct claw_post *post, uint64_t id)
{
    struct recall *recall = alloc_zeroed(post->claw->alloc, sizeof *recall);
    if (recall == NULL) {
        return WEIR_ENOMEM;
    }
    recall->note.run = recall_arrives;
    recall->post = post;
    recall->id = id;
    worker_note(post->worker, &recall->note);
    return WEIR_OK;
}

weir_err weir_openclaw_cancel(weir_openclaw *claw, weir_openclaw_ticket ticket)
{
    uint32_t worker = (uint32_t)ticket.id >> WORKER_SHIFT;
    uint64_t id = ticket.id & ~((uint64_t)0xff << WORKER_SHIFT);
    struct claw_post *post = worker < claw->posts_count ? claw->posts[worker] : NULL;
    return post == NULL || ask_at(post, id) == NULL ? WEIR_ESTALE : recall(post, id);
}

/* --- waiting ------------------------------------------------------------------------------------
 */

struct execution {
    struct ground_wait wait;
    weir_openclaw_result *result; /* with room for its texts */
    weir_err err;
};

struct held_result {
    weir_openclaw_result result; /* first */
    char texts[];
};

static weir_text hold(char **at, weir_text text)
{
    char *copy = *at;
    if (text.len > 0) {
        memcpy(copy, text.at, text.len);
    }
    copy[text.len] = '\0';
    *at += text.len + 1;
    return (weir_text){copy, text.len};
}

static void executed(void *arg, const weir_openclaw_result *result)
{
    struct execution *execution = arg;
    size_t size = result->payload.len + result->error.len + 2;
    execution->err = result->err;
    if (result->err == WEIR_OK) {
        struct held_result *held = alloc_new(&alloc_libc, sizeof *held + size);
        if (held != NULL) {
            char *at = held->texts;
            held->result = *result;
            held->result.payload = hold(&at, result->payload);
            held->result.error = hold(&at, result->error);
            execution->result = &held->result;
        }
        execution->err = held != NULL ? WEIR_OK : WEIR_ENOMEM;
    }
    ground_wait_end(&execution->wait);
}

weir_err weir_openclaw_execute(weir_openclaw_gateway *gateway, const weir_openclaw_request *request,
                               weir_openclaw_result **ret_result)
{
    struct execution execution = {.err = WEIR_OK};
    weir_runtime *runtime = gateway->claw->runtime;
    weir_err err = ground_may_wait(runtime);
    if (err != WEIR_OK) {
        return err;
    }
    ground_wait_init(&execution.wait);
    err = weir_openclaw_call(gateway, request, executed, &execution, NULL);
    if (err == WEIR_OK) {
        ground_wait_for(&execution.wait, runtime);
        err = execution.err;
    }
    ground_wait_fini(&execution.wait);
    if (err == WEIR_OK) {
        *ret_result = execution.result;
    }
    return err;
}

void weir_openclaw_result_free(weir_openclaw_result *take_result)
{
    alloc_free(&alloc_libc, take_result); /* the first of what holds it */
}

/* --- several gateways ---------------------------------------------------------------------------
 */

struct fan {
    pthread_mutex_t mutex; /* held while its function is called */
    weir_openclaw_fn *fn;
    void *arg;
    struct weir_openclaw *claw;
    bool is_first, is_over;
    uint32_t left;  /* results to come */
    uint32_t users; /* and who begins them */
    uint32_t count;
    struct claw_ask *asks[]; /* FIRST: those that have not ended */
};

static void fan_free(struct fan *fan)
{
    pthread_mutex_destroy(&fan->mutex);
    alloc_free(fan->claw->alloc, fan);
}

/* Locked. The others are asked to end; who cannot be told ends by itself. */
static void recall_others(struct fan *fan)
{
    for (uint32_t i = 0; i < fan->count; i++) {
        const struct claw_ask *ask = fan->asks[i];
        if (ask != NULL) {
            struct claw_post *post = ask->gateway->post;
            recall(post, slots_id_of(&post->asks, ask));
        }
    }
}

/* Locked. */
static void fan_tells(struct fan *fan, weir_openclaw_result *result)
{
    result->left = --fan->left;
    if (!fan->is_first) {
        fan->fn(fan->arg, result);
    } else if (!fan->is_over && ((result->err == WEIR_OK && result->ok) || fan->left == 0)) {
        fan->is_over = true;
        result->left = 0;
        recall_others(fan);
        fan->fn(fan->arg, result);
    }
}

static void fan_leave(struct fan *fan)
{
    bool is_last = --fan->users == 0;
    pthread_mutex_unlock(&fan->mutex);
    if (is_last) {
        fan_free(fan);
    }
}

static void fan_hears(struct claw_ask *ask, weir_openclaw_result *result)
{
    struct fan *fan = ask->fan;
    pthread_mutex_lock(&fan->mutex);
    fan->asks[ask->number] = NULL;
    fan_tells(fan, result);
    fan_leave(fan);
}

static weir_err fan_out(weir_openclaw_gateway *const *gateways, uint32_t count, bool is_first,
                        const weir_openclaw_request *request, weir_openclaw_fn *fn, void *arg)
{
    struct weir_openclaw *claw = gateways[0]->claw;
    struct fan *fan = alloc_zeroed(claw->alloc, sizeof *fan + count * sizeof(struct claw_ask *));
    uint32_t made = 0;
    weir_err err = WEIR_ENOMEM;
    if (fan == NULL) {
        return WEIR_ENOMEM;
    }
    *fan = (struct fan){.fn = fn,
                        .arg = arg,
                        .claw = claw,
                        .is_first = is_first,
                        .left = count,
                        .users = count,
                        .count = count};
    pthread_mutex_init(&fan->mutex, NULL);
    /* All are there before any begins, so that it is taken as a whole or not at all. */
    for (err = WEIR_OK; made < count && err == WEIR_OK; made += err == WEIR_OK) {
        err = ask_new(gateways[made], request, &fan->asks[made]);
        if (err == WEIR_OK) {
            fan->asks[made]->fan = fan;
            fan->asks[made]->number = made;
        }
    }
    if (err != WEIR_OK) {
        while (made > 0) {
            atomic_fetch_sub(&claw->calls, 1);
            ask_free(fan->asks[--made]);
        }
        fan_free(fan);
        return err;
    }
    pthread_mutex_lock(&fan->mutex); /* none ends before all have begun */
    for (uint32_t i = 0; i < count; i++) {
        worker_note(gateways[i]->post->worker, &fan->asks[i]->note);
    }
    pthread_mutex_unlock(&fan->mutex);
    return WEIR_OK;
}

static weir_openclaw_gateway *next_of(weir_openclaw_gateway *const *gateways, uint32_t count)
{
    struct weir_openclaw *claw = gateways[0]->claw;
    uint32_t turn = atomic_fetch_add(&claw->turn, 1);
    for (uint32_t i = 0; i < count; i++) {
        weir_openclaw_gateway *gateway = gateways[(turn + i) % count];
        claw_lock(claw);
        bool is_down = gateway->info.status == WEIR_OPENCLAW_ERROR;
        claw_unlock(claw);
        if (!is_down) {
            return gateway;
        }
    }
    return gateways[turn % count];
}

weir_err weir_openclaw_fan_out(weir_openclaw_gateway *const *gateways, size_t count,
                               weir_openclaw_fan how, const weir_openclaw_request *request,
                               weir_openclaw_fn *fn, void *arg)
{
    if (count == 0 || count > FAN_MAX) {
        return ground_fault(WEIR_EINVAL, "count");
    }
    if (how == WEIR_OPENCLAW_ROUND_ROBIN) {
        return weir_openclaw_call(next_of(gateways, (uint32_t)count), request, fn, arg, NULL);
    }
    if (how != WEIR_OPENCLAW_ALL && how != WEIR_OPENCLAW_FIRST) {
        return ground_fault(WEIR_EINVAL, "how");
    }
    weir_err err = may_ask(gateways[0]->claw, request);
    return err == WEIR_OK
               ? fan_out(gateways, (uint32_t)count, how == WEIR_OPENCLAW_FIRST, request, fn, arg)
               : err;
}
