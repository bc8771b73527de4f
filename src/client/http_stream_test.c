/* SPDX-License-Identifier: Apache-2.0
 *
 * Requests with callbacks: bodies that come and go in pieces, that wait for either side, that are
 * sent again; calling off; time.
 */
#include <weir/http.h>

#include "support/blocking.h"
#include "support/http_peer.h"

#include <semaphore.h>

#define PIECE 7777U

struct fixture {
    weir_runtime *runtime;
    weir_http_client *client;
    struct http_peer_server peer;
    _Atomic uint32_t told[WEIR_EVENTS];
};

/* One request, and what it shall do. */
struct talk {
    struct fixture *f;
    _Atomic uint64_t call;
    /* wanted */
    uint64_t total;    /* of the body that is pulled */
    uint64_t stop_at;  /* pull says `stop_with` there, once */
    size_t stop_with;  /* 0, WEIR_HTTP_LATER, WEIR_HTTP_FAIL */
    uint64_t later_at; /* LATER each time as many bytes were given; 0: never */
    bool holds_head, holds_body;
    bool cancels_head, cancels_body, cancels_pull;
    bool is_rewindable;
    /* seen */
    uint64_t given;
    _Atomic uint64_t got;
    _Atomic uint32_t heads, held, laters, rewinds, ends;
    _Atomic bool is_bad; /* a byte was not what it should be */
    uint16_t status;
    weir_err err;
    weir_http_result result;
};

static weir_http_call call_of(struct talk *talk)
{
    until(talk->call != 0); /* it may be told of before weir_http_send() has returned */
    return (weir_http_call){talk->call};
}

static bool on_head(void *arg, const weir_http_answer *answer)
{
    struct talk *talk = arg;
    talk->status = weir_http_status(answer);
    talk->heads++;
    if (talk->cancels_head) {
        assert_int_equal(weir_http_cancel(talk->f->client, call_of(talk)), WEIR_OK);
    }
    talk->held += talk->holds_head;
    return !talk->holds_head;
}

static bool on_body(void *arg, const void *data, size_t len)
{
    struct talk *talk = arg;
    for (size_t i = 0; i < len; i++) {
        if (((const char *)data)[i] != peer_pattern_at(talk->got + i)) {
            talk->is_bad = true;
        }
    }
    talk->got += len;
    if (talk->cancels_body) {
        assert_int_equal(weir_http_cancel(talk->f->client, call_of(talk)), WEIR_OK);
    }
    talk->held += talk->holds_body;
    return !talk->holds_body;
}

static void on_end(void *arg, weir_err err, const weir_http_result *result)
{
    struct talk *talk = arg;
    talk->err = err;
    talk->result = *result;
    talk->ends++;
}

static size_t pull(void *arg, void *buf, size_t cap)
{
    struct talk *talk = arg;
    uint64_t left = talk->total - talk->given;
    size_t len = left < PIECE ? (size_t)left : PIECE;
    if (talk->cancels_pull) {
        assert_int_equal(weir_http_cancel(talk->f->client, call_of(talk)), WEIR_OK);
    }
    if (talk->stop_at != 0 && talk->given >= talk->stop_at) {
        return talk->stop_with;
    }
    if (talk->later_at != 0 && talk->given >= talk->later_at * (talk->laters + 1)) {
        talk->laters++;
        return WEIR_HTTP_LATER;
    }
    len = len < cap ? len : cap;
    for (size_t i = 0; i < len; i++) {
        ((char *)buf)[i] = peer_pattern_at(talk->given + i);
    }
    talk->given += len;
    return len;
}

static bool rewind_body(void *arg)
{
    struct talk *talk = arg;
    talk->rewinds++;
    talk->given = 0;
    return talk->is_rewindable;
}

static const weir_http_handler handler = {.on_head = on_head,
                                          .on_body = on_body,
                                          .on_end = on_end,
                                          .pull = pull,
                                          .rewind = rewind_body};
static const weir_http_handler once = {.on_head = on_head,
                                       .on_body = on_body,
                                       .on_end = on_end,
                                       .pull = pull};

