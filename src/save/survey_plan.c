/* save/survey_plan.c: what to do about it, as commands.
 *
 * A step of the plan is {"do", "text", "commands", "lists"}. Lists are files by number, under a
 * name that the commands use: the program can write them as they are, one name a line.
 *
 * In this order: what to do when all is well; files that cannot be read, left out; kinds of files
 * that do not join (join/survey_agree.c): a few odd files are left out, runs of one kind after the
 * other are eras, each its own cube; options that make the difference go away; what references
 * cannot say, copied or materialized instead.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "join/match.h"
#include "save/survey_report.h"

enum { MOST_ERAS = 12 };

typedef struct step {
    cm_survey_report *r;
    cm_json *o, *commands, *lists;
} step;

static step begin(cm_survey_report *r, const char *what, const char *text)
{
    cm_json_doc *doc = r->doc;
    step t = {r, cm_json_new_object(doc), cm_json_new_array(doc), cm_json_new_array(doc)};
    if (cm_json_set_string(doc, t.o, "do", what) || cm_json_set_string(doc, t.o, "text", text) ||
        cm_json_set(doc, t.o, "commands", t.commands) || cm_json_set(doc, t.o, "lists", t.lists))
        t.o = NULL;
    return t;
}

static int end(step *t, cm_error *err)
{
    return cm_json_add(t->r->doc, t->r->plan, t->o) ? cm_survey_no_memory(err) : 0;
}

static int command(step *t, cm_error *err, const char *format, ...) CM_PRINTF(3, 4);
static int command(step *t, cm_error *err, const char *format, ...)
{
    char line[1024];
    va_list ap;
    va_start(ap, format);
    vsnprintf(line, sizeof line, format, ap);
    va_end(ap);
    return cm_json_add(t->r->doc, t->commands, cm_json_new_string(t->r->doc, line))
               ? cm_survey_no_memory(err)
               : 0;
}

static int add_list(step *t, const char *name, const bool *in, cm_error *err)
{
    cm_json *o = cm_survey_some_files(t->r, in);
    return cm_json_set_string(t->r->doc, o, "name", name) || cm_json_add(t->r->doc, t->lists, o)
               ? cm_survey_no_memory(err)
               : 0;
}

/* " --order name" and so on; quoted where a shell would not take it as it is. */
static size_t put_option(char *out, size_t size, const char *name, const char *value)
{
    bool plain =
        value && !value[strspn(value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                      "0123456789_-=.,:/@%+")];
    if (!value)
        return 0;
    int n = snprintf(out, size, plain ? " --%s %s" : " --%s '%s'", name, value);
    return n < 0 ? 0 : (size_t)n < size ? (size_t)n : size ? size - 1 : 0;
}

static size_t join_options_of(const cm_join_options *o, char *out, size_t size)
{
    static const char *const orders[] = {NULL, "given", "name"};
    static const char *const unsorted[] = {NULL, "refuse", "sort", "keep"};
    static const char *const duplicates[] = {NULL, "first", "last", "keep"};
    static const char *const gaps[] = {NULL, "refuse", "fill", "ignore"};
    size_t n = put_option(out, size, "stack", o->stack);
    n += put_option(out + n, size - n, "coord", o->coord);
    n += put_option(out + n, size - n, "calendar", o->calendar);
    n += put_option(out + n, size - n, "order", orders[o->order]);
    n += put_option(out + n, size - n, "unsorted", unsorted[o->unsorted]);
    n += put_option(out + n, size - n, "duplicates", duplicates[o->duplicates]);
    n += put_option(out + n, size - n, "gaps", gaps[o->gaps]);
    if (o->merge && n + 9 < size) {
        memcpy(out + n, " --merge", 9);
        n += 8;
    }
    return n;
}

