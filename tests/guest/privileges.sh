# SPDX-License-Identifier: GPL-2.0
#
# Who may do what, and what is seen of a refusal. Seven DSPs: see dts/privileges.dtsi.

. /host/lib.sh

load_qda
load_sim
wait_nodes 7
qda-guest-test privileges
