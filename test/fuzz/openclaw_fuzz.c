/* SPDX-License-Identifier: Apache-2.0
 *
 * Frames of an OpenClaw gateway: what is read lies within the text, and what is taken for JSON can
 * be walked through to its end.
 */
#include "proto/openclaw.h"

#include "base/check.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_within(struct slice part, const char *at, size_t size)
{
    return part.len == 0 || (part.at >= at && part.at + part.len <= at + size);
}

static void walk(struct slice value, unsigned depth)
{
    struct json_at at = {0};
    struct slice name, part;
    char text[256];
    json_get_text(value, text, sizeof text);
    while (json_next(value, &at, &name, &part)) {
        check(is_within(part, value.at, value.len) && is_within(name, value.at, value.len));
        check(depth > 0 && json_check(part));
        walk(part, depth - 1);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct claw_frame frame;
    struct claw_hello hello;
    struct claw_refusal refusal;
    char nonce[CLAW_TOKEN_MAX];
    if (size > 65536) {
        return 0;
    }
    char *text = malloc(size + 1); /* of its own, so that one byte too far is seen */
    check(text != NULL);
    if (size > 0) {
        memcpy(text, data, size);
    }
    const struct slice all = {text, (uint32_t)size};
    if (size <= 512 && json_check(all)) {
        walk(json_trim(all), JSON_DEPTH_MAX);
    }
    claw_read(all, &frame);
    check(is_within(frame.payload, text, size) && is_within(frame.error, text, size));
    check((frame.kind == CLAW_BAD) == (frame.why != NULL));
    claw_read_challenge(frame.payload, nonce);
    claw_read_hello(frame.payload, &hello);
    claw_read_refusal(frame.error, &refusal);
    free(text);
    return 0;
}
