/* cli/sizes.h: numbers of bytes and seconds as people write and read them. */
#ifndef CM_CLI_SIZES_H
#define CM_CLI_SIZES_H

#include <stddef.h>
#include <stdint.h>

#include "chunkmill/error.h"

/* "64MB", "1.5 GB", "2GiB", "1000000" to bytes: kB, MB, GB, TB are powers of 1000, KiB, MiB, GiB,
 * TiB of 1024; letters of either case. A fraction is rounded down to whole bytes. CM_EINVAL. */
int cm_cli_size_parse(const char *text, uint64_t *nbytes, cm_error *err) CM_MUST_CHECK;

/* "512 B", "1.50 GB": three digits. buf: 16 bytes or more. Returns buf. */
char *cm_cli_size_text(uint64_t nbytes, char *buf, size_t size);

/* "7 s", "3:20", "1:02:03"; "?" for what is not finite. buf: 24 bytes or more. Returns buf. */
char *cm_cli_seconds_text(double seconds, char *buf, size_t size);

#endif
