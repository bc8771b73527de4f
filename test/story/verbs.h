/* SPDX-License-Identifier: Apache-2.0
 *
 * verbs.h - what the words of a story do.
 */
#pragma once
#include "story/script.h"
#include "story/stage.h"

/* Each false where the words make no sense; stage_fault() then says why. */
bool verb_engine(struct stage *stage, const struct phrase *line);
bool verb_key(struct stage *stage, const struct phrase *line);
bool verb_pool(struct stage *stage, const struct phrase *line);
bool verb_act(struct stage *stage, const struct phrase *action);
/* Also false where a figure is not as expected. */
bool verb_expect(struct stage *stage, const struct phrase *line);
