/* SPDX-License-Identifier: Apache-2.0
 *
 * redis_search.c - searches, a page each: what was asked on any thread is asked of the lists, on
 * the loop's, part after part in the order of the lists, until the page is full, all lists are
 * done, or the time is up.
 *
 * A Redis that is no Cluster is asked one question at a time, about many lists; a Cluster some at a
 * time, about the lists of one tag each. What comes behind the row that fills the page is asked for
 * again by the next one: a page says exactly where it ends.
 */
#include "base/check.h"
#include "session/redis_parts.h"

#include <stdio.h>

#define COMMANDS_MAX (64U << 10)
#define LIMIT        100U
#define LIMIT_MAX    1000U
#define TIMEOUT_MAX  600000U

struct part {
    struct redis_search *search;
    struct redis_route route;
    struct bytes commands;
    uint32_t first, count; /* lists */
    uint64_t passed;
    uint32_t ahead;
    bool has_no_scripts, is_heard;
    struct redis_rows rows;
};

struct redis_search {
    struct node on_list; /* store->searches, then store->searching */
    struct redis_store *store;
    weir_session_page_fn *fn;
    void *arg;
    struct redis_wanted wanted;
    uint32_t limit, timeout_ms;
    uint64_t deadline_ms;
    uint32_t list; /* where it is: of all lists that may have what is wanted, */
    uint64_t entry;
    weir_session *found; /* as many as the limit */
    uint32_t count;
    bool has_moved; /* some of the lists are done */
    weir_err err;
    struct part parts[REDIS_PARTS_MAX];
    uint32_t parts_count, parts_left;
};

static void on_reply(struct redis_route *route, uint32_t index, const struct resp_value *value,
                     struct resp_walk *inside);
static void done(struct redis_route *route, const struct redis_outcome *outcome);

/* --- making and freeing -------------------------------------------------------------------------
 */

static uint32_t parts_max(const struct redis_store *store)
{
    return store->is_cluster ? REDIS_PARTS_MAX : 1;
}

static uint32_t lists_of(const struct redis_search *search)
{
    return REDIS_TAGS * redis_wire_lists(&search->wanted);
}

static void search_free(struct redis_search *search)
{
    atomic_fetch_sub(&search->store->searches_count, 1);
    for (uint32_t i = 0; i < parts_max(search->store); i++) {
        bytes_fini(&search->parts[i].commands);
        alloc_free(&alloc_libc, search->parts[i].rows.rows);
    }
    alloc_free(&alloc_libc, search->found);
    alloc_free(&alloc_libc, search);
}

static bool has_room(struct redis_search *search)
{
    bool is_there = true;
    search->found = alloc_array(&alloc_libc, search->limit, sizeof *search->found);
    for (uint32_t i = 0; i < parts_max(search->store); i++) {
        struct part *part = &search->parts[i];
        part->search = search;
        part->route.on_reply = on_reply;
        part->route.done = done;
        bytes_init(&part->commands, &alloc_libc, COMMANDS_MAX);
        part->rows.rows = alloc_array(&alloc_libc, REDIS_ROWS_MAX, sizeof *part->rows.rows);
        is_there = is_there && part->rows.rows != NULL;
    }
    return is_there && search->found != NULL;
}

/* False: it is none. */
static bool keep_name(const char *name, char ret_name[WEIR_SESSION_NAME_MAX + 1])
{
    size_t len = name != NULL ? strlen(name) : 0;
    bool is_fine = name == NULL || (len > 0 && len <= WEIR_SESSION_NAME_MAX);
    if (is_fine && name != NULL) {
        memcpy(ret_name, name, len + 1);
    }
    return is_fine;
}

static bool keep_query(const weir_session_query *query, struct redis_wanted *ret)
{
    weir_session_query own = {0};
    size_t size = query == NULL ? 0 : query->size != 0 ? query->size : sizeof own;
    if (size > sizeof own) {
        return false;
    }
    if (size > 0) {
        memcpy(&own, query, size);
    }
    ret->status = own.status;
    return own.status < WEIR_SESSION_STATUS_END && keep_name(own.user, ret->user)
           && keep_name(own.account, ret->account) && keep_name(own.key, ret->key)
           && keep_name(own.place, ret->place);
}

/* False: something is not what it may be. */
static bool keep_what(struct redis_search *search, const weir_session_search *what)
{
    weir_session_search own = {0};
    size_t size = what == NULL ? 0 : what->size != 0 ? what->size : sizeof own;
    if (size > sizeof own) {
        return false;
    }
    if (size > 0) {
        memcpy(&own, what, size);
    }
    search->limit = own.limit != 0 ? own.limit : LIMIT;
    search->timeout_ms = own.timeout_ms != 0 ? own.timeout_ms : 2 * search->store->timeout_ms;
    search->list = (uint32_t)(own.from >> 32);
    search->entry = own.from & UINT32_MAX;
    return keep_query(own.query, &search->wanted) && search->limit <= LIMIT_MAX
           && own.timeout_ms <= TIMEOUT_MAX && search->list < lists_of(search);
}

