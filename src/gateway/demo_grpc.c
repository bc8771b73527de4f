/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/demo_grpc.h"

#include <weir/grpc.h>

#include "base/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct demo_grpc {
    weir_runtime *runtime;
    weir_server *server;
};

static void end(void *self, weir_exchange *call)
{
    (void)self;
    weir_grpc_end(call, WEIR_GRPC_OK, NULL, NULL, 0);
}

/* A client that does not keep up has the call end: what is kept for it is bounded. */
static void echo(void *self, weir_exchange *call, const void *message, size_t len)
{
    (void)self;
    if (weir_grpc_answer(call, message, len) != WEIR_OK)
        weir_grpc_end(call, WEIR_GRPC_RESOURCE_EXHAUSTED, "read what comes back", NULL, 0);
}

static void count_on(void *self, weir_exchange *call)
{
    for (uintptr_t left; (left = (uintptr_t)weir_exchange_user(call)) > 0;) {
        char text[24];
        int len = snprintf(text, sizeof(text), "%lu", (unsigned long)left);
        if (weir_grpc_answer(call, text, (size_t)len) != WEIR_OK)
            return; /* it takes more later */
        weir_exchange_set_user(call, (void *)(left - 1));
    }
    end(self, call);
}

static void count(void *self, weir_exchange *call, const void *message, size_t len)
{
    uint64_t number;
    const struct slice text = {message, (uint32_t)len};
    if (len > UINT8_MAX || !text_parse_u64(text, &number) || number > DEMO_GRPC_COUNT_MAX) {
        weir_grpc_end(call, WEIR_GRPC_INVALID_ARGUMENT, "a number up to a million, in digits", NULL,
                      0);
        return;
    }
    weir_exchange_set_user(call, (void *)(uintptr_t)number);
    count_on(self, call);
}

static const weir_grpc_method methods[] = {
    {.path = "/demo.Words/Echo", .on_message = echo, .on_finish = end},
    {.path = "/demo.Words/Count", .on_message = count, .on_writable = count_on},
};
static const weir_grpc_service service = {.methods = methods,
                                          .method_count = sizeof(methods) / sizeof(*methods),
                                          .health = WEIR_ON};
static const weir_server_handler handler = {.grpc = &service};

static int errno_of(weir_err err)
{
    return err == WEIR_ENOMEM ? -ENOMEM : -EADDRNOTAVAIL;
}

int demo_grpc_open(struct demo_grpc **ret_demo)
{
    const weir_runtime_options runtime = {.workers = 1};
    const weir_server_options server = {.address = "127.0.0.1:0", .keepalive_timeout_ms = 600000};
    struct demo_grpc *demo = calloc(1, sizeof(*demo));
    if (demo == NULL)
        return -ENOMEM;
    weir_err err = weir_runtime_open(&runtime, &demo->runtime);
    if (err == WEIR_OK)
        err = weir_server_listen(demo->runtime, &server, &handler, NULL, &demo->server);
    if (err != WEIR_OK) {
        demo_grpc_close(demo);
        return errno_of(err);
    }
    *ret_demo = demo;
    return 0;
}

void demo_grpc_close(struct demo_grpc *take_demo)
{
    if (take_demo == NULL)
        return;
    if (take_demo->server != NULL)
        weir_server_close(take_demo->server, 0);
    if (take_demo->runtime != NULL)
        weir_runtime_close(take_demo->runtime, 0);
    free(take_demo);
}

uint16_t demo_grpc_port(const struct demo_grpc *demo)
{
    return weir_server_port(demo->server);
}
