/* SPDX-License-Identifier: Apache-2.0
 *
 * ws_load.c - both ends of WebSockets through a candidate.
 *
 *     ws_load serve
 *         a server that sends every message back; prints "port N"
 *     ws_load check COUNT BATCH [PASSES]
 *         a server that waits for COUNT clients, prints "held COUNT", pings them all, so that each
 *         has read its answer, and then PASSES [1] times more, BATCH between two polls: CPU time of
 *         each of these pings with its answer, in us
 *     ws_load run PORT COUNT WARM SECONDS [FLIGHT]
 *         COUNT WebSockets, on each FLIGHT messages [1] of 100 bytes under way all the time; prints
 *         "begin N" after WARM seconds and "end N" SECONDS later: messages that came back so far
 *     ws_load hold PORT COUNT
 *         COUNT WebSockets, one message on each; then "held COUNT", and nothing more until standard
 *         input ends
 *
 * Frames have a fixed form, so that both ends cost little: 100 bytes, a mask of zeroes, which
 * leaves the payload as it is.
 */
#include "net.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PAYLOAD      100U
#define MASKED_LEN   (2U + 4U + PAYLOAD)
#define PLAIN_LEN    (2U + PAYLOAD)
#define LINKS_MAX    20000
#define AT_ONCE      64 /* openings under way */
#define BATCH        256
#define FLIGHT_MAX   64U
#define BUFFER_BYTES 65536
#define KEY          "dGhlIHNhbXBsZSBub25jZQ=="
#define GUID         "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

struct link {
    int fd;
    bool is_open;
    unsigned head_len; /* of an opening, or of a frame, that is not whole */
    char head[512];
};

static struct link *links[LINKS_MAX + 64]; /* by descriptor */
static int poller;
static char buffer[BUFFER_BYTES];

static void say_all(int fd, const char *at, size_t len)
{
    if (send(fd, at, len, MSG_NOSIGNAL) != (ssize_t)len) {
        net_die("a send");
    }
}

static struct link *link_new(int fd)
{
    struct link *link = calloc(1, sizeof *link);
    struct epoll_event want = {.events = EPOLLIN};
    if (link == NULL || fd >= LINKS_MAX + 64) {
        net_die("too many");
    }
    link->fd = fd;
    want.data.ptr = link;
    links[fd] = link;
    if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &want) != 0) {
        net_die("epoll_ctl");
    }
    return link;
}

static void link_end(struct link *link)
{
    close(link->fd);
    links[link->fd] = NULL;
    free(link);
}

/* Reads the head of an opening, whichever side's. Returns how much of the buffer was behind it, or
 * -1: not whole. */
static ssize_t take_opening(struct link *link, size_t len)
{
    size_t room = sizeof link->head - 1 - link->head_len;
    size_t take = len < room ? len : room;
    memcpy(link->head + link->head_len, buffer, take);
    size_t before = link->head_len;
    link->head_len += (unsigned)take;
    link->head[link->head_len] = '\0';
    const char *end = strstr(link->head, "\r\n\r\n");
    if (end == NULL) {
        return -1;
    }
    size_t used = (size_t)(end + 4 - link->head) - before;
    memmove(buffer, buffer + used, len - used);
    link->is_open = true;
    return (ssize_t)(len - used);
}

/* --- the server ------------------------------------------------------------------------------- */

static void accept_opening(struct link *link)
{
    const char *key = strcasestr(link->head, "sec-websocket-key:");
    char text[24 + sizeof GUID], answer[256];
    unsigned char hash[EVP_MAX_MD_SIZE], accept[64];
    unsigned hash_len;
    if (key == NULL) {
        net_die("an opening without a key");
    }
    key += strlen("sec-websocket-key:");
    key += strspn(key, " ");
    memcpy(text, key, 24);
    memcpy(text + 24, GUID, sizeof GUID);
    EVP_Digest(text, strlen(text), hash, &hash_len, EVP_sha1(), NULL);
    EVP_EncodeBlock(accept, hash, (int)hash_len);
    int len = snprintf(answer, sizeof answer,
                       "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                       "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
                       accept);
    say_all(link->fd, answer, (size_t)len);
    link->head_len = 0;
}

