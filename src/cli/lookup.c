/* cli/lookup.c: variables by the name that a person typed, with the nearest one when it is
 * wrong. */
#include <string.h>

#include "cli/sources.h"
#include "cli/spelling.h"

bool cm_cli_is_named(const cm_variable *v, const char *name)
{
    const char *path = cm_variable_path(v);
    return strcmp(name, cm_variable_name(v)) == 0 || strcmp(name, path) == 0 ||
           (path[0] == '/' && strcmp(name, path + 1) == 0);
}

static bool any_named(const cm_group *g, const char *name, cm_cli_nearest *best)
{
    for (size_t i = 0; i < cm_group_nvariables(g); i++) {
        const cm_variable *v = cm_group_variable(g, i);
        if (cm_cli_is_named(v, name))
            return true;
        cm_cli_nearest_try(best, name, cm_variable_name(v));
    }
    for (size_t i = 0; i < cm_group_ngroups(g); i++)
        if (any_named(cm_group_at(g, i), name, best))
            return true;
    return false;
}

bool cm_cli_has_named(const cm_dataset *ds, const char *name)
{
    cm_cli_nearest ignored = {0};
    return any_named(cm_dataset_root(ds), name, &ignored);
}

int cm_cli_require_named(const cm_dataset *ds, const cm_group *g, const char *name, cm_error *err)
{
    cm_cli_nearest best = {0};
    if (any_named(g, name, &best))
        return 0;
    cm_error_set(err, CM_EINVAL, "no variable '%s'", name);
    cm_error_object(err, cm_dataset_uri(ds));
    if (best.word)
        cm_error_hint(err, "did you mean %s?", best.word);
    return CM_EINVAL;
}

int cm_cli_find_variable(const cm_dataset *ds, const cm_group *g, const char *name,
                         const cm_variable **out, cm_error *err)
{
    const cm_variable *v = cm_group_find_variable(g, name);
    if (!v) {
        int ret = cm_cli_require_named(ds, g, name, err);
        if (ret == 0) { /* in a group below: which one is not ours to guess */
            ret = cm_error_set(err, CM_EINVAL, "no variable '%s' in this group", name);
            cm_error_object(err, cm_dataset_uri(ds));
            cm_error_hint(err, "name it by its path");
        }
        return ret;
    }
    if (!cm_variable_array(v)) {
        *err = *cm_variable_problem(v);
        cm_error_object(err, cm_dataset_uri(ds));
        cm_error_variable(err, cm_variable_path(v));
        return cm_error_prefix(err, "cannot be read");
    }
    *out = v;
    return 0;
}
