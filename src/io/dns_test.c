/* SPDX-License-Identifier: Apache-2.0 */
#include "io/dns.h"

#include "support/fake_dns.h"

#include <errno.h>
#include <stdlib.h>

struct asker {
    struct dns_query query;
    uint32_t told;
    enum dns_error error;
    struct dns_answer answer;
    struct dns *dns;
    struct asker *cancels; /* when told */
    const char *asks;      /* when told */
};

static void on_done(struct dns_query *query, enum dns_error error, const struct dns_answer *answer)
{
    struct asker *asker = container_of(query, struct asker, query);
    asker->told++;
    asker->error = error;
    assert_int_equal(answer != NULL, error == DNS_OK);
    if (answer != NULL) {
        asker->answer = *answer;
    }
    if (asker->cancels != NULL) {
        dns_cancel(&asker->cancels->query);
    }
    if (asker->asks != NULL) {
        const char *name = asker->asks;
        asker->asks = NULL;
        assert_int_equal(dns_resolve(asker->dns, name, query, &asker->answer), DNS_LATER);
    }
}

struct scene {
    struct loop *loop;
    struct fake_dns fake;
    struct dns *dns;
    struct asker askers[4];
};

static void scene_init(struct scene *scene, struct dns_options opt)
{
    static const struct fake_dns_name names[] = {
        {.name = "three.test", .addresses = {"127.0.0.1", "127.0.0.2", "127.0.0.3"}},
        {.name = "both.test", .addresses = {"127.0.0.1", "::1", "127.0.0.2"}},
        {.name = "other.test", .addresses = {"127.0.0.9"}},
        {.name = "empty.test"},
        {.name = "fail.test", .manner = FAKE_DNS_SERVFAIL},
        {.name = "silent.test", .manner = FAKE_DNS_SILENT},
        {.name = "garbage.test", .manner = FAKE_DNS_GARBAGE},
        {.name = "slow.test",
         .manner = FAKE_DNS_SILENT_ON_V6,
         .addresses = {"127.0.0.1", "fd00::1"}},
    };
    *scene = (struct scene){0};
    assert_int_equal(loop_new(NULL, &scene->loop), 0);
    memcpy(scene->fake.names, names, sizeof names);
    fake_dns_open(&scene->fake, scene->loop);
    opt.servers = scene->fake.servers;
    opt.hosts_path = opt.hosts_path != NULL ? opt.hosts_path : "/nonexistent";
    opt.timeout_ms = opt.timeout_ms > 0 ? opt.timeout_ms : 40;
    opt.tries = 2;
    assert_int_equal(dns_open(scene->loop, &opt, &scene->dns), 0);
    for (int i = 0; i < 4; i++) {
        scene->askers[i] = (struct asker){.query.done = on_done, .dns = scene->dns};
    }
}

static void scene_fini(struct scene *scene)
{
    for (int i = 0; i < 4; i++) {
        dns_cancel(&scene->askers[i].query);
    }
    dns_close(scene->dns);
    fake_dns_close(&scene->fake);
    loop_free(scene->loop);
}

static enum dns_error ask(struct scene *scene, int asker, const char *name)
{
    struct asker *a = &scene->askers[asker];
    a->told = 0;
    return dns_resolve(scene->dns, name, &a->query, &a->answer);
}

/* Asks and waits. */
static enum dns_error learn(struct scene *scene, int asker, const char *name)
{
    struct asker *a = &scene->askers[asker];
    enum dns_error error = ask(scene, asker, name);
    if (error != DNS_LATER) {
        return error;
    }
    assert_int_equal(a->told, 0);
    turn_until(scene->loop, a->told > 0);
    assert_int_equal(a->told, 1);
    return a->error;
}

static const char *nth(const struct asker *asker, uint32_t i)
{
    static char text[ADDRESS_TEXT_MAX];
    assert_true(i < asker->answer.count);
    struct address address = address_of_ip(&asker->answer.at[i], 1);
    return address_print_host(&address, text);
}

static void literal_addresses_are_answered_at_once(void **state)
{
    (void)state;
    struct scene scene;
    scene_init(&scene, (struct dns_options){0});
    assert_int_equal(ask(&scene, 0, "192.0.2.1"), DNS_OK);
    assert_string_equal(nth(&scene.askers[0], 0), "192.0.2.1");
    assert_int_equal(ask(&scene, 0, "2001:db8::1"), DNS_OK);
    assert_string_equal(nth(&scene.askers[0], 0), "2001:db8::1");
    assert_int_equal(scene.fake.asked, 0);
    scene_fini(&scene);
}

