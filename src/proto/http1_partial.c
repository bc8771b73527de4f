/* SPDX-License-Identifier: Apache-2.0
 *
 * The judge of incomplete heads: a state, and one function that leaves it, per element of a head.
 * See http1_head.h for why it exists. It must stop exactly where the parser would complain; the
 * fuzz targets compare the two on every split.
 */
#include "base/check.h"
#include "proto/http1_head.h"
#include "proto/http_chars.h"

enum judge_state {
    JUDGE_FRESH = 0,
    JUDGE_EMPTY_LF, /* of the one empty line before a request */
    JUDGE_METHOD,
    JUDGE_TARGET,
    JUDGE_VERSION, /* of a request, with the line's end */
    JUDGE_STATUS,  /* the version and the three digits of an answer */
    JUDGE_STATUS_END,
    JUDGE_REASON,
    JUDGE_REASON_LF,
    JUDGE_LINE, /* from here on: behind the start line */
    JUDGE_NAME,
    JUDGE_VALUE,
    JUDGE_VALUE_LF,
    JUDGE_END_LF,
    JUDGE_DONE,
    JUDGE_WRONG,
};

struct judge {
    struct http1_progress *progress;
    const struct http1_limits *limits;
    const char *at, *end;
    bool ask;
};

static void enter(struct judge *judge, enum judge_state state)
{
    judge->progress->state = (uint8_t)state;
    judge->progress->run = 0;
}

/* Takes one byte: into the next state if it is the right one. */
static void take(struct judge *judge, bool right, enum judge_state next)
{
    judge->at++;
    enter(judge, right ? next : JUDGE_WRONG);
}

/* Takes the run up to stop. True: the run is over, and not longer than max; the byte behind it is
 * there to be taken. */
static bool take_run(struct judge *judge, const char *stop, uint32_t max)
{
    judge->progress->run += (uint32_t)(stop - judge->at);
    judge->at = stop;
    if (judge->progress->run > max) {
        enter(judge, JUDGE_WRONG);
        return false;
    }
    return stop < judge->end;
}

/* Takes bytes that follow a pattern in which '0' stands for any digit. True: all of it. */
static bool take_pattern(struct judge *judge, const char *pattern)
{
    struct http1_progress *progress = judge->progress;
    while (judge->at < judge->end && pattern[progress->run] != 0) {
        char wanted = pattern[progress->run];
        char c = *judge->at++;
        if (wanted == '0' ? !text_is_digit(c) : c != wanted) {
            enter(judge, JUDGE_WRONG);
            return false;
        }
        progress->run++;
    }
    return pattern[progress->run] == 0;
}

static void judge_method(struct judge *judge)
{
    if (take_run(judge, http_skip_token(judge->at, judge->end), HTTP1_METHOD_MAX)) {
        take(judge, *judge->at == ' ' && judge->progress->run > 0, JUDGE_TARGET);
    }
}

static void judge_target(struct judge *judge)
{
    const char *stop = http_skip_target(judge->at, judge->end);
    if (take_run(judge, stop, judge->limits->target_bytes_max)) {
        take(judge, *judge->at == ' ' && judge->progress->run > 0, JUDGE_VERSION);
    }
}

/* Behind the start line the parser is asked, because it may refuse what it means. */
static void end_start_line(struct judge *judge)
{
    judge->ask = judge->progress->state == JUDGE_LINE;
}

static void judge_start_line(struct judge *judge)
{
    switch ((enum judge_state)judge->progress->state) {
    case JUDGE_EMPTY_LF: take(judge, *judge->at == '\n', JUDGE_METHOD); break;
    case JUDGE_METHOD: judge_method(judge); break;
    case JUDGE_TARGET: judge_target(judge); break;
    case JUDGE_VERSION:
        if (take_pattern(judge, "HTTP/0.0\r\n")) {
            enter(judge, JUDGE_LINE);
            end_start_line(judge);
        }
        break;
    case JUDGE_STATUS:
        if (take_pattern(judge, "HTTP/0.0 000")) {
            enter(judge, JUDGE_STATUS_END);
        }
        break;
    case JUDGE_STATUS_END:
        take(judge, *judge->at == ' ' || *judge->at == '\r',
             *judge->at == ' ' ? JUDGE_REASON : JUDGE_REASON_LF);
        break;
    case JUDGE_REASON:
        if (take_run(judge, http_skip_value(judge->at, judge->end), UINT32_MAX)) {
            take(judge, *judge->at == '\r', JUDGE_REASON_LF);
        }
        break;
    case JUDGE_REASON_LF:
        take(judge, *judge->at == '\n', JUDGE_LINE);
        end_start_line(judge);
        break;
    default: unreachable();
    }
}

static void judge_line(struct judge *judge)
{
    struct http1_progress *progress = judge->progress;
    if (*judge->at == '\r') {
        take(judge, true, JUDGE_END_LF);
    } else if (progress->fields == judge->limits->fields_max) {
        take(judge, false, JUDGE_WRONG);
    } else {
        progress->fields++;
        enter(judge, JUDGE_NAME);
    }
}

static void judge_field_line(struct judge *judge)
{
    switch ((enum judge_state)judge->progress->state) {
    case JUDGE_LINE: judge_line(judge); break;
    case JUDGE_NAME:
        if (take_run(judge, http_skip_token(judge->at, judge->end), UINT32_MAX)) {
            take(judge, *judge->at == ':' && judge->progress->run > 0, JUDGE_VALUE);
        }
        break;
    case JUDGE_VALUE:
        if (take_run(judge, http_skip_value(judge->at, judge->end), UINT32_MAX)) {
            take(judge, *judge->at == '\r', JUDGE_VALUE_LF);
        }
        break;
    case JUDGE_VALUE_LF: take(judge, *judge->at == '\n', JUDGE_LINE); break;
    case JUDGE_END_LF: take(judge, *judge->at == '\n', JUDGE_DONE); break;
    default: unreachable();
    }
}

static void judge_first(struct judge *judge, enum http1_judged what)
{
    switch (what) {
    case HTTP1_JUDGE_REQUEST:
        if (*judge->at == '\r') {
            take(judge, true, JUDGE_EMPTY_LF);
        } else {
            enter(judge, JUDGE_METHOD);
        }
        break;
    case HTTP1_JUDGE_RESPONSE: enter(judge, JUDGE_STATUS); break;
    case HTTP1_JUDGE_TRAILERS: enter(judge, JUDGE_LINE); break;
    }
}

bool http1_judge(struct http1_progress *progress, enum http1_judged what, const char *buf,
                 size_t len, const struct http1_limits *limits)
{
    check(progress->judged <= len);
    struct judge judge = {progress, limits, buf + progress->judged, buf + len, false};
    while (judge.at < judge.end && !judge.ask) {
        if (progress->state == JUDGE_FRESH) {
            judge_first(&judge, what);
        } else if (progress->state < JUDGE_LINE) {
            judge_start_line(&judge);
        } else {
            judge_field_line(&judge);
        }
        judge.ask |= http1_judged_out(progress);
    }
    progress->judged = (uint32_t)(judge.at - buf);
    return judge.ask;
}

bool http1_judged_out(const struct http1_progress *progress)
{
    return progress->state >= JUDGE_DONE;
}

bool http1_in_start_line(const struct http1_progress *progress)
{
    return progress->state < JUDGE_LINE;
}