/* "--concat time --skip a": what the survey itself was told. */
static void options_of(const cm_survey *s, char *out, size_t size)
{
    const cm_select_options *o = &s->options->select;
    const cm_join_options *join = s->options->join;
    size_t n = 0;
    out[0] = 0;
    if (join && (join->stack || join->coord || join->merge)) {
        n = put_option(out, size, "concat", join->concat);
        n += join_options_of(join, out + n, size - n);
    } else if (join) {
        n = put_option(out, size, "concat", s->dimension);
        n += join_options_of(join, out + n, size - n);
    } else if (s->dimension)
        n = (size_t)snprintf(out, size, " --concat %s", s->dimension);
    if (s->options->static_first && n < size)
        n += (size_t)snprintf(out + n, size - n, " --static first");
    if (s->options->select_any && o->group && n < size)
        n += (size_t)snprintf(out + n, size - n, " --group %s", o->group);
    for (size_t i = 0; s->options->select_any && i < o->nvariables && n < size; i++)
        n += (size_t)snprintf(out + n, size - n, "%s%s", i ? "," : " --vars ", o->variables[i]);
    for (size_t i = 0; s->options->select_any && i < o->nskip && n < size; i++)
        n += (size_t)snprintf(out + n, size - n, "%s%s", i ? "," : " --skip ", o->skip[i]);
    if (s->options->select_any && o->unpack && n < size)
        snprintf(out + n, size - n, " --unpack%s",
                 o->unpack == CM_UNPACK_FLOAT32   ? "=float32"
                 : o->unpack == CM_UNPACK_FLOAT64 ? "=float64"
                                                  : "");
}

/* ---- steps ----------------------------------------------------------------------------------- */

static int all_is_well(cm_survey_report *r, cm_error *err)
{
    char options[512];
    options_of(r->s, options, sizeof options);
    step t = begin(r, "join",
                   r->virtualizable ? "all files as one cube, copied or referred to"
                                    : "all files as one cube, copied");
    int rc = command(&t, err, "chunkmill rechunk FILES cube.zarr%s", options);
    if (rc == 0 && r->virtualizable)
        rc = command(&t, err, "chunkmill virtualize FILES cube.parq%s", options);
    return rc ? rc : end(&t, err);
}

static int what_references_lack(cm_survey_report *r, cm_error *err)
{
    char options[512], skip[512] = "";
    const cm_survey *s = r->s;
    size_t n = 0, refused = 0;
    for (uint32_t v = 0; v < s->paths.n; v++)
        if (r->refused[v]) {
            const char *path = cm_survey_path(s, v);
            if (n < sizeof skip)
                n += (size_t)snprintf(skip + n, sizeof skip - n, "%s%s", refused ? "," : "",
                                      path + (path[0] == '/'));
            refused++;
        }
    options_of(s, options, sizeof options);
    step t = begin(r, "references",
                   "references to the files as they are cannot say all of it: let the chunks that "
                   "do not fit be rewritten beside them, or leave the variables out");
    int rc = command(&t, err, "chunkmill virtualize FILES cube.parq%s --materialize cube-chunks",
                     options);
    if (rc == 0 && n < sizeof skip)
        rc = command(&t, err, "chunkmill virtualize FILES cube.parq%s --skip %s", options, skip);
    return rc ? rc : end(&t, err);
}

static int leave_out_unreadable(cm_survey_report *r, bool *in, cm_error *err)
{
    const cm_survey *s = r->s;
    size_t n = 0;
    char text[160];
    for (size_t k = 0; k < s->n; k++) {
        in[k] = s->files[k].opened && !s->files[k].problem;
        n += !in[k];
    }
    if (n == 0)
        return 0;
    snprintf(text, sizeof text, "%zu file%s cannot be read: mend%s", n, n == 1 ? "" : "s",
             n < s->n ? ", or leave out" : "");
    step t = begin(r, n < s->n ? "leave out" : "mend", text);
    int rc = n < s->n ? add_list(&t, "readable", in, err) : 0;
    if (rc == 0 && n < s->n)
        rc = command(&t, err, "chunkmill survey --files-from readable.txt");
    return rc ? rc : end(&t, err);
}

/* Reasons why files do not join, all together. */
static unsigned reasons(const cm_survey_report *r)
{
    unsigned all = 0;
    for (size_t i = 0; i < r->s->nforms; i++)
        all |= r->agreement.clash[i];
    for (uint32_t v = 0; v < r->s->paths.n; v++)
        if (r->nforms[v] && cm_survey_presence(r, v) != r->order.n)
            all |= CM_CLASH_ABSENT;
    return all;
}

