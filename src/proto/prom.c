/* SPDX-License-Identifier: Apache-2.0
 *
 * prom.c - lines of metrics.
 */
#include "proto/prom.h"

#include "base/check.h"
#include "proto/pattern.h"
#include "proto/prom_totals.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *const type_words[] = {"gauge", "counter", "histogram"};

static void put(struct prom *prom, struct slice text)
{
    prom->full = prom->full || !bytes_append_slice(prom->out, text);
}

static void put_text(struct prom *prom, const char *text)
{
    put(prom, slice_of(text));
}

/* Backslash, line end and, inside a label, the quote. */
static void put_escaped(struct prom *prom, const char *text, bool quotes)
{
    for (; *text != '\0'; text++) {
        size_t plain = strcspn(text, quotes ? "\\\n\"" : "\\\n");
        put(prom, (struct slice){text, (uint32_t)plain});
        text += plain;
        if (*text == '\0')
            return;
        put_text(prom, *text == '\n' ? "\\n" : *text == '"' ? "\\\"" : "\\\\");
    }
}

static void family_end(struct prom *prom);

void prom_init(struct prom *prom, struct bytes *out, bool openmetrics)
{
    *prom = (struct prom){.out = out, .openmetrics = openmetrics};
}

void prom_init_record(struct prom *prom, struct bytes *out)
{
    *prom = (struct prom){.out = out, .is_record = true};
    prom->full = !prom_totals_begin(out);
}

void prom_go_on_from(struct prom *prom, const struct prom_past *past)
{
    family_end(prom);
    prom->family[0] = '\0';
    prom->past = *past;
    if (past->totals != NULL)
        prom_totals_rewind(past->totals);
}

/* The family's own name: OpenMetrics leaves a counter's "_total" to its samples. */
static struct slice family_name(const struct prom *prom)
{
    struct slice name = slice_of(prom->family);
    if (prom->openmetrics && prom->type == PROM_COUNTER)
        name.len -= (uint32_t)strlen("_total");
    return name;
}

void prom_filter_by(struct prom *prom, const struct prom_filter *filter)
{
    prom->filter = *filter;
}

static bool fits_any(const char *const *patterns, uint32_t count, const char *name)
{
    bool any = false;
    for (uint32_t i = 0; i < count && !any; i++)
        any = pattern_fits(patterns[i], slice_of(name));
    return any;
}

static bool is_wanted(const struct prom_filter *filter, const char *name)
{
    return (filter->include_count == 0 || fits_any(filter->include, filter->include_count, name))
           && !fits_any(filter->exclude, filter->exclude_count, name);
}

void prom_family(struct prom *prom, const char *name, enum prom_type type, const char *help)
{
    check(slice_ends(slice_of(name), SLICE("_total")) == (type == PROM_COUNTER));
    family_end(prom);
    check(strlen(name) < sizeof(prom->family));
    memcpy(prom->family, name, strlen(name) + 1);
    prom->type = type;
    prom->series = 0;
    prom->is_hidden = !is_wanted(&prom->filter, name);
    if (prom->is_hidden || prom->is_record)
        return;
    put_text(prom, "# HELP ");
    put(prom, family_name(prom));
    put_text(prom, " ");
    put_escaped(prom, help, false);
    put_text(prom, "\n# TYPE ");
    put(prom, family_name(prom));
    put_text(prom, " ");
    put_text(prom, type_words[type]);
    put_text(prom, "\n");
}

/* name_suffix{label="value",…} and a space. `le` is one more label, or NULL. */
static void sample_begin(struct prom *prom, const char *suffix, const struct prom_label *labels,
                         const char *le)
{
    const char *before = "{";
    put_text(prom, prom->family);
    put_text(prom, suffix);
    for (; labels != NULL && labels->name != NULL; labels++, before = ",") {
        put_text(prom, before);
        put_text(prom, labels->name);
        put_text(prom, "=\"");
        put_escaped(prom, labels->value, true);
        put_text(prom, "\"");
    }
    if (le != NULL) {
        put_text(prom, before);
        put_text(prom, "le=\"");
        put_text(prom, le);
        put_text(prom, "\"");
        before = ",";
    }
    put_text(prom, before[0] == ',' ? "} " : " ");
}

static void number_text(char *ret, size_t size, double value)
{
    if (isinf(value))
        snprintf(ret, size, value < 0 ? "-Inf" : "+Inf");
    else if (isnan(value))
        snprintf(ret, size, "NaN");
    else
        snprintf(ret, size, "%.10g", value);
}

/* Most of a page are whole numbers. */
static void sample_number(struct prom *prom, const char *suffix, const struct prom_label *labels,
                          const char *le, uint64_t value)
{
    char digits[24];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    sample_begin(prom, suffix, labels, le);
    put(prom, (struct slice){digits + at, (uint32_t)(sizeof(digits) - at)});
}

