/* SPDX-License-Identifier: Apache-2.0 */
#include "core/adapt.h"

/* EWMA of the rate: a weight of 1/4; a look that comes after so long knows better alone. */
#define RATE_WEIGHT   4
#define RATE_STALE_MS 4000U

/* Slower by an eighth, and by a millisecond, is slower; what stays so is the new normal, slowly. */
#define SLOWER_PART   8U
#define SLOWER_X16    16U
#define NORMAL_WEIGHT 8U

static uint64_t square_root(uint64_t x)
{
    uint64_t root = 0;
    for (uint64_t bit = UINT64_C(1) << 31; bit > 0; bit >>= 1) {
        if ((root | bit) * (root | bit) <= x) {
            root |= bit;
        }
    }
    return root;
}

uint32_t adapt_staff(uint64_t load_x256)
{
    uint64_t x = load_x256 < UINT32_MAX ? load_x256 : UINT32_MAX;
    uint64_t root = square_root(x);
    root += root * root < x;
    return (uint32_t)((x + 32 * root + 255) / 256);
}

static void learn_rate(struct adapt *adapt, const struct adapt_look *look)
{
    uint32_t came = look->arrivals - adapt->arrivals;
    uint64_t sample = (uint64_t)came * 16 * 1000 / (look->elapsed_ms > 0 ? look->elapsed_ms : 1);
    int64_t now_x16 = sample < UINT32_MAX ? (int64_t)sample : UINT32_MAX;
    int64_t change = now_x16 - adapt->rate_x16;
    bool is_small = change > -RATE_WEIGHT && change < RATE_WEIGHT;
    if (look->elapsed_ms < RATE_STALE_MS && !is_small) {
        change /= RATE_WEIGHT;
    }
    adapt->rate_x16 = (uint32_t)(adapt->rate_x16 + change);
    adapt->arrivals = look->arrivals;
}

static uint32_t wanted(const struct adapt *adapt, const struct adapt_look *look)
{
    uint32_t rate_x16 = adapt->rate_x16 > look->ahead_x16 ? adapt->rate_x16 : look->ahead_x16;
    uint64_t load_x256 = (uint64_t)rate_x16 * look->hold_x16 / 1000;
    if (load_x256 < (uint64_t)look->busy * 256) {
        load_x256 = (uint64_t)look->busy * 256;
    }
    uint32_t staff = adapt_staff(load_x256);
    uint32_t max = look->max < UINT16_MAX ? look->max : UINT16_MAX;
    staff = staff > look->min ? staff : look->min;
    return staff < max ? staff : max;
}

void adapt_learn(struct adapt *adapt, const struct adapt_look *look)
{
    learn_rate(adapt, look);
    uint32_t want = wanted(adapt, look);
    if (want <= adapt->target) {
        adapt->has_grown = adapt->has_grown && want == adapt->target;
        adapt->target = (uint16_t)want;
        return;
    }
    uint32_t normal = adapt->service_x16;
    if (adapt->has_grown && look->hold_x16 > normal + normal / SLOWER_PART + SLOWER_X16) {
        adapt->service_x16 += (look->hold_x16 - normal) / NORMAL_WEIGHT;
        return;
    }
    adapt->has_grown = adapt->target > 0;
    adapt->service_x16 = look->hold_x16;
    adapt->target = (uint16_t)want;
}

uint32_t adapt_shrink(struct adapt *adapt, uint32_t count, uint64_t elapsed_ms)
{
    uint32_t since_ms = adapt->since_ms
                        + (uint32_t)(elapsed_ms < UINT16_MAX ? elapsed_ms : UINT16_MAX);
    adapt->since_ms = (uint16_t)(since_ms < UINT16_MAX ? since_ms : UINT16_MAX);
    if (count <= adapt->target || adapt->since_ms < ADAPT_SHRINK_EVERY_MS) {
        return 0;
    }
    adapt->since_ms = 0;
    uint32_t excess = count - adapt->target;
    return excess > 1 ? excess / 2 : 1;
}
