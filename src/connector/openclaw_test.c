/* SPDX-License-Identifier: Apache-2.0
 *
 * The connector on a real loop and engine, against a gateway that is played by the test between the
 * loop's turns: a socket on loopback, of which every frame is written out here.
 */
#include "connector/openclaw.h"

#include "base/bytes.h"
#include "connector/openclaw_parts.h"
#include "io/dns.h"
#include "support/listening.h"
#include "support/turns.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define PEERS_MAX 8U
#define CALLS_MAX 8U
#define HELLO                                                                                       \
    "{\"type\":\"res\",\"id\":\"1\",\"ok\":true,\"payload\":{\"type\":\"hello-ok\",\"protocol\":4," \
    "\"policy\":{\"tickIntervalMs\":30000}}}"
#define CHALLENGE                                                                                  \
    "{\"type\":\"event\",\"event\":\"connect.challenge\",\"payload\":{\"nonce\":\"n\",\"ts\":1}}"

struct peer {
    int fd;
    size_t have;
    char in[65536], text[65536]; /* what came; the frame that was heard last */
};

struct ask {
    struct claw_call call;
    unsigned done;
    weir_err err;
    bool is_ok;
    uint16_t code;
    uint32_t replays;
    char said[128];
};

struct fixture {
    struct loop *loop;
    weir_engine *engine;
    struct loop_hook step;
    struct dns *dns;
    weir_pool *pool;
    bool is_closed;
    struct claw_connector *connector;
    struct claw_account account;
    const struct alloc *alloc;
    weir_key key;
    int listener;
    struct peer peers[PEERS_MAX];
    unsigned peers_count;
    struct ask asks[CALLS_MAX];
    unsigned events;
};

/* --- the gateway --------------------------------------------------------------------------------
 */

static void play(struct fixture *f)
{
    int fd = accept4(f->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        assert_true(f->peers_count < PEERS_MAX);
        f->peers[f->peers_count++] = (struct peer){.fd = fd};
    }
    for (unsigned i = 0; i < f->peers_count; i++) {
        struct peer *peer = &f->peers[i];
        ssize_t n = peer->fd >= 0
                        ? read(peer->fd, peer->in + peer->have, sizeof peer->in - peer->have - 1)
                        : 0;
        peer->have += n > 0 ? (size_t)n : 0;
    }
}

#define until(condition) await_true(condition, TURNS_DEADLINE_MS, loop_turn(f->loop, 1); play(f))

static void say_raw(struct peer *peer, unsigned first, const void *at, size_t len)
{
    char frame[65600];
    size_t head = ws_write_head(frame, (uint8_t)first, len, NULL);
    memcpy(frame + head, at, len);
    assert_int_equal(send(peer->fd, frame, head + len, MSG_NOSIGNAL), (ssize_t)(head + len));
}

static void say(struct peer *peer, const char *text)
{
    say_raw(peer, WS_TEXT | WS_FIN, text, strlen(text));
}

static void say_close(struct peer *peer, uint16_t code, const char *reason)
{
    char payload[WS_CONTROL_MAX];
    size_t len = ws_write_close(payload, code, slice_of(reason));
    say_raw(peer, WS_CLOSE | WS_FIN, payload, len);
}

/* A whole frame of the client's is there: takes it. */
static bool hear(struct peer *peer)
{
    size_t at = 2, len = peer->have >= 2 ? (uint8_t)peer->in[1] & 127 : 0;
    if (len == 126 && peer->have >= 4) {
        len = (size_t)(uint8_t)peer->in[2] << 8 | (uint8_t)peer->in[3];
        at = 4;
    }
    if (peer->have < 2 || peer->have < at + 4 + len) {
        return false;
    }
    uint8_t mask[4];
    memcpy(mask, peer->in + at, 4);
    memcpy(peer->text, peer->in + at + 4, len);
    ws_mask(peer->text, len, mask, 0);
    peer->text[len] = '\0';
    peer->have -= at + 4 + len;
    memmove(peer->in, peer->in + at + 4 + len, peer->have);
    return true;
}

