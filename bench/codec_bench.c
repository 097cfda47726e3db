/* bench/codec_bench.c: the codecs by themselves, for `bench/run.py codecs`.
 *
 *   chunkmill-codec-bench [MB [PART]]     one JSON line for each codec and direction
 *
 * {"codec": "delta <i4", "op": "decode", "gb_s": ...}: decoded bytes a second of CPU time of the
 * one thread, the best of several runs over a chunk of MB (16) that is in memory. "memcpy" is the
 * floor. The cells are those of peer.py: a wave of small steps, from a formula. PART: only codecs
 * whose names contain it.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "codec/codec.h"
#include "nd/box.h"
#include "nd/copy.h"

enum { RUNS = 9 };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void say(const char *codec, const char *op, size_t nbytes, double best, cm_kind kind,
                const char *config)
{
    char name[CM_DTYPE_NAME];
    printf(
        "{\"codec\": \"%s\", \"op\": \"%s\", \"gb_s\": %.3f, \"nbytes\": %zu, \"dtype\": \"%s\", "
        "\"config\": \"%s\"}\n",
        codec, op, (double)nbytes / 1e9 / best, nbytes,
        cm_dtype_name(cm_dtype_of(kind, 0), name, sizeof name), config);
    fflush(stdout);
}

static void die(const char *what, const cm_error *err)
{
    char line[2048];
    fprintf(stderr, "%s: %s\n", what, cm_error_line(err, line, sizeof line));
    exit(1);
}

static void fill(cm_kind kind, size_t n, void *out)
{
    for (size_t i = 0; i < n; i++) {
        long v = lrint(60 + 50 * sin((double)i / 100));
        switch (kind) {
        case CM_BOOL: ((uint8_t *)out)[i] = i % 7 == 0; break;
        case CM_UINT8: ((uint8_t *)out)[i] = (uint8_t)v; break;
        case CM_INT16: ((int16_t *)out)[i] = (int16_t)v; break;
        case CM_INT32: ((int32_t *)out)[i] = (int32_t)v; break;
        case CM_INT64: ((int64_t *)out)[i] = v; break;
        case CM_FLOAT32: ((float *)out)[i] = (float)v / 8; break;
        default: ((double *)out)[i] = (double)v / 8;
        }
    }
}

typedef struct {
    const char *name, *config; /* of one filter or compressor of version 2; version 3: a list */
    cm_kind kind;
} row;

