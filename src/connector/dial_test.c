/* SPDX-License-Identifier: Apache-2.0 */
#include "connector/dial.h"

#include "io/socket.h"
#include "support/fake_dns.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* A loop, a name server, and what a dial came to. */
struct scene {
    struct loop *loop;
    struct fake_dns fake;
    struct dns *dns;
    struct address server; /* 127.0.0.1 */
    int fd;
    struct dial *dial;
    struct dial_result result;
    uint32_t done;
};

static void on_done(void *self, const struct dial_result *result)
{
    struct scene *scene = self;
    scene->result = *result;
    scene->done++;
}

static void scene_init(struct scene *scene)
{
    static const struct fake_dns_name names[] = {
        {.name = "one.test", .addresses = {"127.0.0.1"}},
        {.name = "second.test", .addresses = {"127.0.0.66", "127.0.0.1"}},
        {.name = "six.test", .addresses = {"::1", "127.0.0.1"}},
        {.name = "nobody.test", .addresses = {"127.0.0.66", "127.0.0.67"}},
        {.name = "silent.test", .manner = FAKE_DNS_SILENT},
    };
    struct address any;
    *scene = (struct scene){0};
    assert_int_equal(loop_new(NULL, &scene->loop), 0);
    memcpy(scene->fake.names, names, sizeof names);
    fake_dns_open(&scene->fake, scene->loop);
    struct dns_options opt = {.servers = scene->fake.servers, .hosts_path = "/nonexistent"};
    assert_int_equal(dns_open(scene->loop, &opt, &scene->dns), 0);
    assert_true(address_of_host("127.0.0.1", 0, &any));
    assert_int_equal(listen_open(&any, NULL, &scene->fd, &scene->server), 0);
}

static void scene_fini(struct scene *scene)
{
    if (scene->result.take_stream != NULL) {
        stream_close(scene->result.take_stream);
    }
    dns_close(scene->dns);
    fake_dns_close(&scene->fake);
    listen_close(scene->fd);
    loop_free(scene->loop);
}

static enum dial_error dial(struct scene *scene, struct dial_request request)
{
    if (scene->result.take_stream != NULL) {
        stream_close(scene->result.take_stream);
    }
    scene->done = 0;
    request.port = request.port > 0 ? request.port : address_port(&scene->server);
    assert_int_equal(dial_start(scene->loop, scene->dns, &request, on_done, scene, &scene->dial),
                     0);
    assert_int_equal(scene->done, 0); /* never from inside */
    turn_until(scene->loop, scene->done > 0);
    assert_int_equal(scene->done, 1);
    assert_int_equal(scene->result.take_stream != NULL, scene->result.error == DIAL_OK);
    return scene->result.error;
}

static void a_name_becomes_a_stream(void **state)
{
    (void)state;
    struct scene scene;
    struct address peer;
    scene_init(&scene);
    assert_int_equal(dial(&scene, (struct dial_request){.host = "one.test"}), DIAL_OK);
    assert_int_equal(socket_peer(scene.result.take_stream, &peer), 0);
    assert_int_equal(address_port(&peer), address_port(&scene.server));
    assert_int_equal(address_port(&scene.result.peer), address_port(&scene.server));
    assert_int_equal(scene.result.attempts, 1);
    assert_int_equal(dial(&scene, (struct dial_request){.host = "127.0.0.1"}), DIAL_OK);
    scene_fini(&scene);
}

static void the_next_address_is_tried_at_once_when_one_refuses(void **state)
{
    (void)state;
    struct scene scene;
    scene_init(&scene);
    struct dial_request request = {.host = "second.test", .attempt_delay_ms = 60000};
    assert_int_equal(dial(&scene, request), DIAL_OK);
    request.host = "six.test"; /* nobody listens at ::1, if there is one */
    assert_int_equal(dial(&scene, request), DIAL_OK);
    scene_fini(&scene);
}

