#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks the symbols of compiled objects.

    symbols.py [--pure | --closed] OBJECT...

What an object shows to the linker begins with kirim_ or ki_. With --pure it also needs nothing from
outside but these prefixes and the plain C functions of PLAIN: no clock, no socket, no random
source, no thread, no file. That is what makes the core and the protocols run in the simulator.
With --closed it needs what the other objects of the list show, and beyond that the functions of
BYTES alone: not even memory. That is what makes the building blocks usable by themselves.
"""
import subprocess
import sys

PLAIN = {
    "abort", "bcmp", "calloc", "free", "getenv", "malloc", "memchr", "memcmp", "memcpy", "memmove",
    "memset", "qsort", "realloc", "snprintf", "strchr", "strcmp", "strcspn", "strlen", "strncmp",
    "strnlen", "strspn", "strtoul", "strtoull", "vsnprintf",
}
BYTES = {"bcmp", "memchr", "memcmp", "memcpy", "memmove", "memset", "strlen"}
OURS = ("kirim_", "ki_")
# What the compiler, a sanitizer or the C library's headers put in by themselves.
BUILT_IN = ("__", "_GLOBAL_OFFSET_TABLE_", ".refptr.")


def symbols(objects, *options):
    """(object, name) of each symbol that nm prints."""
    output = subprocess.run(["nm", "-P", *options, *objects], check=True, text=True,
                            stdout=subprocess.PIPE).stdout
    name = objects[0]
    for line in output.splitlines():
        if line.endswith(":"):
            name = line[:-1]
        elif line:
            yield name.rsplit("/", 1)[-1], line.split()[0]


def main(arguments):
    option = arguments[0] if arguments[:1] in (["--pure"], ["--closed"]) else None
    objects = arguments[1:] if option else arguments
    if not objects:
        print(__doc__, file=sys.stderr)
        return 2
    wrong = 0
    for name, symbol in symbols(objects, "-g", "--defined-only"):
        if not symbol.startswith(OURS + BUILT_IN):
            print(f"{name}: shows `{symbol}`; make it static, or begin it with ki_")
            wrong += 1
    if option == "--pure":
        for name, symbol in symbols(objects, "-u"):
            if symbol not in PLAIN and not symbol.startswith(OURS + BUILT_IN):
                print(f"{name}: needs `{symbol}`; only reactors/ calls the system")
                wrong += 1
    elif option == "--closed":
        shown = {symbol for _, symbol in symbols(objects, "-g", "--defined-only")}
        for name, symbol in symbols(objects, "-u"):
            if symbol not in BYTES | shown and not symbol.startswith(BUILT_IN):
                print(f"{name}: needs `{symbol}`, which is not among these objects")
                wrong += 1
    print(f"symbols: {len(objects)} objects, {wrong} findings")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
