/* SPDX-License-Identifier: Apache-2.0
 *
 * admin_explain.c - questions of an operator to the workers: where would this request go, and why
 * was a connection to that key reused or not.
 */
#include "base/list.h"
#include "gateway/admin_page.h"
#include "gateway/admin_rows.h"
#include "gateway/relay_explain.h"
#include "gateway/server.h"
#include "proto/json_read.h"
#include "runtime/worker.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define KEY_TEXT_MAX  1024U
#define KEY_EXPLAINED 8192U /* bytes of text for a key on a worker */
#define KEY_PARTS_MAX 300U

/* --- a query's words -----------------------------------------------------------------------------
 */

struct word {
    const char *name;
    char *value;
    size_t size;
};

static const struct word *word_of(const struct word *words, struct slice name)
{
    while (words->name != NULL && !slice_is(name, words->name))
        words++;
    return words->name != NULL ? words : NULL;
}

static uint16_t read_query(struct slice query, const struct word *words, struct bytes *out)
{
    struct slice pair;
    while (slice_split(&query, '&', &pair)) {
        uint32_t at = slice_find(pair, '='), len;
        const struct word *word = word_of(words, slice_sub(pair, 0, at));
        if (pair.len > 0 && word == NULL)
            return rows_fault(out, 400, "the query has a word that is not understood");
        if (pair.len > 0
            && !text_percent_decode(slice_sub(pair, at + 1, pair.len), true, word->value,
                                    word->size, &len))
            return rows_fault(out, 400, "a value is too long, or not what %xx may stand in");
    }
    return 0;
}

/* --- a request -----------------------------------------------------------------------------------
 */

struct asking {
    uint64_t worker;
    struct relay_question question;
};

static uint16_t read_header(struct slice said, struct relay_question *question, struct bytes *out)
{
    char text[sizeof(question->headers[0].name) + sizeof(question->headers[0].value)];
    uint32_t len;
    if (question->headers_count == QUESTION_HEADERS_MAX
        || !text_percent_decode(said, true, text, sizeof(text), &len))
        return rows_fault(out, 400, "there are too many headers, or one is too long");
    struct question_header *header = &question->headers[question->headers_count++];
    struct slice field = slice_of(text);
    uint32_t colon = slice_find(field, ':');
    struct slice name = slice_trim(slice_sub(field, 0, colon));
    struct slice value = slice_trim(slice_sub(field, colon + 1, field.len));
    if (colon == field.len || !http_name_valid(name) || !http_value_valid(value)
        || slice_copy(header->name, sizeof(header->name), name) >= sizeof(header->name)
        || slice_copy(header->value, sizeof(header->value), value) >= sizeof(header->value))
        return rows_fault(out, 400, "a header is NAME:VALUE");
    return 0;
}

/* IPv4 as IPv4-mapped IPv6. */
static bool read_address(const char *text, uint8_t ret_address[16])
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    if (inet_pton(AF_INET6, text, ret_address) == 1)
        return true;
    memcpy(ret_address, mapped, sizeof(mapped));
    return inet_pton(AF_INET, text, ret_address + sizeof(mapped)) == 1;
}

/* Headers may come several times; what is left of the query is of the other words. */
static uint16_t read_question(struct slice query, struct asking *asking, struct bytes *out)
{
    struct relay_question *q = &asking->question;
    char worker[8] = "", address[64] = "";
    const struct word words[] = {{"host", q->host, sizeof(q->host)},
                                 {"path", q->path, sizeof(q->path)},
                                 {"method", q->method, sizeof(q->method)},
                                 {"session", q->session, sizeof(q->session)},
                                 {"model", q->model, sizeof(q->model)},
                                 {"client", q->client, sizeof(q->client)},
                                 {"listener", q->listener, sizeof(q->listener)},
                                 {"address", address, sizeof(address)},
                                 {"worker", worker, sizeof(worker)},
                                 {NULL, NULL, 0}};
    struct slice pair;
    uint16_t status = 0;
    while (status == 0 && slice_split(&query, '&', &pair))
        status = slice_starts(pair, SLICE("header="))
                     ? read_header(slice_sub(pair, 7, pair.len), q, out)
                     : read_query(pair, words, out);
    if (status == 0 && worker[0] != '\0' && !text_parse_u64(slice_of(worker), &asking->worker))
        status = rows_fault(out, 400, "worker is a number");
    if (status == 0 && q->path[0] != '\0' && q->path[0] != '/')
        status = rows_fault(out, 400, "path begins with a /");
    if (status == 0 && address[0] != '\0' && !read_address(address, q->address))
        status = rows_fault(out, 400, "address is one of IPv4 or IPv6");
    return status;
}

