/* SPDX-License-Identifier: Apache-2.0
 *
 * client_bench.c - N clients in one process, as cheap as their kind can be: what the HTTP client
 * costs beside a bare epoll loop and libcurl's multi interface, and beside a connection for each
 * request.
 *
 *     client_bench KIND PORT PATH CLIENTS WARM_S SECONDS [THINK_MS [CA]]
 *     KIND: weir | epoll | multi (curl_multi_poll) | socket (curl_multi_socket_action on epoll)
 *           weir-fresh | epoll-fresh   a connection for each request
 *     client_bench objects
 *         what making a client and reading its figures cost
 *
 * Each client asks when its last answer is there, so that CLIENTS requests are in flight; or, with
 * THINK_MS, about so long after it (not libcurl's). Latencies are taken from when a request was
 * due; where nobody thinks, of one client in eight. With CA (weir's alone), over TLS to a server
 * that this authority vouches for.
 *
 * Prints one line of JSON: requests in the window, the process's CPU time in it, connections that
 * were opened, failures. The time is getrusage()'s, of all threads.
 */
#include <weir/http.h>

#include "histogram.h"
#include "net.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#ifdef BENCH_CURL
#    include <curl/curl.h>
#    include <sys/timerfd.h>
#endif

#define CLIENTS_MAX 16384U
#define SHARED_MAX  128U /* connections of weir's, where clients think */
#define TIMED_EVERY 8U   /* of clients that do not think one takes latencies: a clock costs, too */

static struct {
    uint16_t port;
    const char *path;
    uint32_t clients;
    uint64_t warm_ns, window_ns, think_ns;
    bool is_fresh;
    const char *ca; /* NULL: plain */
    char url[256];
} opt;

/* The window, and what fell into it. Touched by the thread that answers come on. */
static struct {
    uint64_t begin_ns, end_ns, begin_cpu_ns, cpu_ns;
    uint64_t requests, failed, checks;
    bool is_open, is_over;
    uint64_t connections, asked; /* in all */
} run;

static struct histogram latencies;

/* Those who think: a heap, who has thought first on top. */
static struct {
    uint32_t count;
    uint64_t dice;
    uint32_t heap[CLIENTS_MAX];
    uint64_t due_ns[CLIENTS_MAX]; /* of each client: its next request, or the one under way */
} thinking = {.dice = 88172645463325252U};