static bool upgrade(struct peer *peer)
{
    peer->in[peer->have] = '\0';
    const char *end = strstr(peer->in, "\r\n\r\n");
    const char *key = strstr(peer->in, "Sec-WebSocket-Key: ");
    if (end == NULL || key == NULL) {
        return false;
    }
    char accept[WS_ACCEPT_LEN], answer[256];
    ws_accept_of((struct slice){key + 19, WS_KEY_LEN}, accept);
    int len = snprintf(answer, sizeof answer,
                       "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                       "Connection: Upgrade\r\nSec-WebSocket-Accept: %.*s\r\n\r\n",
                       (int)WS_ACCEPT_LEN, accept);
    assert_int_equal(send(peer->fd, answer, (size_t)len, MSG_NOSIGNAL), len);
    peer->have = 0;
    return true;
}

/* The n-th connection, as far as what it says of itself. */
static struct peer *let_in(struct fixture *f, unsigned n)
{
    until(f->peers_count > n);
    struct peer *peer = &f->peers[n];
    until(upgrade(peer));
    say(peer, CHALLENGE);
    until(hear(peer));
    assert_non_null(strstr(peer->text, "\"method\":\"connect\""));
    return peer;
}

/* The id of the request that was heard last. */
static const char *id_of(const struct peer *peer)
{
    static char id[32];
    const char *at = strstr(peer->text, "\"id\":\"");
    assert_non_null(at);
    assert_int_equal(sscanf(at + 6, "%31[0-9]", id), 1);
    return id;
}

static void answer(struct peer *peer, const char *id, const char *payload)
{
    char text[256];
    snprintf(text, sizeof text, "{\"type\":\"res\",\"id\":\"%s\",\"ok\":true,\"payload\":%s}", id,
             payload);
    say(peer, text);
}

/* --- the client ---------------------------------------------------------------------------------
 */

static void done(struct claw_call *call, const struct claw_answer *said)
{
    struct ask *ask = container_of(call, struct ask, call);
    ask->done++;
    ask->err = said->err;
    ask->is_ok = said->is_ok;
    ask->code = said->code;
    ask->replays = said->replays;
    snprintf(ask->said, sizeof ask->said, "%.*s%s", SLICE_ARG(said->payload), said->detail);
}

static struct ask *begin(struct fixture *f, unsigned n, const char *method, uint32_t timeout_ms,
                         unsigned flags)
{
    struct ask *ask = &f->asks[n];
    *ask = (struct ask){.call = {.done = done, .method = method, .flags = flags}};
    claw_call_begin(f->connector, &ask->call, &f->key, timeout_ms);
    assert_int_equal(ask->done, 0); /* never from inside */
    return ask;
}

static struct claw_account *account_of(void *self, const weir_key *key)
{
    struct fixture *f = self;
    assert_int_equal(key->port, f->key.port);
    return &f->account;
}

static void on_event(void *self, struct claw_account *account, const struct claw_frame *frame)
{
    struct fixture *f = self;
    assert_ptr_equal(account, &f->account);
    assert_string_equal(frame->name, "chat");
    f->events++;
}

static uint64_t step(void *self, uint64_t now_ms)
{
    const struct fixture *f = self;
    return weir_step(f->engine, now_ms);
}

static void heard_of_pool(void *arg, const weir_event *event)
{
    struct fixture *f = arg;
    f->is_closed = f->is_closed || event->kind == WEIR_EVENT_POOL_CLOSED;
}

