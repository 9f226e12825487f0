# SPDX-License-Identifier: MIT
#
# lib/reactor.h is documented in ordinary comments, since no program includes it. For Doxygen, one
# behind a declaration becomes /**<, one on its own /**, and a headline stays what it is.
/^ *\/\* *----/b
s|^\( *\)\(struct {\) */\* \(.*\)|\1/** \3 \2|
s|^\( *\)/\* |\1/** |
s|\([;,{)0-9A-Za-z_]\)\( *\)/\* |\1\2/**< |
/^_Static_assert/d
