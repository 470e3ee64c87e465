// SPDX-License-Identifier: GPL-2.0-only
/* A shared object to be opened at run time, with every kind of place for a word. */
void *dl_data[4] = { (void *)1, (void *)1, (void *)1, (void *)1 };
void *dl_bss[4];
static void *volatile dl_static[2];
__thread void *dl_tls[4];

void **dl_data_address(void)
{
	return dl_data;
}

void **dl_bss_address(void)
{
	return dl_bss;
}

void *volatile *dl_static_address(void)
{
	return dl_static;
}

/* Allocates the calling thread's block of it. */
void **dl_tls_address(void)
{
	return dl_tls;
}
