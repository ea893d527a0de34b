# SPDX-License-Identifier: GPL-2.0
#
# Runs in the guest: loads the stock driver and the simulated DSPs and writes the recording. Called by ../record.

modprobe qda_sim && modprobe fastrpc || exit 1
n=0
until [ -e /dev/fastrpc-cdsp-secure ] && [ -e /dev/fastrpc-adsp ]; do
	n=$((n + 1))
	[ $n -lt 200 ] || { echo "the stock driver has no nodes" && exit 1; }
	usleep 50000
done
/host/golden-record >/out/stock.txt
