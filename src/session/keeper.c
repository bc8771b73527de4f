/* SPDX-License-Identifier: Apache-2.0
 *
 * keeper.c - what is due without anybody asking: the ends of sessions once a second, the journal to
 * the disk, the journal anew.
 */
#include "io/clock.h"
#include "session/sessions.h"

#include <sys/random.h>
#include <time.h>

#define TICK_MS  1000U
#define AGAIN_MS 1000U /* between two attempts to mend a journal */

static void emit(struct weir_sessions *sessions, weir_session_event_kind kind)
{
    if (sessions->opt.on_event != NULL) {
        sessions->opt.on_event(sessions->opt.event_arg, kind, (weir_session_id){0, 0});
    }
}

void keeper_degraded(struct weir_sessions *sessions, bool is_degraded)
{
    if (atomic_exchange(&sessions->is_degraded, is_degraded) != is_degraded) {
        emit(sessions, is_degraded ? WEIR_SESSION_DEGRADED : WEIR_SESSION_RESTORED);
    }
}

/* --- what is due --------------------------------------------------------------------------------
 */

static void tick_shards(struct weir_sessions *sessions, uint64_t now_ms)
{
    for (unsigned i = 0; i < sessions->shards_count; i++) {
        struct shard *shard = &sessions->shards[i];
        bool is_more = true;
        while (is_more) { /* others have their turn between two */
            pthread_mutex_lock(&shard->mutex);
            is_more = table_tick(&shard->table, now_ms, TABLE_SOME);
            shard_leave(shard);
        }
    }
}

static void copy_record(void *book, const struct session_record *record)
{
    book_copy(book, record);
}

static void rewrite(struct weir_sessions *sessions)
{
    uint32_t salt = 0;
    if (getrandom(&salt, sizeof salt, 0) != sizeof salt
        || book_rewrite_begin(sessions->book, sessions_time(sessions), salt) != WEIR_OK) {
        return;
    }
    for (unsigned i = 0; i < sessions->shards_count; i++) {
        shard_each(&sessions->shards[i], copy_record, sessions->book);
    }
    if (book_rewrite_end(sessions->book) == WEIR_OK) {
        keeper_degraded(sessions, false);
    }
}

static void see_to_book(struct weir_sessions *sessions, uint64_t now_ms)
{
    struct book *book = sessions->book;
    if (atomic_load(&sessions->wants_back) && book_take_back(book)) {
        atomic_store(&sessions->wants_back, false);
    }
    if (book_is_behind(book) && book_sync(book) != WEIR_OK) {
        keeper_degraded(sessions, true);
    }
    if (book_wants_rewriting(book) && now_ms >= sessions->rewritten_ms + AGAIN_MS) {
        sessions->rewritten_ms = now_ms;
        rewrite(sessions);
    }
}

/* Where something happened since. */
static void tell_time(struct weir_sessions *sessions)
{
    uint64_t written = book_count(sessions->book).written;
    if (written != sessions->written_told) {
        book_tell_time(sessions->book, sessions_time(sessions));
        sessions->written_told = written + 1;
    }
}

void weir_sessions_turn(weir_sessions *sessions)
{
    pthread_mutex_lock(&sessions->turn);
    uint64_t now_ms = sessions_now_ms(sessions);
    atomic_store(&sessions->is_awake, false);
    atomic_store(&sessions->is_pressed, false);
    if (now_ms >= sessions->ticked_ms + TICK_MS) {
        sessions->ticked_ms = now_ms;
        tick_shards(sessions, now_ms);
        if (sessions->book != NULL) {
            tell_time(sessions);
        }
    }
    if (sessions->book != NULL) {
        see_to_book(sessions, now_ms);
    }
    if (sessions->storing != NULL) {
        storing_turn(sessions, now_ms);
    }
    pthread_mutex_unlock(&sessions->turn);
}

/* --- its thread ---------------------------------------------------------------------------------
 */

/* Locked. */
static void sleep_until(struct weir_sessions *sessions, uint64_t when_ms)
{
    struct timespec when = {(time_t)(when_ms / 1000), (long)(when_ms % 1000 * 1000000)};
    pthread_cond_timedwait(&sessions->wake, &sessions->mutex, &when);
}

static void *keeper_main(void *self)
{
    struct weir_sessions *sessions = self;
    pthread_mutex_lock(&sessions->mutex);
    while (!sessions->is_closing) {
        pthread_mutex_unlock(&sessions->mutex);
        weir_sessions_turn(sessions);
        pthread_mutex_lock(&sessions->mutex);
        uint64_t next_ms = clock_now_ms() + TICK_MS;
        bool is_soon = false;
        while (!sessions->is_closing && clock_now_ms() < next_ms
               && !atomic_load(&sessions->is_pressed)) {
            if (!is_soon && atomic_load(&sessions->is_awake)) {
                uint64_t soon_ms = clock_now_ms() + sessions->soon_ms;
                next_ms = soon_ms < next_ms ? soon_ms : next_ms;
                is_soon = true;
            }
            sleep_until(sessions, next_ms);
        }
    }
    pthread_mutex_unlock(&sessions->mutex);
    return NULL;
}

void keeper_wake(struct weir_sessions *sessions)
{
    if (!atomic_load(&sessions->is_awake) && !atomic_exchange(&sessions->is_awake, true)) {
        pthread_mutex_lock(&sessions->mutex);
        pthread_cond_signal(&sessions->wake);
        pthread_mutex_unlock(&sessions->mutex);
    }
}

void keeper_press(struct weir_sessions *sessions)
{
    atomic_store(&sessions->is_awake, true);
    if (!atomic_exchange(&sessions->is_pressed, true)) {
        pthread_mutex_lock(&sessions->mutex);
        pthread_cond_signal(&sessions->wake);
        pthread_mutex_unlock(&sessions->mutex);
    }
}

void keeper_init(struct weir_sessions *sessions)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&sessions->turn, NULL);
    pthread_mutex_init(&sessions->mutex, NULL);
    pthread_cond_init(&sessions->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

void keeper_fini(struct weir_sessions *sessions)
{
    pthread_cond_destroy(&sessions->wake);
    pthread_mutex_destroy(&sessions->mutex);
    pthread_mutex_destroy(&sessions->turn);
}

weir_err keeper_start(struct weir_sessions *sessions)
{
    if (sessions->opt.no_thread) {
        return WEIR_OK;
    }
    sessions->is_running = pthread_create(&sessions->thread, NULL, keeper_main, sessions) == 0;
    if (!sessions->is_running) {
        return WEIR_EIO;
    }
    pthread_setname_np(sessions->thread, "weir sessions");
    return WEIR_OK;
}

void keeper_stop(struct weir_sessions *sessions)
{
    pthread_mutex_lock(&sessions->mutex);
    sessions->is_closing = true;
    pthread_cond_signal(&sessions->wake);
    pthread_mutex_unlock(&sessions->mutex);
    if (sessions->is_running) {
        pthread_join(sessions->thread, NULL);
    }
}
