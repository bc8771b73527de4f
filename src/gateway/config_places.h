/* SPDX-License-Identifier: Apache-2.0
 *
 * config_places.h - where the values of a snapshot were written, by the address of the field they
 * became.
 */
#pragma once
#include "gateway/config_fault.h"

struct config_places;

struct config_places *config_places_new(struct config_arena *arena);
void config_places_add(struct config_places *places, const void *field, struct config_place place);
/* Of the latest value that became this field; of the file, if it is a default. */
bool config_places_has(const struct config_places *places, const void *field);
struct config_place config_places_of(const struct config_places *places, const void *field);
