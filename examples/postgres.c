/* SPDX-License-Identifier: Apache-2.0
 *
 * postgres.c - a pool of PostgreSQL sessions, made by libpq on threads of the pool's. A session
 * that comes back in doubt (WEIR_UNKNOWN) is cleaned by `validate` before anybody else gets it.
 */
#include <weir/runtime.h>

#include "example.h"

#include <libpq-fe.h>

static weir_err create(void *self, const weir_create *what, void **ret_object)
{
    char port[8], limit[12];
    snprintf(port, sizeof port, "%u", what->key->port);
    snprintf(limit, sizeof limit, "%u", what->timeout_ms / 1000 + 1);
    const char *names[] = {"host", "port", "user", "dbname", "connect_timeout", NULL};
    const char *values[] = {what->key->host, port, what->key->tenant, self, limit, NULL};
    PGconn *session = PQconnectdbParams(names, values, 0);
    if (PQstatus(session) != CONNECTION_OK) {
        PQfinish(session);
        return WEIR_ECONNECT;
    }
    *ret_object = session;
    return WEIR_OK;
}

static weir_err validate(void *self, weir_task task, void *object)
{
    (void)self, (void)task;
    if (PQtransactionStatus(object) != PQTRANS_IDLE) {
        PQclear(PQexec(object, "ROLLBACK"));
    }
    PGresult *result = PQexec(object, "DISCARD ALL");
    bool is_fine = PQresultStatus(result) == PGRES_COMMAND_OK;
    PQclear(result);
    return is_fine ? WEIR_OK : WEIR_EPROBE;
}

static weir_err destroy(void *self, void *object, weir_err why)
{
    (void)self, (void)why;
    PQfinish(object);
    return WEIR_OK;
}

static void query(weir_shared *pool, const weir_key *key, const char *sql, weir_fate fate)
{
    weir_loan loan;
    must(weir_acquire_wait(pool, key, NULL, &loan), "acquire");
    PGresult *result = PQexec(loan.object, sql);
    printf("%s: %s, %s session\n", sql, PQntuples(result) ? PQgetvalue(result, 0, 0) : "-",
           loan.reused ? "used" : "new");
    PQclear(result);
    weir_loan_return(&loan, PQstatus(loan.object) == CONNECTION_OK ? fate : WEIR_BROKEN);
}

int main(int argc, char **argv)
{
    weir_runtime *runtime;
    weir_shared *pool;
    const weir_factory factory = {
        .create = create, .validate = validate, .destroy = destroy, .threads_max = 4};
    need(argc > 4, "postgres HOST PORT USER DATABASE [OPTION=VALUE]...");
    weir_shared_options opt = {
        .pool = {.name = "db", .max_total = 4}, .factory = &factory, .factory_self = argv[4]};
    const weir_key key = {
        .scheme = "postgresql", .host = argv[1], .port = port_of(argv[2]), .tenant = argv[3]};
    must_set(&opt.pool, argv + 5);
    must(weir_runtime_open(NULL, &runtime), "runtime");
    must(weir_shared_open(runtime, &opt, &pool), "pool");
    query(pool, &key, "SELECT 6 * 7", WEIR_KEEP);
    query(pool, &key, "BEGIN", WEIR_UNKNOWN); /* left open: validate ends it */
    query(pool, &key, "SELECT pg_current_xact_id_if_assigned() IS NULL", WEIR_KEEP);
    query(pool, &key, "SELECT pg_terminate_backend(pg_backend_pid())", WEIR_KEEP);
    query(pool, &key, "SELECT 'back'", WEIR_KEEP);
    must(weir_runtime_close(runtime, 1000), "close");
    return 0;
}
