# SPDX-License-Identifier: MIT
#
#     cmake -DLISTED=FILE -DLIBRARY=NAME -DDEF=FILE -P cmake/write-def.cmake
#
# Writes DEF, the module definition of the DLL NAME, from the one that the linker wrote to LISTED.
# It says which DLL the names are in, and leaves out the ordinals: they differ from build to build.
file(STRINGS "${LISTED}" names REGEX "@[0-9]+")
list(TRANSFORM names REPLACE "^ *([A-Za-z0-9_]+) .*$" "    \\1")
list(SORT names)
list(JOIN names "\n" names)
file(WRITE "${DEF}" "LIBRARY ${LIBRARY}\nEXPORTS\n${names}\n")
