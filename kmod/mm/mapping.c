// SPDX-License-Identifier: GPL-2.0-only
/*
 * The four mappings of a heap, and its address_space.
 *
 * Each heap has an inode of its own, so that zapping one never touches another
 * (the device inode's mapping is shared by all who open it).
 */
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/pfn_t.h>
#include <linux/pseudo_fs.h>

#include "../gcheap.h"

static int pseudo_init(struct fs_context *fc)
{
	return init_pseudo(fc, 0x67636870) ? 0 : -ENOMEM;
}

static struct file_system_type gch_fs = {
	.name = "gcheap",
	.owner = THIS_MODULE,
	.init_fs_context = pseudo_init,
	.kill_sb = kill_anon_super,
};

static struct vfsmount *gch_mount;
static int gch_mount_count;

/** gch_mapping_open() - give a heap its address_space: 0 or -errno */
int gch_mapping_open(struct gch *g, struct file *file)
{
	int err;

	err = simple_pin_fs(&gch_fs, &gch_mount, &gch_mount_count);
	if (err)
		return err;
	g->inode = alloc_anon_inode(gch_mount->mnt_sb);
	if (IS_ERR(g->inode)) {
		err = PTR_ERR(g->inode);
		simple_release_fs(&gch_mount, &gch_mount_count);
		return err;
	}
	file->f_mapping = g->inode->i_mapping;
	return 0;
}

/** gch_mapping_close() - the heap goes; no mapping is left */
void gch_mapping_close(struct gch *g)
{
	iput(g->inode);
	simple_release_fs(&gch_mount, &gch_mount_count);
}

/**
 * gch_mapping_foreign() - is the caller in another address space than the heap
 *
 * A child's is its own before it is mapped.
 */
bool gch_mapping_foreign(struct gch *g)
{
	struct mm_struct *mm = READ_ONCE(g->bound) ? gch_world_mm(&g->world) : gch_fork_heir(g);

	return mm && mm != current->mm;
}

/** gch_mapping_meta_changed() - make the program see a chunk's metadata anew */
void gch_mapping_meta_changed(struct gch *g, u32 chunk)
{
	unmap_mapping_range(g->inode->i_mapping,
			    GCHEAP_OFF_META + (u64)chunk * GCHEAP_META_STRIDE,
			    GCHEAP_META_STRIDE, 1);
}

/*
 * One full-range mapping for good (R12): no splitting, moving, or changing of
 * its protection.
 */
static int refuse_split(struct vm_area_struct *vma, unsigned long addr)
{
	return gch_rule(12) ? -EINVAL : 0;
}

static int refuse_mremap(struct vm_area_struct *vma)
{
	return gch_rule(12) ? -EINVAL : 0;
}

static int refuse_mprotect(struct vm_area_struct *vma, unsigned long start,
			   unsigned long end, unsigned long newflags)
{
	return gch_rule(12) ? -EACCES : 0;
}

/*
 * A refused mremap makes a copy and takes it away again. A forked child that
 * was given the mapping after all (MADV_DOFORK): what fork copied of it goes,
 * and its faults are SIGBUS (R13).
 */
static void heap_open(struct vm_area_struct *vma)
{
	struct gch *g = vma->vm_private_data;

	if (vma->vm_mm == gch_world_mm(&g->world))
		atomic_inc(&g->nmaps);
	else if (gch_rule(13))
		unmap_mapping_range(g->inode->i_mapping, GCHEAP_OFF_HEAP,
				    g->core.size, 1);
}

/* The same for metadata, which fork would copy likewise. */
static void meta_open(struct vm_area_struct *vma)
{
	struct gch *g = vma->vm_private_data;

	if (vma->vm_mm != gch_world_mm(&g->world) && gch_rule(13))
		unmap_mapping_range(g->inode->i_mapping, GCHEAP_OFF_META,
				    g->meta_size, 1);
}

static void heap_close(struct vm_area_struct *vma)
{
	struct gch *g = vma->vm_private_data;

	if (vma->vm_mm == gch_world_mm(&g->world) &&
	    atomic_dec_and_test(&g->nmaps))
		gch_kill(g);
}

static bool foreign_fault(struct gch *g, const struct vm_fault *vmf)
{
	return vmf->vma->vm_mm != gch_world_mm(&g->world) && gch_rule(13);
}

/*
 * A child's heap that is still being copied: wait for it, if possible without mmap_lock, with
 * which the mapping may go. 0: it is there.
 */
static vm_fault_t await_heap(struct gch *g, const struct vm_fault *vmf)
{
	struct mm_struct *mm = vmf->vma->vm_mm;

	/* Some other process touches it. */
	if (current->mm != mm)
		return VM_FAULT_SIGBUS;
	if (vmf->flags & FAULT_FLAG_RETRY_NOWAIT)
		return VM_FAULT_RETRY;
	if (!fault_flag_allow_retry_first(vmf->flags))
		return gch_fork_await(g) ? VM_FAULT_SIGBUS : 0;
	gch_get(g);
	mmap_read_unlock(mm);
	gch_fork_await(g);
	gch_put(g);
	return VM_FAULT_RETRY;
}

