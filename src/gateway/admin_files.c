/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/admin_files.h"

#include "base/alloc.h"

#include <string.h>
#include <zlib.h>

#define FRONT "index.html"

/* Nothing but these files runs or is loaded, nobody frames it, no form is sent anywhere, and text
 * becomes markup nowhere (Trusted Types). */
#define POLICY                                                                                     \
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "                    \
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "            \
    "require-trusted-types-for 'script'; trusted-types 'none'"

static struct slice field_of(const struct http_head *head, const char *name)
{
    for (uint16_t i = 0; i < head->field_count; i++)
        if (slice_is_nocase(head->fields[i].name, name))
            return head->fields[i].value;
    return (struct slice){"", 0};
}

static bool has_word(struct slice text, const char *word)
{
    for (uint32_t from = 0; from < text.len; from++)
        if (slice_starts(slice_sub(text, from, text.len), slice_of(word)))
            return true;
    return false;
}

static const struct page_file *file_named(struct slice name)
{
    for (unsigned i = 0; i < page_files_count; i++)
        if (slice_is(name, page_files[i].name))
            return &page_files[i];
    return NULL;
}

const struct page_file *admin_file_of(const struct http_head *head)
{
    struct slice path = slice_sub(head->path, 0, slice_find(head->path, '?'));
    if (head->method_id != HTTP_GET && head->method_id != HTTP_HEAD)
        return NULL;
    if (slice_is(path, "/"))
        return has_word(field_of(head, "accept"), "text/html") ? file_named(slice_of(FRONT)) : NULL;
    if (!slice_starts(path, slice_of(PAGE_PATH)))
        return NULL;
    return file_named(slice_sub(path, sizeof(PAGE_PATH) - 1, path.len));
}

static const char *type_of(const struct page_file *file)
{
    static const struct {
        const char *ending, *type;
    } types[] = {{".html", "text/html; charset=utf-8"},
                 {".js", "text/javascript; charset=utf-8"},
                 {".css", "text/css; charset=utf-8"},
                 {".svg", "image/svg+xml"}};
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (slice_ends(slice_of(file->name), slice_of(types[i].ending)))
            return types[i].type;
    return "application/octet-stream";
}

/* For who does not take gzip: curl, a test. False: no memory. */
static bool unpack(const struct page_file *file, void *out)
{
    z_stream stream = {.next_out = out, .avail_out = (unsigned)file->plain_len};
    unsigned char *in = alloc_new(&alloc_libc, file->len); /* zlib wants what may be written */
    if (in == NULL)
        return false;
    memcpy(in, file->at, file->len);
    stream.next_in = in;
    stream.avail_in = (unsigned)file->len;
    bool good = inflateInit2(&stream, 15 + 16) == Z_OK;
    good = good && inflate(&stream, Z_FINISH) == Z_STREAM_END;
    inflateEnd(&stream);
    alloc_free(&alloc_libc, in);
    return good;
}

static void respond(const struct page_file *file, struct http_exchange *exchange, uint16_t status,
                    bool packed)
{
    struct http_field fields[] = {
        {.name = SLICE("Content-Type"), .value = slice_of(type_of(file)), .id = HTTP_CONTENT_TYPE},
        {.name = SLICE("ETag"), .value = slice_of(file->etag)},
        {.name = SLICE("Cache-Control"), .value = SLICE("no-cache")},
        {.name = SLICE("Vary"), .value = SLICE("Accept, Accept-Encoding")},
        {.name = SLICE("Content-Security-Policy"), .value = SLICE(POLICY)},
        {.name = SLICE("X-Content-Type-Options"), .value = SLICE("nosniff")},
        {.name = SLICE("X-Frame-Options"), .value = SLICE("DENY")},
        {.name = SLICE("Referrer-Policy"), .value = SLICE("no-referrer")},
        {.name = SLICE("Cross-Origin-Opener-Policy"), .value = SLICE("same-origin")},
        {.name = SLICE("Cross-Origin-Resource-Policy"), .value = SLICE("same-origin")},
        {.name = SLICE("Content-Encoding"), .value = SLICE("gzip")},
    };
    uint16_t count = (uint16_t)(sizeof(fields) / sizeof(fields[0]));
    struct http_head head = {.status = status,
                             .reason = status == 200   ? SLICE("OK")
                                       : status == 304 ? SLICE("Not Modified")
                                                       : SLICE("Internal Server Error"),
                             .framing = status == 304 ? HTTP_NO_BODY : HTTP_LENGTH,
                             .content_length = status != 200 ? 0
                                               : packed      ? file->len
                                                             : file->plain_len,
                             .version_minor = 1,
                             .keep_alive = true,
                             .field_count = packed ? count : (uint16_t)(count - 1),
                             .fields = fields};
    exchange->ops->respond(exchange, &head);
}

void admin_file_send(const struct page_file *file, struct http_exchange *exchange,
                     const struct http_head *head)
{
    bool packed = has_word(field_of(head, "accept-encoding"), "gzip");
    bool known = has_word(field_of(head, "if-none-match"), file->etag);
    unsigned char *plain = packed || known ? NULL : alloc_new(&alloc_libc, file->plain_len + 1);
    uint16_t status = 200;
    if (known)
        status = 304;
    else if (!packed && (plain == NULL || !unpack(file, plain)))
        status = 500;
    exchange->user = NULL;
    respond(file, exchange, status, packed);
    if (status == 200 && head->method_id == HTTP_GET)
        exchange->ops->body(exchange, packed ? file->at : plain,
                            packed ? file->len : file->plain_len);
    exchange->ops->end(exchange, NULL);
    exchange->ops->flush(exchange);
    if (plain != NULL)
        alloc_free(&alloc_libc, plain);
}