static void on_event(void *arg, const weir_event *event)
{
    struct fixture *f = arg;
    assert_null(event->pool);
    f->told[event->kind]++;
}

static void fixture_open(struct fixture *f, weir_http_client_options opt)
{
    const weir_runtime_options runtime = {.workers = 2};
    memset(f, 0, sizeof *f);
    peer_open(&f->peer);
    opt.on_event = on_event;
    opt.event_arg = f;
    assert_int_equal(weir_runtime_open(&runtime, &f->runtime), WEIR_OK);
    assert_int_equal(weir_http_client_new(f->runtime, &opt, &f->client), WEIR_OK);
}

static void fixture_close(struct fixture *f)
{
    assert_int_equal(weir_http_client_free(f->client), WEIR_OK);
    assert_int_equal(weir_runtime_close(f->runtime, 1000), WEIR_OK);
    peer_close(&f->peer);
}

static weir_err begin_as(struct talk *talk, weir_http_request request, const char *path,
                         const weir_http_handler *how)
{
    char url[256];
    weir_http_call call = {0};
    snprintf(url, sizeof url, "http://127.0.0.1:%u%s", talk->f->peer.port, path);
    request.url = url;
    weir_err err = weir_http_send(talk->f->client, &request, how, talk, &call);
    talk->call = call.id;
    return err;
}

static void begin(struct talk *talk, weir_http_request request, const char *path)
{
    assert_int_equal(begin_as(talk, request, path, &handler), WEIR_OK);
}

static void finish(struct talk *talk)
{
    until(talk->ends > 0);
    assert_int_equal(talk->ends, 1);
    assert_false(talk->is_bad);
}

static void expect(struct talk *talk, weir_err err)
{
    finish(talk);
    assert_int_equal(talk->err, err);
}

/* --- sending ------------------------------------------------------------------------------------
 */

static void bodies_stream_both_ways(void **state)
{
    (void)state;
    static struct fixture f;
    fixture_open(&f, (weir_http_client_options){0});
    static const uint64_t lens[] = {1, PIECE, 100000, 3000000};
    for (size_t i = 0; i < 8; i++) {
        uint64_t len = lens[i / 2];
        struct talk talk = {.f = &f, .total = len, .later_at = i == 7 ? 500000 : 0};
        const weir_http_request request = {.method = "POST",
                                           .body_len = i % 2 == 0 ? len : WEIR_HTTP_UNKNOWN};
        begin(&talk, request, "/echo");
        for (uint32_t n = 1; n <= (i == 7 ? 6 : 0); n++) { /* nothing goes on by itself */
            until(talk.laters == n);
            assert_int_equal(weir_http_resume(f.client, call_of(&talk)), WEIR_OK);
        }
        expect(&talk, WEIR_OK);
        assert_int_equal(talk.status, 200);
        assert_int_equal(talk.got, len);
        assert_int_equal(talk.result.body_bytes, len);
        assert_int_equal(talk.rewinds, 0);
        assert_int_equal(weir_http_resume(f.client, call_of(&talk)), WEIR_ESTALE);
    }
    assert_int_equal(f.peer.accepted, 1);
    fixture_close(&f);
}

static void bodies_that_fail_end_their_request(void **state)
{
    (void)state;
    static struct fixture f;
    fixture_open(&f, (weir_http_client_options){0});
    static const struct {
        uint64_t body_len;
        size_t stop_with;
    } cases[] = {{30000, WEIR_HTTP_FAIL},
                 {30000, 0},
                 {WEIR_HTTP_UNKNOWN, WEIR_HTTP_FAIL},
                 {30000, 1U << 30}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct talk talk = {
            .f = &f, .total = 30000, .stop_at = 10000, .stop_with = cases[i].stop_with};
        begin(&talk, (weir_http_request){.method = "POST", .body_len = cases[i].body_len}, "/echo");
        expect(&talk, WEIR_ECANCELED);
        assert_int_equal(talk.heads, 0);
    }
    struct talk talk = {.f = &f, .total = 30000, .cancels_pull = true};
    begin(&talk, (weir_http_request){.method = "POST", .body_len = 30000}, "/echo");
    expect(&talk, WEIR_ECANCELED);
    struct talk early = {.f = &f, .total = 50000000};
    begin(&early, (weir_http_request){.method = "POST", .body_len = 50000000}, "/early");
    until(early.ends == 1); /* it may see the answer, or that the peer takes no more */
    assert_true(early.err == WEIR_ERESET || (early.err == WEIR_OK && early.status == 413));
    weir_http_stats stats;
    weir_http_client_stats(f.client, &stats);
    assert_int_equal(stats.requests, 0);
    fixture_close(&f);
}

