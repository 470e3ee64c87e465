// SPDX-License-Identifier: GPL-2.0-only
/* The callback thread (R10): tells pauses of roots that only its own code can find. */
#include "raw.h"
#include <semaphore.h>
#include <sys/wait.h>

enum { N = 1500, CELL = 64 };

static struct raw h;
static unsigned int cache;
static uintptr_t hidden[N];	/* nobody knows them but the callback */
static volatile int tell;	/* how many of them are told */
static volatile int late;	/* ms it takes, */
static volatile int timeout_ms = 10000; /* and may take */
static volatile bool enough, seen_moving;
static volatile uint64_t spins, asked, refused;
static sem_t up;

static int call(unsigned int thread, unsigned int flags, uint64_t *pause, void *words,
		unsigned int n)
{
	struct gcheap_callback c = {
		.size = sizeof(c), .flags = flags, .thread = thread, .n = n,
		.words = (uintptr_t)words, .pause = *pause, .timeout = timeout_ms,
	};
	int err = ioctl(h.fd, GCHEAP_IOC_CALLBACK, &c);

	*pause = c.pause;
	return err;
}

/* Tell of all in pieces; whether it was in time. */
static bool answer(unsigned int thread, uint64_t *pause)
{
	static uint64_t words[GCHEAP_CALLBACK_WORDS];
	unsigned int n = 0;

	for (int i = 0; i < tell; i++) {
		words[n++] = (uintptr_t)UNHIDE(hidden[i]);
		if (n < GCHEAP_CALLBACK_WORDS)
			continue;
		if (call(thread, GCHEAP_CALLBACK_MORE, pause, words, n))
			return false;
		n = 0;
	}
	return !call(thread, 0, pause, words, n);
}

static void *callback_thread(void *arg)
{
	uint64_t pause = 0, before;
	unsigned int thread = 0;

	CHECK_EQ(raw_try_attach(&h, &thread), 0);
	/* From here on pauses ask. */
	CHECK_EQ(call(thread, GCHEAP_CALLBACK_MORE, &pause, NULL, 0), 0);
	sem_post(&up);
	if (call(thread, 0, &pause, NULL, 0))
		FAIL("errno %d", errno);
	for (;;) {
		asked++;
		/* Everybody else stands still. */
		before = spins;
		usleep(2000 + 1000 * late);
		if (spins != before)
			seen_moving = true;
		if (enough)
			break;
		if (answer(thread, &pause))
			continue;
		CHECK_EQ(errno, EAGAIN);
		refused++;
		pause = 0;
		CHECK_EQ(call(thread, 0, &pause, NULL, 0), 0);
	}
	if (!arg)
		CHECK_EQ(call(thread, GCHEAP_CALLBACK_END, &pause, NULL, 0), 0);
	return NULL;
}

static void *spin(void *arg)
{
	while (!enough)
		spins++;
	return NULL;
}

static pthread_t start(unsigned int flags, void *arg)
{
	pthread_t t;

	sem_init(&up, 0, 0);
	h = raw_open(flags);
	cache = raw_cache(&h, GCHEAP_NOSCAN, CELL);
	for (int i = 0; i < N; i++)
		hidden[i] = take_hidden(&h, cache);
	raw_flush(&h);
	t = spawn(callback_thread, arg);
	sem_wait(&up);
	return t;
}

static int alive(void)
{
	int n = 0;

	for (int i = 0; i < N; i++)
		n += hidden_live(&h, hidden[i]);
	return n;
}

/* The last question is answered by leaving: the attempt after it asks nobody. */
static void stop(pthread_t t)
{
	enough = true;
	raw_collect(&h);
	pthread_join(t, NULL);
}

static void told_and_not_told(bool concurrent)
{
	pthread_t t = start(GCHEAP_SETUP_PRECISE_ONLY, NULL), s;

	raw_param(&h, GCHEAP_PARAM_CONCURRENT, concurrent);
	s = spawn(spin, NULL);
	tell = N;
	for (int i = 0; i < 3; i++) {
		raw_collect(&h);
		CHECK_EQ(alive(), N);
		CHECK_EQ(raw_status(&h).marked_objects, N);
	}
	tell = 1000;
	raw_collect(&h);
	CHECK_EQ(raw_status(&h).live_objects, 1000);
	/* With each pause; there may have been more than it takes. */
	CHECK(asked >= (concurrent ? 8 : 4));
	CHECK(!seen_moving);
	stop(t);
	pthread_join(s, NULL);
	raw_collect(&h);
	CHECK_EQ(alive(), 0);
	raw_verify(&h);
}

TEST(told_and_not_told_world_stopped)
{
	told_and_not_told(false);
}

TEST(told_and_not_told_while_running)
{
	told_and_not_told(true);
}

