/* SPDX-License-Identifier: Apache-2.0
 *
 * top_draw.c - the picture, from 40 columns on. ncurses sends the terminal only what has changed.
 *
 *     what the gateway is, how it fares     facts, which flow into as many lines as they need
 *     pools, the selected one marked        columns go as the terminal gets narrower
 *     the selected pool's endpoints
 *     the last events
 *     what keys do
 *
 * Colour says nothing that is not said by a word or a sign, too.
 */
#include "cli/top.h"

#include <ncurses.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

enum { PLAIN, GOOD, WARN, BAD, FAINT };

#define TEXT_MAX  512U
#define NAME_WIDE 26

/* --- text ----------------------------------------------------------------------------------------
 */

/* Bytes of `text` that are at most `width` columns wide, and how many columns. */
static int cut_at(const char *text, int width, int *ret_columns)
{
    mbstate_t state = {0};
    int bytes = 0, columns = 0;
    while (text[bytes] != '\0') {
        wchar_t letter;
        /* NOLINTNEXTLINE(concurrency-mt-unsafe): the state is its own */
        size_t len = mbrtowc(&letter, text + bytes, MB_CUR_MAX, &state);
        if (len == (size_t)-1 || len == (size_t)-2)
            break;
        int wide = wcwidth(letter);
        if (columns + (wide > 0 ? wide : 0) > width)
            break;
        bytes += (int)len;
        columns += wide > 0 ? wide : 0;
    }
    *ret_columns = columns;
    return bytes;
}

static int attribute_of(int kind)
{
    switch (kind) {
    case GOOD: return COLOR_PAIR(GOOD);
    case WARN: return COLOR_PAIR(WARN) | A_BOLD;
    case BAD: return COLOR_PAIR(BAD) | A_BOLD;
    case FAINT: return A_DIM;
    default: return A_NORMAL;
    }
}

/* Into `width` columns from x on; negative: to their right end. */
static void put(int y, int x, int width, int attribute, const char *text)
{
    int columns;
    bool is_right = width < 0;
    width = abs(width);
    int bytes = cut_at(text, width, &columns);
    attron(attribute);
    mvaddnstr(y, is_right ? x + width - columns : x, text, bytes);
    attroff(attribute);
}

