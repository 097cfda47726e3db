/* chunkmill.h: everything of the public API. */
#ifndef CHUNKMILL_H
#define CHUNKMILL_H

#include "chunkmill/array.h"
#include "chunkmill/cf.h"
#include "chunkmill/context.h"
#include "chunkmill/dataset.h"
#include "chunkmill/dtype.h"
#include "chunkmill/error.h"
#include "chunkmill/join.h"
#include "chunkmill/json.h"
#include "chunkmill/save.h"
#include "chunkmill/scan.h"
#include "chunkmill/survey.h"
#include "chunkmill/verify.h"
#include "chunkmill/virtualize.h"

#endif
