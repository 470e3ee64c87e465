// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/* C++ programs: what libgccpp exports, and the classes and allocators of the headers. */
#include "../../../selftests/tap.h"
#include <dlfcn.h>
#include <list>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>
#define GC_THREADS
#include <gc/gc_allocator.h>
#include <gc/gc_cpp.h>

#define N		400	/* in a sample, of which a few are kept by what the stack has */
#define NOINLINE	__attribute__((noinline, noclone))

static int gone;

static void GC_CALLBACK count_gone(void *, void *)
{
	gone++;
}

/* Counted when it is gone. It has to know itself as long as it is kept. */
static NOINLINE long *leaf(long value)
{
	long *p = (long *)GC_MALLOC_ATOMIC(32);

	CHECK(p);
	*p = value;
	GC_REGISTER_FINALIZER_NO_ORDER(p, count_gone, NULL, NULL, NULL);
	return p;
}

static NOINLINE void wipe()
{
	volatile char wiped[16384];

	for (size_t i = 0; i < sizeof(wiped); i++)
		wiped[i] = 0;
}

static NOINLINE int gone_now()
{
	for (int round = 0; round < 3; round++) {
		wipe();
		GC_gcollect();
		GC_invoke_finalizers();
		for (int i = 0; i < 20000; i++)
			*(long *)GC_MALLOC(48) = -1;
	}
	return gone;
}

static NOINLINE void kept()
{
	CHECK_EQ(gone_now(), 0);
}

static NOINLINE void dropped(int n)
{
	int now = gone_now();

	if (now < n * 3 / 4 || now > n)
		FAIL("%d of %d gone", now, n);
}

/* Not as addresses, so that nothing but being uncollectable keeps what they tell of. */
static uintptr_t hidden[N];

struct plain {
	long *leaf;
	long rest[3];
};

static NOINLINE void make_plain()
{
	for (int i = 0; i < N; i++) {
		plain *p = new plain;

		p->leaf = leaf(i);
		hidden[i] = ~(uintptr_t)p;
	}
}

static NOINLINE void delete_plain()
{
	for (int i = 0; i < N; i++) {
		plain *p = (plain *)~hidden[i];

		CHECK_EQ(*p->leaf, i);
		p->leaf = NULL;
		delete p;
	}
}

TEST(new_is_kept_and_searched)
{
	GC_INIT();
	make_plain();
	kept();
	delete_plain();
	dropped(N);
}

static NOINLINE void make_arrays()
{
	for (int i = 0; i < N; i++) {
		long **p = new long *[10 + i];

		CHECK(GC_base(p) == p && GC_size(p) >= (10 + i) * sizeof(*p));
		p[9 + i] = leaf(i);
		hidden[i] = ~(uintptr_t)p;
	}
}

static NOINLINE void delete_arrays()
{
	for (int i = 0; i < N; i++) {
		long **p = (long **)~hidden[i];

		CHECK_EQ(*p[9 + i], i);
		p[9 + i] = NULL;
		delete[] p;
	}
}

TEST(arrays)
{
	GC_INIT();
	make_arrays();
	kept();
	delete_arrays();
	dropped(N);
}

/* As the program's own, and those that its compiler chooses by its standard. */
TEST(operators)
{
	GC_INIT();
	for (int i = 0; i < 4; i++) {
		void *p = i & 1 ? ::operator new[](100) : ::operator new(100);

		CHECK(p && GC_base(p) == p && GC_size(p) >= 100);
		switch (i) {
		case 0: ::operator delete(p); break;
		case 1: ::operator delete[](p); break;
		case 2: ::operator delete(p, (size_t)100); break;
		case 3: ::operator delete[](p, (size_t)100); break;
		}
	}
	::operator delete(NULL);
	::operator delete[](NULL);
	::operator delete(NULL, (size_t)0);
	CHECK(GC_base(new char) && GC_base(::operator new(0)));
}

TEST(delete_frees)
{
	GC_INIT();
	GC_disable();
	for (int i = 0; i < 100000; i++)
		delete[] new char[2000];
	CHECK(GC_get_heap_size() < 50 << 20);
}

