/* SPDX-License-Identifier: Apache-2.0
 *
 * A Cluster that is played by the test, between the turns of a real loop: each node says of the
 * slots, and of each GET, what its row of the stage says.
 */
#include "connector/redis_cluster.h"

#include "connector/redis_cluster_parts.h"
#include "io/dns.h"
#include "support/listening.h"
#include "support/turns.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define NODES   3U
#define FDS_MAX 64U
#define SLOT    12182U /* of "foo" */
#define GET     "*2\r\n$3\r\nGET\r\n$3\r\nfoo\r\n"
#define SECOND  "*2\r\n$3\r\nGET\r\n$5\r\n{foo}\r\n"

enum scene {
    SERVES,   /* the slot is its own */
    MOVED,    /* to `to` */
    ASKS,     /* to `to`, whatever the key */
    HALF,     /* the first key is here, the other one at `to` */
    TAKES,    /* with ASKING; else it is `to`'s */
    SAYS,     /* `error` */
    SILENT,   /* nothing, for ever */
    HANGS_UP, /* at the first GET */
    DENIES    /* us: who we are is not what it wants */
};

struct actor {
    int listener; /* -1: nobody listens */
    uint16_t port;
    enum scene scene;
    unsigned to, times; /* 0 times: for ever; then it SERVES */
    const char *error;
    const char *map; /* what it says of the slots; NULL: never */
    unsigned maps, gets, taken;
};

struct wire {
    int fd;
    unsigned owner;
    bool is_asking, is_deaf; /* deaf: silent for ever, as replies keep their order */
    char in[4096];
    size_t len;
};

struct fixture {
    struct loop *loop;
    struct dns *dns;
    weir_engine *engine;
    struct loop_hook step;
    struct redis_connector *connector;
    struct redis_cluster *cluster;
    weir_pool *pool;
    unsigned closed;
    struct redis_place seeds[NODES];
    struct actor actors[NODES];
    struct wire wires[FDS_MAX];
    unsigned wires_count;
    char maps[NODES][512];
    struct redis_route route;
    unsigned done, replies;
    weir_err err;
    bool was_sent;
    char detail[REDIS_DETAIL_MAX];
};

/* --- who is played ------------------------------------------------------------------------------
 */

/* All slots are that one's. */
static const char *map_of(struct fixture *f, unsigned owner)
{
    snprintf(f->maps[owner], sizeof f->maps[owner],
             "*1\r\n*3\r\n:0\r\n:16383\r\n*3\r\n$9\r\n127.0.0.1\r\n:%u\r\n$2\r\nid\r\n",
             (unsigned)f->actors[owner].port);
    return f->maps[owner];
}

static const char *get_answer(struct fixture *f, struct wire *wire, bool is_second)
{
    static char text[128];
    struct actor *actor = &f->actors[wire->owner];
    enum scene scene = actor->scene;
    unsigned port = f->actors[actor->to].port;
    actor->gets++;
    if (actor->times > 0 && --actor->times == 0) {
        actor->scene = SERVES;
    }
    if (scene == TAKES) {
        actor->taken += wire->is_asking;
        scene = wire->is_asking ? SERVES : MOVED;
    }
    switch (scene) {
    case MOVED: snprintf(text, sizeof text, "-MOVED %u 127.0.0.1:%u\r\n", SLOT, port); break;
    case ASKS: snprintf(text, sizeof text, "-ASK %u 127.0.0.1:%u\r\n", SLOT, port); break;
    case HALF:
        if (!is_second) {
            return "$1\r\nx\r\n";
        }
        snprintf(text, sizeof text, "-ASK %u 127.0.0.1:%u\r\n", SLOT, port);
        break;
    case SAYS: return actor->error;
    case SILENT: wire->is_deaf = true; return NULL;
    case HANGS_UP: shutdown(wire->fd, SHUT_RDWR); return NULL;
    case DENIES:
    case TAKES:
    case SERVES: return "$1\r\nx\r\n";
    }
    return text;
}

