/* SPDX-License-Identifier: Apache-2.0
 *
 *   expect [POOL] total 2 idle 1 created 4 …   rows of stat.def; failed is dials_failed
 *   expect closed.timeout 1 refused.down 2 failed.connect 3
 *   expect key K state down failures 3 waiting 0
 *   expect #1 state active leases 1 uses 2
 *   expect health degraded
 *   expect next 5s                             the next deadline is so far away; or: never
 *   expect explains K "words"
 */
#include "story/verbs.h"

#include <inttypes.h>
#include <stdio.h>

static bool differs(struct stage *stage, struct slice what, const char *is, struct slice should)
{
    stage_fault(stage, "%.*s is %s, expected %.*s", SLICE_ARG(what), is, SLICE_ARG(should));
    return false;
}

static bool expect_number(struct stage *stage, struct slice what, uint64_t is, struct slice should)
{
    char text[24];
    uint64_t number;
    snprintf(text, sizeof text, "%" PRIu64, is);
    return (text_parse_u64(should, &number) && number == is) || differs(stage, what, text, should);
}

static bool expect_word(struct stage *stage, struct slice what, const char *is, struct slice should)
{
    return slice_is(should, is) || differs(stage, what, is, should);
}

static bool unknown(struct stage *stage, struct slice word)
{
    stage_fault(stage, "no such figure: %.*s", SLICE_ARG(word));
    return false;
}

/* "closed.timeout" and its like. */
static bool by_reason(const weir_stats *stats, struct slice word, uint64_t *ret)
{
    uint32_t dot = slice_find(word, '.');
    struct slice group = slice_sub(word, 0, dot);
    weir_err why;
    if (dot == word.len || !stage_err_parse(slice_sub(word, dot + 1, word.len), &why)) {
        return false;
    }
    const uint64_t *row = slice_is(group, "closed")    ? stats->closed_by
                          : slice_is(group, "refused") ? stats->refused_by
                          : slice_is(group, "failed")  ? stats->failed_by
                                                       : NULL;
    if (row == NULL) {
        return false;
    }
    *ret = row[why];
    return true;
}

static bool expect_stats(struct stage *stage, const struct stage_pool *home,
                         const struct phrase *line, uint32_t from)
{
    static weir_stats stats;
    stats.size = sizeof stats;
    weir_pool_stats(home->pool, &stats);
    for (uint32_t i = from; i < line->count; i += 2) {
        struct slice word = line->words[i];
        uint64_t value = 0;
        bool known = by_reason(&stats, word, &value);
#define WEIR_STAT(field, kind, text)                                                               \
    if (slice_is(word, #field)) {                                                                  \
        value = stats.field;                                                                       \
        known = true;                                                                              \
    }
#include <weir/def/stat.def>
#undef WEIR_STAT
        if (slice_is(word, "failed")) {
            value = stats.dials_failed;
            known = true;
        }
        if (!known) {
            return unknown(stage, word);
        }
        if (!expect_number(stage, word, value, phrase_word(line, i + 1))) {
            return false;
        }
    }
    return true;
}

static bool expect_key(struct stage *stage, const struct phrase *line)
{
    const struct stage_key *key = stage_key_of(stage, phrase_word(line, 1));
    weir_key_info info = {.size = sizeof info};
    weir_err err = key != NULL ? weir_pool_key_of(stage->pools[0].pool, &key->key, &info)
                               : WEIR_EINVAL;
    for (uint32_t i = 2; i < line->count; i += 2) {
        struct slice word = line->words[i];
        struct slice should = phrase_word(line, i + 1);
        struct {
            const char *word;
            uint64_t value;
        } rows[] = {{"failures", info.failures},
                    {"waiting", info.waiting},
                    {"dialling", info.dialling},
                    {"idle", info.idle},
                    {"active", info.active},
                    {"shared", info.shared},
                    {"retry_after", info.retry_after_ms},
                    {"created", info.created},
                    {"reused", info.reused},
                    {"grants", info.grants},
                    {"errors", info.errors}};
        bool known = false;
        bool fine = true;
        if (slice_is(word, "state")) {
            known = true;
            fine = expect_word(
                stage, word, err == WEIR_OK ? weir_key_state_word(info.state) : "unknown", should);
        } else if (slice_is(word, "error")) {
            known = true;
            fine = expect_word(stage, word, weir_err_word(info.last_error), should);
        }
        for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
            if (slice_is(word, rows[r].word)) {
                known = true;
                fine = expect_number(stage, word, rows[r].value, should);
            }
        }
        if (!known) {
            return unknown(stage, word);
        }
        if (!fine) {
            return false;
        }
    }
    return true;
}

