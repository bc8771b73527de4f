/* SPDX-License-Identifier: Apache-2.0
 *
 * crc32c.h - the Castagnoli checksum (RFC 3720 appendix B.4), by the processor's instruction where
 * it has one. Against accidents, not against people.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

/* Of what came before (0: nothing) and these bytes. */
uint32_t crc32c(uint32_t before, const void *data, size_t len);
/* The same by arithmetic alone. */
uint32_t crc32c_plain(uint32_t before, const void *data, size_t len);
