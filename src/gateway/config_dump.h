/* SPDX-License-Identifier: Apache-2.0
 *
 * config_dump.h - a snapshot, and the table of options itself, as text.
 */
#pragma once
#include "base/bytes.h"
#include "gateway/config.h"

/* All options with the values in force. Reads back as the same configuration, but for secrets,
 * which are "***". */
void config_dump_yaml(const struct config *config, struct bytes *out);
void config_dump_json(const struct config *config, struct bytes *out);
/* The same for who compares two: what may hold a secret is [MARK, what is shown of it], and MARK
 * differs where the values do. Not to be shown: a mark is a hash. */
#define CONFIG_DUMP_MARK "#mark:"
void config_dump_marked(const struct config *config, struct bytes *out);

void config_schema(struct bytes *out);    /* JSON Schema, draft 2020-12 */
void config_reference(struct bytes *out); /* Markdown: every option, default, range, meaning */
void config_options(struct bytes *out);   /* the paths that take a value, one per line */
