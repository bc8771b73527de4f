/* SPDX-License-Identifier: Apache-2.0
 *
 * config_expand.c - what ${…} stands for.
 */
#include "gateway/config_expand.h"

#include "gateway/config_arena.h"
#include "gateway/config_document.h"
#include "gateway/environment.h"
#include "gateway/fence.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct expansion {
    struct config_arena *arena;
    struct config_place place;
    struct config_faults *faults;
    struct document_sources *sources; /* NULL: no file may be opened */
    char *out;
    size_t len;
};

static void append(struct expansion *e, const char *text, size_t len);
static void append_named(struct expansion *e, const char *name, size_t len);

const char *config_expand(struct config_arena *arena, struct config_place place, const char *text,
                          struct document_sources *sources, struct config_faults *faults)
{
    struct expansion e = {.arena = arena, .place = place, .faults = faults, .sources = sources};
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
    explicit_bzero(e.out, e.len); /* what was replaced are secrets, mostly */
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

/* `written` is what stands in the braces, for messages. */
static void append_file(struct expansion *e, const char *written, const char *path)
{
    size_t len = 0;
    char *text = NULL;
    errno = EPERM;
    if (e->sources != NULL)
        text = document_load(e->arena, path, &len);
    if (text == NULL) {
        config_error(e->faults, e->place, "${%s}: %s", written, fence_why(path, errno));
        return;
    }
    size_t whole = len;
    document_note(e->sources, path);
    while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\r'))
        len--;
    if (memchr(text, '\0', len) != NULL)
        config_error(e->faults, e->place, "${%s}: a NUL in it", written);
    else
        append(e, text, len);
    explicit_bzero(text, whole);
}

/* systemd.exec(5): a file of that name, in a folder that only the service sees. */
static void append_credential(struct expansion *e, const char *written, const char *name)
{
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): nobody calls setenv */
    const char *folder = getenv("CREDENTIALS_DIRECTORY");
    if (name[0] == '\0' || name[0] == '.' || strchr(name, '/') != NULL)
        config_error(e->faults, e->place, "${%s}: a credential has a name, and no path", written);
    else if (folder == NULL)
        config_error(e->faults, e->place,
                     "${%s}: no credentials were passed (LoadCredential= of systemd.exec(5) sets "
                     "CREDENTIALS_DIRECTORY)",
                     written);
    else
        append_file(e, written, config_arena_print(e->arena, "%s/%s", folder, name));
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
        append_file(e, copy, copy + 5);
        return;
    }
    if (strncmp(copy, "credential:", 11) == 0) {
        append_credential(e, copy, copy + 11);
        return;
    }
    char *fallback = strstr(copy, ":-");
    if (fallback != NULL) {
        *fallback = '\0';
        fallback += 2;
    }
    if (!is_name(copy, strlen(copy))) {
        config_error(
            e->faults, e->place,
            "${%s} is none of ${NAME}, ${NAME:-default}, ${file:/path}, ${credential:NAME}", copy);
        return;
    }
    const char *value = environment_get(copy);
    if (fallback != NULL && (value == NULL || value[0] == '\0'))
        value = fallback;
    if (value == NULL)
        config_error(e->faults, e->place,
                     "${%s}: the environment has no %s, and no default is given", copy, copy);
    else
        append(e, value, strlen(value));
}