/* Variables that something other than the order is wrong with. */
static size_t bad_variables(const cm_survey_report *r, char *list, size_t size, bool *all_static)
{
    const cm_survey *s = r->s;
    size_t n = 0, count = 0;
    list[0] = 0;
    *all_static = true;
    for (uint32_t v = 0; v < s->paths.n; v++) {
        bool bad = r->nforms[v] && cm_survey_presence(r, v) != r->order.n, fixed = !bad;
        for (size_t i = 0; i < r->nforms[v]; i++) {
            bad = bad || r->agreement.clash[r->forms[v][i]];
            fixed = fixed && s->forms[r->forms[v][i]].axis < 0 &&
                    s->forms[r->forms[v][i]].v->array != NULL;
        }
        if (!bad)
            continue;
        const char *path = cm_survey_path(s, v);
        if (n < size)
            n += (size_t)snprintf(list + n, size - n, "%s%s", count ? "," : "",
                                  path + (path[0] == '/'));
        *all_static = *all_static && fixed;
        count++;
    }
    return n < size ? count : 0;
}

static int other_options(cm_survey_report *r, cm_error *err)
{
    char options[512], list[512];
    bool all_static;
    unsigned why = reasons(r);
    size_t n = bad_variables(r, list, sizeof list, &all_static);
    options_of(r->s, options, sizeof options);
    if (!why || n == 0)
        return 0;
    int rc = 0;
    if (all_static && r->s->dimension) {
        step t = begin(r, "static first",
                       "only variables that do not change along the joined dimension differ: take "
                       "the first file's");
        rc = command(&t, err, "chunkmill survey FILES%s --static first", options);
        if (rc == 0)
            rc = end(&t, err);
    } else if (!(why & ~(unsigned)(CM_ASPECT_PACKING | CM_ASPECT_DTYPE)) &&
               why & CM_ASPECT_PACKING) {
        step t = begin(r, "unpack", "only packing differs: decode each file by its own");
        rc = command(&t, err, "chunkmill survey FILES%s --unpack=float64", options);
        if (rc == 0)
            rc = end(&t, err);
    }
    if (rc)
        return rc;
    step t = begin(r, "skip", "or leave out the variables that do not fit");
    rc = command(&t, err, "chunkmill survey FILES%s --skip %s", options, list);
    return rc ? rc : end(&t, err);
}

/* What makes a cube of files that do not stand one after the other. */
static int another_way(cm_survey_report *r, cm_error *err)
{
    char options[512];
    options_of(r->s, options, sizeof options);
    if (!r->s->dimension && r->order.n > 1) {
        step t = begin(r, "stack",
                       "the files have no dimension to be joined along: name it with --concat, or "
                       "stack them along a new one");
        int rc = command(&t, err, "chunkmill rechunk FILES cube.zarr --stack NAME");
        return rc ? rc : end(&t, err);
    }
    if (!(reasons(r) & CM_CLASH_ABSENT))
        return 0;
    step t = begin(r, "merge",
                   "if files have different variables by intent: join those that have the same, "
                   "then put all into one");
    int rc = command(&t, err, "chunkmill rechunk FILES cube.zarr%s --merge", options);
    return rc ? rc : end(&t, err);
}

static size_t count_runs(const cm_survey_report *r)
{
    size_t runs = 1;
    for (size_t k = 1; k < r->order.n; k++)
        runs += r->agreement.kinds[k] != r->agreement.kinds[k - 1];
    return runs;
}

static int split_in_eras(cm_survey_report *r, bool *in, cm_error *err)
{
    char options[512], name[32];
    int rc = 0;
    size_t era = 0;
    options_of(r->s, options, sizeof options);
    step t = begin(r, "split", "files of one kind follow each other: a cube for each era");
    for (size_t k = 0, end_k; rc == 0 && k < r->order.n; k = end_k) {
        memset(in, 0, r->s->n * sizeof *in);
        for (end_k = k; end_k < r->order.n && r->agreement.kinds[end_k] == r->agreement.kinds[k];)
            in[r->order.files[end_k++]] = true;
        snprintf(name, sizeof name, "era-%zu", ++era);
        rc = add_list(&t, name, in, err);
        if (rc == 0)
            rc = command(&t, err, "chunkmill rechunk --files-from %s.txt %s.zarr%s", name, name,
                         options);
    }
    return rc ? rc : end(&t, err);
}

