/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/config_diff.h"

#include "base/bytes.h"
#include "gateway/config_dump.h"
#include "proto/json_read.h"

#include <stdio.h>
#include <string.h>

#define DUMP_MAX  (64U << 20) /* a thousand upstreams of 256 endpoints are half of that */
#define PATH_LEN  512U
#define DEPTH_MAX 16U

struct diff {
    void (*tell)(void *self, const struct config_change *change);
    void *self;
    char path[PATH_LEN];
    size_t len;
    char plain[PATH_LEN]; /* the same without the names of elements: an option's path */
    size_t plain_len;
    uint32_t count;
};

const char *config_change_word(enum config_change_kind kind)
{
    static const char *const words[] = {"changed", "added", "removed"};
    return words[kind];
}

/* A whole list or map, and an element, are no options. */
static const struct option *option_at(const struct diff *diff)
{
    const struct option *option = option_find(diff->plain);
    bool is_element = diff->len > 0 && diff->path[diff->len - 1] == ']';
    return option != NULL && option->kind == OPTION_VALUE && !is_element ? option : NULL;
}

/* Behind its mark, where it has one. */
static struct slice shown_of(struct slice value)
{
    const struct slice mark = SLICE("[\"" CONFIG_DUMP_MARK);
    if (value.len < mark.len || memcmp(value.at, mark.at, mark.len) != 0)
        return value;
    uint32_t comma = slice_find(value, ',');
    return slice_sub(value, comma + 1, value.len - 1);
}

static void note(struct diff *diff, enum config_change_kind kind, struct slice running,
                 struct slice wanted)
{
    const struct config_change change = {.kind = kind,
                                         .path = diff->path,
                                         .option = option_at(diff),
                                         .running = shown_of(running),
                                         .wanted = shown_of(wanted)};
    diff->tell(diff->self, &change);
    diff->count++;
}

static size_t put(char text[static PATH_LEN], size_t len, const char *before, struct slice name,
                  const char *behind)
{
    size_t room = PATH_LEN - len;
    int more = snprintf(text + len, room, "%s%.*s%s", before, (int)name.len, name.at, behind);
    return (size_t)more < room ? len + (size_t)more : PATH_LEN - 1;
}

/* Where it was. */
struct place {
    size_t len, plain_len;
};

static struct place go_in(struct diff *diff, bool is_list, struct slice name)
{
    const struct place was = {diff->len, diff->plain_len};
    const char *dot = was.len > 0 ? "." : "";
    diff->len = put(diff->path, was.len, is_list ? "[" : dot, name, is_list ? "]" : "");
    if (!is_list)
        diff->plain_len = put(diff->plain, was.plain_len, dot, name, "");
    return was;
}

static void go_out(struct diff *diff, struct place was)
{
    diff->len = was.len;
    diff->path[was.len] = '\0';
    diff->plain_len = was.plain_len;
    diff->plain[was.plain_len] = '\0';
}

/* The text of an element's name, or of its URL; false: it has none. */
static bool name_of(struct slice element, struct slice *ret_name)
{
    bool has_name = json_is_object(element)
                    && (json_member(element, SLICE("name"), ret_name)
                        || json_member(element, SLICE("url"), ret_name));
    if (has_name)
        *ret_name = slice_sub(*ret_name, 1, ret_name->len - 1);
    return has_name;
}

static bool has_names(struct slice list)
{
    struct json_at at = {0};
    struct slice name, element;
    bool any = false;
    if (list.len == 0 || list.at[0] != '[')
        return false;
    while (json_next(list, &at, &name, &element)) {
        any = true;
        if (!name_of(element, &name))
            return false;
    }
    return any;
}

static bool find_from(struct json_at *at, struct slice whole, bool is_list, struct slice part,
                      struct slice *ret)
{
    struct slice name;
    while (json_next(whole, at, &name, ret))
        if ((!is_list || name_of(*ret, &name)) && slice_same(name, part))
            return true;
    *at = (struct json_at){0};
    return false;
}

/* The part of `whole` of that name: a member, or an element. It is looked for behind the one that
 * was found last, where it is if both are in the same order: else all of them are gone through,
 * twice at most. */
static bool find(struct json_at *last, struct slice whole, bool is_list, struct slice part,
                 struct slice *ret)
{
    for (int pass = 0; pass < 2; pass++)
        if (find_from(last, whole, is_list, part, ret))
            return true;
    *ret = (struct slice){0};
    return false;
}

/* What is in both, deeper than that only as a whole: a configuration is not so deep. */
static void compare(struct diff *diff, struct slice running, struct slice wanted, unsigned depth);

static void compare_parts(struct diff *diff, struct slice running, struct slice wanted,
                          unsigned depth)
{
    bool is_list = running.at[0] == '[';
    struct slice key, one, other;
    struct json_at last = {0};
    for (struct json_at at = {0}; json_next(running, &at, &key, &one);) {
        if (is_list)
            name_of(one, &key);
        struct place was = go_in(diff, is_list, key);
        if (find(&last, wanted, is_list, key, &other))
            compare(diff, one, other, depth + 1);
        else
            note(diff, CONFIG_REMOVED, one, other);
        go_out(diff, was);
    }
    last = (struct json_at){0};
    for (struct json_at at = {0}; json_next(wanted, &at, &key, &one);) {
        if (is_list)
            name_of(one, &key);
        struct place was = go_in(diff, is_list, key);
        if (!find(&last, running, is_list, key, &other))
            note(diff, CONFIG_ADDED, other, one);
        go_out(diff, was);
    }
}

static void compare(struct diff *diff, struct slice running, struct slice wanted, unsigned depth)
{
    bool has_parts = (json_is_object(running) && json_is_object(wanted))
                     || (has_names(running) && has_names(wanted));
    if (slice_same(running, wanted))
        return;
    if (has_parts && depth < DEPTH_MAX)
        compare_parts(diff, running, wanted, depth);
    else
        note(diff, CONFIG_CHANGED, running, wanted);
}

uint32_t config_diff(const struct config *running, const struct config *wanted,
                     void (*tell)(void *self, const struct config_change *change), void *self)
{
    struct diff diff = {.tell = tell, .self = self};
    struct bytes is, will_be;
    bytes_init(&is, &alloc_libc, DUMP_MAX);
    bytes_init(&will_be, &alloc_libc, DUMP_MAX);
    config_dump_marked(running, &is);
    config_dump_marked(wanted, &will_be);
    if (json_check(bytes_slice(&is)) && json_check(bytes_slice(&will_be)))
        compare(&diff, bytes_slice(&is), bytes_slice(&will_be), 0);
    else
        diff.count = UINT32_MAX;
    bytes_fini(&is);
    bytes_fini(&will_be);
    return diff.count;
}
