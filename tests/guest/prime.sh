# SPDX-License-Identifier: GPL-2.0
#
# Buffers that are exported and imported; vgem and the stock driver are the other devices. The stock driver is only made loadable
# here, its own needs are met by loading it once.

. /host/lib.sh

modprobe vgem || bail "vgem.ko does not load"
load_qda
load_sim
wait_nodes 2
# Sanitizers find fault with the stock driver: there the case that uses it is skipped.
if [ ! -e /sys/kernel/debug/kmemleak ]; then
	load_stock
	rmmod fastrpc || bail "fastrpc.ko does not unload"
	ln -sf "$(find /lib/modules -name fastrpc.ko)" /lib/qda/fastrpc.ko
	[ -e /lib/qda/fastrpc.ko ] || bail "the guest has no fastrpc.ko"
fi
qda-guest-test prime
