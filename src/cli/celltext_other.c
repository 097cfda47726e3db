/* cli/celltext_other.c: cells that are no ordinary numbers or strings to text.
 *
 * Times look as numpy prints them: as much of ISO 8601 as the unit resolves, "NaT" for none.
 * Where the unit is finer than nanoseconds or the year has not four digits, the count and its unit
 * are printed instead, which is always exact. Opaque bytes are hexadecimal. A record is (a, b) in
 * text and an object in JSON; sub-arrays and sequences are lists, nested only by the records.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli/celltext.h"

void cm_cli_cell_hex(cm_cli_out *out, const char *bytes, size_t n, bool json)
{
    cm_cli_out_text(out, json ? "{\"hex\": \"" : "0x");
    for (size_t i = 0; i < n; i++)
        cm_cli_out_format(out, "%02x", (unsigned)(unsigned char)bytes[i]);
    cm_cli_out_text(out, json ? "\"}" : "");
}

/* Year, month, day of a day number since 1970-01-01 (proleptic Gregorian), years -32768..32767. */
static void civil(int64_t day, int64_t *year, int *month, int *dom)
{
    int64_t z = day + 719468, era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    *dom = (int)(doy - (153 * mp + 2) / 5 + 1);
    *month = (int)(mp < 10 ? mp + 3 : mp - 9);
    *year = yoe + era * 400 + (*month <= 2);
}

/* Steps of a unit per day, 0 for those that are longer. */
static int64_t per_day(uint32_t unit)
{
    switch (unit) {
    case CM_UNIT_DAY: return 1;
    case CM_UNIT_HOUR: return 24;
    case CM_UNIT_MINUTE: return 1440;
    case CM_UNIT_SECOND: return 86400;
    case CM_UNIT_MS: return 86400 * INT64_C(1000);
    case CM_UNIT_US: return 86400 * INT64_C(1000000);
    case CM_UNIT_NS: return 86400 * INT64_C(1000000000);
    default: return 0;
    }
}

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

/* The time of day, as much of it as the unit resolves. */
static void put_clock(char *at, size_t size, uint32_t unit, int64_t rest)
{
    int64_t steps = per_day(unit), second = rest * 86400 / (steps < 86400 ? steps : 86400);
    if (steps > 86400)
        second = rest / (steps / 86400);
    int h = (int)(second / 3600), m = (int)(second / 60 % 60), s = (int)(second % 60);
    if (unit == CM_UNIT_HOUR)
        snprintf(at, size, "T%02d", h);
    else if (unit == CM_UNIT_MINUTE)
        snprintf(at, size, "T%02d:%02d", h, m);
    else if (unit == CM_UNIT_SECOND)
        snprintf(at, size, "T%02d:%02d:%02d", h, m, s);
    else if (unit >= CM_UNIT_MS)
        snprintf(at, size, "T%02d:%02d:%02d.%0*" PRId64, h, m, s, 3 * (int)(unit - CM_UNIT_SECOND),
                 rest % (steps / 86400));
}

/* false: print the count. */
static bool put_date(char *buf, size_t size, uint32_t unit, int64_t count)
{
    int64_t year, steps = per_day(unit), day = count;
    int month = 1, dom = 1;
    if (unit == CM_UNIT_YEAR || unit == CM_UNIT_MONTH) {
        int64_t each = unit == CM_UNIT_YEAR ? 1 : 12;
        year = floor_div(count, each);
        month = (int)(count - year * each) + 1;
        if (year < -1970 || year > 9999 - 1970)
            return false;
        snprintf(buf, size, unit == CM_UNIT_YEAR ? "%04d" : "%04d-%02d", (int)year + 1970, month);
        return true;
    }
    if (unit == CM_UNIT_WEEK && (count > 1000000 || count < -1000000))
        return false;
    if (unit == CM_UNIT_WEEK)
        day = 7 * count;
    else if (steps)
        day = floor_div(count, steps);
    else
        return false;
    if (day < -719528 || day > 2932896) /* 0000-01-01, 9999-12-31 */
        return false;
    civil(day, &year, &month, &dom);
    int n = snprintf(buf, size, "%04d-%02d-%02d", (int)year, month, dom);
    if (steps > 1)
        put_clock(buf + n, size - (size_t)n, unit, count - day * steps);
    return true;
}

