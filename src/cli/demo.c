/* SPDX-License-Identifier: Apache-2.0
 *
 * demo.c - `weir demo`: upstreams inside this program, and a gateway in front of them whose
 * configuration is written here, as anyone would write it.
 */
#include "gateway/demo.h"

#include "base/text.h"
#include "cli/command.h"
#include "cli/faults.h"
#include "cli/run.h"
#include "gateway/demo_ai.h"
#include "gateway/demo_grpc.h"
#include "gateway/demo_openclaw.h"
#include "gateway/demo_visitors.h"
#include "gateway/sandbox.h"
#include "io/oserror.h"
#include "io/tls_make.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define CONFIG_BYTES_MAX 4096

static const char template[] =
    "# What `weir demo` runs; `weir serve -c` takes the same.\n"
    "admin: { address: \"127.0.0.1:%u\" }\n"
    "log: { level: error, format: text, access: \"off\" }\n"
    "alerts: { for: 5s, window: 30s }\n"
    "listeners:\n"
    "  - name: web\n"
    "    address: \"127.0.0.1:%u\"\n"
    "    routes: &routes\n"
    "      - { match: { path: /slow }, upstream: slow }\n"
    "      - { match: { path: /events }, upstream: events }\n"
    "      - { match: { path: /openclaw }, upstream: claw }\n"
    "      - { match: { path: /v1 }, upstream: ai, affinity: {} }\n"
    "      - { match: { path: /demo.Words }, upstream: words }\n"
    "      - { match: { path: / }, upstream: plain }\n"
    "  - name: secure\n"
    "    address: \"127.0.0.1:%u\"\n"
    "    tls: { certificate: %s, key: %s }\n"
    "    routes: *routes\n"
    "upstreams:\n"
    "  - name: plain\n"
    "    endpoints:\n"
    "      - { url: \"http://127.0.0.1:%u\" }\n"
    "      - { url: \"http://127.0.0.1:%u\" }\n"
    "      - { url: \"http://127.0.0.1:%u\" }\n"
    "  - name: slow\n"
    "    pool: { max_connections: 8, waiting_max: 8, idle_timeout: 10s }\n"
    "    endpoints: [ { url: \"http://127.0.0.1:%u\" } ]\n"
    "  - name: events\n"
    "    endpoints: [ { url: \"http://127.0.0.1:%u\" } ]\n"
    "  - name: claw\n"
    "    protocol: openclaw\n"
    "    openclaw: { token: demo }\n"
    "    endpoints: [ { url: \"http://127.0.0.1:%u\" } ]\n"
    "  - name: words\n"
    "    protocol: grpc\n"
    "    endpoints: [ { url: \"http://127.0.0.1:%u\" } ]\n"
    "  - name: ai\n"
    "    endpoints: [ { url: \"http://127.0.0.1:%u\" } ]\n"
    "    accounts:\n"
    "      - name: small\n"
    "        headers: { x-api-key: " DEMO_AI_KEY_SMALL " }\n"
    "        priority: 1\n"
    "      - name: spare\n"
    "        headers: { x-api-key: demo-spare }\n"
    "        priority: 2\n";

#define PATH_BYTES 32

struct ports {
    unsigned web, secure, admin;
    char certificate[PATH_BYTES], key[PATH_BYTES];
};

/* Who answers, inside this program. */
struct cast {
    struct loop *loop;
    struct sandbox *sandbox; /* theirs, too */
    uint32_t visits_a_s;
    struct demo_visitors *visitors; /* once there is a gateway to visit */
    struct demo *demo;
    struct demo_openclaw *claw;
    struct demo_ai *ai;
    struct demo_grpc *words;
};

