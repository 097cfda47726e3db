/* Chains: parsing v3 and v2 metadata, describing, text, comparing, and running stages with middle
 * buffers, checksums and skip masks. */
#include "tap.h"

#include <zstd.h>

#include "codec/codec_private.h"
#include "faults.h"

static uint64_t seed;
static cm_error err;

static cm_dtype of(cm_kind kind)
{
    return cm_dtype_of(kind, 0);
}

static cm_json_doc *json(const char *text)
{
    cm_json_doc *doc = NULL;
    char *s = strdup(text);
    for (char *p = s; *p; p++) /* so that the texts here are readable */
        if (*p == '\'')
            *p = '"';
    TAP_CALL(cm_json_parse(s, strlen(s), 0, &doc, &err), &err);
    free(s);
    return doc;
}

static int parse3(const char *text, cm_dtype dtype, int ndim, const int64_t *shape, cm_chain **out)
{
    cm_json_doc *doc = json(text);
    cm_error_clear(&err);
    int r = cm_chain_parse_v3(cm_json_doc_root(doc), dtype, ndim, shape, out, &err);
    TAP_OK((r != 0) == (err.code != 0) && r == err.code);
    cm_json_doc_free(doc);
    return r;
}

/* The v3 metadata of a chain as one line of JSON. */
static char *described(const cm_chain *chain)
{
    cm_json_doc *doc;
    char *text = NULL;
    size_t n;
    TAP_CALL(cm_json_doc_new(0, &doc, &err), &err);
    cm_json *v = cm_chain_describe_v3(chain, doc);
    TAP_OK(v != NULL);
    TAP_CALL(cm_json_write(v, 0, &text, &n, &err), &err);
    cm_json_doc_free(doc);
    return text;
}

/* Parses, says `text`, and is described as `as` (NULL: as it came); what is described parses again
 * to an identical chain. */
static void check3(const char *codecs, const char *as, const char *text, cm_dtype dtype, int ndim,
                   const int64_t *shape)
{
    cm_chain *c = NULL, *again = NULL;
    int r = parse3(codecs, dtype, ndim, shape, &c);
    TAP_EQ(r, 0);
    if (r) {
        printf("# %s: %s\n", codecs, err.message);
        return;
    }
    char *want = strdup(as ? as : codecs);
    for (char *p = want; *p; p++)
        *p = *p == '\'' ? '"' : *p;
    char *got = described(c), *line = cm_chain_text(c, &err);
    TAP_STR(got, want);
    TAP_STR(line, text);
    TAP_EQ(parse3(got, dtype, ndim, shape, &again), 0);
    TAP_OK(cm_chain_identical(c, again) && cm_chain_equal(again, c));
    cm_chain_unref(c);
    cm_chain_unref(again);
    free(want);
    free(got);
    free(line);
}

static const int64_t cube[] = {4, 6, 8};

#define LITTLE "{'name': 'bytes', 'configuration': {'endian': 'little'}}"

static void v3_metadata_come_back(void)
{
    check3("[" LITTLE "]", NULL, "none", of(CM_FLOAT32), 3, cube);
    check3("[{'name': 'bytes'}]", NULL, "none", of(CM_INT8), 3, cube);
    check3("['bytes']", "[{'name': 'bytes'}]", "none", of(CM_BOOL), 3, cube);
    check3("[{'name': 'bytes', 'configuration': {'endian': 'big'}}]", NULL, "big-endian",
           of(CM_INT16), 0, NULL);
    check3("[" LITTLE ", {'name': 'blosc', 'configuration': {'typesize': 4, 'cname': 'zstd', "
           "'clevel': 5, 'shuffle': 'shuffle', 'blocksize': 0}}]",
           NULL, "blosc(zstd:5,shuffle,4)", of(CM_FLOAT32), 3, cube);
    check3("[" LITTLE ", {'name': 'zstd', 'configuration': {'level': 0, 'checksum': false}}]", NULL,
           "zstd:0", of(CM_FLOAT32), 3, cube);
    check3("[" LITTLE ", 'zstd', 'crc32c']",
           "[" LITTLE ", {'name': 'zstd', 'configuration': {'level': 0, 'checksum': false}}, "
           "{'name': 'crc32c'}]",
           "zstd:0 crc32c", of(CM_FLOAT32), 3, cube);
    check3("[" LITTLE ", {'name': 'gzip', 'configuration': {'level': 1}}]", NULL, "gzip:1",
           of(CM_FLOAT64), 3, cube);
    check3("[{'name': 'transpose', 'configuration': {'order': [1, 2, 0]}}, " LITTLE "]", NULL,
           "transpose(1,2,0)", of(CM_FLOAT64), 3, cube);
    check3("[{'name': 'transpose', 'configuration': {'order': 'F'}}, " LITTLE "]",
           "[{'name': 'transpose', 'configuration': {'order': [2, 1, 0]}}, " LITTLE "]",
           "transpose(2,1,0)", of(CM_FLOAT64), 3, cube);
    check3("[{'name': 'transpose', 'configuration': {'order': 'C'}}, " LITTLE "]", "[" LITTLE "]",
           "none", of(CM_FLOAT64), 3, cube);
    check3("[{'name': 'vlen-utf8', 'configuration': {}}, {'name': 'zstd', 'configuration': "
           "{'level': 3, 'checksum': true}}]",
           NULL, "vlen-utf8 zstd(3,checksum)", of(CM_STRING), 3, cube);
    check3("[" LITTLE ", {'name': 'numcodecs.shuffle', 'configuration': {'elementsize': 8}}, "
           "{'name': 'numcodecs.zlib', 'configuration': {'level': 4}}, "
           "{'name': 'numcodecs.fletcher32', 'configuration': {}}]",
           NULL, "shuffle:8 zlib:4 fletcher32", of(CM_FLOAT64), 3, cube);
    check3("[" LITTLE ", {'name': 'numcodecs.lz4', 'configuration': {'acceleration': 2}}]", NULL,
           "lz4:2", of(CM_FLOAT64), 3, cube);
}

