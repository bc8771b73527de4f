/* SPDX-License-Identifier: Apache-2.0
 *
 * embed.c - the files of the dashboard, compressed, as one C source; the build runs it.
 *
 *     weir_embed OUT.c FILE...
 *
 * Each file becomes a row of page_files[] (src/gateway/admin_files.h): its name, the length it has,
 * its bytes as gzip makes them, and an ETag, which is the CRC-32 that stands at gzip's end, and the
 * length. The same files give the same bytes: gzip's header holds no time here.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define FILE_MAX (1U << 20) /* nobody writes a page of more */

static unsigned char plain[FILE_MAX], packed[FILE_MAX + 4096];

static const char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

static size_t pack(size_t len)
{
    z_stream stream = {.next_in = plain,
                       .avail_in = (unsigned)len,
                       .next_out = packed,
                       .avail_out = sizeof(packed)};
    if (deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY) != Z_OK
        || deflate(&stream, Z_FINISH) != Z_STREAM_END)
        return 0;
    deflateEnd(&stream);
    return stream.total_out;
}

static void write_bytes(FILE *out, unsigned number, size_t len)
{
    fprintf(out, "static const unsigned char file_%u[] = {", number);
    for (size_t i = 0; i < len; i++)
        fprintf(out, "%s%u,", i % 24 == 0 ? "\n    " : "", packed[i]);
    fprintf(out, "\n};\n");
}

/* Returns 0, or says what is wrong. */
static int embed(FILE *out, unsigned number, const char *path, char row[static 300])
{
    FILE *in = fopen(path, "rb");
    if (in == NULL) {
        perror(path);
        return 1;
    }
    size_t len = fread(plain, 1, sizeof(plain), in);
    fclose(in);
    size_t packed_len = len < sizeof(plain) ? pack(len) : 0;
    if (packed_len == 0) {
        fprintf(stderr, "%s: too long, or zlib has no memory\n", path);
        return 1;
    }
    write_bytes(out, number, packed_len);
    snprintf(row, 300, "    {\"%s\", file_%u, %zu, %zu, \"\\\"%08lx-%zx\\\"\"},\n", name_of(path),
             number, packed_len, len, crc32(0, plain, (unsigned)len), len);
    return 0;
}

int main(int count, char **words)
{
    char(*rows)[300] = calloc((size_t)count, sizeof(*rows));
    FILE *out = count > 2 && rows != NULL ? fopen(words[1], "w") : NULL;
    if (out == NULL) {
        fprintf(stderr, "usage: weir_embed OUT.c FILE...\n");
        return 2;
    }
    fprintf(out, "/* Written by tools/embed.c from src/gateway/page/. */\n"
                 "#include \"gateway/admin_files.h\"\n\n");
    int status = 0;
    for (int i = 2; i < count && status == 0; i++)
        status = embed(out, (unsigned)i, words[i], rows[i]);
    fprintf(out, "\nconst struct page_file page_files[] = {\n");
    for (int i = 2; i < count; i++)
        fputs(rows[i], out);
    fprintf(out, "};\nconst unsigned page_files_count = %d;\n", count - 2);
    free(rows);
    if (fclose(out) != 0 || status != 0) {
        remove(words[1]);
        return 1;
    }
    return 0;
}
