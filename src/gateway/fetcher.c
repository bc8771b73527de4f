/* SPDX-License-Identifier: Apache-2.0
 *
 * fetcher.c - an answer crosses from the client's thread to the loop's under a lock, with a
 * wake-up.
 */
#include "gateway/fetcher.h"

#include "base/bytes.h"
#include "base/check.h"
#include "gateway/own_client.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct fetcher {
    struct fetcher_options opt;
    struct own_client client;
    struct loop_wake *wake;
    weir_http_field fields[FETCHER_FIELDS_MAX];

    /* The client's thread alone, while one is under way. */
    struct bytes body;
    bool is_long;
    char etag[FETCHER_ETAG_MAX];

    pthread_mutex_t lock;
    bool has_ended;
    struct fetch_end end;
};

/* --- on the client's thread ----------------------------------------------------------------------
 */

static bool on_head(void *arg, const weir_http_answer *answer)
{
    struct fetcher *fetcher = arg;
    weir_text etag = weir_http_field_of(answer, "ETag");
    if (etag.at != NULL && etag.len < sizeof(fetcher->etag)) {
        memcpy(fetcher->etag, etag.at, etag.len);
        fetcher->etag[etag.len] = '\0';
    }
    return true;
}

/* What is too long is held back until the time is over. */
static bool on_body(void *arg, const void *data, size_t len)
{
    struct fetcher *fetcher = arg;
    fetcher->is_long = fetcher->is_long || !bytes_append(&fetcher->body, data, len);
    return !fetcher->is_long;
}

static void on_end(void *arg, weir_err err, const weir_http_result *result)
{
    struct fetcher *fetcher = arg;
    pthread_mutex_lock(&fetcher->lock);
    fetcher->end = (struct fetch_end){.status = result->status,
                                      .err = err,
                                      .is_long = fetcher->is_long,
                                      .body = bytes_slice(&fetcher->body),
                                      .etag = fetcher->etag};
    fetcher->has_ended = true;
    pthread_mutex_unlock(&fetcher->lock);
    loop_wake_send(fetcher->wake);
}

static const weir_http_handler handler = {.size = sizeof(handler),
                                          .on_head = on_head,
                                          .on_body = on_body,
                                          .on_end = on_end};

/* --- on the loop's thread ------------------------------------------------------------------------
 */

static void on_wake(void *self)
{
    struct fetcher *fetcher = self;
    pthread_mutex_lock(&fetcher->lock);
    const struct fetch_end end = fetcher->end;
    bool has_ended = fetcher->has_ended;
    fetcher->has_ended = false;
    pthread_mutex_unlock(&fetcher->lock);
    if (has_ended)
        fetcher->opt.on_end(fetcher->opt.self, &end);
}

weir_err fetcher_get(struct fetcher *fetcher, const char *etag)
{
    weir_http_field fields[FETCHER_FIELDS_MAX + 2] = {
        {.name = "Accept", .value = "application/json, application/yaml;q=0.9, */*;q=0.1"}};
    uint32_t count = 1;
    if (etag[0] != '\0')
        fields[count++] = (weir_http_field){.name = "If-None-Match", .value = etag};
    for (uint32_t i = 0; i < fetcher->opt.fields_count; i++)
        fields[count++] = fetcher->fields[i];
    const weir_http_request request = {.size = sizeof(request),
                                       .url = fetcher->opt.url,
                                       .fields = fields,
                                       .field_count = count,
                                       .flags = WEIR_HTTP_NO_REDIRECT,
                                       .timeout_ms = fetcher->opt.timeout_ms};
    weir_http_call call;
    bytes_clear(&fetcher->body); /* nobody else has it: none is under way */
    fetcher->is_long = false;
    fetcher->etag[0] = '\0';
    return weir_http_send(fetcher->client.http, &request, &handler, fetcher, &call);
}

/* --- life ----------------------------------------------------------------------------------------
 */

static weir_err open_client(struct fetcher *fetcher)
{
    const struct fetcher_options *opt = &fetcher->opt;
    const struct own_client_options client = {.name = opt->name,
                                              .timeout_ms = opt->timeout_ms,
                                              .dns_servers = opt->dns_servers,
                                              .ca = opt->ca[0] != '\0' ? opt->ca : NULL};
    return own_client_open(&client, &fetcher->client);
}

int fetcher_open(const struct fetcher_options *opt, struct fetcher **ret_fetcher)
{
    struct fetcher *fetcher = calloc(1, sizeof(*fetcher));
    if (fetcher == NULL)
        return -ENOMEM;
    fetcher->opt = *opt;
    check(opt->fields_count <= FETCHER_FIELDS_MAX);
    if (opt->fields_count > 0)
        memcpy(fetcher->fields, opt->fields, opt->fields_count * sizeof(*opt->fields));
    bytes_init(&fetcher->body, &alloc_libc, opt->body_max);
    pthread_mutex_init(&fetcher->lock, NULL);
    int error = loop_wake_new(opt->loop, on_wake, fetcher, &fetcher->wake);
    weir_err err = error == 0 ? open_client(fetcher) : WEIR_OK;
    if (err != WEIR_OK)
        error = err == WEIR_ENOMEM ? -ENOMEM : -EINVAL;
    if (error != 0) {
        fetcher_close(fetcher);
        return error;
    }
    *ret_fetcher = fetcher;
    return 0;
}

void fetcher_close(struct fetcher *take_fetcher)
{
    if (take_fetcher == NULL)
        return;
    own_client_close(&take_fetcher->client);
    if (take_fetcher->wake != NULL)
        loop_wake_free(take_fetcher->wake);
    bytes_fini(&take_fetcher->body);
    pthread_mutex_destroy(&take_fetcher->lock);
    free(take_fetcher);
}