/* Not for this address space, or not yet: 0: go on. */
static vm_fault_t refuse_fault(struct gch *g, const struct vm_fault *vmf)
{
	if (foreign_fault(g, vmf))
		return VM_FAULT_SIGBUS;
	return likely(smp_load_acquire(&g->ready)) ? 0 : await_heap(g, vmf);	/* as in ioctl */
}

/*
 * The collector would wait for itself, or in a pause for the callback thread; and who may not
 * wait, or has done so, has what there is.
 */
static bool may_make_room(struct gch *g, const struct vm_fault *vmf)
{
	return fault_flag_allow_retry_first(vmf->flags) &&
	       !(vmf->flags & FAULT_FLAG_RETRY_NOWAIT) && !(current->flags & PF_KTHREAD) &&
	       !READ_ONCE(g->callback.open);
}

/*
 * Without mmap_lock, with which the mapping may go. With precise roots only nothing is to move:
 * the program has not made a call.
 */
static vm_fault_t make_room(struct gch *g, struct mm_struct *mm)
{
	gch_get(g);
	mmap_read_unlock(mm);
	gch_collect_for_room(g, !g->core.param.precise_only);
	gch_put(g);
	return VM_FAULT_RETRY;
}

static vm_fault_t heap_fault(struct vm_fault *vmf)
{
	struct gch *g = vmf->vma->vm_private_data;
	bool last = !may_make_room(g, vmf);
	vm_fault_t ret = refuse_fault(g, vmf);

	if (ret)
		return ret;
	switch (gch_pages_fault(g, vmf->vma, vmf->address,
				vmf->flags & FAULT_FLAG_WRITE, last)) {
	case 0:
		return VM_FAULT_NOPAGE;
	case -ENOMEM:
		return last ? VM_FAULT_OOM : make_room(g, vmf->vma->vm_mm);
	default:
		return VM_FAULT_SIGBUS;
	}
}

static vm_fault_t heap_mkwrite(struct vm_fault *vmf)
{
	struct gch *g = vmf->vma->vm_private_data;

	if (foreign_fault(g, vmf))
		return VM_FAULT_SIGBUS;
	return gch_track_mkwrite(g, vmf);
}

static const struct vm_operations_struct heap_ops = {
	.open = heap_open,
	.close = heap_close,
	.may_split = refuse_split,
	.mremap = refuse_mremap,
	.mprotect = refuse_mprotect,
	.fault = heap_fault,
	.page_mkwrite = heap_mkwrite,
};

/** gch_mapping_of_a_heap() - is this the mapping of any heap's objects */
bool gch_mapping_of_a_heap(const struct vm_area_struct *vma)
{
	return vma->vm_ops == &heap_ops;
}

/** gch_mapping_is_heap() - is this the mapping of the heap itself */
bool gch_mapping_is_heap(struct gch *g, const struct vm_area_struct *vma)
{
	return vma->vm_ops == &heap_ops && vma->vm_private_data == g &&
	       vma->vm_start == g->core.base;
}

/* NULL: there is no metadata. */
static struct page *meta_lookup(struct gch *g, u64 off)
{
	u64 in = off % GCHEAP_META_STRIDE;
	struct gch_chunk *c;
	void *p = NULL;

	env_assert_held(&g->core.lock);
	c = gch_chunk(&g->core, off / GCHEAP_META_STRIDE);
	if (c && in < GCHEAP_META_LIVE)
		p = c->desc[in >> PAGE_SHIFT];
	else if (c && in < GCHEAP_META_LIVE + GCH_LIVE_PAGES * PAGE_SIZE)
		p = c->live[(in - GCHEAP_META_LIVE) >> PAGE_SHIFT];
	return p ? virt_to_page(p) : NULL;
}

static vm_fault_t meta_fault(struct vm_fault *vmf)
{
	struct gch *g = vmf->vma->vm_private_data;
	struct page *page;
	vm_fault_t ret = refuse_fault(g, vmf);

	if (ret)
		return ret;
	if (gch_pages_tables(vmf->vma, vmf->address, PAGE_SIZE))
		return VM_FAULT_OOM;
	env_lock(&g->core.lock);
	page = meta_lookup(g, ((u64)vmf->pgoff << PAGE_SHIFT) - GCHEAP_OFF_META);
	if (page)
		ret = vmf_insert_page(vmf->vma, vmf->address, page);
	else	/* zeroes, by an entry that is not counted: there may be any number */
		ret = gch_insert_zeroes(vmf->vma, vmf->address);
	env_unlock(&g->core.lock);
	return ret;
}

