/* cli/cmd_values.c: chunkmill values URI... VAR.
 *
 * Text: one row of the last axis a line, cells separated by commas; a one-dimensional array has one
 * cell a line; from three dimensions on a line `# [i, j, :, :]` stands before each plane, so that
 * numpy.loadtxt(..., delimiter=",") and awk read the rest. JSON: nested lists.
 *
 * Cells are read in blocks of C order: as many whole chunk rows of the leading axes as the buffer
 * holds, so that a chunk is decoded as few times as the order of printing and the memory allow. The
 * buffer is a quarter of the memory budget, 256 MB at the most, and comes off the engine's share.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli/celltext.h"
#include "cli/sources.h"

enum { LARGEST_BUFFER = 256000000, MOST_STRINGS = 65536 };

typedef struct printer {
    cm_cli *cli;
    cm_array *array;
    cm_dtype dtype;
    int ndim;
    const int64_t *shape;
    int64_t at[CM_MAX_DIMS]; /* of the next cell to print */
    char *cells;
    cm_arena *arena;
} printer;

static void put_plane(printer *p)
{
    if (p->ndim < 3 || p->at[p->ndim - 1] != 0 || p->at[p->ndim - 2] != 0)
        return;
    cm_cli_out_text(&p->cli->out, "# [");
    for (int i = 0; i < p->ndim - 2; i++)
        cm_cli_out_format(&p->cli->out, "%" PRId64 ", ", p->at[i]);
    cm_cli_out_text(&p->cli->out, ":, :]\n");
}

/* Print one cell with what belongs before and after it, and step to the next. */
static void put_cell(printer *p, const void *cell)
{
    cm_cli_out *out = &p->cli->out;
    bool json = p->cli->args.json;
    int opened = 0, closed = 0;
    while (opened < p->ndim && p->at[p->ndim - 1 - opened] == 0)
        opened++;
    while (closed < p->ndim && p->at[p->ndim - 1 - closed] == p->shape[p->ndim - 1 - closed] - 1)
        closed++;
    if (json)
        for (int i = 0; i < opened; i++)
            cm_cli_out_char(out, '[');
    else
        put_plane(p);
    cm_cli_cell(out, p->dtype, cell, json);
    if (json)
        for (int i = 0; i < closed; i++)
            cm_cli_out_char(out, ']');
    if (closed == p->ndim || (!json && (closed > 0 || p->ndim == 1)))
        cm_cli_out_char(out, '\n');
    else
        cm_cli_out_text(out, json && closed > 0 ? ",\n" : json ? ", " : ",");
    for (int i = p->ndim - 1; i >= 0; i--) {
        if (++p->at[i] < p->shape[i])
            break;
        p->at[i] = 0;
    }
}

/* Lists without cells, as deep as they can be told apart. */
static int put_empty(printer *p, int axis, cm_error *err)
{
    cm_cli_out_char(&p->cli->out, '[');
    for (int64_t i = 0; i < p->shape[axis] && axis + 1 < p->ndim; i++) {
        cm_cli_out_text(&p->cli->out, i ? ", " : "");
        int ret = cm_cli_check(p->cli, err);
        if (ret == 0 && p->cli->out.os_errno)
            ret = cm_cli_out_flush(&p->cli->out, err);
        if (ret == 0)
            ret = put_empty(p, axis + 1, err);
        if (ret < 0)
            return ret;
    }
    cm_cli_out_text(&p->cli->out, axis ? "]" : "]\n");
    return 0;
}

static int put_block(printer *p, const int64_t *start, const int64_t *count, cm_error *err);

static int put_halves(printer *p, const int64_t *start, const int64_t *count, cm_error *err)
{
    int64_t lo[CM_MAX_DIMS], n[CM_MAX_DIMS];
    int axis = 0;
    while (count[axis] == 1)
        axis++;
    memcpy(lo, start, sizeof lo);
    memcpy(n, count, sizeof n);
    n[axis] = count[axis] / 2;
    int ret = put_block(p, lo, n, err);
    lo[axis] += n[axis];
    n[axis] = count[axis] - n[axis];
    return ret ? ret : put_block(p, lo, n, err);
}

static int put_block(printer *p, const int64_t *start, const int64_t *count, cm_error *err)
{
    int64_t n = 1;
    for (int i = 0; i < p->ndim; i++)
        n *= count[i];
    cm_arena_free(p->arena);
    p->arena = NULL;
    int ret = cm_cli_check(p->cli, err);
    if (ret == 0)
        ret = cm_arena_new(p->cli->ctx, &p->arena, err);
    if (ret == 0)
        ret = cm_array_read(p->cli->ctx, p->array, start, count, p->cells, NULL, p->arena, err);
    if (ret == CM_ELIMIT && n > 1) { /* long strings: fewer at a time */
        cm_error_clear(err);
        return put_halves(p, start, count, err);
    }
    for (int64_t i = 0; i < n && ret == 0; i++) {
        put_cell(p, p->cells + (size_t)i * p->dtype.size);
        if (i % 65536 == 65535 && (ret = cm_cli_check(p->cli, err)) < 0)
            break;
        if (p->cli->out.os_errno)
            ret = cm_cli_out_flush(&p->cli->out, err);
    }
    return ret;
}