static void perform(struct fixture *f, struct wire *wire, struct slice command)
{
    struct actor *actor = &f->actors[wire->owner];
    char words[256];
    const char *say = "-ERR what\r\n"; /* HELLO, INFO */
    slice_copy(words, sizeof words, command);
    if (strstr(words, "ASKING") != NULL) {
        wire->is_asking = true;
        say = "+OK\r\n";
    } else if (strstr(words, "PING") != NULL) {
        say = actor->scene == DENIES ? "-NOAUTH Authentication required.\r\n" : "+PONG\r\n";
    } else if (strstr(words, "CLUSTER") != NULL) {
        assert_non_null(strstr(words, "$5\r\nSLOTS\r\n"));
        actor->maps++;
        say = actor->map;
    } else if (strstr(words, "GET") != NULL) {
        say = get_answer(f, wire, strstr(words, "{foo}") != NULL);
        wire->is_asking = false;
    }
    if (say != NULL && !wire->is_deaf) {
        send(wire->fd, say, strlen(say), MSG_NOSIGNAL);
    }
}

static void hear(struct fixture *f, struct wire *wire)
{
    struct resp_reader reader;
    size_t whole;
    ssize_t n = read(wire->fd, wire->in + wire->len, sizeof wire->in - wire->len);
    if (n <= 0) {
        return;
    }
    wire->len += (size_t)n;
    resp_reader_init(&reader, NULL);
    while ((whole = resp_read(&reader, wire->in, wire->len)) > 0) {
        perform(f, wire, (struct slice){wire->in, (uint32_t)whole});
        wire->len -= whole;
        memmove(wire->in, wire->in + whole, wire->len);
    }
    assert_int_equal(reader.error, RESP_FINE);
}

static void play(struct fixture *f)
{
    for (unsigned i = 0; i < NODES; i++) {
        int fd = f->actors[i].listener >= 0
                     ? accept4(f->actors[i].listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)
                     : -1;
        if (fd >= 0) {
            assert_true(f->wires_count < FDS_MAX);
            f->wires[f->wires_count++] = (struct wire){.fd = fd, .owner = i};
        }
    }
    for (unsigned i = 0; i < f->wires_count; i++) {
        hear(f, &f->wires[i]);
    }
}

#define until(condition) await_true(condition, TURNS_DEADLINE_MS, loop_turn(f->loop, 1); play(f))

static void drop(struct fixture *f, unsigned n)
{
    for (unsigned i = 0; i < f->wires_count; i++) {
        if (f->wires[i].owner == n) {
            shutdown(f->wires[i].fd, SHUT_RDWR);
        }
    }
}

/* Its port is nobody's from here on, and its connections end. */
static void leave(struct fixture *f, unsigned n)
{
    close(f->actors[n].listener);
    f->actors[n].listener = -1;
    drop(f, n);
}

static void all_say(struct fixture *f, const char *map)
{
    for (unsigned i = 0; i < NODES; i++) {
        f->actors[i].map = map;
    }
}

/* --- the client ---------------------------------------------------------------------------------
 */

static uint64_t step(void *self, uint64_t now_ms)
{
    const struct fixture *f = self;
    return weir_step(f->engine, now_ms);
}

static void tick(void *self, uint64_t now_ms)
{
    step(self, now_ms);
}

static void heard_of_pool(void *arg, const weir_event *event)
{
    struct fixture *f = arg;
    f->closed += event->kind == WEIR_EVENT_POOL_CLOSED;
}

