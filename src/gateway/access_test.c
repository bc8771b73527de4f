/* SPDX-License-Identifier: Apache-2.0 */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include "gateway/access.h"

#include "io/notify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct access_log access_log;

/* The line that an entry becomes, without its time. */
static const char *line_of(const struct access_entry *entry)
{
    static char text[16384];
    char path[] = "/tmp/weir-access-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    struct notify *notify;
    assert_int_equal(notify_open(&(struct notify_options){.target = path}, &notify), 0);
    access_log = (struct access_log){.ring = notify_join(notify)};
    assert_non_null(access_log.ring);
    access_write(&access_log, entry);
    notify_close(notify);
    ssize_t len = read(fd, text, sizeof text - 1);
    assert_true(len > 0 && text[len - 1] == '\n');
    text[len] = '\0';
    close(fd);
    unlink(path);
    char *rest = strstr(text, "\"listener\"");
    assert_non_null(rest);
    return rest;
}

static void a_line_tells_the_story(void **state)
{
    (void)state;
    const struct access_entry entry = {
        .listener = "web",
        .upstream = "up",
        .endpoint = "127.0.0.1:80",
        .client = SLICE("192.0.2.7"),
        .method = SLICE("GET"),
        .host = SLICE("h.test"),
        .path = SLICE("/a\"b"),
        .trace = SLICE("0af7651916cd43dd8448eb211c80319c"),
        .status = 200,
        .error = "",
        .reused = false,
        .retries = 1,
        .request_bytes = 3,
        .answer_bytes = 1234567,
        .queue_us = 5,
        .took = {.connect_us = 3500, .tls_us = 3000},
        .first_byte_us = 1250,
        .total_us = 1000001,
    };
    assert_string_equal(
        line_of(&entry),
        "\"listener\":\"web\",\"client\":\"192.0.2.7\",\"method\":\"GET\",\"host\":\"h.test\","
        "\"path\":\"/a\\\"b\",\"status\":200,\"request_bytes\":3,\"answer_bytes\":1234567,"
        "\"upstream\":\"up\",\"endpoint\":\"127.0.0.1:80\",\"reused\":false,\"retries\":1,"
        "\"ms\":{\"queue\":0.005,\"connect\":0.500,\"tls\":3.000,"
        "\"first_byte\":1.250,\"total\":1000.001},"
        "\"cut\":false,\"error\":\"\",\"trace\":\"0af7651916cd43dd8448eb211c80319c\"}\n");
}

static void long_texts_are_cut(void **state)
{
    (void)state;
    static char path[20000];
    memset(path, '\x01', sizeof path); /* six bytes each in JSON */
    const struct access_entry entry = {.listener = "",
                                       .upstream = "",
                                       .endpoint = "",
                                       .error = "no_route",
                                       .path = {path, sizeof path},
                                       .host = {path, sizeof path},
                                       .status = 404};
    const char *line = line_of(&entry);
    assert_true(strlen(line) < sizeof access_log.line);
    assert_non_null(strstr(line, "\"error\":\"no_route\""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_tells_the_story),
        cmocka_unit_test(long_texts_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
