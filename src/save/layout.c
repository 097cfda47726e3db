/* save/layout.c: chunks, shards and codec of each target variable, from what the user said, the
 * source, and defaults.
 *
 *     chunks of a dimension   VAR:dim=n, else dim=n, else the source's chunk, else auto
 *                             (contiguous)
 *     small variables         arrays under 1 MB, and 1-D coordinates and bounds up to 16 MiB, are
 *                             one chunk unless VAR: names them: everybody who opens the store
 *                             reads them whole, and sources that were appended to have them in
 *                             as many chunks as there are steps
 *     shards                  the same spelling; with neither chunks nor shards given, the
 *                             source's
 *     codec                   VAR=spec, else spec, else the source's own when it is Zarr, else
 *                             blosc:zstd:3:shuffle, for strings zstd:3
 *
 * A spec is `[VAR:]part,part...` with parts `dim=n`, `n` (by position) or `auto[:SIZE]`; n is -1
 * for the whole axis, or for chunks a list of lengths (lengths.c).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/memory.h"
#include "cf/roles.h"
#include "save/save_private.h"
#include "text/nearest.h"

enum { AUTO_NBYTES = 16 << 20, SMALL_NBYTES = 1000000 };

/* One part of a spec. */
typedef struct part {
    char name[256];   /* "" by position */
    int64_t n;        /* -1 whole; 0: auto */
    int64_t nbytes;   /* of auto */
    const char *list; /* of lengths, and n is 1; else NULL */
    size_t list_nbytes;
} part;

/* What an option says about a variable's axes. */
typedef struct wish {
    bool given;
    const char *list; /* instead of a length */
    size_t list_nbytes;
} wish;

static bool parse_size(const char *s, size_t len, int64_t *out)
{
    static const struct {
        const char *unit;
        double factor;
    } units[] = {{"KiB", 1024}, {"MiB", 1048576}, {"GiB", 1073741824},
                 {"KB", 1e3},   {"kB", 1e3},      {"MB", 1e6},
                 {"GB", 1e9},   {"B", 1},         {"", 1}};
    char text[64], *end;
    if (len == 0 || len >= sizeof text)
        return false;
    memcpy(text, s, len);
    text[len] = 0;
    double v = strtod(text, &end);
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (strcmp(end, units[i].unit) == 0) {
            v *= units[i].factor;
            *out = (int64_t)v;
            return end != text && v >= 1 && v < 1e15;
        }
    return false;
}

static int parse_part(const char *option, const char *s, size_t len, part *out, cm_error *err)
{
    const char *eq = memchr(s, '=', len), *number = eq ? eq + 1 : s;
    size_t name = eq ? (size_t)(eq - s) : 0, nlen = len - (size_t)(number - s);
    *out = (part){0};
    if (eq == s)
        return cm_error_set(err, CM_EINVAL, "--%s: \"%.*s\" names no dimension", option, (int)len,
                            s);
    if (name >= sizeof out->name)
        return cm_error_set(err, CM_EINVAL, "--%s: name too long", option);
    memcpy(out->name, s, name);
    if (nlen >= 4 && strncmp(number, "auto", 4) == 0 && !eq) {
        out->nbytes = AUTO_NBYTES;
        if (nlen == 4 || (number[4] == ':' && parse_size(number + 5, nlen - 5, &out->nbytes)))
            return 0;
    }
    if (strcmp(option, "chunks") == 0 && cm_lengths_is_list(number, nlen)) {
        *out = (part){.n = 1, .list = number, .list_nbytes = nlen};
        memcpy(out->name, s, name);
        return cm_lengths_parse(option, number, nlen, 0, NULL, err);
    }
    char text[32], *end = text;
    if (nlen > 0 && nlen < sizeof text) {
        memcpy(text, number, nlen);
        text[nlen] = 0;
        errno = 0;
        out->n = strtoll(text, &end, 10);
        if (*end == 0 && errno == 0 && end != text && (out->n > 0 || out->n == -1))
            return 0;
    }
    cm_error_set(err, CM_EINVAL, "--%s: \"%.*s\" is no length", option, (int)len, s);
    cm_error_hint(err, "write dim=N with N >= 1, or -1 for the whole dimension, or auto:16MB");
    return CM_EINVAL;
}

