// SPDX-License-Identifier: GPL-2.0-only
/* The core once more, for the test module: in one piece, on the tests' memory. */
#include "gct_env.h"

#ifdef CONFIG_GCHEAP_DEBUG
ulong gch_rules_off;
#endif

#include "../core/ask.c"
#include "../core/cache.c"
#include "../core/check.c"
#include "../core/copy.c"
#include "../core/cycle.c"
#include "../core/dirty.c"
#include "../core/evacuate.c"
#include "../core/final.c"
#include "../core/flip.c"
#include "../core/free.c"
#include "../core/heap.c"
#include "../core/link.c"
#include "../core/mark.c"
#include "../core/mesh.c"
#include "../core/phase.c"
#include "../core/plan.c"
#include "../core/queue.c"
#include "../core/refer.c"
#include "../core/rescan.c"
#include "../core/reserve.c"
#include "../core/resize.c"
#include "../core/run.c"
#include "../core/scan.c"
#include "../core/settle.c"
#include "../core/span.c"
#include "../core/stale.c"
#include "../core/sweep.c"
#include "../core/thread.c"
#include "../core/vacant.c"
#include "../core/verify.c"
#include "../core/weak.c"
