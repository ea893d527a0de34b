# SPDX-License-Identifier: GPL-2.0
#
# Buffers of several GiB on a DSP with 34 address bits (dts/kaanapali.dtsi).

. /host/lib.sh

load_qda
load_sim
wait_nodes 2
qda-guest-test buffer-wide
