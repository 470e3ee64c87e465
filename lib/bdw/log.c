// SPDX-License-Identifier: MIT OR LGPL-2.1-or-later
/* Messages: where they go, and the last one. Nothing here allocates. */
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bdw.h"

#define BDW_LINE	1024	/* bdwgc cuts off there, too */

static void bdw_print_warning(char *format, GC_word arg);

static struct {
	int out, err, log;
	GC_warn_proc warn;
} bdw_log = { 1, 2, 2, bdw_print_warning };

int bdw_loop_on_abort;

/* ---- writing */

/* All of it, without being cancelled in a call that allocates. Errors are nobody's. */
static void bdw_write(int fd, const char *text, size_t length)
{
	int cancel, err = errno;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	while (length) {
		ssize_t n = write(fd, text, length);

		if (n < 0 && errno != EINTR && errno != EAGAIN)
			break;
		text += n > 0 ? n : 0;
		length -= n > 0 ? n : 0;
	}
	pthread_setcancelstate(cancel, NULL);
	errno = err;
}

static void bdw_print(int fd, const char *format, va_list args)
{
	char text[BDW_LINE];

	vsnprintf(text, sizeof(text), format, args);
	bdw_write(fd, text, strlen(text));
}

#define BDW_PRINTF(name, fd)				\
	GCH_API void name(const char *format, ...)	\
	{						\
		va_list args;				\
							\
		va_start(args, format);			\
		bdw_print(READ_ONCE(fd), format, args);	\
		va_end(args);				\
	}

BDW_PRINTF(GC_printf, bdw_log.out)
BDW_PRINTF(GC_err_printf, bdw_log.err)
BDW_PRINTF(GC_log_printf, bdw_log.log)

GCH_API void GC_set_log_fd(int fd)
{
	WRITE_ONCE(bdw_log.log, fd);
}

/* GC_LOG_FILE; but for @only the other messages go there, too. */
void bdw_log_file(const char *path, bool only)
{
	int fd = open(path, O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0644);

	if (fd < 0) {
		GC_err_printf("Failed to open %s as log file\n", path);
		return;
	}
	WRITE_ONCE(bdw_log.log, fd);
	if (only)
		return;
	WRITE_ONCE(bdw_log.out, fd);
	WRITE_ONCE(bdw_log.err, fd);
}

/* What is mapped where. */
void bdw_log_maps(void)
{
	char text[BDW_LINE];
	int fd, cancel;
	ssize_t n;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	while (fd >= 0 && (n = read(fd, text, sizeof(text))) > 0)
		bdw_write(READ_ONCE(bdw_log.err), text, n);
	if (fd >= 0)
		close(fd);
	pthread_setcancelstate(cancel, NULL);
}

/* ---- warnings */

static void bdw_print_warning(char *format, GC_word arg)
{
	GC_err_printf(format, arg);
}

/* The one that programs choose to have no warnings; whoever wants statistics has them. */
GCH_API void GC_ignore_warn_proc(char *format, GC_word arg)
{
	if (bdw_print_stats)
		bdw_print_warning(format, arg);
}

BDW_PAIR(GC_warn_proc, warn_proc, bdw_log.warn)

/* Formats begin like bdwgc's, which programs look for. */
void bdw_warn(char *format, GC_word arg)
{
	GC_get_warn_proc()(format, arg);
}

/* ---- the end */

/* Debuggers find the process, as it was. */
static void bdw_say_last(const char *message)
{
	if (message) {
		bdw_write(bdw_log.err, message, strlen(message));
		bdw_write(bdw_log.err, "\n", 1);
	}
	while (bdw_loop_on_abort)
		pause();
}

GCH_API GC_abort_func GC_on_abort = bdw_say_last;
BDW_PAIR(GC_abort_func, abort_func, GC_on_abort)

/* @what is wrong, as bdwgc says it, and with whom. */
void bdw_die(const char *what, const char *format, ...)
{
	char text[BDW_LINE];
	va_list args;
	size_t n;

	snprintf(text, sizeof(text) / 2, "%s: ", what);
	n = strlen(text);
	va_start(args, format);
	vsnprintf(text + n, sizeof(text) - n, format, args);
	va_end(args);
	GC_get_abort_func()(text);
	abort();
}

GCH_API void GC_abort_on_oom(void)
{
	GC_err_printf("Insufficient memory for the allocation\n");
	GC_get_abort_func()(NULL);
	exit(1);
}
