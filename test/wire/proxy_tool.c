/* SPDX-License-Identifier: Apache-2.0
 *
 * proxy_tool.c - the library's clients through proxies, as a program, for tests with real ones.
 *
 *     proxy_tool http|h2|grpc CA PROXY URL [REQUEST_PROXY ...]
 *         One client, whose proxy is PROXY ("-": none), asks for URL once, or once for each
 *         REQUEST_PROXY ("-": without one). Certificates of target and proxy are by CA ("-": the
 *         system's). Prints a line of JSON: what became of each, and how many connections were
 *         made.
 *     proxy_tool test CA PROXY HOST PORT
 *         weir_proxy_test().
 */
#include <weir/grpc.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *word_or(const char *word, const char *otherwise)
{
    return strcmp(word, "-") == 0 ? otherwise : word;
}

_Noreturn static void fail(const char *what)
{
    fprintf(stderr, "proxy_tool: %s: %s\n", what, weir_runtime_fault());
    exit(1);
}

static void ask_http(weir_http_client *client, const char *url, const char *proxy)
{
    weir_http_answer *answer = NULL;
    const weir_http_request request = {.size = sizeof request, .url = url, .proxy = proxy};
    weir_err err = weir_http_fetch(client, &request, &answer);
    if (err == WEIR_OK) {
        printf("\"%u\"", weir_http_status(answer));
    } else {
        printf("\"%s\"", weir_err_word(err));
    }
    weir_http_answer_free(answer);
}

static int http(bool http2, const char *ca, const char *proxy, int count, char **words)
{
    weir_runtime *runtime;
    weir_http_client *client;
    weir_http_stats stats;
    const weir_runtime_options own = {.workers = 1};
    const weir_http_client_options opt = {.size = sizeof opt,
                                          .http2 = http2 ? WEIR_ON : WEIR_OFF,
                                          .proxy = proxy,
                                          .tls.ca = ca,
                                          .proxy_tls.ca = ca};
    if (weir_runtime_open(&own, &runtime) != WEIR_OK
        || weir_http_client_new(runtime, &opt, &client) != WEIR_OK) {
        fail("client");
    }
    printf("{\"results\": [");
    if (count == 1) {
        ask_http(client, words[0], NULL);
    }
    for (int i = 1; i < count; i++) {
        ask_http(client, words[0], word_or(words[i], ""));
        printf(i + 1 < count ? ", " : "");
    }
    weir_http_client_stats(client, &stats);
    printf("], \"created\": %llu}\n", (unsigned long long)stats.created);
    weir_http_client_free(client);
    return weir_runtime_close(runtime, 1000) == WEIR_OK ? 0 : 1;
}

static int grpc(const char *ca, const char *proxy, const char *url)
{
    weir_runtime *runtime;
    weir_grpc_client *client;
    weir_grpc_reply *reply = NULL;
    const weir_runtime_options own = {.workers = 1};
    const weir_grpc_client_options opt = {
        .size = sizeof opt, .tls.ca = ca, .proxy = proxy, .proxy_tls.ca = ca};
    if (weir_runtime_open(&own, &runtime) != WEIR_OK
        || weir_grpc_client_new(runtime, &opt, &client) != WEIR_OK) {
        fail("client");
    }
    weir_err err = weir_grpc_fetch(client, url, "hello", 5, 10000, &reply);
    printf("{\"err\": \"%s\", \"status\": %u, \"said\": \"%s\"}\n", weir_err_word(err),
           err == WEIR_OK ? weir_grpc_reply_status(reply) : 99,
           err == WEIR_OK && weir_grpc_reply_error(reply) != NULL ? weir_grpc_reply_error(reply)
                                                                  : "");
    weir_grpc_reply_free(reply);
    weir_grpc_client_free(client);
    return weir_runtime_close(runtime, 1000) == WEIR_OK ? 0 : 1;
}

static int test(const char *ca, const char *proxy, const char *host, const char *port)
{
    weir_proxy_report report;
    const weir_proxy_way way = {.size = sizeof way,
                                .proxy = proxy,
                                .host = host,
                                .port = (uint16_t)atoi(port),
                                .timeout_ms = 5000,
                                .proxy_tls.ca = ca};
    weir_err err = weir_proxy_test(&way, &report);
    printf(
        "{\"err\": \"%s\", \"step\": \"%s\", \"why\": \"%s\", \"total_us\": %u, \"proxy_us\": %u, "
        "\"fault\": \"%s\"}\n",
        weir_err_word(err), report.step != NULL ? report.step : "", report.why, report.total_us,
        report.proxy_us, err == WEIR_EINVAL ? weir_runtime_fault() : "");
    return 0;
}

int main(int count, char **words)
{
    if (count < 5) {
        return 2;
    }
    const char *ca = word_or(words[2], NULL), *proxy = word_or(words[3], NULL);
    if (strcmp(words[1], "test") == 0 && count == 6) {
        return test(ca, proxy, words[4], words[5]);
    }
    if (strcmp(words[1], "grpc") == 0) {
        return grpc(ca, proxy, words[4]);
    }
    return http(strcmp(words[1], "h2") == 0, ca, proxy, count - 4, words + 4);
}
