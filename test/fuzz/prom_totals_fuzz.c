/* SPDX-License-Identifier: Apache-2.0
 *
 * prom_totals_fuzz.c - any bytes as what another process has counted: refused, or totals that every
 * sample of is found by its labels, and that a file of the same samples is written of.
 */
#include "proto/prom_totals.h"

#include "base/check.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The family of the sample at `at`, whose labels say nothing of it. */
static void write_again(struct prom_totals *totals, const char *family, struct bytes *out,
                        uint32_t *count)
{
    struct prom_label labels[PROM_LABELS_MAX + 1];
    struct prom_total total, same;
    while (prom_totals_take_left(totals, family, labels, &total)) {
        check(total.buckets <= PROM_BUCKETS_MAX);
        check(prom_totals_take(totals, family, labels, &same));
        check(same.kind == total.kind && same.whole == total.whole && same.rest == total.rest);
        check(prom_totals_add(out, family, labels, &total));
        ++*count;
    }
}

/* Families begin where a key does: after the heads of samples. Each is asked for once or more. */
static uint32_t write_all(struct prom_totals *totals, const char *bytes, size_t size,
                          struct bytes *out)
{
    uint32_t count = 0;
    prom_totals_rewind(totals);
    for (size_t at = 16; at + 4 < size;) {
        uint8_t kind = (uint8_t)bytes[at], buckets = (uint8_t)bytes[at + 1];
        size_t key = (uint8_t)bytes[at + 2] + ((size_t)(uint8_t)bytes[at + 3] << 8);
        write_again(totals, bytes + at + 4, out, &count);
        at += 4 + key + (kind == PROM_TOTAL_HISTOGRAM ? 16 + (size_t)buckets * 16 : 8);
    }
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct prom_totals *totals, *again;
    struct bytes out;
    char *bytes = malloc(size > 0 ? size : 1); /* ends where it ends: an over-read shows */
    if (bytes == NULL)
        return 0;
    if (size > 0)
        memcpy(bytes, data, size);
    if (prom_totals_read(bytes, size, &totals) == 0) {
        bytes_init(&out, &alloc_libc, PROM_TOTALS_BYTES_MAX);
        check(prom_totals_begin(&out));
        check(write_all(totals, bytes, size, &out) == prom_totals_count(totals));
        check(prom_totals_end(&out));
        check(bytes_len(&out) == size);
        check(prom_totals_read(bytes_at(&out), bytes_len(&out), &again) == 0);
        check(prom_totals_count(again) == prom_totals_count(totals));
        prom_totals_free(again);
        prom_totals_free(totals);
        bytes_fini(&out);
    }
    free(bytes);
    return 0;
}