/* The variable part of a spec, if it has one ("VAR:dim=n"; not "auto:16MB"). Returns what follows
 * it. */
static const char *spec_variable(const char *spec, char *variable, size_t room)
{
    const char *colon = strchr(spec, ':'), *eq = strpbrk(spec, "=,");
    variable[0] = 0;
    if (!colon || (eq && eq < colon) || strncmp(spec, "auto:", 5) == 0 ||
        (size_t)(colon - spec) >= room)
        return spec;
    memcpy(variable, spec, (size_t)(colon - spec));
    variable[colon - spec] = 0;
    return colon + 1;
}

static bool means(const char *name, const cm_variable *v)
{
    return strcmp(name, v->path) == 0 || strcmp(name, v->name) == 0 ||
           (name[0] != '/' && strcmp(name, v->path + 1) == 0);
}

static bool single_chunk(const cm_variable *v)
{
    cm_array *a = v->array;
    int64_t n = cm_shape_nelem(a->ndim, a->shape), size = cm_max_i64(1, a->dtype.size);
    if (n < 0 || n > AUTO_NBYTES / size)
        return false;
    if (n < SMALL_NBYTES / size)
        return true;
    cm_cf_role role = cm_cf_role_of(v);
    return a->ndim <= 1 ? role == CM_ROLE_COORDINATE : role == CM_ROLE_BOUNDS && a->ndim == 2;
}

/* Halve the axis that is longest relative to its share until a chunk has at most nbytes. */
static void auto_chunk(const cm_array *a, int64_t nbytes, int64_t *chunk)
{
    int64_t cells = cm_max_i64(1, nbytes / a->dtype.size);
    for (int i = 0; i < a->ndim; i++)
        chunk[i] = cm_max_i64(1, a->shape[i]);
    for (;;) {
        double n = 1;
        int longest = 0;
        for (int i = 0; i < a->ndim; i++) {
            n *= (double)chunk[i];
            longest = chunk[i] > chunk[longest] ? i : longest;
        }
        if (n <= (double)cells || a->ndim == 0 || chunk[longest] == 1)
            return;
        chunk[longest] = cm_ceil_div(chunk[longest], 2);
    }
}

static int no_such_dimension(const char *option, const char *name, const cm_variable *v,
                             cm_error *err)
{
    cm_nearest near;
    cm_nearest_init(&near, name);
    cm_error_set(err, CM_EINVAL, "--%s: there is no dimension \"%s\"", option, name);
    for (int i = 0; i < v->ndim; i++)
        cm_nearest_offer(&near, v->dimensions[i]);
    if (cm_nearest_best(&near))
        cm_error_hint(err, "did you mean %s?", cm_nearest_best(&near));
    return cm_error_variable(err, v->path), CM_EINVAL;
}

/* No axis has a name that somebody gave it; HDF5 without dimension scales has phony_dim_N. */
static bool is_nameless(const cm_variable *v)
{
    for (int i = 0; i < v->ndim; i++)
        if (v->dimensions[i] && strncmp(v->dimensions[i], "phony_dim_", 10) != 0)
            return false;
    return v->ndim > 0;
}

/* How many parts of a spec are lengths without a name. */
static int count_positions(const char *spec)
{
    int n = 0;
    for (const char *s = spec; *s;) {
        size_t len = strcspn(s, ",");
        n += !memchr(s, '=', len) && strncmp(s, "auto", 4) != 0;
        s += len + (s[len] == ',');
    }
    return n;
}

