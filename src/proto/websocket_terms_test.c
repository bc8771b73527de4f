/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/websocket_terms.h"

#include "support/unit.h"

#include <string.h>

struct row {
    const char *text;
    const char *said; /* what the other side writes or reads; NULL: refused */
};

static const char *answer_to(const char *offers, const struct ws_terms *ours)
{
    static char text[WS_TERMS_TEXT_MAX];
    struct ws_terms terms;
    if (!ws_terms_choose(slice_of(offers), ours, &terms)) {
        return NULL;
    }
    size_t len = ws_terms_write_answer(&terms, text);
    assert_int_equal(len, strlen(text));
    return text;
}

static void expect_answer(const struct row *row, const struct ws_terms *ours)
{
    const char *answer = answer_to(row->text, ours);
    if (row->said == NULL) {
        assert_null(answer);
    } else {
        assert_non_null(answer);
        assert_string_equal(answer, row->said);
    }
}

static void a_server_chooses(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"permessage-deflate", "permessage-deflate"},
        {" Permessage-Deflate ; client_max_window_bits", "permessage-deflate"},
        {"permessage-deflate; server_max_window_bits=10",
         "permessage-deflate; server_max_window_bits=10"},
        {"permessage-deflate; client_max_window_bits=\"9\"",
         "permessage-deflate; client_max_window_bits=9"},
        {"permessage-deflate; server_no_context_takeover; client_no_context_takeover",
         "permessage-deflate; server_no_context_takeover; client_no_context_takeover"},
        {"x-webkit-deflate-frame, permessage-deflate; a=b, permessage-deflate",
         "permessage-deflate"},
        {"permessage-deflate; server_max_window_bits=8, permessage-deflate", "permessage-deflate"},
        {"", NULL},
        {"permessage-bzip2", NULL},
        {"permessage-deflate; server_max_window_bits", NULL},
        {"permessage-deflate; server_max_window_bits=7", NULL},
        {"permessage-deflate; server_max_window_bits=16", NULL},
        {"permessage-deflate; server_max_window_bits=99", NULL},
        {"permessage-deflate; server_max_window_bits=010", NULL},
        {"permessage-deflate; server_max_window_bits=10; server_max_window_bits=10", NULL},
        {"permessage-deflate; client_max_window_bits; client_max_window_bits=10", NULL},
        {"permessage-deflate; client_max_window_bits=", NULL},
        {"permessage-deflate; server_no_context_takeover=1", NULL},
        {"permessage-deflate; server_no_context_takeover; server_no_context_takeover", NULL},
        {"permessage-deflate; mystery", NULL},
        {"permessage-deflate;", NULL},
    };
    const struct ws_terms ours = WS_TERMS_DEFAULT;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        expect_answer(&rows[i], &ours);
    }
}

/* Its own limits hold: the client's window only where the client lets it be limited. */
static void a_server_with_little_memory(void **state)
{
    (void)state;
    const struct ws_terms ours = {
        .server_bits = 11, .client_bits = 10, .server_fresh = true, .client_fresh = true};
    static const struct row rows[] = {
        {"permessage-deflate", "permessage-deflate; server_no_context_takeover; "
                               "client_no_context_takeover; server_max_window_bits=11"},
        {"permessage-deflate; client_max_window_bits; server_max_window_bits=12",
         "permessage-deflate; server_no_context_takeover; client_no_context_takeover; "
         "server_max_window_bits=11; client_max_window_bits=10"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        expect_answer(&rows[i], &ours);
    }
    struct ws_terms terms;
    assert_true(ws_terms_choose(SLICE("permessage-deflate"), &ours, &terms));
    assert_int_equal(terms.client_bits, 15);
}

static void a_client_offers(void **state)
{
    (void)state;
    char text[WS_TERMS_TEXT_MAX];
    struct ws_terms ours = WS_TERMS_DEFAULT;
    ws_terms_write_offer(&ours, text);
    assert_string_equal(text, "permessage-deflate; client_max_window_bits");
    ours = (struct ws_terms){.server_bits = 9, .client_bits = 12, .server_fresh = true};
    ws_terms_write_offer(&ours, text);
    assert_string_equal(text, "permessage-deflate; server_no_context_takeover; "
                              "server_max_window_bits=9; client_max_window_bits=12");
}

static void a_client_judges(void **state)
{
    (void)state;
    struct ws_terms terms;
    struct ws_terms wide = WS_TERMS_DEFAULT;
    struct ws_terms strict = {.server_bits = 10, .client_bits = 12, .server_fresh = true};
    assert_true(ws_terms_accept(SLICE("permessage-deflate"), &wide, &terms));
    assert_int_equal(terms.server_bits, 15);
    assert_true(ws_terms_accept(SLICE("permessage-deflate; client_max_window_bits=8; "
                                      "server_max_window_bits=8; client_no_context_takeover"),
                                &wide, &terms));
    assert_int_equal(terms.client_bits, 8);
    assert_int_equal(terms.server_bits, 8);
    assert_true(terms.client_fresh);
    assert_true(ws_terms_accept(
        SLICE("permessage-deflate; server_no_context_takeover; server_max_window_bits=9"), &strict,
        &terms));
    assert_int_equal(terms.client_bits, 12);
    static const char *const wrong[] = {
        "",
        "permessage-bzip2",
        "permessage-deflate, permessage-deflate",
        "permessage-deflate; client_max_window_bits",
        "permessage-deflate; server_max_window_bits=16",
        "permessage-deflate; mystery",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_false(ws_terms_accept(slice_of(wrong[i]), &wide, &terms));
    }
    assert_false(ws_terms_accept(SLICE("permessage-deflate"), &strict, &terms));
    assert_false(
        ws_terms_accept(SLICE("permessage-deflate; server_max_window_bits=9"), &strict, &terms));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_chooses),
        cmocka_unit_test(a_server_with_little_memory),
        cmocka_unit_test(a_client_offers),
        cmocka_unit_test(a_client_judges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