static uint64_t cpu_ns(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000000
           + (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000;
}

/* One more has ended. The clock is looked at now and then. */
static void count(bool good)
{
    run.failed += !good;
    run.asked++;
    run.requests += run.is_open && !run.is_over;
    if (++run.checks % (opt.think_ns == 0 ? 64 : 8) != 0) {
        return;
    }
    uint64_t now_ns = net_now_ns();
    if (!run.is_open && now_ns >= run.begin_ns) {
        run.is_open = true;
        run.begin_ns = now_ns;
        run.begin_cpu_ns = cpu_ns();
    } else if (run.is_open && !run.is_over && now_ns >= run.begin_ns + opt.window_ns) {
        run.is_over = true;
        run.end_ns = now_ns;
        run.cpu_ns = cpu_ns() - run.begin_cpu_ns;
    }
}

static void report(void)
{
    printf("{\"requests\": %llu, \"seconds\": %.6f, \"cpu_us_per_request\": %.4f, "
           "\"connections\": %llu, \"failed\": %llu, \"asked\": %llu, "
           "\"p50_us\": %.1f, \"p99_us\": %.1f}\n",
           (unsigned long long)run.requests, (double)(run.end_ns - run.begin_ns) / 1e9,
           (double)run.cpu_ns / 1e3 / (double)(run.requests > 0 ? run.requests : 1),
           (unsigned long long)run.connections, (unsigned long long)run.failed,
           (unsigned long long)run.asked, (double)histogram_at(&latencies, 0.5) / 1e3,
           (double)histogram_at(&latencies, 0.99) / 1e3);
}

/* --- clients ------------------------------------------------------------------------------------
 */

static bool thinks_less(uint32_t a, uint32_t b)
{
    return thinking.due_ns[thinking.heap[a]] < thinking.due_ns[thinking.heap[b]];
}

static void exchange(uint32_t a, uint32_t b)
{
    uint32_t client = thinking.heap[a];
    thinking.heap[a] = thinking.heap[b];
    thinking.heap[b] = client;
}

static void think(uint32_t client, uint64_t due_ns)
{
    uint32_t at = thinking.count++;
    thinking.due_ns[client] = due_ns;
    thinking.heap[at] = client;
    for (; at > 0 && thinks_less(at, (at - 1) / 2); at = (at - 1) / 2) {
        exchange(at, (at - 1) / 2);
    }
}

static uint32_t first_of_those_due(void)
{
    uint32_t client = thinking.heap[0];
    thinking.heap[0] = thinking.heap[--thinking.count];
    for (uint32_t at = 0, least = 0;; at = least) {
        for (uint32_t i = 2 * at + 1; i <= 2 * at + 2 && i < thinking.count; i++) {
            least = thinks_less(i, least) ? i : least;
        }
        if (least == at) {
            return client;
        }
        exchange(at, least);
    }
}

/* From half of THINK_MS to one and a half: who thinks for equally long comes in crowds. */
static uint64_t thought_ns(void)
{
    thinking.dice ^= thinking.dice << 13;
    thinking.dice ^= thinking.dice >> 7;
    thinking.dice ^= thinking.dice << 17;
    return opt.think_ns / 2 + thinking.dice % (opt.think_ns + 1);
}

/* How long until the next has thought: UINT64_MAX where nobody thinks. */
static uint64_t thought_in_ns(uint64_t now_ns)
{
    if (thinking.count == 0) {
        return UINT64_MAX;
    }
    uint64_t due_ns = thinking.due_ns[thinking.heap[0]];
    return due_ns > now_ns ? due_ns - now_ns : 0;
}

static void ask_those_due(void (*ask)(uint32_t client))
{
    while (thought_in_ns(net_now_ns()) == 0) {
        ask(first_of_those_due());
    }
}

/* All of them begin: at once, or spread over the time they think. */
static void begin(void (*ask)(uint32_t client))
{
    uint64_t now_ns = net_now_ns();
    for (uint32_t i = 0; i < opt.clients; i++) {
        if (opt.think_ns == 0) {
            thinking.due_ns[i] = now_ns;
            ask(i);
        } else {
            think(i, now_ns + opt.think_ns * i / opt.clients);
        }
    }
}

/* Its answer is there, or there will be none. */
static void answered(uint32_t client, bool good, void (*ask)(uint32_t client))
{
    count(good);
    if (run.is_over) {
        return;
    }
    if (opt.think_ns == 0 && client % TIMED_EVERY != 0) {
        ask(client);
        return;
    }
    uint64_t now_ns = net_now_ns();
    if (run.is_open) {
        histogram_add(&latencies, now_ns - thinking.due_ns[client]);
    }
    if (opt.think_ns == 0) {
        thinking.due_ns[client] = now_ns;
        ask(client);
    } else {
        think(client, now_ns + thought_ns());
    }
}

/* --- weir ---------------------------------------------------------------------------------------
 */

static struct {
    weir_runtime *runtime;
    weir_http_client *client;
} w;

static void weir_ask(uint32_t client);

static void weir_end(void *arg, weir_err err, const weir_http_result *result)
{
    if (!run.is_over) { /* else the client is being freed */
        answered((uint32_t)(uintptr_t)arg, err == WEIR_OK && result->status == 200, weir_ask);
    }
}

static bool weir_body(void *arg, const void *data, size_t len)
{
    (void)arg;
    (void)data;
    (void)len;
    return true;
}

static const weir_http_handler weir_handler = {.on_body = weir_body, .on_end = weir_end};

static void weir_ask(uint32_t client)
{
    const weir_http_request request = {.url = opt.url};
    if (weir_http_send(w.client, &request, &weir_handler, (void *)(uintptr_t)client, NULL)
        != WEIR_OK) {
        net_die("weir_http_send");
    }
}

/* Until something happens, or somebody has thought. */
static void weir_wait(void)
{
    if (opt.think_ns == 0) {
        weir_runtime_turn(w.runtime, 1000);
        return;
    }
    struct pollfd pollfd = {.fd = weir_runtime_fd(w.runtime), .events = POLLIN};
    int own_ms = weir_runtime_timeout_ms(w.runtime);
    uint64_t wait_ns = thought_in_ns(net_now_ns());
    if (own_ms >= 0 && (uint64_t)own_ms * 1000000 < wait_ns) {
        wait_ns = (uint64_t)own_ms * 1000000;
    }
    const struct timespec wait = {.tv_sec = (time_t)(wait_ns / 1000000000),
                                  .tv_nsec = (long)(wait_ns % 1000000000)};
    ppoll(&pollfd, 1, wait_ns == UINT64_MAX ? NULL : &wait, NULL);
    ask_those_due(weir_ask);
    weir_runtime_turn(w.runtime, 0);
}

/* Hosted: its loop is turned here, so that one thread does it all, like the others. */
static void run_weir(void)
{
    bool is_shared = opt.think_ns != 0 && !opt.is_fresh;
    uint32_t most = is_shared && opt.clients > SHARED_MAX ? SHARED_MAX : opt.clients;
    const weir_runtime_options runtime = {.waiting_max = CLIENTS_MAX, .conns_max = CLIENTS_MAX};
    const weir_http_client_options client = {.pool = {.max_total = most,
                                                      .max_per_key = most,
                                                      .max_uses = opt.is_fresh ? 1 : 0,
                                                      .connecting_max = opt.is_fresh ? most : 0},
                                             .requests_max = CLIENTS_MAX,
                                             .tls = {.ca = opt.ca}};
    if (weir_runtime_open_hosted(&runtime, &w.runtime) != WEIR_OK
        || weir_http_client_new(w.runtime, &client, &w.client) != WEIR_OK) {
        net_die("weir");
    }
    begin(weir_ask);
    while (!run.is_over) {
        weir_wait();
    }
    weir_http_stats stats;
    weir_http_client_stats(w.client, &stats);
    run.connections = stats.created;
    weir_http_client_free(w.client);
    weir_runtime_close(w.runtime, 0);
}

/* Medians, so that a page fault or an interrupt is not the figure. */
static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static int run_objects(void)
{
    enum { TURNS = 1001 };
    static uint64_t made_ns[TURNS], read_ns[TURNS];
    if (weir_runtime_open(NULL, &w.runtime) != WEIR_OK) {
        net_die("weir");
    }
    for (int i = 0; i < TURNS; i++) {
        weir_http_stats stats;
        uint64_t begin_ns = net_now_ns();
        if (weir_http_client_new(w.runtime, NULL, &w.client) != WEIR_OK) {
            net_die("weir");
        }
        made_ns[i] = net_now_ns() - begin_ns;
        begin_ns = net_now_ns();
        weir_http_client_stats(w.client, &stats);
        read_ns[i] = net_now_ns() - begin_ns;
        weir_http_client_free(w.client);
    }
    weir_runtime_close(w.runtime, 0);
    qsort(made_ns, TURNS, sizeof *made_ns, by_size);
    qsort(read_ns, TURNS, sizeof *read_ns, by_size);
    printf("{\"client_new_us\": %.3f, \"stats_us\": %.3f}\n", (double)made_ns[TURNS / 2] / 1e3,
           (double)read_ns[TURNS / 2] / 1e3);
    return 0;
}

/* --- epoll: parses the status and the length, nothing else --------------------------------------
 */

struct bare {
    int fd;      /* -1: not connected */
    size_t left; /* of the body; SIZE_MAX: the head is awaited */
};

static struct bare bares[CLIENTS_MAX];
static char request_text[512], buffer[65536];
static size_t request_len;
static int bare_loop;

static void bare_connect(struct bare *bare)
{
    bare->fd = net_connect(opt.port);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = bare};
    if (bare->fd < 0 || epoll_ctl(bare_loop, EPOLL_CTL_ADD, bare->fd, &event) != 0) {
        net_die("connect");
    }
    run.connections++;
}

