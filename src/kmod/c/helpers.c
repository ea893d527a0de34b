// SPDX-License-Identifier: GPL-2.0
/*
 * One function for each C inline or macro that the Rust side needs and that
 * the kernel's own Rust helpers do not offer. No logic lives here.
 */

#include <linux/completion.h>
#include <linux/dma-map-ops.h>
#include <linux/dma-mapping.h>
#include <linux/dma-resv.h>
#include <linux/fs.h>
#include <linux/gfp.h>
#include <linux/hrtimer.h>
#include <linux/io.h>
#include <linux/iommu-dma.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/rpmsg.h>
#include <linux/rwsem.h>
#include <linux/scatterlist.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/shmem_fs.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>
#include <linux/workqueue.h>
#include <asm/barrier.h>
#include <drm/drm_gem.h>
#include <drm/drm_vma_manager.h>

#include "helpers.h"

void qda_helper_reinit_completion(struct completion *x)
{
	reinit_completion(x);
}

void qda_helper_ept_set_priv(struct rpmsg_endpoint *ept, void *priv)
{
	/* What priv points to must be visible to a packet that sees priv. */
	smp_store_release(&ept->priv, priv);
}

void *qda_helper_vzalloc_account(size_t size)
{
	return __vmalloc(size, GFP_KERNEL_ACCOUNT | __GFP_ZERO | __GFP_NOWARN);
}

void qda_helper_memcpy(void *dst, const void *src, size_t len)
{
	memcpy(dst, src, len);
}

void qda_helper_memset(void *dst, int c, size_t len)
{
	memset(dst, c, len);
}

void qda_helper_dma_sync_for_device(struct device *dev, dma_addr_t addr,
				    size_t size, enum dma_data_direction dir)
{
	dma_sync_single_for_device(dev, addr, size, dir);
}

void qda_helper_dma_sync_for_cpu(struct device *dev, dma_addr_t addr,
				 size_t size, enum dma_data_direction dir)
{
	dma_sync_single_for_cpu(dev, addr, size, dir);
}

void qda_helper_dma_wmb(void)
{
	dma_wmb();
}

void qda_helper_dma_rmb(void)
{
	dma_rmb();
}

void qda_helper_current_comm(char *buf, size_t size)
{
	strscpy_pad(buf, current->comm, size);
}

void qda_helper_init_rwsem(struct rw_semaphore *sem)
{
	init_rwsem(sem);
}

bool qda_helper_use_dma_iommu(struct device *dev)
{
	return use_dma_iommu(dev);
}

bool qda_helper_dev_is_dma_coherent(struct device *dev)
{
	return dev_is_dma_coherent(dev);
}

struct file *qda_helper_shmem_file_setup(const char *name, loff_t size)
{
	return shmem_file_setup(name, size, mk_vma_flags(VMA_NORESERVE_BIT));
}

struct file *qda_helper_shmem_file_setup_with_mnt(struct vfsmount *mnt,
						  const char *name,
						  loff_t size)
{
	return shmem_file_setup_with_mnt(mnt, name, size,
					 mk_vma_flags(VMA_NORESERVE_BIT));
}

int qda_helper_vfs_mmap(struct file *file, struct vm_area_struct *vma)
{
	return vfs_mmap(file, vma);
}

void qda_helper_vm_flags_set(struct vm_area_struct *vma, vm_flags_t flags)
{
	vm_flags_set(vma, flags);
}

void qda_helper_folio_put(struct folio *folio)
{
	folio_put(folio);
}

pgoff_t qda_helper_folio_next_index(const struct folio *folio)
{
	return folio_next_index(folio);
}

size_t qda_helper_folio_size(const struct folio *folio)
{
	return folio_size(folio);
}

struct page *qda_helper_folio_page(struct folio *folio, unsigned long n)
{
	return folio_page(folio, n);
}

void qda_helper_gem_object_get(struct drm_gem_object *obj)
{
	drm_gem_object_get(obj);
}

void qda_helper_gem_object_put(struct drm_gem_object *obj)
{
	drm_gem_object_put(obj);
}

bool qda_helper_gem_object_get_unless_zero(struct drm_gem_object *obj)
{
	return kref_get_unless_zero(&obj->refcount);
}

void qda_helper_vma_offset_lock(struct drm_vma_offset_manager *mgr)
{
	drm_vma_offset_lock_lookup(mgr);
}

void qda_helper_vma_offset_unlock(struct drm_vma_offset_manager *mgr)
{
	drm_vma_offset_unlock_lookup(mgr);
}

void *qda_helper_vmap(struct page **pages, unsigned int count)
{
	return vmap(pages, count, VM_MAP, PAGE_KERNEL);
}

unsigned int qda_helper_dma_get_max_seg_size(struct device *dev)
{
	return dma_get_max_seg_size(dev);
}

void qda_helper_dma_sync_sgtable_for_device(struct device *dev,
					    struct sg_table *table,
					    enum dma_data_direction dir)
{
	dma_sync_sgtable_for_device(dev, table, dir);
}

void qda_helper_dma_sync_sgtable_for_cpu(struct device *dev,
					 struct sg_table *table,
					 enum dma_data_direction dir)
{
	dma_sync_sgtable_for_cpu(dev, table, dir);
}

bool qda_helper_fatal_signal_pending(void)
{
	return fatal_signal_pending(current);
}

void qda_helper_cond_resched(void)
{
	cond_resched();
}

bool qda_helper_task_is_exiting(struct task_struct *task)
{
	return READ_ONCE(task->flags) & PF_EXITING;
}

phys_addr_t qda_helper_page_to_phys(struct page *page)
{
	return page_to_phys(page);
}

void qda_helper_sg_set_page(struct scatterlist *sg, struct page *page,
			    unsigned int len, unsigned int offset)
{
	sg_set_page(sg, page, len, offset);
}

void qda_helper_init_delayed_work(struct delayed_work *dwork, work_func_t func)
{
	INIT_DELAYED_WORK(dwork, func);
}

void qda_helper_destroy_hrtimer_on_stack(struct hrtimer *timer)
{
	destroy_hrtimer_on_stack(timer);
}

unsigned long qda_helper_untagged_addr(unsigned long addr)
{
	return untagged_addr(addr);
}

bool qda_helper_dma_resv_trylock(struct dma_resv *obj)
{
	return dma_resv_trylock(obj);
}

unsigned long qda_helper_file_count(struct file *file)
{
	return file_count(file);
}
