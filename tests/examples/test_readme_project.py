# SPDX-License-Identifier: MIT
"""The CMake project in README.md builds with kirim as its subdirectory, and its program runs."""
import os
import pathlib
import subprocess
import tempfile
import unittest

import programs
import readme


class ReadmeProject(unittest.TestCase):
    def call(self, *command):
        done = subprocess.run(command, capture_output=True, text=True, check=False,
                              timeout=4 * programs.RUN_SECONDS_MAX)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def test_project_builds_and_runs(self):
        with tempfile.TemporaryDirectory() as directory:
            project = pathlib.Path(directory)
            (project / "kirim").symlink_to(readme.SOURCE)
            (project / "hello.c").write_text(readme.block("c"), encoding="utf-8")
            (project / "CMakeLists.txt").write_text(readme.block("cmake"), encoding="utf-8")
            compiler = f"-DCMAKE_C_COMPILER={os.environ.get('KIRIM_CC', 'cc')}"
            self.call("cmake", "-S", directory, "-B", f"{directory}/build", compiler)
            self.call("cmake", "--build", f"{directory}/build", "--parallel", "2")
            built = [path.name for path in project.glob("build/**/*") if os.access(path, os.X_OK)
                     and path.is_file() and path.suffix == ""]
            for program in programs.PROGRAMS:
                self.assertNotIn(program, built)
            hello, = (path for path in project.glob("build/**/hello") if path.is_file())
            self.assertEqual(self.call(str(hello)), readme.block("text"))


if __name__ == "__main__":
    programs.main()
