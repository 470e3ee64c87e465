// SPDX-License-Identifier: GPL-2.0-only
/*
 * R9: lifetime. The heap knows its address space by identity only and does not
 * keep it: when the process dies everything it had mapped goes, though someone
 * else has the descriptor.
 *
 * Without it: the address space outlives its process
 * Own machine: the module gcheap does not unload
 */
#include "../raw.h"
#include <sys/shm.h>
#include <sys/socket.h>

TEST(R9_lifetime)
{
	int sv[2], shm = shmget(IPC_PRIVATE, 4096, 0600), status, fd;
	char byte = 0, space[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec v = { &byte, 1 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = space,
			    .msg_controllen = sizeof(space) };
	struct gcheap_collect c = { .size = sizeof(c), .flags = GCHEAP_COLLECT_WAIT };
	struct shmid_ds ds;
	pid_t pid;

	CHECK(shm >= 0);
	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	pid = fork();
	if (!pid) {
		struct raw h = raw_open(0);
		struct cmsghdr *cm = CMSG_FIRSTHDR(&m);

		/* Its attachment goes with the address space. */
		CHECK(shmat(shm, NULL, 0) != (void *)-1);
		raw_take(&h, raw_cache(&h, GCHEAP_CONSERVATIVE, 64));
		raw_collect(&h);
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_RIGHTS;
		cm->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cm), &h.fd, sizeof(int));
		CHECK_EQ(sendmsg(sv[0], &m, 0), 1);
		/* Dies in the middle of a cycle. */
		ioctl(h.fd, GCHEAP_IOC_COLLECT, &(struct gcheap_collect){ .size = 16 });
		kill(getpid(), SIGKILL);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFSIGNALED(status));
	CHECK_EQ(recvmsg(sv[1], &m, 0), 1);
	fd = *(int *)CMSG_DATA(CMSG_FIRSTHDR(&m));
	for (int i = 0; i < 100; i++) {
		CHECK_EQ(shmctl(shm, IPC_STAT, &ds), 0);
		if (!ds.shm_nattch)
			break;
		usleep(50000);
	}
	shmctl(shm, IPC_RMID, NULL);
	if (ds.shm_nattch)
		FAIL("the address space outlives its process");
	CHECK_EQ(ioctl(fd, GCHEAP_IOC_COLLECT, &c), -1);
	CHECK(errno == ENXIO || errno == EPERM);
}

TEST_MAIN
