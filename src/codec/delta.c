/* codec/delta.c: numcodecs "delta": each number less the one before it.
 *
 * Decoding is a sum: of integers modulo their size, so that nothing is lost; of floats one after
 * another in their own precision, as numpy.cumsum has it, where what does not come back is refused.
 * Whether it does is seen without summing: if all numbers before came back, this one does when the
 * one before plus the difference is it.
 * Integers that stay in their type are summed in registers (sum_kernels.c); others go by way of
 * int64.
 */
#include <string.h>

#include "codec/filter.h"
#include "nd/half.h"

static bool decode_same(const cm_filter *f, cm_filter_state *s, const uint8_t *src, size_t n,
                        uint8_t *dst)
{
    uint8_t native[CM_FILTER_BLOCK * 8];
    const void *from = cm_elements_native(&f->stored, src, n, native);
    s->sum = cm_prefix_sum(from, dst, n, f->cells.size, s->sum);
    cm_elements_to_order(&f->cells, dst, n);
    return true;
}

static bool encode_same(const cm_filter *f, cm_filter_state *s, const uint8_t *src, size_t n,
                        uint8_t *dst)
{
    uint8_t native[CM_FILTER_BLOCK * 8];
    const void *from = cm_elements_native(&f->cells, src, n, native);
    s->sum = cm_differences(from, dst, n, f->cells.size, s->sum);
    cm_elements_to_order(&f->stored, dst, n);
    return true;
}

static bool decode_integers(const cm_filter *f, cm_filter_state *s, const uint8_t *src, size_t n,
                            uint8_t *dst)
{
    int64_t v[CM_FILTER_BLOCK];
    cm_elements_load_i64(&f->stored, src, n, v);
    s->sum = cm_prefix_sum(v, v, n, 8, s->sum);
    cm_elements_store_i64(&f->cells, v, n, dst);
    return true;
}

static bool encode_integers(const cm_filter *f, cm_filter_state *s, const uint8_t *src, size_t n,
                            uint8_t *dst)
{
    int64_t v[CM_FILTER_BLOCK], d[CM_FILTER_BLOCK];
    cm_elements_load_i64(&f->cells, src, n, v);
    s->sum = cm_differences(v, d, n, 8, s->sum);
    cm_elements_store_i64(&f->stored, d, n, dst);
    /* What is stored must be the difference, modulo the size of a cell. */
    cm_elements_load_i64(&f->stored, dst, n, v);
    return cm_alike(v, d, n, (int64_t)(UINT64_MAX >> (64 - 8 * f->cells.size)));
}

/* uint64 of signed differences: numpy.cumsum adds them as doubles, which is exact from 0 to 2^53.
 * What is not in there is none that it would give back. (Differences of type uint64 of signed cells
 * are refused altogether: a step down is 2^64 less something, and one may lie behind the array's
 * end.) */
static bool as_doubles(const int64_t *sums, size_t n)
{
    uint64_t over = 0;
    for (size_t i = 0; i < n; i++)
        over |= (uint64_t)sums[i] > (uint64_t)1 << 53;
    return !over;
}

static bool decode_as_doubles(const cm_filter *f, cm_filter_state *s, const uint8_t *src, size_t n,
                              uint8_t *dst)
{
    int64_t v[CM_FILTER_BLOCK];
    cm_elements_load_i64(&f->stored, src, n, v);
    s->sum = cm_prefix_sum(v, v, n, 8, s->sum);
    cm_elements_store_i64(&f->cells, v, n, dst);
    return as_doubles(v, n);
}

static bool encode_as_doubles(const cm_filter *f, cm_filter_state *s, const uint8_t *src, size_t n,
                              uint8_t *dst)
{
    int64_t v[CM_FILTER_BLOCK];
    cm_elements_load_i64(&f->cells, src, n, v);
    return as_doubles(v, n) && encode_integers(f, s, src, n, dst);
}

static bool encode_narrow(const cm_filter *f, cm_filter_state *s, const uint8_t *src, size_t n,
                          uint8_t *dst)
{
    uint8_t native[CM_FILTER_BLOCK * 8], d[CM_FILTER_BLOCK * 8];
    const void *from = cm_elements_native(&f->cells, src, n, native);
    s->sum = cm_differences(from, d, n, f->cells.size, s->sum);
    bool good = cm_narrow(f->cells.kind, f->stored.kind, d, n, dst);
    cm_elements_to_order(&f->stored, dst, n);
    return good;
}

/* numpy adds two float16 as float32 and rounds the sum. */
static bool decode_f16(const cm_filter *f, cm_filter_state *s, const uint8_t *src, size_t n,
                       uint8_t *dst)
{
    double v[CM_FILTER_BLOCK];
    cm_elements_load_f64(&f->stored, src, n, v);
    for (size_t i = 0; i < n; i++) {
        s->sum32 = cm_half_to_float(cm_double_to_half((double)(s->sum32 + (float)v[i])));
        v[i] = (double)s->sum32;
    }
    return cm_elements_store_f64(&f->cells, v, n, dst);
}

static bool encode_f16(const cm_filter *f, cm_filter_state *s, const uint8_t *src, size_t n,
                       uint8_t *dst)
{
    double v[CM_FILTER_BLOCK];
    cm_elements_load_f64(&f->cells, src, n, v);
    for (size_t i = 0; i < n; i++) {
        float own = (float)v[i];
        v[i] = (double)(own - s->sum32);
        s->sum32 = own;
    }
    return cm_elements_store_f64(&f->stored, v, n, dst);
}

