// SPDX-License-Identifier: GPL-2.0
/*
 * Whether a page of a bank is mapped for writing. The IOMMU core has no way to
 * ask, but the page table code that the SMMU drivers share has one; only the
 * way to it is private to the driver, so a piece of its domain structure is
 * mirrored here. tests/sim/check-smmu-mirror compares it with a kernel source.
 * The names differ, since the module's type information must not describe types
 * of the kernel once more.
 * No locks; called by kmod/sys only.
 */
#include <linux/bits.h>
#include <linux/device.h>
#include <linux/iommu.h>
#include <linux/io-pgtable.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include "glue.h"

/* Mirror of arm-smmu-v3.h begins. */
struct mirror_smmu_ctx_desc {
	u16				asid;
};

struct mirror_smmu_s2_cfg {
	u16				vmid;
};

enum mirror_smmu_domain_stage {
	MIRROR_SMMU_DOMAIN_S1 = 0,
	MIRROR_SMMU_DOMAIN_S2,
	MIRROR_SMMU_DOMAIN_SVA,
};

struct mirror_smmu_domain {
	struct mirror_smmu_device		*smmu;

	struct io_pgtable_ops		*pgtbl_ops;
	atomic_t			nr_ats_masters;

	enum mirror_smmu_domain_stage	stage;
	union {
		struct mirror_smmu_ctx_desc	cd;
		struct mirror_smmu_s2_cfg		s2_cfg;
	};

	struct iommu_domain		domain;
};
/* Mirror of arm-smmu-v3.h ends. */

/* Bit of a stage 1 page table entry, from the architecture. */
#define PTE_READ_ONLY		BIT_ULL(7)

/*
 * False only if the page is known to be mapped read-only. The caller has found
 * that it is mapped.
 */
bool qda_sim_iova_writable(struct device *dev, u64 iova)
{
	struct arm_lpae_io_pgtable_walk_data walk = {};
	struct iommu_domain *domain = iommu_get_domain_for_dev(dev);
	struct mirror_smmu_domain *smmu_domain;
	struct io_pgtable_ops ops;
	struct device *smmu;
	int level;

	if (!domain || !(domain->type & __IOMMU_DOMAIN_PAGING) || !dev->iommu ||
	    !dev->iommu->iommu_dev || !dev->iommu->iommu_dev->dev)
		return true;
	/* The class device's parent is the hardware. */
	smmu = dev->iommu->iommu_dev->dev->parent;
	if (!smmu || !smmu->driver || strcmp(smmu->driver->name, "arm-smmu-v3"))
		return true;
	smmu_domain = container_of(domain, struct mirror_smmu_domain, domain);
	/* Should the mirror be wrong, then be so without a crash. */
	if (smmu_domain->stage != MIRROR_SMMU_DOMAIN_S1 ||
	    copy_from_kernel_nofault(&ops, smmu_domain->pgtbl_ops, sizeof(ops)) ||
	    !ops.pgtable_walk)
		return true;
	if (ops.pgtable_walk(smmu_domain->pgtbl_ops, iova, &walk))
		return true;
	for (level = ARRAY_SIZE(walk.ptes) - 1; level >= 0; level--) {
		if (walk.ptes[level])
			return !(walk.ptes[level] & PTE_READ_ONLY);
	}
	return true;
}
