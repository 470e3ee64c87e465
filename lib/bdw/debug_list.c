// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/*
 * All debug objects there are, by weak words that the kernel clears when one is gone;
 * and the look at all of them that comes with a collection. Which objects have headers
 * cannot be told by looking at the heap: where a debug object was, another may be that
 * has not been cleared.
 */

#include "debug.h"

#define BDW_CHUNK_OBJECTS	511
#define BDW_SMASHED_MAX		20	/* told of at a time */

/* Nothing is kept by it. It is kept itself, as uncollectable. */
struct bdw_chunk {
	struct bdw_chunk *next;
	void *object[BDW_CHUNK_OBJECTS];
};

/*
 * @hand, @at: the word to look at next for an empty one
 * @room: words of all chunks; @found: empty ones since the hand was at the first
 * Nothing is allocated under the lock: finalizers might run, and free debug objects.
 */
static struct {
	pthread_mutex_t lock;
	struct gcheap_cache *cache;
	struct bdw_chunk *first, *hand;
	size_t at;
	size_t room;
	size_t found;
} bdw_list = { .lock = PTHREAD_MUTEX_INITIALIZER };

BDW_LOCK(bdw_list);

static struct gcheap_cache *bdw_list_cache(void)
{
	static const uint64_t none, first = 1;
	struct gcheap_layout layout = {
		.fixed_words = 1,
		.elem_words = 1,
		.length_word = GCHEAP_FILL,
		.fixed_map = &none,
		.elem_map = &none,
		.elem_weak = &first,
	};

	if (!bdw_list.cache)
		bdw_list.cache = gcheap_cache_create(sizeof(struct bdw_chunk), &layout,
						     GCHEAP_CACHE_EXACT);
	return bdw_list.cache;
}

/* On to the next chunk; to the first one again if half of all words were empty last time. */
static bool bdw_list_next(void)
{
	if (bdw_list.hand && bdw_list.hand->next) {
		bdw_list.hand = bdw_list.hand->next;
	} else if (bdw_list.room && bdw_list.found * 2 >= bdw_list.room) {
		bdw_list.hand = bdw_list.first;
		bdw_list.found = 0;
	} else {
		return false;
	}
	bdw_list.at = 0;
	return true;
}

/* An empty word; NULL: a chunk is to be added. */
static void **bdw_list_word(void)
{
	void **word;

	do {
		while (bdw_list.hand && bdw_list.at < BDW_CHUNK_OBJECTS) {
			word = &bdw_list.hand->object[bdw_list.at++];
			if (READ_ONCE(*word))
				continue;
			bdw_list.found++;
			return word;
		}
	} while (bdw_list_next());
	return NULL;
}

static void bdw_list_link(struct bdw_chunk *chunk)
{
	bdw_list.room += BDW_CHUNK_OBJECTS;
	if (!bdw_list.first) {
		bdw_list.hand = chunk;
		WRITE_ONCE(bdw_list.first, chunk);
		return;
	}
	chunk->next = bdw_list.hand->next;
	bdw_list.hand->next = chunk;
}

/* Called with the lock, which is let go of. */
static bool bdw_list_grow(void)
{
	struct gcheap_cache *cache = bdw_list_cache();
	struct bdw_chunk *chunk;

	pthread_mutex_unlock(&bdw_list.lock);
	chunk = cache ? gcheap_cache_alloc(cache) : NULL;
	if (chunk && bdw_keep(chunk) != chunk)
		chunk = NULL;
	pthread_mutex_lock(&bdw_list.lock);
	if (chunk)
		bdw_list_link(chunk);
	return chunk;
}

/* Without memory for it nobody looks at it in collections. */
void bdw_debug_list(void *base)
{
	void **word;

	pthread_mutex_lock(&bdw_list.lock);
	do
		word = bdw_list_word();
	while (!word && bdw_list_grow());
	if (word)
		WRITE_ONCE(*word, base);
	pthread_mutex_unlock(&bdw_list.lock);
}

/* The object's state, which is that of one that was freed from now on. */
enum bdw_integrity bdw_debug_claim(const struct gch_object *o, struct bdw_smash *s)
{
	enum bdw_integrity state;

	pthread_mutex_lock(&bdw_list.lock);
	state = bdw_debug_state(o, s);
	bdw_debug_set_freed(o);
	pthread_mutex_unlock(&bdw_list.lock);
	return state;
}

/* ---- the look */

/* What has been loaded from a weak word stays. */
static bool bdw_list_smashed(void *const *word, struct bdw_smash *s)
{
	void *base = READ_ONCE(*word);
	struct gch_object o;

	return base && gch_object_start(base, &o) && bdw_debug_state(&o, s) == BDW_SMASHED;
}

static unsigned int bdw_list_find(struct bdw_smash *s, unsigned int most)
{
	unsigned int n = 0;

	pthread_mutex_lock(&bdw_list.lock);
	for (struct bdw_chunk *c = bdw_list.first; c; c = c->next)
		for (int i = 0; i < BDW_CHUNK_OBJECTS && n < most; i++)
			n += bdw_list_smashed(&c->object[i], &s[n]);
	pthread_mutex_unlock(&bdw_list.lock);
	return n;
}

/* There are smashed ones, and they have been told of. Without a heap there are none any more. */
bool bdw_debug_check(void)
{
	struct bdw_smash s[BDW_SMASHED_MAX];
	unsigned int n;

	if (!bdw_debug_used() || bdw_heap_lost())
		return false;
	n = bdw_list_find(s, BDW_SMASHED_MAX);
	bdw_smashed_print(s, n);
	return n;
}

bool bdw_debug_used(void)
{
	return READ_ONCE(bdw_list.first);
}