static void sample_u64(struct prom *prom, const char *suffix, const struct prom_label *labels,
                       uint64_t value)
{
    sample_number(prom, suffix, labels, NULL, value);
    put_text(prom, "\n");
}

static void sample_double(struct prom *prom, const char *suffix, const struct prom_label *labels,
                          double value)
{
    char text[40];
    number_text(text, sizeof(text), value);
    sample_begin(prom, suffix, labels, NULL);
    put_text(prom, text);
    put_text(prom, "\n");
}

/* --- what is too much ----------------------------------------------------------------------------
 */

/* The sample is the first one beyond the limit, or a later one: its names are the others'. */
static struct prom_fold *fold_begin(struct prom *prom, const struct prom_label *labels)
{
    struct prom_fold *fold = &prom->fold;
    prom->folded++;
    if (fold->is_used)
        return fold;
    *fold = (struct prom_fold){.is_used = true};
    for (uint32_t i = 0; labels != NULL && labels[i].name != NULL; i++) {
        check(i < PROM_LABELS_MAX);
        fold->labels[i] = (struct prom_label){labels[i].name, "other"};
    }
    return fold;
}

/* Whether the sample is to be written; else it is left out, or goes to *ret_fold. */
static bool is_shown(struct prom *prom, const struct prom_label *labels,
                     struct prom_fold **ret_fold)
{
    *ret_fold = NULL;
    if (prom->is_hidden)
        return false;
    if (prom->filter.series_max == 0 || prom->series < prom->filter.series_max) {
        prom->series++;
        return true;
    }
    *ret_fold = fold_begin(prom, labels);
    return false;
}

static void histogram_write(struct prom *prom, const struct prom_label *labels,
                            const struct prom_histogram *histogram);

static void fold_end(struct prom *prom)
{
    struct prom_fold *fold = &prom->fold;
    if (!fold->is_used)
        return;
    fold->is_used = false;
    if (prom->type == PROM_HISTOGRAM) {
        const struct prom_histogram all = {fold->ends, fold->counts, fold->buckets,
                                           fold->rest, fold->sum,    NULL};
        histogram_write(prom, fold->labels, &all);
    } else if (fold->is_whole) {
        sample_u64(prom, "", fold->labels, fold->whole);
    } else {
        sample_double(prom, "", fold->labels, fold->sum);
    }
}

/* --- samples -------------------------------------------------------------------------------------
 */

/* True: this page is a file of totals, and that is all. */
static bool is_recorded(struct prom *prom, const struct prom_label *labels,
                        const struct prom_total *total)
{
    if (prom->is_record && prom->type != PROM_GAUGE)
        prom->full = prom->full || !prom_totals_add(prom->out, prom->family, labels, total);
    return prom->is_record;
}

static void whole_number(struct prom *prom, const struct prom_label *labels, uint64_t value)
{
    const struct prom_total total = {.kind = PROM_TOTAL_WHOLE, .whole = value};
    struct prom_fold *fold;
    if (is_recorded(prom, labels, &total))
        return;
    if (is_shown(prom, labels, &fold)) {
        sample_u64(prom, "", labels, value);
    } else if (fold != NULL) {
        fold->is_whole = true;
        fold->whole += value;
    }
}

static void real_number(struct prom *prom, const struct prom_label *labels, double value)
{
    const struct prom_total total = {.kind = PROM_TOTAL_REAL, .real = value};
    struct prom_fold *fold;
    if (is_recorded(prom, labels, &total))
        return;
    if (is_shown(prom, labels, &fold))
        sample_double(prom, "", labels, value);
    else if (fold != NULL)
        fold->sum += value;
}

/* What was counted of it before, of a kind that can be added to it. */
static bool past_of(struct prom *prom, const struct prom_label *labels,
                    struct prom_total *ret_total)
{
    return prom->past.totals != NULL && prom->type != PROM_GAUGE
           && prom_totals_take(prom->past.totals, prom->family, labels, ret_total)
           && (ret_total->kind == PROM_TOTAL_HISTOGRAM) == (prom->type == PROM_HISTOGRAM);
}

void prom_u64(struct prom *prom, const struct prom_label *labels, uint64_t value)
{
    struct prom_total past;
    if (past_of(prom, labels, &past))
        value += past.kind == PROM_TOTAL_WHOLE ? past.whole
                 : past.real < 1e18            ? (uint64_t)past.real
                                               : 0;
    whole_number(prom, labels, value);
}

void prom_double(struct prom *prom, const struct prom_label *labels, double value)
{
    struct prom_total past;
    if (past_of(prom, labels, &past))
        value += past.kind == PROM_TOTAL_REAL ? past.real : (double)past.whole;
    real_number(prom, labels, value);
}

