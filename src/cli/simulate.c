/* SPDX-License-Identifier: Apache-2.0
 *
 * simulate.c - `weir simulate`: the real pool core under recorded or imagined arrivals, and the
 * sizes it would need.
 */
#include "cli/simulate.h"

#include "cli/command.h"
#include "io/clock.h"
#include "io/file.h"
#include "io/oserror.h"

#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <unistd.h>

#define SECONDS_MAX (400ULL * 86400)
#define TIME_MAX_MS 86400000ULL

/* As given, before it is understood. */
struct words {
    const char *trace, *rate, *time, *from, *to, *hold, *service, *dial, *keys, *profile;
    const char *min, *max, *set, *target, *seed, *svg;
    bool without_advice, json;
};

static int fail(const char *what, const char *word)
{
    fprintf(stderr, "weir simulate: %s%s%s\n", what, word != NULL ? ": " : "",
            word != NULL ? word : "");
    return EXIT_USAGE;
}

/* --- words to numbers --------------------------------------------------------------------- */

static bool number_of(const char *text, uint64_t least, uint64_t most, uint32_t *ret)
{
    uint64_t number;
    if (!text_parse_u64(slice_of(text), &number) || number < least || number > most)
        return false;
    *ret = (uint32_t)number;
    return true;
}

static bool time_of(const char *text, uint64_t most_ms, uint64_t *ret_ms)
{
    return text_parse_duration(slice_of(text), ret_ms) && *ret_ms <= most_ms;
}

static bool rate_of(const char *text, double *ret, const char **ret_end)
{
    char *end;
    if (!text_is_digit(*text))
        return false;
    *ret = strtod(text, &end);
    *ret_end = end;
    return *ret <= (double)TRACE_RATE_MAX;
}

/* "100" or "10-200". */
static bool rates_of(const char *text, double *ret_from, double *ret_to)
{
    const char *end;
    if (!rate_of(text, ret_from, &end))
        return false;
    *ret_to = *ret_from;
    if (*end == '-' && !rate_of(end + 1, ret_to, &end))
        return false;
    return *end == '\0' && (*ret_from > 0 || *ret_to > 0);
}

static bool service_of(const char *text, enum service *ret)
{
    for (int i = 0; i < SERVICES; i++)
        if (slice_is(slice_of(text), service_words[i])) {
            *ret = (enum service)i;
            return true;
        }
    return false;
}

/* --- the trace ---------------------------------------------------------------------------- */

static int read_trace(struct simulation *s, const char *path)
{
    char *text;
    size_t len;
    struct trace_fault fault;
    int error = file_read(path, TRACE_BYTES_MAX, s->plan.alloc, &text, &len);
    if (error != 0) {
        fprintf(stderr, "weir simulate: %s: %s\n", path, oserror_text(error));
        return 1;
    }
    bool fine = trace_read((struct slice){text, (uint32_t)len}, s->plan.alloc, &s->trace, &fault);
    alloc_free(s->plan.alloc, text);
    if (fine)
        return 0;
    if (fault.line > 0)
        fprintf(stderr, "%s:%u: %s\n", path, fault.line, fault.text);
    else
        fprintf(stderr, "%s: %s\n", path, fault.text);
    return 1;
}

static int imagine(struct simulation *s, const struct words *words)
{
    double from, to;
    uint64_t ms = 600000;
    if (!rates_of(words->rate, &from, &to))
        return fail("--rate is arrivals a second, like 100 or 10-200", words->rate);
    if (words->time != NULL && (!time_of(words->time, SECONDS_MAX * 1000, &ms) || ms < 1000))
        return fail("--for is a time of a second at least, like 10m", words->time);
    if (!trace_imagine(from, to, (uint32_t)(ms / 1000), s->plan.alloc, &s->trace))
        return fail("out of memory", NULL), 1;
    return 0;
}

static int cut(struct simulation *s, const struct words *words)
{
    uint64_t first = s->trace.lines[0].second, from_ms = 0, to_ms = SECONDS_MAX * 1000 * 10;
    if (words->from != NULL && !time_of(words->from, SECONDS_MAX * 1000, &from_ms))
        return fail("--from is a time since the beginning, like 3d", words->from);
    if (words->to != NULL && !time_of(words->to, SECONDS_MAX * 1000, &to_ms))
        return fail("--to is a time since the beginning, like 3d1h", words->to);
    if (!trace_cut(&s->trace, first + from_ms / 1000, first + to_ms / 1000))
        return fail("no interval begins between --from and --to", NULL);
    return 0;
}

