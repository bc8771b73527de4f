/* SPDX-License-Identifier: Apache-2.0
 *
 * What a peer may say that is not WebSocket: the close code it is told, and that nobody else feels
 * it.
 */
#include "support/websocket_pair.h"

/* --- openings -----------------------------------------------------------------------------------
 */

#define HEAD     "GET /echo HTTP/1.1\r\nHost: h\r\n"
#define UPGRADE  "Upgrade: websocket\r\nConnection: Upgrade\r\n"
#define VERSION  "Sec-WebSocket-Version: 13\r\n"
#define GOOD_KEY "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

static void openings_are_judged(void **state)
{
    (void)state;
    static struct pair p;
    static const struct {
        const char *ask, *answer;
    } cases[] = {
        {HEAD UPGRADE VERSION GOOD_KEY "\r\n", "HTTP/1.1 101 "},
        {HEAD "Upgrade: WebSocket\r\nConnection: keep-alive, upgrade\r\n" VERSION GOOD_KEY "\r\n",
         "HTTP/1.1 101 "},
        {HEAD UPGRADE VERSION "\r\n", "HTTP/1.1 400 "},
        {HEAD UPGRADE VERSION GOOD_KEY GOOD_KEY "\r\n", "HTTP/1.1 400 "},
        {HEAD UPGRADE VERSION "Sec-WebSocket-Key: short\r\n\r\n", "HTTP/1.1 400 "},
        {HEAD UPGRADE VERSION "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=!\r\n\r\n",
         "HTTP/1.1 400 "},
        {HEAD UPGRADE GOOD_KEY "\r\n", "HTTP/1.1 426 "},
        {HEAD UPGRADE GOOD_KEY "Sec-WebSocket-Version: 8\r\n\r\n", "HTTP/1.1 426 "},
        {HEAD UPGRADE GOOD_KEY "Sec-WebSocket-Version: 13, 8\r\n\r\n", "HTTP/1.1 426 "},
        {HEAD VERSION GOOD_KEY "\r\n", "HTTP/1.1 426 "},
        {HEAD "Upgrade: h2c\r\nConnection: Upgrade\r\n" VERSION GOOD_KEY "\r\n", "HTTP/1.1 426 "},
        {"POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n" UPGRADE VERSION GOOD_KEY "\r\n",
         "HTTP/1.1 400 "},
    };
    pair_make(&p, (weir_websocket_manager_options){0});
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int fd = raw(&p);
        raw_say(fd, cases[i].ask, strlen(cases[i].ask));
        const char *head = raw_head(fd);
        assert_memory_equal(head, cases[i].answer, 13);
        bool is_open = strstr(head, "101") != NULL;
        assert_true(!is_open
                    || strstr(head, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
        assert_true(strstr(head, " 426 ") == NULL
                    || strstr(head, "Sec-WebSocket-Version: 13\r\n") != NULL);
        close(fd);
    }
    pair_end(&p);
}

/* Offers of permessage-deflate: what is agreed to. */
static void offers_are_judged(void **state)
{
    (void)state;
    static struct pair p;
    static const struct {
        const char *offer, *answer;
    } cases[] = {
        {"permessage-deflate", "Sec-WebSocket-Extensions: permessage-deflate\r\n"},
        {"permessage-deflate; client_max_window_bits",
         "Sec-WebSocket-Extensions: permessage-deflate"},
        {"permessage-deflate; server_no_context_takeover", "server_no_context_takeover"},
        {"permessage-deflate; server_max_window_bits=7", NULL},
        {"permessage-deflate; server_max_window_bits=99", NULL},
        {"permessage-deflate; server_max_window_bits=99, permessage-deflate",
         "Sec-WebSocket-Extensions: permessage-deflate\r\n"},
        {"permessage-deflate; unknown", NULL},
        {"x-webkit-deflate-frame", NULL},
    };
    char ask[1024];
    pair_make(&p, (weir_websocket_manager_options){.deflate = WEIR_ON});
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int fd = raw(&p);
        snprintf(ask, sizeof ask,
                 HEAD UPGRADE VERSION GOOD_KEY "Sec-WebSocket-Extensions: %s\r\n\r\n",
                 cases[i].offer);
        raw_say(fd, ask, strlen(ask));
        const char *head = raw_head(fd);
        assert_memory_equal(head, "HTTP/1.1 101 ", 13);
        assert_true(cases[i].answer != NULL ? strstr(head, cases[i].answer) != NULL
                                            : strstr(head, "Sec-WebSocket-Extensions") == NULL);
        close(fd);
    }
    pair_end(&p);
}

