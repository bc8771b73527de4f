/* SPDX-License-Identifier: Apache-2.0
 *
 * grpc_client.c - a call of gRPC, of whichever of the four kinds: sends the messages given, prints
 * those that come, and how it ended. With "-" as its one message the call waits (weir_grpc_fetch).
 *
 *     grpc_client http://HOST:PORT/package.Service/Method DEADLINE_MS MESSAGE...
 */
#include <weir/grpc.h>

#include "example.h"

#include <semaphore.h>

static sem_t ended;

static bool on_message(void *arg, const void *data, size_t len)
{
    (void)arg;
    printf("message %.*s\n", len < 60 ? (int)len : 60, (const char *)data);
    return true;
}

static void on_end(void *arg, const weir_grpc_status *status)
{
    (void)arg;
    weir_text more = {NULL, 0};
    if (status->trailers != NULL) {
        more = weir_http_field_of(status->trailers, "x-trailing-bin");
    }
    printf("status %u %s %s %.*s\n", (unsigned)status->code, status->message,
           weir_err_word(status->err), (int)more.len, more.len > 0 ? more.at : "");
    sem_post(&ended);
}

static void stream(weir_grpc_client *client, const char *url, uint32_t deadline_ms, char **messages)
{
    static const weir_grpc_handler handler = {.on_message = on_message, .on_end = on_end};
    static const weir_http_field fields[] = {{.name = "x-from", .value = "an example"}};
    const weir_grpc_request request = {
        .url = url, .fields = fields, .field_count = 1, .deadline_ms = deadline_ms};
    weir_grpc_call *call;
    must(weir_grpc_call_open(client, &request, &handler, NULL, &call), url);
    for (weir_err err = WEIR_OK; *messages != NULL && err == WEIR_OK; messages++) {
        err = weir_grpc_send(call, *messages, strlen(*messages));
    }
    weir_grpc_finish(call);
    sem_wait(&ended);
    weir_grpc_call_free(call);
}

static void wait_for(weir_grpc_client *client, const char *url, uint32_t deadline_ms)
{
    weir_grpc_reply *reply;
    must(weir_grpc_fetch(client, url, "12345", 5, deadline_ms, &reply), url);
    weir_text message = weir_grpc_reply_message(reply);
    printf("reply %u %s %.*s\n", (unsigned)weir_grpc_reply_status(reply),
           weir_grpc_reply_error(reply), (int)message.len, message.at != NULL ? message.at : "");
    weir_grpc_reply_free(reply);
}

int main(int argc, char **argv)
{
    weir_runtime *runtime;
    weir_grpc_client *client;
    need(argc > 2, "grpc_client URL DEADLINE_MS MESSAGE...");
    sem_init(&ended, 0, 0);
    must(weir_runtime_open(NULL, &runtime), "runtime");
    must(weir_grpc_client_new(runtime, NULL, &client), "client");
    uint32_t deadline_ms = (uint32_t)strtoul(argv[2], NULL, 10);
    if (argc == 4 && strcmp(argv[3], "-") == 0) {
        wait_for(client, argv[1], deadline_ms);
    } else {
        stream(client, argv[1], deadline_ms, argv + 3);
    }
    must(weir_grpc_client_free(client), "free");
    must(weir_runtime_close(runtime, 1000), "close");
    return 0;
}