/* Each whole frame goes back without its mask, all of a read in one write. */
static void send_back(struct link *link, size_t len)
{
    static char out[BUFFER_BYTES];
    size_t used = 0, made = 0;
    while (link->head_len + (len - used) >= MASKED_LEN) {
        size_t have = link->head_len;
        memcpy(link->head + have, buffer + used, MASKED_LEN - have);
        used += MASKED_LEN - have;
        out[made] = link->head[0];
        out[made + 1] = (char)PAYLOAD;
        memcpy(out + made + 2, link->head + 6, PAYLOAD);
        made += PLAIN_LEN;
        link->head_len = 0;
    }
    memcpy(link->head + link->head_len, buffer + used, len - used);
    link->head_len += (unsigned)(len - used);
    if (made > 0) {
        say_all(link->fd, out, made);
    }
}

static void serve_ready(struct link *link)
{
    ssize_t n = recv(link->fd, buffer, BUFFER_BYTES / 2, 0);
    if (n <= 0) {
        if (n == 0 || errno != EAGAIN) {
            link_end(link);
        }
        return;
    }
    if (!link->is_open) {
        n = take_opening(link, (size_t)n);
        if (n < 0) {
            return;
        }
        accept_opening(link);
    }
    send_back(link, (size_t)n);
}

static int listener;

static void serve_from(void)
{
    struct epoll_event want = {.events = EPOLLIN};
    listener = net_listen(0);
    fflush(stdout);
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &want);
}

static void serve_turn(void (*on_ready)(struct link *link), int wait_ms)
{
    struct epoll_event ready[BATCH];
    int count = epoll_wait(poller, ready, BATCH, wait_ms);
    for (int i = 0; i < count; i++) {
        if (ready[i].data.ptr != NULL) {
            on_ready(ready[i].data.ptr);
            continue;
        }
        for (int fd; (fd = net_accept(listener)) >= 0;) {
            link_new(fd);
        }
    }
}

/* --- pings ------------------------------------------------------------------------------------ */

static unsigned held, answered;

static void held_ready(struct link *link)
{
    ssize_t n = recv(link->fd, buffer, BUFFER_BYTES, 0);
    if (n <= 0) {
        net_die("a client ended");
    }
    if (link->is_open) {
        answered += (unsigned)n / 6; /* a pong without a word, and its mask */
    } else if (take_opening(link, (size_t)n) >= 0) {
        accept_opening(link);
        held++;
    }
}

static uint64_t cpu_ns(void)
{
    struct timespec at;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &at);
    return (uint64_t)at.tv_sec * 1000000000U + (uint64_t)at.tv_nsec;
}

/* Until every pong is here. */
static void ping_all(unsigned count, unsigned batch)
{
    unsigned pinged = 0;
    answered = 0;
    for (int fd = 0; answered < count;) {
        for (unsigned i = 0; i < batch && pinged < count; fd++) {
            if (links[fd] != NULL) {
                say_all(fd, "\x89", 2);
                i++;
                pinged++;
            }
        }
        serve_turn(held_ready, pinged < count ? 0 : -1);
    }
}

static void check_all(unsigned count, unsigned batch, unsigned passes)
{
    while (held < count) {
        serve_turn(held_ready, -1);
    }
    printf("held %u\n", held);
    fflush(stdout);
    ping_all(count, batch);
    for (; passes > 0; passes--) {
        uint64_t begun_ns = cpu_ns();
        ping_all(count, batch);
        printf("%.3f\n", (double)(cpu_ns() - begun_ns) / 1e3 / count);
        fflush(stdout);
    }
}

/* --- the clients ------------------------------------------------------------------------------ */

static uint64_t came_back;
static unsigned opened, wanted, begun;
static uint16_t port;
static unsigned flight = 1;
static char messages[FLIGHT_MAX * MASKED_LEN]; /* the same one, again and again */

