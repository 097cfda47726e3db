/* cli/args.h: one option table per command drives parsing, --help, man page and completion. */
#ifndef CM_CLI_ARGS_H
#define CM_CLI_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chunkmill/error.h"

typedef struct cm_cli_list {
    char **items; /* owned */
    size_t n, capacity;
} cm_cli_list;

/* Every option of every command. A command's table says which of them it takes. Texts are borrowed
 * from argv; NULL, 0 and an empty list mean not given. */
typedef struct cm_cli_args {
    /* which part of a dataset */
    cm_cli_list vars, skip, isel, sel;
    const char *group, *unpack, *format;
    /* several sources */
    const char *files_from, *concat, *static_rule, *order, *unsorted, *duplicates, *gaps;
    const char *cache;
    int trust_paths;
    const char *stack, *coord, *calendar;
    int merge;
    /* save */
    cm_cli_list chunks, shards, codecs;
    const char *zarr, *empty_chunks, *mode, *scratch, *durability;
    int dry_run, overwrite;
    /* virtualize */
    const char *references, *append, *materialize;
    cm_cli_list rebase;
    uint64_t inline_nbytes;
    int no_inline, record_size;
    /* scan */
    const char *out;
    /* info */
    int count_chunks;
    const char *chunk_list;
    /* diff, verify */
    int attributes, strict;
    double rtol, atol;
    const char *level;
    /* survey */
    const char *schema, *lists;
    int write;
    /* help */
    const char *completion;
    int man;
    /* every command */
    uint64_t max_mem;
    int threads, json, quiet, verbose, no_progress, help;
    const char *color;
    /* what is left: files and names */
    const char **operands;
    size_t noperands;
} cm_cli_args;

typedef enum cm_cli_kind {
    CM_CLI_END = 0, /* last of a table */
    CM_CLI_HEADING, /* a line of --help: help is its text */
    CM_CLI_FLAG,    /* int: how often it was given */
    CM_CLI_TEXT,    /* const char * */
    CM_CLI_WORDS,   /* cm_cli_list: one item for each use */
    CM_CLI_COMMAS,  /* cm_cli_list: items separated by commas, "\," is a comma in an item */
    CM_CLI_COUNT,   /* int >= 1 */
    CM_CLI_SIZE,    /* uint64_t bytes, "1.5GB" */
    CM_CLI_REAL,    /* double >= 0 */
    CM_CLI_CHOICE,  /* const char *: one of `argument`, "a|b|c" */
    CM_CLI_MAYBE    /* the same, but the value may be left out: then "auto" */
} cm_cli_kind;

typedef struct cm_cli_option {
    cm_cli_kind kind;
    const char *name; /* without dashes */
    char letter;      /* of the short form, or 0 */
    bool hidden;      /* for the build and for tests: accepted, in no list */
    size_t offset;    /* of the field in cm_cli_args */
    const char *argument;
    const char *help;
} cm_cli_option;

#define CM_CLI_AT(field) offsetof(cm_cli_args, field)

/* Lines that several commands have in their tables. */
#define CM_CLI_SUBSET_OPTIONS                                                                       \
    {CM_CLI_HEADING, .help = "Which part"},                                                         \
        {CM_CLI_COMMAS,                                                                             \
         "vars",                                                                                    \
         0,                                                                                         \
         false,                                                                                     \
         CM_CLI_AT(vars),                                                                           \
         "a,b",                                                                                     \
         "only these variables; their coordinates, bounds and grid mappings come along"},           \
        {CM_CLI_COMMAS,                                                                             \
         "skip",                                                                                    \
         0,                                                                                         \
         false,                                                                                     \
         CM_CLI_AT(skip),                                                                           \
         "a,b",                                                                                     \
         "leave these variables out; needed for those that cannot be read"},                        \
        {CM_CLI_TEXT, "group", 0, false, CM_CLI_AT(group), "/path", "this group becomes the root"}, \
        {CM_CLI_COMMAS,                                                                             \
         "isel",                                                                                    \
         0,                                                                                         \
         false,                                                                                     \
         CM_CLI_AT(isel),                                                                           \
         "dim=a:b,...",                                                                             \
         "subset by index: time=0:100, lat=5, x=-10: (the end is not included)"},                   \
    {                                                                                               \
        CM_CLI_COMMAS, "sel", 0, false, CM_CLI_AT(sel), "dim=a:b,...",                              \
            "subset by coordinate value: lat=-10:10, time=2001/2010 (both ends included)"           \
    }

