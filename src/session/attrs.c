/* SPDX-License-Identifier: Apache-2.0 */
#include "session/attrs.h"

bool attrs_next(struct slice *rest, struct slice *ret_name, struct slice *ret_value)
{
    if (rest->len < ATTRS_HEAD) {
        return false;
    }
    uint32_t name = (unsigned char)rest->at[0];
    uint32_t value = (unsigned char)rest->at[1] | (uint32_t)(unsigned char)rest->at[2] << 8;
    if (rest->len - ATTRS_HEAD < name + value) {
        return false;
    }
    *ret_name = (struct slice){rest->at + ATTRS_HEAD, name};
    *ret_value = (struct slice){ret_name->at + name, value};
    *rest = slice_sub(*rest, ATTRS_HEAD + name + value, rest->len);
    return true;
}

bool attrs_find(struct slice bytes, struct slice name, struct slice *ret_value)
{
    struct slice at, value;
    while (attrs_next(&bytes, &at, &value)) {
        if (slice_same(at, name)) {
            *ret_value = value;
            return true;
        }
    }
    return false;
}

/* False: no room. */
static bool put(char *ret, uint32_t *len, uint32_t max, struct slice name, struct slice value)
{
    if ((uint64_t)*len + ATTRS_HEAD + name.len + value.len > max) {
        return false;
    }
    char *to = ret + *len;
    to[0] = (char)name.len;
    to[1] = (char)value.len;
    to[2] = (char)(value.len >> 8);
    memcpy(to + ATTRS_HEAD, name.at, name.len);
    if (value.len > 0) {
        memcpy(to + ATTRS_HEAD + name.len, value.at, value.len);
    }
    *len += ATTRS_HEAD + name.len + value.len;
    return true;
}

uint32_t attrs_with(struct slice bytes, struct slice name, struct slice value, char *ret,
                    uint32_t max, bool *ret_fits)
{
    struct slice at, old;
    uint32_t len = 0;
    bool fits = true;
    while (fits && attrs_next(&bytes, &at, &old)) {
        fits = slice_same(at, name) || put(ret, &len, max, at, old);
    }
    if (fits && value.at != NULL) {
        fits = put(ret, &len, max, name, value);
    }
    *ret_fits = fits;
    return fits ? len : 0;
}