/* Apply one spec (without its variable part) to lengths; given[i] marks axes that it sets. */
static int apply(const char *option, const char *spec, const cm_variable *v, bool named,
                 int64_t *lengths, wish *wishes, cm_error *err)
{
    const cm_array *a = v->array;
    int position = 0, npositions = count_positions(spec);
    if (npositions && npositions != a->ndim && named) {
        cm_error_set(err, CM_EINVAL, "--%s: %d lengths for %d dimensions", option, npositions,
                     a->ndim);
        return cm_error_variable(err, v->path), CM_EINVAL;
    }
    bool by_position = named || (npositions == a->ndim && is_nameless(v));
    for (const char *s = spec; *s;) {
        size_t len = strcspn(s, ",");
        part p;
        int r = parse_part(option, s, len, &p, err);
        if (r)
            return r;
        s += len + (s[len] == ',');
        if (p.n == 0) {
            int64_t automatic[CM_MAX_DIMS];
            auto_chunk(a, p.nbytes, automatic);
            for (int i = 0; i < a->ndim; i++) {
                lengths[i] = wishes[i].given ? lengths[i] : automatic[i];
                wishes[i].given = true;
            }
            continue;
        }
        int axis = -1;
        if (p.name[0]) {
            for (int i = 0; i < a->ndim && axis < 0; i++)
                if (v->dimensions[i] && strcmp(v->dimensions[i], p.name) == 0)
                    axis = i;
            if (axis < 0 && named)
                return no_such_dimension(option, p.name, v, err);
        } else {
            axis = by_position ? position++ : -1;
        }
        if (axis < 0)
            continue;
        lengths[axis] = p.n < 0 ? cm_max_i64(1, a->shape[axis]) : p.n;
        wishes[axis] = (wish){true, p.list, p.list_nbytes};
    }
    return 0;
}

/* All specs of an option: first the general ones, then those that name the variable. *named: there
 * was one. */
static int apply_all(const char *option, const char *const *specs, size_t n, const cm_variable *v,
                     bool general, int64_t *lengths, wish *wishes, bool *named, cm_error *err)
{
    char variable[512];
    int r = 0;
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < n && !r; i++) {
            const char *rest = spec_variable(specs[i], variable, sizeof variable);
            if (pass == 0 && !variable[0] && general)
                r = apply(option, rest, v, false, lengths, wishes, err);
            if (pass == 1 && variable[0] && means(variable, v)) {
                *named = true;
                r = apply(option, rest, v, true, lengths, wishes, err);
            }
        }
    return r;
}

static bool names_variable(const char *const *specs, size_t n, const cm_variable *v)
{
    char variable[512];
    for (size_t i = 0; i < n; i++) {
        spec_variable(specs[i], variable, sizeof variable);
        if (variable[0] && means(variable, v))
            return true;
    }
    return false;
}

/* The grid that lists of lengths make, if they do not make a regular one. out->chunk: the length of
 * axes without a list; in the end the longest of each. */
static int resolve_grid(const cm_variable *v, const wish *wishes, cm_layout *out, cm_error *err)
{
    enum { MAX_SHAPES = 4096 }; /* as many as are read */
    const cm_array *a = v->array;
    bool regular = true;
    uint64_t combinations = 1;
    cm_grid *g = out->grid = cm_calloc(1, sizeof *g, err);
    if (!g)
        return CM_ENOMEM;
    g->ndim = a->ndim;
    for (int i = 0; i < a->ndim; i++) {
        cm_grid_axis *axis = &g->axes[i];
        int r = 0;
        if (wishes[i].list)
            r = cm_lengths_parse("chunks", wishes[i].list, wishes[i].list_nbytes, a->shape[i], axis,
                                 err);
        else
            *axis = (cm_grid_axis){
                .n = cm_ceil_div(a->shape[i], out->chunk[i]), .size = out->chunk[i], .nlengths = 1};
        if (r)
            return cm_error_variable(err, v->path), r;
        out->chunk[i] = axis->size ? axis->size : axis->lengths[axis->nlengths - 1];
        regular = regular && axis->size;
        combinations *= axis->nlengths;
        if (combinations > MAX_SHAPES) {
            cm_error_set(err, CM_EINVAL, "--chunks: more than %d different chunk shapes",
                         MAX_SHAPES);
            return cm_error_variable(err, v->path), CM_EINVAL;
        }
    }
    if (regular) {
        cm_grid_free(g);
        out->grid = NULL;
        return 0;
    }
    g->chains = cm_calloc((size_t)combinations, sizeof *g->chains, err);
    return g->chains ? 0 : CM_ENOMEM;
}

