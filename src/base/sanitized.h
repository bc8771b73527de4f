/* SPDX-License-Identifier: Apache-2.0
 *
 * sanitized.h - BASE_SANITIZED: built with AddressSanitizer or ThreadSanitizer, by either compiler.
 */
#pragma once

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#    define BASE_SANITIZED
#elif defined(__has_feature)
#    if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#        define BASE_SANITIZED
#    endif
#endif