/* False: memory was refused. */
static bool open_client(struct fixture *f, const struct alloc *alloc)
{
    const struct redis_connector_options opt = {.loop = f->loop,
                                                .dns = f->dns,
                                                .alloc = alloc,
                                                .connect_timeout_ms = 5000,
                                                .write_timeout_ms = 5000,
                                                .acquire_timeout_ms = 5000};
    const weir_pool_options pool = {.size = sizeof pool,
                                    .name = "cluster",
                                    .connector = &redis_pool_connector,
                                    .connector_self = NULL,
                                    .streams_conns_max = 1,
                                    .retry_first_ms = 20,
                                    .retry_cap_ms = 20,
                                    .failures_max = 100,
                                    .down_for_ms = 20,
                                    .connect_timeout_ms = 5000};
    if (redis_connector_new(&opt, &f->connector) != 0) {
        f->connector = NULL;
        return false;
    }
    weir_pool_options own = pool;
    own.connector_self = f->connector;
    assert_int_equal(weir_pool_open(f->engine, &own, &f->pool), WEIR_OK);
    redis_connector_serve(f->connector, f->pool);
    weir_pool_on_event(f->pool, heard_of_pool, f, 0);
    const struct redis_cluster_options cluster = {.loop = f->loop,
                                                  .alloc = alloc,
                                                  .connector = f->connector,
                                                  .scheme = "redis",
                                                  .seeds = f->seeds,
                                                  .count = 2,
                                                  .timeout_ms = 200,
                                                  .seed = 1};
    if (redis_cluster_new(&cluster, &f->cluster) != 0) {
        f->cluster = NULL;
        return false;
    }
    return true;
}

static bool open_fixture(struct fixture *f, const struct alloc *alloc)
{
    const struct loop_options loop = {0};
    const struct dns_options dns = {0};
    memset(f, 0, sizeof *f);
    for (unsigned i = 0; i < NODES; i++) {
        f->actors[i].listener = listening(SOCK_NONBLOCK, 8, &f->actors[i].port);
        f->seeds[i] = (struct redis_place){.host = "127.0.0.1", .port = f->actors[i].port};
    }
    all_say(f, map_of(f, 0));
    assert_int_equal(loop_new(&loop, &f->loop), 0);
    assert_int_equal(dns_open(f->loop, &dns, &f->dns), 0);
    const weir_engine_options engine = {.size = sizeof engine, .now_ms = loop_now_ms(f->loop)};
    assert_int_equal(weir_engine_new(&engine, &f->engine), WEIR_OK);
    f->step = (struct loop_hook){.run = step, .tick = tick, .self = f};
    loop_hook_add(f->loop, &f->step);
    return open_client(f, alloc);
}

static void close_fixture(struct fixture *f)
{
    redis_route_cancel(&f->route);
    redis_route_cancel(&f->route); /* which does nothing to one that is IDLE */
    if (f->cluster != NULL) {
        redis_cluster_stop(f->cluster);
    }
    if (f->pool != NULL) {
        weir_pool_close(f->pool, 0);
        loop_hook_soon(f->loop, &f->step);
        until(f->closed == 1);
    }
    for (unsigned i = 0; i < f->wires_count; i++) {
        close(f->wires[i].fd);
    }
    redis_cluster_free(f->cluster);
    redis_connector_free(f->connector);
    loop_hook_remove(f->loop, &f->step);
    dns_close(f->dns);
    weir_engine_free(f->engine);
    loop_free(f->loop);
    for (unsigned i = 0; i < NODES; i++) {
        if (f->actors[i].listener >= 0) {
            close(f->actors[i].listener);
        }
    }
}

#define FIXTURE                                                                                    \
    static struct fixture fixture;                                                                 \
    struct fixture *f = &fixture;                                                                  \
    (void)state;                                                                                   \
    assert_true(open_fixture(f, &alloc_libc))

static void on_reply(struct redis_route *route, uint32_t index, const struct resp_value *value,
                     struct resp_walk *inside)
{
    struct fixture *f = container_of(route, struct fixture, route);
    (void)inside;
    f->replies = index == 0 ? 0 : f->replies;
    assert_int_equal(f->replies, index);
    f->replies += value->type == RESP_TEXT && slice_is(value->text, "x");
}

