/* SPDX-License-Identifier: Apache-2.0 */
#include "io/dns_records.h"

#include "support/fake_dns.h"

#include <stdlib.h>

struct scene {
    struct loop *loop;
    struct fake_dns fake;
    struct dns *dns;
    uint32_t told;
    enum dns_error error;
    bool is_half;
    uint32_t count, ttl_s;
    bool is_cut;
    struct ip first;
    struct dns_ask *ask, *cancels; /* when told */
};

static void on_told(void *self, enum dns_error error, const struct dns_records *records,
                    bool is_half)
{
    struct scene *scene = self;
    scene->told++;
    scene->error = error;
    scene->is_half = is_half;
    assert_int_equal(records != NULL, error == DNS_OK);
    if (records != NULL) {
        scene->count = records->count;
        scene->ttl_s = records->ttl_s;
        scene->is_cut = records->is_cut;
        scene->first = records->at[0].ip;
    }
    dns_records_cancel(scene->cancels);
}

/* A machine may pause for longer than a short time-out: only who waits for one has it. */
static void scene_init_within(struct scene *scene, uint32_t timeout_ms)
{
    static const struct fake_dns_name names[] = {
        {.name = "three.test", .addresses = {"127.0.0.1", "127.0.0.2", "127.0.0.3"}},
        {.name = "both.test", .addresses = {"127.0.0.1", "::1", "127.0.0.2"}},
        {.name = "empty.test"},
        {.name = "fail.test", .manner = FAKE_DNS_SERVFAIL},
        {.name = "silent.test", .manner = FAKE_DNS_SILENT},
        {.name = "garbage.test", .manner = FAKE_DNS_GARBAGE},
    };
    *scene = (struct scene){0};
    assert_int_equal(loop_new(NULL, &scene->loop), 0);
    memcpy(scene->fake.names, names, sizeof names);
    fake_dns_open(&scene->fake, scene->loop);
    const struct dns_options opt = {.servers = scene->fake.servers,
                                    .hosts_path = "/nonexistent",
                                    .timeout_ms = timeout_ms,
                                    .tries = 2};
    assert_int_equal(dns_open(scene->loop, &opt, &scene->dns), 0);
}

static void scene_init(struct scene *scene)
{
    scene_init_within(scene, 5000);
}

static void scene_fini(struct scene *scene)
{
    dns_close(scene->dns);
    fake_dns_close(&scene->fake);
    loop_free(scene->loop);
}

static enum dns_error learn(struct scene *scene, const char *name, enum dns_kind kind,
                            uint32_t most)
{
    uint32_t before = scene->told;
    enum dns_error error = dns_records_ask(scene->dns, &(struct dns_question){name, kind, most},
                                           on_told, scene, &scene->ask);
    if (error != DNS_OK) {
        return error;
    }
    assert_int_equal(scene->told, before); /* never from inside */
    turn_until(scene->loop, scene->told > before);
    assert_int_equal(scene->told, before + 1);
    return scene->error;
}

static void all_addresses_of_both_families(void **state)
{
    struct scene scene;
    (void)state;
    scene_init(&scene);
    scene.fake.ttl_s = 7;
    assert_int_equal(learn(&scene, "three.test", DNS_ADDRESSES, 8), DNS_OK);
    assert_int_equal(scene.count, 3);
    assert_int_equal(scene.ttl_s, 7);
    assert_false(scene.is_half || scene.is_cut);
    assert_int_equal(learn(&scene, "both.test", DNS_ADDRESSES, 8), DNS_OK);
    assert_int_equal(scene.count, 3);
    assert_int_equal(learn(&scene, "three.test", DNS_ADDRESSES, 2), DNS_OK);
    assert_int_equal(scene.count, 2);
    assert_true(scene.is_cut);
    scene_fini(&scene);
}

static void what_this_host_knows_by_itself(void **state)
{
    struct scene scene;
    (void)state;
    scene_init(&scene);
    assert_int_equal(learn(&scene, "localhost", DNS_ADDRESSES, 8), DNS_OK);
    assert_int_equal(scene.count, 2);
    assert_int_equal(scene.first.bytes[0], 127);
    assert_int_equal(scene.fake.asked, 0);
    scene_fini(&scene);
}

static void what_fails_is_told_from_what_is_not_there(void **state)
{
    struct scene scene;
    (void)state;
    scene_init(&scene);
    assert_int_equal(learn(&scene, "empty.test", DNS_ADDRESSES, 8), DNS_NOT_FOUND);
    assert_int_equal(learn(&scene, "nobody.test", DNS_ADDRESSES, 8), DNS_NOT_FOUND);
    assert_int_equal(learn(&scene, "three.test", DNS_SERVICES, 8), DNS_NOT_FOUND);
    assert_int_equal(learn(&scene, "fail.test", DNS_ADDRESSES, 8), DNS_FAILED);
    assert_int_equal(learn(&scene, "", DNS_ADDRESSES, 8), DNS_BAD_NAME);
    scene_fini(&scene);
}

static void who_does_not_answer_is_not_waited_for_for_ever(void **state)
{
    struct scene scene;
    (void)state;
    scene_init_within(&scene, 40);
    assert_int_equal(learn(&scene, "silent.test", DNS_SERVICES, 8), DNS_TIMEOUT);
    assert_int_not_equal(learn(&scene, "garbage.test", DNS_ADDRESSES, 8), DNS_OK);
    scene_fini(&scene);
}

static void who_cancels_is_not_told(void **state)
{
    struct scene scene;
    struct dns_ask *other;
    (void)state;
    scene_init(&scene);
    /* before it is answered, when it has been, when it is told, and never */
    assert_int_equal(dns_records_ask(scene.dns,
                                     &(struct dns_question){"three.test", DNS_ADDRESSES, 8},
                                     on_told, &scene, &other),
                     DNS_OK);
    dns_records_cancel(other);
    assert_int_equal(dns_records_ask(scene.dns,
                                     &(struct dns_question){"localhost", DNS_ADDRESSES, 8}, on_told,
                                     &scene, &other),
                     DNS_OK);
    dns_records_cancel(other);
    assert_int_equal(dns_records_ask(scene.dns,
                                     &(struct dns_question){"localhost", DNS_ADDRESSES, 8}, on_told,
                                     &scene, &other),
                     DNS_OK);
    scene.cancels = other;
    turn_until(scene.loop, scene.told > 0);
    assert_int_equal(scene.told, 1);
    scene.cancels = NULL;
    assert_int_equal(learn(&scene, "both.test", DNS_ADDRESSES, 8), DNS_OK);
    assert_int_equal(scene.told, 2);
    assert_int_equal(dns_records_ask(scene.dns,
                                     &(struct dns_question){"silent.test", DNS_ADDRESSES, 8},
                                     on_told, &scene, &other),
                     DNS_OK);
    scene_fini(&scene);
    assert_int_equal(scene.told, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_addresses_of_both_families),
        cmocka_unit_test(what_this_host_knows_by_itself),
        cmocka_unit_test(what_fails_is_told_from_what_is_not_there),
        cmocka_unit_test(who_does_not_answer_is_not_waited_for_for_ever),
        cmocka_unit_test(who_cancels_is_not_told),
    };
    return cmocka_run_group_tests_name("dns_records", tests, NULL, NULL);
}
