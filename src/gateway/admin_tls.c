/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/admin_tls.h"

#include "gateway/metrics_tls.h"
#include "io/clock.h"

#define DAY_S 86400

static int64_t days_left(int64_t not_after_s)
{
    int64_t left_s = not_after_s - (int64_t)(clock_wall_ms() / 1000);
    return (left_s < 0 ? left_s - DAY_S + 1 : left_s) / DAY_S;
}

static void add_expiry(struct json *row, const struct tls_profile *profile)
{
    uint32_t count = tls_profile_certificates(profile);
    int64_t soonest_s = INT64_MAX;
    for (uint32_t i = 0; i < count; i++) {
        struct tls_certificate seen;
        tls_profile_certificate(profile, i, &seen);
        soonest_s = seen.not_after_s < soonest_s ? seen.not_after_s : soonest_s;
    }
    json_u64(row, "certificates", count);
    if (count > 0)
        json_i64(row, "days_left", days_left(soonest_s));
    else
        json_null(row, "days_left");
}

void admin_tls_add(struct json *row, const struct server *server, bool is_listener, uint32_t index)
{
    struct tls_sums sums;
    if (!tls_sums_of(server, is_listener, index, &sums)) {
        json_null(row, "tls");
        return;
    }
    json_open(row, "tls", '{');
    json_u64(row, "handshakes", sums.handshakes);
    json_u64(row, "resumed", sums.resumed);
    json_open(row, "failed", '{');
    for (unsigned i = TLS_OK + 1; i < TLS_ERROR_COUNT; i++)
        if (sums.failed[i] > 0)
            json_u64(row, tls_error_word((enum tls_error)i), sums.failed[i]);
    json_close(row, '}');
    add_expiry(row, tls_profile_of(server, is_listener, index));
    json_close(row, '}');
}

void admin_tls_certificate(struct json *row, const struct tls_certificate *certificate)
{
    json_text(row, "certificate", certificate->name);
    json_text(row, "file", certificate->file);
    json_i64(row, "not_before_s", certificate->not_before_s);
    json_i64(row, "not_after_s", certificate->not_after_s);
    json_i64(row, "days_left", days_left(certificate->not_after_s));
    json_text(row, "weakness", certificate->weakness);
}