static int split_by_kind(cm_survey_report *r, bool *in, cm_error *err)
{
    char options[512], name[32], text[200];
    const cm_survey_agreement *a = &r->agreement;
    size_t counts[CM_MOST_KINDS] = {0};
    uint32_t most = 0;
    int rc = 0;
    options_of(r->s, options, sizeof options);
    for (size_t k = 0; k < r->order.n; k++)
        counts[a->kinds[k]]++;
    for (uint32_t i = 1; i < a->nkinds; i++)
        most = counts[i] > counts[most] ? i : most;
    size_t odd = r->order.n - counts[most];
    snprintf(text, sizeof text, "%zu of %zu files join; %zu file%s %s different", counts[most],
             r->order.n, odd, odd == 1 ? "" : "s", odd == 1 ? "is" : "are");
    step t = begin(r, "leave out", text);
    for (uint32_t i = 0; rc == 0 && i < a->nkinds; i++) {
        uint32_t kind = i == 0 ? most : i <= most ? i - 1 : i; /* the largest first */
        memset(in, 0, r->s->n * sizeof *in);
        for (size_t k = 0; k < r->order.n; k++)
            in[r->order.files[k]] = a->kinds[k] == kind;
        snprintf(name, sizeof name, "kind-%u", i + 1);
        rc = add_list(&t, name, in, err);
        if (rc == 0 && i == 0)
            rc = command(&t, err, "chunkmill rechunk --files-from %s.txt cube.zarr%s", name,
                         options);
    }
    return rc ? rc : end(&t, err);
}

static int mend_order(cm_survey_report *r, cm_error *err)
{
    char options[512];
    bool repeats = false, turns = false;
    for (size_t i = 0; r->s->n > 1 && i < r->order.nevents; i++) {
        cm_event_kind kind = r->order.events[i].kind;
        repeats = repeats || kind == CM_EVENT_DUPLICATE || kind == CM_EVENT_OVERLAP;
        turns = turns || kind == CM_EVENT_TURN || kind == CM_EVENT_DIRECTION ||
                kind == CM_EVENT_OVERLAP;
    }
    if (!repeats && !turns)
        return 0;
    options_of(r->s, options, sizeof options);
    step t = begin(r, "order",
                   "values of the coordinate repeat or are not sorted: say what is to be done, or "
                   "leave files out");
    int rc = command(&t, err, "chunkmill rechunk FILES cube.zarr%s%s%s", options,
                     repeats ? " --duplicates last" : "", turns ? " --unsorted sort" : "");
    return rc ? rc : end(&t, err);
}

static int fill_gaps(cm_survey_report *r, cm_error *err)
{
    char options[512];
    bool some = false;
    const cm_join_options *join = r->s->options->join;
    if (join && (join->gaps || join->stack || join->coord || join->merge))
        return 0;
    for (size_t i = 0; i < r->order.nevents; i++)
        some = some || r->order.events[i].kind >= CM_EVENT_GAP;
    if (!some)
        return 0;
    options_of(r->s, options, sizeof options);
    step t = begin(r, "gaps", "steps are missing: leave them out, or fill them");
    int rc = command(&t, err, "chunkmill rechunk FILES cube.zarr%s --gaps fill", options);
    return rc ? rc : end(&t, err);
}

int cm_survey_put_plan(cm_survey_report *r, cm_error *err)
{
    bool *in = cm_calloc(r->s->n, sizeof *in, err);
    int rc = in ? leave_out_unreadable(r, in, err) : CM_ENOMEM;
    if (rc == 0 && r->agreement.joinable)
        rc = all_is_well(r, err);
    if (rc == 0 && r->agreement.joinable && !r->virtualizable)
        rc = what_references_lack(r, err);
    if (rc == 0 && !r->agreement.joinable && r->agreement.nkinds > 1)
        rc = count_runs(r) <= MOST_ERAS && count_runs(r) <= (size_t)r->agreement.nkinds
                 ? split_in_eras(r, in, err)
                 : split_by_kind(r, in, err);
    if (rc == 0 && !r->agreement.joinable)
        rc = other_options(r, err);
    if (rc == 0 && !r->agreement.joinable)
        rc = another_way(r, err);
    if (rc == 0 && !(r->asked && r->agreement.joinable))
        rc = mend_order(r, err);
    if (rc == 0 && r->agreement.joinable)
        rc = fill_gaps(r, err);
    free(in);
    return rc;
}
