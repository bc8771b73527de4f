/* SPDX-License-Identifier: Apache-2.0
 *
 * config_expand.c - what ${…} stands for.
 */
#include "gateway/config_expand.h"

#include "gateway/config_arena.h"
#include "gateway/config_document.h"
#include "io/oserror.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct expansion {
    struct config_arena *arena;
    struct config_place place;
    struct config_faults *faults;
    bool files;
    char *out;
    size_t len;
};

static void append(struct expansion *e, const char *text, size_t len);
static void append_named(struct expansion *e, const char *name, size_t len);

const char *config_expand(struct config_arena *arena, struct config_place place, const char *text,
                          bool files, struct config_faults *faults)
{
    struct expansion e = {.arena = arena, .place = place, .faults = faults, .files = files};
    e.out = malloc(EXPAND_MAX);
    if (e.out == NULL) {
        config_arena_refuse(arena);
        return "";
    }
    while (*text != '\0') {
        const char *end;
        if (strncmp(text, "$${", 3) == 0) {
            append(&e, "${", 2);
            text += 3;
        } else if (strncmp(text, "${", 2) == 0 && (end = strchr(text, '}')) != NULL) {
            append_named(&e, text + 2, (size_t)(end - text) - 2);
            text = end + 1;
        } else if (strncmp(text, "${", 2) == 0) {
            config_error(faults, place, "${ without a }");
            break;
        } else {
            append(&e, text++, 1);
        }
    }
    const char *whole = config_arena_copy(arena, e.out, e.len);
    free(e.out);
    return whole;
}

static void append(struct expansion *e, const char *text, size_t len)
{
    if (len > EXPAND_MAX - e->len) {
        config_error(e->faults, e->place, "too long once its variables are replaced");
        len = EXPAND_MAX - e->len;
    }
    memcpy(e->out + e->len, text, len);
    e->len += len;
}

static void append_file(struct expansion *e, const char *path)
{
    size_t len = 0;
    const char *text = NULL;
    errno = EPERM;
    if (e->files)
        text = document_load(e->arena, path, &len);
    if (text == NULL) {
        config_error(e->faults, e->place, "${file:%s}: %s", path, oserror_text(errno));
        return;
    }
    while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\r'))
        len--;
    if (memchr(text, '\0', len) != NULL)
        config_error(e->faults, e->place, "${file:%s}: a NUL in it", path);
    else
        append(e, text, len);
}

static bool is_name(const char *name, size_t len)
{
    static const char legal[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_";
    return len > 0 && strspn(name, legal) == len && (name[0] < '0' || name[0] > '9');
}

static void append_named(struct expansion *e, const char *name, size_t len)
{
    char *copy = config_arena_copy(e->arena, name, len);
    if (strncmp(copy, "file:", 5) == 0) {
        append_file(e, copy + 5);
        return;
    }
    char *fallback = strstr(copy, ":-");
    if (fallback != NULL) {
        *fallback = '\0';
        fallback += 2;
    }
    if (!is_name(copy, strlen(copy))) {
        config_error(e->faults, e->place,
                     "${%s} is none of ${NAME}, ${NAME:-default}, ${file:/path}", copy);
        return;
    }
    const char *value = getenv(copy); /* NOLINT(concurrency-mt-unsafe): nobody calls setenv */
    if (fallback != NULL && (value == NULL || value[0] == '\0'))
        value = fallback;
    if (value == NULL)
        config_error(e->faults, e->place,
                     "${%s}: the environment has no %s, and no default is given", copy, copy);
    else
        append(e, value, strlen(value));
}
