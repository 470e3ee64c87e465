/* SPDX-License-Identifier: MIT OR LGPL-2.1-or-later */
/*
 * Objects with debugging information: a header, the program's bytes, and marks from
 * there to the end of the object's room.
 *
 * They are never given back early: an object that was freed is poisoned and left to the
 * collector, so that it can still be told from others when it is freed again, and the
 * list below never has an address that is another object's by now.
 */
#ifndef BDW_DEBUG_H
#define BDW_DEBUG_H

#include "bdw.h"

struct bdw_debug {
	const char *file;
	int line;
	uint32_t file_hash;	/* @file is not looked at if this is another's */
	size_t size;		/* as asked for, and BDW_IS_FREED */
	uint64_t start;		/* BDW_START and the program's address */
};
_Static_assert(sizeof(struct bdw_debug) == 32, "as large as bdwgc's, a multiple of 16");

#define BDW_IS_FREED	(1ul << 63)
#define BDW_MARK_BYTES	sizeof(uint64_t)	/* at least so many */
#define BDW_DEBUG_BYTES	(sizeof(struct bdw_debug) + BDW_MARK_BYTES)

enum bdw_integrity {
	BDW_INTACT,
	BDW_SMASHED,
	BDW_FREED,
};

/*
 * struct bdw_smash - what is known of an object that was written where it should not
 * @at: where; @user: the program's address of it
 * @lost: neither @file, @line nor @size are known for sure; @freed: it is freed again
 */
struct bdw_smash {
	char *at;
	char *user;
	const char *file;
	int line;
	size_t size;
	bool lost;
	bool freed;
};

/* debug_header.c */
bool bdw_debug_start(const void *base, struct gch_object *o);
bool bdw_debug_user(const void *user, struct gch_object *o);
void *bdw_debug_mark(const struct gch_object *o, size_t size, const char *file, int line);
size_t bdw_debug_size(const struct gch_object *o);
enum bdw_integrity bdw_debug_state(const struct gch_object *o, struct bdw_smash *s);
void bdw_debug_set_freed(const struct gch_object *o);
void bdw_debug_poison(const struct gch_object *o);
char *bdw_debug_altered(const struct gch_object *o);
void bdw_debug_print(const struct gch_object *o);
void bdw_smash_print(const char *what, const struct bdw_smash *s);
void bdw_smashed_print(const struct bdw_smash *s, unsigned int n);

/* debug_list.c */
void bdw_debug_list(void *base);
enum bdw_integrity bdw_debug_claim(const struct gch_object *o, struct bdw_smash *s);

#endif
