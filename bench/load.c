/* SPDX-License-Identifier: Apache-2.0
 *
 * load.c - the load generator.
 *
 *     load --port P [--path /100] [--connections 128] [--warm 0.5] [--seconds 2] [--rate 0]
 *          [--pid PID]... [--also PID]... [--counters FILE] [--hold] [--tls] [--each full|resumed]
 *
 * Closed loop: every connection sends its next request when the answer is there. Open loop
 * (--rate): a request is due every 1/rate seconds whatever the answers do, and its latency counts
 * from then, also when no connection was free: no coordinated omission. After the warm-up a window
 * of `seconds` is counted; at both its ends, in this one place, the CPU time of the measured
 * processes (--pid), of the others that belong to the run (--also), of the whole machine, and the
 * upstream's counters are read.
 * --hold: one request on each connection, then "held", and nothing more until standard input ends.
 * --body: requests are POSTs of what the file has, 128 KiB at most. --key: what x-api-key says.
 * --tls: HTTPS, TLS 1.3, nothing verified. --each: a connection for each request, closed after it;
 * its handshake is full, or resumed with the ticket that its predecessor got.
 * The result is one line of JSON.
 */
#include "histogram.h"
#include "net.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BATCH_MAX       256
#define BUFFER_BYTES    131072
#define HEAD_MAX        8192
#define PIDS_MAX        16
#define CONNECTIONS_MAX 20000
#define HOLD_AT_ONCE    64
#define BODY_MAX        (128U << 10) /* goes into a socket's buffer at once */

struct link {
    char *head; /* of an answer, where it did not come whole */
    size_t head_len;
    uint64_t body_left;
    uint64_t due_ns;      /* when the request now under way was due */
    SSL *ssl;             /* NULL: plain */
    SSL_SESSION *session; /* to resume */
    int fd;
    bool in_body;
    bool shaking; /* its handshake is under way */
};

struct options {
    uint16_t port;
    const char *path, *counters, *body, *key;
    unsigned connections;
    double warm_s, seconds, rate;
    int pid[PIDS_MAX], also[PIDS_MAX];
    unsigned pids, alsos;
    bool hold, tls, each, resumes;
};

/* What is read at both ends of the window. */
struct reading {
    uint64_t now_ns;
    uint64_t cpu_ns;  /* of the measured processes */
    uint64_t ours_ns; /* of the others that belong to the run, and of this one */
    uint64_t busy_ns; /* of the machine, everything that runs on it */
    uint64_t upstream_connections, upstream_requests;
};

static struct options options = {.path = "/100", .connections = 128, .warm_s = 0.5, .seconds = 2};
static struct link *links;
static struct link **free_links; /* a ring of the links without a request: longest free first */
static unsigned free_head, free_count;
static struct histogram latencies;
static char *request, buffer[BUFFER_BYTES];
static size_t request_len;
static uint64_t answered, failed, opened, resumed;
static SSL_CTX *tls;
static uint64_t next_due_ns, interval_ns;
static bool counting;
static int loop;
static const uint64_t *counters;

static void options_read(int argc, char **argv);
static void request_make(void);
static void tls_start(void);
static void link_open(struct link *link);
static void link_send(struct link *link, uint64_t due_ns);
static void link_readable(struct link *link);
static void run_window(void);
static void run_hold(void);

int main(int argc, char **argv)
{
    options_read(argc, argv);
    net_raise_limits();
    loop = epoll_create1(EPOLL_CLOEXEC);
    links = calloc(options.connections, sizeof *links);
    free_links = calloc(options.connections, sizeof *free_links);
    if (loop < 0 || !links || !free_links)
        net_die("start");
    request_make();
    if (options.tls)
        tls_start();
    if (options.hold)
        run_hold();
    else
        run_window();
    return failed > 0 ? 2 : 0;
}

/* All of a file, or nothing where there is none. */
static char *body_read(size_t *ret_len)
{
    *ret_len = 0;
    if (!options.body)
        return NULL;
    FILE *file = fopen(options.body, "rb");
    char *body = file ? malloc(BODY_MAX) : NULL;
    if (!body)
        net_die(options.body);
    *ret_len = fread(body, 1, BODY_MAX, file);
    fclose(file);
    return body;
}

