/* chunkmill/survey.h: what differs between many files, before an hour is spent on them.
 *
 * One pass over the files, in parallel; each is open only while it is looked at, so that ten
 * thousand files need no more memory than a few bytes for each of their variables. Scan tables
 * among them stand for the files that they hold. The rules are those of cm_dataset_join and
 * cm_virtualize, asked of one example of each kind of file.
 *
 * Threads: as cm_array_read.
 */
#ifndef CHUNKMILL_SURVEY_H
#define CHUNKMILL_SURVEY_H

#include "chunkmill/join.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The choices that the join of the same files would be given. */
typedef struct cm_survey_options {
    const char *format;       /* as for cm_dataset_open */
    const char *cache;        /* as in cm_sources_options; NULL: none. Not with a format. */
    cm_select_options select; /* of each file: group, variables, skip, unpack; isel and sel must be
                                 empty */
    bool select_any;          /* apply `select` at all */
    const char *concat;       /* as in cm_join_options */
    bool static_first;
    /* Join with these instead (concat and static_first are taken from here too): whether the files
     * join, and whether references can say it, is found by joining them, so all are opened at once.
     * NULL: as the join does without options. */
    const cm_join_options *join;
    const cm_json *schema; /* what the files are compared with; NULL: only with each other */
} cm_survey_options;

CM_API void cm_survey_options_init(cm_survey_options *options);

/* Survey n >= 1 files; files of scan tables (chunkmill/scan.h) stand for those that they hold.
 * *out: a new document the caller frees, {"format": "chunkmill-survey", "version": 1, ...};
 * docs/commands/survey.md has every member. A file that cannot be opened, or does not fit, is a
 * finding and no error: look at "joinable", "virtualizable" and, with a schema, "as_schema". Raises
 * CM_EINVAL (no such dimension, format or variable in any file; a schema that is none), CM_ENOMEM,
 * CM_ELIMIT, CM_ECANCEL. */
CM_API int cm_survey_files(cm_context *ctx, const char *const *uris, size_t n,
                           const cm_survey_options *options, cm_json_doc **out,
                           cm_error *err) CM_MUST_CHECK;

#ifdef __cplusplus
}
#endif
#endif
