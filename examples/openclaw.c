/* SPDX-License-Identifier: Apache-2.0
 *
 * openclaw.c - requirement 000: connections to OpenClaw gateways, shared, kept up and listed.
 */
#include <weir/openclaw.h>

#include "example.h"

static void on_event(void *arg, const weir_openclaw_event *event)
{
    (void)arg;
    printf("%s tells %s\n", (const char *)event->gateway_arg, event->name);
}

static weir_openclaw_gateway *gateway(weir_openclaw *claw, const char *url, char *account,
                                      const char *token)
{
    weir_openclaw_gateway *found;
    const weir_openclaw_config config = {
        .url = url, .account = account, .token = token, .arg = account};
    must(weir_openclaw_gateway_of(claw, &config, &found), "gateway");
    return found;
}

static void execute(weir_openclaw_gateway *to, const char *method, const char *params)
{
    weir_openclaw_info info;
    weir_openclaw_result *result;
    const weir_openclaw_request request = {.method = method, .params = params};
    weir_err err = weir_openclaw_execute(to, &request, &result);
    weir_openclaw_info_of(to, &info); /* getConnectionInfo */
    if (err == WEIR_OK) {
        weir_text said = result->ok ? result->payload : result->error;
        printf("%s: %.*s, %s\n", (const char *)info.arg, (int)said.len, said.at,
               weir_openclaw_status_word(info.status));
        weir_openclaw_result_free(result);
    } else {
        printf("%s: %s (%s), %s, %u errors\n", (const char *)info.arg, weir_err_word(err),
               info.last_error_text, weir_openclaw_status_word(info.status), info.errors);
    }
}

static void on_result(void *arg, const weir_openclaw_result *result)
{
    (void)arg;
    printf("one of all: %s\n", result->err == WEIR_OK ? "answered" : weir_err_word(result->err));
}

int main(int argc, char **argv)
{
    weir_runtime *runtime;
    weir_openclaw *claw;
    weir_openclaw_stats stats;
    weir_openclaw_options opt = {.on_event = on_event};
    char names[][8] = {"alice", "carol", "mallory"};
    need(argc > 3, "openclaw URL TOKEN DEAD_URL [OPTION=VALUE]...");
    must_set(&opt.pool, argv + 4);
    must(weir_runtime_open(NULL, &runtime), "runtime");
    must(weir_openclaw_open(runtime, &opt, &claw), "openclaw");
    weir_openclaw_gateway *alice = gateway(claw, argv[1], names[0], argv[2]);
    weir_openclaw_gateway *carol = gateway(claw, argv[3], names[1], argv[2]);
    weir_openclaw_gateway *mallory = gateway(claw, argv[1], names[2], "wrong");
    execute(alice, "health", NULL);
    execute(alice, "chat.send", "{\"message\": \"hello\", \"idempotencyKey\": \"1\"}");
    execute(carol, "health", NULL);   /* nobody is there: in error after 1 + 2 + 4 s */
    execute(mallory, "health", NULL); /* refused: in error after one attempt */
    weir_openclaw_gateway *const all[] = {alice, carol, mallory};
    const weir_openclaw_request health = {.method = "health"};
    must(weir_openclaw_fan_out(all, 3, WEIR_OPENCLAW_ALL, &health, on_result, NULL), "fan out");
    do {
        weir_openclaw_stats_of(claw, &stats); /* getPoolStats */
    } while (stats.in_flight > 0 && usleep(1000) == 0);
    printf("%u connections: %u active, %u idle, %u in error\n", stats.total, stats.active,
           stats.idle, stats.error);
    must(weir_openclaw_disconnect(claw, NULL, 0), "disconnect"); /* disconnectAll */
    must(weir_openclaw_close(claw), "close");
    must(weir_runtime_close(runtime, 1000), "close");
    return 0;
}
