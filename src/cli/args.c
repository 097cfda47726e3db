/* cli/args.c: the parser of option tables.
 *
 * Long options are never abbreviated: a script that says --comp would break on the day a second
 * option begins like that. Instead an unknown name is an error with the nearest known one. A value
 * may be attached (--chunks=time=10) or be the next word, whatever it begins with. Options and
 * operands may be mixed.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/args.h"
#include "cli/sizes.h"
#include "cli/spelling.h"

int cm_cli_list_add(cm_cli_list *list, const char *text, size_t nbytes, cm_error *err)
{
    if (list->n == list->capacity) {
        size_t capacity = list->capacity ? 2 * list->capacity : 8;
        char **items = realloc(list->items, capacity * sizeof *items);
        if (!items)
            return cm_error_set(err, CM_ENOMEM, "out of memory for a list of %zu names", capacity);
        list->items = items;
        list->capacity = capacity;
    }
    char *copy = malloc(nbytes + 1);
    if (!copy)
        return cm_error_set(err, CM_ENOMEM, "out of memory for a name of %zu bytes", nbytes);
    memcpy(copy, text, nbytes);
    copy[nbytes] = '\0';
    list->items[list->n++] = copy;
    return 0;
}

void cm_cli_list_free(cm_cli_list *list)
{
    for (size_t i = 0; i < list->n; i++)
        free(list->items[i]);
    free(list->items);
    *list = (cm_cli_list){0};
}

const char *const *cm_cli_list_items(const cm_cli_list *list)
{
    return (const char *const *)list->items;
}

/* Whether text is one of "a|b|c". */
static bool is_choice(const char *choices, const char *text)
{
    size_t n = strlen(text);
    for (const char *p = choices; n > 0;) {
        size_t len = strcspn(p, "|");
        if (len == n && memcmp(p, text, n) == 0)
            return true;
        if (!p[len])
            break;
        p += len + 1;
    }
    return false;
}

/* Items between commas; a backslash keeps the next comma. Empty items are errors. */
static int add_commas(cm_cli_list *list, const cm_cli_option *o, const char *value, cm_error *err)
{
    size_t size = strlen(value);
    char *item = malloc(size + 1);
    if (!item)
        return cm_error_set(err, CM_ENOMEM, "out of memory for --%s", o->name);
    int ret = 0;
    size_t n = 0;
    for (size_t i = 0; i <= size && ret == 0; i++) {
        if (value[i] == '\\' && value[i + 1] == ',') {
            item[n++] = value[++i];
        } else if (value[i] == ',' || value[i] == '\0') {
            if (n == 0)
                ret = cm_error_set(err, CM_EINVAL, "--%s %s: an empty item", o->name, value);
            else
                ret = cm_cli_list_add(list, item, n, err);
            n = 0;
        } else {
            item[n++] = value[i];
        }
    }
    free(item);
    return ret;
}

static int bad_value(const cm_cli_option *o, const char *value, const char *wanted, cm_error *err)
{
    cm_error_set(err, CM_EINVAL, "--%s: '%s' is not %s", o->name, value, wanted);
    return CM_EINVAL;
}

static int set_choice(const cm_cli_option *o, const char **field, const char *value, cm_error *err)
{
    if (is_choice(o->argument, value)) {
        *field = value;
        return 0;
    }
    char wanted[128];
    snprintf(wanted, sizeof wanted, strchr(o->argument, '|') ? "one of %s" : "%s", o->argument);
    return bad_value(o, value, wanted, err);
}

static int set_value(const cm_cli_option *o, cm_cli_args *args, const char *value, cm_error *err)
{
    void *field = (char *)args + o->offset;
    char *end = NULL;
    switch (o->kind) {
    case CM_CLI_TEXT:
        if (!*value)
            return cm_error_set(err, CM_EINVAL, "--%s: an empty value", o->name);
        *(const char **)field = value;
        return 0;
    case CM_CLI_WORDS: return cm_cli_list_add(field, value, strlen(value), err);
    case CM_CLI_COMMAS: return add_commas(field, o, value, err);
    case CM_CLI_COUNT: {
        errno = 0;
        long n = strtol(value, &end, 10);
        if (errno || end == value || *end || n < 1 || n > 1024)
            return bad_value(o, value, "a number from 1 to 1024", err);
        *(int *)field = (int)n;
        return 0;
    }
    case CM_CLI_SIZE: {
        int ret = cm_cli_size_parse(value, field, err);
        if (ret < 0)
            cm_error_prefix(err, "--%s", o->name);
        if (ret < 0)
            return ret;
        if (*(uint64_t *)field == 0)
            return bad_value(o, value, "more than nothing", err);
        return 0;
    }
    case CM_CLI_REAL: {
        double v = strtod(value, &end);
        if (end == value || *end || !isfinite(v) || v < 0)
            return bad_value(o, value, "a number >= 0", err);
        *(double *)field = v;
        return 0;
    }
    case CM_CLI_CHOICE:
    case CM_CLI_MAYBE: return set_choice(o, field, value, err);
    default: return cm_error_set(err, CM_EINVAL, "--%s takes no value", o->name);
    }
}

