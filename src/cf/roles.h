/* cf/roles.h: which variables belong to which, by the attributes of the CF conventions.
 *
 * Source: CF conventions 1.11: coordinates (5), bounds and climatology (7.1, 7.4), grid_mapping
 * with its extended form (5.6), cell_measures (7.2), formula_terms (4.3.3), ancillary_variables
 * (3.4).
 *
 * Threads: pure functions.
 */
#ifndef CM_CF_ROLES_H
#define CM_CF_ROLES_H

#include "dataset/dataset_private.h"

/* The variables that v directly needs: coordinate variables of its dimensions, and all that its
 * attributes name and that exist (names without a variable are normal: cell measures are often in
 * other files). Names are looked for in v's group, then upwards. v itself is not among them, no
 * variable twice. *list: malloc'ed, of borrowed variables, freed by the caller. Raises CM_ENOMEM.
 */
int cm_cf_needs(const cm_variable *v, cm_variable ***list, size_t *n, cm_error *err);

typedef enum cm_cf_role {
    CM_ROLE_DATA,
    CM_ROLE_COORDINATE, /* 1-D and named as its dimension */
    CM_ROLE_BOUNDS,     /* bounds or climatology of another */
    CM_ROLE_GRID_MAPPING,
    CM_ROLE_AUXILIARY /* named by another's coordinates attribute */
} cm_cf_role;

bool cm_cf_is_coordinate(const cm_variable *v); /* CM_ROLE_COORDINATE, without looking further */

/* Looks at every variable of v's group and of the groups below. */
cm_cf_role cm_cf_role_of(const cm_variable *v);

/* The variable that v's bounds or climatology attribute names, NULL if none. */
cm_variable *cm_cf_bounds_of(const cm_variable *v);

/* The variable with that name that is seen from group g: its own, its parent's and so on. */
cm_variable *cm_cf_find(const cm_group *g, const char *name);

/* Text of an attribute, NULL when there is none or it is no text. */
const char *cm_cf_text(const cm_variable *v, const char *attribute);

#endif
