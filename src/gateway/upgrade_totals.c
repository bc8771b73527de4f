/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/upgrade_totals.h"

#include "gateway/metrics.h"
#include "gateway/server.h"
#include "io/append.h"
#include "io/oserror.h"
#include "proto/prom_totals.h"

#include <errno.h>
#include <unistd.h>

static int file_of(const struct bytes *bytes, int *ret_fd)
{
    struct append file;
    int error = append_memory("weir-totals", &file);
    if (error != 0)
        return error;
    return append_give(&file, append_write(&file, bytes_at(bytes), bytes_len(bytes)), ret_fd);
}

int upgrade_totals_of(const struct server *server, const struct census *census, int *ret_fd)
{
    struct bytes bytes;
    bytes_init(&bytes, &alloc_libc, PROM_TOTALS_BYTES_MAX);
    int error = metrics_record(server, census, &bytes) ? file_of(&bytes, ret_fd) : -ENOBUFS;
    bytes_fini(&bytes);
    return error;
}

/* --- the other process ---------------------------------------------------------------------------
 */

/* Read, not mapped: whatever its file becomes, this is a copy. */
static int read_file(int fd, struct prom_totals **ret_totals)
{
    struct append file;
    struct bytes bytes;
    int error = append_of(fd, &file);
    if (error != 0)
        return error;
    bytes_init(&bytes, &alloc_libc, PROM_TOTALS_BYTES_MAX);
    char *room = bytes_room(&bytes, file.size);
    if (room == NULL)
        error = -EFBIG;
    else
        error = append_read(&file, room, file.size);
    if (error == 0)
        error = prom_totals_read(room, file.size, ret_totals);
    bytes_fini(&bytes);
    return error;
}

void upgrade_totals_hear(struct server *server, int take_fd)
{
    struct prom_totals *totals;
    int error = read_file(take_fd, &totals);
    close(take_fd);
    if (error != 0 && error != server->totals_error) /* and not twice a second */
        log_to(&server->voice.sink, LOG_WARN_LEVEL,
               "counters of the process before this one are not understood",
               log_text("why", oserror_text(error)));
    server->totals_error = error;
    if (error != 0)
        return;
    prom_totals_free(server->totals);
    server->totals = totals;
}
