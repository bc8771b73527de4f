/* SPDX-License-Identifier: Apache-2.0
 *
 * steer.c - the commands that change what a gateway does: weir endpoint, pool, account, drain,
 * upgrade; and weir healthcheck, for whoever only wants to know whether it is ready.
 *
 * Each is one POST to the admin interface, which says what it did; a reason that is given stays
 * with the event that it makes.
 */
#include "cli/ask.h"
#include "cli/command.h"
#include "cli/row.h"
#include "cli/terminal.h"
#include "cli/url.h"
#include "proto/json.h"
#include "proto/json_read.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define PATH_MAX_BYTES 1024U
#define BODY_MAX       1024U
#define GRACE          .time_option = "--grace", .time_member = "grace_ms"
#define UPGRADE_S      60U /* that an upgrade takes at most, unless it is said how long, */
#define UPGRADE_MORE_S 5U  /* and until that is known */

/* What all of them may be told. */
struct steering {
    struct ask ask;
    const char *reason, *time, *output;
    const char *time_option, *time_member; /* "--grace" and "grace_ms"; NULL: there is no time */
    uint64_t time_ms;
    bool can_wait, waits; /* --wait makes sense, was given */
};

static int misused(const struct steering *steering, const char *why, const char *word)
{
    fprintf(stderr, "weir %s: %s%s; `weir %s --help` says more\n", steering->ask.command, why, word,
            steering->ask.command);
    return EXIT_USAGE;
}

/* Of the words, as with command_options(). */
static int options_of(struct steering *steering, int count, char **words)
{
    struct ask *ask = &steering->ask;
    const struct command_option options[] = {
        {"-c", &ask->config, NULL},
        {"--config", &ask->config, NULL},
        {"--admin", &ask->admin, NULL},
        {"-o", &steering->output, NULL},
        {"--output", &steering->output, NULL},
        {"--reason", &steering->reason, NULL},
        {steering->time_option, &steering->time, NULL},
        {steering->can_wait ? "--wait" : NULL, NULL, &steering->waits},
        {0}};
    steering->output = "text";
    int left = command_options(ask->command, count, words, options);
    if (left >= 0 && steering->time != NULL
        && !text_parse_duration(slice_of(steering->time), &steering->time_ms)) {
        fprintf(stderr, "weir %s: %s is a duration, not %s\n", ask->command, steering->time_option,
                steering->time);
        return -1;
    }
    return left;
}

/* "done=drain workers=2 …" */
static void print_done(struct slice body)
{
    struct json_at at = {0};
    struct slice name, value;
    char word[64], cell[ROW_CELL_MAX];
    bool is_first = true;
    while (json_next(body, &at, &name, &value)) {
        if (slice_copy(word, sizeof(word), name) >= sizeof(word))
            continue;
        row_cell(body, word, cell);
        terminal_tame(word);
        printf("%s%s=%s", is_first ? "" : " ", word, cell);
        is_first = false;
    }
    printf("\n");
}

/* POST, with what was said. The exit status. */
static int steer(struct steering *steering, const char *path)
{
    char room[BODY_MAX];
    struct json json = json_into(room, sizeof(room));
    struct bytes body;
    json_open(&json, NULL, '{');
    if (steering->reason != NULL)
        json_text(&json, "reason", steering->reason);
    if (steering->time != NULL)
        json_u64(&json, steering->time_member, steering->time_ms);
    json_close(&json, '}');
    if (json.full)
        return misused(steering, "the reason is too long", "");
    steering->ask.method = "POST";
    steering->ask.path = path;
    steering->ask.input = (struct slice){room, (uint32_t)json.len};
    bytes_init(&body, &alloc_libc, ASK_ANSWER_MAX);
    int status = ask_admin(&steering->ask, &body);
    steering->ask.path = NULL;
    steering->ask.input = (struct slice){NULL, 0};
    if (status == 0 && strcmp(steering->output, "json") == 0)
        printf("%.*s\n", SLICE_ARG(json_trim(bytes_slice(&body))));
    else if (status == 0 && json_check(bytes_slice(&body)))
        print_done(json_trim(bytes_slice(&body)));
    bytes_fini(&body);
    return status;
}