static const cm_cli_option *find(const cm_cli_option *table, const char *name, size_t n)
{
    for (const cm_cli_option *o = table; o->kind != CM_CLI_END; o++)
        if (o->name && strlen(o->name) == n && memcmp(o->name, name, n) == 0)
            return o;
    return NULL;
}

static const cm_cli_option *find_letter(const cm_cli_option *table, const char *word)
{
    for (const cm_cli_option *o = table; o->kind != CM_CLI_END; o++)
        if (o->letter && word[1] == o->letter && !word[2])
            return o;
    return NULL;
}

static int unknown(const cm_cli_option *table, const char *word, cm_error *err)
{
    size_t shown = strcspn(word, "=");
    cm_error_set(err, CM_EINVAL, "unknown option %.*s", (int)(shown > 200 ? 200 : shown), word);
    cm_cli_nearest best = {0};
    char typed[64];
    snprintf(typed, sizeof typed, "%.*s", (int)(shown > 63 ? 63 : shown), word);
    for (const cm_cli_option *o = table; o->kind != CM_CLI_END; o++)
        if (o->name && !o->hidden)
            cm_cli_nearest_try(&best, typed + strspn(typed, "-"), o->name);
    if (best.word)
        cm_error_hint(err, "did you mean --%s?", best.word);
    else
        cm_error_hint(err, "--help lists the options");
    return CM_EINVAL;
}

/* One word that begins with a dash. *used: words taken. */
static int parse_option(const cm_cli_option *table, int argc, char **argv, cm_cli_args *args,
                        int *used, cm_error *err)
{
    const char *word = argv[0], *value = NULL;
    const cm_cli_option *o;
    *used = 1;
    if (word[1] == '-') {
        size_t n = strcspn(word + 2, "=");
        o = find(table, word + 2, n);
        if (o && word[2 + n])
            value = word + 3 + n;
    } else {
        o = find_letter(table, word);
    }
    if (!o)
        return unknown(table, word, err);
    if (o->kind == CM_CLI_FLAG && !value) {
        ++*(int *)((char *)args + o->offset);
        return 0;
    }
    if (o->kind == CM_CLI_MAYBE && !value) {
        if (argc > 1 && is_choice(o->argument, argv[1])) {
            value = argv[1];
            *used = 2;
        } else {
            *(const char **)((char *)args + o->offset) = "auto";
            return 0;
        }
    }
    if (!value && o->kind != CM_CLI_FLAG) {
        if (argc < 2)
            return cm_error_set(err, CM_EINVAL, "--%s needs a value: --%s %s", o->name, o->name,
                                o->argument);
        value = argv[1];
        *used = 2;
    }
    return set_value(o, args, value, err);
}

int cm_cli_args_parse(const cm_cli_option *table, int argc, char **argv, cm_cli_args *args,
                      cm_error *err)
{
    args->operands = calloc((size_t)argc + 1, sizeof *args->operands);
    if (!args->operands)
        return cm_error_set(err, CM_ENOMEM, "out of memory for %d arguments", argc);
    bool plain = false;
    for (int i = 0; i < argc;) {
        const char *word = argv[i];
        if (!plain && strcmp(word, "--") == 0) {
            plain = true;
            i++;
        } else if (!plain && word[0] == '-' && word[1]) {
            int used;
            int ret = parse_option(table, argc - i, argv + i, args, &used, err);
            if (ret < 0)
                return ret;
            i += used;
        } else {
            args->operands[args->noperands++] = word;
            i++;
        }
    }
    return 0;
}

void cm_cli_args_free(cm_cli_args *args)
{
    cm_cli_list *lists[] = {&args->rebase, &args->vars,   &args->skip,   &args->isel,
                            &args->sel,    &args->chunks, &args->shards, &args->codecs};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        cm_cli_list_free(lists[i]);
    free(args->operands);
    args->operands = NULL;
}