static void put_time(cm_cli_out *out, cm_dtype dtype, const void *cell, bool json)
{
    char text[64];
    int64_t v, count;
    memcpy(&v, cell, sizeof v);
    const char *unit = cm_time_unit_name(dtype.unit);
    bool whole = !__builtin_mul_overflow(v, (int64_t)dtype.scale, &count);
    if (v == INT64_MIN)
        snprintf(text, sizeof text, "NaT");
    else if (!whole)
        snprintf(text, sizeof text, "%" PRId64 "*%u%s", v, dtype.scale, unit);
    else if (dtype.kind == CM_TIMEDELTA64 || !put_date(text, sizeof text, dtype.unit, count))
        snprintf(text, sizeof text, "%" PRId64 "%s", count,
                 dtype.unit == CM_UNIT_GENERIC ? "" : unit);
    cm_cli_out_format(out, json ? "\"%s\"" : "%s", text);
}

static void put_small(cm_cli_out *out, cm_dtype dtype, const void *cell)
{
    char text[40];
    double v = cm_small_value(dtype.kind, cell);
    if (dtype.kind >= CM_INT2)
        cm_cli_out_format(out, "%d", (int)v);
    else
        cm_cli_out_text(out, cm_float_text((float)v, text));
}

/* Code points as UTF-8; those that are none as U+FFFD would hide what is there: hex then. */
static void put_utf32(cm_cli_out *out, const char *cell, size_t n, bool json)
{
    char utf8[4 * 256];
    size_t used = 0, count = n / 4;
    uint32_t c = 0;
    while (count && (memcpy(&c, cell + 4 * (count - 1), 4), c == 0))
        count--;
    bool valid = count <= 256;
    for (size_t i = 0; i < count && valid; i++) {
        memcpy(&c, cell + 4 * i, 4);
        valid = c <= 0x10ffff && !(c >= 0xd800 && c < 0xe000);
        if (c < 0x80) {
            utf8[used++] = (char)c;
        } else if (c < 0x800) {
            utf8[used++] = (char)(0xc0 | c >> 6);
            utf8[used++] = (char)(0x80 | (c & 63));
        } else if (c < 0x10000) {
            utf8[used++] = (char)(0xe0 | c >> 12);
            utf8[used++] = (char)(0x80 | (c >> 6 & 63));
            utf8[used++] = (char)(0x80 | (c & 63));
        } else {
            utf8[used++] = (char)(0xf0 | (c >> 18 & 7));
            utf8[used++] = (char)(0x80 | (c >> 12 & 63));
            utf8[used++] = (char)(0x80 | (c >> 6 & 63));
            utf8[used++] = (char)(0x80 | (c & 63));
        }
    }
    if (valid)
        cm_cli_out_quoted(out, utf8, used);
    else
        cm_cli_cell_hex(out, cell, n, json);
}

static void put_list(cm_cli_out *out, cm_dtype dtype, const char *cells, size_t n, bool json)
{
    cm_cli_out_text(out, "[");
    for (size_t i = 0; i < n; i++) {
        cm_cli_out_text(out, i ? ", " : "");
        cm_cli_cell(out, dtype, cells + i * dtype.size, json);
    }
    cm_cli_out_text(out, "]");
}

static void put_record(cm_cli_out *out, const cm_record *r, const char *cell, bool json)
{
    cm_cli_out_text(out, json ? "{" : "(");
    for (size_t i = 0; i < r->nfields; i++) {
        const cm_field *f = &r->fields[i];
        cm_cli_out_text(out, i ? ", " : "");
        if (json) {
            cm_cli_out_quoted(out, f->name, strlen(f->name));
            cm_cli_out_text(out, ": ");
        }
        if (f->ndim)
            put_list(out, f->dtype, cell + f->offset, f->nbytes / f->dtype.size, json);
        else
            cm_cli_cell(out, f->dtype, cell + f->offset, json);
    }
    cm_cli_out_text(out, json ? "}" : ")");
}

void cm_cli_cell_other(cm_cli_out *out, cm_dtype dtype, const void *cell, bool json)
{
    cm_string s;
    if (cm_kind_is_time(dtype.kind)) {
        put_time(out, dtype, cell, json);
    } else if (cm_kind_is_small(dtype.kind)) {
        put_small(out, dtype, cell);
    } else if (dtype.kind == CM_UTF32) {
        put_utf32(out, cell, dtype.size, json);
    } else if (dtype.kind == CM_RECORD) {
        put_record(out, dtype.record, cell, json);
    } else if (dtype.kind == CM_SEQUENCE) {
        memcpy(&s, cell, sizeof s);
        cm_dtype element = dtype.record->fields[0].dtype;
        put_list(out, element, s.data, s.nbytes / element.size, json);
    } else if (dtype.kind == CM_VBYTES) {
        memcpy(&s, cell, sizeof s);
        cm_cli_cell_hex(out, s.data, s.nbytes, json);
    } else {
        cm_cli_cell_hex(out, cell, dtype.size, json);
    }
}