static void what_comes_with_the_opening_is_kept(void **state)
{
    (void)state;
    static struct pair p;
    static char bytes[4096], payload[1 << 20];
    size_t len, got;
    pair_make(&p, (weir_websocket_manager_options){0});
    for (size_t cut = 0; cut <= 12; cut++) {
        int fd = raw(&p);
        size_t ask = strlen(ASK("/echo"));
        memcpy(bytes, ASK("/echo"), ask);
        len = ask + frame(bytes + ask, 0x81, "hello!", 6);
        raw_say(fd, bytes, ask + cut);
        assert_memory_equal(raw_head(fd), "HTTP/1.1 101 ", 13);
        raw_say(fd, bytes + ask + cut, len - ask - cut);
        assert_int_equal(raw_hear(fd, payload, &got), 0x81);
        assert_int_equal(got, 6);
        assert_memory_equal(payload, "hello!", 6);
        close(fd);
    }
    pair_end(&p);
}

/* --- frames -------------------------------------------------------------------------------------
 */

#define M           "\0\0\0\0" /* a mask that changes nothing */
#define TEXT(bytes) bytes, sizeof bytes - 1

static const struct {
    const char *bytes;
    size_t len;
    unsigned code;
    const char *detail;
} frames[] = {
    {TEXT("\x81\x05hello"), 1002, "mask"},
    {TEXT("\xc1\x85" M "hello"), 1002, "reserved_bits"},
    {TEXT("\xa1\x85" M "hello"), 1002, "reserved_bits"},
    {TEXT("\x91\x85" M "hello"), 1002, "reserved_bits"},
    {TEXT("\x83\x80" M), 1002, "opcode"},
    {TEXT("\x8b\x80" M), 1002, "opcode"},
    {TEXT("\x80\x80" M), 1002, "continuation"},
    {TEXT("\x01\x81" M "a\x81\x81" M "b"), 1002, "continuation"},
    {TEXT("\x09\x80" M), 1002, "control_fragment"},
    {TEXT("\x89\xfe\x00\x7e" M), 1002, "control_length"},
    {TEXT("\x88\x81" M "a"), 1002, "close_length"},
    {TEXT("\x88\x82" M "\x03\xed"), 1002, "close_code"}, /* 1005 */
    {TEXT("\x88\x82" M "\x00\x01"), 1002, "close_code"},
    {TEXT("\x88\x83" M "\x03\xe8\xff"), 1007, "utf8"},
    {TEXT("\x81\x81" M "\xff"), 1007, "utf8"},
    {TEXT("\x81\x83" M "\xed\xa0\x80"), 1007, "utf8"},       /* a surrogate */
    {TEXT("\x01\x81" M "\xce\x80\x81" M "a"), 1007, "utf8"}, /* cut by a frame */
    {TEXT("\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff" M), 1002, "length"},
    {TEXT("\x82\xff\x80\x00\x00\x00\x00\x00\x00\x00" M), 1002, "length"},
    {TEXT("\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff" M), 1009, "message_size"},
    {TEXT("\x82\xfe\x00\x05" M "hello"), 1002, "length"},
    {TEXT("GET / HTTP/1.1\r\nHost: h\r\n\r\n"), 1002, "opcode"},
};

static void bad_frames_are_refused(void **state)
{
    (void)state;
    static struct pair p;
    pair_make(&p, (weir_websocket_manager_options){0});
    struct caller *other = call(&p, "/echo");
    for (uint32_t i = 0; i < sizeof frames / sizeof *frames; i++) {
        int fd = raw_open(&p, ASK("/echo"));
        raw_say(fd, frames[i].bytes, frames[i].len);
        assert_int_equal(raw_code(fd), frames[i].code);
        assert_true(is_closed(fd));
        close(fd);
        until(p.closed == i + 1);
        assert_string_equal(p.detail, frames[i].detail);
        assert_int_equal(p.code, frames[i].code);
        weir_websocket_send(other->ws, WEIR_WEBSOCKET_TEXT, "fine", 4);
        until(other->messages == i + 1);
    }
    hang_up(other);
    pair_end(&p);
}