static weir_err post(struct redis_search *search)
{
    struct redis_store *store = search->store;
    pthread_mutex_lock(&store->mutex);
    bool is_open = !store->is_closing;
    if (is_open) {
        list_push_back(&store->searches, &search->on_list);
    }
    pthread_mutex_unlock(&store->mutex);
    if (!is_open) {
        return WEIR_ECLOSED;
    }
    loop_wake_send(store->wake);
    return WEIR_EAGAIN;
}

weir_err redis_store_search(struct redis_store *store, const weir_session_search *what,
                            weir_session_page_fn *fn, void *arg)
{
    if (atomic_fetch_add(&store->searches_count, 1) >= REDIS_SEARCHES_MAX) {
        atomic_fetch_sub(&store->searches_count, 1);
        return WEIR_EQUEUE;
    }
    struct redis_search *search = alloc_zeroed(&alloc_libc, sizeof *search);
    if (search == NULL) {
        atomic_fetch_sub(&store->searches_count, 1);
        return WEIR_ENOMEM;
    }
    search->store = store;
    search->fn = fn;
    search->arg = arg;
    weir_err err = !keep_what(search, what) ? WEIR_EINVAL
                   : !has_room(search)      ? WEIR_ENOMEM
                                            : post(search);
    if (err != WEIR_EAGAIN) {
        search_free(search);
    }
    return err;
}

/* --- the end ------------------------------------------------------------------------------------
 */

/* As the caller has said it, of what was kept. */
static const char *or_any(const char *name)
{
    return name[0] != '\0' ? name : NULL;
}

static bool keep_local(void *arg, const weir_session *session)
{
    struct redis_search *search = arg;
    search->found[search->count++] = *session;
    return search->count < search->limit;
}

/* What is here, for who cannot have what is there. */
static void look_here(struct redis_search *search)
{
    const struct redis_wanted *wanted = &search->wanted;
    const weir_session_query query = {.size = sizeof query,
                                      .user = or_any(wanted->user),
                                      .account = or_any(wanted->account),
                                      .key = or_any(wanted->key),
                                      .status = wanted->status,
                                      .place = or_any(wanted->place)};
    search->count = 0;
    weir_sessions_find(search->store->sessions, &query, keep_local, search);
}

static void search_end(struct redis_search *search, weir_err err)
{
    struct redis_store *store = search->store;
    weir_session_page page = {.size = sizeof page, .is_local = err != WEIR_OK};
    list_leave(&search->on_list);
    if (err == WEIR_OK) {
        bool is_all = search->list == lists_of(search);
        page.next = is_all ? 0 : (uint64_t)search->list << 32 | search->entry;
    } else if (err != WEIR_ECLOSED) {
        look_here(search);
    } else {
        search->count = 0;
    }
    atomic_fetch_add(err == WEIR_OK ? &store->pages : &store->pages_local, 1);
    page.sessions = search->found;
    page.count = search->count;
    search->fn(search->arg, err, &page);
    search_free(search);
}

void redis_searches_cancel(struct redis_store *store)
{
    struct node *it;
    pthread_mutex_lock(&store->mutex);
    while (!list_is_empty(&store->searches)) {
        list_push_back(&store->searching, list_pop_front(&store->searches));
    }
    pthread_mutex_unlock(&store->mutex);
    while ((it = list_first(&store->searching)) != NULL) {
        struct redis_search *search = container_of(it, struct redis_search, on_list);
        for (uint32_t i = 0; i < search->parts_count; i++) {
            redis_route_cancel(&search->parts[i].route);
        }
        search_end(search, WEIR_ECLOSED);
    }
}

/* --- asking, on the loop's thread ---------------------------------------------------------------
 */

/* Of a Cluster no further than its tag. */
static uint32_t reach_of(const struct redis_search *search, uint32_t first)
{
    uint32_t each = redis_wire_lists(&search->wanted);
    uint32_t left = search->store->is_cluster ? each - first % each : lists_of(search) - first;
    return left < REDIS_LISTS_MAX ? left : REDIS_LISTS_MAX;
}

static bool say(struct part *part, bool with_scripts)
{
    struct redis_search *search = part->search;
    uint32_t room = search->limit - search->count;
    const struct redis_span span = {.first = part->first,
                                    .count = part->count,
                                    .passed = part->passed,
                                    .rows = room < REDIS_ROWS_MAX ? room : REDIS_ROWS_MAX};
    bytes_clear(&part->commands);
    part->ahead = with_scripts ? REDIS_SCRIPTS : 0;
    return (!with_scripts || redis_wire_scripts(&part->commands))
           && redis_wire_find(&search->store->wire, &part->commands, &search->wanted, &span);
}

