/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Rules that a debug build can switch off, one bit a soundness rule
 * (doc/design.md), to show that each rule's test fails without it. Module
 * parameter rules_off, a bit mask: bit n is rule Rn.
 */
#ifndef _GCH_KNOBS_H
#define _GCH_KNOBS_H

#ifdef CONFIG_GCHEAP_DEBUG
extern ulong gch_rules_off;
#define gch_rule(n) (!(READ_ONCE(gch_rules_off) & (1ul << (n))))
#define GCH_DEBUG true		/* verify after every cycle */
#else
#define gch_rule(n) true
#define GCH_DEBUG false
#endif

#endif
