/* SPDX-License-Identifier: Apache-2.0 */
#include "client/options.h"

#include <weir/openclaw.h>
#include <weir/websocket.h>

#include "connector/http.h"
#include "support/unit.h"

#include <errno.h>

static weir_err make_client(weir_runtime *runtime, const weir_tls_options *tls,
                            const weir_pool_options *pool)
{
    const weir_http_client_options opt = {.tls = *tls, .pool = *pool};
    weir_http_client *client;
    return weir_http_client_new(runtime, &opt, &client);
}

static weir_err make_manager(weir_runtime *runtime, const weir_tls_options *tls,
                             const weir_pool_options *pool)
{
    const weir_websocket_manager_options opt = {.tls = *tls, .pool = *pool};
    weir_websocket_manager *manager;
    return weir_websocket_manager_new(runtime, &opt, &manager);
}

static weir_err make_openclaw(weir_runtime *runtime, const weir_tls_options *tls,
                              const weir_pool_options *pool)
{
    const weir_openclaw_options opt = {.tls = *tls, .pool = *pool};
    weir_openclaw *claw;
    return weir_openclaw_open(runtime, &opt, &claw);
}

static void every_client_names_what_is_wrong(void **state)
{
    (void)state;
    static const struct {
        weir_tls_options tls;
        weir_pool_options pool;
        const char *fault;
    } rows[] = {
        {{.verify = 7}, {0}, "tls.verify"},
        {{.key = "/nowhere"}, {0}, "tls.key"},
        {{.certificate = "/nowhere"}, {0}, "tls.key"},
        {{.certificate = "/nowhere", .key = "/nowhere-key"}, {0}, "tls.certificate"},
        {{.ca = "/nowhere"}, {0}, "tls.ca"},
        {{0}, {.size = 100000}, "size"},
        {{0}, {.max_total = WEIR_NONE}, "max_total"},
    };
    weir_err (*const make[])(weir_runtime *, const weir_tls_options *,
                             const weir_pool_options *) = {make_client, make_manager,
                                                           make_openclaw};
    weir_runtime *runtime;
    assert_int_equal(weir_runtime_open_hosted(&(weir_runtime_options){0}, &runtime), WEIR_OK);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (size_t k = 0; k < sizeof make / sizeof make[0]; k++) {
            assert_int_equal(make[k](runtime, &rows[i].tls, &rows[i].pool), WEIR_EINVAL);
            assert_string_equal(weir_runtime_fault(), rows[i].fault);
        }
    }
    assert_int_equal(weir_runtime_close(runtime, 0), WEIR_OK);
}

static void a_proxy_s_fields_have_its_name(void **state)
{
    (void)state;
    const weir_tls_options odd = {.verify = 7}, half = {.key = "k"}, fine = {.verify = WEIR_OFF},
                           lost = {.ca = "/nowhere"};
    struct tls_profile *profile;
    const char *fault;
    assert_string_equal(options_tls_check(&odd, OPTIONS_PROXY_TLS), "proxy_tls.verify");
    assert_string_equal(options_tls_check(&half, OPTIONS_PROXY_TLS), "proxy_tls.key");
    assert_null(options_tls_check(&fine, OPTIONS_PROXY_TLS));
    assert_int_equal(
        options_tls_profile(&lost, OPTIONS_PROXY_TLS, TLS_OFFER_HTTP1, &profile, &fault), -ENOENT);
    assert_string_equal(fault, "proxy_tls.ca");
    assert_true(options_tls_has_files(&lost));
    assert_false(options_tls_has_files(&fine));
}

static void a_pool_s_options_are_whole(void **state)
{
    (void)state;
    const weir_pool_options given = {.max_total = 7, .connector_self = state};
    weir_pool_options pool;
    assert_int_equal(options_pool_take("http-client", &given, &pool), WEIR_OK);
    assert_int_equal(pool.max_total, 7);
    assert_int_equal(pool.max_per_key, 30); /* the profile's */
    assert_string_equal(pool.name, "http-client");
    assert_int_equal(options_pool_resolve(&http_pool_connector, &pool), WEIR_OK);
    assert_ptr_equal(pool.connector, &http_pool_connector);
    assert_null(pool.connector_self);
    assert_int_not_equal(pool.waiting_max, 0); /* a default */
}

static void texts_are_copied(void **state)
{
    (void)state;
    char *copy = NULL;
    struct alloc_count count;
    alloc_count_init(&count, &alloc_libc);
    assert_true(options_text(&count.hooks, &copy, NULL));
    assert_null(copy);
    assert_true(options_text(&count.hooks, &copy, "text"));
    assert_string_equal(copy, "text");
    alloc_free(&count.hooks, copy);
    count.fail_at = count.calls + 1;
    assert_false(options_text(&count.hooks, &copy, "text"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_client_names_what_is_wrong),
        cmocka_unit_test(a_proxy_s_fields_have_its_name),
        cmocka_unit_test(a_pool_s_options_are_whole),
        cmocka_unit_test(texts_are_copied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