/* numcodecs knows those of version 2. */
static const row rows[] = {
    {"shuffle 2", "{'id': 'shuffle', 'elementsize': 2}", CM_INT16},
    {"shuffle 4", "{'id': 'shuffle', 'elementsize': 4}", CM_INT32},
    {"shuffle 8", "{'id': 'shuffle', 'elementsize': 8}", CM_FLOAT64},
    {"delta u1", "{'id': 'delta', 'dtype': '|u1'}", CM_UINT8},
    {"delta i2", "{'id': 'delta', 'dtype': '<i2'}", CM_INT16},
    {"delta i4", "{'id': 'delta', 'dtype': '<i4'}", CM_INT32},
    {"delta i8", "{'id': 'delta', 'dtype': '<i8'}", CM_INT64},
    {"delta i4 big", "{'id': 'delta', 'dtype': '>i4'}", CM_INT32},
    {"delta i4 as i2", "{'id': 'delta', 'dtype': '<i4', 'astype': '<i2'}", CM_INT32},
    {"delta f4", "{'id': 'delta', 'dtype': '<f4'}", CM_FLOAT32},
    {"fixedscaleoffset f4 as i2",
     "{'id': 'fixedscaleoffset', 'dtype': '<f4', 'astype': '<i2', 'scale': 1000, 'offset': 0}",
     CM_FLOAT32},
    {"fixedscaleoffset f8 as u1",
     "{'id': 'fixedscaleoffset', 'dtype': '<f8', 'astype': '|u1', 'scale': 8, 'offset': 0}",
     CM_FLOAT64},
    {"quantize f4", "{'id': 'quantize', 'dtype': '<f4', 'digits': 3}", CM_FLOAT32},
    {"quantize f8 as f4", "{'id': 'quantize', 'dtype': '<f8', 'astype': '<f4', 'digits': 3}",
     CM_FLOAT64},
    {"bitround f4", "{'id': 'bitround', 'keepbits': 20}", CM_FLOAT32},
    {"astype i4 as i2", "{'id': 'astype', 'decode_dtype': '<i4', 'encode_dtype': '<i2'}", CM_INT32},
    {"astype f8 as f4", "{'id': 'astype', 'decode_dtype': '<f8', 'encode_dtype': '<f4'}",
     CM_FLOAT64},
    {"packbits", "{'id': 'packbits'}", CM_BOOL},
    {"crc32", "{'id': 'crc32'}", CM_INT32},
    {"crc32c", "{'id': 'crc32c'}", CM_INT32},
    {"adler32", "{'id': 'adler32'}", CM_INT32},
    {"fletcher32", "{'id': 'fletcher32'}", CM_INT32},
    {"jenkins_lookup3", "{'id': 'jenkins_lookup3'}", CM_INT32},
    {"base64", "{'id': 'base64'}", CM_INT32},
    {"json2 i4", "{'id': 'json2'}", CM_INT32},
    {"json2 f8", "{'id': 'json2'}", CM_FLOAT64},
    {"zstd 3", "{'id': 'zstd', 'level': 3}", CM_INT32},
    {"zlib 1", "{'id': 'zlib', 'level': 1}", CM_INT32},
    {"gzip 1", "{'id': 'gzip', 'level': 1}", CM_INT32},
    {"lz4", "{'id': 'lz4', 'acceleration': 1}", CM_INT32},
    {"bz2 1", "{'id': 'bz2', 'level': 1}", CM_INT32},
    {"lzma 0", "{'id': 'lzma', 'preset': 0}", CM_INT32},
    {"blosc lz4 shuffle",
     "{'id': 'blosc', 'cname': 'lz4', 'clevel': 5, 'shuffle': 1, 'blocksize': 0}", CM_INT32},
    {"blosc zstd bitshuffle",
     "{'id': 'blosc', 'cname': 'zstd', 'clevel': 3, 'shuffle': 2, 'blocksize': 0}", CM_INT32},
    {"blosc lz4hc noshuffle",
     "{'id': 'blosc', 'cname': 'lz4hc', 'clevel': 3, 'shuffle': 0, 'blocksize': 0}", CM_INT32},
    {"v3 packbits", "[{'name': 'packbits'}]", CM_BOOL},
    {"v3 scale_offset f4",
     "[{'name': 'scale_offset', 'configuration': {'scale': 8, 'offset': 1}}, {'name': 'bytes', "
     "'configuration': {'endian': 'little'}}]",
     CM_FLOAT32},
    {"v3 cast_value f4 to i2",
     "[{'name': 'scale_offset', 'configuration': {'scale': 8}}, {'name': 'cast_value', "
     "'configuration': {'data_type': 'int16'}}, {'name': 'bytes', 'configuration': {'endian': "
     "'little'}}]",
     CM_FLOAT32},
    {"v3 delta, big-endian bytes",
     "[{'name': 'numcodecs.delta', 'configuration': {'dtype': '<i4'}}, {'name': 'bytes', "
     "'configuration': {'endian': 'big'}}]",
     CM_INT32},
};

static cm_chain *parse(const row *r, int64_t n)
{
    char text[1024];
    cm_error err = {0};
    cm_json_doc *doc = NULL;
    cm_chain *c = NULL;
    bool v3 = r->config[0] == '[';
    snprintf(text, sizeof text, v3 ? "%s" : "[%s]", r->config);
    for (char *p = text; *p; p++)
        if (*p == '\'')
            *p = '"';
    if (cm_json_parse(text, strlen(text), 0, &doc, &err))
        die(r->name, &err);
    bool big = strstr(text, "\">") != NULL;
    if (v3 ? cm_chain_parse_v3(cm_json_doc_root(doc), cm_dtype_of(r->kind, 0), 1, &n, &c, &err)
           : cm_chain_parse_v2(cm_json_doc_root(doc), NULL, 'C', big, cm_dtype_of(r->kind, 0), 1,
                               &n, &c, &err))
        die(r->name, &err);
    cm_json_doc_free(doc);
    return c;
}