static void welcome(const struct server *server, const struct cast *cast)
{
    const struct demo *demo = cast->demo;
    unsigned web = server_port(server, 0), secure = server_port(server, 1);
    unsigned admin = server_admin_port(server);
    printf(
        "weir %s\n\n"
        "  gateway    http://127.0.0.1:%u\n"
        "  https      https://127.0.0.1:%u   with a certificate made just now\n"
        "  admin      http://127.0.0.1:%u\n"
        "  dashboard  http://127.0.0.1:%u/   open it: somebody visits the gateway all the time\n"
        "  upstreams  127.0.0.1:%u %u %u (plain; the last is tired), %u (slow), %u (events),\n"
        "             %u (an OpenClaw gateway), %u (an AI API), %u (gRPC), inside this program\n\n"
        "Try, in another terminal:\n\n"
        "  curl -i http://127.0.0.1:%u/                      a plain answer, through the pool\n"
        "  curl -i 'http://127.0.0.1:%u/slow?ms=2000'        one that takes its time\n"
        "  curl -N http://127.0.0.1:%u/events                an event stream, live\n"
        "  curl -i -d 'some text' http://127.0.0.1:%u/echo   what the upstream received\n"
        "  curl -k https://127.0.0.1:%u/                     the same through TLS\n"
        "  /usr/bin/python3 -m websockets ws://127.0.0.1:%u/echo      a WebSocket: each line comes back;\n"
        "      or, in a browser's console:\n"
        "      ws = new WebSocket(\"ws://127.0.0.1:%u/echo\")\n"
        "      ws.onmessage = said => console.log(said.data); ws.onopen = () => ws.send(\"hi\")\n"
        "  printf '\\0\\0\\0\\0\\5hello' | curl -s --http2-prior-knowledge --data-binary @- "
        "-H 'content-type: application/grpc' -H 'te: trailers' "
        "http://127.0.0.1:%u/demo.Words/Echo | tail -c 5\n"
        "      a call of gRPC: its message comes back; /demo.Words/Count counts down from one\n"
        "  curl -d '{\"a\": 1}' http://127.0.0.1:%u/openclaw/claw/echo       asks OpenClaw\n"
        "  curl -N http://127.0.0.1:%u/openclaw/claw/events                its events, and\n"
        "  curl -d '{\"count\": 3}' http://127.0.0.1:%u/openclaw/claw/emit   three of them\n"
        "  curl -id '{\"stream\": true, \"messages\": [{\"content\": \"hi\"}]}' "
        "http://127.0.0.1:%u/v1/messages\n"
        "      an AI API with two accounts: at the fourth within 20 s the first one cools down,\n"
        "      and the conversation moves; who has it, and for how long:\n"
        "  curl -s http://127.0.0.1:%u/api/v1/accounts\n"
        "  curl -s http://127.0.0.1:%u/metrics | grep reused\n"
        "  curl -s http://127.0.0.1:%u/api/v1/pools\n\n"
        "Ctrl-C ends it.\n",
        WEIR_VERSION, web, secure, admin, admin, demo_port(demo, 0), demo_port(demo, 1),
        demo_port(demo, DEMO_TIRED), demo_port(demo, 2), demo_port(demo, 3),
        demo_openclaw_port(cast->claw), demo_ai_port(cast->ai), demo_grpc_port(cast->words), web,
        web, web, web, secure, web, web, web, web, web, web, web, admin, admin, admin);
    fflush(stdout);
}

static void on_ready(const struct server *server, void *arg)
{
    struct cast *cast = arg;
    welcome(server, cast);
    if (demo_visitors_open(cast->loop, server_port(server, 0), cast->visits_a_s, &cast->visitors)
        != 0)
        fprintf(stderr, "weir demo: nobody visits it: there is no memory for them\n");
}

/* A file without a name, which ends with the program; `ret_path` is how to read it. */
static int file_of(const char *text, char ret_path[static PATH_BYTES])
{
    int fd = memfd_create("weir-demo", MFD_CLOEXEC);
    size_t len = strlen(text);
    if (fd < 0 || write(fd, text, len) != (ssize_t)len)
        return -errno;
    snprintf(ret_path, PATH_BYTES, "/proc/self/fd/%d", fd);
    return 0;
}

static int make_certificate(struct ports *ports)
{
    static const char *const names[] = {"localhost", "127.0.0.1"};
    const struct tls_make_options opt = {
        .names = names, .names_count = 2, .from_s = -3600, .to_s = (int64_t)30 * 86400};
    char *certificate, *key;
    int error = tls_make_self_signed(&opt, &certificate, &key);
    if (error != 0)
        return error;
    error = file_of(certificate, ports->certificate);
    if (error == 0)
        error = file_of(key, ports->key);
    free(certificate);
    free(key);
    return error;
}