static void bodies_are_sent_again(void **state)
{
    (void)state;
    static struct fixture f;
    fixture_open(&f, (weir_http_client_options){0});
    const weir_http_request post = {.method = "POST", .body_len = 50000};
    struct talk again = {.f = &f, .total = 50000, .is_rewindable = true};
    begin(&again, post, "/to/308//echo");
    expect(&again, WEIR_OK);
    assert_int_equal(again.rewinds, 1);
    assert_int_equal(again.got, 50000);
    assert_int_equal(again.result.redirects, 1);
    struct talk wont = {.f = &f, .total = 50000};
    begin(&wont, post, "/to/308//echo");
    expect(&wont, WEIR_EREDIRECTS);
    struct talk cannot = {.f = &f, .total = 50000}; /* it is told of the answer instead */
    assert_int_equal(begin_as(&cannot, post, "/to/308//echo", &once), WEIR_OK);
    until(cannot.ends == 1);
    assert_int_equal(cannot.status, 308);
    struct talk dropped = {.f = &f, .total = 50000}; /* the next one has no body */
    assert_int_equal(begin_as(&dropped, post, "/to/303//bytes/10", &once), WEIR_OK);
    expect(&dropped, WEIR_OK);
    assert_int_equal(dropped.got, 10);

    struct talk hello = {.f = &f};
    begin(&hello, (weir_http_request){0}, "/stale"); /* its connection will be hung up on */
    until(hello.ends == 1);
    struct talk replayed = {.f = &f, .total = 50000, .is_rewindable = true};
    weir_http_request idempotent = post;
    idempotent.flags = WEIR_HTTP_IDEMPOTENT;
    begin(&replayed, idempotent, "/echo");
    finish(&replayed);
    if (replayed.err == WEIR_OK) { /* else a byte of the reset came before the end was seen */
        assert_int_equal(replayed.got, 50000);
    } else {
        assert_int_equal(replayed.err, WEIR_ERESET);
    }
    fixture_close(&f);
}

/* --- receiving ----------------------------------------------------------------------------------
 */

static void bodies_wait_for_who_reads_them(void **state)
{
    (void)state;
    static struct fixture f;
    fixture_open(&f, (weir_http_client_options){.decompress = WEIR_ON});
    static const char *const paths[] = {"/bytes/2000000", "/chunks/2000000", "/gzip/2000000"};
    for (size_t i = 0; i < 3; i++) {
        struct talk talk = {.f = &f, .holds_head = true, .holds_body = true};
        begin(&talk, (weir_http_request){0}, paths[i]);
        uint32_t turns = 0;
        while (talk.ends == 0) {
            until(talk.held > turns || talk.ends > 0);
            uint32_t held = talk.held;
            uint64_t got = talk.got;
            if (turns == 0) {
                poll(NULL, 0, 20); /* what was read by then may still come, nothing more */
                assert_true(talk.got - got <= 256U << 10);
                assert_int_equal(talk.ends, 0);
            }
            turns = held;
            weir_http_resume(f.client, (weir_http_call){talk.call});
        }
        expect(&talk, WEIR_OK);
        assert_int_equal(talk.got, 2000000);
        assert_true(turns > 3);
    }
    assert_int_equal(f.peer.accepted, 1);
    fixture_close(&f);
}