static void what_is_no_name_is_not_asked_for(void **state)
{
    (void)state;
    struct scene scene;
    char label[80], longest[DNS_NAME_MAX + 3];
    memset(label, 'a', 64);
    label[64] = '\0';
    for (size_t i = 0; i < sizeof longest - 1; i++) {
        longest[i] = i % 2 ? '.' : 'a';
    }
    longest[DNS_NAME_MAX + 1] = 'a';
    longest[DNS_NAME_MAX + 2] = '\0';
    scene_init(&scene, (struct dns_options){0});
    const char *const bad[] = {"",    ".",    "a..b",   ".a",  "a b",
                               "a/b", "a\nb", "ü.test", label, longest};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(ask(&scene, 0, bad[i]), DNS_BAD_NAME);
    }
    assert_int_equal(scene.fake.asked, 0);
    scene_fini(&scene);
}

static void a_name_is_looked_up_once_and_then_remembered(void **state)
{
    (void)state;
    struct scene scene;
    struct dns_counts counts;
    scene_init(&scene, (struct dns_options){0});
    assert_int_equal(learn(&scene, 0, "other.test"), DNS_OK);
    assert_string_equal(nth(&scene.askers[0], 0), "127.0.0.9");
    assert_int_equal(scene.fake.asked, 2); /* A and AAAA */
    assert_int_equal(ask(&scene, 1, "OTHER.test"), DNS_OK);
    assert_string_equal(nth(&scene.askers[1], 0), "127.0.0.9");
    assert_int_equal(scene.fake.asked, 2);
    dns_counts(scene.dns, &counts);
    assert_int_equal(counts.hits, 1);
    assert_int_equal(counts.entries, 1);
    dns_flush(scene.dns);
    assert_int_equal(learn(&scene, 0, "other.test"), DNS_OK);
    assert_int_equal(scene.fake.asked, 4);
    scene_fini(&scene);
}

static void an_answer_is_kept_for_its_time_within_the_limits(void **state)
{
    (void)state;
    struct scene scene;
    scene_init(&scene, (struct dns_options){.ttl_max_ms = 30, .ttl_min_ms = 1});
    scene.fake.ttl_s = 3600;
    assert_int_equal(learn(&scene, 0, "other.test"), DNS_OK);
    assert_int_equal(ask(&scene, 0, "other.test"), DNS_OK);
    uint64_t end_ms = loop_now_ms(scene.loop) + 30;
    turn_until(scene.loop, loop_now_ms(scene.loop) >= end_ms);
    assert_int_equal(learn(&scene, 0, "other.test"), DNS_OK);
    assert_int_equal(scene.fake.asked, 4);
    scene_fini(&scene);

    scene_init(&scene, (struct dns_options){.ttl_min_ms = 60000});
    scene.fake.ttl_s = 0;
    assert_int_equal(learn(&scene, 0, "other.test"), DNS_OK);
    assert_int_equal(ask(&scene, 0, "other.test"), DNS_OK);
    scene_fini(&scene);
}

static void addresses_take_turns_within_their_family(void **state)
{
    (void)state;
    struct scene scene;
    scene_init(&scene, (struct dns_options){0});
    bool seen[256] = {false};
    assert_int_equal(learn(&scene, 0, "three.test"), DNS_OK);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(ask(&scene, 0, "three.test"), DNS_OK);
        assert_int_equal(scene.askers[0].answer.count, 3);
        seen[scene.askers[0].answer.at[0].bytes[3]] = true;
    }
    assert_true(seen[1] && seen[2] && seen[3]);

    assert_int_equal(learn(&scene, 1, "both.test"), DNS_OK);
    struct dns_answer first = scene.askers[1].answer;
    assert_int_equal(ask(&scene, 1, "both.test"), DNS_OK);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(first.at[i].family, scene.askers[1].answer.at[i].family);
    }
    scene_fini(&scene);
}

static void simultaneous_lookups_are_one(void **state)
{
    (void)state;
    struct scene scene;
    struct dns_counts counts;
    scene_init(&scene, (struct dns_options){0});
    for (int i = 0; i < 4; i++) {
        assert_int_equal(ask(&scene, i, "other.test"), DNS_LATER);
    }
    dns_cancel(&scene.askers[1].query);
    dns_cancel(&scene.askers[1].query);
    turn_until(scene.loop, scene.askers[3].told > 0);
    assert_int_equal(scene.fake.asked, 2);
    assert_int_equal(scene.askers[0].told, 1);
    assert_int_equal(scene.askers[1].told, 0);
    assert_int_equal(scene.askers[2].told, 1);
    dns_counts(scene.dns, &counts);
    assert_int_equal(counts.coalesced, 3);
    scene_fini(&scene);
}

