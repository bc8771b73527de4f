/* SPDX-License-Identifier: Apache-2.0
 *
 * A manager of WebSockets by its name, and its options while it is at work.
 */
#include "support/websocket_pair.h"

static void managers_are_found_by_name(void **state)
{
    (void)state;
    weir_runtime *runtime;
    weir_websocket_manager *first, *second, *third;
    const weir_websocket_manager_options named = {.pool = {.name = "mine", .max_total = 7}};
    const weir_websocket_manager_options other = {.pool = {.name = "mine", .max_total = 8}};
    const weir_websocket_manager_options plain = {.unsent_max = 4096};
    assert_int_equal(weir_runtime_open(&(weir_runtime_options){.workers = 2}, &runtime), WEIR_OK);
    assert_null(weir_websocket_manager_find(runtime, "mine"));
    assert_int_equal(weir_websocket_manager_get(runtime, &named, &first), WEIR_OK);
    assert_string_equal(weir_websocket_manager_name(first), "mine");
    assert_ptr_equal(weir_websocket_manager_find(runtime, "mine"), first);

    assert_int_equal(weir_websocket_manager_get(runtime, &named, &second), WEIR_OK);
    assert_ptr_equal(second, first);
    assert_int_equal(weir_websocket_manager_get(runtime, &other, &second), WEIR_EEXISTS);
    assert_int_equal(weir_websocket_manager_get(runtime, &plain, &second), WEIR_OK);
    assert_ptr_not_equal(second, first);
    assert_string_equal(weir_websocket_manager_name(second), "websocket-manager");
    assert_int_equal(weir_websocket_manager_get(runtime, &plain, &third), WEIR_OK);
    assert_ptr_equal(third, second);
    assert_int_equal(
        weir_websocket_manager_get(runtime, &(weir_websocket_manager_options){.slow = 9}, &third),
        WEIR_EINVAL);

    assert_int_equal(weir_websocket_manager_free(first, 0), WEIR_OK);
    assert_null(weir_websocket_manager_find(runtime, "mine"));
    assert_int_equal(weir_websocket_manager_free(second, 0), WEIR_OK);
    assert_int_equal(weir_runtime_close(runtime, 0), WEIR_OK);
}

/* Each option counts. */
static void what_differs_is_another_manager(void **state)
{
    (void)state;
    weir_runtime *runtime;
    weir_websocket_manager *first, *other;
    static char arg;
    const weir_websocket_manager_options like[] = {
        {.pool = {.max_total = 5}},
        {.message_max = 5},
        {.fragments_max = 5},
        {.unsent_max = 5},
        {.open_timeout_ms = 5},
        {.close_timeout_ms = 5},
        {.broadcasts_max = 5},
        {.slow = 2},
        {.deflate = WEIR_ON},
        {.deflate_min = 5},
        {.dns_ttl_ms = 5},
        {.dns_servers = "127.0.0.1"},
        {.event_arg = &arg},
        {.tls = {.verify = WEIR_OFF}},
        {.http2 = WEIR_ON},
        {.http2 = WEIR_WEBSOCKET_ONLY},
        {.proxy_tls = {.verify = WEIR_OFF}},
    };
    assert_int_equal(weir_runtime_open(&(weir_runtime_options){.workers = 1}, &runtime), WEIR_OK);
    assert_int_equal(weir_websocket_manager_get(runtime, NULL, &first), WEIR_OK);
    for (size_t i = 0; i < sizeof like / sizeof *like; i++) {
        assert_int_equal(weir_websocket_manager_get(runtime, &like[i], &other), WEIR_OK);
        assert_ptr_not_equal(other, first);
        assert_int_equal(weir_websocket_manager_free(other, 0), WEIR_OK);
    }
    assert_int_equal(weir_websocket_manager_free(first, 0), WEIR_OK);
    assert_int_equal(weir_runtime_close(runtime, 0), WEIR_OK);
}

static void what_is_wrong_changes_nothing(void **state)
{
    (void)state;
    static struct pair p;
    weir_websocket_manager_options opt;
    static const struct {
        weir_websocket_manager_options opt;
        const char *fault;
    } bad[] = {
        {{.size = 100000}, "size"},
        {{.slow = 3}, "slow"},
        {{.http2 = 4}, "http2"},
        {{.proxy_tls = {.verify = 9}}, "proxy_tls.verify"},
        {{.proxy_tls = {.certificate = "x"}}, "proxy_tls.key"},
        {{.message_max = 1ULL << 33}, "message_max"},
        {{.pool = {.name = "another"}}, "name"},
        {{.pool = {.max_total = 4097}}, "max_total"},
        {{.pool = {.max_total = WEIR_NONE}}, "max_total"},
    };
    pair_make(&p, (weir_websocket_manager_options){.unsent_max = 77, .dns_servers = "127.0.0.1"});
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(weir_websocket_manager_update(p.manager, &bad[i].opt), WEIR_EINVAL);
        assert_string_equal(weir_runtime_fault(), bad[i].fault);
    }
    weir_websocket_manager_options_of(p.manager, &opt);
    assert_int_equal(opt.unsent_max, 77);
    assert_int_equal(opt.http2, WEIR_OFF);
    assert_int_equal(opt.message_max, 1U << 20);
    assert_int_equal(opt.pool.max_total, 1000);
    assert_string_equal(opt.pool.name, "websocket-manager");
    assert_string_equal(opt.dns_servers, "127.0.0.1");
    pair_end(&p);
}

