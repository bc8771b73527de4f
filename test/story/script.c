/* SPDX-License-Identifier: Apache-2.0 */
#include "story/script.h"

void script_init(struct script *script, struct slice text)
{
    *script = (struct script){.rest = text};
}

struct slice phrase_word(const struct phrase *phrase, uint32_t i)
{
    return i < phrase->count ? phrase->words[i] : (struct slice){"", 0};
}

/* The line without its comment; "#1" is a connection, not a comment. */
static struct slice without_comment(struct slice text)
{
    bool quoted = false;
    for (uint32_t i = 0; i < text.len; i++) {
        quoted ^= text.at[i] == '"';
        bool digit = i + 1 < text.len && text_is_digit(text.at[i + 1]);
        if (text.at[i] == '#' && !digit && !quoted) {
            return slice_sub(text, 0, i);
        }
    }
    return text;
}

/* Where "->" stands, or the text's length. */
static uint32_t arrow_of(struct slice text)
{
    for (uint32_t i = 0; i + 1 < text.len; i++) {
        if (text.at[i] == '-' && text.at[i + 1] == '>') {
            return i;
        }
    }
    return text.len;
}

static bool read_phrase(struct slice text, struct phrase *ret)
{
    struct slice word;
    *ret = (struct phrase){0};
    while (slice_word(&text, &word)) {
        if (ret->count == PHRASE_WORDS_MAX) {
            return false;
        }
        ret->words[ret->count++] = word;
    }
    return true;
}

/* "c1 releases #1, keep" is one action: a lone word goes with what stands before it. */
static bool read_phrases(struct slice text, struct phrase *phrases, uint32_t *ret_count)
{
    struct slice part;
    uint32_t count = 0;
    while (slice_split(&text, ',', &part)) {
        struct phrase phrase;
        if (count == LINE_PHRASES_MAX || !read_phrase(part, &phrase)) {
            return false;
        }
        bool is_more = phrase.count == 1 && count > 0 && !slice_is(phrase.words[0], "nothing");
        if (is_more) {
            struct phrase *before = &phrases[count - 1];
            if (before->count == PHRASE_WORDS_MAX) {
                return false;
            }
            before->words[before->count++] = phrase.words[0];
        } else if (phrase.count > 0) {
            phrases[count++] = phrase;
        }
    }
    *ret_count = count;
    return true;
}

static const char *read_step(struct script *script, struct slice text, struct line *line)
{
    struct slice time;
    uint64_t ms;
    if (!slice_word(&text, &time)) {
        return "no time";
    }
    bool relative = time.at[0] == '+';
    if (!text_parse_duration(relative ? slice_sub(time, 1, time.len) : time, &ms)) {
        return "neither a time nor a word that begins a line";
    }
    ms = relative ? script->at_ms + ms : ms;
    if (ms < script->at_ms) {
        return "time goes backwards";
    }
    script->at_ms = line->at_ms = ms;
    uint32_t arrow = arrow_of(text);
    if (!read_phrases(slice_sub(text, 0, arrow), line->actions, &line->actions_count)
        || !read_phrases(slice_sub(text, arrow + 2, text.len), line->outputs,
                         &line->outputs_count)) {
        return "too long";
    }
    return line->actions_count == 0 ? "nothing is done: say \"nothing happens\"" : NULL;
}

static const char *read_title(struct slice text, struct line *line)
{
    uint32_t from = slice_find(text, '"');
    struct slice inside = slice_sub(text, from + 1, text.len);
    uint32_t to = slice_find(inside, '"');
    if (to == inside.len) {
        return "a story has a title in quotes";
    }
    line->title = slice_sub(inside, 0, to);
    return NULL;
}

static const char *read_line(struct script *script, struct slice text, struct line *line)
{
    static const struct {
        const char *word;
        enum line_kind kind;
    } kinds[] = {{"story", LINE_STORY},
                 {"engine", LINE_ENGINE},
                 {"key", LINE_KEY},
                 {"pool", LINE_POOL},
                 {"expect", LINE_EXPECT}};
    struct slice rest = text;
    struct slice first;
    slice_word(&rest, &first);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (!slice_is(first, kinds[i].word)) {
            continue;
        }
        line->kind = kinds[i].kind;
        if (line->kind == LINE_STORY) {
            return read_title(rest, line);
        }
        line->actions_count = 1;
        return read_phrase(rest, &line->actions[0]) ? NULL : "too long";
    }
    line->kind = LINE_STEP;
    return read_step(script, text, line);
}

bool script_next(struct script *script, struct line *ret, const char **ret_fault)
{
    struct slice text;
    *ret = (struct line){.kind = LINE_END};
    while (slice_split(&script->rest, '\n', &text)) {
        script->number++;
        text = slice_trim(without_comment(text));
        if (text.len == 0) {
            continue;
        }
        ret->number = script->number;
        const char *fault = read_line(script, text, ret);
        if (fault != NULL) {
            *ret_fault = fault;
        }
        return fault == NULL;
    }
    return true;
}
