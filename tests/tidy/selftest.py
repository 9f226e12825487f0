#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks that each rule of tidy.py finds what it is for, and leaves alone what it is not for.

cases/RULE.txt holds the examples of a rule, one after the other:

    === PATH: COUNT
    the file, as it would stand at PATH

COUNT is how often the rule fires there. `@opening` alone on a line stands for a fitting opening
comment, and `@lines N TEXT` for N lines of that text. An example is alone in its tree but for the
files of STUBS, which are there to be included.
"""
import pathlib
import re
import sys
import tempfile

sys.dont_write_bytecode = True
import tidy  # noqa: E402
import rules  # noqa: E402, F401

HERE = pathlib.Path(__file__).resolve().parent
OPENING = """/* SPDX-License-Identifier: MIT
 *
 * An example for the tests of the tree's style. Owns nothing.
 */
"""
STUBS = {
    "lib/include/kirim/addr.h": OPENING,
    "lib/include/kirim/config.h": OPENING + "#define KIRIM_VERSION_MAJOR 1\n"
    "#define KIRIM_VERSION_MINOR 2\n#define KIRIM_VERSION_PATCH 3\n",
    "lib/queue.h": OPENING,
    "reactors/posix_sys.h": OPENING,
    "protocols/echo/echo.h": OPENING,
    "tests/kit.h": OPENING,
}


def expand(text):
    text = re.sub(r"^@opening\n", lambda _: OPENING, text, flags=re.MULTILINE)
    return re.sub(r"^@lines (\d+) ?([^\n]*)\n",
                  lambda match: (match.group(2) + "\n") * int(match.group(1)), text,
                  flags=re.MULTILINE)


def read_cases(file):
    """(line, path, count, text) of each example."""
    cases = []
    for number, line in enumerate(file.read_bytes().decode("utf-8").split("\n")[:-1], 1):
        match = re.fullmatch(r"=== (\S+): (\d+)", line)
        if match:
            cases.append([number, match.group(1), int(match.group(2)), []])
        elif cases:
            cases[-1][3].append(line)
    return [(number, path, count, expand("".join(line + "\n" for line in lines)))
            for number, path, count, lines in cases]


def run_case(name, path, text):
    """How often the rule fires in this file."""
    with tempfile.TemporaryDirectory() as directory:
        root = pathlib.Path(directory)
        for stub, content in {**STUBS, path: text}.items():
            (root / stub).parent.mkdir(parents=True, exist_ok=True)
            (root / stub).write_bytes(content.encode("utf-8"))
        found = tidy.check_tree(tidy.read_tree(root))
        return [entry for entry in found if entry[0] == path and entry[2] == name]


def main():
    failures = 0
    total = 0
    for name in sorted(tidy.RULES):
        file = HERE / "cases" / f"{name}.txt"
        cases = read_cases(file) if file.is_file() else []
        if not any(count for _, _, count, _ in cases) or not any(not case[2] for case in cases):
            print(f"{name}: needs an example that it finds and one that it leaves alone")
            failures += 1
        for number, path, count, text in cases:
            total += 1
            found = run_case(name, path, text)
            if len(found) != count:
                failures += 1
                print(f"cases/{name}.txt:{number}: expected {count} findings, got {len(found)}")
                for entry in found:
                    print(f"    line {entry[1]}: {entry[3]}")
    for file in (HERE / "cases").glob("*.txt"):
        if file.stem not in tidy.RULES:
            print(f"cases/{file.name}: there is no such rule")
            failures += 1
    print(f"selftest: {len(tidy.RULES)} rules, {total} examples, {failures} failures")
    return 1 if failures or not total else 0


if __name__ == "__main__":
    sys.exit(main())
