/* SPDX-License-Identifier: Apache-2.0
 *
 * Real threads: the test's is the hub, and waits for what workers say with a deadline.
 */
#include "runtime/worker.h"

#include "io/clock.h"
#include "listener/http1.h"
#include "support/await.h"
#include "support/unit.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define DEADLINE_MS 20000U

struct post {
    struct crew *crew;
    struct loop *loop; /* the hub's */
    uint32_t ran, wrong;
    _Atomic uint32_t late;
};

static void open_crew(struct post *post, uint32_t workers)
{
    memset(post, 0, sizeof *post);
    const struct crew_options opt = {.workers = workers, .engine = {.conns_max = 1024}};
    assert_int_equal(crew_new(&opt, &post->crew), 0);
    assert_int_equal(loop_new(NULL, &post->loop), 0);
    assert_int_equal(crew_hub(post->crew, post->loop), 0);
}

static void close_crew(struct post *post)
{
    crew_free(post->crew);
    loop_turn(post->loop, 0);
    loop_free(post->loop);
}

static void until_ran(struct post *post, uint32_t wanted)
{
    await_true(post->ran >= wanted, DEADLINE_MS, loop_turn(post->loop, 10));
}

/* --- letters ------------------------------------------------------------------------------------
 */

static void hub_hears(void *self, uint64_t value)
{
    struct post *post = self;
    post->wrong += worker_here() != NULL || value != 7;
    post->ran++;
}

/* Goes once around all workers, then to the hub. */
static void pass_on(void *self, uint64_t value)
{
    struct post *post = self;
    struct worker *here = worker_here();
    uint32_t next = worker_index(here) + 1;
    if (next < crew_size(post->crew)) {
        assert_true(worker_post(crew_worker(post->crew, next), pass_on, post, value));
    } else {
        assert_true(crew_post_hub(post->crew, hub_hears, post, value));
    }
}

static void letters_reach_every_worker_and_the_hub(void **state)
{
    (void)state;
    static struct post post;
    open_crew(&post, 4);
    assert_null(worker_here());
    assert_int_equal(crew_start(post.crew), 0);
    for (uint32_t i = 0; i < 100; i++) {
        assert_true(worker_post(crew_worker(post.crew, 0), pass_on, &post, 7));
    }
    until_ran(&post, 100);
    assert_int_equal(post.wrong, 0);
    crew_stop(post.crew);
    crew_join(post.crew);
    close_crew(&post);
}

static void arrives_late(void *self, uint64_t value)
{
    struct post *post = self;
    (void)value;
    atomic_fetch_add(&post->late, 1);
}

static void letters_under_way_are_run_when_all_have_joined(void **state)
{
    (void)state;
    static struct post post;
    open_crew(&post, 2);
    assert_int_equal(crew_start(post.crew), 0);
    crew_stop(post.crew);
    for (uint32_t i = 0; i < 50; i++) {
        assert_true(worker_post(crew_worker(post.crew, i % 2), arrives_late, &post, 0));
    }
    crew_join(post.crew);
    assert_int_equal(atomic_load(&post.late), 50);
    close_crew(&post);
}

/* --- notes --------------------------------------------------------------------------------------
 */

enum { WRITERS = 3, NOTES = 2000 };

struct counted_note {
    struct worker_note note; /* first */
    struct worker *worker;
    _Atomic uint32_t ran, done;
    uint32_t wrong;
};

static void note_runs(struct worker_note *note)
{
    struct counted_note *mine = (struct counted_note *)(void *)note;
    mine->wrong += worker_here() != mine->worker;
    mine->ran++;
}

static void *writes_notes(void *arg)
{
    struct counted_note *mine = arg;
    for (uint32_t i = 0; i < NOTES; i++) {
        worker_note(mine->worker, &mine->note);
        uint64_t end_ms = clock_now_ms() + DEADLINE_MS;
        while (i % 2 == 0 && mine->ran == mine->done && clock_now_ms() < end_ms) {
            sched_yield();
        }
        mine->done = mine->ran;
    }
    return NULL;
}

