/* cli/sources.c: open, select, join.
 *
 * The order matters. --group, --vars, --skip and --unpack are for each file, before the join: an
 * unreadable variable must be gone before files are compared, and every file is unpacked by its own
 * scale and offset. --isel and --sel are for the joined whole: time=0:100 means the first hundred
 * steps of the cube, not of every file.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/sources.h"

enum { LONGEST_LIST = 10000000 };

static int read_list(const char *path, cm_cli_list *names, cm_error *err)
{
    bool standard = strcmp(path, "-") == 0;
    FILE *f = standard ? stdin : fopen(path, "re");
    if (!f) {
        int ret = cm_error_set_os(err, errno, "cannot be read");
        cm_error_object(err, path);
        return ret;
    }
    char *line = NULL;
    size_t capacity = 0;
    ssize_t n;
    int ret = 0;
    while (ret == 0 && (n = getline(&line, &capacity, f)) >= 0) {
        while (n > 0 && (line[n - 1] == '\n' || line[n - 1] == '\r'))
            n--;
        if (n > 0 && memchr(line, '\0', (size_t)n))
            ret = cm_error_set(err, CM_EINVAL, "line %zu holds a NUL byte: no list of names",
                               names->n + 1);
        else if (n > 0 && names->n >= LONGEST_LIST)
            ret = cm_error_set(err, CM_ELIMIT, "more than %d names", LONGEST_LIST);
        else if (n > 0)
            ret = cm_cli_list_add(names, line, (size_t)n, err);
    }
    if (ret == 0 && ferror(f))
        ret = cm_error_set_os(err, errno, "cannot be read");
    if (ret < 0)
        cm_error_object(err, standard ? "standard input" : path);
    free(line);
    if (!standard)
        fclose(f);
    return ret;
}

int cm_cli_sources_list(const cm_cli *cli, size_t n, cm_cli_sources *s, cm_error *err)
{
    for (size_t i = 0; i < n; i++) {
        const char *name = cli->args.operands[i];
        int ret = cm_cli_list_add(&s->names, name, strlen(name), err);
        if (ret < 0)
            return ret;
    }
    if (cli->args.files_from) {
        int ret = read_list(cli->args.files_from, &s->names, err);
        if (ret < 0)
            return ret;
    }
    if (s->names.n > 0)
        return 0;
    cm_error_set(err, CM_EINVAL, "no source is named");
    cm_error_hint(err, "chunkmill %s %s", cli->command->name, cli->command->operands);
    return CM_EINVAL;
}

int cm_cli_sources_and_target(const cm_cli *cli, cm_error *err)
{
    if (cli->args.noperands > 1 || cli->args.files_from)
        return 0;
    cm_error_set(err, CM_EINVAL, "needs a source and a target, only one name is given");
    cm_error_object(err, cli->command->name);
    cm_error_hint(err, "chunkmill %s %s", cli->command->name, cli->command->operands);
    return CM_EINVAL;
}

/* What cannot be read, as one value of --skip; n counts also what did not fit into the list. */
typedef struct unreadable {
    const cm_variable *first;
    size_t n, nlisted;
    char list[256];
} unreadable;

static void list_unreadable(const cm_group *g, unreadable *u)
{
    for (size_t i = 0; i < cm_group_nvariables(g); i++) {
        const cm_variable *v = cm_group_variable(g, i);
        if (!cm_variable_problem(v))
            continue;
        const char *name = cm_group_parent(g) ? cm_variable_path(v) : cm_variable_name(v);
        size_t at = strlen(u->list), need = strlen(name) + strlen(u->n ? "," : "");
        u->first = u->n ? u->first : v;
        if (u->nlisted == u->n && at + need < sizeof u->list && !strchr(name, ',')) {
            snprintf(u->list + at, sizeof u->list - at, "%s%s", u->n ? "," : "", name);
            u->nlisted++;
        }
        u->n++;
    }
    for (size_t i = 0; i < cm_group_ngroups(g); i++)
        list_unreadable(cm_group_at(g, i), u);
}

static bool has_skip(const cm_cli_command *c)
{
    for (const cm_cli_option *o = c->options; o->kind != CM_CLI_END; o++)
        if (o->name && strcmp(o->name, "skip") == 0)
            return true;
    return false;
}

int cm_cli_require_readable(const cm_cli *cli, const cm_dataset *ds, cm_error *err)
{
    unreadable u = {0};
    list_unreadable(cm_dataset_root(ds), &u);
    if (u.n == 0)
        return 0;
    char own[sizeof err->hint];
    *err = *cm_variable_problem(u.first);
    snprintf(own, sizeof own, "%s", err->hint);
    cm_error_object(err, cm_dataset_uri(ds));
    cm_error_variable(err, cm_variable_path(u.first));
    cm_error_prefix(err, "cannot be read");
    err->hint[0] = 0;
    if (!has_skip(cli->command))
        cm_error_hint(err, "%s", own);
    else if (u.nlisted == u.n)
        cm_error_hint(err, "--skip %s leaves %s out%s%s", u.list, u.n == 1 ? "it" : "all such",
                      own[0] ? "; " : "", own);
    else
        cm_error_hint(err,
                      "chunkmill info lists the %zu variables that cannot be read, --skip "
                      "leaves out those that it names",
                      u.n);
    return err->code;
}

