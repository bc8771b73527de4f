/* SPDX-License-Identifier: Apache-2.0
 *
 * story [--why] FILE|FOLDER … - plays stories against the real core on a virtual clock. For each
 * line the outputs must be those the story names, all of them and no other, in any order; an output
 * may be named by its first words ("dial #1" for "dial #1 k"). --why prints the trace that led to
 * the first difference. --mutant N breaks a rule of core (core/mutant.h). Exit status 1 when a
 * story failed.
 */
#include "core/mutant.h"
#include "story/verbs.h"
#include "support/coverage.h"

#include <dirent.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { TRACE_LINES = 40, TRACE_WIDTH = 200 };

struct play {
    const char *path;
    struct stage stage;
    struct line line;
    bool why;
    bool told; /* has its title */
    char trace[TRACE_LINES][TRACE_WIDTH];
    uint32_t traced;
};

static void trace(struct play *play, const char *mark, const char *text)
{
    snprintf(play->trace[play->traced++ % TRACE_LINES], TRACE_WIDTH,
             "%9" PRIu64 ".%03" PRIu64 "  %s %s", play->stage.now_ms / 1000,
             play->stage.now_ms % 1000, mark, text);
}

static void print_phrase(char *ret, size_t size, const struct phrase *phrase)
{
    size_t len = 0;
    ret[0] = '\0';
    for (uint32_t i = 0; i < phrase->count && len + 1 < size; i++) {
        int n = snprintf(ret + len, size - len, "%s%.*s", i > 0 ? " " : "",
                         SLICE_ARG(phrase->words[i]));
        len += n > 0 ? (size_t)n : 0;
    }
}

static bool fail(struct play *play, const char *what, const char *detail)
{
    printf("%s:%u: %s%s\n", play->path, play->line.number, what, detail);
    if (play->why) {
        uint32_t from = play->traced > TRACE_LINES ? play->traced - TRACE_LINES : 0;
        for (uint32_t i = from; i < play->traced; i++) {
            printf("    %s\n", play->trace[i % TRACE_LINES]);
        }
    }
    return false;
}

/* Whether the output begins with the words of the phrase. */
static bool says(struct slice output, const struct phrase *phrase)
{
    struct slice word;
    for (uint32_t i = 0; i < phrase->count; i++) {
        if (!slice_word(&output, &word) || !slice_same(word, phrase->words[i])) {
            return false;
        }
    }
    return true;
}

static bool expects_nothing(const struct line *line)
{
    return line->outputs_count == 0
           || (line->outputs_count == 1 && slice_is(line->outputs[0].words[0], "nothing"));
}

/* Every expected output is found once among the real ones, and none is left over. */
static bool compare(struct play *play)
{
    struct stage *stage = &play->stage;
    bool used[OUTPUTS_MAX] = {false};
    char text[OUTPUT_MAX];
    uint32_t expected = expects_nothing(&play->line) ? 0 : play->line.outputs_count;
    for (uint32_t e = 0; e < expected; e++) {
        uint32_t i = 0;
        while (i < stage->outputs_count
               && (used[i] || !says(slice_of(stage->outputs[i]), &play->line.outputs[e]))) {
            i++;
        }
        if (i == stage->outputs_count) {
            print_phrase(text, sizeof text, &play->line.outputs[e]);
            return fail(play, "expected, but it did not happen: ", text);
        }
        used[i] = true;
    }
    for (uint32_t i = 0; i < stage->outputs_count; i++) {
        if (!used[i]) {
            return fail(play, "happened, but was not expected: ", stage->outputs[i]);
        }
    }
    return true;
}

static void trace_outputs(struct play *play, uint32_t from)
{
    for (uint32_t i = from; i < play->stage.outputs_count; i++) {
        trace(play, "  ->", play->stage.outputs[i]);
    }
}

static bool play_step(struct play *play)
{
    struct stage *stage = &play->stage;
    struct line *line = &play->line;
    char text[TRACE_WIDTH];
    if (stage->engine == NULL) {
        return fail(play, "no pool is open", "");
    }
    stage->outputs_count = 0;
    stage_move(stage, line->at_ms);
    trace_outputs(play, 0);
    uint32_t seen = stage->outputs_count;
    for (uint32_t i = 0; i < line->actions_count; i++) {
        print_phrase(text, sizeof text, &line->actions[i]);
        trace(play, "", text);
        if (!verb_act(stage, &line->actions[i])) {
            return fail(play, "", stage->fault);
        }
    }
    stage_settle(stage);
    trace_outputs(play, seen);
    return stage->failed_at_once ? fail(play, "", stage->fault) : compare(play);
}

