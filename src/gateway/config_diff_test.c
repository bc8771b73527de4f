/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/config_diff.h"

#include "support/configured.h"

#include <stdio.h>
#include <string.h>

#define REST                                                                                       \
    "upstreams: [{name: up, endpoints: [{url: \"http://127.0.0.1:1\"},"                            \
    " {url: \"http://[::1]:82\"}]}]\n"
#define BASE "listeners: [{name: web, address: \"127.0.0.1:8080\"}]\n" REST

static char told[2048];

/* "~path=running>wanted apply", one for each. */
static void note(void *self, const struct config_change *change)
{
    size_t len = strlen(told);
    const char *apply = change->option != NULL ? option_apply_text(change->option->apply) : "-";
    uint32_t *count = self;
    (*count)++;
    snprintf(told + len, sizeof told - len, "%c%s=%.*s>%.*s %s\n", "~+-"[change->kind],
             change -> path, change -> option != NULL ? (int)change -> running.len : 0,
             change->running.at, change->option != NULL ? (int)change->wanted.len : 0,
             change->wanted.at, apply);
}

struct pair {
    const char *running, *wanted, *told;
};

static const struct pair pairs[] = {
    {BASE, BASE, ""},
    {BASE, "workers: 3\n" BASE, "~workers=\"auto\">3 restart\n"},
    {"log: {level: warn}\n" BASE, "log: {level: debug}\n" BASE,
     "~log.level=\"warn\">\"debug\" live\n"},
    /* an element that has a name is known by it, wherever it stands */
    {BASE,
     "listeners: [{name: b, address: \"127.0.0.1:81\"}, {name: web, address: \"127.0.0.1:8080\"}]\n" REST,
     "+listeners[b]=> -\n"},
    {BASE, "listeners: [{name: b, address: \"127.0.0.1:8080\"}]\n" REST,
     "-listeners[web]=> -\n+listeners[b]=> -\n"},
    {BASE, "listeners: [{name: web, address: \"127.0.0.1:8080\", protocols: [http1]}]\n" REST,
     "~listeners[web].protocols=[\"http1\", \"h2\"]>[\"http1\"] restart\n"},
#define NAMED(name, port) "{name: " name ", address: \"127.0.0.1:" port "\"}"
    {"listeners: [" NAMED("a", "81") ", " NAMED("b", "82") ", " NAMED("c", "83") "]\n" REST,
     "listeners: [" NAMED("c", "83") ", " NAMED("d", "84") ", " NAMED("a", "85") "]\n" REST,
     "~listeners[a].address=\"127.0.0.1:81\">\"127.0.0.1:85\" live\n-listeners[b]=> -\n"
     "+listeners[d]=> -\n"},
    /* the name of an endpoint is its URL, which has brackets of its own */
    {BASE,
     "listeners: [{name: web, address: \"127.0.0.1:8080\"}]\n"
     "upstreams: [{name: up, endpoints: [{url: \"http://127.0.0.1:1\"},"
     " {url: \"http://[::1]:82\", weight: 7}]}]\n",
     "~upstreams[up].endpoints[http://[::1]:82].weight=100>7 live\n"},
    /* elements without a name: the list as a whole */
    {BASE, "listeners: [{name: web, address: \"127.0.0.1:8080\", routes: [{upstream: up}]}]\n" REST,
     "~listeners[web].routes=> -\n"},
    /* another secret is a change, and is not shown */
    {"admin: {token: one-secret-0123456}\n" BASE, "admin: {token: two-secret-0123456}\n" BASE,
     "~admin.token=\"***\">\"***\" live\n"},
};

static void what_differs_is_told_option_by_option(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        struct config *running = read_good(pairs[i].running), *wanted = read_good(pairs[i].wanted);
        uint32_t count = 0;
        told[0] = '\0';
        uint32_t said = config_diff(running, wanted, note, &count);
        assert_int_equal(said, count);
        assert_string_equal(told, pairs[i].told);
        config_free(running);
        config_free(wanted);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_differs_is_told_option_by_option)};
    return cmocka_run_group_tests_name("config diff", tests, NULL, NULL);
}
