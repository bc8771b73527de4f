/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/otlp.h"

#include "base/ring.h"
#include "gateway/poster.h"
#include "gateway/telemetry.h"
#include "io/clock.h"

#include <errno.h>
#include <stdlib.h>

#define LOOK_MS       200U
#define CLOSE_WAIT_MS 1000U
#define PAUSE_MS      1000U /* before the first repetition */

/* The last 56 bits of a trace's id are random (W3C Trace Context 2 §2.3). */
#define RANDOM_END (UINT64_C(1) << 56)

struct otlp_ring {
    struct spsc spans;
    uint64_t dropped; /* count_one(): the worker's */
    uint64_t reject;  /* trace ids whose random end is below are not recorded */
};

struct otlp {
    struct otlp_options opt;
    struct poster *poster;
    weir_http_field fields[POSTER_FIELDS_MAX];
    struct loop_timer timer;
    struct otlp_counts counts;
    struct bytes batch; /* a message, whole, where `waiting` is above 0 */
    bool is_under_way;  /* … and posted */
    uint32_t failures;  /* of it, so far */
    uint64_t due_ms;    /* when it is posted again */
    bool is_behind;     /* there may be more than it took */
    bool is_closing;
    uint32_t rings_count;
    struct otlp_ring rings[];
};

static void look(struct otlp *otlp);

/* --- on a worker ---------------------------------------------------------------------------------
 */

bool otlp_samples(const struct otlp_ring *ring, uint64_t trace_end)
{
    return (trace_end & (RANDOM_END - 1)) >= ring->reject;
}

void otlp_record(struct otlp_ring *ring, const struct span *span)
{
    if (!spsc_push(&ring->spans, span))
        count_one(&ring->dropped);
}

/* --- batches -------------------------------------------------------------------------------------
 */

/* Requests in turn of the workers, as many as there are or as fit. */
static void gather(struct otlp *otlp)
{
    struct span span;
    uint32_t requests = 0;
    uint64_t ahead_ns = (clock_wall_ms() - clock_now_ms()) * 1000000;
    for (uint32_t r = 0; r < otlp->rings_count; r++) {
        while (requests < OTLP_BATCH_MAX && spsc_pop(&otlp->rings[r].spans, &span)) {
            if (requests == 0 && !span_message_begin(&otlp->batch, otlp->opt.node)) {
                otlp->counts.failed += span_count(&span);
                otlp->is_behind = true;
                return;
            }
            uint32_t added = span_message_add(&otlp->batch, requests, &span, ahead_ns);
            otlp->counts.waiting += added;
            otlp->counts.failed += added == 0 ? span_count(&span) : 0;
            requests = added > 0 ? requests + 1 : OTLP_BATCH_MAX; /* there is no more room */
        }
    }
    otlp->is_behind = requests == OTLP_BATCH_MAX;
    if (otlp->counts.waiting == 0 || !span_message_end(&otlp->batch)) {
        otlp->counts.failed += otlp->counts.waiting;
        otlp->counts.waiting = 0;
        bytes_clear(&otlp->batch);
    }
}

static void leave_batch(struct otlp *otlp, uint64_t *counter)
{
    *counter += otlp->counts.waiting;
    otlp->counts.waiting = 0;
    otlp->failures = 0;
    bytes_clear(&otlp->batch);
}

static bool may_repeat(const struct poster_end *end)
{
    return end->status == 0 || end->status == 429 || (end->status >= 502 && end->status <= 504);
}

static void post_failed(struct otlp *otlp, const struct poster_end *end)
{
    otlp->counts.posts_failed++;
    if (may_repeat(end) && otlp->failures < OTLP_REPEATS_MAX && !otlp->is_closing) {
        uint64_t pause_ms = (uint64_t)PAUSE_MS << otlp->failures++;
        uint64_t asked_ms = (uint64_t)end->wait_s * 1000;
        otlp->due_ms = loop_now_ms(otlp->opt.loop) + (asked_ms > pause_ms ? asked_ms : pause_ms);
        return;
    }
    log_to(otlp->opt.log, LOG_WARN_LEVEL, "collector does not take spans",
           log_u64("status", end->status),
           log_text("why", end->err != WEIR_OK ? weir_err_word(end->err) : ""),
           log_u64("spans", otlp->counts.waiting));
    leave_batch(otlp, &otlp->counts.failed);
}

static void on_end(void *self, const struct poster_end *end)
{
    struct otlp *otlp = self;
    otlp->is_under_way = false;
    if (end->err == WEIR_OK && end->status / 100 == 2)
        leave_batch(otlp, &otlp->counts.sent);
    else
        post_failed(otlp, end);
    if (otlp->is_behind && !otlp->is_closing)
        look(otlp);
}

