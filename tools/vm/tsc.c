// SPDX-License-Identifier: GPL-2.0-only
/*
 * Print the frequency of this machine's time stamp counter in kHz, against
 * CLOCK_MONOTONIC_RAW, or nothing and 1 where there is none worth the name.
 */
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <x86intrin.h>

struct moment {
	uint64_t tsc;
	uint64_t ns;
};

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_RAW, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

/* Both clocks at once: of many pairs the one that was least disturbed. */
static struct moment look(void)
{
	struct moment best = { 0 };
	uint64_t least = UINT64_MAX;

	for (int i = 0; i < 1000; i++) {
		uint64_t before = now();
		uint64_t tsc = __rdtsc();
		uint64_t after = now();

		if (after - before < least) {
			least = after - before;
			best = (struct moment){ .tsc = tsc, .ns = before + least / 2 };
		}
	}
	return best;
}

int main(void)
{
	struct moment from = look(), to;
	uint64_t khz;

	nanosleep(&(struct timespec){ .tv_nsec = 100 * 1000 * 1000 }, NULL);
	to = look();
	khz = (to.tsc - from.tsc) * 1000000 / (to.ns - from.ns);
	if (!khz)
		return 1;
	printf("%llu\n", (unsigned long long)khz);
	return 0;
}
