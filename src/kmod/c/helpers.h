/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One function for each C inline or macro that the Rust side needs and that
 * the kernel's own Rust helpers do not offer. No logic lives here.
 */
#ifndef QDA_HELPERS_H
#define QDA_HELPERS_H

#include <linux/dma-direction.h>
#include <linux/mm_types.h>
#include <linux/types.h>
#include <linux/workqueue_types.h>

struct completion;
struct delayed_work;
struct device;
struct dma_resv;
struct drm_gem_object;
struct drm_vma_offset_manager;
struct file;
struct folio;
struct hrtimer;
struct page;
struct rpmsg_endpoint;
struct rw_semaphore;
struct scatterlist;
struct sg_table;
struct task_struct;
struct vfsmount;
struct vm_area_struct;

void qda_helper_reinit_completion(struct completion *x);
void qda_helper_ept_set_priv(struct rpmsg_endpoint *ept, void *priv);
void *qda_helper_vzalloc_account(size_t size);
void qda_helper_memcpy(void *dst, const void *src, size_t len);
void qda_helper_memset(void *dst, int c, size_t len);
void qda_helper_dma_sync_for_device(struct device *dev, dma_addr_t addr,
				    size_t size, enum dma_data_direction dir);
void qda_helper_dma_sync_for_cpu(struct device *dev, dma_addr_t addr,
				 size_t size, enum dma_data_direction dir);
void qda_helper_dma_wmb(void);
void qda_helper_dma_rmb(void);
void qda_helper_current_comm(char *buf, size_t size);
void qda_helper_init_rwsem(struct rw_semaphore *sem);
bool qda_helper_use_dma_iommu(struct device *dev);
bool qda_helper_dev_is_dma_coherent(struct device *dev);
phys_addr_t qda_helper_page_to_phys(struct page *page);
void qda_helper_sg_set_page(struct scatterlist *sg, struct page *page,
			    unsigned int len, unsigned int offset);
void qda_helper_init_delayed_work(struct delayed_work *dwork, work_func_t func);
void qda_helper_destroy_hrtimer_on_stack(struct hrtimer *timer);
unsigned long qda_helper_untagged_addr(unsigned long addr);
bool qda_helper_dma_resv_trylock(struct dma_resv *obj);
unsigned long qda_helper_file_count(struct file *file);

struct file *qda_helper_shmem_file_setup(const char *name, loff_t size);
struct file *qda_helper_shmem_file_setup_with_mnt(struct vfsmount *mnt,
						  const char *name,
						  loff_t size);
int qda_helper_vfs_mmap(struct file *file, struct vm_area_struct *vma);
void qda_helper_vm_flags_set(struct vm_area_struct *vma, vm_flags_t flags);
void qda_helper_folio_put(struct folio *folio);
pgoff_t qda_helper_folio_next_index(const struct folio *folio);
size_t qda_helper_folio_size(const struct folio *folio);
struct page *qda_helper_folio_page(struct folio *folio, unsigned long n);
void qda_helper_gem_object_get(struct drm_gem_object *obj);
void qda_helper_gem_object_put(struct drm_gem_object *obj);
bool qda_helper_gem_object_get_unless_zero(struct drm_gem_object *obj);
void qda_helper_vma_offset_lock(struct drm_vma_offset_manager *mgr);
void qda_helper_vma_offset_unlock(struct drm_vma_offset_manager *mgr);
void *qda_helper_vmap(struct page **pages, unsigned int count);
unsigned int qda_helper_dma_get_max_seg_size(struct device *dev);
void qda_helper_dma_sync_sgtable_for_device(struct device *dev,
					    struct sg_table *table,
					    enum dma_data_direction dir);
void qda_helper_dma_sync_sgtable_for_cpu(struct device *dev,
					 struct sg_table *table,
					 enum dma_data_direction dir);
bool qda_helper_fatal_signal_pending(void);
void qda_helper_cond_resched(void);
bool qda_helper_task_is_exiting(struct task_struct *task);

#endif /* QDA_HELPERS_H */