static void who_calls_off_hears_the_end(void **state)
{
    (void)state;
    static struct fixture f;
    fixture_open(&f, (weir_http_client_options){.pool = {.max_per_key = 1}});
    struct talk stalled = {.f = &f}, waiting = {.f = &f}, queued = {.f = &f};
    begin(&stalled, (weir_http_request){0}, "/stall");
    until(f.peer.requests == 1);
    begin(&waiting, (weir_http_request){0}, "/bytes/10");
    begin(&queued, (weir_http_request){0}, "/bytes/10");
    assert_int_equal(weir_http_cancel(f.client, call_of(&waiting)), WEIR_OK);
    expect(&waiting, WEIR_ECANCELED);
    assert_int_equal(weir_http_cancel(f.client, call_of(&waiting)), WEIR_ESTALE);
    assert_int_equal(weir_http_cancel(f.client, (weir_http_call){0}), WEIR_ESTALE);
    assert_int_equal(weir_http_cancel(f.client, (weir_http_call){UINT64_MAX}), WEIR_ESTALE);
    assert_int_equal(weir_http_cancel(f.client, call_of(&stalled)), WEIR_OK);
    expect(&stalled, WEIR_ECANCELED);
    expect(&queued, WEIR_OK); /* its turn has come */
    struct talk head = {.f = &f, .cancels_head = true}, body = {.f = &f, .cancels_body = true};
    begin(&head, (weir_http_request){0}, "/bytes/2000000");
    expect(&head, WEIR_ECANCELED);
    begin(&body, (weir_http_request){0}, "/bytes/2000000");
    expect(&body, WEIR_ECANCELED);
    assert_true(body.got > 0 && body.got < 2000000);
    struct talk held = {.f = &f, .holds_head = true};
    begin(&held, (weir_http_request){0}, "/bytes/2000000");
    until(held.held == 1);
    assert_int_equal(weir_http_cancel(f.client, call_of(&held)), WEIR_OK);
    expect(&held, WEIR_ECANCELED);
    fixture_close(&f);
}

/* Freed with requests in every state: each hears of it. */
static void a_client_that_goes_ends_its_requests(void **state)
{
    (void)state;
    static struct fixture f;
    struct talk talks[40];
    fixture_open(&f, (weir_http_client_options){.pool = {.max_per_key = 10}});
    for (int i = 0; i < 40; i++) {
        talks[i] = (struct talk){.f = &f, .holds_head = i % 4 == 1, .total = 1 << 20};
        talks[i].later_at = i % 4 == 2 ? 1000 : 0;
        const weir_http_request post = {.method = "POST", .body_len = 1 << 20};
        begin(&talks[i], i % 4 == 2 ? post : (weir_http_request){0},
              i % 4 == 0   ? "/stall"
              : i % 4 == 1 ? "/bytes/100000"
              : i % 4 == 2 ? "/echo"
                           : "/stall-body");
    }
    until(f.peer.requests >= 7);
    assert_int_equal(weir_http_client_free(f.client), WEIR_OK);
    for (int i = 0; i < 40; i++) {
        assert_int_equal(talks[i].ends, 1);
        assert_int_equal(talks[i].err, WEIR_ECLOSED);
    }
    assert_int_equal(weir_runtime_close(f.runtime, 1000), WEIR_OK);
    peer_close(&f.peer);
}

/* --- from callbacks -----------------------------------------------------------------------------
 */

struct chain {
    struct talk talk; /* first */
    _Atomic uint32_t left, estate;
    _Atomic bool is_over;
};

static void chain_end(void *arg, weir_err err, const weir_http_result *result);

static const weir_http_handler chained = {.on_end = chain_end};