static void a_failure_goes_to_all_and_is_kept_shortly(void **state)
{
    (void)state;
    struct scene scene;
    scene_init(&scene, (struct dns_options){.negative_ttl_ms = 60000});
    for (int i = 0; i < 4; i++) {
        assert_int_equal(ask(&scene, i, "nowhere.test"), DNS_LATER);
    }
    turn_until(scene.loop, scene.askers[3].told > 0);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(scene.askers[i].told, 1);
        assert_int_equal(scene.askers[i].error, DNS_NOT_FOUND);
    }
    uint32_t asked = scene.fake.asked;
    assert_int_equal(ask(&scene, 0, "nowhere.test"), DNS_NOT_FOUND);
    assert_int_equal(scene.fake.asked, asked);
    assert_int_equal(learn(&scene, 0, "empty.test"), DNS_NOT_FOUND);
    assert_int_equal(learn(&scene, 0, "fail.test"), DNS_FAILED);
    assert_int_not_equal(learn(&scene, 0, "garbage.test"), DNS_OK);
    scene_fini(&scene);
}

static void a_silent_server_times_out_and_blocks_nobody(void **state)
{
    (void)state;
    struct scene scene;
    scene_init(&scene, (struct dns_options){0});
    assert_int_equal(ask(&scene, 0, "silent.test"), DNS_LATER);
    assert_int_equal(learn(&scene, 1, "other.test"), DNS_OK);
    assert_int_equal(scene.askers[0].told, 0);
    turn_until(scene.loop, scene.askers[0].told == 1);
    assert_int_equal(scene.askers[0].error, DNS_TIMEOUT);
    assert_int_equal(ask(&scene, 2, "silent.test"), DNS_TIMEOUT); /* remembered */
    scene_fini(&scene);
}

/* RFC 8305 §3: the other family gets 50 ms. */
static void one_silent_family_delays_nobody_for_long(void **state)
{
    (void)state;
    struct scene scene;
    scene_init(&scene, (struct dns_options){.timeout_ms = 1500});
    uint64_t begun_ms = loop_now_ms(scene.loop);
    assert_int_equal(learn(&scene, 0, "slow.test"), DNS_OK);
    uint64_t took_ms = loop_now_ms(scene.loop) - begun_ms;
    assert_in_range(took_ms, DNS_DELAY_MS, 1499);
    assert_int_equal(scene.askers[0].answer.count, 1);
    assert_true(scene.askers[0].answer.is_partial);
    assert_int_equal(scene.askers[0].answer.ttl_ms, 0);
    assert_int_equal(ask(&scene, 1, "slow.test"), DNS_OK); /* and none after */
    assert_int_equal(scene.askers[1].answer.count, 1);
    turn_until(scene.loop, ask(&scene, 1, "slow.test") == DNS_OK
                               && scene.askers[1].answer.count == 2); /* it was asked again */
    assert_false(scene.askers[1].answer.is_partial);
    assert_true(scene.askers[1].answer.ttl_ms > 0);
    assert_int_equal(scene.askers[0].told, 1);
    scene_fini(&scene);
}

static void it_closes_while_one_family_is_silent(void **state)
{
    (void)state;
    struct scene scene;
    scene_init(&scene, (struct dns_options){.timeout_ms = 1500});
    assert_int_equal(ask(&scene, 0, "slow.test"), DNS_LATER);
    turn_until(scene.loop, scene.fake.kept_silent > 0);
    scene_fini(&scene);
    scene_init(&scene, (struct dns_options){.timeout_ms = 1500});
    assert_int_equal(learn(&scene, 0, "slow.test"), DNS_OK);
    scene_fini(&scene);
}

static void whoever_is_told_may_cancel_others_and_ask_again(void **state)
{
    (void)state;
    struct scene scene;
    scene_init(&scene, (struct dns_options){0});
    scene.askers[0].cancels = &scene.askers[1];
    scene.askers[0].asks = "three.test";
    assert_int_equal(ask(&scene, 0, "other.test"), DNS_LATER);
    assert_int_equal(ask(&scene, 1, "other.test"), DNS_LATER);
    turn_until(scene.loop, scene.askers[0].told == 2);
    assert_int_equal(scene.askers[1].told, 0);
    assert_int_equal(scene.askers[0].answer.count, 3);
    scene_fini(&scene);
}