/* False: memory was refused. */
static bool open_fixture(struct fixture *f, const struct alloc *alloc, uint32_t requests_max)
{
    static const struct claw_ops ops = {.on_event = on_event};
    memset(f, 0, sizeof *f);
    f->alloc = alloc;
    f->account = (struct claw_account){.path = "/", .version = "1", .token = "T"};
    f->key = (weir_key){.scheme = "ws", .host = "127.0.0.1"};
    f->listener = listening(SOCK_NONBLOCK, 8, &f->key.port);
    const struct loop_options loop = {0};
    assert_int_equal(loop_new(&loop, &f->loop), 0);
    const weir_engine_options engine = {.size = sizeof engine, .now_ms = loop_now_ms(f->loop)};
    assert_int_equal(weir_engine_new(&engine, &f->engine), WEIR_OK);
    f->step = (struct loop_hook){.run = step, .self = f};
    loop_hook_add(f->loop, &f->step);
    const struct dns_options dns = {0};
    assert_int_equal(dns_open(f->loop, &dns, &f->dns), 0);
    const struct claw_connector_options opt = {.loop = f->loop,
                                               .dns = f->dns,
                                               .alloc = alloc,
                                               .connect_timeout_ms = 5000,
                                               .tls_timeout_ms = 5000,
                                               .write_timeout_ms = 5000,
                                               .handshake_timeout_ms = 3000,
                                               .requests_max = requests_max,
                                               .message_max = 10000,
                                               .acquire_timeout_ms = 5000,
                                               .account = account_of,
                                               .ops = &ops,
                                               .self = f};
    if (claw_connector_new(&opt, &f->connector) != 0) {
        f->connector = NULL;
        return false;
    }
    weir_pool_options pool = {.size = sizeof pool,
                              .connector = &claw_pool_connector,
                              .connector_self = f->connector,
                              .retry_first_ms = 20,
                              .retry_cap_ms = 20,
                              .failures_max = 2,
                              .max_per_key = 2, /* one that ends what it carries, and another */
                              .streams_conns_max = 1,
                              .connect_timeout_ms = 5000};
    assert_int_equal(weir_profile("openclaw", &pool), WEIR_OK);
    assert_int_equal(weir_pool_open(f->engine, &pool, &f->pool), WEIR_OK);
    claw_connector_serve(f->connector, f->pool);
    weir_pool_on_event(f->pool, heard_of_pool, f, 0);
    return true;
}

static void close_fixture(struct fixture *f)
{
    if (f->pool != NULL) {
        weir_pool_close(f->pool, 0);
        for (unsigned i = 0; i < f->peers_count; i++) {
            close(f->peers[i].fd); /* nobody waits for its goodbye */
            f->peers[i].fd = -1;
        }
        until(f->is_closed);
    }
    claw_connector_free(f->connector);
    claw_account_fini(&f->account);
    loop_hook_remove(f->loop, &f->step);
    dns_close(f->dns);
    weir_engine_free(f->engine);
    loop_free(f->loop);
    close(f->listener);
}

#define FIXTURE(requests_max)                                                                      \
    static struct fixture fixture;                                                                 \
    struct fixture *f = &fixture;                                                                  \
    (void)state;                                                                                   \
    assert_true(open_fixture(f, &alloc_libc, requests_max))

static uint64_t counted(const _Atomic uint64_t *counter)
{
    return atomic_load(counter);
}

/* --- tests --------------------------------------------------------------------------------------
 */

static void a_request_is_answered(void **state)
{
    FIXTURE(4);
    struct ask *ask = begin(f, 0, "health", 5000, 0);
    struct peer *peer = let_in(f, 0);
    assert_non_null(strstr(peer->text, "\"token\":\"T\""));
    say(peer, HELLO);
    until(hear(peer));
    assert_non_null(strstr(peer->text, "\"method\":\"health\",\"params\":{}"));
    say(peer, "{\"type\":\"event\",\"event\":\"chat\",\"seq\":1}");
    answer(peer, id_of(peer), "7");
    until(ask->done > 0);
    assert_true(ask->err == WEIR_OK && ask->is_ok);
    assert_string_equal(ask->said, "7");
    assert_int_equal(f->events, 1);
    say_raw(peer, WS_PING | WS_FIN, "hi", 2); /* the gateway's pings are answered */
    until(hear(peer));
    assert_string_equal(peer->text, "hi");
    close_fixture(f);
    assert_int_equal(ask->done, 1);
}

