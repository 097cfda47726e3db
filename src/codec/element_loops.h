/* codec/element_loops.h: the loops of element_kernels.c, compiled once for each kind of CPU: it is
 * included with LOOP(name), the function's name there, and LOOPS_FOR, its attributes, defined.
 *
 * They are plain loops that the compiler makes vectors of. Sources may lie anywhere, so numbers are
 * loaded with memcpy, which is one instruction.
 */

#define LOAD(name, type, to, expression)                                                           \
    LOOPS_FOR static void LOOP(name)(const uint8_t *restrict p, size_t n, to *restrict out)        \
    {                                                                                              \
        for (size_t i = 0; i < n; i++) {                                                           \
            type v;                                                                                \
            memcpy(&v, p + i * sizeof v, sizeof v);                                                \
            out[i] = (to)(expression);                                                             \
        }                                                                                          \
    }

LOAD(i64_of_i8, int8_t, int64_t, v)
LOAD(i64_of_i16, int16_t, int64_t, v)
LOAD(i64_of_i32, int32_t, int64_t, v)
LOAD(i64_of_u8, uint8_t, int64_t, v)
LOAD(i64_of_u16, uint16_t, int64_t, v)
LOAD(i64_of_u32, uint32_t, int64_t, v)
LOAD(f64_of_i8, int8_t, double, v)
LOAD(f64_of_i16, int16_t, double, v)
LOAD(f64_of_i32, int32_t, double, v)
LOAD(f64_of_i64, int64_t, double, v)
LOAD(f64_of_u8, uint8_t, double, v)
LOAD(f64_of_u16, uint16_t, double, v)
LOAD(f64_of_u32, uint32_t, double, v)
LOAD(f64_of_u64, uint64_t, double, v)
LOAD(f64_of_f32, float, double, v)

#define STORE(name, type, from, expression)                                                        \
    LOOPS_FOR static void LOOP(name)(const from *restrict v, size_t n, uint8_t *restrict p)        \
    {                                                                                              \
        for (size_t i = 0; i < n; i++) {                                                           \
            type x = (type)(expression);                                                           \
            memcpy(p + i * sizeof x, &x, sizeof x);                                                \
        }                                                                                          \
    }

STORE(bool_from_i64, uint8_t, int64_t, v[i] != 0)
STORE(i8_from_i64, uint8_t, int64_t, v[i])
STORE(i16_from_i64, uint16_t, int64_t, v[i])
STORE(i32_from_i64, uint32_t, int64_t, v[i])
STORE(f32_from_f64, float, double, v[i])
STORE(i8_from_f64, uint8_t, double, (int32_t)v[i])
STORE(i16_from_f64, uint16_t, double, (int32_t)v[i])
STORE(i32_from_f64, int32_t, double, v[i])
STORE(u32_from_f64, uint32_t, double, (int64_t)v[i])

/* lo < v < end for every one; false for NaN. */
LOOPS_FOR static bool LOOP(inside)(const double *v, size_t n, double lo, double end)
{
    int64_t bad = 0;
    for (size_t i = 0; i < n; i++)
        bad |= (int64_t) !(v[i] > lo) | (int64_t) !(v[i] < end);
    return !bad;
}

/* Narrower integers, and whether each is the same when it is made wide again. */
#define NARROW(name, wide, narrow)                                                                 \
    LOOPS_FOR static bool LOOP(name)(const uint8_t *restrict p, size_t n, uint8_t *restrict q)     \
    {                                                                                              \
        wide differ = 0;                                                                           \
        for (size_t i = 0; i < n; i++) {                                                           \
            wide v;                                                                                \
            memcpy(&v, p + i * sizeof v, sizeof v);                                                \
            narrow x = (narrow)v;                                                                  \
            wide back = (wide)x, other = (wide)(v ^ back);                                         \
            differ = (wide)(differ | other);                                                       \
            memcpy(q + i * sizeof x, &x, sizeof x);                                                \
        }                                                                                          \
        return differ == 0;                                                                        \
    }

