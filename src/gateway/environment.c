/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/environment.h"

#include <stdlib.h>
#include <string.h>

struct variable {
    struct variable *next;
    char *value; /* once it is hidden; NULL: it is where it was */
    char name[];
};

static struct variable *asked; /* a global, as what it stands for */

static struct variable *find(const char *name)
{
    struct variable *v = asked;
    while (v != NULL && strcmp(v->name, name) != 0)
        v = v->next;
    return v;
}

static void note(const char *name)
{
    size_t size = strlen(name) + 1;
    struct variable *v = calloc(1, sizeof(*v) + size);
    if (v == NULL)
        return; /* it stays visible: a secret less well kept, and nothing worse */
    memcpy(v->name, name, size);
    v->next = asked;
    asked = v;
}

const char *environment_get(const char *name)
{
    const struct variable *v = find(name);
    if (v != NULL && v->value != NULL)
        return v->value;
    const char *value = getenv(name); /* NOLINT(concurrency-mt-unsafe): nobody calls setenv */
    if (value != NULL && v == NULL)
        note(name);
    return value;
}

void environment_hide(void)
{
    for (struct variable *v = asked; v != NULL; v = v->next) {
        char *value = getenv(v->name); /* NOLINT(concurrency-mt-unsafe) */
        if (v->value != NULL || value == NULL)
            continue;
        v->value = strdup(value);
        if (v->value != NULL)
            explicit_bzero(value, strlen(value));
    }
}
