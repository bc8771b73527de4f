/* SPDX-License-Identifier: Apache-2.0 */
#include "base/text.h"
#include "cli/simulate.h"

#define PLOT_COLUMNS 72U
#define CONNS_ROWS   8U
#define QUEUE_ROWS   4U

struct plot {
    uint32_t columns[PLOT_COLUMNS];
    uint32_t most;
};

/* --- the plot ----------------------------------------------------------------------------- */

static struct plot plot_of(const struct rehearsal *result, bool of_queue)
{
    struct plot plot = {0};
    for (uint32_t i = 0; i < REHEARSAL_POINTS; i++) {
        const struct rehearsal_point *point = &result->points[i];
        uint32_t value = of_queue ? point->waiting : point->conns;
        uint32_t *column = &plot.columns[i * PLOT_COLUMNS / REHEARSAL_POINTS];
        *column = value > *column ? value : *column;
        plot.most = value > plot.most ? value : plot.most;
    }
    return plot;
}

/* What a column shows in a row whose floor is so many eighths of a row up. */
static const char *cell(uint64_t eighths, uint64_t floor, bool unicode)
{
    static const char *const blocks[] = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    uint64_t above = eighths > floor ? eighths - floor : 0;
    above = above < 8 ? above : 8;
    return unicode ? blocks[above] : above >= 4 ? "#" : above > 0 ? "." : " ";
}

static void print_plot(FILE *out, const struct plot *plot, uint32_t rows, bool unicode)
{
    uint64_t most = plot->most > 0 ? plot->most : 1;
    for (uint32_t row = rows; row-- > 0;) {
        if (row == rows - 1)
            fprintf(out, "%8u ", plot->most);
        else
            fprintf(out, "%8s ", row == 0 ? "0" : "");
        fputs(unicode ? "┤" : "|", out);
        for (uint32_t i = 0; i < PLOT_COLUMNS; i++) {
            uint64_t eighths = (uint64_t)plot->columns[i] * rows * 8 / most;
            eighths = eighths == 0 && plot->columns[i] > 0 ? 1 : eighths;
            fputs(cell(eighths, (uint64_t)row * 8, unicode), out);
        }
        fputc('\n', out);
    }
}

static void print_times(FILE *out, const struct rehearsal *result)
{
    char end[32];
    text_print_duration(end, sizeof(end), result->seconds * 1000);
    fprintf(out, "%8s  0%*s\n", "", (int)PLOT_COLUMNS - 1, end);
}

/* --- the figures -------------------------------------------------------------------------- */

static double percent(uint64_t part, uint64_t whole)
{
    return whole > 0 ? 100.0 * (double)part / (double)whole : 0;
}

static void print_limit(FILE *out, const char *word, uint32_t value)
{
    if (value == 0)
        return;
    if (value == WEIR_UNLIMITED)
        fprintf(out, ", %s unlimited", word);
    else
        fprintf(out, ", %s %u", word, value == WEIR_NONE ? 0 : value);
}

static void print_plan(FILE *out, const struct simulation *s)
{
    const struct rehearsal_plan *plan = &s->plan;
    char time[32], dial[32], hold[32];
    text_print_duration(time, sizeof(time), s->result.seconds * 1000);
    text_print_duration(dial, sizeof(dial), plan->dial_ms);
    text_print_duration(hold, sizeof(hold), plan->hold_ms);
    fprintf(out, "%s: %llu arrivals in %s, %.1f a second\n", s->title,
            (unsigned long long)s->result.arrivals, time,
            (double)s->result.arrivals / (double)s->result.seconds);
    fprintf(out, "profile %s", s->profile);
    print_limit(out, "max_per_key", plan->pool.max_per_key);
    print_limit(out, "max_total", plan->pool.max_total);
    print_limit(out, "size_min", plan->pool.size_min);
    fprintf(out, "; %u key%s, a dial takes %s, service %s %s; seed %llu\n\n", plan->keys,
            plan->keys == 1 ? "" : "s", dial, s->trace.has_hold ? "as recorded," : hold,
            service_words[plan->service], (unsigned long long)plan->seed);
}

static void print_refused(FILE *out, const struct rehearsal *result)
{
    fprintf(out, "  refused      %llu", (unsigned long long)result->refused);
    const char *comma = "  (";
    for (int i = 0; i < WEIR_ERRS; i++)
        if (result->refused_by[i] > 0) {
            fprintf(out, "%s%s %llu", comma, weir_err_word((weir_err)i),
                    (unsigned long long)result->refused_by[i]);
            comma = ", ";
        }
    fprintf(out, "%s\n", result->refused > 0 ? ")" : "");
}

