/* SPDX-License-Identifier: Apache-2.0
 *
 * The client against an HTTPS server in a thread, on loopback.
 */
#include <weir/http.h>

#include "io/tls_make.h"
#include "support/listening.h"
#include "support/unit.h"

#include <arpa/inet.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct server {
    pthread_t thread;
    SSL_CTX *context;
    int listener;
    uint16_t port;
    _Atomic uint32_t accepted, requests, resumed;
    char ca[64];
};

/* Answers each request with its connection's and its own number; the third ends the connection. */
static void serve_one(struct server *server, SSL *ssl)
{
    char buf[4096];
    for (int i = 0; i < 3 && SSL_read(ssl, buf, sizeof buf) > 0; i++) {
        char answer[200];
        server->requests++;
        int len = snprintf(answer, sizeof answer,
                           "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n%s\r\nsecure",
                           i == 2 ? "Connection: close\r\n" : "");
        SSL_write(ssl, answer, len);
    }
    SSL_shutdown(ssl);
}

static void *serve(void *arg)
{
    struct server *server = arg;
    for (int fd; (fd = accept(server->listener, NULL, NULL)) >= 0;) {
        SSL *ssl = SSL_new(server->context);
        SSL_set_fd(ssl, fd);
        server->accepted++;
        if (SSL_accept(ssl) == 1) {
            server->resumed += SSL_session_reused(ssl) == 1;
            serve_one(server, ssl);
        }
        SSL_free(ssl);
        close(fd);
    }
    return NULL;
}

static void use_text(SSL_CTX *context, const char *certificate, const char *key)
{
    BIO *first = BIO_new_mem_buf(certificate, -1), *second = BIO_new_mem_buf(key, -1);
    X509 *x509 = PEM_read_bio_X509(first, NULL, NULL, NULL);
    EVP_PKEY *pkey = PEM_read_bio_PrivateKey(second, NULL, NULL, NULL);
    assert_int_equal(SSL_CTX_use_certificate(context, x509), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(context, pkey), 1);
    X509_free(x509);
    EVP_PKEY_free(pkey);
    BIO_free(first);
    BIO_free(second);
}

static void server_open(struct server *server, const char *name)
{
    char *certificate, *key;
    const struct tls_make_options opt = {
        .names = &name, .names_count = 1, .from_s = -3600, .to_s = 3600};
    *server = (struct server){.ca = "/tmp/weir-https-XXXXXX"};
    assert_int_equal(tls_make_self_signed(&opt, &certificate, &key), 0);
    int fd = mkstemp(server->ca);
    assert_int_equal(write(fd, certificate, strlen(certificate)), strlen(certificate));
    close(fd);
    server->context = SSL_CTX_new(TLS_server_method());
    use_text(server->context, certificate, key);
    free(certificate);
    free(key);
    server->listener = listening(0, 16, &server->port);
    assert_int_equal(pthread_create(&server->thread, NULL, serve, server), 0);
}

static void server_close(struct server *server)
{
    shutdown(server->listener, SHUT_RDWR);
    pthread_join(server->thread, NULL);
    close(server->listener);
    SSL_CTX_free(server->context);
    unlink(server->ca);
}

static weir_err ask(weir_http_client *client, const char *host, uint16_t port)
{
    char url[100];
    weir_http_answer *answer = NULL;
    snprintf(url, sizeof url, "https://%s:%u/", host, port);
    const weir_http_request request = {.size = sizeof request, .url = url};
    weir_err err = weir_http_fetch(client, &request, &answer);
    if (err == WEIR_OK) {
        weir_text body = weir_http_body(answer);
        assert_int_equal(weir_http_status(answer), 200);
        assert_int_equal(body.len, 6);
        assert_memory_equal(body.at, "secure", 6);
    }
    weir_http_answer_free(answer);
    return err;
}

static weir_http_client *client_of(weir_runtime *runtime, weir_tls_options tls)
{
    weir_http_client *client = NULL;
    const weir_http_client_options opt = {.size = sizeof opt, .tls = tls};
    assert_int_equal(weir_http_client_new(runtime, &opt, &client), WEIR_OK);
    return client;
}

static void https_is_verified_reused_and_resumed(void **state)
{
    (void)state;
    struct server server;
    weir_runtime *runtime;
    server_open(&server, "localhost");
    const weir_runtime_options opt = {.size = sizeof opt, .workers = 1};
    assert_int_equal(weir_runtime_open(&opt, &runtime), WEIR_OK);
    weir_http_client *client = client_of(runtime, (weir_tls_options){.ca = server.ca});
    for (int i = 0; i < 7; i++) {
        assert_int_equal(ask(client, "localhost", server.port), WEIR_OK);
    }
    assert_int_equal(server.accepted, 3);
    assert_int_equal(server.resumed, 2);
    weir_http_client_flush(client); /* the server has one thread: it has to be free */
    assert_int_equal(ask(client, "127.0.0.1", server.port), WEIR_ETLS_NAME);
    assert_int_equal(weir_http_client_free(client), WEIR_OK);

    client = client_of(runtime, (weir_tls_options){0});
    assert_int_equal(ask(client, "localhost", server.port), WEIR_ETLS_UNTRUSTED);
    assert_int_equal(weir_http_client_free(client), WEIR_OK);

    client = client_of(runtime, (weir_tls_options){.verify = WEIR_OFF});
    assert_int_equal(ask(client, "127.0.0.1", server.port), WEIR_OK);
    assert_int_equal(weir_http_client_free(client), WEIR_OK);
    assert_int_equal(weir_runtime_close(runtime, 1000), WEIR_OK);
    server_close(&server);
}

static void what_is_wrong_is_named(void **state)
{
    (void)state;
    const struct {
        weir_tls_options tls;
        const char *fault;
    } rows[] = {
        {{.ca = "/nonexistent"}, "tls.ca"},
        {{.certificate = "/nonexistent", .key = "/nonexistent-key"}, "tls.certificate"},
        {{.certificate = "/nonexistent"}, "tls.key"},
        {{.verify = 7}, "tls.verify"},
    };
    weir_runtime *runtime;
    weir_http_client *client;
    assert_int_equal(weir_runtime_open(NULL, &runtime), WEIR_OK);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const weir_http_client_options opt = {.size = sizeof opt, .tls = rows[i].tls};
        assert_int_equal(weir_http_client_new(runtime, &opt, &client), WEIR_EINVAL);
        assert_string_equal(weir_runtime_fault(), rows[i].fault);
    }
    assert_int_equal(weir_runtime_close(runtime, 1000), WEIR_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(https_is_verified_reused_and_resumed),
        cmocka_unit_test(what_is_wrong_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