static void on_done(struct redis_route *route, const struct redis_outcome *outcome)
{
    struct fixture *f = container_of(route, struct fixture, route);
    f->done++;
    f->err = outcome->err;
    f->was_sent = outcome->was_sent;
    snprintf(f->detail, sizeof f->detail, "%s", outcome->detail);
}

static void begin(struct fixture *f, uint32_t count, uint32_t timeout_ms)
{
    f->done = f->replies = 0;
    f->route.on_reply = on_reply;
    f->route.done = on_done;
    f->route.commands = count == 1 ? SLICE(GET) : SLICE(GET SECOND);
    f->route.count = count;
    f->route.slot = SLOT;
    redis_route_begin(f->cluster, &f->route, timeout_ms);
    assert_int_equal(f->done, 0);
}

/* How it ended; the text has what the detail must have. */
static void get(struct fixture *f, uint32_t count, uint32_t timeout_ms)
{
    begin(f, count, timeout_ms);
    until(f->done > 0);
    assert_int_equal(f->done, 1);
}

static void gets(struct fixture *f)
{
    get(f, 2, 10000);
    if (f->err != WEIR_OK) {
        fail_msg("%s: %s", weir_err_word(f->err), f->detail);
    }
    assert_int_equal(f->replies, 2);
}

static void fails(struct fixture *f, weir_err err, const char *why)
{
    get(f, 2, 600);
    if (f->err != err || strstr(f->detail, why) == NULL) {
        fail_msg("%s: %s", weir_err_word(f->err), f->detail);
    }
}

#define COUNTED(f, name) ((unsigned)atomic_load(&redis_cluster_counters((f)->cluster)->name))

/* --- tests --------------------------------------------------------------------------------------
 */

static void the_master_of_the_slot_is_asked(void **state)
{
    FIXTURE;
    all_say(f, map_of(f, 2));
    gets(f);
    assert_true(f->actors[2].gets == 2 && f->actors[0].gets == 0 && f->actors[0].maps == 1);
    gets(f); /* nobody is asked for a map that is there */
    assert_true(f->actors[2].gets == 4 && f->actors[0].maps == 1 && f->actors[1].maps == 0);
    assert_int_equal(redis_cluster_find(f->cluster, SLOT)->port, f->actors[2].port);
    assert_true(COUNTED(f, nodes) == 1 && COUNTED(f, uncovered) == 0 && COUNTED(f, maps) == 1);
    close_fixture(f);
}

static void who_does_not_know_the_slots_is_passed_over(void **state)
{
    FIXTURE;
    leave(f, 0);
    f->actors[1].map = map_of(f, 2);
    gets(f);
    assert_true(f->actors[2].gets == 2 && f->actors[1].maps == 1);
    close_fixture(f);
}

static void garbage_is_no_map(void **state)
{
    FIXTURE;
    static const char *const bad[] = {
        "-ERR This instance has cluster support disabled\r\n", "*0\r\n", "*1\r\n:1\r\n",
        "*1\r\n*3\r\n:0\r\n:16384\r\n*2\r\n$1\r\nh\r\n:1\r\n", "$3\r\nabc\r\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        unsigned before = COUNTED(f, unmapped);
        all_say(f, bad[i]);
        fails(f, WEIR_EDOWN, "slot 12182 at nobody");
        until(COUNTED(f, unmapped) > before);
        assert_int_equal(COUNTED(f, maps), 0);
    }
    f->actors[0].map = "?what\r\n"; /* no RESP at all: it loses its connection, and the next says */
    f->actors[1].map = map_of(f, 0);
    gets(f);
    f->actors[0].scene = MOVED; /* of what was known before, nothing is lost by it */
    f->actors[0].times = 1;
    all_say(f, bad[0]);
    gets(f);
    close_fixture(f);
}

