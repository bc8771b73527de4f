/* SPDX-License-Identifier: Apache-2.0
 *
 * http_client.c - requirement 001: an HTTP client on pooled connections, with its limits, its
 * time-outs and its statistics; the client is freed when its scope ends, however that comes.
 *
 *     http_client URL...
 */
#include <weir/http.h>

#include "example.h"

static int fetch(weir_http_client *client, const char *url)
{
    weir_http_answer *answer;
    weir_http_result result = {.size = sizeof result};
    const weir_http_request request = {.url = url, .timeout_ms = 5000};
    weir_err err = weir_http_fetch(client, &request, &answer);
    if (err != WEIR_OK) {
        printf("%s: %s\n", url, weir_err_text(err));
        return 1;
    }
    weir_text body = weir_http_body(answer), type = weir_http_field_of(answer, "Content-Type");
    weir_http_result_of(answer, &result);
    printf("%u %.*s, %zu bytes, %s connection, %u redirects\n", (unsigned)weir_http_status(answer),
           (int)type.len, type.len ? type.at : "", body.len, result.reused ? "used" : "new",
           result.redirects);
    weir_http_answer_free(answer);
    return 0;
}

static void show(const weir_http_client *client)
{
    weir_http_stats stats = {.size = sizeof stats};
    weir_http_client_stats(client, &stats);
    printf("total_connections %u, acquired_connections %u, max_connections %u, "
           "max_connections_per_host %u\n",
           stats.total, stats.acquired, stats.max, stats.max_per_host);
    printf("sent %llu, answered %llu, reused %llu\n", (unsigned long long)stats.sent,
           (unsigned long long)stats.answered, (unsigned long long)stats.reused);
}

static int use(weir_runtime *runtime, char **urls)
{
    int failed = 0;
    weir_http_client_options opt = {.dns_ttl_ms = 300000}; /* ttl_dns_cache */
    opt.pool.max_total = 100;                              /* max_connections */
    opt.pool.max_per_key = 30;                             /* max_connections_per_host */
    opt.pool.connect_timeout_ms = 10000;                   /* connect_timeout */
    opt.pool.read_timeout_ms = 30000;                      /* sock_read_timeout */
    opt.pool.total_timeout_ms = 60000;                     /* total_timeout */
    opt.pool.idle_timeout_ms = 30000;                      /* keepalive_timeout */
    WEIR_SCOPED(client) client = NULL;
    must(weir_http_client_new(runtime, &opt, &client), "client");
    for (; *urls != NULL; urls++) {
        failed += fetch(client, *urls);
    }
    show(client);
    return failed;
}

int main(int argc, char **argv)
{
    weir_runtime *runtime;
    must(weir_runtime_open(NULL, &runtime), "runtime");
    int failed = use(runtime, argv + (argc > 0));
    must(weir_runtime_close(runtime, 1000), "close");
    return failed != 0;
}