static void request_make(void)
{
    size_t body_len;
    char *body = body_read(&body_len), length[64] = "", key[256] = "";
    if (options.key)
        snprintf(key, sizeof key, "x-api-key: %s\r\n", options.key);
    if (body)
        snprintf(length, sizeof length, "Content-Type: application/json\r\nContent-Length: %zu\r\n",
                 body_len);
    size_t size = strlen(options.path) + sizeof length + sizeof key + 256;
    request = malloc(size + body_len);
    if (!request)
        net_die("malloc");
    request_len = (size_t)snprintf(
        request, size,
        "%s %s HTTP/1.1\r\nHost: %s:%u\r\nUser-Agent: bench\r\nAccept: */*\r\n%s%s\r\n",
        body ? "POST" : "GET", options.path, options.tls ? "localhost" : "127.0.0.1", options.port,
        key, length);
    if (body)
        memcpy(request + request_len, body, body_len);
    request_len += body_len;
    free(body);
}

static void usage(void)
{
    fputs("usage: load --port P [--path /N] [--connections N] [--warm S] [--seconds S] [--rate N]\n"
          "            [--pid PID] [--also PID] [--counters FILE] [--hold]\n"
          "            [--tls] [--each full|resumed] [--body FILE] [--key KEY]\n",
          stderr);
    exit(1);
}

