/* SPDX-License-Identifier: Apache-2.0 */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include "proto/url.h"

#include <stdlib.h>
#include <string.h>

/* "no" where it is refused. */
static void expect(const char *text, const char *canonical)
{
    char *buf = malloc(url_room(slice_of(text)));
    struct url url;
    if (!url_parse(slice_of(text), buf, &url)) {
        assert_string_equal("no", canonical);
    } else {
        char got[256];
        slice_copy(got, sizeof got, url.text);
        assert_string_equal(got, canonical);
        assert_true(url.path.len > 0 && url.path.at[0] == '/');
        assert_ptr_equal(url.path.at + url.path.len, url.text.at + url.text.len);
    }
    free(buf);
}

static void urls_become_canonical(void **state)
{
    (void)state;
    expect("http://h", "http://h/");
    expect("HTTP://ExAmple.COM/Path", "http://example.com/Path");
    expect("http://h:80/a?b=c#d", "http://h/a?b=c");
    expect("http://h:8080", "http://h:8080/");
    expect("http://h?x", "http://h/?x");
    expect("http://h#x", "http://h/");
    expect("https://h:443/", "https://h/");
    expect("https://h:80/", "https://h:80/");
    expect("http://[2001:DB8::1]:81/", "http://[2001:db8::1]:81/");
    expect("http://h/a b\xc3\xa9?x y", "http://h/a%20b%C3%A9?x%20y");
    expect("http://h/a%2Fb//c", "http://h/a%2Fb//c");
}

static void nonsense_is_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",
        "h",
        "/a",
        "ftp://h/",
        "http:/h",
        "http://",
        "http:///a",
        "http://:80/",
        "http://u@h/",
        "http://u:p@h/",
        "http://h:/",
        "http://h:0/",
        "http://h:65536/",
        "http://h:8x/",
        "http://h:-1/",
        "http://[::1/",
        "http://[::1]x/",
        "http://h h/",
        "http://h\\/",
        "http://h/a\r\nX: y",
        "http://h/a\tb",
        "http://h/\x7f",
        "http://h/a/../b",
        "http://h/%",
        "http://h\r\n/",
        "http://h\xc3\xa9/",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        expect(wrong[i], "no");
    }
    char *big = malloc(URL_BYTES_MAX + 16);
    memset(big, 'a', URL_BYTES_MAX + 15);
    memcpy(big, "http://h/", 9);
    big[URL_BYTES_MAX + 15] = '\0';
    expect(big, "no");
    big[URL_BYTES_MAX] = '\0';
    big[20] = ' '; /* three bytes then */
    expect(big, "no");
    free(big);
}

static void resolve(const char *base_text, const char *reference, const char *canonical)
{
    char *first = malloc(url_room(slice_of(base_text)));
    struct url base, url;
    assert_true(url_parse(slice_of(base_text), first, &base));
    char *second = malloc(url_room(base.text) + url_room(slice_of(reference)));
    char got[256] = "no";
    if (url_resolve(&base, slice_of(reference), second, &url)) {
        slice_copy(got, sizeof got, url.text);
    }
    assert_string_equal(got, canonical);
    free(first);
    free(second);
}

/* RFC 3986 §5.4, as far as it is about http. */
static void references_are_resolved(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"http://g/", "http://g/"},
        {"g", "http://a/b/c/g"},
        {"./g", "http://a/b/c/g"},
        {"g/", "http://a/b/c/g/"},
        {"/g", "http://a/g"},
        {"//g", "http://g/"},
        {"//G:81/x?y", "http://g:81/x?y"},
        {"?y", "http://a/b/c/d;p?y"},
        {"g?y", "http://a/b/c/g?y"},
        {"#s", "http://a/b/c/d;p?q"},
        {"g#s", "http://a/b/c/g"},
        {"g?y#s", "http://a/b/c/g?y"},
        {";x", "http://a/b/c/;x"},
        {"g;x=1/../y", "http://a/b/c/y"},
        {"", "http://a/b/c/d;p?q"},
        {".", "http://a/b/c/"},
        {"./", "http://a/b/c/"},
        {"..", "http://a/b/"},
        {"../", "http://a/b/"},
        {"../g", "http://a/b/g"},
        {"../..", "http://a/"},
        {"../../g", "http://a/g"},
        {"../../../g", "http://a/g"},
        {"/./g", "http://a/g"},
        {"/../g", "http://a/g"},
        {"./../g", "http://a/b/g"},
        {"./g/.", "http://a/b/c/g/"},
        {"g/./h", "http://a/b/c/g/h"},
        {"g/../h", "http://a/b/c/h"},
        {"g?y/../x", "http://a/b/c/g?y/../x"},
        {" /a b ", "http://a/a%20b"},
        {"//u@h/", "no"},
        {"mailto:x", "no"},
        {"javascript:x", "no"},
        {"http:g", "no"},
        {"/a\nb", "no"},
        {"//", "no"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        resolve("http://a/b/c/d;p?q", cases[i][0], cases[i][1]);
    }
    resolve("https://a", "b", "https://a/b");
    resolve("https://a:8443/", "//b/c", "https://b/c");
    resolve("http://a?x", "?y", "http://a/?y");
}

static void origins_are_scheme_host_and_port(void **state)
{
    (void)state;
    static const char *const texts[] = {"http://a/", "http://A:80/x", "http://a:81/", "https://a/",
                                        "http://b/"};
    struct url urls[5];
    char bufs[5][256];
    for (size_t i = 0; i < 5; i++) {
        assert_true(url_parse(slice_of(texts[i]), bufs[i], &urls[i]));
    }
    assert_true(url_same_origin(&urls[0], &urls[1]));
    for (size_t i = 2; i < 5; i++) {
        assert_false(url_same_origin(&urls[0], &urls[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls_become_canonical),
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(references_are_resolved),
        cmocka_unit_test(origins_are_scheme_host_and_port),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