__attribute__((format(printf, 5, 6))) static void putf(int y, int x, int width, int attribute,
                                                       const char *format, ...)
{
    char text[TEXT_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    put(y, x, width, attribute, text);
}

static void print_seconds(char *ret, size_t size, double seconds)
{
    if (seconds < 0)
        snprintf(ret, size, "-");
    else if (seconds < 0.0995)
        snprintf(ret, size, "%.1fms", 1000 * seconds);
    else if (seconds < 1)
        snprintf(ret, size, "%.0fms", 1000 * seconds);
    else
        snprintf(ret, size, "%.1fs", seconds);
}

static void print_rate(char *ret, size_t size, double rate)
{
    if (rate < 0)
        snprintf(ret, size, "-");
    else
        snprintf(ret, size, rate < 10 ? "%.1f" : "%.0f", rate);
}

/* --- facts ---------------------------------------------------------------------------------------
 */

struct flow {
    int x, y;
};

__attribute__((format(printf, 3, 4))) static void fact(struct flow *flow, int kind,
                                                       const char *format, ...)
{
    char text[TEXT_MAX];
    int columns;
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    cut_at(text, COLS, &columns);
    if (flow->x > 0 && flow->x + columns > COLS) {
        flow->x = 0;
        flow->y++;
    }
    put(flow->y, flow->x, COLS - flow->x, attribute_of(kind), text);
    flow->x += columns + 2;
}

static int kind_of_health(const char *health)
{
    return strcmp(health, "healthy") == 0       ? GOOD
           : strcmp(health, "unavailable") == 0 ? BAD
           : strcmp(health, "-") == 0           ? FAINT
                                                : WARN;
}

static char sign_of(int kind)
{
    return kind == GOOD ? ' ' : kind == BAD ? 'X' : kind == WARN ? '!' : '?';
}

/* In one sentence. */
static void draw_health(const struct top_state *state, struct flow *flow)
{
    const struct top_pool *worst = NULL;
    uint32_t bad = 0;
    for (uint32_t i = 0; i < state->pools_count; i++) {
        int kind = kind_of_health(state->pools[i].health);
        bad += kind == BAD || kind == WARN;
        if (kind == BAD || (kind == WARN && worst == NULL))
            if (worst == NULL || kind_of_health(worst->health) != BAD)
                worst = &state->pools[i];
    }
    if (worst == NULL)
        fact(flow, GOOD, "all %u pools healthy", state->pools_count);
    else
        fact(flow, kind_of_health(worst->health), "%u of %u pools not healthy; %s is %s: %s", bad,
             state->pools_count, worst->name, worst->health, worst->why);
}

static void draw_latency(const struct top_rate *rate, struct flow *flow)
{
    char p50[16], p95[16], p99[16];
    print_seconds(p50, sizeof(p50), rate->is_known ? rate->p50 : -1);
    print_seconds(p95, sizeof(p95), rate->is_known ? rate->p95 : -1);
    print_seconds(p99, sizeof(p99), rate->is_known ? rate->p99 : -1);
    fact(flow, PLAIN, "p50 %s  p95 %s  p99 %s", p50, p95, p99);
}

static int draw_facts(const struct top_state *state, const struct top_view *view)
{
    const struct top_pool *all = &state->all;
    const struct top_rate *rate = &all->rate;
    char text[32];
    struct flow flow = {0, 0};
    fact(&flow, PLAIN, "weir %s on %s", state->version, state->node);
    fact(&flow, strcmp(state->word, "serving") == 0 ? GOOD : WARN, "%s", state->word);
    fact(&flow, FAINT, "up %s", state->uptime);
    if (view->is_paused)
        fact(&flow, WARN, "PAUSED");
    flow = (struct flow){0, flow.y + 1};
    draw_health(state, &flow);
    flow = (struct flow){0, flow.y + 1};
    print_rate(text, sizeof(text), rate->is_known ? rate->per_second : -1);
    fact(&flow, PLAIN, "%s req/s", text);
    fact(&flow,
         rate->error_share >= 0.05 ? BAD
         : rate->error_share > 0   ? WARN
                                   : PLAIN,
         "errors %.1f%%", 100 * rate->error_share);
    draw_latency(rate, &flow);
    if (all->is_limited)
        fact(&flow, PLAIN, "connections %llu of %llu", (unsigned long long)all->total,
             (unsigned long long)all->most);
    else
        fact(&flow, PLAIN, "connections %llu", (unsigned long long)all->total);
    fact(&flow, all->waiting > 0 ? WARN : PLAIN, "waiting %llu", (unsigned long long)all->waiting);
    if (all->oldest_wait_ms > 0)
        fact(&flow, WARN, "oldest %llums", (unsigned long long)all->oldest_wait_ms);
    fact(&flow, PLAIN, "reuse %.1f%%", 100 * rate->reuse_share);
    text_print_size(text, sizeof(text), state->resident_bytes >> 20 << 20);
    fact(&flow, FAINT, "%s", text);
    if (state->cpu_share >= 0)
        fact(&flow, FAINT, "cpu %.1f%%", 100 * state->cpu_share);
    return flow.y + 1;
}

/* --- pools ---------------------------------------------------------------------------------------
 */

static enum top_sort sorting; /* of compare(), which qsort() gives nothing else to go by */

static double weight_of(const struct top_pool *pool)
{
    switch (sorting) {
    case TOP_BY_RATE: return pool->rate.per_second;
    case TOP_BY_ERRORS: return pool->rate.error_share;
    case TOP_BY_USED: return (double)(pool->active);
    case TOP_BY_WAITING: return (double)pool->waiting;
    default: return 0;
    }
}

static int compare(const void *a, const void *b)
{
    const struct top_pool *one = *(const struct top_pool *const *)a;
    const struct top_pool *two = *(const struct top_pool *const *)b;
    double left = weight_of(one), right = weight_of(two);
    if (left != right)
        return left > right ? -1 : 1;
    if (one->is_listener != two->is_listener)
        return one->is_listener ? 1 : -1;
    return strcmp(one->name, two->name);
}

/* In their order; where the selected one is. */
static uint32_t order(const struct top_state *state, const struct top_view *view,
                      const struct top_pool *ret_pools[TOP_POOLS_MAX])
{
    uint32_t selected = 0;
    for (uint32_t i = 0; i < state->pools_count; i++)
        ret_pools[i] = &state->pools[i];
    sorting = view->sort;
    qsort(ret_pools, state->pools_count, sizeof(ret_pools[0]), compare); /* NOLINT: as in qsort */
    for (uint32_t i = 0; i < state->pools_count; i++)
        if (strcmp(ret_pools[i]->name, view->selected) == 0)
            selected = i;
    return selected;
}

void top_select(const struct top_state *state, struct top_view *view, int by)
{
    const struct top_pool *pools[TOP_POOLS_MAX];
    if (state->pools_count == 0)
        return;
    int64_t at = (int64_t)order(state, view, pools) + by;
    int64_t last = (int64_t)state->pools_count - 1;
    at = at < 0 ? 0 : at > last ? last : at;
    snprintf(view->selected, sizeof(view->selected), "%s", pools[at]->name);
}

/* "==--......": in use, idle, free; of an unlimited one what there is. */
static void print_bar(const struct top_pool *pool, int width, char *ret)
{
    uint64_t most = pool->is_limited && pool->most > 0 ? pool->most : pool->total;
    uint64_t used = most > 0 ? (pool->active * (uint64_t)width + most - 1) / most : 0;
    uint64_t all = most > 0 ? (pool->total * (uint64_t)width + most - 1) / most : 0;
    for (int i = 0; i < width; i++)
        ret[i] = (uint64_t)i < used ? '=' : (uint64_t)i < all ? '-' : '.';
    ret[width] = '\0';
}

/* A column is there from a width of the terminal on. */
struct column {
    const char *title;
    int from, width; /* negative: to the right */
};

enum { C_RATE, C_CONNS, C_WAIT, C_BAR, C_ERRORS, C_P99, C_P50, C_HEALTH, C_COUNT };

static const struct column columns[C_COUNT] = {
    [C_RATE] = {"REQ/S", 0, -7},  [C_CONNS] = {"CONNS", 0, -9},     [C_WAIT] = {"WAIT", 0, -5},
    [C_BAR] = {"IN USE", 58, 12}, [C_ERRORS] = {"ERR%", 66, -6},    [C_P99] = {"P99", 76, -8},
    [C_P50] = {"P50", 96, -8},    [C_HEALTH] = {"HEALTH", 106, 10},
};

static void pool_cell(const struct top_pool *pool, int column, char ret[64])
{
    const struct top_rate *rate = &pool->rate;
    switch (column) {
    case C_RATE: print_rate(ret, 64, rate->is_known ? rate->per_second : -1); break;
    case C_CONNS:
        if (pool->is_limited)
            snprintf(ret, 64, "%llu/%llu", (unsigned long long)pool->total,
                     (unsigned long long)pool->most);
        else
            snprintf(ret, 64, "%llu", (unsigned long long)pool->total);
        break;
    case C_WAIT: snprintf(ret, 64, "%llu", (unsigned long long)pool->waiting); break;
    case C_BAR: print_bar(pool, columns[C_BAR].width, ret); break;
    case C_ERRORS: snprintf(ret, 64, "%.1f", 100 * rate->error_share); break;
    case C_P99: print_seconds(ret, 64, rate->is_known ? rate->p99 : -1); break;
    case C_P50: print_seconds(ret, 64, rate->is_known ? rate->p50 : -1); break;
    default: snprintf(ret, 64, "%s", pool->health);
    }
}

static int name_width(void)
{
    int width = COLS - 2;
    for (int c = 0; c < C_COUNT; c++)
        if (COLS >= columns[c].from)
            width -= abs(columns[c].width) + 1;
    return width < NAME_WIDE ? width : NAME_WIDE;
}

static void draw_pool(int y, const struct top_pool *pool, bool is_selected)
{
    int kind = kind_of_health(pool->health);
    int x = 2 + name_width();
    char text[64];
    if (is_selected) {
        attron(A_REVERSE);
        mvhline(y, 0, ' ', COLS);
    }
    int extra = is_selected ? A_REVERSE : 0;
    putf(y, 0, 1, attribute_of(kind) | extra, "%c", sign_of(kind));
    put(y, 2, name_width(), attribute_of(kind == GOOD ? PLAIN : kind) | extra, pool->name);
    for (int c = 0; c < C_COUNT; c++) {
        if (COLS < columns[c].from)
            continue;
        int alarm = (c == C_WAIT && pool->waiting > 0)
                            || (c == C_ERRORS && pool->rate.error_share > 0)
                        ? WARN
                        : PLAIN;
        pool_cell(pool, c, text);
        put(y, x + 1, columns[c].width, attribute_of(alarm) | extra, text);
        x += abs(columns[c].width) + 1;
    }
    attroff(A_REVERSE);
}

static void draw_title(int y, const struct top_view *view)
{
    static const char *const words[TOP_SORTS] = {"name", "rate", "errors", "in use", "waiting"};
    int x = 2 + name_width();
    attron(A_BOLD | A_UNDERLINE);
    mvhline(y, 0, ' ', COLS);
    attroff(A_BOLD | A_UNDERLINE);
    putf(y, 2, name_width(), A_BOLD | A_UNDERLINE, "POOL by %s", words[view->sort]);
    for (int c = 0; c < C_COUNT; c++)
        if (COLS >= columns[c].from) {
            put(y, x + 1, columns[c].width, A_BOLD | A_UNDERLINE, columns[c].title);
            x += abs(columns[c].width) + 1;
        }
}

/* Returns the selected one. */
static const struct top_pool *draw_pools(const struct top_state *state, struct top_view *view,
                                         int y, int rows)
{
    const struct top_pool *pools[TOP_POOLS_MAX];
    if (state->pools_count == 0)
        return NULL;
    uint32_t selected = order(state, view, pools);
    uint32_t shown = (uint32_t)(rows > 1 ? rows - 1 : 0);
    uint32_t first = selected >= shown && shown > 0 ? selected - shown + 1 : 0;
    draw_title(y, view);
    for (uint32_t i = 0; i < shown && first + i < state->pools_count; i++)
        draw_pool(y + 1 + (int)i, pools[first + i], first + i == selected);
    return pools[selected];
}

static int at_most(int number, int most)
{
    return number < most ? number : most;
}

/* --- the rest ------------------------------------------------------------------------------------
 */

static int endpoints_of(const struct top_state *state, const char *pool)
{
    int count = 0;
    for (uint32_t i = 0; i < state->endpoints_count; i++)
        count += strcmp(state->endpoints[i].upstream, pool) == 0;
    return count;
}

/* A narrow terminal has no room for the state's word; the sign is there. */
static int endpoint_width(void)
{
    int rest = COLS >= 60 ? 34 : 25;
    return at_most(COLS - rest, 40);
}

static void draw_endpoint(int y, const struct top_endpoint *endpoint)
{
    int kind = endpoint->is_healthy ? GOOD : BAD;
    int x = 3 + endpoint_width();
    char rate[32], failed[32];
    print_rate(rate, sizeof(rate), endpoint->per_second);
    print_rate(failed, sizeof(failed), endpoint->failed_per_second);
    putf(y, 0, 1, attribute_of(kind), "%c", sign_of(kind));
    put(y, 2, endpoint_width(), attribute_of(kind == GOOD ? PLAIN : kind), endpoint->name);
    if (COLS >= 60) {
        put(y, x, 8, attribute_of(kind), endpoint->state);
        x += 9;
    }
    putf(y, x, -5, A_NORMAL, "%llu", (unsigned long long)endpoint->busy);
    put(y, x + 6, -7, A_NORMAL, rate);
    put(y, x + 14, -7, attribute_of(endpoint->failed_per_second > 0 ? WARN : PLAIN), failed);
}

static int draw_endpoints(const struct top_state *state, const struct top_pool *pool, int y,
                          int rows)
{
    int x = 3 + endpoint_width(), drawn = 1;
    put(y, 2, endpoint_width(), A_BOLD, "ENDPOINT");
    if (COLS >= 60) {
        put(y, x, 8, A_BOLD, "STATE");
        x += 9;
    }
    put(y, x, -5, A_BOLD, "BUSY");
    put(y, x + 6, -7, A_BOLD, "REQ/S");
    put(y, x + 14, -7, A_BOLD, "FAIL/S");
    for (uint32_t i = 0; i < state->endpoints_count && drawn < rows; i++)
        if (strcmp(state->endpoints[i].upstream, pool->name) == 0)
            draw_endpoint(y + drawn++, &state->endpoints[i]);
    return drawn;
}

static void draw_events(const struct top_state *state, int y, int rows)
{
    put(y, 2, COLS - 2, A_BOLD, "EVENTS");
    for (int i = 1; i < rows && (uint32_t)i <= state->events_count; i++)
        put(y + i, 2, COLS - 2, A_NORMAL, state->events[state->events_count - (uint32_t)i]);
}

static void draw_help(const struct top_view *view)
{
    static const char *const lines[] = {"q        quit",
                                        "s        sort by the next column",
                                        "up down  select a pool (also k j)",
                                        "p space  pause, and go on",
                                        "+ -      look more, less often",
                                        "h ?      this help",
                                        "",
                                        "=== in use  --- idle  ... free",
                                        "X unavailable  ! degraded  ? not known"};
    int rows = sizeof(lines) / sizeof(lines[0]);
    for (int i = 0; i < rows && i < LINES; i++) {
        mvhline(i, 0, ' ', COLS);
        put(i, 1, COLS - 1, A_BOLD, lines[i]);
    }
    if (rows < LINES) {
        mvhline(rows, 0, ' ', COLS);
        putf(rows, 1, COLS - 1, A_DIM, "every %ums; rates are of the last %u looks", view->every_ms,
             TOP_WINDOW);
    }
}

static void draw_state(const struct top_state *state, struct top_view *view)
{
    int y = draw_facts(state, view) + 1;
    int left = LINES - 1 - y;
    int pools = at_most((int)state->pools_count + 1, left > 8 ? left / 2 : left);
    const struct top_pool *pool = draw_pools(state, view, y, pools);
    y += pools + 1;
    left = LINES - 1 - y;
    if (pool != NULL && left > 1 && endpoints_of(state, pool->name) > 0)
        y += draw_endpoints(state, pool, y, left > 8 ? left / 2 : left) + 1;
    left = LINES - 1 - y;
    if (left > 1)
        draw_events(state, y, left);
}

void top_draw(const struct top_state *state, struct top_view *view)
{
    erase();
    if (state == NULL)
        put(0, 0, COLS, A_NORMAL, "asking the gateway ...");
    else if (state->why[0] != '\0')
        putf(0, 0, COLS * 3, attribute_of(BAD), "no answer: %s", state->why);
    else
        draw_state(state, view);
    put(LINES - 1, 0, COLS, A_REVERSE, " q quit  s sort  p pause  h help ");
    if (view->shows_help)
        draw_help(view);
    refresh();
}
