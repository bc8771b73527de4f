/* SPDX-License-Identifier: Apache-2.0
 *
 * config_text.h - what the texts in a configuration may be made of. Pure.
 */
#pragma once
#include <stdbool.h>

bool config_only_of(const char *text, const char *more); /* letters, digits, and these */
bool config_is_token(const char *text);                  /* RFC 9110 §5.6.2 */
/* What a field's value may hold: no control but the tab, no white space around it. */
bool config_is_field_value(const char *text);
/* Fields that belong to one connection or frame the message: not a user's to set. */
bool config_is_framing(const char *name);
/* Fields whose value opens doors. */
bool config_is_secret(const char *name);