static void a_refusal_is_final(void **state)
{
    FIXTURE(4);
    struct ask *first = begin(f, 0, "health", 5000, 0);
    struct ask *second = begin(f, 1, "health", 5000, 0);
    struct peer *peer = let_in(f, 0);
    say(peer, "{\"type\":\"res\",\"id\":\"1\",\"ok\":false,\"error\":{\"code\":\"INVALID_REQUEST\","
              "\"message\":\"token mismatch\"}}");
    until(first->done > 0 && second->done > 0);
    assert_int_equal(first->err, WEIR_EDENIED);
    assert_int_equal(second->err, WEIR_EDENIED);
    assert_string_equal(first->said, "token mismatch");
    struct ask *third = begin(f, 2, "health", 5000, 0);
    until(third->done > 0);
    assert_int_equal(third->err, WEIR_EDENIED);
    assert_int_equal(counted(&claw_connector_counters(f->connector)->handshakes), 1);
    weir_key_info info = {.size = sizeof info};
    assert_int_equal(weir_pool_key_of(f->pool, &f->key, &info), WEIR_OK);
    assert_int_equal(info.state, WEIR_KEY_DOWN);
    close_fixture(f);
}

/* Another connector of the process that is the same to the gateway. */
static void join_as_another(const struct fixture *f, struct claw_standing *standing)
{
    uint8_t who[CLAW_WHO_BYTES];
    assert_true(claw_who(&f->account, &f->key, who));
    *standing = (struct claw_standing){0};
    claw_standing_open(standing, who);
}

static void what_another_was_refused_is_not_asked_again(void **state)
{
    FIXTURE(4);
    struct claw_standing another;
    const struct claw_refusal refusal = {.code = "UNAUTHORIZED", .message = "token mismatch"};
    join_as_another(f, &another);
    claw_standing_denied(&another, loop_now_ms(f->loop), &refusal);
    struct ask *ask = begin(f, 0, "health", 5000, 0);
    until(ask->done > 0);
    assert_int_equal(ask->err, WEIR_EDENIED);
    assert_string_equal(ask->said, "token mismatch");
    assert_true(f->account.is_denied && f->account.is_hearsay);
    const struct claw_counters *counters = claw_connector_counters(f->connector);
    assert_int_equal(counted(&counters->handshakes) + counted(&counters->denied), 0);
    claw_standing_close(&another);
    close_fixture(f);
    assert_int_equal(f->peers_count, 0);
}

static void who_asks_for_all_is_waited_for(void **state)
{
    FIXTURE(4);
    struct claw_standing another;
    struct claw_refusal refusal;
    join_as_another(f, &another);
    assert_int_equal(claw_standing_enter(&another, 0, 0, &refusal), CLAW_ASK);
    struct ask *ask = begin(f, 0, "health", 5000, 0);
    uint64_t begun_ms = clock_now_ms();
    until(clock_now_ms() - begun_ms > 50);
    const struct claw_counters *counters = claw_connector_counters(f->connector);
    assert_int_equal(counted(&counters->handshakes), 0);
    claw_standing_gave_up(&another);
    struct peer *peer = let_in(f, 0);
    assert_int_equal(claw_standing_enter(&another, 0, 0, &refusal), CLAW_WAIT);
    say(peer, HELLO);
    until(hear(peer));
    assert_int_equal(claw_standing_enter(&another, 0, 0, &refusal), CLAW_GO);
    answer(peer, id_of(peer), "{}");
    until(ask->done > 0);
    assert_int_equal(ask->err, WEIR_OK);
    say_close(peer, 1012, "service restart"); /* from now on somebody asks first again */
    until(claw_standing_enter(&another, 0, 0, &refusal) != CLAW_GO);
    claw_standing_close(&another);
    close_fixture(f);
}

static void a_close_says_as_much_as_a_refusal(void **state)
{
    static const struct {
        uint16_t code;
        weir_err err;
    } cases[] = {{1008, WEIR_EDENIED}, {1002, WEIR_EDENIED}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        FIXTURE(4);
        struct ask *ask = begin(f, 0, "health", 5000, 0);
        say_close(let_in(f, 0), cases[i].code, "because");
        until(ask->done > 0);
        assert_int_equal(ask->err, cases[i].err);
        assert_string_equal(ask->said, "because");
        close_fixture(f);
    }
}

