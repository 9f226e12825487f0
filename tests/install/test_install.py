# SPDX-License-Identifier: MIT
"""The installed library, used by a project outside the tree in each way that there is.

It is built three times (shared, static, static without libevent) and installed into three prefixes,
which then move, so that nothing may remember where it was installed:

    both    the shared and the static library side by side
    static  the static library alone
    lean    the static library alone, without libevent
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
SOURCE = HERE.parents[1]
CONSUMER = HERE / "consumer"
sys.path.insert(0, str(HERE.parent / "examples"))
import programs  # noqa: E402  (found by the path above)

CC = os.environ.get("KIRIM_CC", "cc")
CXX = shutil.which("c++")
LIBEVENT = os.environ.get("KIRIM_LIBEVENT", "AUTO")
RUN_SECONDS_MAX = 300
STRICT = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"]


def run(*command, env=None, is_ok=True):
    """Runs a command; returns what it printed. Its status must be 0, or must not be."""
    done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                          timeout=RUN_SECONDS_MAX, env={**os.environ, **(env or {})})
    if (done.returncode == 0) != is_ok:
        raise AssertionError(f"{' '.join(map(str, command))}: {done.returncode}\n{done.stdout}")
    return done.stdout


def build(directory, *options):
    run("cmake", "-S", SOURCE, "-B", directory, f"-DCMAKE_C_COMPILER={CC}",
        "-DCMAKE_BUILD_TYPE=Debug", "-DCMAKE_INSTALL_LIBDIR=lib", "-DKIRIM_TESTS=OFF",
        "-DKIRIM_EXAMPLES=OFF", "-DKIRIM_BENCH=OFF", "-DKIRIM_PROTOCOLS=OFF", *options)
    run("cmake", "--build", directory, "--parallel", os.cpu_count())


class Prefixes:
    """The three prefixes, made once for all cases."""
    root = None

    @classmethod
    def make(cls, root):
        cls.root = root
        libevent = f"-DKIRIM_LIBEVENT={LIBEVENT}"
        build(root / "b-shared", "-DBUILD_SHARED_LIBS=ON", libevent)
        build(root / "b-static", "-DBUILD_SHARED_LIBS=OFF", libevent)
        build(root / "b-lean", "-DBUILD_SHARED_LIBS=OFF", "-DKIRIM_LIBEVENT=OFF")
        for prefix, name in (("both", "shared"), ("both", "static"), ("static", "static"),
                             ("lean", "lean")):
            run("cmake", "--install", root / f"b-{name}", "--prefix", root / "before" / prefix)
        (root / "before").rename(root / "after")

    @classmethod
    def path(cls, name):
        return cls.root / "after" / name


def setUpModule():
    directory = tempfile.TemporaryDirectory()
    unittest.addModuleCleanup(directory.cleanup)
    Prefixes.make(pathlib.Path(directory.name).resolve())


def needed(program):
    """The shared libraries that a program names."""
    return re.findall(r"NEEDED.*\[(.*)\]", run("readelf", "-d", program))


def reactors(text):
    return re.search(r"reactors: (.*)", text).group(1).split()


class Case(unittest.TestCase):
    def directory(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        return pathlib.Path(directory.name)

    def check_program(self, program, is_shared, env=None):
        """It runs, and asks for the shared library or does not."""
        text = run(program, env=env)
        self.assertIn("received 1", text)
        self.assertEqual("libkirim.so.0.1" in needed(program), is_shared, needed(program))
        return reactors(text)


class CMake(Case):
    def configure(self, prefix, find="", is_ok=True, env=None):
        directory = self.directory()
        text = run("cmake", "-S", CONSUMER, "-B", directory, f"-DCMAKE_C_COMPILER={CC}",
                   f"-DCMAKE_PREFIX_PATH={Prefixes.path(prefix)}",
                   f"-DCONSUMER_FIND=0.1;REQUIRED;{find}", env=env, is_ok=is_ok)
        return directory, re.sub(r"\s+", " ", text)  # CMake breaks the lines of what it says

    def use(self, prefix, find, is_shared):
        directory, text = self.configure(prefix, find)
        run("cmake", "--build", directory)
        for name in ("consumer", *(["consumer-cpp"] if CXX else [])):
            names = self.check_program(directory / name, is_shared)
        return names, text

    def test_first_choice_is_the_shared_library(self):
        self.use("both", "", is_shared=True)

    def test_shared_library(self):
        self.use("both", "COMPONENTS;shared", is_shared=True)

    def test_static_library_beside_the_shared_one(self):
        self.use("both", "COMPONENTS;static", is_shared=False)

    def test_first_of_two_libraries_is_the_one(self):
        _, text = self.use("both", "COMPONENTS;static;shared", is_shared=False)
        self.assertIn("component shared: <TRUE>", text)

    def test_static_library_where_there_is_no_other(self):
        self.use("static", "", is_shared=False)

    def test_reactors_are_components(self):
        for prefix in ("both", "static", "lean"):
            with self.subTest(prefix=prefix):
                names, _ = self.use(prefix, "", is_shared=prefix == "both")
                self.assertIn("epoll", names)
                self.configure(prefix, ";".join(["COMPONENTS", *names]))

    def test_reactor_that_is_not_there(self):
        _, text = self.configure("lean", "COMPONENTS;libevent", is_ok=False)
        self.assertRegex(text, r"kirim's static library was built without a reactor 'libevent'; "
                               r"it has epoll, select, sim")

    def test_reactor_that_may_be_missing(self):
        _, text = self.configure("lean", "OPTIONAL_COMPONENTS;libevent")
        self.assertIn("component libevent: <FALSE>", text)

    def test_library_that_is_not_there(self):
        _, text = self.configure("lean", "COMPONENTS;shared", is_ok=False)
        self.assertIn("kirim's shared library is not installed", text)

    def test_version_that_may_differ(self):
        directory = self.directory()
        for version, is_ok in (("0.1", True), ("0.1.0", True), ("0.1.9", False), ("0.2", False),
                               ("0.0", False), ("1.0", False)):
            run("cmake", "-S", CONSUMER, "-B", directory / version, f"-DCMAKE_C_COMPILER={CC}",
                f"-DCMAKE_PREFIX_PATH={Prefixes.path('both')}",
                f"-DCONSUMER_FIND={version};REQUIRED", is_ok=is_ok)

    def test_static_library_says_that_libevent_is_missing(self):
        env = {"PKG_CONFIG_LIBDIR": str(self.directory()), "PKG_CONFIG_PATH": ""}
        names, _ = self.use("static", "", is_shared=False)
        if "libevent" not in names:
            self.skipTest("built without libevent")
        _, text = self.configure("static", is_ok=False, env=env)
        self.assertIn("kirim's static library needs libevent_core >= 2.1", text)
        self.configure("both", env=env)  # and the shared one does not


class PkgConfig(Case):
    def flags(self, prefix, *options, env=None):
        path = {"PKG_CONFIG_PATH": str(Prefixes.path(prefix) / "lib" / "pkgconfig"), **(env or {})}
        return run("pkg-config", *options, "kirim", env=path).split()

    def use(self, prefix, is_shared, *link, options=()):
        flags = self.flags(prefix, *options, "--cflags", "--libs")
        programs_made = [([CC, "-std=c11"], "consumer.c")]
        if CXX:
            programs_made.append(([CXX, "-std=c++17"], "consumer.cpp"))
        library = {"LD_LIBRARY_PATH": str(Prefixes.path(prefix) / "lib")}
        for compiler, name in programs_made:
            program = self.directory() / "consumer"
            run(*compiler, *STRICT, "-o", program, CONSUMER / name, *flags, *link)
            self.check_program(program, is_shared, env=library)
        return flags

    def test_shared_library(self):
        flags = self.use("both", True)
        self.assertNotIn("-DKIRIM_STATIC", flags)
        self.assertNotIn("-levent_core", flags)

    def test_static_library(self):
        for prefix in ("static", "lean"):
            with self.subTest(prefix=prefix):
                flags = self.use(prefix, False, options=["--static"])
                self.assertIn("-DKIRIM_STATIC", flags)

    def test_static_program_beside_the_shared_library(self):
        program = self.directory() / "empty"
        (program.parent / "empty.c").write_text("int main(void) { return 0; }\n", encoding="utf-8")
        try:
            run(CC, "-static", "-o", program, f"{program}.c",
                *(word for word in self.flags("static", "--static", "--libs")
                  if word.startswith("-levent")))
        except AssertionError as err:
            self.skipTest(f"no static C library or libevent here: {str(err).splitlines()[-1]}")
        self.use("both", False, "-static", options=["--static"])

    def test_shared_library_does_not_ask_for_libevent(self):
        empty = {"PKG_CONFIG_LIBDIR": str(self.directory())}
        self.flags("both", "--cflags", "--libs", env=empty)


class Files(Case):
    def test_exported_symbols_are_those_of_the_headers(self):
        library, = Prefixes.path("both").glob("lib/libkirim.so.0.1.0")
        shown = {line.split()[0] for line in
                 run("nm", "-D", "-P", "--defined-only", library).splitlines()}
        declared = set()
        for header in (Prefixes.path("both") / "include" / "kirim").glob("*.h"):
            text = header.read_text(encoding="utf-8")
            declared |= set(re.findall(r"^KIRIM_API\b[^;(]*?\b(kirim_\w+)\(", text, re.MULTILINE))
        self.assertIn("kirim_loop_open", declared)
        self.assertEqual(shown, declared)

    def test_shared_library_is_named_for_its_version(self):
        library, = Prefixes.path("both").glob("lib/libkirim.so.0.1.0")
        self.assertRegex(run("readelf", "-d", library), r"SONAME.*\[libkirim\.so\.0\.1\]")
        self.assertEqual(os.readlink(library.parent / "libkirim.so.0.1"), library.name)
        self.assertEqual(os.readlink(library.parent / "libkirim.so"), "libkirim.so.0.1")

    def test_nothing_else_is_installed(self):
        root = Prefixes.path("both")
        found = {re.sub(r"targets-\w+\.cmake$", "targets-TYPE.cmake", str(path.relative_to(root)))
                 for path in root.rglob("*") if not path.is_dir()}
        headers = {f"include/kirim/{path.name}"
                   for path in (SOURCE / "lib" / "include" / "kirim").glob("*.h")}
        package = {f"lib/cmake/kirim/kirim-{name}.cmake" for name in (
            "config", "config-version", "shared", "shared-targets", "shared-targets-TYPE",
            "static", "static-targets", "static-targets-TYPE")}
        self.assertEqual(found, headers | package | {
            "lib/libkirim.a", "lib/libkirim.so", "lib/libkirim.so.0.1", "lib/libkirim.so.0.1.0",
            "lib/pkgconfig/kirim.pc"})

    def test_no_file_names_a_place_of_the_build(self):
        for path in Prefixes.path("both").rglob("*"):
            if path.suffix in (".cmake", ".pc"):
                text = path.read_text(encoding="utf-8")
                for place in (str(SOURCE), str(Prefixes.root), "/usr/"):
                    self.assertNotIn(place, text, path.name)


if __name__ == "__main__":
    programs.main()
