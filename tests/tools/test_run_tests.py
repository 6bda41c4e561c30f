# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: the shoal authors
"""The runner behind ./test counts right, above all what goes wrong: it is what everybody relies on."""

import pathlib
import shutil
import subprocess
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]

MESON = """project('small', 'c')
foreach name : [{tests}]
  test(name, executable(name, name + '.c'), protocol: 'tap', timeout: 1)
endforeach
"""
PROGRAM = "#include <stdio.h>\n#include <stdlib.h>\n#include <unistd.h>\nint main(void)\n{\n%s\n}\n"


class Project:
    """A small project with the real runner."""

    def __init__(self, root):
        self.root = root
        (root / "tools").mkdir()
        shutil.copy(ROOT / "tools" / "run-tests", root / "tools")
        self.programs()

    def programs(self, **bodies):
        names = ", ".join(f"'{name}'" for name in bodies)
        (self.root / "meson.build").write_text(MESON.replace("{tests}", names))
        for name, body in bodies.items():
            (self.root / f"{name}.c").write_text(PROGRAM % body)

    def script(self, text, folder="tools"):
        (self.root / "tests" / folder).mkdir(parents=True, exist_ok=True)
        (self.root / "tests" / folder / "test_it.py").write_text(text)

    def run(self, *stages):
        """(exit code, last line, everything)"""
        result = subprocess.run(["/usr/bin/python3", self.root / "tools" / "run-tests", *stages], cwd=self.root,
                                capture_output=True, text=True)
        return result.returncode, (result.stdout.splitlines() or [""])[-1], result.stdout + result.stderr


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


def tap(*results):
    return f'puts("1..{len(results)}");' + "".join(f'puts("{result} {i}");' for i, result in enumerate(results, 1))


def test_cases_are_counted_not_programs(project):
    project.programs(a=tap("ok", "ok", "ok"), b=tap("ok"), c='puts("1..2\\nok 1\\nok 2 # SKIP because");',
                     d='puts("1..0 # SKIP nothing to do");')
    assert project.run("gcc")[:2] == (0, "5 passed, 0 failed, 2 skipped")


def test_what_does_not_end_well_is_a_failure(project):
    # The first five pass one case before they fail.
    project.programs(good=tap("ok", "ok"), case=tap("ok", "not ok"), crash=tap("ok") + "fflush(stdout); abort();",
                     code=tap("ok") + "return 3;", hang=tap("ok") + "fflush(stdout); sleep(60);",
                     short='puts("1..3\\nok 1");', crash_silently="abort();", hang_silently="sleep(60);",
                     say_nothing="return 0;")
    code, last, text = project.run("gcc")
    assert (code, last) == (1, "7 passed, 8 failed")
    assert "end of build/logs/gcc-tests.log" in text


def test_what_does_not_compile_without_a_warning_is_a_failure_and_shown(project):
    project.programs(a="int nothing_uses_this; return 0;")
    meson = (project.root / "meson.build").read_text()
    (project.root / "meson.build").write_text(meson.replace("'c')", "'c', default_options: 'warning_level=2')"))
    code, last, text = project.run("gcc")
    assert (code, last) == (1, "0 passed, 1 failed")
    assert "unused variable" in text and "nothing_uses_this" in text


def test_sanitizers_end_a_program(project):
    project.programs(a=tap("ok") + "fflush(stdout); volatile int i = 4; int x[4] = {0}; return x[i];",
                     b=tap("ok") + "fflush(stdout); char *volatile p = malloc(10); p = NULL; return p != NULL;")
    code, last, text = project.run("sanitize")
    assert (code, last) == (1, "2 passed, 2 failed")
    assert "stack-buffer-overflow" in text or "out of bounds" in text
    assert "detected memory leaks" in text


def test_results_of_pytest_are_counted(project):
    project.script("import pytest\n"
                   "def test_a(): pass\n"
                   "def test_b(): assert False\n"
                   "def test_c(): pytest.skip('no reason')\n"
                   "@pytest.fixture\ndef bad():\n    yield\n    raise RuntimeError\n"
                   "def test_d(bad): pass\n")
    code, last, text = project.run("tools")
    assert (code, last) == (1, "1 passed, 2 failed, 1 skipped")
    assert "end of build/logs/tools.log" in text


def test_a_module_that_cannot_be_read_is_a_failure(project):
    project.script("import nothing_of_this_name\n")
    assert project.run("tools")[:2] == (1, "0 passed, 1 failed")


def test_tests_know_the_builds(project):
    project.script("import os, pathlib\n"
                   "def test_a():\n"
                   "    for name in ('SHOAL_BUILD', 'SHOAL_SANITIZED'):\n"
                   "        assert (pathlib.Path(os.environ[name]) / 'build.ninja').exists()\n", "system")
    assert project.run("system")[:2] == (0, "1 passed, 0 failed")


def test_processes_left_behind_are_a_failure_and_ended(project):
    mark = f"sleep 98{time.monotonic_ns() % 10**9}"
    project.script(f"import subprocess\ndef test_a(): subprocess.Popen('{mark}'.split())\n")
    code, last, text = project.run("tools")
    assert (code, last) == (1, "1 passed, 1 failed")
    assert "left processes behind" in text
    assert subprocess.run(["pgrep", "-f", mark], capture_output=True).stdout == b""


def test_a_check_that_fails_is_a_failure(project):
    for name, code in (("format", 0), ("layers", 1), ("sizes", 0), ("spdx", 0)):
        script = project.root / "tools" / f"check-{name}"
        script.write_text(f"#!/bin/sh\necho what is wrong\nexit {code}\n")
        script.chmod(0o755)
    code, last, text = project.run("checks")
    assert (code, last) == (1, "3 passed, 1 failed")
    assert text.count("what is wrong") == 1


def test_an_unknown_stage_is_refused(project):
    code, _, text = project.run("gcc", "nonsense")
    assert code == 2 and "no such stage: nonsense" in text
