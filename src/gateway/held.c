/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/held.h"

#include "base/alloc.h"
#include "base/check.h"
#include "gateway/forward.h"

#define FIRST_SIZE 1024U

static bool held_room(struct held *held, size_t need)
{
    if (need <= held->size) {
        return true;
    }
    size_t size = held->size > 0 ? held->size : FIRST_SIZE;
    while (size < need) {
        size *= 2;
    }
    char *at = alloc_resize(&alloc_libc, held->at, size);
    if (at == NULL) {
        return false;
    }
    held->at = at;
    held->size = size;
    return true;
}

/* The end of the head's text: nothing in it lies behind the last field's value, but for the end of
 * a line that says it lies as it is to be written. */
static const char *text_end(const struct http_head *head)
{
    const char *end = head->target.at + head->target.len;
    for (uint32_t i = head->field_count; i-- > 0;) {
        const struct http_field *field = &head->fields[i];
        const char *name_end = field->name.at + field->name.len;
        const char *value_end = field->value.at + field->value.len;
        const char *last = field->value.len > 0 ? value_end : name_end;
        if (field->wire) {
            return value_end + 2;
        }
        return last > end ? last : end;
    }
    return end;
}

bool held_take_head(struct held *held, const struct http_head *head)
{
    size_t fields_len = head->field_count * sizeof(struct http_field);
    size_t text_len = (size_t)(text_end(head) - head->method.at);
    if (!held_room(held, fields_len + text_len)) {
        held->head = (struct http_head){0};
        return false;
    }
    if (fields_len > 0) {
        memcpy(held->at, head->fields, fields_len);
    }
    memcpy(held->at + fields_len, head->method.at, text_len);
    held->was = head->method.at;
    held->fields_len = (uint32_t)fields_len;
    held->text_len = (uint32_t)text_len;
    held->body_len = 0;
    held->head = *head;
    return true;
}

bool held_add_body(struct held *held, const void *data, size_t len, size_t max)
{
    size_t used = (size_t)held->fields_len + held->text_len + held->body_len;
    if (len > max || held->body_len > max - len || !held_room(held, used + len)) {
        return false;
    }
    memcpy(held->at + used, data, len);
    held->body_len += len;
    return true;
}

/* The text, from there on. */
static struct slice put(char **to, struct slice text)
{
    struct slice copy = {*to, text.len};
    if (text.len > 0) {
        memcpy(*to, text.at, text.len);
    }
    *to += text.len;
    return copy;
}

bool held_take_trailers(struct held *held, const struct http_head *trailers)
{
    size_t fields_len = trailers->field_count * sizeof(struct http_field);
    size_t text_len = 0;
    for (uint32_t i = 0; i < trailers->field_count; i++) {
        text_len += (size_t)trailers->fields[i].name.len + trailers->fields[i].value.len;
    }
    check(held->tail == NULL);
    held->tail = alloc_new(&alloc_libc, fields_len + text_len);
    if (held->tail == NULL) {
        return false;
    }
    struct http_field *fields = (struct http_field *)(void *)held->tail;
    char *to = held->tail + fields_len;
    for (uint32_t i = 0; i < trailers->field_count; i++) {
        fields[i] = trailers->fields[i];
        fields[i].name = put(&to, trailers->fields[i].name);
        fields[i].value = put(&to, trailers->fields[i].value);
        fields[i].wire = 0;
    }
    held->trailers = (struct http_head){
        .present = trailers->present, .field_count = trailers->field_count, .fields = fields};
    return true;
}

const struct http_head *held_trailers(const struct held *held)
{
    return held->tail != NULL ? &held->trailers : NULL;
}

static void rebase(struct slice *slice, const char *from, const char *to)
{
    if (slice->len > 0) {
        slice->at = to + (slice->at - from);
    }
}

struct http_head *held_head(struct held *held)
{
    struct http_head *head = &held->head;
    const char *from = held->was, *to = held->at + held->fields_len;
    head->fields = (struct http_field *)(void *)held->at;
    for (uint32_t i = 0; i < head->field_count; i++) {
        head->fields[i].drop &= (uint8_t)~FORWARD_DROP;
    }
    if (from != to) {
        rebase(&head->method, from, to);
        rebase(&head->target, from, to);
        rebase(&head->authority, from, to);
        rebase(&head->path, from, to);
        for (uint32_t i = 0; i < head->field_count; i++) {
            rebase(&head->fields[i].name, from, to);
            rebase(&head->fields[i].value, from, to);
        }
        held->was = to;
    }
    held->out = *head;
    return &held->out;
}

const char *held_body(const struct held *held)
{
    return held->at + held->fields_len + held->text_len;
}

void held_reset(struct held *held)
{
    if (held->size > HELD_KEEP_MAX) {
        held_fini(held);
    }
    held->fields_len = held->text_len = 0;
    held->body_len = 0;
    alloc_free(&alloc_libc, held->tail);
    held->tail = NULL;
}

void held_fini(struct held *held)
{
    alloc_free(&alloc_libc, held->at);
    alloc_free(&alloc_libc, held->tail);
    *held = (struct held){0};
}