static void v3_names_of_numcodecs(void)
{
    check3("[" LITTLE
           ", {'name': 'numcodecs.blosc', 'configuration': {'cname': 'lz4', 'clevel': 5, "
           "'shuffle': -1, 'blocksize': 0}}]",
           "[" LITTLE ", {'name': 'blosc', 'configuration': {'typesize': 2, 'cname': 'lz4', "
           "'clevel': 5, 'shuffle': 'shuffle', 'blocksize': 0}}]",
           "blosc(lz4:5,shuffle,2)", of(CM_INT16), 3, cube);
    check3("[" LITTLE ", {'name': 'numcodecs.zstd', 'configuration': {'level': 7}}]",
           "[" LITTLE ", {'name': 'zstd', 'configuration': {'level': 7, 'checksum': false}}]",
           "zstd:7", of(CM_INT16), 3, cube);
    check3("[" LITTLE ", {'name': 'numcodecs.crc32c', 'configuration': {'location': 'start'}}]",
           NULL, "crc32c(start)", of(CM_INT16), 3, cube);
    check3("[" LITTLE ", {'name': 'numcodecs.shuffle', 'configuration': {'elementsize': null}}, "
           "{'name': 'zlib', 'configuration': {'level': 1}}]",
           "[" LITTLE ", {'name': 'numcodecs.shuffle', 'configuration': {'elementsize': 2}}, "
           "{'name': 'numcodecs.zlib', 'configuration': {'level': 1}}]",
           "shuffle:2 zlib:1", of(CM_INT16), 3, cube);
    check3("[" LITTLE ", {'name': 'shuffle', 'configuration': {'elementsize': 4}}, 'lz4']",
           "[" LITTLE ", {'name': 'numcodecs.shuffle', 'configuration': {'elementsize': 4}}, "
           "{'name': 'numcodecs.lz4', 'configuration': {'acceleration': 1}}]",
           "shuffle:4 lz4:1", of(CM_INT16), 3, cube);
}

#define SHARD(shape, codecs, where)                                                                \
    "{'name': 'sharding_indexed', 'configuration': {'chunk_shape': " shape ", 'codecs': " codecs   \
    ", 'index_codecs': [" LITTLE ", {'name': 'crc32c'}], 'index_location': '" where "'}}"

static void v3_sharding(void)
{
    check3("[" SHARD("[2, 3, 4]", "[" LITTLE "]", "end") "]", NULL, "shard[2,3,4](none)",
           of(CM_FLOAT32), 3, cube);
    check3("[" SHARD("[4, 3, 8]",
                     "[" SHARD("[2, 3, 4]",
                               "[" LITTLE ", {'name': 'gzip', 'configuration': {'level': 2}}]",
                               "start") "]",
                     "end") "]",
           NULL, "shard[4,3,8](shard[2,3,4](gzip:2))", of(CM_FLOAT32), 3, cube);
    /* After a transpose the shard's axes are the stored ones: it becomes one of transposed chunks.
     */
    const char *turned = "[{'name': 'transpose', 'configuration': {'order': [2, 0, 1]}}, " SHARD(
        "[8, 2, 3]", "[" LITTLE "]", "end") "]";
    const char *straight =
        "[{'name': 'sharding_indexed', 'configuration': {'chunk_shape': [2, 3, 8], 'codecs': "
        "[{'name': 'transpose', 'configuration': {'order': [2, 0, 1]}}, " LITTLE
        "], 'index_codecs': [{'name': 'transpose', 'configuration': {'order': [2, 0, 1, "
        "3]}}, " LITTLE ", {'name': 'crc32c'}], 'index_location': 'end'}}]";
    check3(turned, straight, "shard[2,3,8](transpose(2,0,1))", of(CM_FLOAT32), 3, cube);
    check3(straight, NULL, "shard[2,3,8](transpose(2,0,1))", of(CM_FLOAT32), 3, cube);
    cm_chain *c;
    TAP_EQ(parse3(turned, of(CM_FLOAT32), 3, cube, &c), 0);
    TAP_OK(!c->transposed && c->inner->transposed && c->index->transposed);
    TAP_EQ(c->index->ndim, 4);
    TAP_EQ(c->index->shape[0], 2);
    TAP_EQ(c->index->shape[1], 2);
    TAP_EQ(c->index->shape[2], 1);
    TAP_EQ(c->index->shape[3], 2);
    TAP_EQ(cm_chain_fixed_nbytes(c->index), 4 * 16 + 4);
    TAP_EQ(cm_chain_fixed_nbytes(c), 0);
    TAP_EQ(cm_chain_stored_nbytes(c->inner), 8 * 2 * 3 * 4);
    cm_chain_unref(c);
}

static void shards_around_a_chunk(void)
{
    static const char *const chunks[] = {"[{'name': 'vlen-utf8'}, 'zstd']", "['bytes']"};
    static const cm_kind kinds[] = {CM_STRING, CM_INT8};
    const int64_t chunk[] = {2, 3, 8}, odd[] = {4, 5, 8};
    for (int i = 0; i < 2; i++) {
        cm_chain *inner, *shard = NULL, *again;
        TAP_EQ(parse3(chunks[i], of(kinds[i]), 3, chunk, &inner), 0);
        TAP_EQ(cm_chain_new_sharding(cm_chain_ref(inner), odd, &shard, &err), CM_EINVAL);
        TAP_CALL(cm_chain_new_sharding(inner, cube, &shard, &err), &err);
        char *text = described(shard);
        TAP_EQ(parse3(text, of(kinds[i]), 3, cube, &again), 0);
        TAP_OK(cm_chain_identical(shard, again));
        free(text);
        cm_chain_unref(shard);
        cm_chain_unref(again);
    }
}

