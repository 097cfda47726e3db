/* save/virtual_judge.h: what cm_virtualize would say of a variable. */
#ifndef CM_SAVE_VIRTUAL_JUDGE_H
#define CM_SAVE_VIRTUAL_JUDGE_H

#include "dataset/dataset_private.h"

/* 0, or the error with which cm_virtualize would refuse variable of ds, naming an example. Nothing
 * is written. Stand-ins (array/told.h) are judged by what they stand for. */
int cm_virtual_judge(cm_context *ctx, cm_dataset *ds, cm_variable *variable, cm_error *err);

#endif