static bool decode_f32(const cm_filter *f, cm_filter_state *s, const uint8_t *src, size_t n,
                       uint8_t *dst)
{
    float v[CM_FILTER_BLOCK], sum = s->sum32;
    cm_elements_load_f32(&f->stored, src, n, v);
    for (size_t i = 0; i < n; i++)
        v[i] = sum += v[i];
    s->sum32 = sum;
    return cm_elements_store_f32(&f->cells, v, n, dst);
}

static bool encode_f32(const cm_filter *f, cm_filter_state *s, const uint8_t *src, size_t n,
                       uint8_t *dst)
{
    float v[CM_FILTER_BLOCK + 1], d[CM_FILTER_BLOCK];
    v[0] = s->sum32;
    cm_elements_load_f32(&f->cells, src, n, v + 1);
    s->proved = cm_steps_f32(v, n, d);
    s->sum32 = v[n];
    return cm_elements_store_f32(&f->stored, d, n, dst);
}

static bool decode_f64(const cm_filter *f, cm_filter_state *s, const uint8_t *src, size_t n,
                       uint8_t *dst)
{
    double v[CM_FILTER_BLOCK], sum = s->sum64;
    cm_elements_load_f64(&f->stored, src, n, v);
    for (size_t i = 0; i < n; i++)
        v[i] = sum += v[i];
    s->sum64 = sum;
    return cm_elements_store_f64(&f->cells, v, n, dst);
}

static bool encode_f64(const cm_filter *f, cm_filter_state *s, const uint8_t *src, size_t n,
                       uint8_t *dst)
{
    double v[CM_FILTER_BLOCK + 1], d[CM_FILTER_BLOCK];
    v[0] = s->sum64;
    cm_elements_load_f64(&f->cells, src, n, v + 1);
    s->proved = cm_steps_f64(v, n, d);
    s->sum64 = v[n];
    return cm_elements_store_f64(&f->stored, d, n, dst);
}

static bool choose(cm_filter *f)
{
    const cm_elements *a = &f->stored, *b = &f->cells;
    if (cm_kind_is_float(a->kind) || cm_kind_is_float(b->kind)) {
        f->decode = b->kind == CM_FLOAT32   ? decode_f32
                    : b->kind == CM_FLOAT16 ? decode_f16
                                            : decode_f64;
        f->encode = b->kind == CM_FLOAT32   ? encode_f32
                    : b->kind == CM_FLOAT16 ? encode_f16
                                            : encode_f64;
        return a->kind == b->kind;
    }
    bool same = a->size == b->size;
    f->decode = same ? decode_same : decode_integers;
    f->encode = same ? encode_same : cm_narrows(b->kind, a->kind) ? encode_narrow : encode_integers;
    if (a->kind == CM_UINT64 && !cm_kind_is_unsigned(b->kind))
        return false;
    if (b->kind == CM_UINT64 && !cm_kind_is_unsigned(a->kind)) {
        f->decode = decode_as_doubles;
        f->encode = encode_as_doubles;
    }
    f->exact = true;
    return a->kind != CM_BOOL && b->kind != CM_BOOL;
}

static int delta_parse(const cm_json *config, cm_dialect dialect, const cm_array_form *in,
                       cm_codec **out, cm_error *err)
{
    const char *cells = NULL, *stored = NULL;
    cm_filter f = {.cells = {0}};
    const cm_config_field fields[] = {
        {.key = "dtype", .string = &cells, .required = dialect == CM_ZARR2, .null_allowed = true},
        {.key = "astype", .string = &stored, .null_allowed = true}};
    int r = cm_config_read(config, dialect, "delta", fields, 2, err);
    if (!r)
        r = cm_filter_types(&f, "delta", dialect, in, cells, stored, err);
    if (r)
        return r;
    return choose(&f) ? cm_codec_copy(&cm_class_delta, &f, sizeof f, out, err)
                      : cm_filter_refuse(&f, "delta", err);
}

/* A delta of integers is no loss, even to a narrower type: what does not come back is refused. */
static int delta_apply(const cm_codec *codec, cm_array_form *form)
{
    int flags = cm_filter_apply(codec, form);
    return cm_kind_is_float(cm_filter_of(codec)->cells.kind) ? flags : flags & ~CM_FILTER_LOSSY;
}

static cm_json *delta_describe(const cm_codec *codec, cm_json_doc *doc, cm_dialect dialect)
{
    cm_json *config, *o = cm_config_describe(doc, codec->cls, codec->cls->name, dialect, &config);
    return o && cm_filter_describe_types(cm_filter_of(codec), doc, config, "dtype", "astype",
                                         dialect)
               ? o
               : NULL;
}

static bool delta_equal(const cm_codec *a, const cm_codec *b, bool exactly)
{
    (void)exactly;
    return cm_filter_equal_types(a, b);
}

const cm_codec_class cm_class_delta = {
    .name = "numcodecs.delta",
    .v2_id = "delta",
    .parse_array = delta_parse,
    .describe = delta_describe,
    .bound = cm_filter_encoded_size,
    .scratch = cm_no_scratch,
    .encode = cm_filter_encode,
    .decode = cm_filter_decode,
    .encoded_size = cm_filter_encoded_size,
    .filter = delta_apply,
    .text = cm_filter_text,
    .equal = delta_equal,
};