static int resolve_chunks(const cm_save *save, const cm_variable *v, cm_layout *out, bool *any,
                          cm_error *err)
{
    const cm_save_options *o = &save->options;
    const cm_array *a = v->array;
    wish wishes[CM_MAX_DIMS] = {0};
    bool named = names_variable(o->chunks, o->nchunks, v), list = false;
    int64_t automatic[CM_MAX_DIMS];
    auto_chunk(a, AUTO_NBYTES, automatic);
    bool single = single_chunk(v) && !named;
    int r = apply_all("chunks", o->chunks, o->nchunks, v, !single, out->chunk, wishes, &named, err);
    *any = false;
    for (int i = 0; i < a->ndim && !r; i++) {
        const int64_t *own = v->storage.chunks;
        *any = *any || wishes[i].given;
        list = list || wishes[i].list;
        if (!wishes[i].given)
            out->chunk[i] = own ? own[i] : automatic[i];
        if (single)
            out->chunk[i] = cm_max_i64(1, a->shape[i]);
        out->chunk[i] = cm_max_i64(1, cm_min_i64(out->chunk[i], a->shape[i]));
    }
    return r || !list ? r : resolve_grid(v, wishes, out, err);
}

static int resolve_shards(const cm_save *save, const cm_variable *v, bool chunks_given,
                          cm_layout *out, cm_error *err)
{
    const cm_save_options *o = &save->options;
    const cm_array *a = v->array;
    wish wishes[CM_MAX_DIMS] = {0};
    bool named = names_variable(o->shards, o->nshards, v);
    bool single = single_chunk(v) && !named;
    memcpy(out->unit, out->chunk, sizeof out->unit);
    int r = apply_all("shards", o->shards, o->nshards, v, !single, out->unit, wishes, &named, err);
    bool any = false;
    for (int i = 0; i < a->ndim; i++)
        any = any || wishes[i].given;
    if (!r && any && out->grid) {
        cm_error_set(err, CM_EINVAL, "chunks of different lengths are not put into shards");
        cm_error_hint(err, "leave out --shards, or give one length in --chunks");
        return cm_error_variable(err, v->path), CM_EINVAL;
    }
    if (!any && !single && !o->nshards && !chunks_given && !o->nchunks && v->storage.shards &&
        o->zarr_format == 3) {
        memcpy(out->unit, v->storage.shards, (size_t)a->ndim * sizeof *out->unit);
        any = true;
    }
    for (int i = 0; i < a->ndim && !r && any; i++) {
        int64_t chunk = out->chunk[i], shard = out->unit[i];
        if (shard >= a->shape[i])
            shard = cm_ceil_div(cm_max_i64(1, a->shape[i]), chunk) * chunk; /* whole axis */
        if (shard % chunk) {
            int64_t down = cm_max_i64(chunk, shard / chunk * chunk);
            cm_error_set(err, CM_EINVAL,
                         "a shard of %lld is no multiple of the chunk %lld along %s",
                         (long long)shard, (long long)chunk,
                         v->dimensions[i] ? v->dimensions[i] : "an axis");
            cm_error_hint(err, "use %lld or %lld", (long long)down, (long long)down + chunk);
            return cm_error_variable(err, v->path), CM_EINVAL;
        }
        out->unit[i] = shard;
    }
    out->sharded = any;
    return r;
}

