# SPDX-License-Identifier: GPL-2.0
#
# Buffers of the dma-heap "system", which only the test kernel has.

. /host/lib.sh

[ -e /dev/dma_heap/system ] || bail "this kernel has no system heap"
load_qda
load_sim
wait_nodes 2
qda-guest-test heap
