/* SPDX-License-Identifier: Apache-2.0
 *
 * http1_bench - what it costs to read and to write a head, in ns: the best of many short rounds, so
 * that what else runs on the machine does not count, and their median. For `make bench` and for
 * whoever changes proto/http1.
 */
#include "proto/http1.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ROUNDS 501
#define REPEAT 1000

static const char small[] = "GET /api/v1/items?id=17 HTTP/1.1\r\n"
                            "Host: 127.0.0.1:8080\r\n"
                            "User-Agent: load/1\r\n"
                            "Accept: */*\r\n\r\n";

/* 743 bytes, 22 fields: what a browser sends. */
static const char large[] =
    "GET /static/app/main.8f3c1a.js?v=20240117&lang=en HTTP/1.1\r\n"
    "Host: www.example.com\r\n"
    "Connection: keep-alive\r\n"
    "Cache-Control: max-age=0\r\n"
    "Sec-CH-UA: \"Chromium\";v=\"120\"\r\n"
    "Sec-CH-UA-Mobile: ?0\r\n"
    "Sec-CH-UA-Platform: \"Linux\"\r\n"
    "DNT: 1\r\n"
    "Upgrade-Insecure-Requests: 1\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) Chrome/120.0\r\n"
    "Accept: text/html,application/xml;q=0.9,*/*;q=0.8\r\n"
    "Sec-Fetch-Site: none\r\n"
    "Sec-Fetch-Mode: navigate\r\n"
    "Sec-Fetch-User: ?1\r\n"
    "Sec-Fetch-Dest: document\r\n"
    "Accept-Encoding: gzip, deflate, br\r\n"
    "Accept-Language: en-US,en;q=0.9\r\n"
    "Cookie: sid=0123456789abcdef; theme=dark; consent=necessary,statistics; region=eu-1; t=1234567890123\r\n"
    "If-None-Match: \"5f1\"\r\n"
    "X-Request-ID: 0190b8c2\r\n"
    "Referer: https://www.example.com/\r\n"
    "Pragma: no-cache\r\n"
    "Priority: u=0\r\n\r\n";

static const char answer[] = "HTTP/1.1 200 OK\r\n"
                             "Server: x\r\n"
                             "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
                             "Content-Type: text/plain\r\n"
                             "Content-Length: 100\r\n\r\n";

static struct http_field room[HTTP_FIELDS_MAX];
static const struct http1_limits limits = {32768, 16384, 8192, 100};
static char out[4096];

static void read_request(const char *bytes, size_t len, struct http_head *head)
{
    struct http1_progress progress = {0};
    head->fields = room;
    if (http1_parse_request(&progress, bytes, len, &limits, head) != (ssize_t)len) {
        abort();
    }
}

static void read_answer(const char *bytes, size_t len, struct http_head *head)
{
    struct http1_progress progress = {0};
    head->fields = room;
    if (http1_parse_response(&progress, bytes, len, &limits, (struct http1_asked){HTTP_GET, false},
                             head)
        != (ssize_t)len) {
        abort();
    }
}

static void write_request(const char *bytes, size_t len, struct http_head *head)
{
    (void)bytes;
    (void)len;
    if (http1_write_request(head, &(struct http1_writing){0}, out, sizeof out) < 0) {
        abort();
    }
}

static void write_answer(const char *bytes, size_t len, struct http_head *head)
{
    (void)bytes;
    (void)len;
    const struct http1_writing writing = {.peer_minor = 1, .asked = HTTP_GET};
    if (http1_write_response(head, &writing, out, sizeof out) < 0) {
        abort();
    }
}

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000ULL + (uint64_t)now.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

typedef void work_fn(const char *bytes, size_t len, struct http_head *head);

static void measure(const char *what, work_fn *work, const char *bytes, struct http_head *head)
{
    double rounds[ROUNDS];
    size_t len = strlen(bytes);
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t start = now_ns();
        for (int i = 0; i < REPEAT; i++) {
            work(bytes, len, head);
            __asm__ volatile("" ::: "memory");
        }
        rounds[round] = (double)(now_ns() - start) / REPEAT;
    }
    qsort(rounds, ROUNDS, sizeof rounds[0], by_value);
    printf("%-36s %6zu bytes %8.1f ns (best %.1f)\n", what, len, rounds[ROUNDS / 2], rounds[0]);
}

int main(void)
{
    struct http_head head = {0};
    measure("read a small request", read_request, small, &head);
    measure("write it", write_request, small, &head);
    measure("read a request of 22 fields", read_request, large, &head);
    measure("write it", write_request, large, &head);
    measure("read an answer", read_answer, answer, &head);
    measure("write it", write_answer, answer, &head);
    return 0;
}