cm_unpack cm_cli_unpack(const cm_cli_args *args)
{
    if (!args->unpack)
        return CM_UNPACK_NO;
    if (strcmp(args->unpack, "float32") == 0)
        return CM_UNPACK_FLOAT32;
    return strcmp(args->unpack, "float64") == 0 ? CM_UNPACK_FLOAT64 : CM_UNPACK_AUTO;
}

static bool selects_part(const cm_cli_args *args)
{
    return args->group || args->vars.n || args->skip.n || args->unpack;
}

/* The names of a list that mean something in ds: all, but for sources that are merged. *kept:
 * malloc'ed, of borrowed names. */
static int names_for(const cm_cli *cli, const cm_cli_list *list, const cm_dataset *ds,
                     const char ***kept, size_t *n, cm_error *err)
{
    *n = 0;
    *kept = calloc(list->n + 1, sizeof **kept);
    if (!*kept)
        return cm_error_set(err, CM_ENOMEM, "out of memory for %zu names", list->n);
    for (size_t i = 0; i < list->n; i++)
        if (!cli->args.merge || cm_cli_has_named(ds, list->items[i]))
            (*kept)[(*n)++] = list->items[i];
    return 0;
}

/* *ds becomes the part of it that options of a single file choose. */
static int select_part(cm_cli *cli, cm_dataset **ds, cm_error *err)
{
    const cm_cli_args *args = &cli->args;
    cm_select_options options;
    const char **vars = NULL, **skip = NULL;
    cm_dataset *part = NULL;
    cm_select_options_init(&options);
    options.group = args->group;
    options.unpack = cm_cli_unpack(args);
    int ret = names_for(cli, &args->vars, *ds, &vars, &options.nvariables, err);
    if (ret == 0)
        ret = names_for(cli, &args->skip, *ds, &skip, &options.nskip, err);
    options.variables = vars;
    options.skip = skip;
    if (ret == 0 && args->vars.n && options.nvariables == 0)
        ret = cm_error_set(err, CM_EINVAL, "it has none of the variables of --vars");
    if (ret == 0)
        ret = cm_dataset_select(cli->ctx, *ds, &options, &part, err);
    free(vars);
    free(skip);
    if (ret < 0) {
        cm_error_object(err, cm_dataset_uri(*ds));
        return ret;
    }
    cm_dataset_free(*ds);
    *ds = part;
    return 0;
}

/* Of sources that are merged, one must have each name. */
static int check_merged(const cm_cli_list *list, const cm_cli_sources *s, cm_error *err)
{
    int ret = 0;
    for (size_t i = 0; i < list->n && ret == 0; i++) {
        bool found = false;
        for (size_t k = 0; k < s->nopened && !found; k++)
            found = cm_cli_has_named(s->opened[k], list->items[i]);
        if (!found)
            ret = cm_cli_require_named(s->opened[0], cm_dataset_root(s->opened[0]), list->items[i],
                                       err);
    }
    return ret;
}

static int choose_one(cm_cli *cli, cm_dataset **ds, cm_error *err)
{
    int ret = cm_cli_check(cli, err);
    if (ret == 0 && selects_part(&cli->args))
        ret = select_part(cli, ds, err);
    if (ret == 0)
        ret = cm_cli_require_readable(cli, *ds, err);
    return ret;
}

/* The place of text among "a|b|c"; 0 when it is NULL. */
static int choice_of(const char *text, const char *const *choices)
{
    int i = 0;
    while (text && choices[i] && strcmp(text, choices[i]) != 0)
        i++;
    return text ? i : 0;
}

void cm_cli_join_options(const cm_cli_args *args, cm_join_options *o)
{
    static const char *const orders[] = {"coordinate", "given", "name", NULL};
    static const char *const unsorted[] = {"", "refuse", "sort", "keep", NULL};
    static const char *const duplicates[] = {"refuse", "first", "last", "keep", NULL};
    static const char *const gaps[] = {"warn", "refuse", "fill", "ignore", NULL};
    cm_join_options_init(o);
    o->concat = args->concat;
    o->static_first = args->static_rule != NULL;
    o->order = (cm_join_order)choice_of(args->order, orders);
    o->unsorted = (cm_unsorted)choice_of(args->unsorted, unsorted);
    o->duplicates = (cm_duplicates)choice_of(args->duplicates, duplicates);
    o->gaps = (cm_gaps)choice_of(args->gaps, gaps);
    o->stack = args->stack;
    o->coord = args->coord;
    o->calendar = args->calendar;
    o->merge = args->merge > 0;
    o->keep_first = args->append != NULL;
}

