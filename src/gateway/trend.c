/* SPDX-License-Identifier: Apache-2.0
 *
 * trend.c - slots in a ring, and sums over them.
 */
#include "gateway/trend.h"

#include <math.h>
#include <string.h>

#define QUARTERS    4U
#define QUARTER     (TREND_SLOTS / QUARTERS)
#define KNOWN_LEAST 3    /* slots of each quarter that have something */
#define STEP_PART   0.25 /* of an even rise is what each quarter rises at least */

/* Sums over the slots that have something; x is the slot's place, y its mean. */
struct sums {
    double count, x, y, xx, xy, yy;
};

void trend_init(struct trend *trend, uint64_t window_ms)
{
    *trend = (struct trend){.slot_ms = window_ms / TREND_SLOTS};
    if (trend->slot_ms == 0) {
        trend->slot_ms = 1;
    }
}

static void clear(struct trend *trend, uint64_t slot)
{
    trend->sums[slot % TREND_SLOTS] = 0;
    trend->weights[slot % TREND_SLOTS] = 0;
}

void trend_add(struct trend *trend, uint64_t now_ms, double sum, double weight)
{
    uint64_t slot = now_ms / trend->slot_ms;
    if (!trend->has_begun || slot - trend->slot > TREND_SLOTS) {
        memset(trend->sums, 0, sizeof trend->sums);
        memset(trend->weights, 0, sizeof trend->weights);
        trend->has_begun = true;
        trend->slot = trend->first = slot;
    }
    while (trend->slot < slot) {
        clear(trend, ++trend->slot);
    }
    trend->sums[slot % TREND_SLOTS] += sum;
    trend->weights[slot % TREND_SLOTS] += weight;
}

/* The places of a window are 0 … TREND_SLOTS - 2: the slot under way is not judged. */
static bool at(const struct trend *trend, uint32_t place, double *ret_mean, double *ret_weight)
{
    uint64_t back = TREND_SLOTS - 1 - place;
    if (trend->slot < back || trend->slot - back < trend->first) {
        return false;
    }
    uint64_t index = (trend->slot - back) % TREND_SLOTS;
    *ret_weight = trend->weights[index];
    if (*ret_weight <= 0) {
        return false;
    }
    *ret_mean = trend->sums[index] / *ret_weight;
    return true;
}

/* True: there is enough to tell. */
static bool gather(const struct trend *trend, struct sums *all, double ret_quarters[QUARTERS],
                   double *ret_weight)
{
    double counts[QUARTERS] = {0}, sums[QUARTERS] = {0}, mean, weight;
    for (uint32_t place = 0; place < TREND_SLOTS - 1; place++) {
        if (!at(trend, place, &mean, &weight)) {
            continue;
        }
        all->count += 1;
        all->x += place;
        all->y += mean;
        all->xx += (double)place * place;
        all->xy += place * mean;
        all->yy += mean * mean;
        *ret_weight += weight;
        sums[place / QUARTER] += mean;
        counts[place / QUARTER] += 1;
    }
    bool is_known = true;
    for (unsigned q = 0; q < QUARTERS; q++) {
        ret_quarters[q] = counts[q] > 0 ? sums[q] / counts[q] : 0;
        is_known = is_known && counts[q] >= KNOWN_LEAST;
    }
    return is_known;
}

static bool rises_throughout(const double quarters[QUARTERS])
{
    double step = (quarters[QUARTERS - 1] - quarters[0]) / (QUARTERS - 1);
    bool all = step > 0;
    for (unsigned q = 1; q < QUARTERS; q++) {
        all = all && quarters[q] - quarters[q - 1] >= STEP_PART * step;
    }
    return all;
}

struct trend_line trend_line_of(const struct trend *trend)
{
    struct sums s = {0};
    struct trend_line line = {0};
    double quarters[QUARTERS];
    line.is_known = gather(trend, &s, quarters, &line.weight);
    if (!line.is_known) {
        return line;
    }
    double spread = s.xx - s.x * s.x / s.count;
    double per_slot = (s.xy - s.x * s.y / s.count) / spread;
    double all = s.yy - s.y * s.y / s.count;
    double rest = all - per_slot * per_slot * spread; /* what the line leaves unsaid */
    double error = sqrt(fmax(rest, 0) / (s.count - 2) / spread);
    line.level = s.y / s.count + per_slot * (TREND_SLOTS - 1 - s.x / s.count);
    line.base = quarters[0];
    line.recent = quarters[QUARTERS - 1];
    line.slope = per_slot * 1000 / (double)trend->slot_ms;
    line.certainty = error > 1e-12 ? per_slot / error : per_slot / 1e-12;
    line.is_steady = rises_throughout(quarters);
    return line;
}
