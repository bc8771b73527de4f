/* SPDX-License-Identifier: Apache-2.0
 *
 * top_feed.c - a thread that looks at the gateway, and puts what it saw where it can be taken.
 *
 * It keeps its last TOP_WINDOW looks, so that a rate is what became of the oldest of them; the
 * window begins anew when a gateway was away.
 */
#include "base/alloc.h"
#include "cli/top.h"
#include "io/clock.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

struct top_feed {
    struct ask ask;
    pthread_t thread;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t change;
    bool is_closing, has_news;
    uint32_t every_ms;
    struct top_state *newest; /* NULL: there is none yet */
    int bell;                 /* an eventfd */
    /* The thread's own. */
    struct top_state *looks[TOP_WINDOW + 1]; /* the newest first */
    uint32_t looks_count;
};

static bool look_at(const struct top_feed *feed, struct top_state *state, const char *path,
                    bool (*read)(struct top_state *state, struct slice page))
{
    struct bytes page;
    struct ask ask = feed->ask;
    ask.path = path;
    ask.ret_why = state->why;
    bytes_init(&page, &alloc_libc, ASK_ANSWER_MAX);
    bool is_read = ask_admin(&ask, &page) == 0;
    if (is_read && !read(state, bytes_slice(&page))) {
        strcpy(state->why, "what answers there is no admin interface");
        is_read = false;
    }
    bytes_fini(&page);
    return is_read;
}

static bool look(const struct top_feed *feed, struct top_state *state)
{
    memset(state, 0, sizeof(*state));
    state->at_ms = clock_now_ms();
    return look_at(feed, state, "/api/v1/process", top_read_process)
           && look_at(feed, state, "/api/v1/pools", top_read_pools)
           && look_at(feed, state, "/api/v1/endpoints", top_read_endpoints)
           && look_at(feed, state, "/api/v1/events", top_read_events)
           && look_at(feed, state, "/metrics", top_read_metrics);
}

static void publish(struct top_feed *feed, const struct top_state *state)
{
    const uint64_t one = 1;
    pthread_mutex_lock(&feed->lock);
    if (feed->newest == NULL)
        feed->newest = malloc(sizeof(*feed->newest));
    if (feed->newest != NULL)
        *feed->newest = *state;
    feed->has_news = feed->newest != NULL;
    pthread_mutex_unlock(&feed->lock);
    ssize_t said = write(feed->bell, &one, sizeof(one));
    (void)said; /* full: it is ringing already */
}

/* The oldest look's room is the next one's. */
static struct top_state *turn(struct top_feed *feed)
{
    struct top_state *room = feed->looks[TOP_WINDOW];
    memmove(&feed->looks[1], &feed->looks[0], TOP_WINDOW * sizeof(feed->looks[0]));
    feed->looks[0] = room;
    return room;
}

static void look_and_tell(struct top_feed *feed)
{
    struct top_state *state = turn(feed);
    if (look(feed, state)) {
        uint32_t oldest = feed->looks_count < TOP_WINDOW ? feed->looks_count : TOP_WINDOW;
        top_rate(state, feed->looks[oldest]);
        feed->looks_count = oldest + 1;
    } else {
        feed->looks_count = 0;
    }
    publish(feed, state);
}

static void *run(void *arg)
{
    struct top_feed *feed = arg;
    pthread_mutex_lock(&feed->lock);
    while (!feed->is_closing) {
        struct timespec due;
        clock_gettime(CLOCK_MONOTONIC, &due);
        due.tv_sec += feed->every_ms / 1000;
        due.tv_nsec += (long)(feed->every_ms % 1000) * 1000000;
        due.tv_sec += due.tv_nsec / 1000000000;
        due.tv_nsec %= 1000000000;
        pthread_mutex_unlock(&feed->lock);
        look_and_tell(feed);
        pthread_mutex_lock(&feed->lock);
        while (!feed->is_closing
               && pthread_cond_timedwait(&feed->change, &feed->lock, &due) != ETIMEDOUT)
            ;
    }
    pthread_mutex_unlock(&feed->lock);
    return NULL;
}

static void dispose(struct top_feed *feed)
{
    for (uint32_t i = 0; i <= TOP_WINDOW; i++)
        free(feed->looks[i]);
    free(feed->newest);
    if (feed->bell >= 0)
        close(feed->bell);
    pthread_cond_destroy(&feed->change);
    pthread_mutex_destroy(&feed->lock);
    free(feed);
}

int top_feed_open(const struct ask *ask, uint32_t every_ms, struct top_feed **ret_feed)
{
    struct top_feed *feed = calloc(1, sizeof(*feed));
    pthread_condattr_t attr;
    if (feed == NULL)
        return -ENOMEM;
    feed->ask = *ask;
    feed->every_ms = every_ms;
    pthread_mutex_init(&feed->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&feed->change, &attr);
    pthread_condattr_destroy(&attr);
    feed->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int error = feed->bell < 0 ? errno : 0;
    for (uint32_t i = 0; error == 0 && i <= TOP_WINDOW; i++) {
        feed->looks[i] = calloc(1, sizeof(*feed->looks[i]));
        error = feed->looks[i] == NULL ? ENOMEM : 0;
    }
    error = error == 0 ? pthread_create(&feed->thread, NULL, run, feed) : error;
    if (error != 0) {
        dispose(feed);
        return -error;
    }
    *ret_feed = feed;
    return 0;
}

void top_feed_close(struct top_feed *take_feed)
{
    pthread_mutex_lock(&take_feed->lock);
    take_feed->is_closing = true;
    pthread_cond_signal(&take_feed->change);
    pthread_mutex_unlock(&take_feed->lock);
    pthread_join(take_feed->thread, NULL);
    dispose(take_feed);
}

int top_feed_fd(const struct top_feed *feed)
{
    return feed->bell;
}

void top_feed_set_every(struct top_feed *feed, uint32_t every_ms)
{
    pthread_mutex_lock(&feed->lock);
    feed->every_ms = every_ms;
    pthread_mutex_unlock(&feed->lock);
}

bool top_feed_take(struct top_feed *feed, struct top_state *ret_state)
{
    uint64_t rings;
    ssize_t got = read(feed->bell, &rings, sizeof(rings));
    (void)got;
    pthread_mutex_lock(&feed->lock);
    bool has_news = feed->has_news;
    if (has_news)
        *ret_state = *feed->newest;
    feed->has_news = false;
    pthread_mutex_unlock(&feed->lock);
    return has_news;
}