static bool play_line(struct play *play)
{
    struct stage *stage = &play->stage;
    const struct phrase *first = &play->line.actions[0];
    bool fine = true;
    switch (play->line.kind) {
    case LINE_STORY: play->told = true; break;
    case LINE_ENGINE: fine = verb_engine(stage, first); break;
    case LINE_KEY: fine = verb_key(stage, first); break;
    case LINE_POOL: fine = verb_pool(stage, first); break;
    case LINE_STEP: return play_step(play);
    case LINE_EXPECT: fine = stage->engine != NULL && verb_expect(stage, first); break;
    case LINE_END: break;
    }
    return fine || fail(play, "", stage->fault);
}

static bool play_text(struct play *play, struct slice text)
{
    struct script script;
    const char *fault = "";
    script_init(&script, text);
    do {
        if (!script_next(&script, &play->line, &fault)) {
            return fail(play, "", fault);
        }
        if (!play->told && play->line.kind != LINE_STORY) {
            return fail(play, "a story begins with its title", "");
        }
        if (!play_line(play)) {
            return false;
        }
    } while (play->line.kind != LINE_END);
    return true;
}

/* The whole file, to be freed; NULL when it cannot be read. */
static char *read_file(const char *path, size_t *ret_len)
{
    struct stat st;
    FILE *file = fopen(path, "rb");
    char *text = NULL;
    if (file != NULL && fstat(fileno(file), &st) == 0) {
        text = malloc((size_t)st.st_size + 1);
        *ret_len = text != NULL ? fread(text, 1, (size_t)st.st_size, file) : 0;
    }
    if (file != NULL) {
        fclose(file);
    }
    return text;
}

static bool play_file(const char *path, bool why)
{
    size_t len = 0;
    char *text = read_file(path, &len);
    struct play *play = calloc(1, sizeof *play);
    bool fine = false;
    if (text != NULL && play != NULL) {
        play->path = path;
        play->why = why;
        stage_init(&play->stage);
        fine = play_text(play, (struct slice){text, (uint32_t)len});
        stage_fini(&play->stage);
    } else {
        printf("%s: cannot be read\n", path);
    }
    free(play);
    free(text);
    return fine;
}

static int is_story(const struct dirent *entry)
{
    return slice_ends(slice_of(entry->d_name), SLICE(".story"));
}

struct tally {
    bool why;
    uint32_t played, failed;
};

static void play_one(struct tally *tally, const char *path)
{
    tally->played++;
    tally->failed += !play_file(path, tally->why);
}

static void play_path(struct tally *tally, const char *path)
{
    struct dirent **entries;
    struct stat st;
    if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode)) {
        play_one(tally, path);
        return;
    }
    int count = scandir(path, &entries, is_story, alphasort);
    for (int i = 0; i < count; i++) {
        char full[4096];
        snprintf(full, sizeof full, "%s/%s", path, entries[i]->d_name);
        play_one(tally, full);
        free(entries[i]);
    }
    if (count >= 0) {
        free(entries);
    }
}

/* Breaks a rule of core, where it was built to be broken. */
static void break_rule(const char *number)
{
#ifdef WEIR_MUTANTS
    weir_mutant = (int)strtol(number, NULL, 10);
#else
    printf("story: %s: this core cannot be broken\n", number);
#endif
}

/* What a mutant that dies has run counts too. */
static void on_abort(int number)
{
    dump_coverage();
    signal(number, SIG_DFL);
    raise(number);
}

int main(int argc, char **argv)
{
    struct tally tally = {0};
    signal(SIGABRT, on_abort);
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--why") == 0) {
            tally.why = true;
        } else if (strcmp(argv[i], "--mutant") == 0 && i + 1 < argc) {
            break_rule(argv[++i]);
        } else {
            play_path(&tally, argv[i]);
        }
    }
    if (tally.played == 0) {
        printf("usage: story [--why] FILE|FOLDER ...\n");
        return 2;
    }
    printf("story: %u played, %u failed\n", tally.played, tally.failed);
    return tally.failed > 0;
}
