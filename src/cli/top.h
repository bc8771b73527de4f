/* SPDX-License-Identifier: Apache-2.0
 *
 * top.h - `weir top` in three parts: what the gateway says (top_feed.c, a thread of its own, so
 * that a slow gateway never holds up the keyboard), what is made of it (top_state.c, which
 * computes), and how it is drawn (top_draw.c, on ncurses).
 */
#pragma once
#include "cli/ask.h"
#include "cli/row.h"

#include <stdbool.h>
#include <stdint.h>

#define TOP_POOLS_MAX     256U /* rows; what is beyond is counted */
#define TOP_ENDPOINTS_MAX 1024U
#define TOP_EVENTS_MAX    64U
#define TOP_NAME_MAX      64U
#define TOP_EDGES_MAX     32U /* classes of a latency */
#define TOP_WINDOW        5U  /* rates and latencies are of so many intervals */

/* What only grows, of a pool or of all of them. */
struct top_count {
    uint64_t requests, errors;      /* an error: an answer of 5xx, or one that was cut */
    uint64_t grants, reused;        /* of its connections */
    uint64_t slower[TOP_EDGES_MAX]; /* requests that took at most edges[i], cumulative */
};

/* What became of it within the window. */
struct top_rate {
    bool is_known; /* there was an earlier look, and the gateway is the same one */
    double per_second, error_share, reuse_share;
    double p50, p95, p99; /* seconds; negative: nothing was answered */
};

struct top_pool {
    char name[TOP_NAME_MAX], health[16], why[128];
    bool is_listener, is_limited;
    uint64_t total, idle, active, waiting, most, oldest_wait_ms;
    struct top_count count;
    struct top_rate rate;
};

struct top_endpoint {
    char upstream[TOP_NAME_MAX], name[TOP_NAME_MAX], state[16];
    bool is_healthy;
    uint64_t busy, answered, failed;
    double per_second, failed_per_second; /* negative: not known */
};

struct top_state {
    char why[ASK_WHY_MAX]; /* "": it was answered */
    uint64_t at_ms;        /* monotonic */
    char node[TOP_NAME_MAX], version[32], word[16], uptime[32];
    uint64_t pid, resident_bytes;
    double cpu_seconds, cpu_share; /* of one core; negative: not known */
    double edges[TOP_EDGES_MAX];   /* seconds */
    uint32_t edges_count;
    uint32_t pools_count, pools_more, endpoints_count;
    struct top_pool pools[TOP_POOLS_MAX];
    struct top_pool all; /* its count and rate, and the sums of its gauges */
    struct top_endpoint endpoints[TOP_ENDPOINTS_MAX];
    uint32_t events_count;
    char events[TOP_EVENTS_MAX][ROW_CELL_MAX]; /* oldest first */
};

/* --- top_state.c ---------------------------------------------------------------------------------
 */

/* Each takes what its page says; false: that is no such page. Pools come before metrics. */
bool top_read_process(struct top_state *state, struct slice page);
bool top_read_pools(struct top_state *state, struct slice page);
bool top_read_endpoints(struct top_state *state, struct slice page);
bool top_read_events(struct top_state *state, struct slice page);
bool top_read_metrics(struct top_state *state, struct slice page);
/* What has become of it since `before`, which was seen earlier. */
void top_rate(struct top_state *state, const struct top_state *before);
double top_seconds_at(const struct top_state *state, const struct top_count *from,
                      const struct top_count *to, double share);

/* --- top_feed.c ----------------------------------------------------------------------------------
 */

struct top_feed;

/* Looks every `every_ms`, at once at first. 0 or -errno. */
int top_feed_open(const struct ask *ask, uint32_t every_ms, struct top_feed **ret_feed);
/* Waits for a look that is under way, at most as long as that may take. */
void top_feed_close(struct top_feed *take_feed);
int top_feed_fd(const struct top_feed *feed); /* readable: there is something new */
void top_feed_set_every(struct top_feed *feed, uint32_t every_ms);
/* The newest, copied. False: nothing has come yet. */
bool top_feed_take(struct top_feed *feed, struct top_state *ret_state);

/* --- top_draw.c ----------------------------------------------------------------------------------
 */

enum top_sort { TOP_BY_NAME, TOP_BY_RATE, TOP_BY_ERRORS, TOP_BY_USED, TOP_BY_WAITING, TOP_SORTS };

struct top_view {
    enum top_sort sort;
    char selected[TOP_NAME_MAX]; /* a pool; "": the first one */
    uint32_t every_ms;
    bool is_paused, shows_help;
};

/* On the terminal, which is ncurses' by now. `state` is NULL while nothing has come. */
void top_draw(const struct top_state *state, struct top_view *view);
/* Selects the pool that is `by` rows below the selected one. */
void top_select(const struct top_state *state, struct top_view *view, int by);
