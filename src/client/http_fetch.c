/* SPDX-License-Identifier: Apache-2.0
 *
 * The blocking façade, and answers as the program sees them: a view of the head while it is told,
 * or a copy of all of it that the program owns, in which every text is followed by a NUL.
 */
#include "base/check.h"
#include "client/http.h"

#include <string.h>

struct fetch {
    struct weir_http_client *client;
    struct ground_wait wait;
    weir_http_call call;
    weir_http_answer *answer;
    uint64_t answer_max;
    weir_err err;   /* as on_end said */
    weir_err fault; /* why the request was called off from here */
};

/* --- gathering, on the worker's thread ----------------------------------------------------------
 */

static char *put(char *to, struct slice text, struct slice *ret_copy)
{
    if (text.len > 0) {
        memcpy(to, text.at, text.len);
    }
    to[text.len] = '\0';
    *ret_copy = (struct slice){to, text.len};
    return to + text.len + 1;
}

static bool is_hidden(const struct http_field *field)
{
    return (field->drop & ANSWER_HIDDEN) != 0;
}

static bool copy_head(weir_http_answer *answer, const weir_http_answer *from)
{
    const struct http_head *head = from->head;
    size_t text = from->url.len + 1;
    for (uint32_t i = 0; i < head->field_count; i++) {
        text += head->fields[i].name.len + head->fields[i].value.len + 2;
    }
    size_t fields = head->field_count * sizeof(struct http_field);
    answer->text = alloc_new(&alloc_libc, fields + text);
    if (answer->text == NULL) {
        return false;
    }
    struct http_field *to = (struct http_field *)(void *)answer->text;
    char *at = put(answer->text + fields, from->url, &answer->url);
    uint16_t count = 0;
    for (uint32_t i = 0; i < head->field_count; i++) {
        const struct http_field *field = &head->fields[i];
        if (is_hidden(field)) {
            continue;
        }
        to[count] = (struct http_field){.id = field->id};
        at = put(at, field->name, &to[count].name);
        at = put(at, field->value, &to[count].value);
        count++;
    }
    answer->own = (struct http_head){.status = head->status, .fields = to, .field_count = count};
    answer->head = &answer->own;
    return true;
}

static void give_up(struct fetch *fetch, weir_err why)
{
    if (fetch->fault == WEIR_OK) {
        fetch->fault = why;
        weir_http_cancel(fetch->client, fetch->call);
    }
}

static bool on_head(void *arg, const weir_http_answer *answer)
{
    struct fetch *fetch = arg;
    if (!copy_head(fetch->answer, answer)) {
        give_up(fetch, WEIR_ENOMEM);
    } else if (answer->head->framing == HTTP_LENGTH
               && answer->head->content_length > fetch->answer_max) {
        give_up(fetch, WEIR_ETOO_LARGE);
    }
    return true;
}

static bool on_body(void *arg, const void *data, size_t len)
{
    struct fetch *fetch = arg;
    struct bytes *body = &fetch->answer->body;
    if (bytes_len(body) + len > fetch->answer_max) {
        give_up(fetch, WEIR_ETOO_LARGE);
    } else if (fetch->fault == WEIR_OK && !bytes_append(body, data, len)) {
        give_up(fetch, WEIR_ENOMEM);
    }
    return true;
}

static void on_end(void *arg, weir_err err, const weir_http_result *result)
{
    struct fetch *fetch = arg;
    struct lane *lane = lane_here(fetch->client);
    fetch->err = fetch->fault != WEIR_OK ? fetch->fault : err;
    fetch->answer->result = *result;
    if (fetch->err == WEIR_OK && !bytes_append(&fetch->answer->body, "", 1)) {
        fetch->err = WEIR_ENOMEM;
    }
    lane_publish(lane); /* who has waited may look at the figures next */
    ground_wait_end(&fetch->wait);
}

static const weir_http_handler gathering = {.size = sizeof gathering,
                                            .on_head = on_head,
                                            .on_body = on_body,
                                            .on_end = on_end};

