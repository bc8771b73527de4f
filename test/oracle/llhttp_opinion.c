/* SPDX-License-Identifier: Apache-2.0 */
#include "opinion.h"

#include <llhttp.h>

/* What its callbacks gather. */
struct gathering {
    struct opinion *opinion;
    const struct question *question;
    struct bytes text, name, value; /* target or reason; of the current field */
    bool in_trailers;
};

static int keep_text(llhttp_t *parser, const char *at, size_t len)
{
    struct gathering *gathering = parser->data;
    return bytes_append(&gathering->text, at, len) ? 0 : -1;
}

static int keep_name(llhttp_t *parser, const char *at, size_t len)
{
    struct gathering *gathering = parser->data;
    return bytes_append(&gathering->name, at, len) ? 0 : -1;
}

static int keep_value(llhttp_t *parser, const char *at, size_t len)
{
    struct gathering *gathering = parser->data;
    return bytes_append(&gathering->value, at, len) ? 0 : -1;
}

static int keep_body(llhttp_t *parser, const char *at, size_t len)
{
    struct gathering *gathering = parser->data;
    return bytes_append(&gathering->opinion->body, at, len) ? 0 : -1;
}

static int start_done(llhttp_t *parser)
{
    struct gathering *gathering = parser->data;
    struct slice text = bytes_slice(&gathering->text);
    bool noted = gathering->question->request
                     ? bytes_printf(&gathering->opinion->head, "%s %.*s 1.%d\n",
                                    llhttp_method_name((llhttp_method_t)parser->method),
                                    SLICE_ARG(text), parser->http_minor)
                     : bytes_printf(&gathering->opinion->head, "%d %.*s 1.%d\n",
                                    parser->status_code, SLICE_ARG(text), parser->http_minor);
    return noted ? 0 : -1;
}

static int field_done(llhttp_t *parser)
{
    struct gathering *gathering = parser->data;
    if (gathering->opinion->head.to == 0) {
        start_done(parser);
    }
    opinion_field(gathering->opinion, bytes_slice(&gathering->name),
                  bytes_slice(&gathering->value));
    bytes_clear(&gathering->name);
    bytes_clear(&gathering->value);
    return 0;
}

static int head_done(llhttp_t *parser)
{
    struct gathering *gathering = parser->data;
    if (gathering->opinion->head.to == 0) {
        start_done(parser);
    }
    gathering->opinion->head_complete = true;
    check(bytes_append_text(&gathering->opinion->head, "--\n"));
    /* Its caller has to say where no body follows. */
    bool bodiless = !gathering->question->request
                    && (gathering->question->to_head || parser->status_code < 200
                        || parser->status_code == 204 || parser->status_code == 304);
    return bodiless ? 1 : 0;
}

static int message_done(llhttp_t *parser)
{
    struct gathering *gathering = parser->data;
    gathering->opinion->outcome = COMPLETE;
    gathering->opinion->keep_alive = llhttp_should_keep_alive(parser);
    return HPE_PAUSED;
}

void llhttp_opinion_of(const struct question *question, struct opinion *opinion)
{
    llhttp_settings_t settings;
    llhttp_t parser;
    struct gathering gathering = {.opinion = opinion, .question = question};
    opinion_init(opinion);
    bytes_init(&gathering.text, &alloc_libc, MESSAGE_MAX);
    bytes_init(&gathering.name, &alloc_libc, MESSAGE_MAX);
    bytes_init(&gathering.value, &alloc_libc, MESSAGE_MAX);
    llhttp_settings_init(&settings);
    settings.on_url = keep_text;
    settings.on_status = keep_text;
    settings.on_header_field = keep_name;
    settings.on_header_value = keep_value;
    settings.on_header_value_complete = field_done;
    settings.on_headers_complete = head_done;
    settings.on_body = keep_body;
    settings.on_message_complete = message_done;
    llhttp_init(&parser, question->request ? HTTP_REQUEST : HTTP_RESPONSE, &settings);
    parser.data = &gathering;
    llhttp_errno_t error = llhttp_execute(&parser, question->bytes, question->len);
    if (opinion->outcome == COMPLETE) {
        opinion->end = (size_t)(llhttp_get_error_pos(&parser) - question->bytes);
    } else if (error != HPE_OK) {
        opinion->outcome = REFUSED;
        opinion->why = llhttp_errno_name(error);
    }
    bytes_fini(&gathering.text);
    bytes_fini(&gathering.name);
    bytes_fini(&gathering.value);
}