/* How the array is cut: rows of `axis`, everything behind it, one index of everything before. */
static int64_t cut(const printer *p, const cm_storage *storage, int64_t most_cells, int *axis)
{
    int64_t inner = 1; /* cells of one row; never more than most_cells */
    int k = p->ndim - 1;
    while (k > 0 && p->shape[k] <= most_cells / inner)
        inner *= p->shape[k--];
    int64_t rows = most_cells / inner;
    const int64_t *unit = storage ? storage->chunks : NULL;
    if (unit && unit[k] > 1 && rows > unit[k])
        rows -= rows % unit[k];
    *axis = k;
    return rows < p->shape[k] ? rows : p->shape[k];
}

static int put_blocks(printer *p, const cm_storage *storage, int64_t most_cells, cm_error *err)
{
    int axis = 0;
    int64_t start[CM_MAX_DIMS] = {0}, count[CM_MAX_DIMS];
    int64_t rows = p->ndim ? cut(p, storage, most_cells, &axis) : 1;
    for (int i = 0; i < p->ndim; i++)
        count[i] = i < axis ? 1 : i == axis ? rows : p->shape[i];
    for (;;) {
        if (p->ndim && count[axis] > p->shape[axis] - start[axis])
            count[axis] = p->shape[axis] - start[axis];
        int ret = put_block(p, start, count, err);
        if (ret < 0 || p->ndim == 0)
            return ret;
        start[axis] += count[axis];
        if (start[axis] < p->shape[axis])
            continue;
        start[axis] = 0;
        count[axis] = rows;
        int i = axis - 1;
        while (i >= 0 && ++start[i] == p->shape[i])
            start[i--] = 0;
        if (i < 0)
            return 0;
    }
}

static int put_values(cm_cli *cli, const cm_variable *v, uint64_t buffer, cm_error *err)
{
    printer p = {.cli = cli, .array = cm_variable_array(v)};
    p.dtype = cm_array_dtype(p.array);
    p.ndim = cm_array_ndim(p.array);
    p.shape = cm_array_shape(p.array);
    uint64_t most = buffer / (p.dtype.size ? p.dtype.size : 1), cells = 1;
    if (cm_kind_is_vlen(p.dtype.kind) && most > MOST_STRINGS)
        most = MOST_STRINGS; /* their bytes are the arena's, of the engine's share */
    for (int i = 0; i < p.ndim; i++) {
        if (p.shape[i] == 0)
            return cli->args.json ? put_empty(&p, 0, err) : 0;
        if (__builtin_mul_overflow(cells, (uint64_t)p.shape[i], &cells))
            cells = UINT64_MAX / 2; /* more than can be printed; the loop is interruptible */
    }
    if (most > cells)
        most = cells;
    if (most == 0) {
        cm_error_set(err, CM_ELIMIT, "a cell of %u bytes is larger than the memory for it",
                     p.dtype.size);
        cm_error_hint(err, "raise --max-mem");
        return CM_ELIMIT;
    }
    p.cells = malloc(most * p.dtype.size + 1);
    if (!p.cells)
        return cm_error_set(err, CM_ENOMEM, "out of memory for %llu cells",
                            (unsigned long long)most);
    int ret = put_blocks(&p, cm_variable_storage(v), (int64_t)most, err);
    cm_arena_free(p.arena);
    free(p.cells);
    return ret;
}

/* The chosen part; *part stays NULL when all of ds is meant. */
static int choose(cm_cli *cli, cm_dataset *ds, cm_dataset **part, cm_error *err)
{
    const cm_cli_args *args = &cli->args;
    cm_select_options options;
    if (!args->isel.n && !args->sel.n && !args->unpack)
        return 0;
    cm_select_options_init(&options);
    options.variables = &args->operands[1];
    options.nvariables = 1;
    options.isel = cm_cli_list_items(&args->isel);
    options.nisel = args->isel.n;
    options.sel = cm_cli_list_items(&args->sel);
    options.nsel = args->sel.n;
    options.unpack = cm_cli_unpack(args);
    return cm_dataset_select(cli->ctx, ds, &options, part, err);
}

