/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/prom_totals.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define HEAD        16U
#define SAMPLE_HEAD 4U
#define BUCKET      16U

static const char magic[8] = {'w', 'e', 'i', 'r', 't', 'o', 't', 's'};

/* A sample, and where it lies. */
struct place {
    const char *key, *value;
    uint16_t key_len;
    uint8_t kind, buckets;
    bool is_taken;
};

struct prom_totals {
    struct place *places; /* by their keys */
    uint32_t count;
    uint32_t left; /* where a family is gone through */
    char bytes[];
};

static void put(char *at, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        at[i] = (char)(unsigned char)(value >> (8 * i));
}

static uint64_t get(const char *at, unsigned bytes)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; i++)
        value |= (uint64_t)(unsigned char)at[i] << (8 * i);
    return value;
}

static void put_real(char *at, double real)
{
    uint64_t bits;
    memcpy(&bits, &real, sizeof(bits));
    put(at, bits, 8);
}

static double get_real(const char *at)
{
    uint64_t bits = get(at, 8);
    double real;
    memcpy(&real, &bits, sizeof(real));
    return real;
}

static size_t value_len(uint8_t kind, uint8_t buckets)
{
    return kind == PROM_TOTAL_HISTOGRAM ? 16 + (size_t)buckets * BUCKET : 8;
}

/* --- keys ----------------------------------------------------------------------------------------
 */

/* Adds text and its NUL. */
static bool key_put(char *key, size_t *len, const char *text)
{
    size_t more = strlen(text) + 1;
    if (more > PROM_TOTALS_KEY_MAX - *len)
        return false;
    memcpy(key + *len, text, more);
    *len += more;
    return true;
}

static uint32_t labels_sorted(const struct prom_label *labels,
                              const struct prom_label *ret_sorted[PROM_LABELS_MAX])
{
    uint32_t count = 0;
    for (; labels != NULL && labels->name != NULL; labels++) {
        uint32_t at = count++;
        if (count > PROM_LABELS_MAX)
            return count;
        for (; at > 0 && strcmp(ret_sorted[at - 1]->name, labels->name) > 0; at--)
            ret_sorted[at] = ret_sorted[at - 1];
        ret_sorted[at] = labels;
    }
    return count;
}

/* Its length; 0: it is too long. */
static size_t key_of(const char *family, const struct prom_label *labels,
                     char ret_key[PROM_TOTALS_KEY_MAX])
{
    const struct prom_label *sorted[PROM_LABELS_MAX];
    uint32_t count = labels_sorted(labels, sorted);
    size_t len = 0;
    bool fits = count <= PROM_LABELS_MAX && key_put(ret_key, &len, family);
    for (uint32_t i = 0; fits && i < count; i++)
        fits = key_put(ret_key, &len, sorted[i]->name) && key_put(ret_key, &len, sorted[i]->value);
    return fits ? len : 0;
}

static bool is_name(const char *text)
{
    size_t len = strlen(text);
    return len > 0 && (text[0] < '0' || text[0] > '9')
           && strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")
                  == len;
}

/* A family, then labels in the order of their names, which are all different. */
static bool is_key(const char *key, size_t len)
{
    const char *before = NULL;
    size_t at = 0;
    if (len == 0 || key[len - 1] != '\0' || !is_name(key))
        return false;
    at = strlen(key) + 1;
    for (uint32_t count = 0; at < len; count++) {
        const char *name = key + at;
        at += strlen(name) + 1;
        if (count == PROM_LABELS_MAX || at >= len || !is_name(name)
            || (before != NULL && strcmp(before, name) >= 0))
            return false;
        at += strlen(key + at) + 1;
        before = name;
    }
    return true;
}

static void labels_of(const struct place *place, struct prom_label ret_labels[PROM_LABELS_MAX + 1])
{
    const char *at = place->key + strlen(place->key) + 1, *end = place->key + place->key_len;
    uint32_t count = 0;
    while (at < end) {
        ret_labels[count].name = at;
        ret_labels[count].value = at += strlen(at) + 1;
        at += strlen(at) + 1;
        count++;
    }
    ret_labels[count] = (struct prom_label){NULL, NULL};
}

/* --- written -------------------------------------------------------------------------------------
 */

bool prom_totals_begin(struct bytes *out)
{
    char head[HEAD];
    memcpy(head, magic, sizeof(magic));
    put(head + 8, PROM_TOTALS_VERSION, 4);
    put(head + 12, 0, 4);
    return bytes_append(out, head, sizeof(head));
}