static int get_trace(struct simulation *s, const struct words *words)
{
    if ((words->trace != NULL) == (words->rate != NULL))
        return fail("needs a file, or --rate; `weir simulate --help` says more", NULL);
    if (words->trace != NULL && words->time != NULL)
        return fail("--for goes with --rate; --from and --to take a part of a file", NULL);
    snprintf(s->title, sizeof(s->title), "%s%s", words->trace != NULL ? words->trace : words->rate,
             words->trace != NULL ? "" : " arrivals a second");
    int status = words->trace != NULL ? read_trace(s, words->trace) : imagine(s, words);
    if (status == 0)
        status = cut(s, words);
    if (status == 0 && s->trace.arrivals == 0)
        status = fail("nobody arrives in it", words->trace);
    if (status == 0 && trace_end(&s->trace) - s->trace.lines[0].second > SECONDS_MAX)
        status = fail("is longer than 400 days", words->trace);
    return status;
}

/* --- the pool ----------------------------------------------------------------------------- */

/* "idle_timeout=5s,max_uses=100" */
static int set_options(weir_pool_options *opt, const char *text)
{
    struct slice rest = slice_of(text), part;
    while (slice_split(&rest, ',', &part)) {
        char word[64], value[64];
        uint32_t at = slice_find(part, '=');
        bool fits = slice_copy(word, sizeof(word), slice_sub(part, 0, at)) < sizeof(word)
                    && slice_copy(value, sizeof(value), slice_sub(part, at + 1, part.len))
                           < sizeof(value);
        if (at == part.len || !fits || weir_pool_options_set(opt, word, value) != WEIR_OK) {
            fprintf(stderr, "weir simulate: --set takes pool options like idle_timeout=5s: %.*s\n",
                    SLICE_ARG(part));
            return EXIT_USAGE;
        }
    }
    return 0;
}

static int get_pool(struct simulation *s, const struct words *words)
{
    weir_pool_options *opt = &s->plan.pool;
    uint32_t size;
    if (words->set != NULL && set_options(opt, words->set) != 0)
        return EXIT_USAGE;
    if (words->max != NULL) {
        if (!number_of(words->max, 1, REHEARSAL_CONNS_MAX, &size))
            return fail("--max is a number of connections, from 1 to 65536", words->max);
        opt->max_per_key = size;
    }
    if (words->min != NULL) {
        if (!number_of(words->min, 0, 65535, &size))
            return fail("--min is a number of connections, from 0 to 65535", words->min);
        opt->size_min = size > 0 ? size : WEIR_NONE;
    }
    s->profile = words->profile != NULL ? words->profile : "relay";
    if (weir_profile(s->profile, opt) != WEIR_OK)
        return fail("there is no such profile", s->profile);
    return 0;
}

static int get_world(struct simulation *s, const struct words *words)
{
    struct rehearsal_plan *plan = &s->plan;
    uint64_t dial_ms = 5, hold_ms = 100, target_ms = 10;
    if (words->dial != NULL && !time_of(words->dial, TIME_MAX_MS, &dial_ms))
        return fail("--dial is a time, like 5ms", words->dial);
    if (words->hold != NULL && !time_of(words->hold, TIME_MAX_MS, &hold_ms))
        return fail("--hold is a time, like 120ms", words->hold);
    if (words->target != NULL && !time_of(words->target, REHEARSAL_WAIT_MAX - 1, &target_ms))
        return fail("--target is a time of at most a minute, like 10ms", words->target);
    if (words->service != NULL && !service_of(words->service, &plan->service))
        return fail("--service is exponential, fixed or lognormal", words->service);
    if (words->keys != NULL && !number_of(words->keys, 1, REHEARSAL_KEYS_MAX, &plan->keys))
        return fail("--keys is a number of endpoints, from 1 to 4096", words->keys);
    if (words->seed != NULL && !text_parse_u64(slice_of(words->seed), &plan->seed))
        return fail("--seed is a number", words->seed);
    if (words->hold != NULL)
        s->trace.has_hold = false; /* what is said counts more than what was recorded */
    plan->dial_ms = (uint32_t)dial_ms;
    plan->hold_ms = (uint32_t)hold_ms;
    s->target_ms = (uint32_t)target_ms;
    return 0;
}

/* --- the run ------------------------------------------------------------------------------ */

struct progress {
    uint64_t told_ms;
    bool is_shown;
};