static int run_demo(struct loop *loop, struct cast *cast, const struct ports *ports)
{
    const struct demo *demo = cast->demo;
    char text[CONFIG_BYTES_MAX];
    struct config_faults faults;
    int len = snprintf(text, sizeof(text), template, ports->admin, ports->web, ports->secure,
                       ports->certificate, ports->key, demo_port(demo, 0), demo_port(demo, 1),
                       demo_port(demo, DEMO_TIRED), demo_port(demo, 2), demo_port(demo, 3),
                       demo_openclaw_port(cast->claw), demo_grpc_port(cast->words),
                       demo_ai_port(cast->ai));
    struct config *config = config_read_text("demo", text, (size_t)len, &faults);
    struct run_options opt = {.command = "demo",
                              .take_config = &config,
                              .loop = loop,
                              .sandbox = cast->sandbox,
                              .on_ready = on_ready,
                              .arg = cast};
    int status = 1;
    if (config != NULL)
        status = run_gateway(&opt);
    else
        faults_print(stderr, &faults, false);
    if (status != 0)
        fprintf(stderr,
                "weir demo: --port, --tls-port and --admin-port choose other ports (0: any free "
                "one)\n");
    config_free(config);
    config_faults_free(&faults);
    return status;
}

/* Some have threads of their own, which are inside only if they begin there. */
static int open_cast(struct loop *loop, struct cast *ret_cast)
{
    char fault[SANDBOX_FAULT_MAX];
    ret_cast->loop = loop;
    ret_cast->sandbox = sandbox_new_bare();
    int error = ret_cast->sandbox != NULL ? sandbox_enter(ret_cast->sandbox, fault) : -ENOMEM;
    if (error == 0)
        error = demo_open(loop, &ret_cast->demo);
    if (error == 0)
        error = demo_ai_open(loop, &ret_cast->ai);
    if (error == 0)
        error = demo_openclaw_open(&(struct demo_openclaw_options){0}, &ret_cast->claw);
    if (error == 0)
        error = demo_grpc_open(&ret_cast->words);
    return error;
}

static void close_cast(const struct cast *cast)
{
    demo_visitors_close(cast->visitors);
    demo_grpc_close(cast->words);
    demo_openclaw_close(cast->claw);
    demo_ai_close(cast->ai);
    demo_close(cast->demo);
    sandbox_free(cast->sandbox);
}

static bool port_of(const char *text, unsigned *ret)
{
    uint64_t number;
    if (!text_parse_u64(slice_of(text), &number) || number > 65535)
        return false;
    *ret = (unsigned)number;
    return true;
}

int command_demo(int count, char **words)
{
    const char *port_text = "8080", *tls_text = "8443", *admin_text = "9901";
    const char *visits_text = "20";
    uint64_t visits;
    struct ports ports;
    const struct command_option options[] = {{"--port", &port_text, NULL},
                                             {"--tls-port", &tls_text, NULL},
                                             {"--admin-port", &admin_text, NULL},
                                             {"--visitors", &visits_text, NULL},
                                             {0}};
    if (command_options("demo", count, words, options) != 0 || !port_of(port_text, &ports.web)
        || !port_of(tls_text, &ports.secure) || !port_of(admin_text, &ports.admin)
        || !text_parse_u64(slice_of(visits_text), &visits) || visits > DEMO_VISITS_MAX) {
        fprintf(stderr, "usage: weir demo [--port N] [--tls-port N] [--admin-port N] "
                        "[--visitors N]   (requests a second, up to 1000; 0: none)\n");
        return EXIT_USAGE;
    }
    struct loop *loop;
    struct cast cast = {.visits_a_s = (uint32_t)visits};
    int error = loop_new(&(struct loop_options){0}, &loop);
    if (error != 0) {
        fprintf(stderr, "weir demo: %s\n", oserror_text(error));
        return 1;
    }
    int status = 1;
    error = make_certificate(&ports);
    if (error == 0)
        error = open_cast(loop, &cast);
    if (error != 0) {
        fprintf(stderr,
                "weir demo: cannot make a certificate, or open the upstreams on 127.0.0.1: %s\n",
                oserror_text(error));
    } else {
        status = run_demo(loop, &cast, &ports);
    }
    close_cast(&cast);
    loop_free(loop);
    return status;
}
