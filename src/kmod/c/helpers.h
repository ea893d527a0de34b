/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One function for each C inline or macro that the Rust side needs and that
 * the kernel's own Rust helpers do not offer. No logic lives here.
 */
#ifndef QDA_HELPERS_H
#define QDA_HELPERS_H

#include <linux/types.h>

struct completion;
struct device;
struct rpmsg_endpoint;
struct rw_semaphore;

void qda_helper_reinit_completion(struct completion *x);
void qda_helper_ept_set_priv(struct rpmsg_endpoint *ept, void *priv);
void *qda_helper_vzalloc_account(size_t size);
void qda_helper_memcpy(void *dst, const void *src, size_t len);
void qda_helper_memset(void *dst, int c, size_t len);
void qda_helper_dma_sync_for_device(struct device *dev, dma_addr_t addr,
				    size_t size);
void qda_helper_dma_sync_for_cpu(struct device *dev, dma_addr_t addr,
				 size_t size);
void qda_helper_dma_wmb(void);
void qda_helper_dma_rmb(void);
void qda_helper_current_comm(char *buf, size_t size);
void qda_helper_init_rwsem(struct rw_semaphore *sem);
bool qda_helper_use_dma_iommu(struct device *dev);
bool qda_helper_dev_is_dma_coherent(struct device *dev);

#endif /* QDA_HELPERS_H */