static void a_slot_that_moved_is_followed(void **state)
{
    FIXTURE;
    gets(f);
    f->actors[0].scene = MOVED;
    f->actors[0].to = 2;
    f->actors[2].map = map_of(f, 2); /* the others do not know yet */
    gets(f);
    assert_true(COUNTED(f, moved) == 1 && f->actors[2].gets == 2 && f->actors[0].gets == 4);
    until(COUNTED(f, maps) == 2);
    assert_int_equal(f->actors[2].maps, 1); /* who was named is asked for the map */
    unsigned repeated = COUNTED(f, repeated);
    gets(f);
    assert_true(f->actors[0].gets == 4 && f->actors[2].gets == 4);
    assert_int_equal(COUNTED(f, repeated), repeated);
    close_fixture(f);
}

static void a_circle_is_left(void **state)
{
    FIXTURE;
    f->actors[0].scene = f->actors[1].scene = MOVED;
    f->actors[0].to = 1;
    get(f, 2, 10000);
    assert_int_equal(f->err, WEIR_EREFUSED);
    assert_non_null(strstr(f->detail, "in a circle (sent on 8 times"));
    assert_true(f->actors[0].gets + f->actors[1].gets == 2 * (REDIS_REDIRECTS_MAX + 1));
    f->actors[0].scene = SERVES; /* they have made it up */
    gets(f);
    close_fixture(f);
}

static void a_slot_on_its_way_is_asked_for(void **state)
{
    FIXTURE;
    f->actors[0].scene = ASKS;
    f->actors[0].to = 1;
    f->actors[1].scene = TAKES;
    gets(f);
    assert_true(COUNTED(f, asked) == 1 && f->actors[1].taken == 2 && f->actors[1].gets == 2);
    gets(f); /* it is the first one's still: it is asked first, each time */
    assert_true(f->actors[0].gets == 4 && f->actors[1].taken == 4 && COUNTED(f, moved) == 0);
    close_fixture(f);
}

/* Half of it is here, half of it there: what is here is not made there, too. */
static void keys_on_both_sides_wait(void **state)
{
    FIXTURE;
    f->actors[0].scene = HALF;
    f->actors[0].to = 1;
    f->actors[0].times = 4;
    f->actors[1].scene = TAKES;
    gets(f);
    assert_true(f->actors[1].gets == 0 && f->actors[0].gets == 6 && COUNTED(f, repeated) >= 2);
    close_fixture(f);
}

static void what_passes_is_waited_for(void **state)
{
    FIXTURE;
    static const char *const errors[] = {"-TRYAGAIN Multiple keys request during rehashing\r\n",
                                         "-CLUSTERDOWN The cluster is down\r\n",
                                         "-LOADING Redis is loading the dataset in memory\r\n",
                                         "-MASTERDOWN Link with MASTER is down\r\n",
                                         "-READONLY You can't write against a replica\r\n"};
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        f->actors[0].scene = SAYS;
        f->actors[0].error = errors[i];
        f->actors[0].times = 6;
        gets(f);
        f->actors[0].scene = SAYS;
        char word[16];
        slice_copy(word, sizeof word,
                   slice_sub(slice_of(errors[i]), 1, slice_find(slice_of(errors[i]), ' ')));
        fails(f, WEIR_EREFUSED, word);
        bool is_left_alone = i > 0; /* a slot that moves is no reason */
        assert_int_equal(COUNTED(f, down), is_left_alone);
        if (is_left_alone) {
            unsigned before = f->actors[0].gets;
            fails(f, WEIR_EDOWN, "it has failed others");
            assert_int_equal(f->actors[0].gets, before);
        }
        f->actors[0].scene = SERVES;
        f->route.is_stubborn = true;
        gets(f);
        f->route.is_stubborn = false;
        assert_int_equal(COUNTED(f, down), 0);
    }
    close_fixture(f);
}

static void a_node_that_is_gone_has_an_heir(void **state)
{
    FIXTURE;
    gets(f);
    leave(f, 0);
    begin(f, 2, 10000);
    until(f->actors[1].maps > 2); /* it is asked again and again */
    assert_int_equal(f->done, 0);
    all_say(f, map_of(f, 1));
    until(f->done > 0);
    assert_true(f->err == WEIR_OK && f->replies == 2 && f->actors[1].gets == 2);
    assert_int_equal(COUNTED(f, nodes), 1);
    close_fixture(f);
}

