# SPDX-License-Identifier: MIT
"""The zip for Windows: what is in it, and programs that are built and run by it."""
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

import archive
import programs

CONSUMER = archive.HERE / "consumer"
RUN_SECONDS_MAX = 300
STRICT = ["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]
EXAMPLES = ("channel_copy", "chat", "coap", "coapd", "dnsd", "dnsfwd", "dnsq", "echo", "echod",
            "engine", "impair", "kirim-bench", "kirim-probe", "relay", "sim_storm", "tftp", "tftpd")
REACTORS = {"select", "sim", "wsaevent"}  # and others


def run(*command, env=None, cwd=None):
    """Runs a command that succeeds; returns what it printed."""
    done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, cwd=cwd,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, env=env,
                          text=True, timeout=RUN_SECONDS_MAX)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))}: {done.returncode}\n{done.stdout}")
    return done.stdout


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.root = archive.unpacked()

    def directory(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        return pathlib.Path(directory.name)

    def check_program(self, program, is_shared):
        """It runs, and needs the DLL or does not."""
        listed = run(f"{archive.TRIPLET}-objdump", "-p", program)
        self.assertEqual("DLL Name: libkirim.dll" in listed, is_shared)
        if is_shared:
            shutil.copy(self.root / "bin" / "libkirim.dll", program.parent)
        text = run(*programs.LAUNCHER, program)
        self.assertIn("received 1", text)
        self.assertLessEqual(REACTORS, set(re.search(r"reactors: (.*)", text).group(1).split()))


class Programs(Case):
    def use_cmake(self, find, is_shared, *options):
        directory = self.directory()
        run("cmake", "-S", CONSUMER, "-B", directory, "-DCMAKE_SYSTEM_NAME=Windows",
            f"-DCMAKE_C_COMPILER={archive.CC}", "-DCMAKE_CXX_COMPILER=",
            f"-DCMAKE_PREFIX_PATH={self.root}",
            f"-DCONSUMER_FIND=0.1;REQUIRED;{find}", *options)
        run("cmake", "--build", directory)
        self.check_program(directory / "consumer.exe", is_shared)
        return (directory / "CMakeFiles" / "consumer.dir" / "linkLibs.rsp").read_text("utf-8")

    def test_cmake_finds_the_dll(self):
        self.assertIn("libkirim.dll.a", self.use_cmake("", True))

    def test_cmake_finds_the_static_library(self):
        self.assertIn("libkirim.a", self.use_cmake("COMPONENTS;static;wsaevent", False))

    def test_cmake_for_msvc_finds_the_import_library(self):
        text = self.use_cmake("COMPONENTS;shared;select", True, "-DMSVC=ON")
        self.assertIn("kirim.lib", text)
        self.assertNotIn("libkirim.dll.a", text)

    def compile(self, *arguments, name="consumer.exe"):
        program = self.directory() / name
        run(archive.CC, *STRICT, "-o", program, *arguments)
        return program

    def test_import_library_of_the_def_file_links(self):
        program = self.compile(CONSUMER / "consumer.c", f"-I{self.root}/include",
                               self.root / "lib" / "kirim.lib")
        self.check_program(program, True)

    def test_pkg_config(self):
        if not shutil.which("pkg-config"):
            self.skipTest("pkg-config is missing")
        env = {"PATH": "/usr/bin:/bin", "PKG_CONFIG_LIBDIR": f"{self.root}/lib/pkgconfig"}
        for options, link in ([], []), (["--static"], ["-static"]):
            flags = run("pkg-config", *options, "--cflags", "--libs", "kirim", env=env).split()
            with self.subTest(options=options):
                program = self.compile(CONSUMER / "consumer.c", *flags, *link)
                self.check_program(program, not options)

    def test_example_is_built_from_its_source(self):
        examples = self.root / "examples"
        program = self.compile(
            examples / "echod.c", *(examples / "common" / f"{name}.c"
                                    for name in ("cli", "report", "signals_windows")),
            f"-I{self.root}/include", f"-I{examples}", f"-L{self.root}/lib", "-lkirim",
            "-Wno-format", name="echod.exe")  # to this compiler %zu is no format
        shutil.copy(self.root / "bin" / "libkirim.dll", program.parent)
        self.assertRegex(run(*programs.LAUNCHER, program, "--version"), r"\Aechod \(kirim\) ")

    def test_example_programs_run_as_they_lie_there(self):
        for name in EXAMPLES:
            with self.subTest(program=name):
                text = run(*programs.LAUNCHER, self.root / "bin" / f"{name}.exe", "--version")
                self.assertRegex(text, rf"\A{name} \(kirim\) \d")
        names = run(*programs.LAUNCHER, self.root / "bin" / "kirim-probe.exe", "--reactors")
        self.assertLessEqual(REACTORS, set(names.split()))


class Files(Case):
    def test_everything_is_there_and_nothing_else(self):
        headers = {f"include/kirim/{path.name}"
                   for path in (archive.SOURCE / "lib" / "include" / "kirim").glob("*.h")}
        wanted = {*headers, *(f"bin/{name}.exe" for name in EXAMPLES), "bin/libkirim.dll",
                  "lib/libkirim.a", "lib/libkirim.dll.a", "lib/kirim.def", "lib/kirim.lib",
                  "lib/pkgconfig/kirim.pc", "LICENSE", "README.md", "CHANGELOG.md", "report.cmd",
                  "tests/expected_windows.tsv"}
        found = {str(path.relative_to(self.root)) for path in self.root.rglob("*")
                 if path.is_file()}
        self.assertEqual(wanted - found, set())
        rest = {name for name in found - wanted if not re.match(
            r"lib/cmake/kirim/kirim-[a-z-]+\.cmake$|tests/test_\w+\.exe$|docs/[\w-]+\.md$|"
            r"(examples|protocols)/[\w/.-]+\.(c|h|zone)$", name)}
        self.assertEqual(rest, {"tests/kirim-conformance.exe"})
        for name in ("tests/test_lib_addr.exe", "tests/test_reactors_win_tx.exe",
                     "docs/windows.md", "examples/echod.c", "examples/zones/example.test.zone",
                     "protocols/dns/message.c"):
            self.assertIn(name, found)

    def test_def_file_has_what_the_headers_declare(self):
        declared = set()
        for header in (self.root / "include" / "kirim").glob("*.h"):
            text = header.read_text(encoding="utf-8")
            declared |= set(re.findall(r"^KIRIM_API\b[^;(]*?\b(kirim_\w+)\(", text, re.MULTILINE))
        text = (self.root / "lib" / "kirim.def").read_text(encoding="utf-8")
        head, *names = text.splitlines()
        self.assertEqual((head, names.pop(0)), ("LIBRARY libkirim.dll", "EXPORTS"))
        self.assertEqual([name.strip() for name in names], sorted(declared))
        listed = run(f"{archive.TRIPLET}-objdump", "-p", self.root / "bin" / "libkirim.dll")
        listed = listed[listed.index("[Ordinal/Name Pointer] Table"):]
        shown = set(re.findall(r"^\t\[ *\d+\] (\w+)$", listed, re.MULTILINE))
        self.assertEqual(shown, declared)

    def test_no_file_names_a_place_of_the_build(self):
        place = str(archive.SOURCE).encode()
        for part in ("bin", "lib", "include", "docs"):
            for path in (self.root / part).rglob("*"):
                if path.is_file():
                    self.assertNotIn(place, path.read_bytes(), path.name)


class Report(Case):
    def test_conformance_reads_the_table_beside_it(self):
        """And not that of the source tree, which is elsewhere where the zip is used."""
        place = self.directory()
        shutil.copy(self.root / "tests" / "kirim-conformance.exe", place)
        (place / "expected_windows.tsv").write_text("no table\n", encoding="utf-8")
        done = subprocess.run([*programs.LAUNCHER, place / "kirim-conformance.exe", "--case", "x"],
                              cwd=self.root, text=True, capture_output=True, check=False,
                              stdin=subprocess.DEVNULL, timeout=RUN_SECONDS_MAX)
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn("expected_windows.tsv", done.stderr)

    def test_report_names_the_system_and_what_failed(self):
        """With a few of the programs, one of which fails; where a browser may have put them."""
        place = self.directory() / "kirim (1)"
        shutil.copytree(self.root / "bin", place / "bin")
        (place / "tests").mkdir()
        for name in ("kirim-conformance", "test_lib_addr"):
            shutil.copy(self.root / "tests" / f"{name}.exe", place / "tests")
        shutil.copy(self.root / "report.cmd", place)
        shutil.copy(self.root / "tests" / "expected_windows.tsv", place / "tests")
        command = [*programs.LAUNCHER, "cmd", "/c", "report.cmd", "--subject", "loop"]
        text = run(*command, cwd=place)
        count = len(run(*programs.LAUNCHER, place / "bin" / "kirim-probe.exe",
                        "--reactors").split())
        self.assertIn(f"{2 * count + 1} programs run, 0 failed", text)
        report = (place / "report.txt").read_text(encoding="utf-8")
        self.assertRegex(report, r"(?s)Windows .*reactor wsaevent.*"
                                 r"=== kirim-conformance\.exe --reactor select --family 6 "
                                 r"--subject loop\n.*=== status 0\n.*=== test_lib_addr\.exe\n")
        shutil.copy(self.root / "bin" / "dnsq.exe", place / "tests" / "test_bad.exe")
        done = subprocess.run(command, cwd=place, text=True, capture_output=True, check=False,
                              stdin=subprocess.DEVNULL, timeout=RUN_SECONDS_MAX)
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertRegex(done.stdout, r"test_bad\.exe\n +FAILED: status -?[1-9]\d*\n")
        self.assertIn(f"{2 * count + 2} programs run, 1 failed", done.stdout)


if __name__ == "__main__":
    programs.main()