/* One of `verbs`, which end with NULL. */
static bool is_verb(const char *word, const char *const *verbs)
{
    while (*verbs != NULL && strcmp(*verbs, word) != 0)
        verbs++;
    return *verbs != NULL;
}

/* "UPSTREAM/NAME" as two parts of a path. */
static int steer_named(struct steering *steering, const char *where, int left, char **words,
                       const char *const *verbs)
{
    char path[PATH_MAX_BYTES];
    if (left != 2)
        return misused(steering, "a name and what to do with it", "");
    if (!is_verb(words[1], verbs))
        return misused(steering, "there is no command ", words[1]);
    size_t len = (size_t)snprintf(path, sizeof(path), "/api/v1/%s/", where);
    struct slice rest = slice_of(words[0]), part;
    bool is_pair = strcmp(where, "pools") != 0;
    if (is_pair) {
        part = slice_sub(rest, 0, slice_find(rest, '/'));
        rest = slice_sub(rest, part.len + 1, rest.len);
        if (part.len == 0 || rest.len == 0)
            return misused(steering, "UPSTREAM/NAME, not ", words[0]);
        len += url_escape(path + len, sizeof(path) - len, part);
        len += (size_t)snprintf(path + len, len < sizeof(path) ? sizeof(path) - len : 0, "/");
    }
    if (len < sizeof(path))
        len += url_escape(path + len, sizeof(path) - len, rest);
    if (len < sizeof(path))
        len += (size_t)snprintf(path + len, sizeof(path) - len, "/%s", words[1]);
    return len < sizeof(path) ? steer(steering, path)
                              : misused(steering, "the name is too long: ", words[0]);
}

int command_endpoint(int count, char **words)
{
    static const char *const verbs[] = {"ready", "drain", "maint", NULL};
    struct steering steering = {.ask = {.command = "endpoint"}, GRACE};
    int left = options_of(&steering, count, words);
    return left < 0 ? EXIT_USAGE : steer_named(&steering, "endpoints", left, words, verbs);
}

int command_pool(int count, char **words)
{
    static const char *const verbs[] = {"pause", "resume", "reconnect", "flush", NULL};
    struct steering steering = {.ask = {.command = "pool"}, GRACE};
    int left = options_of(&steering, count, words);
    return left < 0 ? EXIT_USAGE : steer_named(&steering, "pools", left, words, verbs);
}

int command_account(int count, char **words)
{
    static const char *const verbs[] = {"clear", NULL};
    struct steering steering = {.ask = {.command = "account"}};
    int left = options_of(&steering, count, words);
    return left < 0 ? EXIT_USAGE : steer_named(&steering, "accounts", left, words, verbs);
}

enum drain_view { DRAIN_UNDER_WAY, DRAIN_ENDED, DRAIN_UNKNOWN };

/* "3 clients left, cut in 12 s", once. False: who answers does not drain. */
static bool print_left(struct slice process, char *last, size_t size)
{
    struct slice draining, value;
    uint64_t clients = 0;
    char text[96];
    if (!json_member(process, SLICE("draining"), &draining) || !json_is_object(draining)
        || !json_member(draining, SLICE("clients"), &value) || !json_get_u64(value, &clients))
        return false;
    if (json_member(draining, SLICE("cut_in_seconds"), &value)) {
        uint32_t whole = slice_find(value, '.');
        snprintf(text, sizeof(text), "%llu clients left, cut in %.*s s",
                 (unsigned long long)clients, (int)whole, value.at);
        if (strcmp(text, last) != 0)
            printf("%s\n", text);
        fflush(stdout);
        slice_copy(last, size, slice_of(text));
    }
    return true;
}