static void two_transposes_are_one(void)
{
    cm_chain *c;
    TAP_EQ(parse3("[{'name': 'transpose', 'configuration': {'order': [1, 2, 0]}}, {'name': "
                  "'transpose', 'configuration': {'order': [1, 0, 2]}}, " LITTLE "]",
                  of(CM_FLOAT32), 3, cube, &c),
           0);
    /* B[i] = A[1,2,0]; C[i] = B[1,0,2] = A[2,1,0] */
    TAP_OK(c->transposed && c->order[0] == 2 && c->order[1] == 1 && c->order[2] == 0);
    cm_chain_unref(c);
    TAP_EQ(parse3("[{'name': 'transpose', 'configuration': {'order': [1, 2, 0]}}, {'name': "
                  "'transpose', 'configuration': {'order': [2, 0, 1]}}, " LITTLE "]",
                  of(CM_FLOAT32), 3, cube, &c),
           0);
    TAP_OK(!c->transposed);
    cm_chain_unref(c);
}

static void must_understand(void)
{
    check3("[" LITTLE ", {'name': 'x.fancy', 'configuration': {'a': 1}, 'must_understand': false}]",
           "[" LITTLE "]", "none", of(CM_FLOAT32), 3, cube);
    check3("[" LITTLE ", {'name': 'zstd', 'configuration': {'level': 1, 'checksum': false, 'x': "
           "{'must_understand': false}}, 'must_understand': true}]",
           "[" LITTLE ", {'name': 'zstd', 'configuration': {'level': 1, 'checksum': false}}]",
           "zstd:1", of(CM_FLOAT32), 3, cube);
}

