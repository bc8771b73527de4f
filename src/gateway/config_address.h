/* SPDX-License-Identifier: Apache-2.0
 *
 * config_address.h - addresses, networks and URLs as they are written in a configuration.
 *
 * Pure: nothing is resolved. Each function answers NULL, or what is wrong with the text.
 */
#pragma once
#include "gateway/config.h"

#define CONFIG_CIDR_TEXT_MAX 64

/* "127.0.0.1:8080", "[::1]:8080", "unix:/path". */
const char *config_address_of(struct config_arena *arena, const char *text,
                              struct config_address *ret);
/* "http://host", "http://host:port", with or without a final "/"; fills url, name, scheme, host and
 * port. */
const char *config_url_of(struct config_arena *arena, const char *text,
                          struct config_endpoint *ret);
/* A relative path is meant as seen from the file that it stands in. NULL: too long. */
const char *config_path_of(struct config_arena *arena, const char *file, const char *text);
/* "10.0.0.0/8", "::1". */
const char *config_cidr_of(const char *text, struct config_cidr *ret);
const char *config_cidr_text(const struct config_cidr *cidr, char ret[CONFIG_CIDR_TEXT_MAX]);

/* True when only this machine can connect to it: loopback, or a unix socket. */
bool config_address_is_local(const struct config_address *address);
