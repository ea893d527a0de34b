# SPDX-License-Identifier: GPL-2.0
#
# A device tree with many mistakes (dts/mistakes.dtsi): five DSPs are good.

. /host/lib.sh

load_qda
load_sim
wait_nodes 5
qda-guest-test devicetree