static void show_progress(void *arg, uint64_t done, uint64_t all)
{
    struct progress *progress = arg;
    uint64_t now_ms = clock_now_ms();
    if (now_ms - progress->told_ms < 200)
        return;
    progress->told_ms = now_ms;
    progress->is_shown = true;
    fprintf(stderr, "\rsimulate: %3.0f %% of %llu arrivals ", 100.0 * (double)done / (double)all,
            (unsigned long long)all);
}

static void hide_progress(const struct progress *progress)
{
    if (progress->is_shown)
        fprintf(stderr, "\r%50s\r", "");
}

static int run(struct simulation *s, const struct words *words)
{
    struct progress progress = {.told_ms = clock_now_ms()};
    const char *fault = "";
    s->plan.trace = &s->trace;
    if (isatty(STDERR_FILENO)) {
        s->plan.on_progress = show_progress;
        s->plan.arg = &progress;
    }
    weir_err err = rehearse(&s->plan, &s->result, &fault);
    s->has_advice = err == WEIR_OK && !words->without_advice;
    if (s->has_advice)
        err = advise(&s->plan, s->target_ms, &s->advice, &fault);
    hide_progress(&progress);
    if (err == WEIR_OK)
        return 0;
    if (err == WEIR_EINVAL)
        return fail("the pool cannot have this value of", fault);
    return fail(weir_err_text(err), NULL), 1;
}

static int write_svg(const struct simulation *s, const char *path)
{
    FILE *out = fopen(path, "w");
    if (out == NULL) {
        fprintf(stderr, "weir simulate: %s: %s\n", path, oserror_text(-errno));
        return 1;
    }
    bool fine = simulate_print_svg(out, s);
    fine = fclose(out) == 0 && fine;
    if (!fine)
        fprintf(stderr, "weir simulate: %s: %s\n", path, oserror_text(-errno));
    return fine ? 0 : 1;
}

static int show(const struct simulation *s, const struct words *words)
{
    int status = words->svg != NULL ? write_svg(s, words->svg) : 0;
    if (words->json && !simulate_print_json(stdout, s))
        return fail("cannot write the result", NULL), 1;
    if (!words->json) {
        /* NOLINTBEGIN(concurrency-mt-unsafe): there is one thread */
        setlocale(LC_CTYPE, "");
        bool unicode = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
        /* NOLINTEND(concurrency-mt-unsafe) */
        simulate_print(stdout, s, unicode);
    }
    if (fflush(stdout) != 0)
        return fail("cannot write the result", NULL), 1;
    return status;
}

static int simulate(struct simulation *s, const struct words *words)
{
    int status = get_trace(s, words);
    if (status == 0)
        status = get_pool(s, words);
    if (status == 0)
        status = get_world(s, words);
    if (status == 0)
        status = run(s, words);
    return status == 0 ? show(s, words) : status;
}

int command_simulate(int count, char **words)
{
    struct words given = {0};
    const struct command_option options[] = {
        {"--rate", &given.rate, NULL},       {"--for", &given.time, NULL},
        {"--from", &given.from, NULL},       {"--to", &given.to, NULL},
        {"--hold", &given.hold, NULL},       {"--service", &given.service, NULL},
        {"--dial", &given.dial, NULL},       {"--keys", &given.keys, NULL},
        {"--profile", &given.profile, NULL}, {"--min", &given.min, NULL},
        {"--max", &given.max, NULL},         {"--set", &given.set, NULL},
        {"--target", &given.target, NULL},   {"--seed", &given.seed, NULL},
        {"--svg", &given.svg, NULL},         {"--no-advice", NULL, &given.without_advice},
        {"--json", NULL, &given.json},       {0}};
    int left = command_options("simulate", count, words, options);
    if (left < 0)
        return EXIT_USAGE;
    if (left > 1)
        return fail("one trace at a time", words[1]);
    given.trace = left == 1 ? words[0] : NULL;
    struct simulation *s = alloc_zeroed(&alloc_libc, sizeof(*s));
    if (s == NULL)
        return fail("out of memory", NULL), 1;
    s->plan = (struct rehearsal_plan){.keys = 1, .seed = 1, .alloc = &alloc_libc};
    int status = simulate(s, &given);
    advice_fini(&s->advice, &alloc_libc);
    if (s->trace.alloc != NULL)
        trace_fini(&s->trace);
    alloc_free(&alloc_libc, s);
    return status;
}