static void *GC_CALLBACK no_memory(size_t)
{
	return NULL;
}

template <class F> static bool throws(F f)
{
	try {
		f();
	} catch (const std::bad_alloc &) {
		return true;
	}
	return false;
}

static void *volatile made;	/* so that the compiler leaves no call out */

TEST(no_memory)
{
	volatile size_t much = SIZE_MAX / 2;

	GC_INIT();
	GC_set_warn_proc(GC_ignore_warn_proc);
	GC_set_oom_fn(no_memory);
	CHECK(throws([&] { made = ::operator new(much); }));
	CHECK(throws([&] { made = ::operator new[](much); }));
	CHECK(!::operator new(much, std::nothrow) && !::operator new[](much, std::nothrow));
	CHECK(throws([&] { made = ::operator new(much, GC); }));
	CHECK(throws([&] { made = ::operator new(much, NoGC); }));
	CHECK(throws([&] { made = gc::operator new(much); }));
	CHECK(throws([&] { made = gc_allocator<char>().allocate(much); }));
	CHECK(throws([&] { made = traceable_allocator<char>().allocate(much); }));
	CHECK(throws(GC_throw_bad_alloc));
}

TEST(cpp_library)
{
	std::map<std::string, std::vector<long *>> all;

	GC_INIT();
	for (long i = 0; i < N; i++)
		all["a key of more than a few bytes " + std::to_string(i % 17)].push_back(leaf(i));
	kept();
	for (const auto &row : all)
		for (long *p : row.second)
			CHECK(row.first.substr(31) == std::to_string(*p % 17));
	all.clear();
	dropped(N);
}

struct node: public gc {
	node *next;
	long *leaf;

	node(node *n, long *l): next(n), leaf(l) {}
};

/* One word is left on the stack easily, so none keeps more than a few of a sample. */
static node *volatile nodes[N / 4];

static NOINLINE void make_nodes()
{
	for (int i = 0; i < N; i++) {
		node *volatile *first = &nodes[i / 4];

		*first = i % 2 ? new node(*first, leaf(i)) : new (GC) node(*first, leaf(i));
	}
}

static NOINLINE void check_nodes()
{
	for (int i = 0; i < N / 4; i++)
		for (node *n = nodes[i]; n; n = n->next)
			CHECK(GC_base(n) == n && *n->leaf / 4 == i);
}

TEST(collectable_class)
{
	GC_INIT();
	make_nodes();
	kept();
	check_nodes();
	memset((void *)nodes, 0, sizeof(nodes));
	dropped(N);
}

static NOINLINE void make_placed(GCPlacement where)
{
	for (int i = 0; i < N; i++) {
		node *n = new (where) node(NULL, leaf(i));

		hidden[i] = ~(uintptr_t)n;
	}
}

static NOINLINE void delete_placed()
{
	for (int i = 0; i < N; i++) {
		node *n = (node *)~hidden[i];

		CHECK_EQ(*n->leaf, i);
		delete n;
	}
}

TEST(uncollectable_placement)
{
	GC_INIT();
	make_placed(NoGC);
	kept();
	delete_placed();
	dropped(N);
}

/* Not searched, so that the addresses in it keep nothing. */
TEST(pointer_free_placement)
{
	long **table;

	GC_INIT();
	table = new (PointerFreeGC) long *[N];
	for (int i = 0; i < N; i++)
		table[i] = leaf(i);
	dropped(N);
	CHECK(GC_base(table) == table);
}

struct thrower: public gc {
	static void *last;
	long rest[30];

	thrower()
	{
		last = this;
		throw std::runtime_error("no");
	}
};

void *thrower::last;

/* What a constructor leaves behind is freed, and so given to the next. */
TEST(constructor_throws)
{
	int caught = 0;

	GC_INIT();
	GC_disable();
	for (int i = 0; i < 100000; i++) {
		try {
			i % 2 ? new thrower : new (GC) thrower;
		} catch (const std::runtime_error &e) {
			caught += !strcmp(e.what(), "no");
		}
	}
	CHECK_EQ(caught, 100000);
	CHECK(GC_get_heap_size() < 16 << 20);
}