static void a_connection_that_ends_is_no_answer(void **state)
{
    FIXTURE;
    gets(f);
    f->actors[0].scene = HANGS_UP;
    f->actors[0].times = 1;
    gets(f);
    f->actors[0].scene = SILENT;
    get(f, 2, 300);
    assert_true(f->err == WEIR_EREAD_TIMEOUT || f->err == WEIR_ETOTAL_TIMEOUT);
    assert_non_null(strstr(f->detail, "slot 12182 at 127.0.0.1:"));
    assert_int_equal(COUNTED(f, down), 1);
    f->actors[0].scene = SERVES;
    f->route.is_stubborn = true;
    gets(f);
    close_fixture(f);
}

static void a_slot_may_be_nobodys(void **state)
{
    FIXTURE;
    static char map[256];
    snprintf(map, sizeof map, "*1\r\n*3\r\n:0\r\n:9\r\n*2\r\n$9\r\n127.0.0.1\r\n:%u\r\n",
             (unsigned)f->actors[0].port);
    all_say(f, map);
    fails(f, WEIR_EDOWN, "slot 12182 at nobody:0: nobody serves it");
    assert_int_equal(COUNTED(f, uncovered), REDIS_SLOTS - 10);
    all_say(f, map_of(f, 1));
    f->route.is_stubborn = true; /* a prober's: it does not believe it */
    gets(f);
    assert_true(COUNTED(f, uncovered) == 0 && f->actors[1].gets == 2);
    close_fixture(f);
}

static void nonsense_of_a_node_is_no_way(void **state)
{
    FIXTURE;
    static const char *const bad[] = {"-MOVED 1 127.0.0.1:1\r\n", "-MOVED 12182 nowhere\r\n",
                                      "-ASK 12182 127.0.0.1:0\r\n"};
    f->actors[0].scene = SAYS;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        f->actors[0].error = bad[i];
        fails(f, WEIR_EPROTOCOL, "it sends on what it was not asked");
    }
    close_fixture(f);
}

/* Who was no master for a while may have lost what it was told. */
static void all_play(struct fixture *f, enum scene scene)
{
    for (unsigned i = 0; i < NODES; i++) {
        f->actors[i].scene = scene;
        drop(f, i);
    }
}

/* It would wait in vain: it fails with the reason, long before its time is up, and goes on when
 * somebody has mended it. */
static void who_is_not_let_in_does_not_wait(void **state)
{
    FIXTURE;
    all_play(f, DENIES);
    for (unsigned i = 0; i < 4; i++) { /* without a map, then with one; each a prober's, too */
        uint64_t begun_ms = clock_now_ms();
        f->route.is_stubborn = i % 2 == 1;
        get(f, 1, 60000);
        uint64_t took_ms = clock_now_ms() - begun_ms;
        if (f->err != WEIR_EDENIED || strstr(f->detail, "NOAUTH") == NULL || took_ms > 30000) {
            fail_msg("%u: %s: %s, after %u ms", i, weir_err_word(f->err), f->detail,
                     (unsigned)took_ms);
        }
        if (i == 1) {
            all_play(f, SERVES);
            until((get(f, 1, 60000), f->err == WEIR_OK));
            all_play(f, DENIES);
        }
    }
    all_play(f, SERVES);
    until((get(f, 1, 60000), f->err == WEIR_OK));
    close_fixture(f);
}