NARROW(n2_i1, uint16_t, int8_t)
NARROW(n4_i1, uint32_t, int8_t)
NARROW(n8_i1, uint64_t, int8_t)
NARROW(n4_i2, uint32_t, int16_t)
NARROW(n8_i2, uint64_t, int16_t)
NARROW(n8_i4, uint64_t, int32_t)
NARROW(n2_u1, uint16_t, uint8_t)
NARROW(n4_u1, uint32_t, uint8_t)
NARROW(n8_u1, uint64_t, uint8_t)
NARROW(n4_u2, uint32_t, uint16_t)
NARROW(n8_u2, uint64_t, uint16_t)
NARROW(n8_u4, uint64_t, uint32_t)

/* The same of doubles, by their bits. */
LOOPS_FOR static bool LOOP(narrow_f64)(const uint8_t *restrict p, size_t n, uint8_t *restrict q)
{
    uint64_t differ = 0;
    for (size_t i = 0; i < n; i++) {
        double v, w;
        uint64_t a, b;
        memcpy(&v, p + i * sizeof v, sizeof v);
        float x = (float)v;
        w = (double)x;
        memcpy(&a, &v, sizeof a);
        memcpy(&b, &w, sizeof b);
        differ |= a ^ b;
        memcpy(q + i * sizeof x, &x, sizeof x);
    }
    return differ == 0;
}

/* Are all alike in the bits of mask? */
LOOPS_FOR static bool LOOP(alike)(const int64_t *a, const int64_t *b, size_t n, int64_t mask)
{
    int64_t differ = 0;
    for (size_t i = 0; i < n; i++)
        differ |= a[i] ^ b[i];
    return !(differ & mask);
}

/* Steps from each number to the next; do they lead back to it, and is none a NaN? */
LOOPS_FOR static bool LOOP(steps_f32)(const float *restrict v, size_t n, float *restrict d)
{
    uint32_t differ = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t a, b;
        d[i] = v[i + 1] - v[i];
        float back = v[i] + d[i];
        memcpy(&a, v + i + 1, sizeof a);
        memcpy(&b, &back, sizeof b);
        differ |= (a ^ b) | (uint32_t)(back != back);
    }
    return differ == 0;
}

LOOPS_FOR static bool LOOP(steps_f64)(const double *restrict v, size_t n, double *restrict d)
{
    uint64_t differ = 0;
    for (size_t i = 0; i < n; i++) {
        uint64_t a, b;
        d[i] = v[i + 1] - v[i];
        double back = v[i] + d[i];
        memcpy(&a, v + i + 1, sizeof a);
        memcpy(&b, &back, sizeof b);
        differ |= (a ^ b) | (uint64_t)(back != back);
    }
    return differ == 0;
}

LOOPS_FOR static void LOOP(divide_add_f32)(float *v, size_t n, float divisor, float summand)
{
    for (size_t i = 0; i < n; i++)
        v[i] = v[i] / divisor + summand;
}

LOOPS_FOR static void LOOP(divide_add_f64)(double *v, size_t n, double divisor, double summand)
{
    for (size_t i = 0; i < n; i++)
        v[i] = v[i] / divisor + summand;
}

LOOPS_FOR static void LOOP(subtract_multiply_f32)(float *v, size_t n, float minus, float factor)
{
    for (size_t i = 0; i < n; i++)
        v[i] = (v[i] - minus) * factor;
}

LOOPS_FOR static void LOOP(subtract_multiply_f64)(double *v, size_t n, double minus, double factor)
{
    for (size_t i = 0; i < n; i++)
        v[i] = (v[i] - minus) * factor;
}

LOOPS_FOR static void LOOP(round_even)(double *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        v[i] = rint(v[i]);
}

#define DIFFER(name, type)                                                                         \
    LOOPS_FOR static void LOOP(name)(const uint8_t *restrict p, uint8_t *restrict q, size_t n)     \
    {                                                                                              \
        for (size_t i = 1; i < n; i++) {                                                           \
            type a, b;                                                                             \
            memcpy(&a, p + (i - 1) * sizeof a, sizeof a);                                          \
            memcpy(&b, p + i * sizeof b, sizeof b);                                                \
            b = (type)(b - a);                                                                     \
            memcpy(q + i * sizeof b, &b, sizeof b);                                                \
        }                                                                                          \
    }

DIFFER(differ8, uint8_t)
DIFFER(differ16, uint16_t)
DIFFER(differ32, uint32_t)
DIFFER(differ64, uint64_t)

#undef LOAD
#undef STORE
#undef NARROW
#undef DIFFER
#undef LOOP
#undef LOOPS_FOR