static void send_part(struct part *part)
{
    struct redis_search *search = part->search;
    part->has_no_scripts = part->is_heard = false;
    part->rows.spoilt = 0;
    part->route.commands = bytes_slice(&part->commands);
    part->route.count = part->ahead + 1;
    uint64_t now_ms = loop_now_ms(search->store->loop);
    redis_route_start_for(
        search->store, &part->route, part->first / redis_wire_lists(&search->wanted),
        now_ms < search->deadline_ms ? (uint32_t)(search->deadline_ms - now_ms) : 1);
}

/* The next questions; they are all composed before one is sent. False: no memory. */
static bool ask(struct redis_search *search)
{
    uint32_t list = search->list, count = 0;
    while (count < parts_max(search->store) && list < lists_of(search)) {
        struct part *part = &search->parts[count++];
        part->first = list;
        part->count = reach_of(search, list);
        part->passed = list == search->list ? search->entry : 0;
        if (!say(part, false)) {
            return false;
        }
        list += part->count;
    }
    search->parts_count = search->parts_left = count;
    search->err = WEIR_OK;
    for (uint32_t i = 0; i < count; i++) {
        send_part(&search->parts[i]);
    }
    return true;
}

static void begin(struct redis_search *search)
{
    struct redis_store *store = search->store;
    list_push_back(&store->searching, &search->on_list);
    search->deadline_ms = loop_now_ms(store->loop) + search->timeout_ms;
    if (!store->is_cluster && atomic_load(&store->is_down)) {
        search_end(search, WEIR_EDOWN);
    } else if (!ask(search)) {
        search_end(search, WEIR_ENOMEM);
    }
}

/* Those that are posted by now: who asks again in answer to one of them has to wait for the loop to
 * turn, or it would turn no more while the Redis is down. */
void redis_searches_begin(struct redis_store *store)
{
    struct list now;
    struct node *first;
    list_init(&now);
    pthread_mutex_lock(&store->mutex);
    list_splice_back(&store->searches, &now);
    pthread_mutex_unlock(&store->mutex);
    while ((first = list_pop_front(&now)) != NULL) {
        begin(container_of(first, struct redis_search, on_list));
    }
}

/* --- hearing ------------------------------------------------------------------------------------
 */

static void on_reply(struct redis_route *route, uint32_t index, const struct resp_value *value,
                     struct resp_walk *inside)
{
    struct part *part = container_of(route, struct part, route);
    if (index < part->ahead) {
        return;
    }
    part->has_no_scripts = value->type == RESP_FAILED
                           && redis_says_of(value->text) == REDIS_NOSCRIPT;
    part->is_heard = redis_wire_rows(value, inside, part->count, &part->rows);
    if (!part->is_heard && !part->has_no_scripts) {
        redis_store_refused(part->search->store, value);
    }
}

/* In order, as far as the page goes. False: what comes behind that part is for later. */
static bool take_part(struct redis_search *search, const struct part *part)
{
    for (uint32_t i = 0; i < part->rows.count; i++) {
        const struct redis_row *row = &part->rows.rows[i];
        search->found[search->count++] = row->session;
        if (search->count == search->limit) {
            search->list = part->first + row->list;
            search->entry = row->entry + 1;
            return false;
        }
    }
    search->list = part->first + part->rows.lists;
    search->entry = part->rows.lists == part->count ? 0 : part->rows.passed;
    return part->rows.lists == part->count;
}

/* All are answered. */
static void go_on(struct redis_search *search)
{
    uint32_t spoilt = 0;
    for (uint32_t i = 0; i < search->parts_count; i++) { /* whatever became of the others */
        spoilt += search->parts[i].rows.spoilt;
    }
    redis_lists_spoilt(search->store, spoilt);
    for (uint32_t i = 0;
         search->err == WEIR_OK && i < search->parts_count && take_part(search, &search->parts[i]);
         i++) {
    }
    /* Not where the page is at the very beginning still: `next` would say that this was all. */
    bool is_said = search->list > 0 || search->entry > 0;
    search->has_moved = search->has_moved || (search->err == WEIR_OK && is_said);
    bool is_over = search->err != WEIR_OK || search->count == search->limit
                   || search->list == lists_of(search)
                   || loop_now_ms(search->store->loop) >= search->deadline_ms;
    if (is_over && search->has_moved) {
        search_end(search, WEIR_OK); /* if it has failed, the next page says why */
    } else if (is_over) {
        search_end(search, search->err != WEIR_OK ? search->err : WEIR_ETOTAL_TIMEOUT);
    } else if (!ask(search)) {
        search_end(search, WEIR_ENOMEM);
    }
}

static void done(struct redis_route *route, const struct redis_outcome *outcome)
{
    struct part *part = container_of(route, struct part, route);
    struct redis_search *search = part->search;
    bool is_whole = outcome->err == WEIR_OK;
    if (is_whole && part->has_no_scripts && part->ahead == 0 && say(part, true)) {
        send_part(part);
        return;
    }
    if (!is_whole || !part->is_heard) {
        search->err = is_whole ? WEIR_EIO : outcome->err;
    }
    check(search->parts_left > 0);
    if (--search->parts_left == 0) {
        go_on(search);
    }
}