static void who_starts_is_asked_again(void **state)
{
    FIXTURE(4);
    struct ask *ask = begin(f, 0, "health", 5000, 0);
    struct peer *peer = let_in(f, 0);
    say(peer, "{\"type\":\"res\",\"id\":\"1\",\"ok\":false,\"error\":{\"code\":\"UNAVAILABLE\","
              "\"message\":\"starting\",\"retryAfterMs\":60}}");
    uint64_t begun_ms = clock_now_ms();
    peer = let_in(f, 1);
    assert_true(clock_now_ms() - begun_ms >= 55);
    say_close(peer, 1013, "starting");
    peer = let_in(f, 2);
    say(peer, HELLO);
    until(hear(peer));
    answer(peer, id_of(peer), "{}");
    until(ask->done > 0);
    assert_int_equal(ask->err, WEIR_OK);
    weir_key_info info = {.size = sizeof info};
    assert_int_equal(weir_pool_key_of(f->pool, &f->key, &info), WEIR_OK);
    assert_int_equal(info.errors, 0); /* to the pool it was one dial */
    assert_int_equal(counted(&claw_connector_counters(f->connector)->starting), 2);
    close_fixture(f);
}

static void a_restart_fails_once_and_repeats_what_may_be(void **state)
{
    FIXTURE(4);
    struct ask *plain = begin(f, 0, "hold", 5000, 0);
    struct ask *keyed = begin(f, 1, "chat.send", 5000, CLAW_CALL_REPLAY);
    struct peer *peer = let_in(f, 0);
    say(peer, HELLO);
    until(hear(peer));
    until(hear(peer));
    say_close(peer, 1012, "service restart");
    until(plain->done > 0);
    assert_int_equal(plain->err, WEIR_EGOAWAY);
    assert_int_equal(plain->code, 1012);
    assert_string_equal(plain->said, "service restart");
    assert_int_equal(keyed->done, 0);
    peer = let_in(f, 1);
    say(peer, HELLO);
    until(hear(peer));
    assert_non_null(strstr(peer->text, "chat.send"));
    answer(peer, id_of(peer), "{}");
    until(keyed->done > 0);
    assert_true(keyed->err == WEIR_OK && keyed->replays == 1);
    close_fixture(f);
    assert_true(plain->done == 1 && keyed->done == 1);
}

static void time_and_cancelling_leave_the_connection_alone(void **state)
{
    FIXTURE(4);
    struct ask *slow = begin(f, 0, "slow", 2000, 0);
    struct peer *peer = let_in(f, 0);
    say(peer, HELLO);
    until(hear(peer));
    char slow_id[32];
    snprintf(slow_id, sizeof slow_id, "%s", id_of(peer));
    struct ask *left = begin(f, 1, "left", 5000, 0);
    until(hear(peer));
    claw_call_cancel(&left->call);
    claw_call_cancel(&left->call);
    answer(peer, id_of(peer), "{}");
    until(slow->done > 0);
    assert_int_equal(slow->err, WEIR_ETOTAL_TIMEOUT);
    answer(peer, slow_id, "{}");
    struct ask *next = begin(f, 2, "next", 5000, 0);
    until(hear(peer));
    answer(peer, id_of(peer), "{}");
    until(next->done > 0);
    assert_int_equal(next->err, WEIR_OK);
    assert_int_equal(left->done, 0);
    assert_int_equal(counted(&claw_connector_counters(f->connector)->late), 2);
    assert_int_equal(f->peers_count, 1);
    close_fixture(f);
}

/* One that answers nothing is given up when it owes too much. */
static void who_owes_too_many_answers_is_given_up(void **state)
{
    FIXTURE(1);
    struct ask *ask = begin(f, 0, "a", 30, 0);
    struct peer *peer = let_in(f, 0);
    say(peer, HELLO);
    until(ask->done > 0);
    for (unsigned i = 0; i < 4 && ask->err != WEIR_EREAD_TIMEOUT; i++) {
        ask = begin(f, 0, "a", 30, 0);
        until(ask->done > 0);
    }
    assert_int_equal(ask->err, WEIR_EREAD_TIMEOUT);
    ask = begin(f, 1, "b", 5000, 0);
    peer = let_in(f, 1);
    say(peer, HELLO);
    until(hear(peer));
    answer(peer, id_of(peer), "{}");
    until(ask->done > 0);
    assert_int_equal(ask->err, WEIR_OK);
    close_fixture(f);
}