/* The chain of the source's chunks (a joined one's: of its first file); NULL when there is none. */
static const cm_chain *source_chain(const cm_variable *v, bool zarr_only)
{
    const cm_array *leaf = cm_array_leaf(v->array);
    const cm_chain *c = cm_array_is_chunked(leaf) ? cm_chunked_chain(leaf) : NULL;
    if (!c || (zarr_only && strncmp(v->group->dataset->format, "Zarr", 4) != 0))
        return NULL;
    while (c->a2b == CM_A2B_SHARDING)
        c = c->inner;
    /* Filters that lose something are kept when somebody asks for it; encoding then refuses cells
     * that would change. */
    int flags;
    return zarr_only && (cm_chain_filters(c, &flags) < 0 || flags) ? NULL : c;
}

static const char *codec_spec(const cm_save *save, const cm_variable *v)
{
    const char *general = NULL;
    for (size_t i = 0; i < save->options.ncodecs; i++) {
        const char *s = save->options.codecs[i], *eq = strchr(s, '=');
        char name[512];
        if (!eq) {
            general = s;
        } else if ((size_t)(eq - s) < sizeof name) {
            memcpy(name, s, (size_t)(eq - s));
            name[eq - s] = 0;
            if (means(name, v))
                return eq + 1;
        }
    }
    return general;
}

static int make_chain(const cm_save *save, const cm_variable *v, const cm_layout *l, cm_chain **out,
                      cm_error *err)
{
    const cm_array *a = v->array;
    const char *spec = codec_spec(save, v);
    bool keep = spec && strcmp(spec, "keep") == 0;
    const cm_chain *own = !spec || keep ? source_chain(v, !keep) : NULL;
    cm_chain *c = NULL;
    cm_codec *codec = NULL;
    int r = cm_chain_new(a->dtype, a->ndim, l->chunk, &c, err);
    if (r)
        return r;
    if (own) {
        r = cm_chain_copy_stages(own, c, save->options.zarr_format == 2 ? CM_ZARR2 : CM_ZARR3, err);
    } else {
        const char *use = spec && !keep                    ? spec
                          : cm_kind_is_vlen(a->dtype.kind) ? "zstd:3"
                                                           : "blosc:zstd:3:shuffle";
        r = cm_codec_from_spec(use, a->dtype, &codec, err);
        if (!r && codec)
            r = cm_chain_append(c, codec, err);
    }
    if (r) {
        cm_chain_unref(c);
        return cm_error_variable(err, v->path), r;
    }
    *out = c;
    return 0;
}

/* A chain for each shape of chunks. One description holds for all of them. */
static int make_chains(const cm_save *save, const cm_variable *v, cm_layout *out, cm_error *err)
{
    cm_grid *g = out->grid;
    cm_layout one = *out;
    size_t n = 1;
    char *first = NULL;
    int r = 0;
    for (int i = 0; i < g->ndim; i++)
        n *= g->axes[i].nlengths;
    for (size_t i = 0; i < n && !r; i++) {
        cm_json_doc *doc = NULL;
        char *text = NULL;
        size_t nbytes;
        cm_grid_combination(g, i, one.chunk);
        r = make_chain(save, v, &one, &g->chains[i], err);
        if (r)
            break;
        g->nchains++;
        r = cm_json_doc_new(0, &doc, err);
        if (!r)
            r = cm_json_write(cm_chain_describe_v3(g->chains[i], doc), 0, &text, &nbytes, err);
        cm_json_doc_free(doc);
        if (!r && first && strcmp(first, text) != 0) {
            cm_error_set(err, CM_EUNSUP,
                         "a codec that depends on the chunk's shape, in chunks of "
                         "different lengths");
            cm_error_hint(err, "name another codec");
            cm_error_variable(err, v->path);
            r = CM_EUNSUP;
        }
        if (first)
            free(text);
        else
            first = text;
    }
    free(first);
    if (!r) /* the last combination is the largest */
        out->chain = cm_chain_ref(g->chains[n - 1]);
    return r;
}

