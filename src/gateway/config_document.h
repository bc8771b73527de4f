/* SPDX-License-Identifier: Apache-2.0
 *
 * config_document.h - a configuration file as a tree in which everything knows its place.
 *
 * Between YAML and the options: anchors are followed, merge keys ("<<") merged, included files
 * joined, ${…} replaced. Nothing here knows an option's name, and a scalar is text, whatever it
 * looks like. An alias is the node it names, so a node may have several parents, but never itself
 * below it.
 */
#pragma once
#include "gateway/config_fault.h"

#define DOCUMENT_BYTES_MAX 1048576 /* of one file */
#define DOCUMENT_FILES_MAX 64
#define DOCUMENT_DEPTH_MAX 32
#define DOCUMENT_NODES_MAX 50000 /* of one file */

enum document_kind { DOCUMENT_TEXT, DOCUMENT_LIST, DOCUMENT_MAP };

struct document_node {
    enum document_kind kind;
    struct config_place place;
    const char *text;            /* of a DOCUMENT_TEXT */
    bool quoted;                 /* so an empty one was meant */
    struct document_item *items; /* of the others */
    uint32_t count;
};

struct document_item {
    struct document_node *key; /* NULL in a list */
    struct document_node *value;
    struct document_item *next;
};

/* What a document is read from. With `alone`, no other file is opened for it. */
struct document_source {
    const char *name;
    const char *text;
    size_t len;
    bool alone;
};

/* Where the files that are opened are noted; NULL for it: none may be. */
struct document_sources {
    struct config_arena *arena;
    struct config_source *first;
};
void document_note(struct document_sources *sources, const char *path);

/* The root, always a map, with whatever could be understood; what could not is in `faults`. */
struct document_node *document_read(struct document_sources *sources,
                                    const struct document_source *source,
                                    struct config_faults *faults);

/* A whole file of at most DOCUMENT_BYTES_MAX, in the arena; NULL and errno when it cannot be had.
 */
char *document_load(struct config_arena *arena, const char *path, size_t *ret_len);

struct document_node *document_find(const struct document_node *map, const char *key);

/* "a map", "a list", "text": for messages. */
const char *document_kind_text(enum document_kind kind);