static void chain_end(void *arg, weir_err err, const weir_http_result *result)
{
    struct chain *chain = arg;
    const struct fixture *f = chain->talk.f;
    weir_http_answer *answer;
    const weir_http_request request = {.url = "http://127.0.0.1:1/"};
    chain->talk.is_bad |= err != WEIR_OK || result->status != 200;
    chain->estate += weir_http_fetch(f->client, &request, &answer) == WEIR_ESTATE;
    chain->estate += weir_http_client_free(f->client) == WEIR_ESTATE;
    if (--chain->left == 0) {
        chain->is_over = true;
    } else if (begin_as(&chain->talk, (weir_http_request){0}, "/hello", &chained) != WEIR_OK) {
        chain->talk.is_bad = chain->is_over = true;
    }
}

static void callbacks_may_send(void **state)
{
    (void)state;
    static struct fixture f;
    fixture_open(&f, (weir_http_client_options){0});
    struct chain chain = {.talk = {.f = &f}, .left = 100};
    assert_int_equal(begin_as(&chain.talk, (weir_http_request){0}, "/hello", &chained), WEIR_OK);
    until(chain.is_over);
    assert_false(chain.talk.is_bad);
    assert_int_equal(chain.estate, 200);
    assert_int_equal(f.peer.accepted, 1); /* a connection that is back is the next one's */
    fixture_close(&f);
}

/* --- time and limits ----------------------------------------------------------------------------
 */

static void each_time_out_is_its_own(void **state)
{
    (void)state;
    static struct fixture f;
    const weir_pool_options pool = {.max_per_key = 1,
                                    .acquire_timeout_ms = 60,
                                    .write_timeout_ms = 80,
                                    .first_byte_timeout_ms = 5000,
                                    .idle_timeout_ms = 70};
    fixture_open(&f, (weir_http_client_options){.pool = pool});
    struct talk holder = {.f = &f}, late = {.f = &f};
    begin(&holder, (weir_http_request){0}, "/stall");
    until(f.peer.requests == 1);
    begin(&late, (weir_http_request){0}, "/hello");
    weir_http_stats stats;
    expect(&late, WEIR_EACQUIRE_TIMEOUT);
    assert_int_equal(weir_http_cancel(f.client, call_of(&holder)), WEIR_OK);
    expect(&holder, WEIR_ECANCELED);

    /* A peer that takes nothing. */
    struct talk writer = {.f = &f, .total = 64 << 20};
    begin(&writer, (weir_http_request){.method = "POST", .body_len = 64 << 20}, "/unread");
    expect(&writer, WEIR_EWRITE_TIMEOUT);

    /* A connection that nobody uses. */
    struct talk hello = {.f = &f};
    begin(&hello, (weir_http_request){0}, "/bytes/9");
    expect(&hello, WEIR_OK);
    uint32_t accepted = f.peer.accepted;
    until((weir_http_client_stats(f.client, &stats), stats.total == 0));
    assert_int_equal(stats.created, stats.closed);
    assert_true(f.told[WEIR_EVENT_CONNECTION_TIMEOUT] >= 1);
    struct talk again = {.f = &f};
    begin(&again, (weir_http_request){0}, "/bytes/9");
    expect(&again, WEIR_OK);
    assert_int_equal(f.peer.accepted, accepted + 1);
    fixture_close(&f);
}

static void there_may_be_so_many_requests(void **state)
{
    (void)state;
    static struct fixture f;
    fixture_open(&f, (weir_http_client_options){.requests_max = 3});
    struct talk full[3] = {{.f = &f}, {.f = &f}, {.f = &f}}, none = {.f = &f}, next = {.f = &f};
    for (int i = 0; i < 3; i++) {
        begin(&full[i], (weir_http_request){0}, "/stall");
    }
    assert_int_equal(begin_as(&none, (weir_http_request){0}, "/hello", &handler), WEIR_EFULL);
    assert_int_equal(weir_http_cancel(f.client, call_of(&full[0])), WEIR_OK);
    expect(&full[0], WEIR_ECANCELED);
    begin(&next, (weir_http_request){0}, "/bytes/9");
    expect(&next, WEIR_OK);
    fixture_close(&f);
    assert_int_equal(none.ends, 0);
    assert_int_equal(full[1].err, WEIR_ECLOSED);
}

