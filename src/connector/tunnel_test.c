/* SPDX-License-Identifier: Apache-2.0 */
#include "connector/tunnel.h"

#include "io/socket.h"
#include "support/unit.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* --- URLs ------------------------------------------------------------------------------------ */

static void urls(void **state)
{
    (void)state;
    struct proxy proxy;
    assert_true(proxy_parse(SLICE("socks5://user:p%40ss:w@127.0.0.1:1081"), &proxy));
    assert_int_equal(proxy.kind, PROXY_SOCKS5);
    assert_int_equal(proxy.port, 1081);
    assert_string_equal(proxy.host.at, "127.0.0.1");
    assert_string_equal(proxy.user.at, "user");
    assert_string_equal(proxy.password.at, "p@ss:w");
    assert_true(proxy_parse(SLICE("SOCKS5H://proxy.test"), &proxy));
    assert_int_equal(proxy.kind, PROXY_SOCKS5);
    assert_int_equal(proxy.port, 1080);
    assert_int_equal(proxy.user.len, 0);
    assert_true(proxy_parse(SLICE("http://a@b:c@[::1]:3128/"), &proxy));
    assert_int_equal(proxy.kind, PROXY_HTTP);
    assert_string_equal(proxy.host.at, "::1");
    assert_string_equal(proxy.user.at, "a@b");
    assert_string_equal(proxy.password.at, "c");
    assert_true(proxy_parse(SLICE("https://proxy.test"), &proxy));
    assert_int_equal(proxy.port, 443);
    assert_true(proxy_parse(SLICE("http://[::1]"), &proxy));
    assert_int_equal(proxy.port, 80);
}

static void urls_of_no_proxy(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",
        "127.0.0.1:1080",
        "socks4://h",
        "socks5://",
        "socks5://:1080",
        "socks5://h:0",
        "socks5://h:65536",
        "socks5://h:",
        "socks5://h/path",
        "socks5://:pw@h",
        "socks5://u%4@h",
        "socks5://u%0a@h",
        "socks5://u:p%zz@h",
        "socks5://h%41",
        "http://[::1",
        "http://[::1]x",
    };
    struct proxy proxy;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_false(proxy_parse(slice_of(wrong[i]), &proxy));
    }
    char text[PROXY_TEXT_MAX + 32];
    memset(text, 'x', sizeof text);
    memcpy(text, "http://", 7);
    assert_false(proxy_parse((struct slice){text, sizeof text}, &proxy));
    assert_false(proxy_parse((struct slice){text, 7 + SOCKS5_TEXT_MAX + 1}, &proxy));
    assert_true(proxy_parse((struct slice){text, 7 + SOCKS5_TEXT_MAX}, &proxy));
}

/* --- handshakes ------------------------------------------------------------------------------ */

struct scene {
    struct loop *loop;
    struct stream *stream; /* our end */
    int proxy;             /* the other one */
    struct proxy through;
    struct tunnel tunnel;
    const char *error;
    unsigned done;
};

static void on_done(void *self, struct stream *stream, const char *error)
{
    struct scene *scene = self;
    assert_ptr_equal(stream, scene->stream);
    scene->error = error;
    scene->done++;
}