/* From threads that the crew has never heard of. */
static void notes_reach_a_worker_from_any_thread(void **state)
{
    (void)state;
    static struct post post;
    static struct counted_note notes[WRITERS];
    pthread_t threads[WRITERS];
    open_crew(&post, 2);
    assert_int_equal(crew_start(post.crew), 0);
    memset(notes, 0, sizeof notes);
    for (uint32_t i = 0; i < WRITERS; i++) {
        notes[i].note.run = note_runs;
        notes[i].worker = crew_worker(post.crew, i % 2);
        assert_int_equal(pthread_create(&threads[i], NULL, writes_notes, &notes[i]), 0);
    }
    for (uint32_t i = 0; i < WRITERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    crew_stop(post.crew);
    crew_join(post.crew);
    for (uint32_t i = 0; i < WRITERS; i++) {
        assert_in_range(notes[i].ran, NOTES / 2, NOTES);
        assert_int_equal(notes[i].wrong, 0);
    }
    close_crew(&post);
}

static void a_crew_can_be_started_again(void **state)
{
    (void)state;
    static struct post post;
    open_crew(&post, 2);
    for (uint32_t round = 1; round <= 3; round++) {
        assert_int_equal(crew_start(post.crew), 0);
        assert_true(worker_post(crew_worker(post.crew, 0), pass_on, &post, 7));
        until_ran(&post, round);
        crew_stop(post.crew);
        crew_join(post.crew);
    }
    close_crew(&post);
}

static void nonsense_is_refused(void **state)
{
    (void)state;
    struct crew *crew;
    const struct crew_options many = {.workers = CREW_WORKERS_MAX + 1};
    assert_int_equal(crew_new(&many, &crew), -EINVAL);
}

static void make_crew(const struct alloc *alloc, void *arg)
{
    (void)arg;
    const struct crew_options opt = {
        .workers = 2, .loop = {.alloc = alloc}, .engine = {.conns_max = 16, .keys_max = 16}};
    struct crew *crew;
    int error = crew_new(&opt, &crew);
    if (error == 0) {
        crew_free(crew);
    } else {
        assert_int_equal(error, -ENOMEM);
    }
}

static void refused_allocations_are_survived(void **state)
{
    (void)state;
    torture(make_crew, NULL);
}

/* --- clients spread over workers ----------------------------------------------------------------
 */

enum { WORKERS = 4, CLIENTS = 400 };

static void say_hello(void *self, struct http_exchange *ex, struct http_head *head, bool end)
{
    (void)self;
    (void)head;
    (void)end;
    const struct http_head answer = {
        .status = 200, .version_minor = 1, .framing = HTTP_LENGTH, .content_length = 5};
    ex->ops->respond(ex, &answer);
    ex->ops->body(ex, "hello", 5);
    ex->ops->end(ex, NULL);
}

static void hear_abort(struct http_exchange *ex, enum http_fault why)
{
    (void)ex;
    (void)why;
}

static const struct http_handler hello = {.on_request = say_hello, .on_abort = hear_abort};

static bool post_to(void *self, uint32_t worker, void (*run)(void *arg, uint64_t value), void *arg,
                    uint64_t value)
{
    struct crew *crew = self;
    return worker_post(crew_worker(crew, worker), run, arg, value);
}

static void one_request(int fd)
{
    static const char request[] = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    char got[512];
    size_t len = 0;
    assert_int_equal(send(fd, request, sizeof request - 1, MSG_NOSIGNAL), sizeof request - 1);
    do {
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        assert_int_equal(poll(&wait, 1, (int)DEADLINE_MS), 1);
        ssize_t n = read(fd, got + len, sizeof got - 1 - len);
        assert_true(n > 0);
        len += (size_t)n;
        got[len] = '\0';
    } while (strstr(got, "\r\n\r\nhello") == NULL);
}

static void clients_spread_over_workers(void **state)
{
    (void)state;
    static struct post post;
    static int fds[CLIENTS];
    struct http1_listener *listeners[WORKERS];
    open_crew(&post, WORKERS);
    struct accept_options opt = {.max_connections = CLIENTS, .max_per_ip = CLIENTS};
    assert_true(address_of_host("127.0.0.1", 0, &opt.address));
    struct accept_port *port;
    assert_int_equal(accept_port_open(&opt, &port), 0);
    for (uint32_t i = 0; i < WORKERS; i++) {
        struct worker *worker = crew_worker(post.crew, i);
        const struct http1_listener_options listener_opt = {.name = "web"};
        assert_int_equal(http1_listener_new(worker_loop(worker), worker_engine(worker),
                                            &listener_opt, &hello, NULL, &listeners[i]),
                         0);
        assert_int_equal(http1_listener_accept(listeners[i], port, i, post_to, post.crew), 0);
    }
    assert_int_equal(crew_start(post.crew), 0);
    const struct address *to = accept_port_address(port);
    for (uint32_t i = 0; i < CLIENTS; i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(fds[i], &to->any, to->len), 0);
    }
    for (uint32_t i = 0; i < CLIENTS; i++) {
        one_request(fds[i]);
    }
    assert_int_equal(accept_port_taken(port), CLIENTS);
    for (uint32_t i = 0; i < WORKERS; i++) {
        assert_in_range(accept_port_taken_at(port, i), CLIENTS / WORKERS - 10,
                        CLIENTS / WORKERS + 10);
    }
    crew_stop(post.crew);
    crew_join(post.crew);
    for (uint32_t i = 0; i < CLIENTS; i++) {
        close(fds[i]);
    }
    for (uint32_t i = 0; i < WORKERS; i++) {
        http1_listener_free(listeners[i]);
    }
    accept_port_close(port);
    close_crew(&post);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(letters_reach_every_worker_and_the_hub),
        cmocka_unit_test(letters_under_way_are_run_when_all_have_joined),
        cmocka_unit_test(notes_reach_a_worker_from_any_thread),
        cmocka_unit_test(a_crew_can_be_started_again),
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(refused_allocations_are_survived),
        cmocka_unit_test(clients_spread_over_workers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
