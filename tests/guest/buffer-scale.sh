# SPDX-License-Identifier: GPL-2.0
#
# Very many, very large and very contested buffers; DSPs that go away with buffers mapped.

. /host/lib.sh

modprobe vgem || bail "vgem.ko does not load"
load_qda
load_sim
wait_nodes 2
qda-guest-test buffer-scale
