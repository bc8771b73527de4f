/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/http_chars.h"

enum {
    VALUE = HTTP_CHAR_VALUE,
    SEEN = HTTP_CHAR_VALUE | HTTP_CHAR_TARGET, /* visible, and nothing else */
    TOKEN = SEEN | HTTP_CHAR_TOKEN,
    NAME = TOKEN | HTTP_CHAR_HOST,
};

const uint8_t http_chars[256] = {
    ['\t'] = VALUE,
    [' '] = VALUE,
    ['!'] = TOKEN,
    ['"'] = SEEN,
    ['#'] = HTTP_CHAR_VALUE | HTTP_CHAR_TOKEN,
    ['$' ... '\''] = TOKEN, /* $ % & ' */
    ['(' ... ')'] = SEEN,
    ['*' ... '+'] = TOKEN,
    [','] = SEEN,
    ['-' ... '.'] = NAME,
    ['/'] = SEEN,
    ['0' ... '9'] = NAME,
    [':' ... '@'] = SEEN, /* : ; < = > ? @ */
    ['A' ... 'Z'] = NAME,
    ['[' ... ']'] = SEEN, /* [ \ ] */
    ['^'] = TOKEN,
    ['_'] = NAME,
    ['`'] = TOKEN,
    ['a' ... 'z'] = NAME,
    ['{'] = SEEN,
    ['|'] = TOKEN,
    ['}'] = SEEN,
    ['~'] = NAME,
    [0x80 ... 0xff] = VALUE,
};
