/* SPDX-License-Identifier: Apache-2.0
 *
 * ai_request_fuzz.c - a body of any bytes: read in one piece and in pieces of any size it says the
 * same; what json_read takes for no JSON is only numbers written oddly, or text beyond UTF-8.
 */
#include "proto/ai_request.h"

#include "base/check.h"
#include "proto/json_read.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool scan(struct ai_request *request, const uint8_t *data, size_t size, size_t step)
{
    ai_request_begin(request);
    for (size_t at = 0; at < size; at += step) {
        ai_request_feed(request, data + at, size - at < step ? size - at : step);
    }
    return ai_request_end(request);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct ai_request whole, parts;
    if (whole.text == NULL) {
        int error = ai_request_init(&whole) | ai_request_init(&parts);
        check(error == 0);
    }
    if (size > UINT32_MAX) {
        return 0;
    }
    bool is_json = scan(&whole, data, size, size + 1);
    for (size_t step = 1; step <= 9; step += 2) {
        bool is_same = scan(&parts, data, size, step) == is_json;
        check(is_same && whole.has_digest == parts.has_digest);
        check(!whole.has_digest || memcmp(whole.digest, parts.digest, AI_DIGEST_LEN) == 0);
        for (unsigned i = 0; i < AI_WORDS; i++) {
            const struct ai_text *a = &whole.words[i], *b = &parts.words[i];
            check(a->standing == b->standing);
            check(a->standing != AI_GOOD
                  || (a->len == b->len && a->len <= AI_TEXT_MAX && a->at[a->len] == '\0'
                      && memcmp(a->at, b->at, a->len) == 0));
        }
    }
    struct slice json = {(const char *)data, (uint32_t)size};
    bool is_strict = json_check(json) && json_is_object(json_trim(json));
    check(is_json || !is_strict);
    return 0;
}