static void bad_v3_metadata(void)
{
    static const struct {
        const char *codecs;
        int code;
        const char *part; /* of the message */
        cm_kind kind;
    } bad[] = {
        {"{}", CM_EDATA, "not a list", CM_INT16},
        {"[]", CM_EDATA, "no codec that makes bytes", CM_INT16},
        {"[3]", CM_EDATA, "neither a name nor", CM_INT16},
        {"[{}]", CM_EDATA, "no name", CM_INT16},
        {"['bytes\\u0000x']", CM_EDATA, "no name", CM_INT8},
        {"['bytes']", CM_EDATA, "endian is missing for int16", CM_INT16},
        {"[{'name': 'bytes', 'configuration': {'endian': 'middle'}}]", CM_EDATA, "middle", CM_INT8},
        {"[{'name': 'bytes', 'configuration': {'endian': 3}}]", CM_EDATA, "endian", CM_INT8},
        {"[{'name': 'bytes', 'configuration': []}]", CM_EDATA, "not an object", CM_INT8},
        {"[{'name': 'bytes', 'configuration': {'size': 3}}]", CM_EUNSUP, "\"size\"", CM_INT8},
        {"[{'name': 'bytes', 'shape': 3}]", CM_EUNSUP, "\"shape\"", CM_INT8},
        {"[{'name': 'bytes', 'must_understand': 3}]", CM_EDATA, "must_understand", CM_INT8},
        {"['bytes', 'bytes']", CM_EDATA, "takes an array", CM_INT8},
        {"['bytes', {'name': 'transpose', 'configuration': {'order': [0, 1, 2]}}]", CM_EDATA,
         "takes an array", CM_INT8},
        {"['zstd', 'bytes']", CM_EDATA, "takes bytes", CM_INT8},
        {"['bytes', 'vlen-utf8']", CM_EDATA, "takes an array", CM_INT8},
        {"['vlen-utf8']", CM_EDATA, "cannot hold int8", CM_INT8},
        {"['vlen-bytes']", CM_EDATA, "cannot hold string", CM_STRING},
        {"['vlen-utf8']", CM_EDATA, "cannot hold variable_length_bytes", CM_VBYTES},
        {"['bytes']", CM_EDATA, "vlen-bytes can", CM_VBYTES},
        {"['bytes']", CM_EDATA, "variable-length", CM_STRING},
        {"['bytes', 'bz3']", CM_EUNSUP, "\"bz3\"", CM_INT8},
        {"['numcodecs.packbits', 'bytes']", CM_EUNSUP, "not bool", CM_INT8},
        {"['transpose', 'bytes']", CM_EDATA, "order", CM_INT8},
        {"[{'name': 'transpose', 'configuration': {'order': [0, 1]}}, 'bytes']", CM_EDATA, "order",
         CM_INT8},
        {"[{'name': 'transpose', 'configuration': {'order': [0, 1, 1]}}, 'bytes']", CM_EDATA,
         "permutation", CM_INT8},
        {"[{'name': 'transpose', 'configuration': {'order': [0, 1, 3]}}, 'bytes']", CM_EDATA,
         "permutation", CM_INT8},
        {"[{'name': 'transpose', 'configuration': {'order': [0, 1, -1]}}, 'bytes']", CM_EDATA,
         "permutation", CM_INT8},
        {"[{'name': 'transpose', 'configuration': {'order': 'A'}}, 'bytes']", CM_EDATA, "order",
         CM_INT8},
        {"['bytes', {'name': 'zstd', 'configuration': {'level': 23}}]", CM_EDATA, "level 23",
         CM_INT8},
        {"['bytes', {'name': 'zstd', 'configuration': {'level': 1.5}}]", CM_EDATA, "level",
         CM_INT8},
        {"['bytes', {'name': 'zstd', 'configuration': {'id': 'zstd'}}]", CM_EUNSUP, "\"id\"",
         CM_INT8},
        {"['bytes', {'name': 'zstd', 'configuration': {'checksum': 1}}]", CM_EDATA, "checksum",
         CM_INT8},
        {"['bytes', {'name': 'gzip', 'configuration': {'level': 10}}]", CM_EDATA, "level 10",
         CM_INT8},
        {"['bytes', {'name': 'blosc', 'configuration': {'cname': 'zstd', 'clevel': 5}}]", CM_EDATA,
         "shuffle is missing", CM_INT8},
        {"['bytes', {'name': 'blosc', 'configuration': {'cname': 'zstd', 'clevel': 5, 'shuffle': "
         "'shuffle'}}]",
         CM_EDATA, "typesize", CM_INT8},
        {"['bytes', {'name': 'blosc', 'configuration': {'cname': 'lz77', 'clevel': 5, 'shuffle': "
         "'noshuffle'}}]",
         CM_EDATA, "lz77", CM_INT8},
        {"['bytes', {'name': 'blosc', 'configuration': {'cname': 'lz4', 'clevel': 5, 'shuffle': "
         "1}}]",
         CM_EDATA, "shuffle", CM_INT8},
        {"['bytes', {'name': 'crc32c', 'configuration': {'location': 'start'}}]", CM_EUNSUP,
         "location", CM_INT8},
        {"[" SHARD("[3, 3, 4]", "['bytes']", "end") "]", CM_EDATA, "does not divide", CM_INT8},
        {"[" SHARD("[0, 3, 4]", "['bytes']", "end") "]", CM_EDATA, "chunk length", CM_INT8},
        {"[" SHARD("[2, 3]", "['bytes']", "end") "]", CM_EDATA, "chunk_shape", CM_INT8},
        {"[" SHARD("[2, 3, 4]", "[]", "end") "]", CM_EDATA, "makes bytes", CM_INT8},
        {"[" SHARD("[2, 3, 4]", "['bytes']", "middle") "]", CM_EDATA, "index_location", CM_INT8},
        {"[{'name': 'sharding_indexed', 'configuration': {'chunk_shape': [2, 3, 4], 'codecs': "
         "['bytes'], 'index_codecs': [" LITTLE ", 'zstd']}}]",
         CM_EDATA, "fixed size", CM_INT8},
        {"[{'name': 'sharding_indexed', 'configuration': {'chunk_shape': [2, 3, 4], 'codecs': "
         "['bytes'], 'index_codecs': ['bytes']}}]",
         CM_EDATA, "index_codecs", CM_INT8},
        {"[{'name': 'sharding_indexed', 'configuration': {'chunk_shape': [2, 3, 4], 'codecs': "
         "['bytes']}}]",
         CM_EDATA, "index_codecs", CM_INT8},
        {"[{'name': 'sharding_indexed', 'configuration': {'chunk_shape': [2, 3, 4], 'codecs': "
         "['bytes'], 'index_codecs': [" LITTLE "], 'order': 'morton'}}]",
         CM_EUNSUP, "\"order\"", CM_INT8},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        cm_chain *c = NULL;
        int r = parse3(bad[i].codecs, of(bad[i].kind), 3, cube, &c);
        TAP_EQ(r, bad[i].code);
        TAP_OK(c == NULL);
        if (r != bad[i].code || !strstr(err.message, bad[i].part)) {
            TAP_OK(strstr(err.message, bad[i].part));
            printf("# %s: %s\n", bad[i].codecs, err.message);
        }
    }
    const int64_t huge[] = {INT64_MAX / 2, 4, 4}, zero[] = {3, 0};
    cm_chain *c;
    TAP_EQ(parse3("['bytes']", of(CM_INT8), 3, huge, &c), CM_ELIMIT);
    TAP_EQ(parse3("['bytes']", of(CM_INT8), 2, zero, &c), CM_EDATA);
}

static void sharding_is_not_endlessly_deep(void)
{
    char text[8192] = "['bytes']", next[8192 + 256];
    cm_chain *c;
    int depth = 0, r = 0;
    for (; depth < 14 && r == 0; depth++) {
        snprintf(
            next, sizeof next,
            "[{'name': 'sharding_indexed', 'configuration': {'chunk_shape': [1], 'codecs': %s, "
            "'index_codecs': [" LITTLE "]}}]",
            text);
        memcpy(text, next, sizeof text);
        r = parse3(text, of(CM_INT8), 1, (const int64_t[]){1}, &c);
        if (r == 0)
            cm_chain_unref(c);
    }
    TAP_EQ(r, CM_EUNSUP);
    TAP_EQ(depth, 9);
}

/* ---- v2 -------------------------------------------------------------------------------------- */

static int parse2(const char *filters, const char *compressor, char order, cm_dtype dtype,
                  cm_chain **out)
{
    cm_json_doc *f = json(filters), *c = json(compressor);
    cm_error_clear(&err);
    int r = cm_chain_parse_v2(cm_json_doc_root(f), cm_json_doc_root(c), order, false, dtype, 3,
                              cube, out, &err);
    TAP_OK((r != 0) == (err.code != 0) && r == err.code);
    cm_json_doc_free(f);
    cm_json_doc_free(c);
    return r;
}

static void check2(const char *filters, const char *compressor, char order, cm_dtype dtype,
                   const char *text)
{
    cm_chain *c = NULL;
    int r = parse2(filters, compressor, order, dtype, &c);
    TAP_EQ(r, 0);
    if (r) {
        printf("# %s\n", err.message);
        return;
    }
    char *line = cm_chain_text(c, &err);
    TAP_STR(line, text);
    free(line);
    cm_chain_unref(c);
}

