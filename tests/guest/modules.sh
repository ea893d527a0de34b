# SPDX-License-Identifier: GPL-2.0
#
# Loading, unloading, binding, and DSPs that come and go. The cases load and unload by themselves; the stock driver is only made
# loadable here, its own needs are met by loading it once.

. /host/lib.sh

load_stock
rmmod fastrpc || bail "fastrpc.ko does not unload"
load_qda
load_sim
wait_nodes 2
ln -sf "$(find /lib/modules -name fastrpc.ko)" /lib/qda/fastrpc.ko
[ -e /lib/qda/fastrpc.ko ] || bail "the guest has no fastrpc.ko"
qda-guest-test modules
