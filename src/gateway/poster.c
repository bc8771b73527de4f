/* SPDX-License-Identifier: Apache-2.0
 *
 * poster.c - how a post ended crosses from the client's thread to the loop's under a lock, with a
 * wake-up.
 */
#include "gateway/poster.h"

#include "base/check.h"
#include "base/text.h"
#include "gateway/own_client.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct poster {
    struct poster_options opt;
    struct own_client client;
    struct loop_wake *wake;
    char *url;
    weir_http_field fields[POSTER_FIELDS_MAX + 1];

    /* The client's thread alone. */
    uint32_t received; /* bytes of the answer */
    uint32_t wait_s;

    pthread_mutex_t lock;
    pthread_cond_t ended;
    bool has_ended;
    struct poster_end end;
};

/* --- on the client's thread ----------------------------------------------------------------------
 */

static uint32_t seconds_of(weir_text text)
{
    uint32_t seconds = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (!text_is_digit(text.at[i]))
            return 0; /* a date, or nothing */
        seconds = seconds * 10 + (uint32_t)(text.at[i] - '0');
        if (seconds > POSTER_WAIT_MAX_S)
            return POSTER_WAIT_MAX_S;
    }
    return seconds;
}

static bool on_head(void *arg, const weir_http_answer *answer)
{
    struct poster *poster = arg;
    weir_text asked = weir_http_field_of(answer, "Retry-After");
    poster->wait_s = asked.at != NULL ? seconds_of(asked) : 0;
    return true;
}

/* What is too long is held back until the time is over. */
static bool on_body(void *arg, const void *data, size_t len)
{
    struct poster *poster = arg;
    (void)data;
    poster->received = len < POSTER_ANSWER_MAX - poster->received ? poster->received + (uint32_t)len
                                                                  : POSTER_ANSWER_MAX;
    return poster->received < POSTER_ANSWER_MAX;
}

static void on_end(void *arg, weir_err err, const weir_http_result *result)
{
    struct poster *poster = arg;
    pthread_mutex_lock(&poster->lock);
    poster->end = (struct poster_end){result->status, err, poster->wait_s};
    poster->has_ended = true;
    pthread_cond_signal(&poster->ended);
    pthread_mutex_unlock(&poster->lock);
    loop_wake_send(poster->wake);
}

static const weir_http_handler handler = {.size = sizeof(handler),
                                          .on_head = on_head,
                                          .on_body = on_body,
                                          .on_end = on_end};

/* --- on the loop's thread ------------------------------------------------------------------------
 */

static void tell(struct poster *poster)
{
    pthread_mutex_lock(&poster->lock);
    const struct poster_end end = poster->end;
    bool has_ended = poster->has_ended;
    poster->has_ended = false;
    pthread_mutex_unlock(&poster->lock);
    if (has_ended)
        poster->opt.on_end(poster->opt.self, &end);
}

static void on_wake(void *self)
{
    tell(self);
}

weir_err poster_post(struct poster *poster, const char *text, size_t len)
{
    const weir_http_request request = {.size = sizeof(request),
                                       .method = "POST",
                                       .url = poster->url,
                                       .fields = poster->fields,
                                       .field_count = poster->opt.fields_count + 1,
                                       .body = text,
                                       .body_len = len,
                                       .flags = WEIR_HTTP_NO_REDIRECT,
                                       .timeout_ms = poster->opt.timeout_ms};
    weir_http_call call;
    poster->received = poster->wait_s = 0; /* nobody else has it: none is under way */
    return weir_http_send(poster->client.http, &request, &handler, poster, &call);
}

void poster_wait(struct poster *poster, uint32_t most_ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += most_ms / 1000;
    until.tv_nsec += (long)(most_ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&poster->lock);
    while (!poster->has_ended
           && pthread_cond_timedwait(&poster->ended, &poster->lock, &until) == 0) {
    }
    pthread_mutex_unlock(&poster->lock);
    tell(poster);
}

/* --- life ----------------------------------------------------------------------------------------
 */

static weir_err open_client(struct poster *poster)
{
    const struct poster_options *opt = &poster->opt;
    const struct own_client_options client = {.name = opt->name, .timeout_ms = opt->timeout_ms};
    return own_client_open(&client, &poster->client);
}

static void init_lock(struct poster *poster)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&poster->lock, NULL);
    pthread_cond_init(&poster->ended, &attr);
    pthread_condattr_destroy(&attr);
}

/* The configuration that they are from may be replaced. */
static bool copy_texts(struct poster *poster)
{
    const struct poster_options *opt = &poster->opt;
    bool is_whole = (poster->url = strdup(opt->url)) != NULL;
    poster->fields[0] = (weir_http_field){.name = "Content-Type", .value = "application/json"};
    for (uint32_t i = 0; i < opt->fields_count; i++) {
        poster->fields[i + 1] = (weir_http_field){.name = strdup(opt->fields[i].name),
                                                  .value = strdup(opt->fields[i].value),
                                                  .secret = opt->fields[i].secret};
        is_whole = is_whole && poster->fields[i + 1].name != NULL
                   && poster->fields[i + 1].value != NULL;
    }
    return is_whole;
}

static void free_texts(struct poster *poster)
{
    free(poster->url);
    for (uint32_t i = 0; i < poster->opt.fields_count; i++) {
        char *value = (char *)(uintptr_t)poster->fields[i + 1].value;
        if (value != NULL)
            explicit_bzero(value, strlen(value));
        free((void *)(uintptr_t)poster->fields[i + 1].name);
        free(value);
    }
}

int poster_open(const struct poster_options *opt, struct poster **ret_poster)
{
    struct poster *poster = calloc(1, sizeof(*poster));
    if (poster == NULL)
        return -ENOMEM;
    poster->opt = *opt;
    check(opt->fields_count <= POSTER_FIELDS_MAX);
    init_lock(poster);
    int error = copy_texts(poster) ? loop_wake_new(opt->loop, on_wake, poster, &poster->wake)
                                   : -ENOMEM;
    if (error == 0 && open_client(poster) != WEIR_OK)
        error = -ENOMEM;
    if (error != 0) {
        poster_close(poster);
        return error;
    }
    *ret_poster = poster;
    return 0;
}

void poster_close(struct poster *take_poster)
{
    if (take_poster == NULL)
        return;
    own_client_close(&take_poster->client);
    if (take_poster->wake != NULL)
        loop_wake_free(take_poster->wake);
    free_texts(take_poster);
    pthread_cond_destroy(&take_poster->ended);
    pthread_mutex_destroy(&take_poster->lock);
    free(take_poster);
}