static void v2_metadata(void)
{
    check2("null", "null", 'C', of(CM_FLOAT32), "none");
    check2("[]", "{'id': 'zlib', 'level': 9}", 'F', of(CM_FLOAT32), "transpose(2,1,0) zlib:9");
    check2("null", "{'id': 'blosc', 'cname': 'lz4', 'clevel': 5, 'shuffle': 1, 'blocksize': 0}",
           'C', of(CM_FLOAT64), "blosc(lz4:5,shuffle,8)");
    check2("null",
           "{'id': 'blosc', 'cname': 'zstd', 'clevel': 1, 'shuffle': -1, 'blocksize': 9000}", 'C',
           of(CM_INT8), "blosc(zstd:1,bitshuffle,1,block 9000)");
    check2("null", "{'id': 'blosc', 'cname': 'zstd', 'clevel': 1, 'shuffle': 0}", 'C', of(CM_INT8),
           "blosc(zstd:1,noshuffle)");
    check2("[{'id': 'shuffle', 'elementsize': 4}, {'id': 'fletcher32'}]", "{'id': 'zstd'}", 'C',
           of(CM_FLOAT32), "shuffle:4 fletcher32 zstd:0");
    check2("[{'id': 'shuffle'}, {'id': 'zlib'}]",
           "{'id': 'blosc', 'cname': 'lz4', 'clevel': 5, 'shuffle': -1, 'blocksize': 0}", 'C',
           of(CM_FLOAT64), "shuffle:4 zlib:1 blosc(lz4:5,bitshuffle,1)");
    check2("[{'id': 'crc32c'}]", "{'id': 'lz4', 'acceleration': -1}", 'C', of(CM_FLOAT32),
           "crc32c lz4:0");
    check2("[{'id': 'crc32c', 'location': 'start'}]", "{'id': 'gzip', 'level': -1}", 'C',
           of(CM_FLOAT32), "crc32c(start) gzip:6");
    check2("[{'id': 'vlen-utf8'}]", "{'id': 'zstd', 'level': 1}", 'C', of(CM_STRING),
           "vlen-utf8 zstd:1");
    cm_chain *c;
    TAP_EQ(parse2("[{'id': 'packbits'}]", "null", 'C', of(CM_FLOAT32), &c), CM_EUNSUP);
    TAP_OK(strstr(err.message, "packbits"));
    TAP_EQ(parse2("null", "{'id': 'lzma2'}", 'C', of(CM_FLOAT32), &c), CM_EUNSUP);
    TAP_OK(strstr(err.message, "lzma2") && strstr(err.hint, "zstd"));
    TAP_EQ(parse2("[{'id': 'pickle'}]", "null", 'C', of(CM_STRING), &c), CM_EUNSUP);
    TAP_OK(strstr(err.message, "pickle") && strstr(err.hint, "run code"));
    TAP_EQ(parse2("null", "null", 'C', of(CM_STRING), &c), CM_EDATA);
    TAP_EQ(parse2("[{'id': 'vlen-utf8'}]", "null", 'C', of(CM_INT8), &c), CM_EUNSUP);
    TAP_EQ(parse2("{}", "null", 'C', of(CM_INT8), &c), CM_EDATA);
    TAP_EQ(parse2("[1]", "null", 'C', of(CM_INT8), &c), CM_EDATA);
    TAP_EQ(parse2("null", "'zlib'", 'C', of(CM_INT8), &c), CM_EDATA);
    TAP_EQ(parse2("null", "{'id': 'zlib', 'wbits': 3}", 'C', of(CM_INT8), &c), CM_EUNSUP);
    TAP_EQ(parse2("null", "null", 'K', of(CM_INT8), &c), CM_EDATA);
}

static void v2_descriptions(void)
{
    static const struct {
        const char *spec, *want;
    } some[] = {
        {"zstd:5", "{\"id\": \"zstd\", \"level\": 5}"},
        {"blosc:lz4:3:bitshuffle", "{\"id\": \"blosc\", \"cname\": \"lz4\", \"clevel\": 3, "
                                   "\"shuffle\": 2, \"blocksize\": 0}"},
        {"zlib:2", "{\"id\": \"zlib\", \"level\": 2}"},
        {"gzip:2", "{\"id\": \"gzip\", \"level\": 2}"},
        {"lz4:7", "{\"id\": \"lz4\", \"acceleration\": 7}"},
    };
    for (int i = 0; i < 5; i++) {
        cm_codec *c;
        cm_json_doc *doc;
        char *text;
        size_t n;
        TAP_CALL(cm_codec_from_spec(some[i].spec, of(CM_FLOAT32), &c, &err), &err);
        TAP_CALL(cm_json_doc_new(0, &doc, &err), &err);
        TAP_CALL(cm_json_write(c->cls->describe(c, doc, CM_ZARR2), 0, &text, &n, &err), &err);
        TAP_STR(text, some[i].want);
        free(text);
        cm_json_doc_free(doc);
        cm_codec_free(c);
    }
}