static vm_fault_t status_fault(struct vm_fault *vmf)
{
	struct gch *g = vmf->vma->vm_private_data;
	vm_fault_t ret = refuse_fault(g, vmf);

	if (ret)
		return ret;
	vmf->page = virt_to_page(g->status);
	get_page(vmf->page);
	return 0;
}

static vm_fault_t tcb_fault(struct vm_fault *vmf)
{
	struct gch *g = vmf->vma->vm_private_data;
	vm_fault_t ret = refuse_fault(g, vmf);
	void *p;

	if (ret)
		return ret;
	p = gch_tcb_page(g, vmf->pgoff - (GCHEAP_OFF_TCB >> PAGE_SHIFT), true);
	if (!p)
		return VM_FAULT_OOM;
	vmf->page = virt_to_page(p);
	get_page(vmf->page);
	return 0;
}

static const struct vm_operations_struct meta_ops = {
	.open = meta_open,
	.may_split = refuse_split,
	.mremap = refuse_mremap,
	.mprotect = refuse_mprotect,
	.fault = meta_fault,
};

static const struct vm_operations_struct status_ops = {
	.may_split = refuse_split,
	.mremap = refuse_mremap,
	.mprotect = refuse_mprotect,
	.fault = status_fault,
};

static const struct vm_operations_struct tcb_ops = {
	.may_split = refuse_split,
	.mremap = refuse_mremap,
	.mprotect = refuse_mprotect,
	.fault = tcb_fault,
};

static int mmap_heap(struct gch *g, struct vm_area_struct *vma)
{
	int err = 0;

	if ((vma->vm_flags & (VM_READ | VM_WRITE)) != (VM_READ | VM_WRITE) ||
	    vma->vm_flags & VM_EXEC)
		return -EACCES;
	if (vma->vm_end - vma->vm_start != g->core.size ||
	    vma->vm_start % GCHEAP_CHUNK_SIZE ||
	    (gch_fork_heir(g) && vma->vm_start != g->core.base))
		return -EINVAL;
	env_lock(&g->core.lock);
	if (g->bound)
		err = -EBUSY;
	else
		err = gch_world_bind(&g->world);
	if (!err) {
		g->core.base = vma->vm_start;
		gch_roots_set_heap(&g->roots, vma->vm_start, vma->vm_end);
		atomic_set(&g->nmaps, 1);
		WRITE_ONCE(g->bound, true);
	}
	env_unlock(&g->core.lock);
	if (err)
		return err;
	gch_vm_flags_set(vma, VM_MIXEDMAP);
	vma->vm_ops = &heap_ops;
	return 0;
}

static int mmap_other(struct gch *g, struct vm_area_struct *vma, u64 size,
		      bool writable, const struct vm_operations_struct *ops)
{
	if (vma->vm_end - vma->vm_start != size)
		return -EINVAL;
	if (vma->vm_flags & VM_EXEC || (vma->vm_flags & VM_WRITE && !writable))
		return -EACCES;
	if (!writable)
		gch_vm_flags_clear(vma, VM_MAYWRITE);
	vma->vm_ops = ops;
	return 0;
}

/* Or will be: a child need not wait for that, which may come about between the first two. */
static bool is_there(const struct gch *g)
{
	/* pairs with SETUP's release */
	return smp_load_acquire(&g->ready) || gch_fork_awaited(g) || smp_load_acquire(&g->ready);
}

/** gch_mmap() - see MAPPING RULES in the uapi header */
int gch_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct gch *g = file->private_data;
	int err;

	if (!is_there(g))
		return gch_fork_await(g) ?: -ENODEV;
	if (READ_ONCE(g->dead))
		return -ENXIO;
	if (gch_mapping_foreign(g))
		return -EPERM;
	if (!(vma->vm_flags & VM_SHARED))
		return -EINVAL;
	vma->vm_private_data = g;
	switch ((u64)vma->vm_pgoff << PAGE_SHIFT) {
	case GCHEAP_OFF_HEAP:
		err = mmap_heap(g, vma);
		break;
	case GCHEAP_OFF_META:
		err = mmap_other(g, vma, g->meta_size, false, &meta_ops);
		if (!err)
			gch_vm_flags_set(vma, VM_MIXEDMAP);
		break;
	case GCHEAP_OFF_STATUS:
		err = mmap_other(g, vma, GCHEAP_STATUS_SIZE, false, &status_ops);
		break;
	case GCHEAP_OFF_TCB:
		err = mmap_other(g, vma, g->tcb_size, true, &tcb_ops);
		break;
	default:
		err = -EINVAL;
	}
	if (err)
		return err;
	gch_vm_flags_set(vma, VM_DONTEXPAND | VM_DONTCOPY | VM_DONTDUMP);
	return 0;
}
