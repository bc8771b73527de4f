/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/config_text.h"

#include "base/text.h"

#include <string.h>

bool config_only_of(const char *text, const char *more)
{
    static const char common[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    for (; *text != '\0'; text++)
        if (strchr(common, *text) == NULL && strchr(more, *text) == NULL)
            return false;
    return true;
}

bool config_is_token(const char *text)
{
    return text[0] != '\0' && config_only_of(text, "!#$%&'*+-.^_`|~");
}

bool config_is_field_value(const char *text)
{
    struct slice all = slice_of(text);
    for (const char *c = text; *c != '\0'; c++)
        if (((unsigned char)*c < ' ' && *c != '\t') || *c == 0x7f)
            return false;
    return slice_same(slice_trim(all), all);
}

bool config_is_framing(const char *name)
{
    static const char *const names[] = {
        "connection", "content-length",    "keep-alive", "proxy-connection", "te",
        "trailer",    "transfer-encoding", "upgrade",    "http2-settings",   "expect"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (slice_is_nocase(slice_of(name), names[i]))
            return true;
    return false;
}

bool config_is_secret(const char *name)
{
    static const char *const words[] = {"auth", "cookie", "key", "password", "secret", "token"};
    char lower[129];
    size_t len = slice_copy(lower, sizeof(lower), slice_of(name));
    for (size_t i = 0; i < len && i < sizeof(lower) - 1; i++)
        lower[i] = text_lower(lower[i]);
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strstr(lower, words[i]) != NULL)
            return true;
    return false;
}