static void specs_of_the_command_line(void)
{
    static const struct {
        const char *spec;
        cm_kind kind;
        const char *text; /* NULL: refused */
    } some[] = {
        {"none", CM_FLOAT32, "none"},
        {"zstd", CM_FLOAT32, "zstd:3"},
        {"zstd:-5", CM_FLOAT32, "zstd:-5"},
        {"gzip:6", CM_FLOAT32, "gzip:6"},
        {"zlib:0", CM_FLOAT32, "zlib:0"},
        {"lz4", CM_FLOAT32, "lz4:1"},
        {"blosc", CM_FLOAT64, "blosc(zstd:5,shuffle,8)"},
        {"blosc:zstd:5:shuffle", CM_FLOAT32, "blosc(zstd:5,shuffle,4)"},
        {"blosc:lz4hc:9", CM_INT8, "blosc(lz4hc:9,bitshuffle,1)"},
        {"blosc:blosclz", CM_STRING, "blosc(blosclz:5,noshuffle)"},
        {"", CM_FLOAT32, NULL},
        {"zstd:", CM_FLOAT32, NULL},
        {":3", CM_FLOAT32, NULL},
        {"zstd:3x", CM_FLOAT32, NULL},
        {"zstd:99", CM_FLOAT32, NULL},
        {"zstd:99999999999999999999", CM_FLOAT32, NULL},
        {"zstd:3:4", CM_FLOAT32, NULL},
        {"gzip:10", CM_FLOAT32, NULL},
        {"none:1", CM_FLOAT32, NULL},
        {"lzma", CM_FLOAT32, NULL},
        {"blosc:zstd:5:shuffle:4", CM_FLOAT32, NULL},
        {"blosc:zstd:5:shuffled", CM_FLOAT32, NULL},
        {"blosc:zst", CM_FLOAT32, NULL},
    };
    for (size_t i = 0; i < sizeof some / sizeof some[0]; i++) {
        cm_codec *c = NULL;
        cm_error_clear(&err);
        int r = cm_codec_from_spec(some[i].spec, of(some[i].kind), &c, &err);
        TAP_EQ(r, some[i].text ? 0 : CM_EINVAL);
        if (r || !c) {
            TAP_OK(r ? some[i].text == NULL : strcmp(some[i].text, "none") == 0);
            continue;
        }
        cm_chain *chain;
        TAP_CALL(cm_chain_new(of(CM_INT8), 0, NULL, &chain, &err), &err);
        TAP_CALL(cm_chain_append(chain, c, &err), &err);
        char *text = cm_chain_text(chain, &err);
        TAP_STR(text, some[i].text);
        free(text);
        cm_chain_unref(chain);
    }
}

/* ---- running --------------------------------------------------------------------------------- */

static cm_codec *random_codec(uint64_t *state)
{
    cm_codec *c = NULL;
    switch (tap_random(state) % 8) {
    case 0: TAP_CALL(cm_codec_new_zstd(1, false, &c, &err), &err); break;
    case 1: TAP_CALL(cm_codec_new_gzip(1, &c, &err), &err); break;
    case 2: TAP_CALL(cm_codec_new_zlib(4, &c, &err), &err); break;
    case 3: TAP_CALL(cm_codec_new_lz4(1, &c, &err), &err); break;
    case 4: TAP_CALL(cm_codec_new_crc32c(&c, &err), &err); break;
    case 5: TAP_CALL(cm_codec_new_fletcher32(&c, &err), &err); break;
    case 6:
        TAP_CALL(cm_codec_new_shuffle((uint32_t)(1 + tap_random(state) % 9), &c, &err), &err);
        break;
    default: TAP_CALL(cm_codec_new_blosc("lz4", 5, 1, 4, 0, &c, &err), &err); break;
    }
    return c;
}

/* Encode with the stages of `mask` left out by a chain that lacks them; decode with the whole chain
 * and the skip mask. Buffers are exactly as large as the contract asks, so asan sees one byte more.
 */
static void random_chains_come_back(void)
{
    uint64_t state = seed;
    cm_codec_work *work;
    TAP_CALL(cm_codec_work_new(&work, &err), &err);
    for (int round = 0; round < 600; round++) {
        int64_t n = (int64_t)(tap_random(&state) % 3000) + 1;
        uint64_t codecs_state = tap_random(&state), copy = codecs_state;
        int nstages = (int)(tap_random(&state) % 6);
        uint32_t mask = round % 2 ? (uint32_t)tap_random(&state) : 0;
        cm_chain *whole, *part;
        TAP_CALL(cm_chain_new(of(CM_UINT8), 1, &n, &whole, &err), &err);
        TAP_CALL(cm_chain_new(of(CM_UINT8), 1, &n, &part, &err), &err);
        for (int i = 0; i < nstages; i++) {
            TAP_CALL(cm_chain_append(whole, random_codec(&codecs_state), &err), &err);
            cm_codec *c = random_codec(&copy);
            if (mask >> i & 1)
                cm_codec_free(c);
            else
                TAP_CALL(cm_chain_append(part, c, &err), &err);
        }
        size_t size = (size_t)n, bound = cm_chain_bound(part, size), nenc, ndec;
        uint8_t *data = malloc(size), *enc = malloc(bound), *dec = malloc(size);
        void *middle =
            malloc(cm_chain_middle_nbytes(part, size) + !cm_chain_middle_nbytes(part, size));
        for (size_t i = 0; i < size; i++)
            data[i] = (uint8_t)(i % 50 < 30 ? i / 5 : tap_random(&state));
        TAP_CALL(cm_chain_encode(part, work, data, size, enc, bound, &nenc, middle, &err), &err);
        TAP_OK(nenc <= bound);
        size_t fixed = cm_chain_fixed_nbytes(part);
        if (fixed)
            TAP_EQ(nenc, fixed);
        free(middle);
        size_t nmiddle = cm_chain_middle_nbytes(whole, size);
        middle = nmiddle ? malloc(nmiddle) : NULL;
        int before = tap_failed_here;
        TAP_CALL(cm_chain_decode(whole, work, mask, enc, nenc, dec, size, &ndec, middle, &err),
                 &err);
        TAP_EQ(ndec, n);
        TAP_OK(memcmp(dec, data, size) == 0);
        /* The chunk is one byte shorter or longer than the metadata say. */
        if (size > 1)
            TAP_EQ(
                cm_chain_decode(whole, work, mask, enc, nenc, dec, size - 1, &ndec, middle, &err),
                CM_EDATA);
        if (tap_failed_here != before) {
            char *text = cm_chain_text(whole, &err);
            printf("# that was %s mask %x n %d\n", text, mask, (int)n);
            free(text);
        }
        free(middle);
        free(data);
        free(enc);
        free(dec);
        cm_chain_unref(whole);
        cm_chain_unref(part);
    }
    cm_codec_work_free(work);
}

