/* SPDX-License-Identifier: Apache-2.0
 *
 * grpc_server.c - gRPC's four kinds of call, and grpc.health.v1, until the end of the input.
 */
#include <weir/grpc.h>

#include "example.h"

static void end(void *self, weir_exchange *call)
{
    (void)self;
    weir_grpc_end(call, WEIR_GRPC_OK, NULL, NULL, 0);
}

static void echo(void *self, weir_exchange *call, const void *message, size_t len)
{
    weir_grpc_answer(call, message, len);
    end(self, call);
}

static void count_on(void *self, weir_exchange *call)
{
    for (uintptr_t left; (left = (uintptr_t)weir_exchange_user(call)) > 0;) {
        if (weir_grpc_answer(call, "word", 4) == WEIR_EAGAIN) {
            return; /* its client will take more later */
        }
        weir_exchange_set_user(call, (void *)(left - 1));
    }
    end(self, call);
}

static void count(void *self, weir_exchange *call, const void *message, size_t len)
{
    (void)message;
    weir_exchange_set_user(call, (void *)(uintptr_t)len); /* as many as there are letters */
    count_on(self, call);
}

static void sum(void *self, weir_exchange *call, const void *message, size_t len)
{
    (void)self, (void)message;
    weir_exchange_set_user(call, (void *)((uintptr_t)weir_exchange_user(call) + len));
}

static void sum_end(void *self, weir_exchange *call)
{
    char text[24];
    int len = snprintf(text, sizeof text, "%zu", (size_t)weir_exchange_user(call));
    echo(self, call, text, (size_t)len);
}

static void chat(void *self, weir_exchange *call, const void *message, size_t len)
{
    (void)self;
    weir_grpc_answer(call, message, len);
}

int main(void)
{
    static const weir_grpc_method methods[] = {
        {.path = "/example.Words/Echo", .on_message = echo},
        {.path = "/example.Words/Count", .on_message = count, .on_writable = count_on},
        {.path = "/example.Words/Sum", .on_message = sum, .on_finish = sum_end},
        {.path = "/example.Words/Chat", .on_message = chat, .on_finish = end}};
    const weir_grpc_service service = {.methods = methods, .method_count = 4, .health = WEIR_ON};
    const weir_server_handler handler = {.grpc = &service};
    const weir_server_options opt = {.address = "127.0.0.1:0"};
    weir_runtime *runtime;
    weir_server *server;
    must(weir_runtime_open(NULL, &runtime), "runtime");
    must(weir_server_listen(runtime, &opt, &handler, NULL, &server), "listen");
    printf("%s\n", weir_server_address(server));
    fflush(stdout);
    while (getchar() != EOF) {
    }
    must(weir_server_close(server, 1000), "close");
    must(weir_runtime_close(runtime, 1000), "runtime");
    return 0;
}