static void bare_ask(uint32_t client)
{
    struct bare *bare = &bares[client];
    if (bare->fd < 0) {
        bare_connect(bare);
    }
    bare->left = SIZE_MAX;
    if (send(bare->fd, request_text, request_len, MSG_NOSIGNAL) != (ssize_t)request_len) {
        net_die("send");
    }
}

static void bare_read(struct bare *bare)
{
    ssize_t n = recv(bare->fd, buffer, sizeof buffer - 1, 0);
    if (n <= 0) {
        net_die("recv");
    }
    size_t len = (size_t)n;
    if (bare->left == SIZE_MAX) {
        buffer[len] = '\0';
        const char *end = strstr(buffer, "\r\n\r\n");
        const char *length = strcasestr(buffer, "content-length:");
        if (end == NULL || length == NULL) {
            errno = EPROTO;
            net_die("answer");
        }
        bare->left = strtoul(length + 15, NULL, 10);
        len -= (size_t)(end + 4 - buffer);
    }
    bare->left -= len;
    if (bare->left == 0) {
        if (opt.is_fresh) {
            close(bare->fd);
            bare->fd = -1;
        }
        answered((uint32_t)(bare - bares), true, bare_ask);
    }
}

static void run_epoll(void)
{
    static struct epoll_event events[256];
    bare_loop = epoll_create1(EPOLL_CLOEXEC);
    request_len = (size_t)snprintf(request_text, sizeof request_text,
                                   "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n"
                                   "User-Agent: bare\r\n\r\n",
                                   opt.path, (unsigned)opt.port);
    for (uint32_t i = 0; i < opt.clients; i++) {
        bares[i].fd = -1;
    }
    begin(bare_ask);
    while (!run.is_over) {
        uint64_t wait_ns = thought_in_ns(net_now_ns());
        const struct timespec wait = {.tv_sec = (time_t)(wait_ns / 1000000000),
                                      .tv_nsec = (long)(wait_ns % 1000000000)};
        int n = epoll_pwait2(bare_loop, events, 256, wait_ns == UINT64_MAX ? NULL : &wait, NULL);
        for (int i = 0; i < n; i++) {
            bare_read(events[i].data.ptr);
        }
        ask_those_due(bare_ask);
    }
}