static void strings_say_how_much_they_need(void)
{
    static const char *const stages[] = {
        "", ", 'zstd'", ", 'gzip'", ", 'gzip', 'crc32c'", ", 'lz4', 'zstd'", ", 'crc32c', 'lz4'"};
    cm_codec_work *work;
    TAP_CALL(cm_codec_work_new(&work, &err), &err);
    uint8_t data[5000], enc[8000], dec[20000], middle[60000];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i / 3);
    for (int k = 0; k < 6; k++) {
        char text[200];
        snprintf(text, sizeof text, "['vlen-utf8'%s]", stages[k]);
        cm_chain *c;
        TAP_EQ(parse3(text, of(CM_STRING), 3, cube, &c), 0);
        size_t nenc, n;
        TAP_CALL(cm_chain_encode(c, work, data, sizeof data, enc, sizeof enc, &nenc, middle, &err),
                 &err);
        for (size_t room = 1;;) {
            TAP_OK(cm_chain_middle_nbytes(c, room) <= sizeof middle);
            int r = cm_chain_decode(c, work, 0, enc, nenc, dec, room, &n, middle, &err);
            if (r == 0) {
                TAP_EQ(n, sizeof data);
                TAP_OK(memcmp(dec, data, n) == 0);
                break;
            }
            TAP_EQ(r, CM_ELIMIT);
            TAP_OK(n == 0 || n == sizeof data);
            if (r != CM_ELIMIT || room > sizeof dec / 2)
                break;
            room = n ? n : room * 2;
        }
        cm_chain_unref(c);
    }
    cm_codec_work_free(work);
}

static void chains_compare(void)
{
    static const struct {
        const char *a, *b;
        bool equal, identical;
    } pairs[] = {
        {"['bytes']", "['bytes']", true, true},
        {"['bytes', 'zstd']", "['bytes', {'name': 'zstd', 'configuration': {'level': 9}}]", true,
         false},
        {"['bytes', 'zstd']", "['bytes', 'gzip']", false, false},
        {"['bytes', 'zstd']", "['bytes', 'zstd', 'crc32c']", false, false},
        {"['bytes', 'shuffle']",
         "['bytes', {'name': 'shuffle', 'configuration': {'elementsize': "
         "4}}]",
         false, false},
        {"['bytes', 'numcodecs.blosc']",
         "['bytes', {'name': 'numcodecs.blosc', 'configuration': {'cname': 'zstd'}}]", true, false},
        {"[" SHARD("[2, 3, 4]", "['bytes', 'zstd']", "end") "]",
         "[" SHARD("[2, 3, 4]", "['bytes', 'gzip']", "end") "]", false, false},
        {"[" SHARD("[2, 3, 4]", "['bytes']", "end") "]",
         "[" SHARD("[2, 3, 4]", "['bytes']", "start") "]", false, false},
        {"[" SHARD("[2, 3, 4]", "['bytes']", "end") "]",
         "[" SHARD("[2, 3, 8]", "['bytes']", "end") "]", false, false},
        {"[{'name': 'bytes', 'configuration': {'endian': 'big'}}]", "['bytes']", true, true},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        cm_chain *a, *b;
        TAP_EQ(parse3(pairs[i].a, of(CM_INT8), 3, cube, &a), 0);
        TAP_EQ(parse3(pairs[i].b, of(CM_INT8), 3, cube, &b), 0);
        TAP_EQ(cm_chain_equal(a, b), pairs[i].equal);
        TAP_EQ(cm_chain_equal(b, a), pairs[i].equal);
        TAP_EQ(cm_chain_identical(a, b), pairs[i].identical);
        cm_chain_unref(a);
        cm_chain_unref(b);
    }
    cm_chain *a, *b;
    TAP_EQ(parse3("[{'name': 'bytes', 'configuration': {'endian': 'big'}}]", of(CM_INT16), 3, cube,
                  &a),
           0);
    TAP_EQ(parse3("[" LITTLE "]", of(CM_INT16), 3, cube, &b), 0);
    TAP_OK(!cm_chain_equal(a, b));
    cm_chain_unref(b);
    b = cm_chain_ref(a);
    cm_chain_unref(a);
    TAP_OK(cm_chain_equal(b, b));
    cm_chain_unref(b);
}

/* libhdf5 before 1.6.3 swapped the bytes of each half of the checksum. */
static void old_fletcher32_is_accepted(void)
{
    cm_codec *c;
    uint8_t data[] = {1, 2, 3, 4, 5, 9, 7}, enc[11], dec[7];
    size_t n;
    TAP_CALL(cm_codec_new_fletcher32(&c, &err), &err);
    TAP_CALL(c->cls->encode(c, NULL, data, 7, enc, 11, &n, &err), &err);
    uint8_t t = enc[7];
    enc[7] = enc[8];
    enc[8] = t;
    TAP_EQ(c->cls->decode(c, NULL, enc, 11, dec, 7, &n, &err), CM_EDATA);
    t = enc[9];
    enc[9] = enc[10];
    enc[10] = t;
    TAP_CALL(c->cls->decode(c, NULL, enc, 11, dec, 7, &n, &err), &err);
    TAP_OK(n == 7 && memcmp(data, dec, 7) == 0);
    cm_codec_free(c);
}

