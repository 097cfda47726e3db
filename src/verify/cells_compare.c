/* verify/cells_compare.c: comparing cells.
 *
 * Equal data is the common case, so runs of RUN cells are compared with memcmp first, and only a
 * run that differs is looked at cell by cell. There the bits decide; types matter only for the
 * exceptions: NaN, tolerances, and the size of a difference.
 */
#include <math.h>
#include <string.h>

#include "nd/half.h"
#include "verify/cells_compare.h"

enum { RUN = 4096 };

/* A real float of 2, 4 or 8 bytes. */
static double load_float(const char *p, uint32_t size)
{
    double d;
    float f;
    uint16_t h;
    if (size == 8) {
        memcpy(&d, p, 8);
        return d;
    }
    if (size == 4) {
        memcpy(&f, p, 4);
        return (double)f;
    }
    memcpy(&h, p, 2);
    return (double)cm_half_to_float(h);
}

/* |a - b| of integers, exact before it becomes a double. */
static double integer_difference(cm_dtype dtype, const char *pa, const char *pb)
{
    uint64_t a = 0, b = 0;
    memcpy(&a, pa, dtype.size); /* the low bytes; see the shift for other machines */
    memcpy(&b, pb, dtype.size);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    a >>= 64 - 8 * dtype.size;
    b >>= 64 - 8 * dtype.size;
#endif
    if (!cm_kind_is_unsigned(dtype.kind) && dtype.kind != CM_BOOL) {
        uint64_t sign = 1ull << (8 * dtype.size - 1);
        a ^= sign; /* the order of signed numbers is that of these unsigned ones */
        b ^= sign;
    }
    return (double)(a > b ? a - b : b - a);
}

/* Two real floats whose bits differ; *abs is set when the difference is a number. */
static bool floats_equal(double a, double b, double rtol, double atol, double *abs)
{
    if (isnan(a) || isnan(b))
        return isnan(a) && isnan(b);
    *abs = fabs(a - b);
    return (rtol > 0 || atol > 0) && isfinite(a) && isfinite(b) && *abs <= atol + rtol * fabs(b);
}

static bool parts_equal(cm_dtype dtype, const char *a, const char *b, double rtol, double atol,
                        double *abs)
{
    uint32_t nparts = cm_kind_is_complex(dtype.kind) ? 2 : 1, size = dtype.size / nparts;
    bool equal = true;
    double sum = -1;
    for (uint32_t i = 0; i < nparts; i++, a += size, b += size) {
        double part = memcmp(a, b, size) == 0 ? 0 : -1;
        if (part < 0)
            equal &= floats_equal(load_float(a, size), load_float(b, size), rtol, atol, &part);
        if (part >= 0)
            sum = sum < 0 ? part : hypot(sum, part);
    }
    *abs = sum;
    return equal;
}

/* Two cells whose bits differ. *abs: the difference, negative when it is not a number. */
static bool cells_equal(cm_dtype dtype, const char *a, const char *b, double rtol, double atol,
                        double *abs)
{
    *abs = -1;
    if (cm_kind_is_float(dtype.kind) || cm_kind_is_complex(dtype.kind))
        return parts_equal(dtype, a, b, rtol, atol, abs);
    if (cm_kind_is_integer(dtype.kind) || dtype.kind == CM_BOOL || cm_kind_is_time(dtype.kind))
        *abs = integer_difference(dtype, a, b);
    return false;
}

static bool strings_equal(const char *pa, const char *pb)
{
    cm_string a, b;
    memcpy(&a, pa, sizeof a);
    memcpy(&b, pb, sizeof b);
    return a.nbytes == b.nbytes && (a.nbytes == 0 || memcmp(a.data, b.data, a.nbytes) == 0);
}

void cm_cells_compare(cm_dtype dtype, const void *va, const void *vb, int64_t n, double rtol,
                      double atol, cm_cells_diff *out)
{
    const char *a = va, *b = vb;
    size_t size = dtype.size;
    bool strings = cm_kind_is_vlen(dtype.kind);
    *out = (cm_cells_diff){0};
    for (int64_t start = 0; start < n; start += RUN) {
        int64_t end = n - start < RUN ? n : start + RUN;
        size_t from = (size_t)start * size, nbytes = (size_t)(end - start) * size;
        if (!strings && memcmp(a + from, b + from, nbytes) == 0)
            continue;
        for (int64_t i = start; i < end; i++) {
            const char *x = a + (size_t)i * size, *y = b + (size_t)i * size;
            double abs = -1;
            if (strings ? strings_equal(x, y) : memcmp(x, y, size) == 0)
                continue;
            bool equal = !strings && cells_equal(dtype, x, y, rtol, atol, &abs);
            if (abs >= 0 && (!out->has_max || abs > out->max_abs)) {
                out->has_max = true;
                out->max_abs = abs;
            }
            if (equal)
                continue;
            out->differing++;
            if (out->nfirst < CM_DIFF_FIRST)
                out->first[out->nfirst++] = i;
        }
    }
}
