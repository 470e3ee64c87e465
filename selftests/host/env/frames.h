/* SPDX-License-Identifier: GPL-2.0-only */
/* Heap pages on the host, by frame number; 0 is none. */
#ifndef GCHEAP_HOST_FRAMES_H
#define GCHEAP_HOST_FRAMES_H

#define FRAMES_MAX	(1u << 20)

u32 frame_alloc(void);
void frame_release(u32 frame);

#endif