static void the_cache_and_the_lookups_are_bounded(void **state)
{
    (void)state;
    struct scene scene;
    struct dns_counts counts;
    scene_init(&scene, (struct dns_options){.entries_max = 3, .lookups_max = 2});
    assert_int_equal(ask(&scene, 0, "silent.test"), DNS_LATER);
    assert_int_equal(ask(&scene, 1, "other.test"), DNS_LATER);
    assert_int_equal(ask(&scene, 2, "three.test"), DNS_FULL);
    turn_until(scene.loop, scene.askers[1].told == 1);
    assert_int_equal(learn(&scene, 2, "three.test"), DNS_OK);
    assert_int_equal(ask(&scene, 1, "other.test"), DNS_OK); /* used later than three.test */
    assert_int_equal(learn(&scene, 2, "both.test"), DNS_OK);
    dns_counts(scene.dns, &counts);
    assert_int_equal(counts.entries, 3);
    assert_int_equal(counts.evicted, 1);
    assert_int_equal(ask(&scene, 1, "other.test"), DNS_OK);
    assert_int_equal(ask(&scene, 1, "three.test"), DNS_LATER);
    scene_fini(&scene);
}

static void the_hosts_file_goes_first(void **state)
{
    (void)state;
    struct scene scene;
    char path[] = "/tmp/weir-hosts-XXXXXX";
    static const char hosts[] = "127.0.0.5 alpha other.test # a comment\n::5\tother.test\n";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, hosts, sizeof hosts - 1), sizeof hosts - 1);
    close(fd);
    scene_init(&scene, (struct dns_options){.hosts_path = path});
    assert_int_equal(ask(&scene, 0, "Other.Test"), DNS_OK);
    assert_int_equal(scene.askers[0].answer.count, 2);
    assert_int_equal(ask(&scene, 0, "localhost"), DNS_OK);
    assert_string_equal(nth(&scene.askers[0], 0), "127.0.0.1");
    assert_int_equal(ask(&scene, 0, "api.localhost."), DNS_OK);
    assert_int_equal(scene.fake.asked, 0);
    scene_fini(&scene);
    unlink(path);
}

static void it_closes_with_lookups_under_way(void **state)
{
    (void)state;
    struct scene scene;
    scene_init(&scene, (struct dns_options){0});
    assert_int_equal(ask(&scene, 0, "silent.test"), DNS_LATER);
    assert_int_equal(ask(&scene, 1, "other.test"), DNS_LATER);
    loop_turn(scene.loop, 0);
    scene_fini(&scene);
    assert_int_equal(scene.askers[0].told + scene.askers[1].told, 0);
}

static void bad_servers_are_an_error(void **state)
{
    (void)state;
    struct loop *loop;
    struct dns *dns;
    struct dns_options opt = {.servers = "not an address"};
    assert_int_equal(loop_new(NULL, &loop), 0);
    assert_int_equal(dns_open(loop, &opt, &dns), -EINVAL);
    loop_free(loop);
}

static void body_of_refused_memory(const struct alloc *alloc, void *arg)
{
    struct loop_options loop_opt = {.alloc = alloc};
    struct dns_options opt = {.servers = "127.0.0.1:9", .hosts_path = "/nonexistent"};
    struct loop *loop;
    struct dns *dns;
    struct asker asker = {.query.done = on_done};
    (void)arg;
    if (loop_new(&loop_opt, &loop) != 0) {
        return;
    }
    if (dns_open(loop, &opt, &dns) == 0) {
        dns_resolve(dns, "localhost", &asker.query, &asker.answer);
        dns_resolve(dns, "other.test", &asker.query, &asker.answer);
        dns_cancel(&asker.query);
        dns_close(dns);
    }
    loop_free(loop);
}

static void refused_memory_is_an_answer(void **state)
{
    (void)state;
    torture(body_of_refused_memory, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(literal_addresses_are_answered_at_once),
        cmocka_unit_test(what_is_no_name_is_not_asked_for),
        cmocka_unit_test(a_name_is_looked_up_once_and_then_remembered),
        cmocka_unit_test(an_answer_is_kept_for_its_time_within_the_limits),
        cmocka_unit_test(addresses_take_turns_within_their_family),
        cmocka_unit_test(simultaneous_lookups_are_one),
        cmocka_unit_test(a_failure_goes_to_all_and_is_kept_shortly),
        cmocka_unit_test(a_silent_server_times_out_and_blocks_nobody),
        cmocka_unit_test(one_silent_family_delays_nobody_for_long),
        cmocka_unit_test(it_closes_while_one_family_is_silent),
        cmocka_unit_test(whoever_is_told_may_cancel_others_and_ask_again),
        cmocka_unit_test(the_cache_and_the_lookups_are_bounded),
        cmocka_unit_test(the_hosts_file_goes_first),
        cmocka_unit_test(it_closes_with_lookups_under_way),
        cmocka_unit_test(bad_servers_are_an_error),
        cmocka_unit_test(refused_memory_is_an_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