/* Parse, describe, say and run a chain of everything; 0 or the first error. */
static int all_of_it(const cm_json *codecs)
{
    cm_chain *c = NULL;
    cm_json_doc *doc = NULL;
    cm_codec_work *work = NULL;
    cm_codec *spec = NULL;
    char *text = NULL;
    uint8_t data[4 * 6 * 8 * 4] = {1, 2, 3}, enc[9000], middle[30000];
    size_t n;
    cm_error_clear(&err);
    int r = cm_chain_parse_v3(codecs, of(CM_FLOAT32), 3, cube, &c, &err);
    TAP_OK((r != 0) == (c == NULL) && r == err.code);
    if (!r)
        r = cm_codec_from_spec("blosc:zstd:1:bitshuffle", of(CM_FLOAT32), &spec, &err);
    if (!r)
        r = cm_json_doc_new(0, &doc, &err);
    if (!r && !cm_chain_describe_v3(c, doc))
        r = CM_ENOMEM;
    if (!r && !(text = cm_chain_text(c, &err)))
        r = err.code;
    if (!r)
        r = cm_codec_work_new(&work, &err);
    if (!r)
        TAP_OK(cm_chain_middle_nbytes(c->inner, sizeof data) <= sizeof middle);
    if (!r)
        r = cm_chain_encode(c->inner, work, data, sizeof data, enc, sizeof enc, &n, middle, &err);
    if (!r)
        r = cm_chain_decode(c->inner, work, 0, enc, n, data, sizeof data, &n, middle, &err);
    cm_codec_work_free(work);
    free(text);
    cm_json_doc_free(doc);
    cm_codec_free(spec);
    cm_chain_unref(c);
    return r;
}

static void running_out_of_memory_is_an_error(void)
{
    cm_json_doc *doc = json("[{'name': 'transpose', 'configuration': {'order': [2, 1, 0]}}, " SHARD(
        "[8, 6, 4]",
        "[" LITTLE ", 'lz4', {'name': 'numcodecs.blosc', 'configuration': {'cname': 'zstd', "
        "'shuffle': 1}}, 'crc32c', 'zstd']",
        "end") "]");
    int64_t n = 0;
    for (;; n++) {
        fault_malloc_at(n);
        int r = all_of_it(cm_json_doc_root(doc));
        bool fired = fault_end();
        TAP_EQ(r, fired ? CM_ENOMEM : 0);
        if (!fired || n > 1000)
            break;
    }
    TAP_OK(n > 10 && n < 1000);
    cm_json_doc_free(doc);
}

/* The budget is charged at least what a thread's zstd encoder takes in the end. */
static int forget(void *to, const void *data, size_t nbytes, cm_error *e)
{
    (void)to, (void)data, (void)nbytes, (void)e;
    return 0;
}

static void zstd_takes_what_is_charged(void)
{
    static const int levels[] = {-3, 0, 1, 3, 7, 12, 19};
    for (int i = 0; i < 7; i++)
        for (size_t n = 1000; n <= 4000000; n *= 15) {
            cm_codec_work *work;
            cm_codec *c;
            size_t nenc;
            TAP_CALL(cm_codec_work_new(&work, &err), &err);
            TAP_CALL(cm_codec_new_zstd(levels[i], false, &c, &err), &err);
            uint8_t *data = malloc(n), *enc = malloc(c->cls->bound(c, n));
            for (size_t k = 0; k < n; k++)
                data[k] = (uint8_t)(k * k >> 7);
            TAP_CALL(c->cls->encode(c, work, data, n, enc, c->cls->bound(c, n), &nenc, &err), &err);
            size_t taken = ZSTD_sizeof_CCtx(cm_work_zstd_encoder(work, levels[i], false, &err));
            size_t charged = c->cls->scratch(c, n, true);
            if (!TAP_OK(taken <= charged + charged / 16))
                printf("# level %d, %zu bytes: %zu taken, %zu charged\n", levels[i], n, taken,
                       charged);
            cm_codec_work_free(work);
            TAP_CALL(cm_codec_work_new(&work, &err), &err);
            TAP_CALL(c->cls->stream_begin(c, work, n, &err), &err);
            TAP_CALL(c->cls->stream_feed(c, work, data, n, true, forget, NULL, &err), &err);
            taken = ZSTD_sizeof_CCtx(cm_work_zstd_encoder(work, levels[i], false, &err));
            charged = c->cls->stream_scratch(c, n);
            if (!TAP_OK(taken <= charged + charged / 16))
                printf("# streaming, level %d, %zu bytes: %zu taken, %zu charged\n", levels[i], n,
                       taken, charged);
            free(data);
            free(enc);
            cm_codec_free(c);
            cm_codec_work_free(work);
        }
}

int main(void)
{
    seed = tap_seed();
    TAP_RUN(v3_metadata_come_back);
    TAP_RUN(v3_names_of_numcodecs);
    TAP_RUN(v3_sharding);
    TAP_RUN(shards_around_a_chunk);
    TAP_RUN(two_transposes_are_one);
    TAP_RUN(must_understand);
    TAP_RUN(bad_v3_metadata);
    TAP_RUN(sharding_is_not_endlessly_deep);
    TAP_RUN(v2_metadata);
    TAP_RUN(v2_descriptions);
    TAP_RUN(specs_of_the_command_line);
    TAP_RUN(random_chains_come_back);
    TAP_RUN(strings_say_how_much_they_need);
    TAP_RUN(chains_compare);
    TAP_RUN(old_fletcher32_is_accepted);
    TAP_RUN(running_out_of_memory_is_an_error);
    TAP_RUN(zstd_takes_what_is_charged);
    return tap_done();
}