static void print_figures(FILE *out, const struct rehearsal *r)
{
    fprintf(out, "  served       %llu  (%.3f %%), %.3f %% of them on a connection used before\n",
            (unsigned long long)r->granted, percent(r->granted, r->arrivals),
            percent(r->reused, r->granted));
    print_refused(out, r);
    fprintf(out, "  waits        p50 %u ms, p90 %u ms, p99 %u ms, most %llu ms, mean %.2f ms\n",
            r->wait_p50_ms, r->wait_p90_ms, r->wait_p99_ms, (unsigned long long)r->wait_most_ms,
            r->wait_mean_ms);
    fprintf(out, "  queue        %u at most", r->waiting_most);
    if (r->still_waiting > 0)
        fprintf(out, ", %llu when the time was over", (unsigned long long)r->still_waiting);
    fprintf(out, "\n  connections  %.1f on average, %u at most; %llu dials\n", r->conns_mean,
            r->conns_most, (unsigned long long)r->dialled);
    fprintf(out, "  in use       %.1f on average, %u at most\n", r->busy_mean, r->busy_most);
    if (r->broken > 0)
        fprintf(out, "  broken       %llu connections\n", (unsigned long long)r->broken);
    if (r->leaked > 0)
        fprintf(out, "  leaked       %llu connections were never given back\n",
                (unsigned long long)r->leaked);
}

/* --- the advice --------------------------------------------------------------------------- */

static void print_runs(FILE *out, const struct advice *advice, bool unicode)
{
    fprintf(out, "  max_per_key   wait p50      p99     most   queue   refused   dials   in use\n");
    for (uint32_t i = 0; i < advice->runs_count; i++) {
        const struct advice_run *run = &advice->runs[i];
        const struct rehearsal *r = run->result;
        bool is_it = advice->found && run->max_per_key == advice->max_per_key;
        double use = r->conns_mean > 0 ? 100 * r->busy_mean / r->conns_mean : 0;
        fprintf(out, "%s %10u %8u ms %5u ms %5llu ms %7u %9llu %7llu %6.0f %%\n",
                !is_it    ? "  "
                : unicode ? "▸ "
                          : "> ",
                run->max_per_key, r->wait_p50_ms, r->wait_p99_ms,
                (unsigned long long)r->wait_most_ms, r->waiting_most,
                (unsigned long long)r->refused, (unsigned long long)r->dialled, use);
    }
}

static void print_advice(FILE *out, const struct simulation *s, bool unicode)
{
    const struct advice *advice = &s->advice;
    char target[32];
    text_print_duration(target, sizeof(target), s->target_ms);
    fprintf(out, "\nSizes tried from second %llu to %llu, the busiest of it:\n",
            (unsigned long long)advice->from_s, (unsigned long long)advice->to_s);
    print_runs(out, advice, unicode);
    if (!advice->found) {
        fprintf(out, "\nAdvice: no size up to %u keeps 99 of 100 waits within %s.\n",
                ADVICE_SIZE_MAX, target);
        return;
    }
    fprintf(out,
            "\nAdvice, so that nobody is refused and 99 of 100 wait for at most %s:\n"
            "  max_per_key  %u\n  max_total    %u\n  size_min     %u\n  waiting_max  %u\n",
            target, advice->max_per_key, advice->max_total, advice->size_min, advice->waiting_max);
    if (s->result.leaked > 0)
        fprintf(out, "No size is enough for connections that are not given back: set lease_warn to "
                     "find who keeps them,\nand lease_timeout to have them cut.\n");
}

void simulate_print(FILE *out, const struct simulation *simulation, bool unicode)
{
    const struct rehearsal *result = &simulation->result;
    struct plot conns = plot_of(result, false), queue = plot_of(result, true);
    print_plan(out, simulation);
    print_figures(out, result);
    fprintf(out, "\n  connections, at most\n");
    print_plot(out, &conns, CONNS_ROWS, unicode);
    fprintf(out, "  waiting, at most\n");
    print_plot(out, &queue, QUEUE_ROWS, unicode);
    print_times(out, result);
    if (simulation->has_advice)
        print_advice(out, simulation, unicode);
}