static void a_call_that_waits_can_be_cancelled(void **state)
{
    FIXTURE(4);
    struct ask *ask = begin(f, 0, "health", 5000, 0);
    struct ask *other = begin(f, 1, "health", 5000, 0);
    claw_call_cancel(&ask->call);
    struct peer *peer = let_in(f, 0);
    say(peer, HELLO);
    until(hear(peer));
    answer(peer, id_of(peer), "{}");
    until(other->done > 0);
    assert_int_equal(ask->done, 0);
    close_fixture(f);
}

static void closing_ends_what_is_on_its_way(void **state)
{
    FIXTURE(4);
    struct ask *ask = begin(f, 0, "health", 5000, 0);
    let_in(f, 0); /* it is not let in yet */
    weir_pool_close(f->pool, 0);
    until(ask->done > 0);
    assert_int_equal(ask->err, WEIR_ECLOSED);
    f->pool = NULL;
    until(f->is_closed);
    close_fixture(f);
}

/* A life in which any memory may be missing: every call is told once, and nothing is left. */
static void one_life(const struct alloc *alloc, void *arg)
{
    static struct fixture fixture;
    struct fixture *f = &fixture;
    (void)arg;
    if (open_fixture(f, alloc, 4)) {
        struct ask *ask = begin(f, 0, "health", 3000, CLAW_CALL_REPLAY);
        struct ask *left = begin(f, 1, "health", 3000, 0);
        while (ask->done == 0 || left->done == 0) {
            loop_turn(f->loop, 1);
            play(f);
            for (unsigned i = 0; i < f->peers_count; i++) {
                struct peer *peer = &f->peers[i];
                if (upgrade(peer)) {
                    say(peer, CHALLENGE);
                } else if (hear(peer) && strstr(peer->text, "\"connect\"") != NULL) {
                    say(peer, HELLO);
                } else if (strstr(peer->text, "\"health\"") != NULL) {
                    answer(peer, id_of(peer), "{}");
                }
                peer->text[0] = '\0';
            }
        }
        assert_true(ask->done == 1 && left->done == 1);
    }
    close_fixture(f);
}

static void memory_may_be_refused(void **state)
{
    (void)state;
    torture(one_life, NULL);
}

static void who_says_goodbye_is_cut_once(void **state)
{
    FIXTURE(4);
    struct ask *ask = begin(f, 0, "health", 5000, 0);
    struct peer *peer = let_in(f, 0);
    say(peer, HELLO);
    until(hear(peer));
    answer(peer, id_of(peer), "7");
    until(ask->done > 0);
    weir_pool_flush(f->pool, &f->key, WEIR_NEVER);
    until(hear(peer)); /* the close frame, which nobody answers */
    claw_connector_cut(f->connector);
    close_fixture(f);
}

/* Another token, flushed as its owner does it. */
static void renew(struct fixture *f, const char *token)
{
    f->account.token = token;
    weir_pool_flush(f->pool, &f->key, WEIR_NEVER);
    claw_account_renew(f->connector, &f->account);
}

static void another_token_is_shown_by_the_next_connection(void **state)
{
    FIXTURE(4);
    struct ask *asks[3] = {begin(f, 0, "first", 5000, 0)};
    let_in(f, 0); /* it is asked, and has no answer yet */
    renew(f, "U");
    struct peer *peer = let_in(f, 1);
    assert_non_null(strstr(peer->text, "\"token\":\"U\""));
    say(peer, HELLO);
    until(hear(peer));
    assert_non_null(strstr(peer->text, "first"));
    char id[32];
    snprintf(id, sizeof id, "%s", id_of(peer));
    renew(f, "V"); /* while it carries a request */
    asks[1] = begin(f, 1, "second", 5000, 0);
    struct peer *next = let_in(f, 2);
    assert_non_null(strstr(next->text, "\"token\":\"V\""));
    say(next, HELLO);
    until(hear(next));
    assert_non_null(strstr(next->text, "second"));
    say(peer, "{\"type\":\"event\",\"event\":\"chat\",\"seq\":1}");
    say(next, "{\"type\":\"event\",\"event\":\"chat\",\"seq\":1}");
    answer(next, id_of(next), "2");
    answer(peer, id, "1");
    until(asks[0]->done > 0 && asks[1]->done > 0);
    assert_string_equal(asks[0]->said, "1");
    assert_string_equal(asks[1]->said, "2");
    assert_int_equal(f->events, 1);
    until(hear(peer)); /* its goodbye: the end of it says nothing of the other's standing */
    assert_int_equal(f->account.standing.verdict.state, CLAW_WELCOME);
    say_close(peer, WS_CODE_NORMAL, "");
    asks[2] = begin(f, 2, "third", 5000, 0);
    until(hear(next));
    answer(next, id_of(next), "3");
    until(asks[2]->done > 0);
    assert_int_equal(f->account.standing.verdict.state, CLAW_WELCOME);
    assert_int_equal(counted(&claw_connector_counters(f->connector)->denied), 0);
    close_fixture(f);
}

