// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/* What is before and behind a debug object, and what it looks like when it was smashed. */
#include <stdio.h>
#include <string.h>

#include "debug.h"

#define BDW_START	0x5aa6d3b1c96e8f27ull
#define BDW_END		0xb5			/* no end of a string */
#define BDW_END_WORD	0xb5b5b5b5b5b5b5b5ull
#define BDW_FREED_WORD	0xefbeaddedeadbeefull	/* bdwgc's */

static struct bdw_debug *bdw_header(const struct gch_object *o)
{
	return (struct bdw_debug *)o->base;
}

static uint64_t bdw_start(const struct bdw_debug *h)
{
	return BDW_START ^ (uintptr_t)(h + 1);
}

static uint32_t bdw_file_hash(const char *file)
{
	return ((uintptr_t)file * 0x9e3779b97f4a7c15ull) >> 32;
}

static const char *bdw_file(const struct bdw_debug *h)
{
	return h->file_hash == bdw_file_hash(h->file) ? h->file : "(smashed string)";
}

/* What no object of another kind ends with but by chance. */
static bool bdw_ends_marked(const struct gch_object *o)
{
	uint64_t last;

	memcpy(&last, (char *)o->base + o->room - sizeof(last), sizeof(last));
	return last == BDW_END_WORD;
}

/* One mark is enough: the other may have been overwritten. */
static bool bdw_has_marks(const struct gch_object *o)
{
	const struct bdw_debug *h = bdw_header(o);

	return o->room >= BDW_DEBUG_BYTES &&
	       (h->start == bdw_start(h) || bdw_ends_marked(o));
}

/* @base: the start of any object */
bool bdw_debug_start(const void *base, struct gch_object *o)
{
	return gcheap_base(base) == base && gch_object_start(base, o) && bdw_has_marks(o);
}

/* @user: what the program has for an object's address */
bool bdw_debug_user(const void *user, struct gch_object *o)
{
	return bdw_debug_start((const struct bdw_debug *)user - 1, o);
}

void *bdw_debug_mark(const struct gch_object *o, size_t size, const char *file, int line)
{
	struct bdw_debug *h = bdw_header(o);

	*h = (struct bdw_debug){
		.file = file,
		.line = line,
		.file_hash = bdw_file_hash(file),
		.size = size,
		.start = bdw_start(h),
	};
	memset((char *)(h + 1) + size, BDW_END, o->room - sizeof(*h) - size);
	return h + 1;
}

/* The most there can be. */
static size_t bdw_debug_room(const struct gch_object *o)
{
	return o->room - BDW_DEBUG_BYTES;
}

/* As asked for, or, with that overwritten, not less. */
size_t bdw_debug_size(const struct gch_object *o)
{
	size_t most = bdw_debug_room(o), size = bdw_header(o)->size & ~BDW_IS_FREED;

	return size < most ? size : most;
}

/* ---- is it as it was left */

static char *bdw_end_smashed(const struct gch_object *o)
{
	unsigned char *end = (unsigned char *)o->base + o->room, *p;

	for (p = (unsigned char *)(bdw_header(o) + 1) + bdw_header(o)->size; p < end; p++)
		if (*p != BDW_END)
			return (char *)p;
	return NULL;
}

static char *bdw_smashed_at(const struct gch_object *o)
{
	struct bdw_debug *h = bdw_header(o);

	if (h->size > bdw_debug_room(o))
		return (char *)&h->size;
	if (h->start != bdw_start(h))
		return (char *)&h->start;
	return bdw_end_smashed(o);
}

/* @s is set unless it is intact. */
enum bdw_integrity bdw_debug_state(const struct gch_object *o, struct bdw_smash *s)
{
	struct bdw_debug *h = bdw_header(o);
	char *at = bdw_smashed_at(o);
	bool freed;

	if (!at)
		return BDW_INTACT;
	freed = (h->size & BDW_IS_FREED) && (h->size & ~BDW_IS_FREED) <= bdw_debug_room(o);
	*s = (struct bdw_smash){
		.at = at,
		.user = (char *)(h + 1),
		.file = bdw_file(h),
		.line = h->line,
		.size = bdw_debug_size(o),
		.lost = at == (char *)&h->size && !freed,
		.freed = freed,
	};
	return freed ? BDW_FREED : BDW_SMASHED;
}

