/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The test cases of the core: void gct_NAME(void), by file. On the host each is a
 * TAP test (selftests/host/unit.c), in the kernel a KUnit case (kmod/tests/suite.c).
 */
#ifndef GCT_CASES_H
#define GCT_CASES_H

#define GCT_LAYOUT_CASES(X)	\
	X(layout_recip) \
	X(layout_waste) \
	X(layout_bits) \
	X(layout_masks)

#define GCT_PLAN_CASES(X)	\
	X(plan_trigger) \
	X(plan_retain) \
	X(plan_young) \
	X(plan_evacuate) \
	X(plan_tidy) \
	X(plan_rest) \
	X(plan_pays) \
	X(plan_within) \
	X(plan_relief) \
	X(plan_start) \
	X(plan_debt)

#define GCT_RUN_CASES(X)	\
	X(run_first_fit) \
	X(run_block) \
	X(run_large) \
	X(run_random) \
	X(run_resident)

#define GCT_SPAN_CASES(X)	\
	X(cache_numbers) \
	X(cache_sizes) \
	X(span_retire) \
	X(span_reuse) \
	X(span_zero) \
	X(span_commit) \
	X(span_scribbled) \
	X(span_limit) \
	X(span_limit_sweep) \
	X(large) \
	X(large_pending) \
	X(large_huge) \
	X(threads)

#define GCT_RESIZE_CASES(X)	\
	X(resize_here) \
	X(resize_to_the_end) \
	X(resize_limit) \
	X(resize_finds_nothing) \
	X(resize_marking) \
	X(resize_elsewhere) \
	X(resize_unscanned)

#define GCT_FREE_CASES(X)	\
	X(free_checked) \
	X(free_foreign) \
	X(free_above_cursor) \
	X(free_states) \
	X(free_unswept) \
	X(free_ring_root) \
	X(free_ring_scribbled)

#define GCT_FINAL_CASES(X)	\
	X(final_once) \
	X(final_set_clear) \
	X(final_many) \
	X(final_taken_back) \
	X(final_unswept) \
	X(final_beside) \
	X(final_all) \
	X(final_all_freed) \
	X(final_all_resized) \
	X(final_looked) \
	X(final_freed_many) \
	X(final_order) \
	X(final_circles) \
	X(final_self) \
	X(final_last) \
	X(final_pairs) \
	X(final_order_changes)

#define GCT_LINK_CASES(X)	\
	X(link_elsewhere) \
	X(link_inside) \
	X(link_calls) \
	X(link_long) \
	X(link_breaks_circle) \
	X(link_freed) \
	X(link_resized) \
	X(link_away) \
	X(link_away_long) \
	X(link_away_moved) \
	X(link_moved_out) \
	X(link_gone) \
	X(link_many) \
	X(link_traced) \
	X(link_young) \
	X(link_pinned) \
	X(link_abandoned) \
	X(link_hidden)

#define GCT_MARK_CASES(X)	\
	X(mark_interior) \
	X(mark_noscan) \
	X(mark_past_end) \
	X(mark_past_top) \
	X(mark_typed) \
	X(mark_typed_array) \
	X(mark_r14) \
	X(mark_above_cursor) \
	X(mark_old_above_cursor) \
	X(mark_queue) \
	X(mark_abandon) \
	X(mark_untouched)

#define GCT_WEAK_CASES(X)	\
	X(weak_cleared) \
	X(weak_black) \
	X(weak_final) \
	X(weak_array) \
	X(weak_noted) \
	X(weak_pairs) \
	X(weak_pair_chains) \
	X(weak_pairs_traced) \
	X(weak_young)

#define GCT_ASK_CASES(X)	\
	X(ask_marked_only) \
	X(ask_chain) \
	X(ask_large) \
	X(ask_above_cursor) \
	X(ask_again) \
	X(ask_abandoned) \
	X(ask_final) \
	X(ask_weak)

#define GCT_SWEEP_CASES(X)	\
	X(sweep_colour) \
	X(sweep_on_demand) \
	X(sweep_new) \
	X(sweep_owned) \
	X(sweep_retired) \
	X(chunk_trim) \
	X(chunk_overhead)

#define GCT_VACANT_CASES(X)	\
	X(vacant_pages) \
	X(vacant_twice) \
	X(vacant_not) \
	X(vacant_straddled)

#define GCT_EVAC_CASES(X)	\
	X(evac_list) \
	X(evac_pinned) \
	X(evac_abandoned) \
	X(evac_known) \
	X(evac_array) \
	X(evac_graph)

#define GCT_MESH_CASES(X)	\
	X(mesh_search) \
	X(mesh_shares) \
	X(mesh_more) \
	X(mesh_split) \
	X(mesh_last) \
	X(mesh_cache) \
	X(mesh_broken)

#define GCT_COPY_CASES(X)	\
	X(copy_kinds) \
	X(copy_asked) \
	X(copy_finals) \
	X(copy_links) \
	X(copy_meshed) \
	X(copy_scribbled) \
	X(copy_fails_1st) \
	X(copy_fails_2nd) \
	X(copy_fails_3rd) \
	X(copy_fails_4th)

#define GCT_CYCLE_CASES(X)	\
	X(cycle_smoke) \
	X(cycle_check) \
	X(cycle_check_unfinished) \
	X(cycle_last)

#define GCT_VERIFY_CASES(X)	\
	X(verify_spans) \
	X(verify_lists) \
	X(verify_bits) \
	X(verify_links) \
	X(verify_totals)

#define GCT_FAIL_CASES(X)	\
	X(fail_1st) \
	X(fail_2nd) \
	X(fail_3rd) \
	X(fail_4th) \
	X(fail_pressed) \
	X(fail_pressed_two)

#define GCT_HOSTILE_CASES(X)	\
	X(hostile)

#define GCT_RANDOM_CASES(X)	\
	X(random_slow) \
	X(random_fast) \
	X(random_limit)

#define GCT_CASES(X)	\
	GCT_LAYOUT_CASES(X) \
	GCT_PLAN_CASES(X) \
	GCT_RUN_CASES(X) \
	GCT_SPAN_CASES(X) \
	GCT_RESIZE_CASES(X) \
	GCT_FREE_CASES(X) \
	GCT_FINAL_CASES(X) \
	GCT_LINK_CASES(X) \
	GCT_MARK_CASES(X) \
	GCT_WEAK_CASES(X) \
	GCT_ASK_CASES(X) \
	GCT_SWEEP_CASES(X) \
	GCT_VACANT_CASES(X) \
	GCT_MESH_CASES(X) \
	GCT_EVAC_CASES(X) \
	GCT_COPY_CASES(X) \
	GCT_CYCLE_CASES(X) \
	GCT_VERIFY_CASES(X) \
	GCT_FAIL_CASES(X) \
	GCT_HOSTILE_CASES(X) \
	GCT_RANDOM_CASES(X)

#define GCT_DECLARE(name)	void gct_##name(void);
GCT_CASES(GCT_DECLARE)

#endif