/* --- libcurl ------------------------------------------------------------------------------------
 */

#ifdef BENCH_CURL
static struct {
    CURLM *multi;
    int epoll, timer;
} c;

static size_t curl_body(char *data, size_t size, size_t n, void *arg)
{
    (void)data;
    (void)arg;
    return size * n;
}

static void curl_open_all(void)
{
    c.multi = curl_multi_init();
    curl_multi_setopt(c.multi, CURLMOPT_MAXCONNECTS, (long)opt.clients);
    curl_multi_setopt(c.multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
}

static void curl_add_all(void)
{
    for (uint32_t i = 0; i < opt.clients; i++) {
        CURL *easy = curl_easy_init();
        curl_easy_setopt(easy, CURLOPT_URL, opt.url);
        curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, curl_body);
        curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
        curl_multi_add_handle(c.multi, easy);
    }
}

static void curl_done(void)
{
    CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(c.multi, &left)) != NULL) {
        CURL *easy = message->easy_handle;
        long fresh = 0;
        curl_easy_getinfo(easy, CURLINFO_NUM_CONNECTS, &fresh);
        run.connections += (uint64_t)fresh;
        count(message->data.result == CURLE_OK);
        curl_multi_remove_handle(c.multi, easy);
        curl_multi_add_handle(c.multi, easy);
    }
}

