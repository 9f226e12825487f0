#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Plants one fault of mutants.txt in a copy of its file, or shows that the suites kill them all.

    mutate.py list
    mutate.py file NAME             which file NAME changes
    mutate.py apply NAME OUTPUT     writes the changed file
    mutate.py run --build DIR [--windows] [--jobs N] [--only NAME]... [--every N]
                  [--set NAME=VALUE]...

`run` configures DIR once for each mutant with -DKIRIM_MUTANT=NAME, builds the programs below, one
after the other, and runs each until one fails: first those that are named like the changed file,
then conformance on the reactors. A mutant is killed if a program fails, crashes or hangs; it
survives if all pass. Only the object that changes is compiled anew.

Without --windows the mutants are those of the files that Linux has; with it, those that Windows
has, cross-built (`--set` hands variables on to CMake) and run under Wine. --every N takes each N-th
of the mutants that are not in a file of Windows' own: the others have been killed on Linux.
Exit status: 0 if every mutant was killed and the suites pass without one, 1 if not, 2 for wrong
usage.
"""
import argparse
import os
import pathlib
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
TREE = HERE.parent.parent
PATIENCE_S = 90


def suites_of(protocol, nouns):
    return tuple(f"protocols_{protocol}_{noun}" for noun in nouns.split())


# What conformance does not reach is known to suites of its own, by the first letters of the file.
SHARED_SUITES = {
    "lib/layer": ("lib_layer",),
    "lib/link": ("lib_link",),
    "lib/map": ("lib_map",),
    "lib/reply": ("lib_may_answer",),
    "lib/session": ("lib_session", "lib_session_key", "lib_session_limit", "lib_session_end",
                    "lib_session_model", "lib_session_guard", "lib_session_reply"),
    "lib/stack": ("lib_layer",),
    "lib/train": ("lib_train",),
    "protocols/channel": suites_of("channel", "wire gate recovery connection stream hostile"),
    "protocols/coap": suites_of("coap", "message option limits server observe client"),
    "protocols/dns": suites_of("dns", "name message guard cookie server query forwarder"),
    "protocols/dtls": suites_of("dtls", "hello"),
    "protocols/tftp": suites_of("tftp", "path packet sender receiver server client"),
    "reactors/sim_fault": ("reactors_sim_fault",),
    "reactors/sim_nat": ("reactors_sim_nat",),
    "reactors/sim_port": ("reactors_sim_port", "reactors_sim_fault"),
}


class Linux:
    """The machine itself: conformance alone."""
    FOREIGN = ("reactors/win",)
    SUITES = ()
    OWN = {}
    RUNS = [("sim", "4"), ("epoll", "4"), ("sim", "6"), ("select", "4")]
    CONFIGURE = []

    @staticmethod
    def program(directory, name):
        return [str(directory / "bin" / name)]


class Windows:
    """Under Wine: the suites of the reactors as well, most of which are done in no time."""
    FOREIGN = ("reactors/posix", "reactors/epoll.c", "reactors/libevent", "reactors/select.c")
    OWN = {"win_event": "wsaevent", "win_select": "select", "win_wake": "select",
           "win_op": "completion", "win_completion": "completion"}
    SUITES = tuple(f"reactors_win_{noun}" for noun in (
        "control", "map", "rx", "tx", "socket", "multicast", "wake", "guest", "completion",
        "spy_send", "spy_receive", "spy_errors", "spy_completion", "event", "select"))
    RUNS = [("sim", "4"), ("wsaevent", "4"), ("select", "4"), ("completion", "4")]
    CONFIGURE = ["--toolchain", str(TREE / "cmake" / "mingw-w64.cmake"),
                 f"-DCMAKE_CROSSCOMPILING_EMULATOR={TREE / 'cmake' / 'wine'}"]

    @staticmethod
    def program(directory, name):
        return [str(TREE / "cmake" / "wine"), str(directory / "bin" / f"{name}.exe")]


def read_mutants():
    mutants = {}
    lines = (HERE / "mutants.txt").read_text().splitlines()
    i = 0
    while i < len(lines):
        line = lines[i]
        i += 1
        if not line or line.startswith("#"):
            continue
        name, what = line.split(": ", 1)
        path = lines[i]
        i += 1
        old, new = [], []
        while i < len(lines) and lines[i][:2] in ("- ", "+ "):
            (old if lines[i][0] == "-" else new).append(lines[i][2:])
            i += 1
        if name in mutants or not old:
            sys.exit(f"mutants.txt: {name}: twice, or without a text to replace")
        mutants[name] = (what, path, "\n".join(old), "\n".join(new))
    return mutants


def mutated(mutants, name):
    _, path, old, new = mutants[name]
    text = (TREE / path).read_text()
    if text.count(old) != 1:
        sys.exit(f"mutants.txt: {name}: its text stands {text.count(old)} times in {path}")
    return text.replace(old, new)


def sh(command):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def configure(system, directory, name, variables):
    """Configures for the mutant `name`, or for none ('')."""
    command = ["cmake", "-S", str(TREE), "-B", str(directory), f"-DKIRIM_MUTANT={name}"]
    if not (directory / "CMakeCache.txt").exists():
        command += ["-DKIRIM_EXAMPLES=OFF", "-DKIRIM_BENCH=OFF", "-DCMAKE_BUILD_TYPE=Debug"]
        command += system.CONFIGURE + [f"-D{variable}" for variable in variables]
    done = sh(command)
    if done.returncode != 0:
        sys.exit(f"{name or 'no mutant'}: cannot be configured\n{done.stdout}")


def build(directory, target, jobs):
    """Builds one program."""
    done = sh(["cmake", "--build", str(directory), f"-j{jobs}", "--target", target])
    if done.returncode != 0:
        sys.exit(f"{target}: does not build\n{done.stdout}")


def outcome(command, what):
    """Why a program fails, or None if it passes."""
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, errors="replace", timeout=PATIENCE_S,
                              env={**os.environ, "KIRIM_TEST_PATIENCE_S": "3"})
    except subprocess.TimeoutExpired:
        return f"{what} hangs"
    if done.returncode == 0:
        return None
    told = [l for l in done.stdout.splitlines() if l.startswith("FAILED: ") or ":F:" in l]
    if not told:
        return f"{what} exit status {done.returncode}"
    if told[0].startswith("FAILED: "):
        return told[0].split(":")[1].strip()
    return f"{what} {told[0].split(':')[4]}"


def verdict(system, directory, suites, runs, jobs):
    """Why the suites and the runs of conformance fail, or None if all of them pass."""
    for suite in suites:
        name = f"test_{suite}"
        build(directory, name, jobs)
        why = outcome(system.program(directory, name), suite)
        if why is not None:
            return why
    if runs:
        build(directory, "kirim-conformance", jobs)
    for reactor, family in runs:
        why = outcome(system.program(directory, "kirim-conformance") +
                      ["--reactor", reactor, "--family", family, "--fail-fast",
                       "--patience", "2"], f"{reactor}-{family}")
        if why is not None:
            return why
    return None


def reactors_of(system, path):
    """The reactors whose own file it is."""
    noun = pathlib.PurePath(path).stem
    return [reactor for name, reactor in system.OWN.items() if noun.startswith(name)]


def suites_for(system, path):
    """The suites that may know of a file, those of its own name or reactor first; of a shared
    file those of its own."""
    stems = [pathlib.PurePath(path).stem] + [f"win_{r}" for r in reactors_of(system, path)]
    names = [f"reactors_{stem}" for stem in stems]
    if not path.startswith("reactors/win"):
        return [s for start, suites in SHARED_SUITES.items() if path.startswith(start)
                for s in suites]
    return sorted(system.SUITES, key=lambda suite: suite not in names)


def runs_for(system, path):
    """The runs of conformance, those on the reactor of a file first; it knows no protocol."""
    if path.startswith("protocols/"):
        return []
    own = reactors_of(system, path)
    return sorted(system.RUNS, key=lambda run: run[0] not in own)


def chosen(system, mutants, args):
    """The names of the mutants that are to be planted."""
    if args.only:
        return args.only
    names = [n for n, (_, path, _, _) in mutants.items() if not path.startswith(system.FOREIGN)]
    own = [n for n in names if mutants[n][1].startswith("reactors/win")]
    others = [n for n in names if n not in own]
    return own + others[::args.every]


def run(mutants, args):
    system = Windows if args.windows else Linux
    directory = pathlib.Path(args.build)
    directory.mkdir(parents=True, exist_ok=True)
    configure(system, directory, "", args.set or [])
    why = verdict(system, directory, system.SUITES, system.RUNS, args.jobs)
    if why is not None:
        sys.exit(f"the suites fail without a mutant: {why}")
    survivors = []
    names = chosen(system, mutants, args)
    for name in names:
        start = time.monotonic()
        configure(system, directory, name, [])
        path = mutants[name][1]
        why = verdict(system, directory, suites_for(system, path), runs_for(system, path),
                      args.jobs)
        seconds = time.monotonic() - start
        word = "killed  " if why else "SURVIVES"
        print(f"{word} {name:28} {seconds:5.1f} s  {why or mutants[name][0]}", flush=True)
        if why is None:
            survivors.append(name)
    print(f"mutants: {len(names)} planted, {len(names) - len(survivors)} killed, "
          f"{len(survivors)} survived")
    return 1 if survivors else 0


def main():
    parser = argparse.ArgumentParser(description="Plants faults and shows that they are found.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("list")
    for verb in ("file", "apply"):
        p = verbs.add_parser(verb)
        p.add_argument("name")
        if verb == "apply":
            p.add_argument("output")
    p = verbs.add_parser("run")
    p.add_argument("--build", required=True)
    p.add_argument("--windows", action="store_true")
    p.add_argument("--jobs", type=int, default=2)
    p.add_argument("--every", type=int, default=1)
    p.add_argument("--set", action="append")
    p.add_argument("--only", action="append")
    args = parser.parse_args()
    mutants = read_mutants()
    wanted = [args.name] if "name" in args else (args.__dict__.get("only") or [])
    for name in wanted:
        if name not in mutants:
            sys.exit(f"mutants.txt has no mutant '{name}'")
    if args.verb == "list":
        for name, (what, path, _, _) in mutants.items():
            mutated(mutants, name)
            print(f"{name:28} {path:22} {what}")
    elif args.verb == "file":
        print(mutants[args.name][1])
    elif args.verb == "apply":
        output = pathlib.Path(args.output)
        output.parent.mkdir(parents=True, exist_ok=True)
        text = mutated(mutants, args.name)
        if not output.exists() or output.read_text() != text:
            output.write_text(text)
    else:
        return run(mutants, args)
    return 0


if __name__ == "__main__":
    sys.exit(main())