/* The batch that waits, else the next one. */
static void look(struct otlp *otlp)
{
    if (otlp->is_under_way
        || (otlp->counts.waiting > 0 && !otlp->is_closing
            && loop_now_ms(otlp->opt.loop) < otlp->due_ms))
        return;
    if (otlp->counts.waiting == 0)
        gather(otlp);
    if (otlp->counts.waiting == 0)
        return;
    weir_err err = poster_post(otlp->poster, bytes_at(&otlp->batch), bytes_len(&otlp->batch));
    otlp->is_under_way = err == WEIR_OK;
    if (err != WEIR_OK)
        post_failed(otlp, &(struct poster_end){.err = err});
}

static void on_timer(struct loop_timer *timer, uint64_t now_ms)
{
    struct otlp *otlp = container_of(timer, struct otlp, timer);
    loop_timer_set(otlp->opt.loop, timer, now_ms + LOOK_MS);
    look(otlp);
}

/* --- life ----------------------------------------------------------------------------------------
 */

static int open_rings(struct otlp *otlp)
{
    double sample = otlp->opt.config->log.otlp.sample;
    for (uint32_t i = 0; i < otlp->opt.workers; i++) {
        struct otlp_ring *ring = &otlp->rings[i];
        if (!spsc_init(&ring->spans, &alloc_libc, sizeof(struct span),
                       otlp->opt.config->log.otlp.queue))
            return -ENOMEM;
        ring->reject = (uint64_t)((1 - sample) * (double)RANDOM_END);
        otlp->rings_count++;
    }
    return 0;
}

static int open_poster(struct otlp *otlp)
{
    const struct config_fields *headers = &otlp->opt.config->log.otlp.headers;
    for (uint32_t i = 0; i < headers->count; i++)
        otlp->fields[i] = (weir_http_field){
            .name = headers->at[i].name, .value = headers->at[i].value, .secret = true};
    const struct poster_options opt = {.loop = otlp->opt.loop,
                                       .name = "otlp",
                                       .url = otlp->opt.config->log.otlp.url,
                                       .fields = otlp->fields,
                                       .fields_count = headers->count,
                                       .timeout_ms = otlp->opt.config->log.otlp.timeout_ms,
                                       .on_end = on_end,
                                       .self = otlp};
    return poster_open(&opt, &otlp->poster);
}

int otlp_open(const struct otlp_options *opt, struct otlp **ret_otlp)
{
    size_t size = sizeof(struct otlp) + opt->workers * sizeof(struct otlp_ring);
    struct otlp *otlp = aligned_alloc(_Alignof(struct otlp), size);
    if (otlp == NULL)
        return -ENOMEM;
    memset(otlp, 0, size);
    otlp->opt = *opt;
    otlp->timer.fire = on_timer;
    bytes_init(&otlp->batch, &alloc_libc, OTLP_BYTES_MAX);
    int error = open_rings(otlp);
    if (error == 0)
        error = open_poster(otlp);
    if (error != 0) {
        otlp_close(otlp);
        return error;
    }
    loop_timer_set(opt->loop, &otlp->timer, clock_now_ms() + LOOK_MS);
    *ret_otlp = otlp;
    return 0;
}

/* Whatever is under way first; then what is left in the rings, as far as it goes into one batch. */
static void say_the_last(struct otlp *otlp)
{
    uint64_t until_ms = clock_now_ms() + CLOSE_WAIT_MS;
    otlp->is_closing = true;
    for (unsigned turn = 0; turn < 2; turn++) {
        uint64_t now_ms = clock_now_ms();
        if (!otlp->is_under_way)
            look(otlp);
        if (!otlp->is_under_way || now_ms >= until_ms)
            return;
        poster_wait(otlp->poster, (uint32_t)(until_ms - now_ms));
    }
}

void otlp_close(struct otlp *take_otlp)
{
    if (take_otlp == NULL)
        return;
    if (take_otlp->poster != NULL)
        say_the_last(take_otlp);
    loop_timer_stop(take_otlp->opt.loop, &take_otlp->timer);
    poster_close(take_otlp->poster);
    for (uint32_t i = 0; i < take_otlp->rings_count; i++)
        spsc_fini(&take_otlp->rings[i].spans);
    bytes_fini(&take_otlp->batch);
    free(take_otlp);
}

struct otlp_ring *otlp_ring_of(struct otlp *otlp, uint32_t worker)
{
    return &otlp->rings[worker];
}

struct otlp_counts otlp_counts_of(const struct otlp *otlp)
{
    struct otlp_counts counts = {.sent = 0};
    if (otlp == NULL)
        return counts;
    counts = otlp->counts;
    for (uint32_t i = 0; i < otlp->rings_count; i++)
        counts.dropped += count_read(&otlp->rings[i].dropped);
    return counts;
}