static void value_put(char *at, const struct prom_total *total)
{
    if (total->kind == PROM_TOTAL_WHOLE)
        put(at, total->whole, 8);
    else
        put_real(at, total->real);
    if (total->kind != PROM_TOTAL_HISTOGRAM)
        return;
    put(at + 8, total->rest, 8);
    for (uint32_t i = 0; i < total->buckets; i++) {
        put_real(at + 16 + (size_t)i * BUCKET, total->ends[i]);
        put(at + 24 + (size_t)i * BUCKET, total->counts[i], 8);
    }
}

bool prom_totals_add(struct bytes *out, const char *family, const struct prom_label *labels,
                     const struct prom_total *total)
{
    char key[PROM_TOTALS_KEY_MAX];
    uint8_t kind = (uint8_t)total->kind, buckets = (uint8_t)total->buckets;
    size_t key_len = key_of(family, labels, key);
    size_t len = SAMPLE_HEAD + key_len + value_len(kind, buckets);
    char *at = key_len > 0 ? bytes_room(out, len) : NULL;
    if (at == NULL)
        return false;
    put(at, kind, 1);
    put(at + 1, kind == PROM_TOTAL_HISTOGRAM ? buckets : 0, 1);
    put(at + 2, key_len, 2);
    memcpy(at + SAMPLE_HEAD, key, key_len);
    value_put(at + SAMPLE_HEAD + key_len, total);
    bytes_filled(out, len);
    return true;
}

bool prom_totals_end(struct bytes *out)
{
    const char *at = bytes_at(out);
    size_t len = bytes_len(out);
    uint32_t count = 0;
    if (len < HEAD)
        return false;
    for (size_t i = HEAD; i < len; count++)
        i += SAMPLE_HEAD + get(at + i + 2, 2) + value_len((uint8_t)at[i], (uint8_t)at[i + 1]);
    put(bytes_at(out) + 12, count, 4);
    return count <= PROM_TOTALS_SAMPLES_MAX;
}

/* --- read ----------------------------------------------------------------------------------------
 */

static int compare(const char *a, size_t a_len, const char *b, size_t b_len)
{
    int order = memcmp(a, b, a_len < b_len ? a_len : b_len);
    return order != 0 ? order : (a_len > b_len) - (a_len < b_len);
}

static int by_key(const void *a, const void *b)
{
    const struct place *one = a, *other = b;
    return compare(one->key, one->key_len, other->key, other->key_len);
}

static bool is_amount(double real)
{
    return isfinite(real) && real >= 0;
}

static bool is_value(const struct place *place)
{
    if (place->kind == PROM_TOTAL_WHOLE)
        return true;
    bool good = is_amount(get_real(place->value));
    for (uint32_t i = 0; good && i < place->buckets; i++) {
        double end = get_real(place->value + 16 + (size_t)i * BUCKET);
        good = isfinite(end) && (i == 0 || end > get_real(place->value + (size_t)i * BUCKET));
    }
    return good;
}

/* The sample at `at`; its length, 0: it is none. */
static size_t place_of(const char *at, size_t len, struct place *ret_place)
{
    if (len < SAMPLE_HEAD)
        return 0;
    struct place place = {.kind = (uint8_t)get(at, 1),
                          .buckets = (uint8_t)get(at + 1, 1),
                          .key_len = (uint16_t)get(at + 2, 2),
                          .key = at + SAMPLE_HEAD};
    bool is_histogram = place.kind == PROM_TOTAL_HISTOGRAM;
    size_t whole = SAMPLE_HEAD + place.key_len + value_len(place.kind, place.buckets);
    if (place.kind == 0 || place.kind > PROM_TOTAL_HISTOGRAM || whole > len
        || place.key_len > PROM_TOTALS_KEY_MAX
        || place.buckets > (is_histogram ? PROM_BUCKETS_MAX : 0)
        || !is_key(place.key, place.key_len))
        return 0;
    place.value = place.key + place.key_len;
    if (!is_value(&place))
        return 0;
    *ret_place = place;
    return whole;
}

static bool find_places(struct prom_totals *totals, size_t len)
{
    size_t at = HEAD;
    for (uint32_t i = 0; i < totals->count; i++) {
        size_t one = place_of(totals->bytes + at, len - at, &totals->places[i]);
        if (one == 0)
            return false;
        at += one;
    }
    if (at != len)
        return false;
    if (totals->count > 0)
        qsort(totals->places, totals->count, sizeof(*totals->places), by_key);
    for (uint32_t i = 1; i < totals->count; i++)
        if (by_key(&totals->places[i - 1], &totals->places[i]) == 0)
            return false;
    return true;
}