typedef std::vector<long *, gc_allocator<long *>> gc_vector;
typedef std::list<long *, gc_allocator<long *>> gc_list;
typedef std::vector<long *, gc_allocator_ignore_off_page<long *>> gc_large_vector;
typedef std::vector<long *, traceable_allocator<long *>> traceable_vector;

enum { FEW = 10 };

/* Memory that is a root and not an object, with containers of a few. */
template <class T> struct containers {
	alignas(T) static char memory[N / FEW][sizeof(T)];

	static T *at(int i)
	{
		return (T *)memory[i];
	}
};

template <class T> alignas(T) char containers<T>::memory[N / FEW][sizeof(T)];

template <class T> static NOINLINE void fill()
{
	for (int i = 0; i < N; i++) {
		T *t = containers<T>::at(i / FEW);

		if (i % FEW == 0)
			new ((void *)t) T;
		t->push_back(leaf(i));
	}
}

template <class T> static NOINLINE void check_filled()
{
	int n = 0;

	for (int i = 0; i < N / FEW; i++)
		for (long *p : *containers<T>::at(i))
			CHECK_EQ(*p, n++);
	CHECK_EQ(n, N);
}

template <class T> static NOINLINE void destroy()
{
	for (int i = 0; i < N / FEW; i++)
		containers<T>::at(i)->~T();
}

/* @destroyed: or they are forgotten, which is enough for collectable ones */
template <class T> static void try_containers(bool destroyed)
{
	GC_INIT();
	fill<T>();
	kept();
	check_filled<T>();
	if (destroyed)
		destroy<T>();
	memset(containers<T>::memory, 0, sizeof(containers<T>::memory));
	dropped(N);
}

TEST(gc_vector) { try_containers<gc_vector>(true); }
TEST(gc_list) { try_containers<gc_list>(true); }
TEST(gc_large_vector) { try_containers<gc_large_vector>(true); }
TEST(traceable_vector) { try_containers<traceable_vector>(true); }
TEST(gc_vector_forgotten) { try_containers<gc_vector>(false); }
TEST(gc_list_forgotten) { try_containers<gc_list>(false); }

/* Numbers are not searched: a table of them that has addresses keeps nothing. */
TEST(pointer_free_allocator)
{
	static std::vector<long, gc_allocator<long>> *numbers;

	GC_INIT();
	numbers = new std::vector<long, gc_allocator<long>>;
	for (long i = 0; i < N; i++)
		numbers->push_back((long)leaf(i));
	CHECK(GC_base(numbers->data()));
	dropped(N);
}

/* Finalizers that run in order are not on every library that stands in for libgc yet. */
static void need_order()
{
	if (!dlsym(RTLD_DEFAULT, "GC_register_finalizer_ignore_self"))
		SKIP("no GC_register_finalizer_ignore_self");
}

struct cleaned: public gc_cleanup {
	static int destroyed;
	long value;

	cleaned(long v): value(v) {}
	~cleaned()
	{
		destroyed += value == 0x600d;
	}
};

int cleaned::destroyed;
static cleaned *volatile cleaned_kept[N];

static NOINLINE void make_cleaned()
{
	for (int i = 0; i < N; i++)
		cleaned_kept[i] = new cleaned(0x600d);
}

TEST(destructors)
{
	need_order();
	GC_INIT();
	make_cleaned();
	kept();
	CHECK_EQ(cleaned::destroyed, 0);
	delete cleaned_kept[0];
	CHECK_EQ(cleaned::destroyed, 1);
	for (int i = 0; i < N; i++)
		cleaned_kept[i] = NULL;
	gone_now();
	if (cleaned::destroyed < N * 3 / 4 || cleaned::destroyed > N)
		FAIL("%d of %d destroyed", cleaned::destroyed, N);
}

static NOINLINE void make_with_function()
{
	for (int i = 0; i < N; i++)
		CHECK(::new (GC, count_gone, NULL) plain);
}

TEST(cleanup_functions)
{
	need_order();
	GC_INIT();
	make_with_function();
	dropped(N);
}

TEST_MAIN