/* Freed from now on, and to be known as such. */
void bdw_debug_set_freed(const struct gch_object *o)
{
	struct bdw_debug *h = bdw_header(o);

	h->size = bdw_debug_size(o) | BDW_IS_FREED;
	h->start = bdw_start(h);
}

static size_t bdw_poison_words(const struct gch_object *o)
{
	return (o->room - sizeof(struct bdw_debug)) / sizeof(uint64_t);
}

void bdw_debug_poison(const struct gch_object *o)
{
	uint64_t *p = (uint64_t *)(bdw_header(o) + 1);

	for (size_t i = bdw_poison_words(o); i-- > 0;)
		p[i] = BDW_FREED_WORD;
}

/* Where it has been written since; NULL: nowhere. */
char *bdw_debug_altered(const struct gch_object *o)
{
	uint64_t *p = (uint64_t *)(bdw_header(o) + 1), *end = p + bdw_poison_words(o);

	while (p < end && *p == BDW_FREED_WORD)
		p++;
	return p < end ? (char *)p : NULL;
}

/* ---- telling of it */

static GC_describe_type_fn bdw_describe[BDW_KINDS_MAX];

GCH_API void GC_register_describe_type_fn(int kind, GC_describe_type_fn fn)
{
	if (kind >= 0 && kind < BDW_KINDS_MAX)
		WRITE_ONCE(bdw_describe[kind], fn);
}

/* In the words of the program, if it has any. */
static bool bdw_is_described(const struct gch_object *o, int kind, char *text)
{
	GC_describe_type_fn describe = READ_ONCE(bdw_describe[kind]);

	if (!describe)
		return false;
	text[0] = 0;
	describe(bdw_header(o) + 1, text);
	text[GC_TYPE_DESCR_LEN] = 0;
	return true;
}

static void bdw_name_kind(int kind, char *text)
{
	static const char *const names[BDW_KINDS] = {
		[BDW_PTRFREE] = "PTRFREE",
		[BDW_NORMAL] = "NORMAL",
		[BDW_UNCOLLECTABLE] = "UNCOLLECTABLE",
		[BDW_AUNCOLLECTABLE] = "ATOMIC_UNCOLLECTABLE",
	};
	struct bdw_type t = { 0 };

	if (kind < BDW_KINDS) {
		strcpy(text, names[kind]);
		return;
	}
	bdw_kind_type(kind, &t);
	snprintf(text, GC_TYPE_DESCR_LEN, "kind= %d, descr= %#lx", kind, (unsigned long)t.descr);
}

static void bdw_print_object(const struct gch_object *o, const char *type)
{
	const struct bdw_debug *h = bdw_header(o);

	GC_err_printf("%p (%s:%d, sz= %zu, %s)\n", h + 1, bdw_file(h), h->line,
		      bdw_debug_size(o), type);
}

/* What there is to say of an object that is intact. */
void bdw_debug_print(const struct gch_object *o)
{
	int kind = GC_get_kind_and_size((void *)o->base, NULL);
	char text[GC_TYPE_DESCR_LEN + 1];

	if (!bdw_is_described(o, kind, text))
		bdw_name_kind(kind, text);
	bdw_print_object(o, text);
}

static void bdw_print_type(const struct bdw_smash *s)
{
	char text[GC_TYPE_DESCR_LEN + 1];
	struct gch_object o;

	if (s->freed || !bdw_debug_user(s->user, &o))
		return;
	if (bdw_is_described(&o, GC_get_kind_and_size((void *)o.base, NULL), text))
		bdw_print_object(&o, text);
}

void bdw_smash_print(const char *what, const struct bdw_smash *s)
{
	GC_err_printf("%s %p in or near object at %p", what, s->at, s->user);
	if (s->lost) {
		GC_err_printf("(<smashed>, appr. sz= %zu)\n", s->size);
		return;
	}
	GC_err_printf(" (%s:%d, sz= %zu)\n", s->file, s->line, s->size);
	bdw_print_type(s);
}

void bdw_smashed_print(const struct bdw_smash *s, unsigned int n)
{
	if (!n)
		return;
	GC_err_printf("GC_check_heap_block: found %u smashed heap objects:\n", n);
	for (unsigned int i = 0; i < n; i++)
		bdw_smash_print("", &s[i]);
}