static void options_read(int argc, char **argv)
{
    static const struct option words[] = {
        {"port", 1, 0, 'p'}, {"path", 1, 0, 'u'},    {"connections", 1, 0, 'c'},
        {"warm", 1, 0, 'w'}, {"seconds", 1, 0, 's'}, {"rate", 1, 0, 'r'},
        {"pid", 1, 0, 'i'},  {"also", 1, 0, 'a'},    {"counters", 1, 0, 'f'},
        {"hold", 0, 0, 'h'}, {"tls", 0, 0, 't'},     {"each", 1, 0, 'e'},
        {"body", 1, 0, 'b'}, {"key", 1, 0, 'k'},     {0, 0, 0, 0}};
    int word;
    while ((word = getopt_long(argc, argv, "", words, NULL)) != -1) {
        switch (word) {
        case 'p': options.port = net_port_of(optarg); break;
        case 'u': options.path = optarg; break;
        case 'c': options.connections = (unsigned)strtoul(optarg, NULL, 10); break;
        case 'w': options.warm_s = strtod(optarg, NULL); break;
        case 's': options.seconds = strtod(optarg, NULL); break;
        case 'r': options.rate = strtod(optarg, NULL); break;
        case 'f': options.counters = optarg; break;
        case 'b': options.body = optarg; break;
        case 'k': options.key = optarg; break;
        case 'h': options.hold = true; break;
        case 't': options.tls = true; break;
        case 'e':
            options.each = true;
            options.resumes = strcmp(optarg, "resumed") == 0;
            break;
        case 'i':
            if (options.pids < PIDS_MAX)
                options.pid[options.pids++] = atoi(optarg);
            break;
        case 'a':
            if (options.alsos < PIDS_MAX)
                options.also[options.alsos++] = atoi(optarg);
            break;
        default: usage();
        }
    }
    if (!options.port || !options.connections || options.connections > CONNECTIONS_MAX
        || optind != argc)
        usage();
    if (options.rate > 0)
        interval_ns = (uint64_t)(1e9 / options.rate);
    if (!options.counters)
        return;
    int fd = open(options.counters, O_RDONLY | O_CLOEXEC);
    void *map = fd < 0 ? MAP_FAILED : mmap(NULL, 16, PROT_READ, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        net_die(options.counters);
    counters = map;
}

/* --- connections --------------------------------------------------------------------------------
 */

static void free_push(struct link *link)
{
    free_links[(free_head + free_count++) % options.connections] = link;
}

static struct link *free_pop(void)
{
    struct link *link = free_links[free_head];
    free_head = (free_head + 1) % options.connections;
    free_count--;
    return link;
}

static int on_session(SSL *ssl, SSL_SESSION *session)
{
    struct link *link = SSL_get_app_data(ssl);
    if (!options.resumes)
        return 0;
    SSL_SESSION_free(link->session);
    link->session = session;
    return 1;
}

static void tls_start(void)
{
    tls = SSL_CTX_new(TLS_client_method());
    if (!tls)
        net_die("TLS");
    SSL_CTX_set_min_proto_version(tls, TLS1_3_VERSION);
    SSL_CTX_set_mode(tls, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(tls, on_session);
}

static void link_shake(struct link *link)
{
    int done = SSL_do_handshake(link->ssl);
    if (done == 1) {
        link->shaking = false;
        resumed += counting && SSL_session_reused(link->ssl);
        free_push(link);
    } else if (SSL_get_error(link->ssl, done) != SSL_ERROR_WANT_READ) {
        net_die("handshake");
    }
}

static void link_close(struct link *link)
{
    if (link->ssl)
        SSL_shutdown(link->ssl);
    SSL_free(link->ssl);
    link->ssl = NULL;
    close(link->fd);
}

static void link_open(struct link *link)
{
    link->fd = net_connect(options.port);
    if (link->fd < 0)
        net_die("connect");
    link->head_len = 0;
    link->in_body = false;
    const int room = 2 * BODY_MAX;
    if (options.body && setsockopt(link->fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof room) < 0)
        net_die("SO_SNDBUF");
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = link};
    if (epoll_ctl(loop, EPOLL_CTL_ADD, link->fd, &event) < 0)
        net_die("epoll_ctl");
    opened++;
    if (!options.tls) {
        free_push(link);
        return;
    }
    link->ssl = SSL_new(tls);
    if (!link->ssl || SSL_set_fd(link->ssl, link->fd) != 1)
        net_die("TLS");
    SSL_set_app_data(link->ssl, link);
    SSL_set_tlsext_host_name(link->ssl, "localhost");
    SSL_set_connect_state(link->ssl);
    if (link->session)
        SSL_set_session(link->ssl, link->session);
    link->shaking = true;
    link_shake(link);
}

static void link_fail(struct link *link)
{
    if (counting)
        failed++;
    link_close(link);
    link_open(link);
}

static void link_send(struct link *link, uint64_t due_ns)
{
    link->due_ns = due_ns;
    ssize_t sent = link->ssl ? SSL_write(link->ssl, request, (int)request_len)
                             : send(link->fd, request, request_len, MSG_NOSIGNAL);
    if (sent != (ssize_t)request_len)
        link_fail(link);
}

/* The answer is complete: count it, and the link is free for the next request. */
static void link_done(struct link *link, uint64_t now_ns)
{
    if (counting) {
        answered++;
        histogram_add(&latencies, now_ns > link->due_ns ? now_ns - link->due_ns : 0);
    }
    link->in_body = false;
    if (options.each) {
        link_close(link);
        link_open(link);
    } else if (!options.hold) {
        free_push(link);
    }
}

/* As recv(). */
static ssize_t link_recv(struct link *link, char *into, size_t cap)
{
    if (!link->ssl)
        return recv(link->fd, into, cap, 0);
    int got = SSL_read(link->ssl, into, (int)cap);
    if (got > 0)
        return got;
    int why = SSL_get_error(link->ssl, got);
    errno = why == SSL_ERROR_WANT_READ ? EAGAIN : EPROTO;
    return why == SSL_ERROR_ZERO_RETURN ? 0 : -1;
}

/* Reads a complete head: 200 with a Content-Length, or it is a failure. Returns the body's length,
 * or -1. */
static int64_t body_len_of(const char *head, const char *end)
{
    if (strncmp(head, "HTTP/1.1 200", 12) != 0)
        return -1;
    for (const char *line = head; line < end; line++) {
        line = memchr(line, '\n', (size_t)(end - line));
        if (!line)
            return -1;
        if (strncasecmp(line + 1, "content-length:", 15) == 0)
            return strtoll(line + 16, NULL, 10);
    }
    return -1;
}

/* `bytes` holds an answer from its first byte on, and a 0 behind its last. */
static void link_head(struct link *link, char *bytes, size_t len)
{
    char *end = strstr(bytes, "\r\n\r\n");
    if (!end) {
        char *head = len < HEAD_MAX ? realloc(link->head, HEAD_MAX) : NULL;
        if (!head) {
            link_fail(link);
            return;
        }
        memcpy(head, bytes, len);
        link->head = head;
        link->head_len = len;
        return;
    }
    int64_t body = body_len_of(bytes, end);
    uint64_t here = len - (size_t)(end + 4 - bytes);
    if (body < 0 || here > (uint64_t)body) {
        link_fail(link);
        return;
    }
    link->head_len = 0;
    link->in_body = true;
    link->body_left = (uint64_t)body - here;
    if (link->body_left == 0)
        link_done(link, net_now_ns());
}

static void link_readable(struct link *link)
{
    if (link->shaking) {
        link_shake(link);
        return;
    }
    size_t held = link->in_body ? 0 : link->head_len;
    if (held > 0)
        memcpy(buffer, link->head, held);
    ssize_t got = link_recv(link, buffer + held, sizeof buffer - 1 - held);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0) {
        link_fail(link);
        return;
    }
    buffer[held + (size_t)got] = '\0';
    if (!link->in_body) {
        link_head(link, buffer, held + (size_t)got);
        return;
    }
    if ((uint64_t)got > link->body_left) {
        link_fail(link);
        return;
    }
    link->body_left -= (uint64_t)got;
    if (link->body_left == 0)
        link_done(link, net_now_ns());
}

