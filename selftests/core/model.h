/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A program of random steps on a simulated heap, and beside it a collector that
 * anyone can see to be right: a table of objects with a copy of their words, and
 * reachability by search. After each cycle both have to agree on what is left,
 * to the object and to the word.
 */
#ifndef GCT_MODEL_H
#define GCT_MODEL_H

#include "sim.h"

/**
 * struct model_plan - what to do
 * @seed: of the random steps
 * @steps: their number
 * @objects: most that are kept
 * @slow: verify after every step
 * @pressed: at times there is no memory without sleeping
 * @limit: bytes in spans, 0: none
 * @large: largest object
 */
struct model_plan {
	u64 seed;
	u32 steps;
	u32 objects;
	bool slow;
	bool pressed;
	u64 limit;
	u32 large;
};

/** struct model_stats - what was done, to see that a run is worth something */
struct model_stats {
	u64 cycles, traced, abandoned, vacated, meshed, split, forks;
	u64 allocs, refused, freed, resized, died, kept, weak, links, finalized;
};

void model_run(const struct model_plan *plan, struct model_stats *st);

#endif