static void refused_by_all_is_refused(void **state)
{
    (void)state;
    struct scene scene;
    scene_init(&scene);
    assert_int_equal(dial(&scene, (struct dial_request){.host = "nobody.test"}), DIAL_REFUSED);
    assert_int_equal(scene.result.os_error, ECONNREFUSED);
    assert_int_equal(scene.result.attempts, 2);
    assert_int_equal(address_port(&scene.result.peer), address_port(&scene.server));
    assert_string_equal(dial_error_text(scene.result.error), "refused");
    scene_fini(&scene);
}

static void a_name_that_fails_is_told_from_a_peer_that_does(void **state)
{
    (void)state;
    struct scene scene;
    scene_init(&scene);
    assert_int_equal(dial(&scene, (struct dial_request){.host = "nowhere.test"}), DIAL_DNS);
    assert_int_equal(scene.result.dns, DNS_NOT_FOUND);
    assert_int_equal(dial(&scene, (struct dial_request){.host = "no name"}), DIAL_DNS);
    assert_int_equal(scene.result.dns, DNS_BAD_NAME);
    struct dial_request slow = {.host = "silent.test", .timeout_ms = 30};
    assert_int_equal(dial(&scene, slow), DIAL_DNS);
    assert_int_equal(scene.result.dns, DNS_TIMEOUT);
    scene_fini(&scene);
}

/* A listening socket whose backlog is full drops what comes: loopback's black hole. */
static void a_peer_that_says_nothing_is_a_time_out(void **state)
{
    (void)state;
    struct scene scene;
    struct address any, hole;
    struct listen_options full = {.backlog = 1};
    struct stream *fill[8];
    int fd;
    scene_init(&scene);
    assert_true(address_of_host("127.0.0.66", 0, &any));
    assert_int_equal(listen_open(&any, &full, &fd, &hole), 0);
    for (int i = 0; i < 8; i++) {
        assert_int_equal(socket_connect(scene.loop, &hole, NULL, &fill[i]), 0);
        stream_want(fill[i], 0);
    }
    struct dial_request request = {
        .host = "127.0.0.66", .port = address_port(&hole), .timeout_ms = 30};
    assert_int_equal(dial(&scene, request), DIAL_TIMEOUT);
    assert_int_equal(scene.result.os_error, ETIMEDOUT);

    /* The other address wins although the first still hangs. */
    struct address same_port;
    int other;
    assert_true(address_of_host("127.0.0.1", address_port(&hole), &same_port));
    assert_int_equal(listen_open(&same_port, NULL, &other, NULL), 0);
    for (int i = 0; i < 2; i++) { /* whichever the resolver puts first */
        struct dial_request race = {.host = "second.test",
                                    .port = address_port(&hole),
                                    .attempt_delay_ms = 20,
                                    .timeout_ms = 10000};
        assert_int_equal(dial(&scene, race), DIAL_OK);
        assert_true(scene.result.connect_ms < 1000);
    }
    listen_close(other);
    for (int i = 0; i < 8; i++) {
        stream_close(fill[i]);
    }
    listen_close(fd);
    scene_fini(&scene);
}

static void it_comes_from_its_source(void **state)
{
    (void)state;
    struct scene scene;
    struct address local;
    char text[ADDRESS_TEXT_MAX];
    scene_init(&scene);
    struct dial_request request = {.host = "six.test", .source = "127.0.0.88"};
    assert_int_equal(dial(&scene, request), DIAL_OK);
    assert_int_equal(scene.result.attempts, 1); /* only the source's family */
    assert_int_equal(socket_local(scene.result.take_stream, &local), 0);
    assert_string_equal(address_print_host(&local, text), "127.0.0.88");
    request.source = "::1";
    request.host = "one.test";
    assert_int_equal(dial(&scene, request), DIAL_LOCAL);
    assert_int_equal(scene.result.os_error, EAFNOSUPPORT);
    request.source = "192.0.2.1"; /* not an address of this host */
    assert_int_equal(dial(&scene, request), DIAL_LOCAL);
    assert_int_equal(scene.result.os_error, EADDRNOTAVAIL);
    scene_fini(&scene);
}

