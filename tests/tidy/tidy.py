#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The part of docs/style.md that a program can check.

    tidy.py [--root DIR] [--list] [--warn]

Reads every text file of the tree, prints `FILE:LINE: RULE: what is wrong`, and exits with 1 if it
printed anything. A rule is a function marked @rule in tidy.py or rules.py; cases/RULE.txt holds its
examples, and selftest.py checks that each rule finds its own.
"""
import argparse
import pathlib
import re
import sys

sys.dont_write_bytecode = True

FILE_LINES_MAX = 1000
FILE_LINES_AIM = 500
FUNCTION_LINES_MAX = 70
COLUMNS_MAX = 100
PROSE_COLUMNS_MAX = 120
TEXT_BYTES_MAX = 1 << 20
SKIPPED = re.compile(r"(^|/)(\.git|\.cache|build[^/]*|__pycache__|corpus)/|"
                     r"^tests/tidy/cases/|\.abi$")

RULES = {}


def rule(name, *areas, suffixes=(".c", ".h")):
    """Marks a generator of (line, message) as a rule for files of some areas; none means all."""
    def register(function):
        RULES[name] = (function, areas, suffixes)
        return function
    return register


TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)


class Source:
    """One file: its text, and the same text with comments and literals blanked out."""

    def __init__(self, root, path, text):
        self.root = root
        self.path = path
        self.name = path.rsplit("/", 1)[-1]
        self.suffix = "." + self.name.rsplit(".", 1)[-1] if "." in self.name[1:] else ""
        self.is_public = path.startswith("lib/include/")
        self.area = path.split("/", 1)[0] if "/" in path else ""
        self.text = text
        self.lines = text.split("\n")
        if self.lines[-1] == "":
            self.lines.pop()
        self.comments = []
        self.code = TOKEN.sub(self._blank, text) if self.suffix in (".c", ".h") else text
        self.code_lines = self.code.split("\n")

    def _blank(self, match):
        token = match.group(0)
        if token[0] == "/":
            self.comments.append((self.line_of(match.start()), token))
            return re.sub(r"[^\n]", " ", token)
        return token[0] + " " * (len(token) - 2) + token[-1]

    def line_of(self, offset):
        return self.text.count("\n", 0, offset) + 1

    def find(self, pattern):
        """Line and match of each place in the code where the pattern stands."""
        for match in re.finditer(pattern, self.code, re.MULTILINE):
            yield self.line_of(match.start()), match

    def includes(self):
        """Line, opening character and name of each #include."""
        for number, line in enumerate(self.lines, 1):
            match = re.match(r'\s*#\s*include\s*([<"])([^>"]*)[>"]', line)
            if match and self.code_lines[number - 1].lstrip().startswith("#"):
                yield number, match.group(1), match.group(2)


# Form

@rule("form", suffixes=None)
def check_form(source):
    if source.text and not source.text.endswith("\n"):
        yield len(source.lines), "the last line has no end"
    for number, line in enumerate(source.lines, 1):
        if "\r" in line:
            yield number, "carriage return; lines end in LF"
        elif line != line.rstrip():
            yield number, "blanks at the end of the line"
        if "\t" in line and source.suffix != ".tsv":
            yield number, "tab; indent with 4 spaces"


@rule("line-length", suffixes=None)
def check_line_length(source):
    if source.suffix in (".tsv", ".txt", ".json") or source.name in ("LICENSE", "Doxyfile"):
        return
    most = PROSE_COLUMNS_MAX if source.suffix == ".md" else COLUMNS_MAX
    for number, line in enumerate(source.lines, 1):
        if source.suffix == ".md" and line.startswith("|"):
            continue  # a row of a table cannot be broken
        if len(line) > most:
            yield number, f"{len(line)} columns; at most {most}"


@rule("file-length")
def check_file_length(source):
    if len(source.lines) > FILE_LINES_MAX:
        yield 1, f"{len(source.lines)} lines; at most {FILE_LINES_MAX}, aim at {FILE_LINES_AIM}"


@rule("function-length")
def check_function_length(source):
    start = 0
    for number, line in enumerate(source.code_lines, 1):
        if line.rstrip() == "{":
            start = number
        elif line.startswith("}") and start:
            length = number - start + 1
            if length > FUNCTION_LINES_MAX:
                yield start, f"function of {length} lines; at most {FUNCTION_LINES_MAX}"
            start = 0


@rule("opening")
def check_opening(source):
    if not source.text.startswith("/* SPDX-License-Identifier: MIT\n"):
        yield 1, "the file does not begin with `/* SPDX-License-Identifier: MIT`"
        return
    body = re.sub(r"[\s*/]+", " ", source.comments[0][1].split("\n", 1)[1]).strip()
    if len(body) < 20:
        yield 1, "the opening comment does not say what the file is for"


DIRECTIVE = re.compile(r"^[ ]*#(?:[^\n]*\\\n)*[^\n]*", re.MULTILINE)
CONTROL = re.compile(r"\b(if|for|while|switch|else|do)\b")


