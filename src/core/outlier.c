/* SPDX-License-Identifier: Apache-2.0 */
#include "core/outlier.h"

/* Rates are compared this often, among endpoints with so many requests, where there are so many. */
#define REVIEW_EVERY_MS 10000U
#define REQUESTS_MIN    100U
#define HOSTS_MIN       5U

/* Below the mean by so many tenths of a standard deviation; rates are parts of ten thousand. */
#define DEVIATIONS_X10 19
#define WHOLE          10000

static uint32_t ejected(const struct outlier_set *set)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < set->count; i++) {
        count += set->at[i].ejected;
    }
    return count;
}

static uint64_t ejection_ms(const struct outlier_options *opt, uint32_t times)
{
    uint64_t ms = (uint64_t)opt->ejection_ms * times;
    return ms < opt->ejection_max_ms ? ms : opt->ejection_max_ms;
}

static bool eject(struct outlier_set *set, struct outlier *it, uint64_t now_ms)
{
    uint32_t out = ejected(set) + 1;
    if (it->ejected || out >= set->count
        || (uint64_t)out * 100 > (uint64_t)set->count * set->opt.ejected_pct) {
        return false;
    }
    it->ejected = true;
    it->times++;
    it->until_ms = now_ms + ejection_ms(&set->opt, it->times);
    it->errors = 0;
    return true;
}

bool outlier_count(struct outlier_set *set, uint32_t index, bool is_good, uint64_t now_ms)
{
    struct outlier *it = &set->at[index];
    it->good += is_good;
    it->bad += !is_good;
    it->errors = is_good ? 0 : it->errors + 1;
    return set->opt.errors > 0 && it->errors >= set->opt.errors && eject(set, it, now_ms);
}

static bool has_rate(const struct outlier *it)
{
    return !it->ejected && (uint64_t)it->good + it->bad >= REQUESTS_MIN;
}

static int64_t rate_of(const struct outlier *it)
{
    return (int64_t)((uint64_t)it->good * WHOLE / ((uint64_t)it->good + it->bad));
}

/* Below the mean by 1.9 sigma: 100 (mean - rate)^2 > 19^2 variance, without a root. */
struct spread {
    int64_t mean, variance;
    uint32_t hosts;
};

static struct spread spread_of(const struct outlier_set *set)
{
    struct spread spread = {0};
    for (uint32_t i = 0; i < set->count; i++) {
        if (has_rate(&set->at[i])) {
            spread.mean += rate_of(&set->at[i]);
            spread.hosts++;
        }
    }
    spread.mean /= spread.hosts > 0 ? spread.hosts : 1;
    for (uint32_t i = 0; i < set->count; i++) {
        if (has_rate(&set->at[i])) {
            int64_t off = rate_of(&set->at[i]) - spread.mean;
            spread.variance += off * off;
        }
    }
    spread.variance /= spread.hosts > 0 ? spread.hosts : 1;
    return spread;
}

static bool is_far_below(const struct outlier *it, const struct spread *spread)
{
    if (!has_rate(it) || rate_of(it) >= spread->mean) {
        return false;
    }
    int64_t off = spread->mean - rate_of(it);
    return off * off * 100 > spread->variance * DEVIATIONS_X10 * DEVIATIONS_X10;
}

/* A quiet time as long as its next ejection would be, and one is forgiven. */
static void forgive(const struct outlier_options *opt, struct outlier *it, uint64_t now_ms)
{
    if (it->times > 0 && now_ms - it->quiet_ms >= ejection_ms(opt, it->times)) {
        it->times--;
        it->quiet_ms = now_ms;
    }
}

void outlier_review(struct outlier_set *set, uint64_t now_ms,
                    void (*changed)(void *arg, uint32_t index, bool is_ejected), void *arg)
{
    bool is_due = now_ms >= set->review_ms;
    struct spread spread = {0};
    if (is_due) {
        set->review_ms = now_ms + REVIEW_EVERY_MS;
        spread = spread_of(set);
    }
    for (uint32_t i = 0; i < set->count; i++) {
        struct outlier *it = &set->at[i];
        if (it->ejected && now_ms >= it->until_ms) {
            it->ejected = false;
            it->back_ms = it->quiet_ms = now_ms;
            changed(arg, i, false);
        } else if (!it->ejected && set->opt.errors > 0 && spread.hosts >= HOSTS_MIN
                   && is_far_below(it, &spread) && eject(set, it, now_ms)) {
            changed(arg, i, true);
        }
    }
    for (uint32_t i = 0; is_due && i < set->count; i++) {
        set->at[i].good = set->at[i].bad = 0;
        if (!set->at[i].ejected) {
            forgive(&set->opt, &set->at[i], now_ms);
        }
    }
}

uint32_t outlier_weight(const struct outlier_set *set, uint32_t index, uint64_t now_ms)
{
    const struct outlier *it = &set->at[index];
    uint64_t back_ms = now_ms - it->back_ms;
    if (it->back_ms == 0 || back_ms >= set->opt.slow_start_ms) {
        return 100;
    }
    uint32_t percent = (uint32_t)(back_ms * 100 / set->opt.slow_start_ms);
    return percent > 10 ? percent : 10;
}