/* It has ended where nobody answers any more, or another process does by now. */
static enum drain_view look_at_drain(const struct steering *steering, char *last, size_t size,
                                     char ret_why[static ASK_WHY_MAX])
{
    bool is_gone = false;
    enum drain_view view = DRAIN_UNKNOWN;
    struct bytes body;
    struct ask ask = {.command = "drain",
                      .admin = steering->ask.admin,
                      .config = steering->ask.config,
                      .path = "/api/v1/process",
                      .ret_why = ret_why,
                      .ret_is_gone = &is_gone};
    bytes_init(&body, &alloc_libc, ASK_ANSWER_MAX);
    if (ask_admin(&ask, &body) != 0)
        view = is_gone ? DRAIN_ENDED : DRAIN_UNKNOWN;
    else if (!json_check(bytes_slice(&body)))
        snprintf(ret_why, ASK_WHY_MAX, "what answers there is no admin interface");
    else
        view = print_left(json_trim(bytes_slice(&body)), last, size) ? DRAIN_UNDER_WAY
                                                                     : DRAIN_ENDED;
    bytes_fini(&body);
    return view;
}

/* The exit status. */
static int wait_for_end(const struct steering *steering)
{
    static const struct timespec pause = {.tv_nsec = 500000000};
    char last[96] = "", why[ASK_WHY_MAX] = "";
    enum drain_view view;
    while ((view = look_at_drain(steering, last, sizeof(last), why)) == DRAIN_UNDER_WAY)
        nanosleep(&pause, NULL);
    if (view == DRAIN_ENDED)
        printf("drained\n");
    else
        fprintf(stderr,
                "weir drain: %s; it was told to drain, and whether it has ended is not known\n",
                why);
    return view == DRAIN_ENDED ? 0 : 1;
}

int command_drain(int count, char **words)
{
    struct steering steering = {.ask = {.command = "drain"}, GRACE, .can_wait = true};
    int left = options_of(&steering, count, words);
    if (left < 0)
        return EXIT_USAGE;
    if (left > 0)
        return misused(&steering, "not understood: ", words[0]);
    int status = steer(&steering, "/api/v1/drain");
    if (status == 0 && steering.waits)
        status = wait_for_end(&steering);
    return status;
}

int command_upgrade(int count, char **words)
{
    struct steering steering = {.ask = {.command = "upgrade"},
                                .time_option = "--timeout",
                                .time_member = "timeout_ms",
                                .time_ms = UPGRADE_S * UINT64_C(1000)};
    int left = options_of(&steering, count, words);
    if (left < 0)
        return EXIT_USAGE;
    if (left > 0)
        return misused(&steering, "not understood: ", words[0]);
    if (steering.time_ms > UINT32_MAX)
        return misused(&steering, "that is too long: ", steering.time);
    steering.ask.timeout_s = (uint32_t)(steering.time_ms / 1000) + UPGRADE_MORE_S;
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "the new process begins ...\n");
    return steer(&steering, "/api/v1/upgrade");
}

int command_healthcheck(int count, char **words)
{
    struct ask ask = {.command = "healthcheck", .path = "/readyz", .timeout_s = 5};
    const struct command_option options[] = {{"-c", &ask.config, NULL},
                                             {"--config", &ask.config, NULL},
                                             {"--admin", &ask.admin, NULL},
                                             {0}};
    struct bytes body;
    int left = command_options("healthcheck", count, words, options);
    if (left < 0)
        return EXIT_USAGE;
    if (left > 0) {
        fprintf(stderr, "weir healthcheck: not understood: %s\n", words[0]);
        return EXIT_USAGE;
    }
    bytes_init(&body, &alloc_libc, ASK_ANSWER_MAX);
    int status = ask_admin(&ask, &body);
    if (status == 0)
        printf("ready\n");
    bytes_fini(&body);
    return status;
}
