/* tests/cm_codec_pipe.c: codec chains for tests in other languages: requests on standard input,
 * answers on standard output, as many as come.
 *
 * Request: a line "encode|decode v2|v3 DTYPE NELEM NJSON NDATA", then so many bytes of JSON and of
 * data. JSON: v3's list of codecs, or for v2 {"filters": ..., "compressor": ...}. The chunk is
 * one-dimensional, NELEM cells of DTYPE. Answer: a line "ok NBYTES" and the bytes, or "CODE
 * message"; "describe v3" requests answer with the chain's v3 metadata as JSON.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/codec.h"

enum { MAX_NBYTES = 256 << 20 };

static int parse(const char *dialect, const char *json, size_t njson, cm_dtype dtype, int64_t n,
                 cm_chain **out, cm_error *err)
{
    cm_json_doc *doc = NULL;
    int r = cm_json_parse(json, njson, 0, &doc, err);
    if (r)
        return r;
    const cm_json *root = cm_json_doc_root(doc);
    r = strcmp(dialect, "v3") == 0
            ? cm_chain_parse_v3(root, dtype, 1, &n, out, err)
            : cm_chain_parse_v2(cm_json_get(root, "filters"), cm_json_get(root, "compressor"), 'C',
                                false, dtype, 1, &n, out, err);
    cm_json_doc_free(doc);
    return r;
}

static int describe(const cm_chain *chain, char **out, size_t *nout, cm_error *err)
{
    cm_json_doc *doc;
    int r = cm_json_doc_new(0, &doc, err);
    if (r)
        return r;
    cm_json *v = cm_chain_describe_v3(chain, doc);
    r = v ? cm_json_write(v, 0, out, nout, err) : cm_error_set(err, CM_ENOMEM, "out of memory");
    cm_json_doc_free(doc);
    return r;
}

static int run(const char *op, const cm_chain *chain, cm_codec_work *work, const char *data,
               size_t ndata, char **out, size_t *nout, cm_error *err)
{
    if (strcmp(op, "describe") == 0)
        return describe(chain, out, nout, err);
    bool encoding = strcmp(op, "encode") == 0;
    size_t stored = cm_chain_stored_nbytes(chain);
    size_t room = encoding ? cm_chain_bound(chain, ndata) : stored;
    void *middle = malloc(cm_chain_middle_nbytes(chain, stored) + 1);
    *out = malloc(room + 1);
    int r = !middle || !*out ? cm_error_set(err, CM_ENOMEM, "out of memory")
            : encoding
                ? cm_chain_encode(chain, work, data, ndata, *out, room, nout, middle, err)
                : cm_chain_decode(chain, work, 0, data, ndata, *out, room, nout, middle, err);
    free(middle);
    return r;
}

static int answer(cm_codec_work *work)
{
    char op[16], dialect[8], dtype[24];
    int64_t n;
    size_t njson, ndata, nout = 0;
    if (scanf("%15s %7s %23s %" SCNd64 " %zu %zu", op, dialect, dtype, &n, &njson, &ndata) != 6 ||
        getchar() != '\n' || n < 1 || njson > MAX_NBYTES || ndata > MAX_NBYTES)
        return 1;
    char *json = malloc(njson + 1), *data = malloc(ndata + 1), *out = NULL;
    bool good = json && data && fread(json, 1, njson, stdin) == njson &&
                fread(data, 1, ndata, stdin) == ndata;
    if (good) {
        cm_error err = {0};
        cm_chain *chain = NULL;
        int r = parse(dialect, json, njson, cm_dtype_of(cm_kind_named(dtype), 0), n, &chain, &err);
        if (!r)
            r = run(op, chain, work, data, ndata, &out, &nout, &err);
        if (r)
            printf("%s %s\n", cm_code_name(r), err.message);
        else
            printf("ok %zu\n", nout);
        if (!r)
            fwrite(out, 1, nout, stdout);
        fflush(stdout);
        cm_chain_unref(chain);
    }
    free(json);
    free(data);
    free(out);
    return !good;
}

int main(void)
{
    cm_codec_work *work;
    if (cm_codec_work_new(&work, NULL))
        return 1;
    while (answer(work) == 0)
        ;
    cm_codec_work_free(work);
    return 0;
}