/* --- readings ------------------------------------------------------------------------------------
 */

/* The time that all threads of a process ran: the first word of each task's schedstat. */
static uint64_t cpu_ns_of(int pid)
{
    char path[64];
    uint64_t sum = 0;
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *tasks = opendir(path);
    if (!tasks)
        net_die(path);
    for (struct dirent *task; (task = readdir(tasks)) != NULL;) {
        char name[sizeof path + sizeof task->d_name + 16];
        if (task->d_name[0] == '.')
            continue;
        snprintf(name, sizeof name, "%s/%s/schedstat", path, task->d_name);
        FILE *file = fopen(name, "re");
        unsigned long long ns = 0;
        if (file && fscanf(file, "%llu", &ns) == 1)
            sum += ns;
        if (file)
            fclose(file);
    }
    closedir(tasks);
    return sum;
}

static uint64_t busy_ns_of_machine(void)
{
    unsigned long long user, nice, sys, idle, wait, irq, soft, steal;
    FILE *file = fopen("/proc/stat", "re");
    if (!file
        || fscanf(file, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &user, &nice, &sys, &idle,
                  &wait, &irq, &soft, &steal)
               != 8)
        net_die("/proc/stat");
    fclose(file);
    return (user + nice + sys + irq + soft + steal)
           * (1000000000u / (uint64_t)sysconf(_SC_CLK_TCK));
}

static struct reading reading_take(void)
{
    struct timespec own;
    struct reading r = {.now_ns = net_now_ns()};
    for (unsigned i = 0; i < options.pids; i++)
        r.cpu_ns += cpu_ns_of(options.pid[i]);
    for (unsigned i = 0; i < options.alsos; i++)
        r.ours_ns += cpu_ns_of(options.also[i]);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &own);
    r.ours_ns += (uint64_t)own.tv_sec * 1000000000u + (uint64_t)own.tv_nsec;
    r.busy_ns = busy_ns_of_machine();
    if (counters) {
        r.upstream_connections = ((volatile const uint64_t *)counters)[0];
        r.upstream_requests = ((volatile const uint64_t *)counters)[1];
    }
    return r;
}

