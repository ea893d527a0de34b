# SPDX-License-Identifier: GPL-2.0
#
# The stock driver against the simulated DSPs; qda is not loaded.

. /host/lib.sh

load_stock
load_sim
wait_for 15 test -e /dev/fastrpc-cdsp || bail "the stock driver has no node: $(ls /dev/fastrpc* 2>&1)"
wait_for 15 test -e /dev/fastrpc-adsp || bail "the stock driver has no node: $(ls /dev/fastrpc* 2>&1)"
qda-guest-test truth
