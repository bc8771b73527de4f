/* SPDX-License-Identifier: Apache-2.0 */
#include "connector/keycopy.h"

#include <string.h>

#define FIELDS 6U

bool key_copy_init(const struct alloc *alloc, const weir_key *key, struct key_copy *ret_copy)
{
    const char *fields[FIELDS] = {key->scheme, key->host, key->source,
                                  key->proxy,  key->tls,  key->tenant};
    size_t lens[FIELDS];
    size_t len = sizeof key->port;
    for (unsigned i = 0; i < FIELDS; i++) {
        lens[i] = fields[i] != NULL ? strlen(fields[i]) : 0;
        len += lens[i] + 1;
    }
    char *text = alloc_new(alloc, len);
    if (text == NULL) {
        return false;
    }
    char *at = text;
    for (unsigned i = 0; i < FIELDS; i++) {
        if (lens[i] > 0) {
            memcpy(at, fields[i], lens[i]);
        }
        at[lens[i]] = '\0';
        fields[i] = fields[i] != NULL ? at : NULL;
        at += lens[i] + 1;
    }
    memcpy(at, &key->port, sizeof key->port);
    *ret_copy = (struct key_copy){
        .text = text,
        .len = (uint32_t)len,
        .view = {fields[0], fields[1], key->port, fields[2], fields[3], fields[4], fields[5]}};
    return true;
}

void key_copy_fini(const struct alloc *alloc, struct key_copy *copy)
{
    alloc_free(alloc, copy->text);
    copy->text = NULL;
}