static void limits_of_all_change(void **state)
{
    (void)state;
    static struct pair p;
    weir_websocket_stats stats;
    pair_make(&p, (weir_websocket_manager_options){.pool = {.max_total = 2}});
    struct caller *c = call(&p, "/echo");
    weir_websocket ws;
    static const weir_websocket_handler nothing;
    const weir_websocket_request request = {.url = "ws://127.0.0.1:1/"};
    assert_int_equal(weir_websocket_dial(p.manager, &request, &nothing, NULL, &ws), WEIR_EFULL);
    weir_websocket_manager_options more = {.pool = {.max_total = 4096}};
    assert_int_equal(weir_websocket_manager_update(p.manager, &more), WEIR_OK);
    weir_websocket_manager_stats(p.manager, &stats);
    assert_int_equal(stats.max, 4096);
    struct caller *d = call(&p, "/echo"); /* the pool of those that dial has heard of it, too */
    until(p.opened == 2);
    more.pool.max_total = 1;
    assert_int_equal(weir_websocket_manager_update(p.manager, &more), WEIR_OK);
    assert_int_equal(weir_websocket_dial(p.manager, &request, &nothing, NULL, &ws), WEIR_EFULL);
    weir_websocket_manager_stats(p.manager, &stats);
    assert_int_equal(stats.total, 4); /* who is there, stays */
    hang_up(c);
    hang_up(d);
    pair_end(&p);
}

static bool nobody(void *arg, const weir_websocket_info *info)
{
    (void)arg;
    (void)info;
    return true;
}

static void messages_are_bounded_anew(void **state)
{
    (void)state;
    static struct pair p;
    static char data[3000];
    for (int deflate = WEIR_OFF; deflate <= WEIR_ON; deflate++) {
        weir_websocket_manager_options opt = {
            .message_max = 1000, .deflate = (uint32_t)deflate, .deflate_min = 1};
        pair_make(&p, opt);
        struct caller *c = call(&p, "/echo");
        assert_int_equal(weir_websocket_send(c->ws, WEIR_WEBSOCKET_BINARY, data, 900), WEIR_OK);
        until(c->messages == 1);
        opt.message_max = 2000;
        assert_int_equal(weir_websocket_manager_update(p.manager, &opt), WEIR_OK);
        weir_websocket_each(p.manager, nobody, NULL); /* every worker has read its notes */
        assert_int_equal(weir_websocket_send(c->ws, WEIR_WEBSOCKET_BINARY, data, 2000), WEIR_OK);
        until(c->messages == 2);
        assert_int_equal(c->len, 2000);
        opt.message_max = 1500;
        assert_int_equal(weir_websocket_manager_update(p.manager, &opt), WEIR_OK);
        weir_websocket_each(p.manager, nobody, NULL);
        assert_int_equal(weir_websocket_send(c->ws, WEIR_WEBSOCKET_BINARY, data, 1501), WEIR_OK);
        until(c->closed == 1);
        assert_int_equal(c->code, 1009);
        until(p.closed == 1);
        assert_int_equal(p.err, WEIR_ETOO_LARGE);
        hang_up(c);
        pair_end(&p);
    }
}

/* Those that were to be asked in a minute are asked now. */
static void times_change_for_those_that_are_there(void **state)
{
    (void)state;
    static struct pair p;
    weir_websocket_stats stats = {0};
    pair_make(&p, (weir_websocket_manager_options){0});
    struct caller *c = call(&p, "/echo");
    until(p.opened == 1);
    const weir_websocket_manager_options quick = {.pool = {.probe_every_ms = 20}};
    assert_int_equal(weir_websocket_manager_update(p.manager, &quick), WEIR_OK);
    until((weir_websocket_manager_stats(p.manager, &stats), stats.pings >= 4 && stats.pongs >= 4));
    hang_up(c);
    pair_end(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(managers_are_found_by_name),
        cmocka_unit_test(what_differs_is_another_manager),
        cmocka_unit_test(what_is_wrong_changes_nothing),
        cmocka_unit_test(limits_of_all_change),
        cmocka_unit_test(messages_are_bounded_anew),
        cmocka_unit_test(times_change_for_those_that_are_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
