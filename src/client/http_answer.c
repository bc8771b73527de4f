/* SPDX-License-Identifier: Apache-2.0
 *
 * Receiving: whether an answer is the program's or a redirect's, its body through the decompressor
 * where it has one, and no faster than the program wants it.
 */
#include "base/check.h"
#include "client/http.h"
#include "client/inflate.h"

static void follow(struct request *request, struct http_head *head, struct slice location);
static void tell_head(struct request *request, struct http_head *head);
static bool inflate_more(struct request *request, const void *data, size_t len);

static void pause(struct request *request)
{
    request->is_paused = true;
    if (request->call != NULL) {
        request->call->ops->pause(request->call, true);
    }
}

static void tell_body(struct request *request, const void *data, size_t len)
{
    const weir_http_handler *handler = request->handler;
    request->body_told += len;
    if (handler->on_body == NULL || request->is_canceled) {
        return;
    }
    request->lane->depth++;
    bool goes_on = handler->on_body(request->arg, data, len);
    request->lane->depth--;
    if (!goes_on && !request->is_paused) {
        pause(request);
    }
}

/* --- from the connector -------------------------------------------------------------------------
 */

static bool is_followed(uint16_t status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

static struct slice location_of(const struct http_head *head)
{
    for (uint32_t i = 0; i < head->field_count; i++) {
        const struct http_field *field = &head->fields[i];
        if (field->id == HTTP_FIELD_OTHER && slice_is_nocase(field->name, "location")) {
            return field->value;
        }
    }
    return (struct slice){0};
}

void answer_head(struct request *request, struct http_head *head)
{
    request->first_byte_ns = loop_now_ns(request->lane->loop);
    request->status = head->status;
    if (request->is_canceled) {
        return;
    }
    if (is_followed(head->status) && (request->flags & WEIR_HTTP_NO_REDIRECT) == 0) {
        struct slice location = location_of(head);
        if (location.len > 0) {
            follow(request, head, location);
            return;
        }
    }
    tell_head(request, head);
}

void answer_body(struct request *request, const void *data, size_t len)
{
    lane_count(&request->lane->bytes_in, len);
    if (request->is_redirect) {
        request->discarded += (uint32_t)len;
        if (request->discarded > HTTP_DISCARD_MAX) {
            request_cut(request, WEIR_ERETIRED);
            request_again(request, 0);
        }
    } else if (request->inflater != NULL) {
        inflate_more(request, data, len);
    } else {
        tell_body(request, data, len);
    }
}

/* Programs that were compiled before there was on_trailers say so by their handler's size. */
void answer_trailers(struct request *request, const struct http_head *trailers)
{
    const weir_http_handler *handler = request->handler;
    bool has_it = handler->size == 0
                  || handler->size
                         >= offsetof(weir_http_handler, on_trailers) + sizeof handler->on_trailers;
    if (!has_it || handler->on_trailers == NULL) {
        return;
    }
    const struct weir_http_answer answer = {.head = trailers, .url = request->message.url.text};
    request->lane->depth++;
    handler->on_trailers(request->arg, &answer);
    request->lane->depth--;
}

/* The connection has gone back already. */
void answer_end(struct request *request)
{
    if (request->is_canceled) {
        request_end(request, request_why_canceled(request));
    } else if (request->is_redirect) {
        request_again(request, 0);
    } else if (request->is_paused) {
        request->is_received = true; /* on_end waits for the program, too */
    } else if (request->inflater != NULL && !inflater_is_done(request->inflater)) {
        request_end(request, WEIR_EINFLATE);
    } else {
        request_end(request, WEIR_OK);
    }
}

void answer_resume(struct request *request)
{
    if (!request->is_paused) {
        return;
    }
    request->is_paused = false;
    if (request->inflater != NULL) {
        if (!inflate_more(request, NULL, 0) || request->is_paused) {
            return;
        }
    }
    if (request->call != NULL) {
        request->call->ops->pause(request->call, false);
    } else if (request->is_received) {
        answer_end(request);
    }
}

/* --- redirects ----------------------------------------------------------------------------------
 */

/* A short body is read to its end, to save the connection. */
static void go_on(struct request *request, const struct http_head *head)
{
    bool is_long = head->framing == HTTP_UNTIL_CLOSE
                   || (head->framing == HTTP_LENGTH && head->content_length > HTTP_DISCARD_MAX);
    request->redirects++;
    request->replays = 0;
    request->discarded = 0;
    request->is_redirect = true;
    lane_count(&request->lane->redirects, 1);
    if (request->message.body_len == 0) {
        request->was_pulled = false;
    }
    if (!request_rewind(request)) {
        request_fail(request, WEIR_EREDIRECTS);
    } else if (!request->is_sent || is_long) {
        request_cut(request, WEIR_ERETIRED);
        request_again(request, 0);
    }
}

static void follow(struct request *request, struct http_head *head, struct slice location)
{
    bool hide = request->has_left_home;
    uint32_t most = request->lane->client->opt.redirects_max;
    if (request->redirects >= most) {
        request_fail(request, WEIR_EREDIRECTS);
        return;
    }
    enum redirect redirect = message_redirect(&request->message, head->status, location,
                                              request_is_repeatable(request), &hide);
    request->has_left_home = hide;
    request->is_pulled = request->message.body == NULL && request->message.body_len > 0;
    switch (redirect) {
    case REDIRECT_GO: go_on(request, head); break;
    case REDIRECT_NOT: tell_head(request, head); break;
    case REDIRECT_WONT: request_fail(request, WEIR_EREDIRECTS); break;
    case REDIRECT_MEMORY: request_fail(request, WEIR_ENOMEM); break;
    }
}

/* --- decompression ------------------------------------------------------------------------------
 */

static enum inflate_kind kind_of(const struct http_head *head)
{
    const struct http_field *field = http_find(head, HTTP_CONTENT_ENCODING);
    if (field == NULL || head->framing == HTTP_NO_BODY) {
        return INFLATE_NOTHING;
    }
    if (slice_is_nocase(field->value, "gzip") || slice_is_nocase(field->value, "x-gzip")) {
        return INFLATE_GZIP;
    }
    return slice_is_nocase(field->value, "deflate") ? INFLATE_DEFLATE : INFLATE_NOTHING;
}

/* What the body is no more. */
static void hide_coding(struct http_head *head)
{
    for (uint32_t i = 0; i < head->field_count; i++) {
        if (head->fields[i].id == HTTP_CONTENT_ENCODING
            || head->fields[i].id == HTTP_CONTENT_LENGTH) {
            head->fields[i].drop |= ANSWER_HIDDEN;
        }
    }
}

static bool begin_inflating(struct request *request, struct http_head *head)
{
    const struct weir_http_client *client = request->lane->client;
    if (client->opt.decompress != WEIR_ON || (request->flags & WEIR_HTTP_RAW) != 0) {
        return true;
    }
    enum inflate_kind kind = kind_of(head);
    if (kind == INFLATE_NOTHING) {
        return true;
    }
    request->inflater = inflater_new(client->alloc, kind, client->opt.inflated_max);
    hide_coding(head);
    return request->inflater != NULL;
}

static void tell_head(struct request *request, struct http_head *head)
{
    const weir_http_handler *handler = request->handler;
    if (!begin_inflating(request, head)) {
        request_fail(request, WEIR_ENOMEM);
        return;
    }
    if (handler->on_head == NULL) {
        return;
    }
    const struct weir_http_answer answer = {.head = head, .url = request->message.url.text};
    request->lane->depth++;
    bool goes_on = handler->on_head(request->arg, &answer);
    request->lane->depth--;
    if (!goes_on) {
        pause(request);
    }
}

/* What was held back first. A program that pauses leaves the rest with the inflater. False: the
 * request has ended. */
static bool inflate_more(struct request *request, const void *data, size_t len)
{
    struct inflater *inflater = request->inflater;
    inflater_give(inflater, data, len);
    while (!request->is_paused && !request->is_canceled) {
        const void *out;
        size_t got;
        weir_err err = inflater_next(inflater, &out, &got);
        if (err != WEIR_OK) {
            request_fail(request, err);
            return false;
        }
        if (got == 0) {
            break;
        }
        tell_body(request, out, got);
    }
    if (!inflater_keep(inflater)) {
        request_fail(request, WEIR_ENOMEM);
        return false;
    }
    return true;
}