/* --- waiting ------------------------------------------------------------------------------------
 */

static weir_err fetch_send(struct fetch *fetch, const weir_http_request *request)
{
    /* The caller waits: its body need not be copied. */
    weir_http_request borrowing = {0};
    size_t size = request->size != 0 ? request->size : sizeof *request;
    if (size > sizeof *request) {
        return ground_fault(WEIR_EINVAL, "size");
    }
    memcpy(&borrowing, request, size);
    borrowing.flags |= WEIR_HTTP_BORROW;
    fetch->answer_max = borrowing.answer_max != 0 ? borrowing.answer_max
                                                  : fetch->client->opt.answer_max;
    if (fetch->answer_max > SIZE_MAX / 4) {
        fetch->answer_max = SIZE_MAX / 4;
    }
    bytes_init(&fetch->answer->body, &alloc_libc, (size_t)fetch->answer_max + 1);
    return weir_http_send(fetch->client, &borrowing, &gathering, fetch, &fetch->call);
}

weir_err weir_http_fetch(weir_http_client *client, const weir_http_request *request,
                         weir_http_answer **ret_answer)
{
    weir_err err = ground_may_wait(client->runtime);
    if (err != WEIR_OK) {
        return err;
    }
    struct fetch fetch = {.client = client};
    fetch.answer = alloc_zeroed(&alloc_libc, sizeof *fetch.answer);
    if (fetch.answer == NULL) {
        return WEIR_ENOMEM;
    }
    ground_wait_init(&fetch.wait);
    err = fetch_send(&fetch, request);
    if (err == WEIR_OK) {
        ground_wait_for(&fetch.wait, client->runtime);
        err = fetch.err;
    }
    ground_wait_fini(&fetch.wait);
    if (err != WEIR_OK) {
        weir_http_answer_free(fetch.answer);
        return err;
    }
    *ret_answer = fetch.answer;
    return WEIR_OK;
}

void weir_http_answer_free(weir_http_answer *take_answer)
{
    if (take_answer != NULL) {
        bytes_fini(&take_answer->body);
        alloc_free(&alloc_libc, take_answer->text);
        alloc_free(&alloc_libc, take_answer);
    }
}

/* --- looking at it ------------------------------------------------------------------------------
 */

static weir_text text_of(struct slice text)
{
    return (weir_text){text.at, text.len};
}

uint16_t weir_http_status(const weir_http_answer *answer)
{
    return answer->head->status;
}

weir_text weir_http_field_of(const weir_http_answer *answer, const char *name)
{
    const struct http_head *head = answer->head;
    struct slice wanted = slice_of(name);
    for (uint32_t i = 0; i < head->field_count; i++) {
        const struct http_field *field = &head->fields[i];
        if (!is_hidden(field) && slice_same_nocase(field->name, wanted)) {
            return text_of(field->value);
        }
    }
    return (weir_text){0};
}

size_t weir_http_field_count(const weir_http_answer *answer)
{
    size_t count = 0;
    for (uint32_t i = 0; i < answer->head->field_count; i++) {
        count += !is_hidden(&answer->head->fields[i]);
    }
    return count;
}

bool weir_http_field_at(const weir_http_answer *answer, size_t n, weir_text *ret_name,
                        weir_text *ret_value)
{
    for (uint32_t i = 0; i < answer->head->field_count; i++) {
        const struct http_field *field = &answer->head->fields[i];
        if (is_hidden(field) || n-- > 0) {
            continue;
        }
        *ret_name = text_of(field->name);
        *ret_value = text_of(field->value);
        return true;
    }
    return false;
}

weir_text weir_http_answer_url(const weir_http_answer *answer)
{
    return text_of(answer->url);
}

weir_text weir_http_body(const weir_http_answer *answer)
{
    size_t len = bytes_len(&answer->body);
    return len > 0 ? (weir_text){bytes_at(&answer->body), len - 1} : (weir_text){0};
}

void weir_http_result_of(const weir_http_answer *answer, weir_http_result *ret_result)
{
    *ret_result = answer->result;
}