static void begin_some(void)
{
    static const char opening[] =
        "GET /ws HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: " KEY "\r\nSec-WebSocket-Version: 13\r\n\r\n";
    while (begun < wanted && begun - opened < AT_ONCE) {
        int fd = net_connect(port);
        if (fd < 0) {
            net_die("a connection");
        }
        begun++;
        link_new(fd);
        say_all(fd, opening, sizeof opening - 1);
    }
}

static void run_ready(struct link *link, bool goes_on)
{
    ssize_t n = recv(link->fd, buffer, BUFFER_BYTES, 0);
    if (n <= 0) {
        if (n < 0 && errno == EAGAIN) {
            return;
        }
        net_die("a WebSocket ended");
    }
    if (!link->is_open) {
        n = take_opening(link, (size_t)n);
        if (n < 0) {
            return;
        }
        if (strncmp(link->head, "HTTP/1.1 101", 12) != 0) {
            net_die("not opened");
        }
        link->head_len = 0;
        opened++;
        say_all(link->fd, messages, (size_t)flight * MASKED_LEN);
        begin_some();
    }
    link->head_len += (unsigned)n;
    unsigned came = link->head_len / PLAIN_LEN;
    link->head_len %= PLAIN_LEN;
    came_back += came;
    if (goes_on && came > 0) {
        say_all(link->fd, messages, (size_t)came * MASKED_LEN);
    }
}

/* Until that time, or until all have had a message where `until_ns` is 0. */
static void run_until(uint64_t until_ns)
{
    struct epoll_event ready[BATCH];
    while (until_ns == 0 ? came_back < wanted : net_now_ns() < until_ns) {
        int count = epoll_wait(poller, ready, BATCH, 100);
        for (int i = 0; i < count; i++) {
            run_ready(ready[i].data.ptr, until_ns != 0);
        }
    }
}

static void say_count(const char *word)
{
    printf("%s %llu\n", word, (unsigned long long)came_back);
    fflush(stdout);
}

static void write_messages(void)
{
    for (unsigned i = 0; i < FLIGHT_MAX; i++) {
        char *message = messages + (size_t)i * MASKED_LEN;
        message[0] = (char)0x82;
        message[1] = (char)(0x80U | PAYLOAD);
        memset(message + 6, 'x', PAYLOAD);
    }
}

int main(int argc, char **argv)
{
    net_raise_limits();
    poller = epoll_create1(EPOLL_CLOEXEC);
    write_messages();
    if (argc == 2 && strcmp(argv[1], "serve") == 0) {
        serve_from();
        for (;;) {
            serve_turn(serve_ready, -1);
        }
    }
    if ((argc == 4 || argc == 5) && strcmp(argv[1], "check") == 0) {
        serve_from();
        check_all((unsigned)strtoul(argv[2], NULL, 10), (unsigned)strtoul(argv[3], NULL, 10),
                  argc == 5 ? (unsigned)strtoul(argv[4], NULL, 10) : 1);
        return 0;
    }
    bool is_run = (argc == 6 || argc == 7) && strcmp(argv[1], "run") == 0;
    bool is_hold = argc == 4 && strcmp(argv[1], "hold") == 0;
    if (!is_run && !is_hold) {
        fputs(
            "ws_load serve | check COUNT BATCH [PASSES] | run PORT COUNT WARM SECONDS [FLIGHT] | hold PORT COUNT\n",
            stderr);
        return 2;
    }
    port = net_port_of(argv[2]);
    wanted = (unsigned)strtoul(argv[3], NULL, 10);
    if (argc == 7) {
        flight = (unsigned)strtoul(argv[6], NULL, 10);
    }
    if (flight == 0 || flight > FLIGHT_MAX) {
        net_die("a flight");
    }
    begin_some();
    if (is_hold) {
        run_until(0);
        say_count("held");
        while (read(STDIN_FILENO, buffer, sizeof buffer) > 0) {
        }
        return 0;
    }
    uint64_t begin_ns = net_now_ns() + (uint64_t)(strtod(argv[4], NULL) * 1e9);
    run_until(begin_ns);
    say_count("begin");
    run_until(begin_ns + (uint64_t)(strtod(argv[5], NULL) * 1e9));
    say_count("end");
    return opened == wanted ? 0 : 1;
}
