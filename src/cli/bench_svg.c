/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_svg.c - latencies by quantile, from half of all requests to the slowest in a hundred
 * thousand; both axes in powers, so that a tail is seen. Plain SVG 1.1 without scripts.
 */
#include "base/text.h"
#include "cli/bench.h"

#include <math.h>

#define WIDTH  960
#define HEIGHT 520
#define LEFT   72
#define RIGHT  24
#define TOP    84
#define PLOT_W (WIDTH - LEFT - RIGHT)
#define PLOT_H 360
#define NINES  5.0 /* the right end: 1 - 10^-5 */
#define POINTS 120

struct scale {
    int low, high; /* log10 of µs */
};

static double x_of(double share)
{
    double nines = -log10(1 - share);
    return LEFT + PLOT_W * (nines < NINES ? nines : NINES) / NINES;
}

static double y_of(const struct scale *scale, double us)
{
    double at = (log10(us > 1 ? us : 1) - scale->low) / (scale->high - scale->low);
    return TOP + PLOT_H * (1 - at);
}

static struct scale scale_of(const struct bench_plan *plan, const struct bench_result *result)
{
    double low = 1e12, high = 1;
    for (unsigned i = 0; i < plan->urls_count; i++) {
        double least = (double)spread_at(&result->all[i].us, 0);
        low = least < low ? least : low;
        high = (double)result->all[i].us.max > high ? (double)result->all[i].us.max : high;
    }
    struct scale scale = {(int)floor(log10(low > 1 ? low : 1)),
                          (int)ceil(log10(high > 1 ? high : 1))};
    if (scale.high <= scale.low)
        scale.high = scale.low + 1;
    return scale;
}

static void put_text(FILE *out, double x, double y, const char *anchor, const char *text)
{
    fprintf(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", x, y, anchor);
    for (; *text != '\0'; text++) {
        if (*text == '<' || *text == '&' || *text == '>')
            fprintf(out, "&#%d;", *text);
        else
            fputc(*text, out);
    }
    fputs("</text>\n", out);
}

static void put_axes(FILE *out, const struct scale *scale)
{
    static const double shares[] = {0, 0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999};
    static const char *const words[] = {"all", "p50", "p90", "p99", "p99.9", "p99.99", "p99.999"};
    char text[16];
    fputs("<g stroke=\"#ccc\" stroke-width=\"1\">\n", out);
    for (unsigned i = 0; i < sizeof(shares) / sizeof(shares[0]); i++)
        fprintf(out, "<line x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%d\"/>\n", x_of(shares[i]), TOP,
                x_of(shares[i]), TOP + PLOT_H);
    for (int power = scale->low; power <= scale->high; power++)
        fprintf(out, "<line x1=\"%d\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\"/>\n", LEFT,
                y_of(scale, pow(10, power)), LEFT + PLOT_W, y_of(scale, pow(10, power)));
    fputs("</g>\n", out);
    for (unsigned i = 0; i < sizeof(shares) / sizeof(shares[0]); i++)
        put_text(out, x_of(shares[i]), TOP + PLOT_H + 20, "middle", words[i]);
    for (int power = scale->low; power <= scale->high; power++)
        put_text(out, LEFT - 8, y_of(scale, pow(10, power)) + 4, "end",
                 bench_time(pow(10, power), text));
}

/* The second one is dashed: colour alone says nothing. */
static void put_curve(FILE *out, const struct scale *scale, const struct spread *us, unsigned which)
{
    double nines = us->count > 1 ? log10((double)us->count) : 0;
    nines = nines < NINES ? nines : NINES;
    fprintf(out, "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"2\"%s points=\"",
            which == 0 ? "#1f6feb" : "#c2410c", which == 0 ? "" : " stroke-dasharray=\"8 4\"");
    for (unsigned i = 0; i <= POINTS; i++) {
        double share = 1 - pow(10, -nines * i / POINTS);
        fprintf(out, "%.1f,%.1f ", x_of(share), y_of(scale, (double)spread_at(us, share)));
    }
    fputs("\"/>\n", out);
}

void bench_print_svg(FILE *out, const struct bench_plan *plan, const struct bench_result *result)
{
    const struct scale scale = scale_of(plan, result);
    char text[512];
    fprintf(out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
            "viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" font-size=\"13\">\n"
            "<title>weir bench: latency by quantile</title>\n"
            "<rect width=\"%d\" height=\"%d\" fill=\"#fff\"/>\n",
            WIDTH, HEIGHT, WIDTH, HEIGHT, WIDTH, HEIGHT);
    put_axes(out, &scale);
    for (unsigned i = 0; i < plan->urls_count; i++) {
        const struct bench_tally *tally = &result->all[i];
        uint64_t missed = tally->errors + tally->unanswered + tally->unsent;
        put_curve(out, &scale, &tally->us, i);
        snprintf(text, sizeof(text), "%s  %.0f a second, %llu errors%s", plan->urls[i],
                 tally->seconds > 0 ? (double)tally->answered / tally->seconds : 0,
                 (unsigned long long)missed, i == 0 ? "" : " (dashed)");
        put_text(out, LEFT, 28 + 22 * i, "start", text);
    }
    snprintf(text, sizeof(text), "%s loop; latency by quantile",
             plan->rate > 0 ? "open" : "closed");
    put_text(out, LEFT + PLOT_W / 2.0, HEIGHT - 16, "middle", text);
    fputs("</svg>\n", out);
}