/* OpenMetrics wants a whole number to be seen to be of a kind that need not be one: 1.0. */
static const char *end_text(struct prom *prom, uint32_t bucket, double end)
{
    struct prom_end *known = &prom->ends[bucket];
    if (known->text[0] != '\0' && known->end == end)
        return known->text;
    known->end = end;
    number_text(known->text, sizeof(known->text) - 2, end);
    size_t len = strlen(known->text);
    if (prom->openmetrics && strspn(known->text, "0123456789") == len)
        memcpy(known->text + len, ".0", sizeof ".0");
    return known->text;
}

/* ` # {trace_id="…"} value timestamp` */
static void put_exemplar(struct prom *prom, const struct prom_exemplar *exemplar)
{
    char text[96], value[40];
    number_text(value, sizeof(value), exemplar->value);
    snprintf(text, sizeof(text), " # {trace_id=\"%s\"} %s %.3f", exemplar->trace, value,
             exemplar->at_s);
    put_text(prom, text);
}

static void bucket_write(struct prom *prom, const struct prom_label *labels, const char *le,
                         uint64_t count, const struct prom_exemplar *exemplar)
{
    sample_number(prom, "_bucket", labels, le, count);
    if (prom->openmetrics && exemplar != NULL && exemplar->trace[0] != '\0')
        put_exemplar(prom, exemplar);
    put_text(prom, "\n");
}

static void histogram_write(struct prom *prom, const struct prom_label *labels,
                            const struct prom_histogram *histogram)
{
    const struct prom_exemplar *exemplar = histogram->exemplars;
    uint64_t all = 0;
    check(histogram->buckets <= PROM_BUCKETS_MAX);
    for (uint32_t i = 0; i < histogram->buckets; i++) {
        const char *le = end_text(prom, i, histogram->ends[i]);
        all += histogram->counts[i];
        bucket_write(prom, labels, le, all, exemplar != NULL ? exemplar++ : NULL);
    }
    all += histogram->rest;
    bucket_write(prom, labels, "+Inf", all, exemplar);
    sample_double(prom, "_sum", labels, histogram->sum);
    sample_u64(prom, "_count", labels, all);
}

static void fold_histogram(struct prom_fold *fold, const struct prom_histogram *histogram)
{
    fold->buckets = histogram->buckets;
    fold->rest += histogram->rest;
    fold->sum += histogram->sum;
    for (uint32_t i = 0; i < histogram->buckets; i++) {
        fold->ends[i] = histogram->ends[i]; /* a family's are all the same */
        fold->counts[i] += histogram->counts[i];
    }
}

static void whole_histogram(struct prom *prom, const struct prom_label *labels,
                            const struct prom_total *total, const struct prom_exemplar *exemplars)
{
    const struct prom_histogram all = {total->ends, total->counts, total->buckets,
                                       total->rest, total->real,   exemplars};
    struct prom_fold *fold;
    if (is_recorded(prom, labels, total))
        return;
    if (is_shown(prom, labels, &fold))
        histogram_write(prom, labels, &all);
    else if (fold != NULL)
        fold_histogram(fold, &all);
}

void prom_histogram(struct prom *prom, const struct prom_label *labels,
                    const struct prom_histogram *histogram)
{
    struct prom_total total = {.kind = PROM_TOTAL_HISTOGRAM,
                               .real = histogram->sum,
                               .buckets = histogram->buckets,
                               .rest = histogram->rest};
    struct prom_total past;
    check(histogram->buckets <= PROM_BUCKETS_MAX);
    memcpy(total.ends, histogram->ends, histogram->buckets * sizeof(double));
    memcpy(total.counts, histogram->counts, histogram->buckets * sizeof(uint64_t));
    if (past_of(prom, labels, &past))
        prom_total_add(&total, &past);
    whole_histogram(prom, labels, &total, histogram->exemplars);
}

/* --- what was counted before, and not since
 * -------------------------------------------------------
 */

static void left_write(struct prom *prom, const struct prom_label *labels,
                       const struct prom_total *total)
{
    if ((total->kind == PROM_TOTAL_HISTOGRAM) != (prom->type == PROM_HISTOGRAM))
        return; /* the family was of another kind */
    if (total->kind == PROM_TOTAL_HISTOGRAM)
        whole_histogram(prom, labels, total, NULL);
    else if (total->kind == PROM_TOTAL_WHOLE)
        whole_number(prom, labels, total->whole);
    else
        real_number(prom, labels, total->real);
}

static void family_end(struct prom *prom)
{
    struct prom_label labels[PROM_LABELS_MAX + 1];
    struct prom_total total;
    if (prom->family[0] != '\0' && prom->past.totals != NULL && prom->type != PROM_GAUGE)
        while (prom_totals_take_left(prom->past.totals, prom->family, labels, &total))
            if (prom->past.is_known(prom->past.self, labels))
                left_write(prom, labels, &total);
    fold_end(prom);
}

void prom_end(struct prom *prom)
{
    family_end(prom);
    if (prom->is_record)
        prom->full = !prom_totals_end(prom->out) || prom->full;
    else if (prom->openmetrics)
        put_text(prom, "# EOF\n");
}