int prom_totals_read(const char *bytes, size_t len, struct prom_totals **ret_totals)
{
    if (len < HEAD || len > PROM_TOTALS_BYTES_MAX || memcmp(bytes, magic, sizeof(magic)) != 0)
        return -EPROTO;
    if (get(bytes + 8, 4) != PROM_TOTALS_VERSION)
        return -EPROTONOSUPPORT;
    uint64_t count = get(bytes + 12, 4);
    if (count > PROM_TOTALS_SAMPLES_MAX || count > len / SAMPLE_HEAD)
        return -EPROTO;
    struct prom_totals *totals = malloc(sizeof(*totals) + len);
    if (totals == NULL)
        return -ENOMEM;
    *totals = (struct prom_totals){.count = (uint32_t)count,
                                   .places = calloc(count + 1, sizeof(*totals->places))};
    memcpy(totals->bytes, bytes, len);
    int error = totals->places == NULL ? -ENOMEM : find_places(totals, len) ? 0 : -EPROTO;
    if (error == 0)
        *ret_totals = totals;
    else
        prom_totals_free(totals);
    return error;
}

void prom_totals_free(struct prom_totals *take_totals)
{
    if (take_totals != NULL) {
        free(take_totals->places);
        free(take_totals);
    }
}

uint32_t prom_totals_count(const struct prom_totals *totals)
{
    return totals->count;
}

/* --- taken ---------------------------------------------------------------------------------------
 */

void prom_totals_rewind(struct prom_totals *totals)
{
    totals->left = 0;
    for (uint32_t i = 0; i < totals->count; i++)
        totals->places[i].is_taken = false;
}

/* The first whose key is not before this one. */
static uint32_t find(const struct prom_totals *totals, const char *key, size_t len)
{
    uint32_t from = 0, to = totals->count;
    while (from < to) {
        uint32_t middle = from + (to - from) / 2;
        const struct place *place = &totals->places[middle];
        if (compare(place->key, place->key_len, key, len) < 0)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

static void take(struct place *place, struct prom_total *ret_total)
{
    place->is_taken = true;
    ret_total->kind = (enum prom_total_kind)place->kind;
    ret_total->buckets = place->buckets;
    ret_total->whole = ret_total->rest = 0;
    ret_total->real = 0;
    if (place->kind == PROM_TOTAL_WHOLE)
        ret_total->whole = get(place->value, 8);
    else
        ret_total->real = get_real(place->value);
    if (place->kind != PROM_TOTAL_HISTOGRAM)
        return;
    ret_total->rest = get(place->value + 8, 8);
    for (uint32_t i = 0; i < place->buckets; i++) {
        ret_total->ends[i] = get_real(place->value + 16 + (size_t)i * BUCKET);
        ret_total->counts[i] = get(place->value + 24 + (size_t)i * BUCKET, 8);
    }
}

bool prom_totals_take(struct prom_totals *totals, const char *family,
                      const struct prom_label *labels, struct prom_total *ret_total)
{
    char key[PROM_TOTALS_KEY_MAX];
    size_t len = key_of(family, labels, key);
    uint32_t at = len > 0 ? find(totals, key, len) : totals->count;
    if (at == totals->count
        || compare(totals->places[at].key, totals->places[at].key_len, key, len) != 0)
        return false;
    take(&totals->places[at], ret_total);
    return true;
}

bool prom_totals_take_left(struct prom_totals *totals, const char *family,
                           struct prom_label ret_labels[PROM_LABELS_MAX + 1],
                           struct prom_total *ret_total)
{
    size_t len = strlen(family) + 1;
    uint32_t first = find(totals, family, len);
    totals->left = totals->left > first ? totals->left : first;
    for (; totals->left < totals->count; totals->left++) {
        struct place *place = &totals->places[totals->left];
        if (strcmp(place->key, family) != 0)
            break;
        if (place->is_taken)
            continue;
        labels_of(place, ret_labels);
        take(place, ret_total);
        return true;
    }
    totals->left = 0;
    return false;
}

/* --- histograms ----------------------------------------------------------------------------------
 */

void prom_total_add(struct prom_total *total, const struct prom_total *from)
{
    uint32_t to = 0;
    total->real += from->real;
    total->rest += from->rest;
    for (uint32_t i = 0; i < from->buckets; i++) {
        while (to < total->buckets && total->ends[to] < from->ends[i])
            to++;
        if (to < total->buckets)
            total->counts[to] += from->counts[i];
        else
            total->rest += from->counts[i];
    }
}