static void run_multi(void)
{
    int running;
    curl_open_all();
    curl_add_all();
    while (!run.is_over) {
        curl_multi_perform(c.multi, &running);
        curl_done();
        curl_multi_poll(c.multi, NULL, 0, 1000, NULL);
    }
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *known)
{
    (void)easy;
    (void)arg;
    struct epoll_event event = {.data.fd = fd};
    if (what == CURL_POLL_REMOVE) {
        epoll_ctl(c.epoll, EPOLL_CTL_DEL, fd, NULL);
        return 0;
    }
    event.events = (what & CURL_POLL_IN ? EPOLLIN : 0U) | (what & CURL_POLL_OUT ? EPOLLOUT : 0U);
    if (epoll_ctl(c.epoll, known != NULL ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event) != 0) {
        epoll_ctl(c.epoll, EPOLL_CTL_ADD, fd, &event);
    }
    curl_multi_assign(c.multi, fd, &c);
    return 0;
}

static int on_timer(CURLM *multi, long ms, void *arg)
{
    (void)multi;
    (void)arg;
    struct itimerspec when = {0};
    if (ms >= 0) {
        when.it_value.tv_sec = ms / 1000;
        when.it_value.tv_nsec = ms > 0 ? ms % 1000 * 1000000 : 1;
    }
    timerfd_settime(c.timer, 0, &when, NULL);
    return 0;
}

static void run_socket(void)
{
    static struct epoll_event events[256];
    int running;
    curl_open_all();
    c.epoll = epoll_create1(EPOLL_CLOEXEC);
    c.timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = c.timer};
    epoll_ctl(c.epoll, EPOLL_CTL_ADD, c.timer, &event);
    curl_multi_setopt(c.multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(c.multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_add_all();
    while (!run.is_over) {
        int n = epoll_wait(c.epoll, events, 256, 1000);
        for (int i = 0; i < n; i++) {
            uint64_t rings;
            if (events[i].data.fd == c.timer) {
                ssize_t got = read(c.timer, &rings, sizeof rings);
                (void)got;
                curl_multi_socket_action(c.multi, CURL_SOCKET_TIMEOUT, 0, &running);
            } else {
                int flags = (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR) ? CURL_CSELECT_IN
                                                                                : 0)
                            | (events[i].events & EPOLLOUT ? CURL_CSELECT_OUT : 0);
                curl_multi_socket_action(c.multi, events[i].data.fd, flags, &running);
            }
        }
        curl_done();
    }
}
#endif

/* ------------------------------------------------------------------------------------------------
 */

static bool run_kind(const char *kind)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } kinds[] = {
        {"weir", run_weir},   {"weir-fresh", run_weir},
        {"epoll", run_epoll}, {"epoll-fresh", run_epoll},
#ifdef BENCH_CURL
        {"multi", run_multi}, {"socket", run_socket},
#endif
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (strcmp(kinds[i].name, kind) == 0) {
            kinds[i].run();
            return true;
        }
    }
    return false;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "objects") == 0) {
        return run_objects();
    }
    if (argc < 7 || argc > 9) {
        errno = EINVAL;
        net_die("usage: client_bench KIND PORT PATH CLIENTS WARM_S SECONDS [THINK_MS [CA]]");
    }
    opt.port = net_port_of(argv[2]);
    opt.path = argv[3];
    opt.clients = (uint32_t)strtoul(argv[4], NULL, 10);
    opt.warm_ns = (uint64_t)(strtod(argv[5], NULL) * 1e9);
    opt.window_ns = (uint64_t)(strtod(argv[6], NULL) * 1e9);
    opt.think_ns = argc >= 8 ? (uint64_t)(strtod(argv[7], NULL) * 1e6) : 0;
    opt.ca = argc == 9 ? argv[8] : NULL;
    opt.is_fresh = strstr(argv[1], "-fresh") != NULL;
    if (opt.clients < 1 || opt.clients > CLIENTS_MAX) {
        errno = EINVAL;
        net_die("CLIENTS");
    }
    snprintf(opt.url, sizeof opt.url, "%s://127.0.0.1:%u%s", opt.ca != NULL ? "https" : "http",
             (unsigned)opt.port, opt.path);
    run.begin_ns = net_now_ns() + opt.warm_ns;
    net_raise_limits();
    if (!run_kind(argv[1])) {
        errno = EINVAL;
        net_die(argv[1]);
    }
    report();
    return 0;
}
