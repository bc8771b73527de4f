/* SPDX-License-Identifier: Apache-2.0
 *
 * simulate_svg.c - two panels with one axis of time: connections (up, and in use) above, the queue
 * below. Plain SVG 1.1 without scripts; the text is text.
 */
#include "base/text.h"
#include "cli/simulate.h"

#include <math.h>

#define WIDTH     960
#define LEFT      64
#define RIGHT     24
#define CONNS_TOP 84
#define CONNS_H   240
#define QUEUE_TOP 384
#define QUEUE_H   120
#define HEIGHT    560
#define PLOT_W    (WIDTH - LEFT - RIGHT)

struct panel {
    FILE *out;
    const struct rehearsal *result;
    int top, height;
    double most; /* what the top of it stands for */
};

typedef uint32_t value_fn(const struct rehearsal_point *point);

static uint32_t conns_of(const struct rehearsal_point *point)
{
    return point->conns;
}

static uint32_t busy_of(const struct rehearsal_point *point)
{
    return point->busy;
}

static uint32_t waiting_of(const struct rehearsal_point *point)
{
    return point->waiting;
}

/* --- scales ------------------------------------------------------------------------------- */

/* 1, 2 or 5 times a power of ten: at most so many steps to `most`. */
static double step_of(double most, int steps)
{
    double raw = most / steps;
    double power = pow(10, floor(log10(raw > 0 ? raw : 1)));
    double part = raw / power;
    return power * (part <= 1 ? 1 : part <= 2 ? 2 : part <= 5 ? 5 : 10);
}

/* The same for time, in steps people use. */
static uint64_t time_step_of(uint64_t seconds)
{
    static const uint64_t steps[] = {1,     2,     5,     10,    15,    30,     60,
                                     120,   300,   600,   900,   1800,  3600,   7200,
                                     10800, 14400, 21600, 43200, 86400, 172800, 604800};
    for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++)
        if (seconds / steps[i] <= 10)
            return steps[i];
    return (uint64_t)step_of((double)seconds, 10);
}

static double x_of(double part)
{
    return LEFT + PLOT_W * part;
}

static double y_of(const struct panel *panel, double value)
{
    return panel->top + panel->height * (1 - value / panel->most);
}

/* --- drawing ------------------------------------------------------------------------------ */

static void draw_text(FILE *out, const char *class, double x, double y, const char *text)
{
    fprintf(out, "<text class=\"%s\" x=\"%.1f\" y=\"%.1f\">", class, x, y);
    for (; *text != '\0'; text++) {
        if (*text == '<')
            fputs("&lt;", out);
        else if (*text == '&')
            fputs("&amp;", out);
        else
            fputc((unsigned char)*text < ' ' ? ' ' : *text, out);
    }
    fputs("</text>\n", out);
}

static void draw_line(FILE *out, const char *class, double x1, double y1, double x2, double y2)
{
    fprintf(out, "<line class=\"%s\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>\n", class,
            x1, y1, x2, y2);
}

/* A value holds for its part of the time: the line goes in steps. */
static void draw_steps(const struct panel *panel, const char *class, value_fn *value, bool filled)
{
    FILE *out = panel->out;
    fprintf(out, "<path class=\"%s\" d=\"M%.1f %.1f", class, x_of(0),
            filled ? y_of(panel, 0) : y_of(panel, value(&panel->result->points[0])));
    for (uint32_t i = 0; i < REHEARSAL_POINTS; i++) {
        double y = y_of(panel, value(&panel->result->points[i]));
        fprintf(out, "V%.1fH%.1f", y, x_of((i + 1) / (double)REHEARSAL_POINTS));
    }
    if (filled)
        fprintf(out, "V%.1fZ", y_of(panel, 0));
    fputs("\"/>\n", out);
}

static void draw_scale(const struct panel *panel, int steps)
{
    double step = step_of(panel->most, steps);
    step = step < 1 ? 1 : step;
    int count = (int)lround(panel->most / step);
    for (int i = 0; i <= count; i++) {
        double value = i * step;
        char text[32];
        snprintf(text, sizeof(text), "%.0f", value);
        draw_line(panel->out, "grid", LEFT, y_of(panel, value), WIDTH - RIGHT, y_of(panel, value));
        draw_text(panel->out, "end", LEFT - 8, y_of(panel, value) + 4, text);
    }
}

static void draw_time(const struct panel *panel, bool with_text)
{
    uint64_t seconds = panel->result->seconds, step = time_step_of(seconds);
    for (uint64_t at = 0; at <= seconds; at += step) {
        double x = x_of((double)at / (double)seconds);
        char text[32] = "0";
        draw_line(panel->out, "grid", x, panel->top, x, panel->top + panel->height);
        if (at > 0)
            text_print_duration(text, sizeof(text), at * 1000);
        if (with_text)
            draw_text(panel->out, "mid", x, panel->top + panel->height + 18, text);
    }
}