static void say_text(struct census_sheet *sheet, const struct json *json)
{
    sheet->text = malloc(json->len + 1);
    if (sheet->text == NULL || json->full)
        return;
    memcpy(sheet->text, json->at, json->len);
    sheet->text_len = json->len;
}

static void explain_request(const void *data, struct site *site, struct census_sheet *sheet)
{
    const struct asking *asking = data;
    char *room = asking->worker == worker_index(site->worker) ? malloc(EXPLAIN_BYTES_MAX) : NULL;
    if (room == NULL)
        return;
    struct json json = json_into(room, EXPLAIN_BYTES_MAX);
    json_open(&json, NULL, '{');
    json_u64(&json, "worker", asking->worker);
    relay_explain(site->relay, &asking->question, &json);
    json_close(&json, '}');
    say_text(sheet, &json);
    free(room);
}

uint16_t admin_explain(struct server *server, const struct admin_ask *ask,
                       struct census_order *ret_order, struct bytes *out)
{
    struct asking *asking = calloc(1, sizeof(*asking));
    if (asking == NULL)
        return rows_fault(out, 503, "no memory");
    uint16_t status = read_question(ask->query, asking, out);
    if (status == 0 && asking->worker >= server->sites_count)
        status = rows_fault(out, 404, "there is no such worker");
    if (status != 0) {
        free(asking);
        return status;
    }
    *ret_order = (struct census_order){.run = explain_request, .data = asking};
    return 0;
}

uint16_t admin_explain_write(const struct server *server, const struct census *census,
                             bool openmetrics, struct bytes *out)
{
    const struct asking *asking = census->order.data;
    const struct census_sheet *sheet = &census->sheets[asking->worker];
    (void)server, (void)openmetrics;
    if (sheet->text_len == 0)
        return rows_fault(out, 500, "the answer has no room");
    bytes_append(out, sheet->text, sheet->text_len);
    bytes_append_text(out, "\n");
    return 200;
}

/* --- a key ---------------------------------------------------------------------------------------
 */

struct key_asking {
    char key[KEY_TEXT_MAX], pool[80];
    /* The same, taken apart as far as a person can write it. */
    char parts[KEY_PARTS_MAX];
    weir_key parsed;
};

/* scheme://[tenant@]host[:port], in place. */
static bool parse_key(struct key_asking *asking)
{
    char *text = asking->parts;
    if (slice_copy(text, sizeof(asking->parts), slice_of(asking->key)) >= sizeof(asking->parts))
        return false;
    text[strcspn(text, "?")] = '\0';
    char *host = strstr(text, "://");
    if (host == NULL || host == text)
        return false;
    *host = '\0';
    host += 3;
    char *at = strrchr(host, '@');
    asking->parsed = (weir_key){.scheme = text};
    if (at != NULL) {
        *at = '\0';
        asking->parsed.tenant = host;
        host = at + 1;
    }
    char *bracket = host[0] == '[' ? strchr(host, ']') : NULL;
    char *colon = strrchr(bracket != NULL ? bracket : host, ':');
    uint64_t port = strcmp(text, "https") == 0 ? 443 : 80;
    if (colon != NULL && (!text_parse_u64(slice_of(colon + 1), &port) || port > UINT16_MAX))
        return false;
    if (colon != NULL)
        *colon = '\0';
    if (bracket != NULL) {
        *bracket = '\0';
        host++;
    }
    asking->parsed.host = host;
    asking->parsed.port = (uint16_t)port;
    return host[0] != '\0';
}

