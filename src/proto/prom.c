/* SPDX-License-Identifier: Apache-2.0
 *
 * prom.c - lines of metrics.
 */
#include "proto/prom.h"

#include "base/check.h"

#include <inttypes.h>
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

void prom_init(struct prom *prom, struct bytes *out, bool openmetrics)
{
    *prom = (struct prom){.out = out, .openmetrics = openmetrics};
}

/* The family's own name: OpenMetrics leaves a counter's "_total" to its samples. */
static struct slice family_name(const struct prom *prom)
{
    struct slice name = slice_of(prom->family);
    if (prom->openmetrics && prom->type == PROM_COUNTER)
        name.len -= (uint32_t)strlen("_total");
    return name;
}

void prom_family(struct prom *prom, const char *name, enum prom_type type, const char *help)
{
    check(slice_ends(slice_of(name), SLICE("_total")) == (type == PROM_COUNTER));
    prom->family = name;
    prom->type = type;
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

static void sample_u64(struct prom *prom, const char *suffix, const struct prom_label *labels,
                       const char *le, uint64_t value)
{
    char text[32];
    snprintf(text, sizeof(text), "%" PRIu64 "\n", value);
    sample_begin(prom, suffix, labels, le);
    put_text(prom, text);
}

void prom_u64(struct prom *prom, const struct prom_label *labels, uint64_t value)
{
    sample_u64(prom, "", labels, NULL, value);
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

void prom_double(struct prom *prom, const struct prom_label *labels, double value)
{
    sample_double(prom, "", labels, value);
}

void prom_histogram(struct prom *prom, const struct prom_label *labels,
                    const struct prom_histogram *histogram)
{
    uint64_t all = 0;
    for (uint32_t i = 0; i < histogram->buckets; i++) {
        char le[40];
        all += histogram->counts[i];
        number_text(le, sizeof(le), histogram->ends[i]);
        sample_u64(prom, "_bucket", labels, le, all);
    }
    all += histogram->rest;
    sample_u64(prom, "_bucket", labels, "+Inf", all);
    sample_double(prom, "_sum", labels, histogram->sum);
    sample_u64(prom, "_count", labels, NULL, all);
}

void prom_end(struct prom *prom)
{
    if (prom->openmetrics)
        put_text(prom, "# EOF\n");
}