/* All datasets that n names stand for, with the cache if one is named. */
static int open_all(cm_cli *cli, const char *const *uris, size_t n, cm_dataset ***out, size_t *nout,
                    cm_error *err)
{
    cm_sources_options options;
    cm_sources_stats stats;
    cm_sources_options_init(&options);
    options.format = cli->args.format;
    options.cache = cli->args.cache;
    if (options.cache && options.format)
        return cm_error_set(err, CM_EINVAL, "--cache and --format do not go together");
    int ret = cm_dataset_open_sources(cli->ctx, uris, n, &options, out, nout, &stats, err);
    cm_cli_progress_clear(&cli->progress); /* what comes next may be output */
    if (ret == 0 && options.cache && cli->args.verbose)
        cm_cli_note(cli, "%zu of %zu files are in the cache", stats.cached,
                    stats.cached + stats.opened);
    return ret;
}

int cm_cli_open(cm_cli *cli, const char *uri, cm_dataset **out, cm_error *err)
{
    cm_dataset **opened = NULL;
    cm_join_options options;
    size_t n = 0;
    *out = NULL;
    int ret = open_all(cli, &uri, 1, &opened, &n, err);
    if (ret == 0 && n == 1) {
        *out = opened[0];
        opened[0] = NULL;
    } else if (ret == 0) { /* scan tables of several files: the cube that they are */
        cm_cli_join_options(&cli->args, &options);
        ret = cm_dataset_join(cli->ctx, opened, n, &options, out, err);
        cm_cli_progress_clear(&cli->progress);
    }
    cm_sources_free(opened, n);
    if (ret < 0)
        cm_error_object(err, uri);
    return ret;
}

bool cm_cli_joins(const cm_cli_args *a)
{
    return a->files_from || a->order || a->unsorted || a->duplicates || a->gaps || a->stack ||
           a->coord || a->calendar;
}

static int join(cm_cli *cli, cm_cli_sources *s, cm_error *err)
{
    cm_join_options options;
    cm_cli_join_options(&cli->args, &options);
    int ret = cm_dataset_join(cli->ctx, s->opened, s->nopened, &options, &s->joined, err);
    cm_cli_progress_clear(&cli->progress);
    if (ret < 0)
        return ret;
    for (size_t i = 0; i < s->nopened; i++) { /* the joined one keeps what it needs */
        cm_dataset_free(s->opened[i]);
        s->opened[i] = NULL;
    }
    s->dataset = s->joined;
    s->report = cm_dataset_join_report(s->joined);
    cm_cli_join_note(cli, s->report);
    return 0;
}

static int select_range(cm_cli *cli, cm_cli_sources *s, cm_error *err)
{
    cm_select_options options;
    cm_select_options_init(&options);
    options.isel = cm_cli_list_items(&cli->args.isel);
    options.nisel = cli->args.isel.n;
    options.sel = cm_cli_list_items(&cli->args.sel);
    options.nsel = cli->args.sel.n;
    int ret = cm_dataset_select(cli->ctx, s->dataset, &options, &s->selected, err);
    if (ret < 0) {
        if (s->names.n == 1)
            cm_error_object(err, s->names.items[0]);
        return ret;
    }
    s->dataset = s->selected;
    return 0;
}

int cm_cli_sources_open(cm_cli *cli, cm_cli_sources *s, cm_error *err)
{
    size_t nnames = s->names.n;
    int ret = open_all(cli, cm_cli_list_items(&s->names), s->names.n, &s->opened, &s->nopened, err);
    if (ret == 0 && cli->args.merge)
        ret = check_merged(&cli->args.vars, s, err);
    if (ret == 0 && cli->args.merge)
        ret = check_merged(&cli->args.skip, s, err);
    for (size_t i = 0; i < s->nopened && ret == 0; i++)
        ret = choose_one(cli, &s->opened[i], err);
    if (ret < 0)
        return ret;
    for (size_t i = 0; i < s->nopened && s->nopened != nnames; i++) { /* no target may be these */
        const char *name = cm_dataset_uri(s->opened[i]);
        ret = cm_cli_list_add(&s->names, name, strlen(name), err);
        if (ret < 0)
            return ret;
    }
    s->dataset = s->opened[0];
    if (s->nopened > 1 || cm_cli_joins(&cli->args)) {
        ret = join(cli, s, err);
        if (ret < 0)
            return ret;
    }
    if (cli->args.isel.n || cli->args.sel.n)
        return select_range(cli, s, err);
    return 0;
}

void cm_cli_sources_free(cm_cli_sources *s)
{
    cm_dataset_free(s->selected);
    cm_dataset_free(s->joined);
    cm_sources_free(s->opened, s->nopened);
    cm_cli_list_free(&s->names);
    *s = (cm_cli_sources){0};
}