#define CM_CLI_UNPACK_OPTION                                                                       \
    {                                                                                              \
        CM_CLI_MAYBE, "unpack", 0, false, CM_CLI_AT(unpack), "float32|float64",                    \
            "decode scale_factor, add_offset and _FillValue, each file by its own"                 \
    }

#define CM_CLI_JOIN_OPTIONS                                                                        \
    {CM_CLI_HEADING, .help = "Several sources"},                                                   \
        {CM_CLI_TEXT,                                                                              \
         "concat",                                                                                 \
         0,                                                                                        \
         false,                                                                                    \
         CM_CLI_AT(concat),                                                                        \
         "DIM",                                                                                    \
         "dimension along which sources join; default: the unlimited one"},                        \
        {CM_CLI_FLAG,                                                                              \
         "merge",                                                                                  \
         0,                                                                                        \
         false,                                                                                    \
         CM_CLI_AT(merge),                                                                         \
         NULL,                                                                                     \
         "sources may have different variables: those that have the same are joined, then all "    \
         "are "                                                                                    \
         "put into one; what several have must be equal"},                                         \
        {CM_CLI_TEXT,                                                                              \
         "stack",                                                                                  \
         0,                                                                                        \
         false,                                                                                    \
         CM_CLI_AT(stack),                                                                         \
         "DIM",                                                                                    \
         "stack the sources along a new dimension; its values are those of --coord, else of the "  \
         "scalar variable DIM, else 0, 1, 2..."},                                                  \
        {CM_CLI_TEXT,                                                                              \
         "coord",                                                                                  \
         0,                                                                                        \
         false,                                                                                    \
         CM_CLI_AT(coord),                                                                         \
         "DIM=FROM",                                                                               \
         "the dimension's values: time=date:%Y%m%d and member=name:r([0-9]+)i take them from "     \
         "file "                                                                                   \
         "names, time=attr:NAME from an attribute, member=values:1,2,3 as listed; stacks sources " \
         "that do not have the dimension"},                                                        \
        {CM_CLI_TEXT,                                                                              \
         "calendar",                                                                               \
         0,                                                                                        \
         false,                                                                                    \
         CM_CLI_AT(calendar),                                                                      \
         "NAME",                                                                                   \
         "calendar of the dates of --coord; default: the sources' own, else standard"},            \
        {CM_CLI_CHOICE,                                                                            \
         "order",                                                                                  \
         0,                                                                                        \
         false,                                                                                    \
         CM_CLI_AT(order),                                                                         \
         "coordinate|given|name",                                                                  \
         "order of the sources: by the values of the dimension's coordinate (default), as they "   \
         "are "                                                                                    \
         "given, or by name, day-2 before day-10"},                                                \
        {CM_CLI_CHOICE,                                                                            \
         "unsorted",                                                                               \
         0,                                                                                        \
         false,                                                                                    \
         CM_CLI_AT(unsorted),                                                                      \
         "refuse|sort|keep",                                                                       \
         "sources whose coordinate is not sorted or that lie inside of each other: refuse them "   \
         "(default), sort step by step, or keep (default unless ordered by coordinate)"},          \
        {CM_CLI_CHOICE,                                                                            \
         "duplicates",                                                                             \
         0,                                                                                        \
         false,                                                                                    \
         CM_CLI_AT(duplicates),                                                                    \
         "refuse|first|last|keep",                                                                 \
         "the same coordinate value twice: refuse (default), keep that of the source given first " \
         "or last, or keep both"},                                                                 \
        {CM_CLI_CHOICE,                                                                            \
         "gaps",                                                                                   \
         0,                                                                                        \
         false,                                                                                    \
         CM_CLI_AT(gaps),                                                                          \
         "warn|refuse|fill|ignore",                                                                \
         "steps missing of an otherwise regular coordinate: warn (default), refuse, fill with "    \
         "missing values, or ignore"},                                                             \
        {CM_CLI_CHOICE,                                                                            \
         "static",                                                                                 \
         0,                                                                                        \
         false,                                                                                    \
         CM_CLI_AT(static_rule),                                                                   \
         "first",                                                                                  \
         "variables without that dimension may differ, the first source's are taken; without "     \
         "this they must be equal"},                                                               \
    {                                                                                              \
        CM_CLI_TEXT, "files-from", 0, false, CM_CLI_AT(files_from), "LIST",                        \
            "read more source names from a file, one a line; - is standard input"                  \
    }