static void the_target_is_told_first_whom_it_is_for(void **state)
{
    (void)state;
    struct scene scene;
    char said[PROXY_WRITTEN_MAX + 1] = {0};
    scene_init(&scene);
    const struct dial_request request = {
        .host = "one.test",
        .announce_version = 1,
        .announce = {.family = PROXY_IPV4,
                     .from = {{192, 0, 2, 7}, 51234},
                     .to = {{198, 51, 100, 9}, 443}},
    };
    assert_int_equal(dial(&scene, request), DIAL_OK);
    assert_int_equal(scene.result.step, DIAL_ANNOUNCING);
    int fd = accept(scene.fd, NULL, NULL);
    assert_true(recv(fd, said, sizeof said - 1, 0) > 0);
    assert_string_equal(said, "PROXY TCP4 192.0.2.7 198.51.100.9 51234 443\r\n");
    close(fd);
    scene_fini(&scene);
}

static void unix_sockets_are_dialled_by_path(void **state)
{
    (void)state;
    struct scene scene;
    struct address address;
    char directory[] = "/tmp/weir-test-XXXXXX", path[64];
    int fd;
    scene_init(&scene);
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/s", directory);
    assert_int_equal(dial(&scene, (struct dial_request){.unix_path = path}), DIAL_UNREACHABLE);
    assert_true(address_of_unix(path, &address));
    assert_int_equal(listen_open(&address, NULL, &fd, NULL), 0);
    assert_int_equal(dial(&scene, (struct dial_request){.unix_path = path}), DIAL_OK);
    listen_close(fd);
    rmdir(directory);
    scene_fini(&scene);
}

static void a_dial_ends_whenever_it_is_told_to(void **state)
{
    (void)state;
    struct scene scene;
    scene_init(&scene);
    const char *const hosts[] = {"silent.test", "one.test", "127.0.0.1", "nobody.test"};
    for (size_t i = 0; i < 4; i++) {
        for (int turns = 0; turns < 4; turns++) {
            struct dial_request request = {.host = hosts[i], .port = address_port(&scene.server)};
            scene.done = 0;
            scene.result.take_stream = NULL;
            assert_int_equal(
                dial_start(scene.loop, scene.dns, &request, on_done, &scene, &scene.dial), 0);
            for (int turn = 0; turn < turns && scene.done == 0; turn++) {
                loop_turn(scene.loop, 1);
            }
            if (scene.done == 0) {
                dial_cancel(scene.dial);
            } else if (scene.result.take_stream != NULL) {
                stream_close(scene.result.take_stream);
            }
            dns_flush(scene.dns);
            scene.result.take_stream = NULL;
        }
    }
    scene_fini(&scene);
}

static void what_is_no_request_is_refused(void **state)
{
    (void)state;
    struct scene scene;
    char path[200];
    memset(path, 'p', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    scene_init(&scene);
    const struct dial_request bad[] = {
        {.port = 80},
        {.host = "one.test"},
        {.unix_path = path},
        {.host = "one.test", .port = 80, .source = "elsewhere.test"},
        {.unix_path = "/tmp/s", .source = "127.0.0.1"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(dial_start(scene.loop, scene.dns, &bad[i], on_done, &scene, &scene.dial),
                         -EINVAL);
    }
    scene_fini(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_becomes_a_stream),
        cmocka_unit_test(the_next_address_is_tried_at_once_when_one_refuses),
        cmocka_unit_test(refused_by_all_is_refused),
        cmocka_unit_test(a_name_that_fails_is_told_from_a_peer_that_does),
        cmocka_unit_test(a_peer_that_says_nothing_is_a_time_out),
        cmocka_unit_test(it_comes_from_its_source),
        cmocka_unit_test(the_target_is_told_first_whom_it_is_for),
        cmocka_unit_test(unix_sockets_are_dialled_by_path),
        cmocka_unit_test(a_dial_ends_whenever_it_is_told_to),
        cmocka_unit_test(what_is_no_request_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