int cm_layout_resolve(const cm_save *save, const cm_variable *v, cm_layout *out, cm_error *err)
{
    bool chunks_given;
    *out = (cm_layout){0};
    int r = resolve_chunks(save, v, out, &chunks_given, err);
    if (!r)
        r = resolve_shards(save, v, chunks_given, out, err);
    if (!r && out->grid && save->options.zarr_format == 2) {
        cm_error_set(err, CM_EINVAL, "Zarr v2 has no chunks of different lengths");
        cm_error_hint(err, "give one length in --chunks, or leave out --zarr 2");
        r = CM_EINVAL;
    }
    if (!r && out->sharded && save->options.zarr_format == 2) {
        cm_error_set(err, CM_EINVAL, "Zarr v2 has no shards");
        cm_error_hint(err, "leave out --shards or --zarr 2");
        r = CM_EINVAL;
    }
    if (!r)
        r = out->grid ? make_chains(save, v, out, err) : make_chain(save, v, out, &out->chain, err);
    if (!r && out->sharded) {
        cm_chain *inner = out->chain;
        out->chain = NULL;
        r = cm_chain_new_sharding(inner, out->unit, &out->chain, err);
    }
    return r;
}

/* ---- every name in the options must mean something ------------------------------------------- */

typedef struct names {
    const char *want;
    int npositions;
    bool found;
    cm_nearest near;
} names;

static void look_for_variable(const cm_group *g, names *n)
{
    for (size_t i = 0; i < g->nvariables; i++) {
        n->found = n->found || means(n->want, g->variables[i]);
        cm_nearest_offer(&n->near, g->variables[i]->name);
    }
    for (size_t i = 0; i < g->ngroups; i++)
        look_for_variable(g->groups[i], n);
}

static void look_for_dimension(const cm_group *g, names *n)
{
    for (size_t i = 0; i < g->nvariables; i++)
        for (int a = 0; a < g->variables[i]->ndim; a++) {
            const char *d = g->variables[i]->dimensions[a];
            n->found = n->found || (d && strcmp(d, n->want) == 0);
            cm_nearest_offer(&n->near, d);
        }
    for (size_t i = 0; i < g->ngroups; i++)
        look_for_dimension(g->groups[i], n);
}

static int check_name(const cm_save *save, const char *option, const char *kind, const char *name,
                      void (*look)(const cm_group *, names *), cm_error *err)
{
    names n = {.want = name};
    cm_nearest_init(&n.near, name);
    look(cm_dataset_root(save->source), &n);
    if (n.found)
        return 0;
    cm_error_set(err, CM_EINVAL, "--%s: there is no %s \"%s\"", option, kind, name);
    if (cm_nearest_best(&n.near))
        cm_error_hint(err, "did you mean %s?", cm_nearest_best(&n.near));
    return CM_EINVAL;
}

static void look_for_nameless(const cm_group *g, names *n)
{
    for (size_t i = 0; i < g->nvariables; i++)
        n->found =
            n->found || (g->variables[i]->ndim == n->npositions && is_nameless(g->variables[i]));
    for (size_t i = 0; i < g->ngroups; i++)
        look_for_nameless(g->groups[i], n);
}

/* `240,10,10` means nothing where every array has dimension names, and `time:240` is what people
 * write who mean `time=240`: taken by the letter, both would be ignored or do something else. */
static int check_positions(const cm_save *save, const char *option, const char *variable,
                           const char *spec, cm_error *err)
{
    names n = {.want = variable};
    cm_nearest_init(&n.near, variable);
    if (variable[0]) {
        look_for_dimension(cm_dataset_root(save->source), &n);
        if (!n.found)
            return 0;
        cm_error_set(err, CM_EINVAL,
                     "--%s: \"%s:%s\" is neither a dimension's length nor that of a "
                     "variable's dimension",
                     option, variable, spec);
        cm_error_hint(err, "write %s=%s", variable, spec);
        return CM_EINVAL;
    }
    n.npositions = count_positions(spec);
    look_for_nameless(cm_dataset_root(save->source), &n);
    if (n.found)
        return 0;
    cm_error_set(err, CM_EINVAL,
                 "--%s: \"%s\": lengths by position are for arrays without dimension "
                 "names, and there is none of %d dimensions",
                 option, spec, n.npositions);
    cm_error_hint(err, "write dim=N,...; chunkmill info shows the dimensions");
    return CM_EINVAL;
}