static int values_of_one(cm_cli *cli, const char *name, uint64_t buffer, cm_error *err)
{
    cm_dataset *ds = NULL, *part = NULL;
    const cm_variable *v = NULL;
    int ret = cm_cli_open(cli, cli->args.operands[0], &ds, err);
    if (ret == 0)
        ret = cm_cli_find_variable(ds, cm_dataset_root(ds), name, &v, err);
    if (ret == 0)
        ret = choose(cli, ds, &part, err);
    if (ret == 0 && part)
        ret = cm_cli_find_variable(part, cm_dataset_root(part), name, &v, err);
    if (ret == 0)
        ret = put_values(cli, v, buffer, err);
    if (ret < 0 && ret != CM_ECANCEL)
        cm_error_object(err, cli->args.operands[0]);
    cm_dataset_free(part);
    cm_dataset_free(ds);
    return ret;
}

/* Is the variable made by the join? */
static bool is_made(const cm_cli_args *args, const char *name)
{
    size_t n = strlen(name);
    return (args->stack && strcmp(args->stack, name) == 0) ||
           (args->coord && strncmp(args->coord, name, n) == 0 && args->coord[n] == '=');
}

/* Only what the variable needs is joined; of merged sources not every one has it. */
static int values_of_joined(cm_cli *cli, const char *name, uint64_t buffer, cm_error *err)
{
    cm_cli_sources sources = {0};
    const cm_variable *v = NULL;
    int ret = cm_cli_sources_list(cli, cli->args.noperands - 1, &sources, err);
    if (ret == 0 && !cli->args.merge && !is_made(&cli->args, name))
        ret = cm_cli_list_add(&cli->args.vars, name, strlen(name), err);
    if (ret == 0)
        ret = cm_cli_sources_open(cli, &sources, err);
    if (ret == 0)
        ret =
            cm_cli_find_variable(sources.dataset, cm_dataset_root(sources.dataset), name, &v, err);
    if (ret == 0)
        ret = put_values(cli, v, buffer, err);
    cm_cli_sources_free(&sources);
    return ret;
}

static int run(cm_cli *cli, cm_error *err)
{
    const cm_cli_args *args = &cli->args;
    const char *name = args->operands[args->noperands - 1], *reason;
    if (args->noperands < 2 && !args->files_from) {
        cm_error_set(err, CM_EINVAL, "needs %s: something is missing", cli->command->operands);
        cm_error_hint(err, "chunkmill %s --help", cli->command->name);
        return CM_EINVAL;
    }
    uint64_t buffer = cm_cli_memory(cli, &reason) / 4;
    if (buffer > LARGEST_BUFFER)
        buffer = LARGEST_BUFFER;
    bool joined = args->noperands != 2 || cm_cli_joins(args);
    int ret = cm_cli_begin(cli, buffer, err);
    if (ret == 0)
        ret = (joined ? values_of_joined : values_of_one)(cli, name, buffer, err);
    if (ret < 0 && ret != CM_ECANCEL)
        cm_error_variable(err, name);
    return ret;
}

static const cm_cli_option options[] = {
    {CM_CLI_HEADING, .help = "Which part"},
    {CM_CLI_COMMAS, "isel", 0, false, CM_CLI_AT(isel), "dim=a:b,...",
     "subset by index: time=0:100, lat=5, x=-10: (the end is not included)"},
    {CM_CLI_COMMAS, "sel", 0, false, CM_CLI_AT(sel), "dim=a:b,...",
     "subset by coordinate value: lat=-10:10, time=2001/2010 (both ends included)"},
    CM_CLI_UNPACK_OPTION,
    CM_CLI_FORMAT_OPTION,
    CM_CLI_JOIN_OPTIONS,
    CM_CLI_RESOURCE_OPTIONS,
    CM_CLI_TALK_OPTIONS,
};

static const cm_cli_example examples[] = {
    {"all values of a coordinate, one a line", "chunkmill values tas_2001.nc lat"},
    {"one point's series", "chunkmill values tas_2001.nc tas --isel lat=0,lon=0,time=0:10"},
    {"of joined files", "chunkmill values tas_*.nc time --isel time=364:367"},
    {"as nested JSON lists", "chunkmill values tas_2001.nc tas --isel time=0 --json"},
    {0}};

const cm_cli_command cm_cli_values = {
    .name = "values",
    .operands = "URI... VAR",
    .summary = "print values, as text or JSON",
    .text = "Prints the cells of one variable in C order. Text has one row of the last axis a "
            "line, with commas between cells; from three dimensions on, a line \"# [i, :, :]\" "
            "stands before each plane (indices count within the chosen part). JSON is nested "
            "lists. Numbers are the shortest text that reads back to the same bits; NaN and "
            "Infinity are written so in JSON too, as Python does. Several sources are joined.",
    .min_operands = 1,
    .max_operands = (size_t)-1,
    .options = options,
    .examples = examples,
    .run = run};
