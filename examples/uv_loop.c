/* SPDX-License-Identifier: Apache-2.0
 *
 * uv_loop.c - weir as a guest in a program's uv_loop_t: the HTTP client, asynchronous, beside a
 * timer of the program's own. Everything happens inside uv_run(), on one thread.
 */
#include <weir/http.h>

#include "example.h"

#include <uv.h>

enum { REQUESTS = 5 };

struct fetches {
    uv_loop_t *loop;
    int ended;
    size_t bytes;
};

static bool on_body(void *arg, const void *data, size_t len)
{
    struct fetches *fetches = arg;
    (void)data;
    fetches->bytes += len;
    return true;
}

static void on_end(void *arg, weir_err err, const weir_http_result *result)
{
    struct fetches *fetches = arg;
    printf("%s, status %u\n", weir_err_text(err), (unsigned)result->status);
    if (++fetches->ended == REQUESTS) {
        uv_stop(fetches->loop);
    }
}

static void on_tick(uv_timer_t *timer)
{
    int *ticks = timer->data;
    ++*ticks;
}

int main(int argc, char **argv)
{
    static const weir_http_handler handler = {.on_body = on_body, .on_end = on_end};
    const weir_http_request request = {.url = argv[1]};
    uv_loop_t loop;
    uv_timer_t timer;
    int ticks = 0;
    struct fetches fetches = {.loop = &loop};
    weir_runtime *runtime;
    weir_http_client *client;
    weir_http_call call;
    need(argc == 2, "uv_loop URL");
    uv_loop_init(&loop);
    uv_timer_init(&loop, &timer);
    timer.data = &ticks;
    uv_timer_start(&timer, on_tick, 0, 1);
    must(weir_runtime_open_on_uv(&loop, NULL, &runtime), "runtime");
    must(weir_http_client_new(runtime, NULL, &client), "client");
    for (int i = 0; i < REQUESTS; i++) {
        must(weir_http_send(client, &request, &handler, &fetches, &call), "send");
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    printf("%zu bytes, and the timer %s\n", fetches.bytes, ticks > 0 ? "ran" : "did not run");
    must(weir_http_client_free(client), "free");
    must(weir_runtime_close(runtime, 1000), "close");
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(&loop, UV_RUN_DEFAULT); /* the loop is the program's: nothing of weir is left in it */
    return uv_loop_close(&loop) == 0 ? 0 : 1;
}