static void so_many_may_wait(void **state)
{
    (void)state;
    static struct fixture f;
    weir_http_stats stats;
    fixture_open(&f, (weir_http_client_options){.pool = {.max_per_key = 1, .waiting_max = 1}});
    struct talk holder = {.f = &f}, waits = {.f = &f}, over = {.f = &f};
    begin(&holder, (weir_http_request){0}, "/stall");
    until(f.peer.requests == 1);
    begin(&waits, (weir_http_request){0}, "/bytes/9");
    until((weir_http_client_stats(f.client, &stats), stats.waiting == 1));
    begin(&over, (weir_http_request){0}, "/bytes/9");
    expect(&over, WEIR_EQUEUE);
    assert_int_equal(weir_http_cancel(f.client, call_of(&holder)), WEIR_OK);
    expect(&waits, WEIR_OK);
    finish(&holder);
    fixture_close(&f);
}

/* A listening socket whose backlog is full answers nobody. */
static void who_is_not_let_in_gives_up(void **state)
{
    (void)state;
    static struct fixture f;
    const weir_pool_options pool = {.connect_timeout_ms = 120};
    fixture_open(&f, (weir_http_client_options){.pool = pool});
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof address;
    int deaf = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), fill[8];
    assert_int_equal(bind(deaf, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(deaf, 0), 0);
    assert_int_equal(getsockname(deaf, (struct sockaddr *)&address, &len), 0);
    for (int i = 0; i < 8; i++) {
        fill[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        connect(fill[i], (struct sockaddr *)&address, len);
    }
    char url[64];
    snprintf(url, sizeof url, "http://127.0.0.1:%u/", ntohs(address.sin_port));
    const weir_http_request request = {.url = url};
    weir_http_answer *answer = NULL;
    uint64_t begun_ms = clock_now_ms();
    assert_int_equal(weir_http_fetch(f.client, &request, &answer), WEIR_ECONNECT_TIMEOUT);
    assert_true(clock_now_ms() - begun_ms >= 119);
    for (int i = 0; i < 8; i++) {
        close(fill[i]);
    }
    close(deaf);
    fixture_close(&f);
}

static void events_are_told(void **state)
{
    (void)state;
    static struct fixture f;
    fixture_open(&f, (weir_http_client_options){.pool = {.max_per_key = 1}});
    for (int i = 0; i < 2; i++) {
        struct talk talk = {.f = &f};
        begin(&talk, (weir_http_request){0}, i == 0 ? "/bytes/5" : "/garbage");
        finish(&talk);
    }
    until(f.told[WEIR_EVENT_CONNECTION_ADDED] == 1 && f.told[WEIR_EVENT_CONNECTION_REMOVED] == 1);
    assert_int_equal(f.told[WEIR_EVENT_CONNECTION_REUSED], 1);
    assert_int_equal(f.told[WEIR_EVENT_CONNECTION_RETURNED], 1);
    weir_http_answer *answer = NULL;
    const weir_http_request refused = {.url = "http://127.0.0.1:1/"};
    assert_int_equal(weir_http_fetch(f.client, &refused, &answer), WEIR_EREFUSED);
    assert_int_equal(f.told[WEIR_EVENT_CONNECTION_ERROR], 1);
    fixture_close(&f);
    assert_in_range(f.told[WEIR_EVENT_POOL_CLOSED], 1, 2); /* by each worker that was used */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bodies_stream_both_ways),
        cmocka_unit_test(bodies_that_fail_end_their_request),
        cmocka_unit_test(bodies_are_sent_again),
        cmocka_unit_test(bodies_wait_for_who_reads_them),
        cmocka_unit_test(who_calls_off_hears_the_end),
        cmocka_unit_test(a_client_that_goes_ends_its_requests),
        cmocka_unit_test(callbacks_may_send),
        cmocka_unit_test(each_time_out_is_its_own),
        cmocka_unit_test(there_may_be_so_many_requests),
        cmocka_unit_test(so_many_may_wait),
        cmocka_unit_test(who_is_not_let_in_gives_up),
        cmocka_unit_test(events_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
