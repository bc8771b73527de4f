/* SPDX-License-Identifier: Apache-2.0
 *
 * A bitmap for each key that has any, grown as needed, in a table of chains of fixed width: keys
 * with connections are few, and this is asked only when a connection comes or goes.
 */
#include "connector/berths.h"

#include "base/check.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#define BUCKETS   1024U
#define WORD_BITS 64U

struct quay {
    struct node on_bucket;
    uint64_t *words;
    uint32_t words_count;
    uint32_t taken;
    uint32_t key_len;
    char key[];
};

bool berths_init(struct berths *berths, const struct alloc *alloc)
{
    *berths = (struct berths){.alloc = alloc, .mask = BUCKETS - 1};
    berths->buckets = alloc_array(alloc, BUCKETS, sizeof *berths->buckets);
    for (uint32_t i = 0; berths->buckets != NULL && i < BUCKETS; i++) {
        list_init(&berths->buckets[i]);
    }
    return berths->buckets != NULL;
}

static void quay_free(struct berths *berths, struct quay *quay)
{
    list_leave(&quay->on_bucket);
    alloc_free(berths->alloc, quay->words);
    alloc_free(berths->alloc, quay);
}

void berths_fini(struct berths *berths)
{
    if (berths->buckets == NULL) {
        return;
    }
    for (uint32_t i = 0; i <= berths->mask; i++) {
        weir_list_each_safe(it, &berths->buckets[i]) {
            quay_free(berths, list_entry(it, struct quay, on_bucket));
        }
    }
    alloc_free(berths->alloc, berths->buckets);
}

static struct list *bucket_of(const struct berths *berths, struct slice key)
{
    return &berths->buckets[XXH3_64bits(key.at, key.len) & berths->mask];
}

static struct quay *quay_find(const struct berths *berths, struct slice key)
{
    weir_list_each(it, bucket_of(berths, key)) {
        struct quay *quay = list_entry(it, struct quay, on_bucket);
        if (quay->key_len == key.len && memcmp(quay->key, key.at, key.len) == 0) {
            return quay;
        }
    }
    return NULL;
}

static struct quay *quay_new(struct berths *berths, struct slice key)
{
    struct quay *quay = alloc_zeroed(berths->alloc, sizeof *quay + key.len);
    if (quay != NULL) {
        quay->key_len = key.len;
        memcpy(quay->key, key.at, key.len);
        list_push_back(bucket_of(berths, key), &quay->on_bucket);
    }
    return quay;
}

/* All are taken: doubles them. */
static bool grow(struct berths *berths, struct quay *quay)
{
    uint32_t count = quay->words_count > 0 ? 2 * quay->words_count : 1;
    uint64_t *words = alloc_resize(berths->alloc, quay->words, count * sizeof *words);
    if (words == NULL) {
        return false;
    }
    memset(words + quay->words_count, 0, (count - quay->words_count) * sizeof *words);
    quay->words = words;
    quay->words_count = count;
    return true;
}

static bool take_least(struct quay *quay, uint32_t *ret_number)
{
    for (uint32_t i = 0; i < quay->words_count; i++) {
        if (~quay->words[i] != 0) {
            uint32_t bit = (uint32_t)__builtin_ctzll(~quay->words[i]);
            quay->words[i] |= UINT64_C(1) << bit;
            quay->taken++;
            *ret_number = i * WORD_BITS + bit;
            return true;
        }
    }
    return false;
}

bool berths_take(struct berths *berths, struct slice key, uint32_t *ret_number)
{
    struct quay *quay = quay_find(berths, key);
    quay = quay != NULL ? quay : quay_new(berths, key);
    if (quay == NULL) {
        return false;
    }
    if (take_least(quay, ret_number) || (grow(berths, quay) && take_least(quay, ret_number))) {
        return true;
    }
    if (quay->taken == 0) {
        quay_free(berths, quay);
    }
    return false;
}

void berths_give(struct berths *berths, struct slice key, uint32_t number)
{
    struct quay *quay = quay_find(berths, key);
    uint64_t bit = UINT64_C(1) << number % WORD_BITS;
    check(quay != NULL && number / WORD_BITS < quay->words_count);
    check(quay->words[number / WORD_BITS] & bit);
    quay->words[number / WORD_BITS] &= ~bit;
    if (--quay->taken == 0) {
        quay_free(berths, quay);
    }
}