static int check_specs(const cm_save *save, const char *option, const char *const *specs, size_t n,
                       cm_error *err)
{
    char variable[512];
    int r = 0;
    for (size_t i = 0; i < n && !r; i++) {
        const char *s = spec_variable(specs[i], variable, sizeof variable);
        const char *whole = s;
        if (variable[0])
            r = check_name(save, option, "variable", variable, look_for_variable, err);
        else if (!*s)
            r = cm_error_set(err, CM_EINVAL, "--%s is empty", option);
        while (*s && !r) {
            size_t len = strcspn(s, ",");
            part p;
            r = parse_part(option, s, len, &p, err);
            if (!r && p.name[0])
                r = check_name(save, option, "dimension", p.name, look_for_dimension, err);
            else if (!r && p.n != 0)
                r = check_positions(save, option, variable, whole, err);
            s += len + (s[len] == ',');
        }
    }
    return r;
}

int cm_layout_check_names(const cm_save *save, cm_error *err)
{
    const cm_save_options *o = &save->options;
    int r = check_specs(save, "chunks", o->chunks, o->nchunks, err);
    if (!r)
        r = check_specs(save, "shards", o->shards, o->nshards, err);
    for (size_t i = 0; i < o->ncodecs && !r; i++) {
        const char *eq = strchr(o->codecs[i], '=');
        char name[512];
        if (!eq || (size_t)(eq - o->codecs[i]) >= sizeof name)
            continue;
        memcpy(name, o->codecs[i], (size_t)(eq - o->codecs[i]));
        name[eq - o->codecs[i]] = 0;
        r = check_name(save, "codec", "variable", name, look_for_variable, err);
    }
    return r;
}

/* Does a spec without a variable say anything about v? */
static bool touches(const char *spec, const cm_variable *v)
{
    bool by_position = count_positions(spec) == v->ndim && is_nameless(v);
    for (const char *s = spec; *s;) {
        size_t len = strcspn(s, ",");
        const char *eq = memchr(s, '=', len);
        size_t n = eq ? (size_t)(eq - s) : 0;
        if (!eq && (by_position || strncmp(s, "auto", 4) == 0))
            return true;
        for (int i = 0; i < v->ndim && eq; i++)
            if (v->dimensions[i] && strlen(v->dimensions[i]) == n &&
                memcmp(v->dimensions[i], s, n) == 0)
                return true;
        s += len + (s[len] == ',');
    }
    return false;
}

static int warn_of(cm_save *save, const char *option, const char *const *specs, size_t n,
                   cm_error *err)
{
    char variable[512];
    int r = 0;
    for (size_t i = 0; i < n && !r; i++) {
        const cm_variable *small = NULL;
        bool used = *spec_variable(specs[i], variable, sizeof variable) == 0 || variable[0];
        for (int k = 0; k < save->nparts && !used; k++) {
            const cm_variable *v = save->parts[k].variable;
            if (!touches(specs[i], v))
                continue;
            used = !single_chunk(v) || names_variable(specs, n, v);
            small = v;
        }
        if (!used && small)
            r = cm_save_warn(save, err,
                             "--%s %s changes nothing: variables this small become one chunk "
                             "(--%s %s:%s decides for one)",
                             option, specs[i], option, small->path + 1, specs[i]);
    }
    return r;
}

int cm_layout_warn(cm_save *save, cm_error *err)
{
    int r = warn_of(save, "chunks", save->options.chunks, save->options.nchunks, err);
    return r ? r : warn_of(save, "shards", save->options.shards, save->options.nshards, err);
}