struct found {
    weir_conn conn;
    weir_conn_info info;
    bool there;
};

static bool find_conn(void *arg, const weir_conn_info *info)
{
    struct found *found = arg;
    if (info->conn.id == found->conn.id) {
        found->info = *info;
        found->there = true;
    }
    return !found->there;
}

static bool expect_conn(struct stage *stage, const struct phrase *line)
{
    const struct stage_conn *conn = stage_conn_of(stage, line->words[0]);
    if (conn == NULL) {
        return unknown(stage, line->words[0]);
    }
    struct found found = {.conn = conn->id};
    if (conn->home->pool != NULL) {
        weir_pool_each(conn->home->pool, find_conn, &found);
    }
    for (uint32_t i = 1; i < line->count; i += 2) {
        struct slice word = line->words[i];
        struct slice should = phrase_word(line, i + 1);
        bool fine;
        if (slice_is(word, "state")) {
            fine = expect_word(stage, word,
                               found.there ? weir_state_word(found.info.state) : "gone", should);
        } else if (slice_is(word, "leases")) {
            fine = expect_number(stage, word, found.info.leases, should);
        } else if (slice_is(word, "leases_max")) {
            fine = expect_number(stage, word, found.info.leases_max, should);
        } else if (slice_is(word, "uses")) {
            fine = expect_number(stage, word, found.info.uses, should);
        } else if (slice_is(word, "retiring")) {
            fine = expect_word(stage, word, found.info.retiring ? "yes" : "no", should);
        } else {
            return unknown(stage, word);
        }
        if (!fine) {
            return false;
        }
    }
    return true;
}

static bool expect_next(struct stage *stage, struct slice should)
{
    uint64_t next = weir_step(stage->engine, stage->now_ms);
    char text[64] = "never";
    if (next != WEIR_NO_DEADLINE) {
        text_print_duration(text, sizeof text, next - stage->now_ms);
    }
    return expect_word(stage, SLICE("next"), text, should);
}

static bool expect_health(struct stage *stage, struct slice should)
{
    weir_health_report report = {.size = sizeof report};
    weir_pool_health(stage->pools[0].pool, &report);
    return expect_word(stage, SLICE("health"), weir_health_word(report.health), should);
}

/* Each word must stand somewhere in what the pool explains. */
static bool expect_explains(struct stage *stage, const struct phrase *line)
{
    static char text[16384];
    const struct stage_key *key = stage_key_of(stage, phrase_word(line, 1));
    if (key == NULL) {
        return false;
    }
    weir_pool_explain(stage->pools[0].pool, &key->key, text, sizeof text);
    for (uint32_t i = 2; i < line->count; i++) {
        char word[NAME_MAX_];
        slice_copy(word, sizeof word, line->words[i]);
        if (strstr(text, word) == NULL) {
            stage_fault(stage, "\"%s\" is not in the explanation: %.100s", word, text);
            return false;
        }
    }
    return true;
}

bool verb_expect(struct stage *stage, const struct phrase *line)
{
    struct slice first = phrase_word(line, 0);
    if (slice_is(first, "key")) {
        return expect_key(stage, line);
    }
    if (slice_is(first, "next")) {
        return expect_next(stage, phrase_word(line, 1));
    }
    if (slice_is(first, "health")) {
        return expect_health(stage, phrase_word(line, 1));
    }
    if (slice_is(first, "explains")) {
        return expect_explains(stage, line);
    }
    if (first.len > 0 && first.at[0] == '#') {
        return expect_conn(stage, line);
    }
    bool named = stage_pool_of(stage, first) != NULL && first.len > 0;
    const struct stage_pool *home = stage_pool_of(stage, named ? first : (struct slice){"", 0});
    if (home == NULL || home->pool == NULL) {
        stage_fault(stage, "the pool is closed");
        return false;
    }
    return expect_stats(stage, home, line, named ? 1 : 0);
}
