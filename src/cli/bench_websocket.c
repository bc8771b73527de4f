/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_websocket.c - shots are messages of connections that were opened before; what comes back on
 * a connection answers its oldest message.
 */
#include <weir/websocket.h>

#include "cli/bench.h"
#include "io/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct line {
    struct websocket_way *way;
    weir_websocket ws;
    struct bench_shot *first, *last; /* sent and not answered, by `next` */
    bool is_open, is_over;
};

struct websocket_way {
    struct bench_load *load;
    weir_runtime *runtime;
    weir_websocket_manager *manager;
    pthread_mutex_t lock; /* of the lines */
    pthread_cond_t opened;
    unsigned open, over, next;
    weir_err err; /* why the last one ended */
    char *message;
    struct line lines[];
};

/* --- what comes ----------------------------------------------------------------------------------
 */

static void on_open(void *arg, weir_websocket ws, const weir_websocket_opening *opening)
{
    (void)ws, (void)opening;
    struct line *line = arg;
    pthread_mutex_lock(&line->way->lock);
    line->is_open = true;
    line->way->open++;
    pthread_cond_signal(&line->way->opened);
    pthread_mutex_unlock(&line->way->lock);
}

static struct bench_shot *line_pop(struct line *line)
{
    pthread_mutex_lock(&line->way->lock);
    struct bench_shot *shot = line->first;
    if (shot != NULL)
        line->first = shot->next;
    pthread_mutex_unlock(&line->way->lock);
    return shot;
}

static void on_message(void *arg, weir_websocket ws, weir_websocket_kind kind, const void *data,
                       size_t len)
{
    (void)ws, (void)kind, (void)data, (void)len;
    struct bench_shot *shot = line_pop(arg);
    if (shot != NULL)
        bench_answered(shot, 200, WEIR_OK);
}

static void on_close(void *arg, weir_websocket ws, const weir_websocket_end *end)
{
    (void)ws;
    struct line *line = arg;
    struct bench_shot *shot;
    pthread_mutex_lock(&line->way->lock);
    line->is_over = true;
    line->way->open -= line->is_open;
    line->is_open = false;
    line->way->over++;
    line->way->err = end->err != WEIR_OK ? end->err : WEIR_EHANGUP;
    pthread_cond_signal(&line->way->opened);
    pthread_mutex_unlock(&line->way->lock);
    while ((shot = line_pop(line)) != NULL)
        bench_answered(shot, 0, end->err != WEIR_OK ? end->err : WEIR_ECLOSED);
}

static const weir_websocket_handler handler = {.on_open = on_open,
                                               .on_message = on_message,
                                               .on_close = on_close};

/* --- the way -------------------------------------------------------------------------------------
 */

static weir_err websocket_send(void *self, struct bench_shot *shot)
{
    struct websocket_way *way = self;
    const struct bench_plan *plan = way->load->plan;
    weir_err err = WEIR_ESTATE;
    pthread_mutex_lock(&way->lock);
    for (unsigned i = 0; i < plan->callers && err == WEIR_ESTATE; i++) {
        struct line *line = &way->lines[way->next++ % plan->callers];
        if (!line->is_open)
            continue;
        /* In its place before it is said, as the answer may be quick; under the lock, so that
         * messages of a line are said in the order in which they stand there. */
        struct bench_shot *last = line->last;
        shot->next = NULL;
        if (line->first == NULL)
            line->first = shot;
        else
            last->next = shot;
        line->last = shot;
        err = weir_websocket_send(line->ws, WEIR_WEBSOCKET_BINARY, way->message,
                                  plan->message_bytes);
        if (err == WEIR_OK)
            break;
        if (line->first == shot)
            line->first = NULL;
        else
            line->last = last;
        if (last != NULL && line->first != NULL)
            last->next = NULL;
    }
    pthread_mutex_unlock(&way->lock);
    return err;
}

static void websocket_close(void *self)
{
    struct websocket_way *way = self;
    if (way->manager != NULL)
        weir_websocket_manager_free(way->manager, 1000);
    if (way->runtime != NULL)
        weir_runtime_close(way->runtime, 0);
    pthread_cond_destroy(&way->opened);
    pthread_mutex_destroy(&way->lock);
    free(way->message);
    free(way);
}

static weir_err manager_open(struct websocket_way *way)
{
    const struct bench_plan *plan = way->load->plan;
    const weir_runtime_options runtime = {
        .workers = 1, .waiting_max = plan->callers, .conns_max = plan->callers + 16};
    const weir_websocket_manager_options opt = {
        .pool = {.size = sizeof(opt.pool),
                 .max_total = plan->callers,
                 .max_per_key = plan->callers,
                 .waiting_max = plan->callers},
        .open_timeout_ms = (uint32_t)plan->timeout_ms,
        .http2 = plan->http2 ? WEIR_WEBSOCKET_ONLY : WEIR_OFF,
        .tls = {.verify = plan->insecure ? WEIR_OFF : WEIR_ON}};
    way->message = malloc(plan->message_bytes + 1);
    if (way->message == NULL)
        return WEIR_ENOMEM;
    memset(way->message, 'x', plan->message_bytes);
    weir_err err = weir_runtime_open(&runtime, &way->runtime);
    return err == WEIR_OK ? weir_websocket_manager_new(way->runtime, &opt, &way->manager) : err;
}

static weir_err dial_all(struct websocket_way *way, const char *url)
{
    const struct bench_plan *plan = way->load->plan;
    const weir_websocket_request request = {
        .url = url, .fields = plan->fields, .field_count = plan->fields_count};
    struct timespec until;
    for (unsigned i = 0; i < plan->callers; i++) {
        way->lines[i].way = way;
        weir_err err = weir_websocket_dial(way->manager, &request, &handler, &way->lines[i],
                                           &way->lines[i].ws);
        if (err != WEIR_OK)
            return err;
    }
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += (time_t)(plan->timeout_ms / 1000) + 1;
    pthread_mutex_lock(&way->lock);
    while (way->open < plan->callers && way->over == 0
           && pthread_cond_timedwait(&way->opened, &way->lock, &until) != ETIMEDOUT)
        ;
    weir_err err = way->open == plan->callers ? WEIR_OK
                   : way->over > 0            ? way->err
                                              : WEIR_ECONNECT_TIMEOUT;
    pthread_mutex_unlock(&way->lock);
    return err;
}

static void *websocket_open(struct bench_load *load, const char *url)
{
    struct websocket_way *way = calloc(1, sizeof(*way) + load->plan->callers * sizeof(struct line));
    if (way == NULL) {
        load->why = "out of memory";
        return NULL;
    }
    way->load = load;
    pthread_mutex_init(&way->lock, NULL);
    pthread_cond_init(&way->opened, NULL);
    weir_err err = manager_open(way);
    if (err == WEIR_OK)
        err = dial_all(way, url);
    if (err != WEIR_OK) {
        load->why = err == WEIR_EINVAL ? weir_runtime_fault() : weir_err_text(err);
        websocket_close(way);
        return NULL;
    }
    return way;
}

const struct bench_way bench_websocket = {.open = websocket_open,
                                          .send = websocket_send,
                                          .close = websocket_close};
