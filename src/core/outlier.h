/* SPDX-License-Identifier: Apache-2.0
 *
 * outlier.h - endpoints that answer, and answer badly, are left out for a while.
 *
 * Two rules eject: so many errors in a row; or, where enough endpoints had enough requests in the
 * last ten seconds, a rate of success below the mean of all by 1.9 standard deviations. An ejection
 * lasts for its base time times the number of ejections so far, up to a longest; a quiet time of
 * the same length forgives one. At most a part of the endpoints is out at a time, and never the
 * last one that is in. Whoever returns begins with a small part of his weight, and has all of it
 * at the end of slow_start.
 *
 * Pure: the caller counts answers, and says what time it is. One worker has one set.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct outlier_options {
    uint32_t errors;      /* in a row; 0: nobody is ejected */
    uint32_t ejection_ms; /* the first time */
    uint32_t ejection_max_ms;
    uint32_t ejected_pct;   /* of the endpoints, at most */
    uint32_t slow_start_ms; /* 0: at once */
};

struct outlier {
    uint64_t until_ms;  /* while it is ejected */
    uint64_t back_ms;   /* it returned */
    uint64_t quiet_ms;  /* nothing was held against it since */
    uint32_t errors;    /* in a row */
    uint32_t good, bad; /* answers since the set was last reviewed */
    uint32_t times;     /* it was ejected, less what was forgiven */
    bool ejected;
};

struct outlier_set {
    struct outlier_options opt;
    struct outlier *at;
    uint32_t count;
    uint64_t review_ms; /* rates are compared next */
};

/* An answer of that endpoint, or a failure; true when that ejects it. */
bool outlier_count(struct outlier_set *set, uint32_t index, bool is_good, uint64_t now_ms);

/* Time has passed: compares rates, returns those whose time is over. Calls `changed` for each that
 * was ejected or has returned. */
void outlier_review(struct outlier_set *set, uint64_t now_ms,
                    void (*changed)(void *arg, uint32_t index, bool is_ejected), void *arg);

/* Percent of its weight that it has now: 1 to 100. Of no meaning while it is ejected. */
uint32_t outlier_weight(const struct outlier_set *set, uint32_t index, uint64_t now_ms);