static void fragments_are_counted(void **state)
{
    (void)state;
    static struct pair p;
    pair_make(&p, (weir_websocket_manager_options){.fragments_max = 100});
    int fd = raw_open(&p, ASK("/count"));
    raw_frame(fd, 0x01, "a", 1);
    for (int i = 0; i < 99; i++) {
        raw_frame(fd, 0x00, "", 0);
    }
    raw_frame(fd, 0x80, "", 0);
    assert_int_equal(raw_code(fd), 1008);
    close(fd);
    pair_end(&p);
}

static void floods_are_flat(void **state)
{
    (void)state;
    static struct pair p;
    static char pings[100000 * 8];
    weir_websocket_stats stats;
    pair_make(&p, (weir_websocket_manager_options){0});
    int fd = raw_open(&p, ASK("/sink"));
    size_t len = 0;
    for (int i = 0; i < 100000; i++) {
        len += frame(pings + len, 0x89, "ab", 2);
    }
    size_t sent = 0;
    while (sent < len) { /* of the answers none is read */
        ssize_t n = send(fd, pings + sent, len - sent, MSG_NOSIGNAL);
        assert_true(n > 0);
        sent += (size_t)n;
    }
    raw_frame(fd, 0x82, "x", 1);
    until(p.messages == 1); /* it was heard behind them all */
    weir_websocket_manager_stats(p.manager, &stats);
    assert_int_equal(stats.open, 1);
    raw_frame(fd, 0x88, "\x03\xe8", 2);
    assert_int_equal(raw_code(fd), 1000);
    close(fd);
    pair_end(&p);
}

/* The first 160 bytes of what 200 000 zeroes deflate to: the message has not ended, and is too
 * large. */
static void a_bomb_is_noticed_while_it_inflates(void **state)
{
    (void)state;
    static struct pair p;
    static const char bomb[160] = "\xec\xc1\x31\x01\x00\x00\x00\xc2\xa0\xf5\x4f\x6d\x06\x7f\xa0";
    pair_make(&p, (weir_websocket_manager_options){.deflate = WEIR_ON, .message_max = 10000});
    int fd = raw_open(&p, HEAD UPGRADE VERSION GOOD_KEY
                      "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n");
    raw_frame(fd, 0x42, bomb, sizeof bomb);
    assert_int_equal(raw_code(fd), 1009);
    close(fd);
    until(p.closed == 1);
    fd = raw_open(&p, HEAD UPGRADE VERSION GOOD_KEY
                  "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n");
    raw_frame(fd, 0xc2, "\xff\xff\xff", 3);
    assert_int_equal(raw_code(fd), 1007);
    close(fd);
    until(p.closed == 2);
    assert_string_equal(p.detail, "deflate");
    pair_end(&p);
}

/* However the bytes are cut, and wherever the peer leaves, its descriptor comes back. */
static void peers_may_leave_anywhere(void **state)
{
    (void)state;
    static struct pair p;
    static char bytes[4096];
    weir_websocket_stats stats;
    pair_make(&p, (weir_websocket_manager_options){0});
    size_t len = strlen(ASK("/echo"));
    memcpy(bytes, ASK("/echo"), len);
    size_t ask = len;
    len += frame(bytes + len, 0x01, "hel", 3);
    len += frame(bytes + len, 0x89, "p", 1);
    len += frame(bytes + len, 0x80, "lo", 2);
    for (size_t cut = ask - 2; cut < len; cut++) {
        int fd = raw(&p);
        const struct linger reset = {.l_onoff = 1};
        raw_say(fd, bytes, cut);
        if (cut % 2 == 0) {
            setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        }
        close(fd);
    }
    until((weir_websocket_manager_stats(p.manager, &stats), stats.total == 0)
          && weir_server_count(p.server) == 0);
    pair_end(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(openings_are_judged),
        cmocka_unit_test(offers_are_judged),
        cmocka_unit_test(what_comes_with_the_opening_is_kept),
        cmocka_unit_test(bad_frames_are_refused),
        cmocka_unit_test(fragments_are_counted),
        cmocka_unit_test(floods_are_flat),
        cmocka_unit_test(a_bomb_is_noticed_while_it_inflates),
        cmocka_unit_test(peers_may_leave_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