/* The most a panel shows, rounded up to what can be labelled. */
static double most_of(double value, int steps)
{
    double step = step_of(value > 1 ? value : 1, steps);
    step = step < 1 ? 1 : step;
    return ceil((value > 1 ? value : 1) / step) * step;
}

static void draw_limit(const struct panel *panel, const struct simulation *s)
{
    double limit = (double)s->plan.pool.max_per_key * s->plan.keys;
    bool is_limited = s->plan.pool.max_per_key != 0 && s->plan.pool.max_per_key != WEIR_UNLIMITED;
    if (!is_limited || limit > panel->most)
        return;
    draw_line(panel->out, "limit", LEFT, y_of(panel, limit), WIDTH - RIGHT, y_of(panel, limit));
    draw_text(panel->out, "limit-text", WIDTH - RIGHT - 4, y_of(panel, limit) - 5, "max_per_key");
}

static void draw_legend(FILE *out)
{
    fprintf(out, "<rect class=\"conns\" x=\"%d\" y=\"%d\" width=\"14\" height=\"10\"/>\n", LEFT,
            CONNS_TOP - 20);
    draw_text(out, "start", LEFT + 20, CONNS_TOP - 11, "connections");
    fprintf(out, "<rect class=\"busy\" x=\"%d\" y=\"%d\" width=\"14\" height=\"10\"/>\n",
            LEFT + 110, CONNS_TOP - 20);
    draw_text(out, "start", LEFT + 130, CONNS_TOP - 11, "of them in use");
    fprintf(out, "<rect class=\"queue\" x=\"%d\" y=\"%d\" width=\"14\" height=\"10\"/>\n", LEFT,
            QUEUE_TOP - 20);
    draw_text(out, "start", LEFT + 20, QUEUE_TOP - 11, "callers waiting");
}

static void draw_head(FILE *out, const struct simulation *s)
{
    const struct rehearsal *r = &s->result;
    char text[200], step[32];
    fprintf(out,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" "
            "height=\"%d\">\n<style>\n"
            "text{font:13px system-ui,sans-serif;fill:#333}\n"
            ".title{font-size:17px;font-weight:600;fill:#111}\n"
            ".mid{text-anchor:middle}.end,.limit-text{text-anchor:end}\n"
            ".grid{stroke:#e3e6ea}.limit{stroke:#b3261e;stroke-dasharray:6 4}\n"
            ".limit-text{fill:#b3261e}.conns{fill:#a9cbe8}.busy{fill:#2c6fa8}\n"
            ".edge{fill:none;stroke:#2c6fa8}.queue{fill:#e09f3e}\n"
            "</style>\n<rect width=\"%d\" height=\"%d\" fill=\"#fff\"/>\n",
            WIDTH, HEIGHT, WIDTH, HEIGHT, WIDTH, HEIGHT);
    draw_text(out, "title", LEFT, 28, s->title);
    snprintf(text, sizeof(text),
             "%llu arrivals, %llu refused; 99 of 100 waited for at most %u ms; up to %u "
             "connections, up to %u waiting",
             (unsigned long long)r->arrivals, (unsigned long long)r->refused, r->wait_p99_ms,
             r->conns_most, r->waiting_most);
    draw_text(out, "start", LEFT, 48, text);
    text_print_duration(step, sizeof(step), 1000 * r->seconds / REHEARSAL_POINTS);
    snprintf(text, sizeof(text), "each step shows the most of %s", step);
    draw_text(out, "end", WIDTH - RIGHT, CONNS_TOP - 11, text);
}

bool simulate_print_svg(FILE *out, const struct simulation *simulation)
{
    const struct rehearsal *r = &simulation->result;
    struct panel conns = {out, r, CONNS_TOP, CONNS_H, most_of(r->conns_most * 1.08, 6)};
    struct panel queue = {out, r, QUEUE_TOP, QUEUE_H, most_of(r->waiting_most, 3)};
    draw_head(out, simulation);
    draw_legend(out);
    draw_scale(&conns, 6);
    draw_time(&conns, false);
    draw_scale(&queue, 3);
    draw_time(&queue, true);
    draw_steps(&conns, "conns", conns_of, true);
    draw_steps(&conns, "busy", busy_of, true);
    draw_steps(&conns, "edge", conns_of, false);
    draw_limit(&conns, simulation);
    draw_steps(&queue, "queue", waiting_of, true);
    fputs("</svg>\n", out);
    return ferror(out) == 0;
}
