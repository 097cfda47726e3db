/* cli/sizes.c: sizes are parsed in whole numbers, so that 0.1GB is 100,000,000 bytes and not one
 * less. A lone letter ("1G") is refused: half of the world's programs take it for 10^9, the other
 * half for 2^30.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "cli/sizes.h"

static const struct {
    const char *name;
    uint64_t nbytes;
} units[] = {{"", 1},
             {"B", 1},
             {"kB", 1000},
             {"MB", 1000000},
             {"GB", 1000000000},
             {"TB", 1000000000000},
             {"KiB", (uint64_t)1 << 10},
             {"MiB", (uint64_t)1 << 20},
             {"GiB", (uint64_t)1 << 30},
             {"TiB", (uint64_t)1 << 40}};

static int bad_size(const char *text, const char *why, cm_error *err)
{
    cm_error_set(err, CM_EINVAL, "'%s' is no size%s", text, why);
    cm_error_hint(err, "write 64MB, 1.5GB, 2GiB or a number of bytes");
    return CM_EINVAL;
}

int cm_cli_size_parse(const char *text, uint64_t *nbytes, cm_error *err)
{
    const char *p = text;
    uint64_t whole = 0, part = 0, scale = 1;
    size_t digits = 0;
    for (; *p >= '0' && *p <= '9'; p++, digits++)
        if (__builtin_mul_overflow(whole, 10u, &whole) ||
            __builtin_add_overflow(whole, (uint64_t)(*p - '0'), &whole))
            return bad_size(text, " that fits into 64 bits", err);
    if (*p == '.')
        for (p++; *p >= '0' && *p <= '9'; p++, digits++)
            if (scale < 1000000) { /* further digits are less than a byte of a MB */
                part = part * 10 + (uint64_t)(*p - '0');
                scale *= 10;
            }
    if (digits == 0)
        return bad_size(text, "", err);
    while (*p == ' ')
        p++;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (strcasecmp(p, units[i].name) != 0)
            continue;
        uint64_t product;
        if (__builtin_mul_overflow(whole, units[i].nbytes, &product) ||
            __builtin_add_overflow(product, part * units[i].nbytes / scale, &product))
            return bad_size(text, " that fits into 64 bits", err);
        *nbytes = product;
        return 0;
    }
    if (strlen(p) == 1 && strchr("kKmMgGtT", *p))
        return bad_size(text, ": say whether powers of 1000 or of 1024 are meant", err);
    return bad_size(text, "", err);
}

char *cm_cli_size_text(uint64_t nbytes, char *buf, size_t size)
{
    static const char *const names[] = {"kB", "MB", "GB", "TB", "PB", "EB"};
    if (nbytes < 1000) {
        snprintf(buf, size, "%d B", (int)nbytes);
        return buf;
    }
    double v = (double)nbytes / 1000;
    size_t i = 0;
    for (; v >= 999.5 && i + 1 < sizeof names / sizeof *names; i++)
        v /= 1000;
    snprintf(buf, size, v < 9.995 ? "%.2f %s" : v < 99.95 ? "%.1f %s" : "%.0f %s", v, names[i]);
    return buf;
}

char *cm_cli_seconds_text(double seconds, char *buf, size_t size)
{
    if (!isfinite(seconds) || seconds < 0 || seconds > 1e9) {
        snprintf(buf, size, "?");
        return buf;
    }
    long s = lround(seconds);
    if (s < 60)
        snprintf(buf, size, "%ld s", s);
    else if (s < 3600)
        snprintf(buf, size, "%ld:%02ld", s / 60, s % 60);
    else
        snprintf(buf, size, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
    return buf;
}