static void measure(const row *r, size_t nbytes)
{
    size_t size = cm_dtype_of(r->kind, 0).size, n = nbytes / size;
    cm_error err = {0};
    cm_codec_work *work;
    cm_chain *c = parse(r, (int64_t)n);
    size_t room = cm_chain_bound(c, nbytes), nenc = 0, ndec = 0;
    uint8_t *cells = malloc(nbytes), *back = malloc(nbytes), *enc = malloc(room);
    void *middle = malloc(cm_chain_middle_nbytes(c, nbytes) + 1);
    if (!cells || !back || !enc || !middle || cm_codec_work_new(&work, &err))
        die("memory", &err);
    fill(r->kind, n, cells);
    if (c->big_endian)
        cm_swap_bytes(cells, nbytes, (uint32_t)size);
    memset(back, 1, nbytes);
    memset(enc, 1, room);
    double best[2] = {1e9, 1e9}, spent = 0;
    for (int k = 0; k < RUNS && (k < 2 || spent < 0.5); k++) {
        double t = now();
        if (cm_chain_encode(c, work, cells, nbytes, enc, room, &nenc, middle, &err))
            die(r->name, &err);
        double u = now();
        if (cm_chain_decode(c, work, 0, enc, nenc, back, nbytes, &ndec, middle, &err))
            die(r->name, &err);
        double v = now();
        spent += v - t;
        best[0] = u - t < best[0] ? u - t : best[0];
        best[1] = v - u < best[1] ? v - u : best[1];
    }
    if (memcmp(cells, back, nbytes) != 0)
        fprintf(stderr, "%s: not the same\n", r->name), exit(1);
    say(r->name, "encode", nbytes, best[0], r->kind, r->config);
    say(r->name, "decode", nbytes, best[1], r->kind, r->config);
    free(cells);
    free(back);
    free(enc);
    free(middle);
    cm_codec_work_free(work);
    cm_chain_unref(c);
}

/* What the engine itself does to cells, and the floor. */
static void measure_copies(size_t nbytes)
{
    uint8_t *a = malloc(nbytes), *b = malloc(nbytes);
    double best[4] = {1e9, 1e9, 1e9, 1e9};
    int64_t shape[2] = {1024, (int64_t)(nbytes / 4 / 1024)}, from[2], to[2] = {4, 4096}, one = 0;
    static const char *const names[] = {"memcpy", "byte swap 4", "byte swap 8", "transpose 4"};
    if (!a || !b)
        exit(1);
    memset(a, 1, nbytes);
    memset(b, 2, nbytes);
    cm_strides_c(2, shape, 4, from);
    for (int k = 0; k < RUNS; k++)
        for (int what = 0; what < 4; what++) {
            int64_t n = (int64_t)(nbytes / (what == 2 ? 8 : 4)), step = what == 2 ? 8 : 4;
            double t = now();
            if (what == 0)
                memcpy(b, a, nbytes);
            else if (what < 3)
                cm_nd_copy(1, &n, (size_t)step, b, &step, a, &step, (uint32_t)step);
            else
                cm_nd_copy(2, shape, 4, b, to, a, from, 0);
            t = now() - t;
            best[what] = t < best[what] ? t : best[what];
            one += b[(size_t)k];
        }
    for (int what = 0; what < 4 && one; what++)
        say(names[what], "both", nbytes, best[what], CM_UINT8, "");
    free(a);
    free(b);
}

int main(int argc, char **argv)
{
    size_t nbytes = (argc > 1 ? strtoul(argv[1], NULL, 10) : 16) << 20;
    const char *part = argc > 2 ? argv[2] : "";
    measure_copies(nbytes);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (strstr(rows[i].name, part))
            measure(&rows[i], nbytes);
    return 0;
}
