# SPDX-License-Identifier: GPL-2.0
#
# Memory that a process on the DSP keeps: REMOTE_MAP and REMOTE_MUNMAP, with DSPs of all manners.

. /host/lib.sh

modprobe vgem || bail "vgem.ko does not load"
load_qda max_file_mib=192
load_sim
wait_nodes 2
qda-guest-test remote-map