def closing_paren(code, start):
    """Offset behind the parenthesis that closes the one opened at `start`."""
    depth = 0
    for offset in range(start, len(code)):
        if code[offset] == "(":
            depth += 1
        elif code[offset] == ")":
            depth -= 1
            if depth == 0:
                return offset + 1
    return len(code)


@rule("braces")
def check_braces(source):
    code = DIRECTIVE.sub(lambda match: re.sub(r"[^\n]", " ", match.group(0)), source.code)
    for match in CONTROL.finditer(code):
        word = match.group(1)
        end = match.end()
        if word in ("if", "for", "while", "switch"):
            opening = code.find("(", end)
            if opening < 0 or code[end:opening].strip():
                continue
            end = closing_paren(code, opening)
        rest = code[end:].lstrip()
        if rest.startswith("{") or (word == "else" and re.match(r"if\b", rest)):
            continue
        is_do = word == "while" and code[:match.start()].rstrip().endswith("}")
        if is_do and rest.startswith(";"):
            continue
        yield source.line_of(match.start()), f"`{word}` without braces"


# Words

@rule("unfinished", suffixes=(".c", ".h", ".py", ".sh", ".cmake", ""))
def check_unfinished(source):
    for number, line in enumerate(source.lines, 1):
        if re.search(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b", line):
            yield number, "a note to oneself; finish it, or file an issue"


MACHINE_PATH = re.compile(
    r"(?<![\w.$}/-])/(home|root|Users|work|workspace|mnt|media)/|[A-Z]:\\\\?Users\\")


@rule("foreign-words", suffixes=None)
def check_foreign_words(source):
    if source.path == "tests/tidy/tidy.py":
        return
    for number, line in enumerate(source.lines, 1):
        if MACHINE_PATH.search(line):
            yield number, "a path of one machine"
        if re.search(r"(?i)co-authored-by|generated-by", line):
            yield number, "says who or what wrote it; the tree speaks of the project alone"


BARE_TAG = re.compile(r"[@\\](brief|return|note|see|(param(\[\w+\])?|retval)\s+\S+)")


@rule("empty-doc")
def check_empty_doc(source):
    for number, comment in source.comments:
        if not re.match(r"/\*\*(?!\*)", comment):
            continue
        body = re.sub(r"^[\s*/<!]+|[\s*/]+$", "", comment)
        if body in ("", "@brief"):
            yield number, "empty doc comment"
            continue
        lines = comment.split("\n")
        for offset, line in enumerate(lines):
            text = re.sub(r"^[\s/*<]+|[\s*/]+$", "", line)
            follows = re.sub(r"^[\s*]+|[\s*/]+$", "", "".join(lines[offset + 1:offset + 2]))
            if BARE_TAG.fullmatch(text) and (not follows or follows[0] in "@\\"):
                yield number + offset, f"`{text}` says nothing"


def main(arguments):
    import rules  # noqa: F401  (fills RULES)
    parser = argparse.ArgumentParser(description="Checks the tree against docs/style.md.")
    parser.add_argument("--root", default=pathlib.Path(__file__).resolve().parents[2])
    parser.add_argument("--list", action="store_true", help="print the rules")
    parser.add_argument("--warn", action="store_true", help="name the files that are rather long")
    options = parser.parse_args(arguments)
    if options.list:
        print("\n".join(sorted(RULES)))
        return 0
    sources = read_tree(options.root)
    found = check_tree(sources)
    for path, number, name, message in found:
        print(f"{path}:{number}: {name}: {message}")
    if options.warn:
        for source in sources:
            if source.suffix in (".c", ".h") and len(source.lines) > FILE_LINES_AIM:
                print(f"{source.path}: note: {len(source.lines)} lines; aim at {FILE_LINES_AIM}")
    print(f"tidy: {len(sources)} files, {len(RULES)} rules, {len(found)} findings")
    return 1 if found else 0


def read_tree(root):
    """Every text file below `root` that is ours, in order of its path."""
    sources = []
    root = pathlib.Path(root)
    for file in sorted(root.rglob("*")):
        path = file.relative_to(root).as_posix()
        if SKIPPED.search(path) or not file.is_file() or file.is_symlink():
            continue
        data = file.read_bytes()
        if b"\0" in data or len(data) > TEXT_BYTES_MAX:
            continue
        sources.append(Source(root, path, data.decode("utf-8", "replace")))
    return sources


def check_tree(sources):
    """(path, line, rule, message) of all that is wrong."""
    found = []
    for source in sources:
        for name, (function, areas, suffixes) in RULES.items():
            if areas and source.area not in areas:
                continue
            if suffixes is not None and source.suffix not in suffixes:
                continue
            found += [(source.path, number, name, message) for number, message in function(source)]
    return sorted(found)


if __name__ == "__main__":
    # rules.py imports this file by name: let it find this very module.
    sys.modules["tidy"] = sys.modules["__main__"]
    sys.exit(main(sys.argv[1:]))
