/* SPDX-License-Identifier: Apache-2.0
 *
 * session_redis_fuzz.c - any bytes as what a Redis answers to a change, a look-up, a search and a
 * question about a limit, and as its URL: what is taken keeps the limits of a session.
 */
#include "base/check.h"
#include "session/attrs.h"
#include "session/redis_url.h"
#include "session/redis_wire.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_verdict(const struct resp_value *value, struct resp_walk inside)
{
    struct redis_verdict_of of;
    redis_wire_verdict(value, &inside, &of);
    check(of.verdict <= REDIS_REFUSED);
    check(strlen(of.session.place) <= WEIR_SESSION_NAME_MAX);
}

static void check_found(const struct resp_value *value, struct resp_walk inside)
{
    static struct redis_found found;
    struct slice name, text;
    weir_err err = redis_wire_found(value, &inside, &found);
    check(err == WEIR_OK || err == WEIR_ESTALE || err == WEIR_EIO);
    if (err != WEIR_OK) {
        return;
    }
    check(found.session.status > 0 && found.session.status < WEIR_SESSION_STATUS_END);
    check(strlen(found.session.user) <= WEIR_SESSION_NAME_MAX);
    check(found.attrs_len <= sizeof found.attrs);
    struct slice rest = {found.attrs, (uint32_t)found.attrs_len};
    while (attrs_next(&rest, &name, &text)) {
    }
    check(rest.len == 0);
}

static void check_leased(const struct resp_value *value, struct resp_walk inside)
{
    struct lease_answer answer;
    if (redis_wire_leased(value, &inside, &answer)) {
        check(answer.granted <= LEASE_LIMIT_MAX && answer.tokens <= LEASE_LIMIT_MAX);
    }
}

static void check_rows(const struct resp_value *value, struct resp_walk inside)
{
    static struct redis_row rows[REDIS_ROWS_MAX];
    struct redis_rows of = {.rows = rows};
    if (!redis_wire_rows(value, &inside, REDIS_LISTS_MAX, &of)) {
        return;
    }
    check(of.lists <= REDIS_LISTS_MAX && of.count <= REDIS_ROWS_MAX);
    check(of.passed < UINT32_MAX);
    for (uint32_t i = 0; i < of.count; i++) {
        const weir_session *session = &rows[i].session;
        check(rows[i].entry < UINT32_MAX);
        check(rows[i].list < REDIS_LISTS_MAX && strlen(session->user) <= WEIR_SESSION_NAME_MAX);
        check(session->status > 0 && session->status < WEIR_SESSION_STATUS_END);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct redis_url url;
    struct resp_reader reader;
    struct resp_value value;
    char *text = malloc(size + 1); /* ends where it ends: an over-read shows */
    if (text == NULL) {
        return 0;
    }
    if (size > 0) {
        memcpy(text, data, size);
    }
    text[size] = '\0';
    if (redis_url_parse(text, &url)) {
        check(url.port != 0 && url.host[0] != '\0' && url.database <= REDIS_DATABASE);
    }
    resp_reader_init(&reader, NULL);
    size_t whole = resp_read(&reader, text, size);
    struct resp_walk walk = resp_walk_of(text, whole);
    if (whole > 0 && resp_next(&walk, &value)) {
        check_verdict(&value, walk);
        check_found(&value, walk);
        check_leased(&value, walk);
        check_rows(&value, walk);
    }
    free(text);
    return 0;
}