static void who_comes_back_is_a_stranger(void **state)
{
    FIXTURE;
    struct redis_place first = f->seeds[0], second = f->seeds[1];
    assert_false(redis_cluster_meet(f->cluster, &first, "a")); /* it is in no map */
    gets(f);
    assert_false(redis_cluster_meet(f->cluster, &first, "a"));
    assert_true(redis_cluster_meet(f->cluster, &first, "a"));
    assert_false(redis_cluster_meet(f->cluster, &first, "b")); /* another process */
    assert_true(redis_cluster_meet(f->cluster, &first, "b"));
    assert_false(redis_cluster_meet(f->cluster, &second, "c"));
    all_say(f, map_of(f, 1));
    redis_cluster_moved(f->cluster, SLOT, &second); /* as a route says it; the loop does not turn */
    assert_int_equal(redis_cluster_find(f->cluster, SLOT)->port, second.port);
    assert_true(redis_cluster_meet(f->cluster, &first, "b")); /* one slot moved, and no more */
    until(COUNTED(f, maps) == 2);
    assert_false(redis_cluster_meet(f->cluster, &first, "b"));
    assert_false(redis_cluster_meet(f->cluster, &second, "c"));
    f->actors[1].scene = MOVED;
    f->actors[1].to = 0;
    all_say(f, map_of(f, 0));
    gets(f);
    until(COUNTED(f, maps) == 3);
    assert_false(redis_cluster_meet(f->cluster, &first, "b"));
    close_fixture(f);
}

static void one_that_is_cancelled_is_not_told(void **state)
{
    FIXTURE;
    gets(f);
    f->actors[0].scene = SILENT;
    begin(f, 2, 10000);
    until(f->actors[0].gets == 4);
    redis_route_cancel(&f->route); /* ASKED */
    drop(f, 0);
    f->actors[0].scene = SAYS;
    f->actors[0].error = "-TRYAGAIN x\r\n";
    begin(f, 2, 10000);
    unsigned repeated = COUNTED(f, repeated);
    until(COUNTED(f, repeated) > repeated + 1);
    redis_route_cancel(&f->route); /* PAUSED, or ASKED again */
    f->actors[0].scene = SERVES;
    gets(f);
    assert_int_equal(f->done, 1);
    close_fixture(f);
}

static void closing_ends_it(void **state)
{
    FIXTURE;
    all_say(f, NULL);
    begin(f, 2, 10000);
    until(f->actors[0].maps > 0);
    close_fixture(f); /* while the map is asked for, and a route waits for it */
    assert_int_equal(f->done, 0);
}

static void one_life(const struct alloc *alloc, void *arg)
{
    static struct fixture fixture;
    struct fixture *f = &fixture;
    (void)arg;
    if (open_fixture(f, alloc)) {
        f->actors[0].scene = ASKS;
        f->actors[0].to = 1;
        f->actors[1].scene = TAKES;
        f->route.is_stubborn = true;
        get(f, 2, 3000);
    }
    close_fixture(f);
}

static void memory_may_be_refused(void **state)
{
    (void)state;
    torture(one_life, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_master_of_the_slot_is_asked),
        cmocka_unit_test(who_does_not_know_the_slots_is_passed_over),
        cmocka_unit_test(garbage_is_no_map),
        cmocka_unit_test(a_slot_that_moved_is_followed),
        cmocka_unit_test(a_circle_is_left),
        cmocka_unit_test(a_slot_on_its_way_is_asked_for),
        cmocka_unit_test(keys_on_both_sides_wait),
        cmocka_unit_test(what_passes_is_waited_for),
        cmocka_unit_test(a_node_that_is_gone_has_an_heir),
        cmocka_unit_test(a_connection_that_ends_is_no_answer),
        cmocka_unit_test(a_slot_may_be_nobodys),
        cmocka_unit_test(nonsense_of_a_node_is_no_way),
        cmocka_unit_test(who_is_not_let_in_does_not_wait),
        cmocka_unit_test(who_comes_back_is_a_stranger),
        cmocka_unit_test(one_that_is_cancelled_is_not_told),
        cmocka_unit_test(closing_ends_it),
        cmocka_unit_test(memory_may_be_refused),
    };
    return cmocka_run_group_tests_name("redis cluster", tests, NULL, NULL);
}