static void print_result(const struct reading *a, const struct reading *b)
{
    double seconds = (double)(b->now_ns - a->now_ns) / 1e9;
    uint64_t ours = b->cpu_ns - a->cpu_ns + (b->ours_ns - a->ours_ns);
    uint64_t busy = b->busy_ns - a->busy_ns;
    double other = busy > ours ? (double)(busy - ours) / 1e9 / seconds : 0;
    printf(
        "{\"requests\": %llu, \"failed\": %llu, \"seconds\": %.6f, \"cpu_us_per_request\": %.4f, "
        "\"cpu_share\": %.4f, \"requests_per_s\": %.1f, \"p50_us\": %.1f, \"p99_us\": %.1f, "
        "\"p999_us\": %.1f, \"max_us\": %.1f, \"upstream_connections\": %llu, "
        "\"upstream_requests\": %llu, \"resumed\": %llu, \"others_cpu\": %.4f}\n",
        (unsigned long long)answered, (unsigned long long)failed, seconds,
        answered ? (double)(b->cpu_ns - a->cpu_ns) / 1e3 / (double)answered : 0,
        (double)(b->cpu_ns - a->cpu_ns) / 1e9 / seconds, (double)answered / seconds,
        (double)histogram_at(&latencies, 0.50) / 1e3, (double)histogram_at(&latencies, 0.99) / 1e3,
        (double)histogram_at(&latencies, 0.999) / 1e3, (double)latencies.max_ns / 1e3,
        (unsigned long long)(b->upstream_connections - a->upstream_connections),
        (unsigned long long)(b->upstream_requests - a->upstream_requests),
        (unsigned long long)resumed, other);
    fflush(stdout);
}

/* --- the two ways to run
 * -------------------------------------------------------------------------- */

/* Sends what is due on the links that are free. */
static void send_due(uint64_t now_ns)
{
    if (!interval_ns) {
        while (free_count > 0)
            link_send(free_pop(), now_ns);
        return;
    }
    while (free_count > 0 && next_due_ns <= now_ns) {
        link_send(free_pop(), next_due_ns);
        next_due_ns += interval_ns;
    }
}

static void turn(uint64_t until_ns)
{
    struct epoll_event events[BATCH_MAX];
    uint64_t now = net_now_ns();
    uint64_t wake = until_ns;
    if (interval_ns && free_count > 0 && next_due_ns < wake)
        wake = next_due_ns;
    uint64_t left = wake > now ? wake - now : 0;
    struct timespec timeout = {.tv_sec = (time_t)(left / 1000000000u),
                               .tv_nsec = (long)(left % 1000000000u)};
    int n = epoll_pwait2(loop, events, BATCH_MAX, &timeout, NULL);
    for (int i = 0; i < n; i++) {
        link_readable(events[i].data.ptr);
        if (!interval_ns && !options.hold)
            send_due(net_now_ns());
    }
}

static void run_until(uint64_t end_ns)
{
    uint64_t now;
    while ((now = net_now_ns()) < end_ns) {
        send_due(now);
        turn(end_ns);
    }
}

static void run_window(void)
{
    for (unsigned i = 0; i < options.connections; i++)
        link_open(&links[i]);
    uint64_t start = net_now_ns();
    next_due_ns = start;
    run_until(start + (uint64_t)(options.warm_s * 1e9));
    struct reading before = reading_take();
    counting = true;
    run_until(before.now_ns + (uint64_t)(options.seconds * 1e9));
    struct reading after = reading_take();
    counting = false;
    print_result(&before, &after);
}

/* One request on every link, a few links at a time; then they stay as they are. */
static void run_hold(void)
{
    uint64_t end = net_now_ns() + 60ull * 1000000000u;
    char byte;
    counting = true;
    while (answered < options.connections && net_now_ns() < end && failed == 0) {
        while (opened < options.connections && opened - answered < HOLD_AT_ONCE)
            link_open(&links[opened]);
        while (free_count > 0)
            link_send(free_pop(), net_now_ns());
        turn(net_now_ns() + 100000000u);
    }
    printf("held %llu\n", (unsigned long long)answered);
    fflush(stdout);
    while (read(STDIN_FILENO, &byte, 1) > 0)
        ;
}