/* Its own stack and registers are none: it may have anything there. */
TEST(told_with_stacks_as_roots)
{
	pthread_t t = start(0, NULL);

	tell = N;
	raw_collect(&h);
	CHECK_EQ(alive(), N);
	stop(t);
}

TEST(too_late)
{
	pthread_t t;

	timeout_ms = 0;		/* 200 */
	t = start(GCHEAP_SETUP_PRECISE_ONLY, NULL);
	tell = N;
	late = 400;
	/* It would be in the next attempt as well. */
	CHECK_ERR(raw_try_collect(&h), ETIME);
	while (!refused)
		usleep(1000);
	CHECK_EQ(refused, 1);
	CHECK_EQ(alive(), N);
	late = 0;
	/* As long as it takes, if the machine is busy: what it says counts with the next call. */
	timeout_ms = 10000;
	while (raw_try_collect(&h))
		CHECK_EQ(errno, ETIME);
	CHECK_EQ(raw_status(&h).live_objects, N);
	stop(t);
}

/* What it takes is not what marking may take: no pause is given up for that. */
TEST(late_and_yet_in_time)
{
	pthread_t t;
	uint64_t pauses;

	timeout_ms = 10000;
	t = start(GCHEAP_SETUP_PRECISE_ONLY, NULL);
	tell = N;
	late = 600;
	pauses = raw_status(&h).pauses;
	raw_collect(&h);
	CHECK_EQ(raw_status(&h).live_objects, N);
	CHECK_EQ(refused, 0);
	CHECK(raw_status(&h).pauses - pauses <= 6);
	late = 0;
	stop(t);
}

TEST(one_at_a_time)
{
	pthread_t t = start(0, NULL);
	uint64_t pause = 0;

	CHECK(call(raw_thread, 0, &pause, NULL, 0) == -1 && errno == EBUSY);
	CHECK(call(raw_thread, GCHEAP_CALLBACK_END, &pause, NULL, 0) == -1 && errno == ENOENT);
	CHECK(call(raw_thread + 17, 0, &pause, NULL, 0) == -1 && errno == ESRCH);
	stop(t);
	CHECK_EQ(call(raw_thread, GCHEAP_CALLBACK_MORE, &pause, NULL, 0), 0);
	CHECK_EQ(call(raw_thread, GCHEAP_CALLBACK_END, &pause, NULL, 0), 0);
	raw_collect(&h);
}

TEST(arguments)
{
	uint64_t pause = 0, word = 0;

	h = raw_open(0);
	CHECK(call(raw_thread, GCHEAP_CALLBACK_MORE, &pause, &word, 1) == -1);
	CHECK_EQ(errno, EINVAL);
	CHECK(call(raw_thread, GCHEAP_CALLBACK_MORE | GCHEAP_CALLBACK_END, &pause, NULL,
		   0) == -1);
	CHECK_EQ(errno, EINVAL);
	pause = 1;
	CHECK(call(raw_thread, GCHEAP_CALLBACK_MORE, &pause, &word,
		   GCHEAP_CALLBACK_WORDS + 1) == -1);
	CHECK_EQ(errno, EINVAL);
	CHECK(call(raw_thread, GCHEAP_CALLBACK_MORE, &pause, (void *)8, 1) == -1);
	CHECK_EQ(errno, EFAULT);
	/* Nobody asks. */
	CHECK(call(raw_thread, GCHEAP_CALLBACK_MORE, &pause, &word, 1) == -1);
	CHECK_EQ(errno, EAGAIN);
	CHECK_EQ(call(raw_thread, GCHEAP_CALLBACK_END, &pause, NULL, 0), 0);
}

/* What it would have told cannot be known: nothing is freed until there is another. */
TEST(it_dies)
{
	pthread_t t = start(GCHEAP_SETUP_PRECISE_ONLY, &h);
	uint64_t pause = 0;

	enough = true;
	CHECK_ERR(raw_try_collect(&h), ETIME);
	pthread_join(t, NULL);
	CHECK_ERR(raw_try_collect(&h), ETIME);
	CHECK_EQ(alive(), N);
	CHECK_EQ(call(raw_thread, GCHEAP_CALLBACK_MORE, &pause, NULL, 0), 0);
	CHECK_EQ(call(raw_thread, GCHEAP_CALLBACK_END, &pause, NULL, 0), 0);
	raw_collect(&h);
	CHECK_EQ(alive(), 0);
	raw_verify(&h);
}

TEST(killed_while_it_waits_or_answers)
{
	for (int i = 0; i < 6; i++) {
		pid_t pid = fork();
		int status;

		if (!pid) {
			start(0, NULL);
			late = i % 2 ? 100 : 0;
			ioctl(h.fd, GCHEAP_IOC_COLLECT, &(struct gcheap_collect){ .size = 16 });
			usleep(i * 3000);
			kill(getpid(), SIGKILL);
		}
		CHECK_EQ(waitpid(pid, &status, 0), pid);
		CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	}
}

TEST_MAIN