struct telling {
    const struct key_asking *asking;
    weir_pool *pool;
    struct json *json;
    const char *name;
    uint32_t told;
};

static void tell(struct telling *telling, const weir_key *key, bool is_known)
{
    char text[KEY_EXPLAINED];
    weir_pool_explain(telling->pool, key, text, sizeof(text));
    json_open(telling->json, NULL, '{');
    json_text(telling->json, "pool", telling->name);
    json_bool(telling->json, "known", is_known);
    json_text(telling->json, "text", text);
    json_close(telling->json, '}');
    telling->told++;
}

static bool tell_if_it(void *arg, const weir_key_info *info)
{
    struct telling *telling = arg;
    char text[KEY_TEXT_MAX];
    weir_key_text(info->key, text, sizeof(text));
    if (strcmp(text, telling->asking->key) == 0)
        tell(telling, info->key, true);
    return true;
}

/* Every pool of upstreams, or that one: first whoever knows the key, and else what comes closest.
 */
static void tell_all(const struct key_asking *asking, struct site *site, struct json *json)
{
    const struct server *server = site->server;
    uint32_t told = 0;
    for (int round = 0; round < 2 && told == 0; round++)
        for (uint32_t i = 0; i < census_pools_count(server); i++) {
            struct census_who who = census_who_of(server, i);
            struct telling telling = {asking, census_pool_of(site, i), json, who.name, 0};
            if (who.kind == CENSUS_LISTENER
                || (asking->pool[0] != '\0' && strcmp(asking->pool, who.name) != 0))
                continue;
            if (round == 0)
                weir_pool_each_key(telling.pool, tell_if_it, &telling);
            else
                tell(&telling, &asking->parsed, false);
            told += telling.told;
        }
}

static void explain_key(const void *data, struct site *site, struct census_sheet *sheet)
{
    char *room = malloc(EXPLAIN_BYTES_MAX);
    if (room == NULL)
        return;
    struct json json = json_into(room, EXPLAIN_BYTES_MAX);
    json_open(&json, NULL, '[');
    tell_all(data, site, &json);
    json_close(&json, ']');
    say_text(sheet, &json);
    free(room);
}

uint16_t admin_explain_key(struct server *server, const struct admin_ask *ask,
                           struct census_order *ret_order, struct bytes *out)
{
    struct key_asking *asking = calloc(1, sizeof(*asking));
    (void)server;
    if (asking == NULL)
        return rows_fault(out, 503, "no memory");
    const struct word words[] = {{"key", asking->key, sizeof(asking->key)},
                                 {"pool", asking->pool, sizeof(asking->pool)},
                                 {NULL, NULL, 0}};
    uint16_t status = read_query(ask->query, words, out);
    if (status == 0 && !parse_key(asking))
        status = rows_fault(out, 400, "a key is scheme://[tenant@]host:port");
    if (status != 0) {
        free(asking);
        return status;
    }
    *ret_order = (struct census_order){.run = explain_key, .data = asking};
    return 0;
}

uint16_t admin_explain_key_write(const struct server *server, const struct census *census,
                                 bool openmetrics, struct bytes *out)
{
    struct rows rows;
    (void)server, (void)openmetrics;
    rows_open(&rows, "explained", out);
    for (uint32_t w = 0; w < census->sheets_count; w++) {
        const struct census_sheet *sheet = &census->sheets[w];
        struct slice list = {sheet->text, (uint32_t)sheet->text_len}, name, row;
        struct json_at at = {0};
        rows.cut = rows.cut || sheet->text_len == 0;
        while (sheet->text_len > 0 && json_next(list, &at, &name, &row))
            /* An object that begins with its worker: the rest is as that has said it. */
            bytes_printf(out, "%s{\"worker\":%" PRIu32 ",%.*s", rows.before, w, (int)row.len - 1,
                         row.at + 1),
                rows.before = ",\n";
    }
    return rows_close(&rows);
}