/* --- identities ---------------------------------------------------------------------------------
 */

static void an_identity_is_made_once_and_kept(void **state)
{
    (void)state;
    char path[] = "/tmp/weir-identity-XXXXXX", file[64], fault[CLAW_FAULT_MAX];
    char token[CLAW_TOKEN_MAX];
    struct claw_identity *identity, *again;
    struct stat stat_of;
    assert_non_null(mkdtemp(path));
    snprintf(file, sizeof file, "%s/device", path);
    assert_int_equal(claw_identity_open(file, &alloc_libc, &identity, fault), 0);
    assert_int_equal(stat(file, &stat_of), 0);
    assert_int_equal(stat_of.st_mode & 07777, 0600);
    assert_false(claw_identity_token(identity, "h:1", token));
    for (unsigned i = 0; i < CLAW_IDENTITY_TOKENS_MAX + 1; i++) {
        char gateway[16];
        snprintf(gateway, sizeof gateway, "h:%u", i);
        assert_int_equal(claw_identity_keep(identity, gateway, "t\"1"), 0);
    }
    assert_int_equal(claw_identity_open(file, &alloc_libc, &again, fault), 0);
    assert_string_equal(claw_identity_device(again)->id, claw_identity_device(identity)->id);
    assert_false(claw_identity_token(again, "h:0", token)); /* the eldest gave way */
    assert_true(claw_identity_token(again, "h:64", token));
    assert_string_equal(token, "t\"1");
    assert_int_equal(claw_identity_keep(again, "h:64", ""), 0);
    assert_false(claw_identity_token(again, "h:64", token));
    claw_identity_free(identity);
    claw_identity_free(again);

    assert_int_equal(chmod(file, 0644), 0);
    assert_int_equal(claw_identity_open(file, &alloc_libc, &again, fault), -EPERM);
    assert_non_null(strstr(fault, "chmod 600"));
    assert_int_equal(chmod(file, 0600), 0);
    int fd = open(file, O_WRONLY | O_TRUNC | O_CLOEXEC);
    assert_int_equal(write(fd, "{}", 2), 2);
    close(fd);
    assert_int_equal(claw_identity_open(file, &alloc_libc, &again, fault), -EINVAL);
    assert_int_equal(claw_identity_open(path, &alloc_libc, &again, fault), -EINVAL); /* a folder */
    unlink(file);
    assert_int_equal(rmdir(path), 0); /* nothing else was left there */
    assert_true(claw_identity_open(file, &alloc_libc, &again, fault) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_answered),
        cmocka_unit_test(a_refusal_is_final),
        cmocka_unit_test(what_another_was_refused_is_not_asked_again),
        cmocka_unit_test(who_asks_for_all_is_waited_for),
        cmocka_unit_test(a_close_says_as_much_as_a_refusal),
        cmocka_unit_test(who_starts_is_asked_again),
        cmocka_unit_test(a_restart_fails_once_and_repeats_what_may_be),
        cmocka_unit_test(time_and_cancelling_leave_the_connection_alone),
        cmocka_unit_test(who_owes_too_many_answers_is_given_up),
        cmocka_unit_test(a_call_that_waits_can_be_cancelled),
        cmocka_unit_test(closing_ends_what_is_on_its_way),
        cmocka_unit_test(who_says_goodbye_is_cut_once),
        cmocka_unit_test(another_token_is_shown_by_the_next_connection),
        cmocka_unit_test(memory_may_be_refused),
        cmocka_unit_test(an_identity_is_made_once_and_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
