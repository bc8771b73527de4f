/* SPDX-License-Identifier: Apache-2.0 */
#include "connector/names.h"

#include "io/dns.h"
#include "support/fake_dns.h"

/* A pool whose dials come up as soon as they are asked for, where the test says. */
struct scene {
    struct loop *loop;
    struct loop_hook step;
    weir_engine *engine;
    weir_pool *pool;
    struct fake_dns fake;
    struct dns *dns;
    struct names *names;
    uint32_t dials, closes;
    uint32_t goes_to; /* what the next dial tells as its address */
    weir_err why;     /* of the last close */
};

static void dial(void *self, weir_conn conn, const weir_key *key)
{
    struct scene *scene = self;
    scene->dials++;
    names_watch_key(scene->names, key);
    assert_int_equal(weir_conn_address(scene->pool, conn, scene->goes_to), WEIR_OK);
    assert_int_equal(weir_conn_up(scene->pool, conn, scene, 1), WEIR_OK);
}

static void close_conn(void *self, weir_conn conn, void *object, weir_err why)
{
    struct scene *scene = self;
    (void)object;
    scene->closes++;
    scene->why = why;
    weir_conn_down(scene->pool, conn, why);
}

static const weir_connector connector = {.scheme = "fake", .dial = dial, .close = close_conn};

static uint64_t step(void *self, uint64_t now_ms)
{
    struct scene *scene = self;
    return weir_step(scene->engine, now_ms);
}

static void tick(void *self, uint64_t now_ms)
{
    step(self, now_ms);
}

static uint32_t hash_of(const char *text)
{
    struct ip ip;
    assert_true(ip_parse(text, &ip));
    return names_hash(&ip);
}

static void scene_init(struct scene *scene, weir_pool_options opt)
{
    *scene = (struct scene){.fake.ttl_s = 1, .goes_to = hash_of("127.0.0.1")};
    assert_int_equal(loop_new(NULL, &scene->loop), 0);
    scene->fake.names[0] = (struct fake_dns_name){.name = "moves.test", .addresses = {"127.0.0.1"}};
    fake_dns_open(&scene->fake, scene->loop);
    struct dns_options dns = {.servers = scene->fake.servers,
                              .hosts_path = "/nonexistent",
                              .ttl_min_ms = 1,
                              .ttl_max_ms = 1};
    assert_int_equal(dns_open(scene->loop, &dns, &scene->dns), 0);
    assert_int_equal(names_new(scene->loop, scene->dns, &scene->names), 0);
    weir_engine_options engine = {.now_ms = loop_now_ms(scene->loop)};
    assert_int_equal(weir_engine_new(&engine, &scene->engine), WEIR_OK);
    opt.connector = &connector;
    opt.connector_self = scene;
    assert_int_equal(weir_pool_open(scene->engine, &opt, &scene->pool), WEIR_OK);
    names_serve(scene->names, scene->pool);
    scene->step = (struct loop_hook){.run = step, .tick = tick, .self = scene};
    loop_hook_add(scene->loop, &scene->step);
}

static void scene_fini(struct scene *scene)
{
    loop_hook_remove(scene->loop, &scene->step);
    weir_engine_free(scene->engine);
    names_free(scene->names);
    dns_close(scene->dns);
    fake_dns_close(&scene->fake);
    loop_free(scene->loop);
}

static void on_grant(void *arg, const weir_grant *grant)
{
    weir_lease *lease = arg;
    assert_int_equal(grant->err, WEIR_OK);
    *lease = grant->lease;
}

/* A connection to that host, idle. */
static void connect_to(struct scene *scene, const char *host)
{
    weir_key key = {.scheme = "fake", .host = host, .port = 1};
    weir_lease lease, granted = {0};
    assert_int_equal(weir_acquire(scene->pool, &key, NULL, on_grant, &granted, &lease), WEIR_OK);
    turn_until(scene->loop, granted.id != 0);
    assert_int_equal(weir_release(scene->pool, granted, WEIR_KEEP), WEIR_OK);
}