static void scene_init(struct scene *scene, const char *url)
{
    int ends[2];
    *scene = (struct scene){0};
    assert_int_equal(loop_new(NULL, &scene->loop), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
    assert_int_equal(socket_adopt(scene->loop, ends[0], &scene->stream), 0);
    scene->proxy = ends[1];
    assert_true(proxy_parse(slice_of(url), &scene->through));
    scene->tunnel.done = on_done;
    scene->tunnel.self = scene;
    assert_true(
        tunnel_begin(&scene->tunnel, &scene->through, SLICE("example.org"), 443, scene->stream));
}

static void scene_fini(struct scene *scene)
{
    stream_close(scene->stream);
    if (scene->proxy >= 0) {
        close(scene->proxy);
    }
    loop_free(scene->loop);
}

static void turns(struct scene *scene)
{
    for (unsigned i = 0; i < 8; i++) {
        loop_turn(scene->loop, 0);
    }
}

static void expect_heard(struct scene *scene, const char *bytes, size_t len)
{
    char heard[CONNECT_SAID_MAX];
    turns(scene);
    assert_int_equal(read(scene->proxy, heard, sizeof heard), len);
    assert_memory_equal(heard, bytes, len);
}
#define HEARD(scene, literal) expect_heard((scene), (literal), sizeof(literal) - 1)

static void answer(struct scene *scene, const char *bytes, size_t len)
{
    assert_int_equal(write(scene->proxy, bytes, len), len);
    turns(scene);
}
#define ANSWER(scene, literal) answer((scene), (literal), sizeof(literal) - 1)

/* What the target said at once is still there for whoever has the stream now. */
static void expect_open(struct scene *scene, const char *first)
{
    char buf[64];
    assert_int_equal(scene->done, 1);
    assert_null(scene->error);
    assert_int_equal(stream_read(scene->stream, buf, sizeof buf), strlen(first));
    assert_memory_equal(buf, first, strlen(first));
}

static void by_socks5(void **state)
{
    (void)state;
    struct scene scene;
    scene_init(&scene, "socks5://me:secret@127.0.0.1");
    HEARD(&scene, "\5\2\0\2");
    ANSWER(&scene, "\5\2");
    HEARD(&scene, "\1\2me\6secret");
    ANSWER(&scene, "\1\0");
    HEARD(&scene, "\5\1\0\3\xb"
                  "example.org\x01\xbb");
    ANSWER(&scene, "\5\0\0\1\x7f\0\0\1\0\0hello");
    expect_open(&scene, "hello");
    scene_fini(&scene);
}

static void by_connect(void **state)
{
    (void)state;
    struct scene scene;
    scene_init(&scene, "http://127.0.0.1:3128");
    HEARD(&scene, "CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n");
    ANSWER(&scene, "HTTP/1.1 200 Connec");
    assert_int_equal(scene.done, 0);
    ANSWER(&scene, "tion established\r\nProxy-Agent: x\r\n\r\nhello");
    expect_open(&scene, "hello");
    scene_fini(&scene);
}

/* An answer cut after every byte is an end, never a wait. */
static void answers_that_are_cut(void **state)
{
    (void)state;
    static const char whole[] = "\5\0\5\0\0\1\x7f\0\0\1\0\0";
    for (size_t len = 0; len < sizeof whole - 1; len++) {
        struct scene scene;
        scene_init(&scene, "socks5://127.0.0.1");
        turns(&scene);
        answer(&scene, whole, len);
        assert_int_equal(scene.done, 0);
        shutdown(scene.proxy, SHUT_WR);
        turns(&scene);
        assert_int_equal(scene.done, 1);
        assert_string_equal(scene.error, "the proxy hung up");
        scene_fini(&scene);
    }
}

static void refusals(void **state)
{
    (void)state;
    struct scene scene;
    scene_init(&scene, "socks5://127.0.0.1");
    turns(&scene);
    ANSWER(&scene, "\5\0");
    ANSWER(&scene, "\5\5\0\1\0\0\0\0\0\0");
    assert_int_equal(scene.done, 1);
    assert_string_equal(scene.error, "the target refused the proxy's connection");
    scene_fini(&scene);
    scene_init(&scene, "http://127.0.0.1");
    turns(&scene);
    ANSWER(&scene, "HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n");
    assert_int_equal(scene.done, 1);
    assert_string_equal(scene.error, "the proxy refused user and password, or wants some (407)");
    scene_fini(&scene);
}

static void what_no_proxy_can_be_told(void **state)
{
    (void)state;
    char text[SOCKS5_TEXT_MAX + 1];
    memset(text, 'x', sizeof text);
    struct tunnel tunnel;
    struct proxy proxy;
    assert_true(proxy_parse(SLICE("socks5://h"), &proxy));
    assert_false(tunnel_begin(&tunnel, &proxy, (struct slice){text, sizeof text}, 1, NULL));
    assert_true(proxy_parse(SLICE("http://h"), &proxy));
    assert_false(tunnel_begin(&tunnel, &proxy, (struct slice){text, sizeof text}, 1, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls),
        cmocka_unit_test(urls_of_no_proxy),
        cmocka_unit_test(by_socks5),
        cmocka_unit_test(by_connect),
        cmocka_unit_test(answers_that_are_cut),
        cmocka_unit_test(refusals),
        cmocka_unit_test(what_no_proxy_can_be_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