#define CM_CLI_CACHE_OPTION                                                                        \
    {                                                                                              \
        CM_CLI_TEXT, "cache", 0, false, CM_CLI_AT(cache), "FILE",                                  \
            "keep in FILE what opening the sources finds out: the next time only new and changed " \
            "ones are opened"                                                                      \
    }

#define CM_CLI_FORMAT_OPTION                                                                       \
    {CM_CLI_CHOICE,                                                                                \
     "format",                                                                                     \
     0,                                                                                            \
     false,                                                                                        \
     CM_CLI_AT(format),                                                                            \
     "zarr|hdf5|netcdf3|kerchunk",                                                                 \
     "take sources for this format instead of looking at their content"},                          \
    {                                                                                              \
        CM_CLI_FLAG, "trust-paths", 0, false, CM_CLI_AT(trust_paths), NULL,                        \
            "read the files that HDF5 sources name (links, external data, virtual datasets) "      \
            "wherever they are; default: only below the source's own folder"                       \
    }

#define CM_CLI_RESOURCE_OPTIONS                                                                    \
    {CM_CLI_HEADING, .help = "Resources"},                                                         \
        {CM_CLI_SIZE,                                                                              \
         "max-mem",                                                                                \
         0,                                                                                        \
         false,                                                                                    \
         CM_CLI_AT(max_mem),                                                                       \
         "SIZE",                                                                                   \
         "memory that the whole process stays below: 1GB = 10^9, 1GiB = 2^30 bytes; default: "     \
         "half of what is available, at most 16 GB"},                                              \
    {                                                                                              \
        CM_CLI_COUNT, "threads", 0, false, CM_CLI_AT(threads), "N",                                \
            "threads; default: what affinity and the cgroup's quota give"                          \
    }

#define CM_CLI_TALK_OPTIONS                                                                          \
    {CM_CLI_HEADING, .help = "Output"},                                                              \
        {CM_CLI_FLAG, "json", 0, false, CM_CLI_AT(json), NULL, "JSON on standard output"},           \
        {CM_CLI_FLAG, "quiet", 'q', false, CM_CLI_AT(quiet), NULL, "only errors on standard error"}, \
        {CM_CLI_FLAG,                                                                                \
         "verbose",                                                                                  \
         'v',                                                                                        \
         false,                                                                                      \
         CM_CLI_AT(verbose),                                                                         \
         NULL,                                                                                       \
         "say what is done; twice: more"},                                                           \
        {CM_CLI_FLAG, "no-progress", 0, false, CM_CLI_AT(no_progress), NULL, "no progress line"},    \
        {CM_CLI_CHOICE,                                                                              \
         "color",                                                                                    \
         0,                                                                                          \
         false,                                                                                      \
         CM_CLI_AT(color),                                                                           \
         "auto|always|never",                                                                        \
         "colours; auto: on a terminal, unless NO_COLOR is set"},                                    \
        {CM_CLI_FLAG, "help", 'h', false, CM_CLI_AT(help), NULL, "show this help"},                  \
    {                                                                                                \
        CM_CLI_END                                                                                   \
    }

/* Read argv[0..argc) by the table. Everything that is no option is an operand; `--` ends options.
 * CM_EINVAL with the nearest name as a hint; CM_ENOMEM. Free args in every case. */
int cm_cli_args_parse(const cm_cli_option *table, int argc, char **argv, cm_cli_args *args,
                      cm_error *err) CM_MUST_CHECK;
void cm_cli_args_free(cm_cli_args *args);

int cm_cli_list_add(cm_cli_list *list, const char *text, size_t nbytes,
                    cm_error *err) CM_MUST_CHECK;
void cm_cli_list_free(cm_cli_list *list);

/* Borrowed view for the library's options. */
const char *const *cm_cli_list_items(const cm_cli_list *list);

#endif