static void a_name_that_moves_takes_its_connections_along(void **state)
{
    (void)state;
    struct scene scene;
    scene_init(&scene, (weir_pool_options){.max_age_ms = 60000});
    connect_to(&scene, "Moves.Test");
    assert_int_equal(names_count(scene.names), 1);
    turn_until(scene.loop, scene.fake.asked >= 4);
    assert_int_equal(scene.closes, 0);
    scene.fake.names[0].addresses[0] = "127.0.0.2";
    scene.goes_to = hash_of("127.0.0.2");
    uint32_t asked = scene.fake.asked;
    turn_until(scene.loop, scene.closes > 0);
    assert_int_equal(scene.closes, 1);
    assert_int_equal(scene.why, WEIR_EADDRESS);
    assert_int_equal(scene.dials, 2);           /* before the first closed */
    assert_true(scene.fake.asked >= asked + 6); /* three times, of two families */
    scene_fini(&scene);
}

/* Nothing hangs on it any more: it is asked for once more at most. */
static void a_name_is_let_go_with_its_last_connection(void **state)
{
    (void)state;
    struct scene scene;
    scene_init(&scene, (weir_pool_options){.idle_timeout_ms = 1});
    connect_to(&scene, "moves.test");
    assert_int_equal(names_count(scene.names), 1);
    turn_until(scene.loop, names_count(scene.names) == 0);
    assert_int_equal(scene.closes, 1);
    connect_to(&scene, "moves.test");
    assert_int_equal(names_count(scene.names), 1);
    scene_fini(&scene);
}

static void literal_addresses_are_not_watched(void **state)
{
    (void)state;
    struct scene scene;
    scene_init(&scene, (weir_pool_options){0});
    connect_to(&scene, "127.0.0.1");
    connect_to(&scene, "::1");
    names_watch(scene.names, "");
    assert_int_equal(names_count(scene.names), 0);
    scene_fini(&scene);
}

static void what_a_proxy_looks_up_is_not_watched(void **state)
{
    (void)state;
    struct scene scene;
    scene_init(&scene, (weir_pool_options){0});
    const weir_key proxied = {.host = "a.test", .port = 80, .proxy = "http://127.0.0.1:1"};
    const weir_key direct = {.host = "a.test", .port = 80, .proxy = ""};
    names_watch_key(scene.names, &proxied);
    names_watch_key(NULL, &direct);
    assert_int_equal(names_count(scene.names), 0);
    names_watch_key(scene.names, &direct);
    assert_int_equal(names_count(scene.names), 1);
    scene_fini(&scene);
}

static void names_that_are_watched_are_bounded(void **state)
{
    (void)state;
    struct scene scene;
    scene_init(&scene, (weir_pool_options){0});
    for (uint32_t i = 0; i < NAMES_MAX + 3; i++) {
        char host[32];
        snprintf(host, sizeof host, "n%u.test", i % (NAMES_MAX + 2));
        names_watch(scene.names, host);
    }
    assert_int_equal(names_count(scene.names), NAMES_MAX);
    scene_fini(&scene);
}

static void hashes_tell_addresses_apart(void **state)
{
    (void)state;
    assert_true(hash_of("127.0.0.1") != hash_of("127.0.0.2"));
    assert_true(hash_of("127.0.0.1") != hash_of("7f00:1::"));
    assert_int_equal(hash_of("::1"), hash_of("0:0:0:0:0:0:0:1"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_that_moves_takes_its_connections_along),
        cmocka_unit_test(a_name_is_let_go_with_its_last_connection),
        cmocka_unit_test(literal_addresses_are_not_watched),
        cmocka_unit_test(what_a_proxy_looks_up_is_not_watched),
        cmocka_unit_test(names_that_are_watched_are_bounded),
        cmocka_unit_test(hashes_tell_addresses_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
