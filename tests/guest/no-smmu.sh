# SPDX-License-Identifier: GPL-2.0
#
# A device tree without SMMU (dts/no-smmu.dtsi): no DSP may get a node.

. /host/lib.sh

load_qda
load_sim
wait_for 15 test -e /sys/kernel/debug/qda_sim/cdsp || bail "the simulator has no cdsp"
qda-guest-test no-smmu
