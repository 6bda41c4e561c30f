# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: the shoal authors
"""Each check of tools/ passes on a small sound tree and fails on exactly the fault that is put into it."""

import pathlib
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SPDX = "/* SPDX-License-Identifier: Apache-2.0 */\n/* SPDX-FileCopyrightText: the shoal authors */\n"


class Tree:
    """A repository with the real tools, the real drawing and whatever files a test writes."""

    def __init__(self, root):
        self.root = root
        subprocess.run(["git", "init", "-q"], cwd=root, check=True)
        shutil.copytree(ROOT / "tools", root / "tools")
        for name in ("ARCHITECTURE.md", ".clang-format"):
            shutil.copy(ROOT / name, root / name)
        (root / "tools" / "sizes.exempt").unlink()
        self.write("src/base/a.h", SPDX + "#pragma once\n")
        self.write("src/coap/b.h", SPDX + '#pragma once\n\n#include "base/a.h"\n')
        self.write("src/coap/b.c", SPDX + '\n#include "coap/b.h"\n\nint b(void)\n{\n\treturn 1;\n}\n')

    def write(self, path, text):
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text)

    def check(self, name, *arguments):
        return subprocess.run([self.root / "tools" / f"check-{name}", *arguments], cwd=self.root,
                              capture_output=True, text=True)

    def passes(self, name):
        result = self.check(name)
        assert result.returncode == 0, result
        return result.stdout

    def fails(self, name, *words):
        """The check fails with one problem, and its line has all the words."""
        result = self.check(name)
        assert result.returncode == 1, result
        problems = result.stdout.splitlines()[:-1]
        assert len(problems) == 1, result.stdout
        for word in words:
            assert word in problems[0]


@pytest.fixture
def tree(tmp_path):
    return Tree(tmp_path)


@pytest.mark.parametrize("name", ["layers", "sizes", "format", "spdx"])
def test_a_sound_tree_passes(tree, name):
    assert " 0 measures" not in tree.passes(name)


# Layers

def test_an_upward_include_fails(tree):
    tree.write("src/base/up.c", SPDX + '\n#include "coap/b.h"\n')
    tree.fails("layers", "src/base/up.c:4:", "base must not include", "coap/b.h")


def test_an_include_sideways_that_is_not_in_the_drawing_fails(tree):
    tree.write("src/net/c.h", SPDX + "#pragma once\n")
    tree.write("src/coap/c.c", SPDX + '#  include "net/c.h"\n')
    tree.fails("layers", "src/coap/c.c:3:", "coap must not include")


def test_an_include_without_folder_fails(tree):
    tree.write("src/coap/c.c", SPDX + '#include "b.h"\n')
    tree.fails("layers", "src/coap/c.c:3:", "does not name a file as folder/file.h")


def test_an_include_by_a_detour_fails(tree):
    tree.write("src/base/c.c", SPDX + '#include "base/../coap/b.h"\n')
    tree.fails("layers", "src/base/c.c:3:")


def test_an_include_of_nothing_fails(tree):
    tree.write("src/coap/c.c", SPDX + '#include "base/nothing.h"\n')
    tree.fails("layers", "does not exist")


def test_a_folder_outside_of_the_drawing_fails(tree):
    tree.write("src/util/c.c", SPDX)
    tree.fails("layers", "src/util/c.c", "not in the drawing")


def test_includes_in_comments_and_of_the_system_do_not_count(tree):
    tree.write("src/base/c.c", SPDX + '/*\n#include "coap/b.h"\n*/\n// #include "coap/b.h"\n#include <stdio.h>\n'
                                      'const char *text = "/*";\n#include "base/a.h" /* "coap/b.h" */\n')
    assert "3 includes" in tree.passes("layers")


def test_a_drawing_that_points_upward_fails(tree):
    drawing = (tree.root / "ARCHITECTURE.md").read_text()
    assert "\nbase   ->\n" in drawing
    tree.write("ARCHITECTURE.md", drawing.replace("\nbase   ->\n", "\nbase   -> coap\n"))
    tree.fails("layers", "base -> coap does not point downward")


def test_an_edge_taken_out_of_the_drawing_fails(tree):
    drawing = (tree.root / "ARCHITECTURE.md").read_text()
    assert "\ncoap   -> base\n" in drawing
    tree.write("ARCHITECTURE.md", drawing.replace("\ncoap   -> base\n", "\ncoap   ->\n"))
    tree.fails("layers", "src/coap/b.h:5:", "coap must not include")


def test_no_drawing_fails(tree):
    tree.write("ARCHITECTURE.md", "# nothing\n")
    assert tree.check("layers").returncode == 1


# Sizes

def function(name, *lines):
    return "\nint " + name + "(int a)\n{\n" + "".join(f"\t{line}\n" for line in lines) + "}\n"


def test_a_file_of_1000_lines_passes_and_one_more_fails(tree):
    tree.write("src/base/long.h", "/* */\n" * 1000)
    tree.passes("sizes")
    tree.write("src/base/long.h", "/* */\n" * 1001)
    tree.fails("sizes", "src/base/long.h:1:", "lines: 1001", "limit is 1000")


def test_python_files_count_too(tree):
    tree.write("tests/system/long.py", "#\n" * 1001)
    tree.fails("sizes", "tests/system/long.py:1:")


def test_a_function_of_100_lines_passes_and_one_more_fails(tree):
    tree.write("src/base/f.c", function("f", *["a++;"] * 97))
    tree.passes("sizes")
    tree.write("src/base/f.c", function("before", "return a;") + "\nstruct s {\n\tint x;\n};\n" +
               function("f", *["a++;"] * 98) + function("after", "return a;"))
    tree.fails("sizes", "src/base/f.c:11:", "f has lines: 101", "limit is 100")


def test_complexity_of_25_passes_and_one_more_fails(tree):
    branches = ["if (a && a || a)", "for (;;)", "while (a)", "switch (a) { case 1: case 2: ; }", "a = a ? 1 : 2;",
                "list_for_each(x, y)"] * 2 + ["if (a)"] * 4
    assert 1 + 2 * (3 + 1 + 1 + 2 + 1 + 1) + 4 == 23
    tree.write("src/base/f.c", function("f", *branches, "if (a)", "if (a)"))
    tree.passes("sizes")
    tree.write("src/base/f.c", function("f", *branches, "if (a)", "if (a)", "if (a)"))
    tree.fails("sizes", "src/base/f.c:2:", "f has a complexity of 26", "limit is 25")


def test_comments_strings_and_directives_are_no_branches(tree):
    hidden = ['/* if (a) */', '// if (a)', 'g("if (a) { && ? ");', "g('?');", 'g("\\"?");', "#if A && B", "#endif",
              "#define M \\", "\tif (a)"] * 10
    tree.write("src/base/f.c", function("f", *hidden))
    tree.passes("sizes")


def test_braces_in_strings_and_initialisers_do_not_hide_a_function(tree):
    tree.write("src/base/f.c", 'static const char *t[] = {"}", "{{{"};\nstatic const char c = \'{\';\n'
                               "static const struct s s = (struct s){1, {2}};\nenum e { A, B };\n" +
               function("f", *["if (a)"] * 25))
    tree.fails("sizes", "src/base/f.c:6:", "f has a complexity of 26")


def test_attributes_do_not_hide_the_name(tree):
    tree.write("src/base/f.c", "__attribute__((noinline)) static int\nnamed(void (*fn)(int))\n{\n" +
               "\tif (fn)\n" * 25 + "}\n")
    tree.fails("sizes", "src/base/f.c:1:", "named has a complexity of 26")


def test_an_exemption_holds_up_to_its_limit(tree):
    tree.write("src/base/f.c", function("f", *["if (a)"] * 30))
    tree.write("tools/sizes.exempt", "# comment\n\nsrc/base/f.c:f complexity 31 a table would be longer\n")
    tree.passes("sizes")
    tree.write("src/base/f.c", function("f", *["if (a)"] * 31))
    tree.fails("sizes", "complexity of 32", "limit is 31")


def test_an_exemption_without_reason_or_need_fails(tree):
    tree.write("tools/sizes.exempt", "src/base/f.c:f complexity 31\n")
    tree.fails("sizes", "tools/sizes.exempt:1:", "REASON")
    tree.write("tools/sizes.exempt", "src/coap/b.c:b lines 300 it was once long\n")
    tree.fails("sizes", "src/coap/b.c:b needs no exemption")


# Format

def test_another_layout_fails_and_is_rewritten(tree):
    tree.write("src/base/c.c", SPDX + "int c(void) { return 1; }\n")
    tree.fails("format", "src/base/c.c:3:")
    assert tree.check("format", "--fix").returncode == 0
    tree.passes("format")
    assert "int c(void)\n{\n\treturn 1;\n}\n" in (tree.root / "src/base/c.c").read_text()


def test_ignored_files_are_left_alone(tree):
    tree.write(".gitignore", "/build/\n")
    tree.write("build/c.c", "int c(void) { return 1; }\n")
    tree.passes("format")
    assert tree.check("format", "--unknown").returncode == 2


# SPDX

@pytest.mark.parametrize("path, text", [
    ("src/base/c.c", "int c;\n"),
    ("src/base/c.c", "/* SPDX-License-Identifier: MIT */\n/* SPDX-FileCopyrightText: the shoal authors */\n"),
    ("src/base/c.c", "\n" * 5 + SPDX),
    ("tools/script", "#!/bin/sh\n# SPDX-FileCopyrightText: the shoal authors\n"),
    ("src/base/meson.build", "# SPDX-License-Identifier: Apache-2.0\n"),
])
def test_missing_lines_fail(tree, path, text):
    tree.write(path, text)
    result = tree.check("spdx")
    assert result.returncode == 1
    assert all(line.startswith(f"{path}:1:") for line in result.stdout.splitlines()[:-1])


def test_documents_and_data_need_none(tree):
    tree.write("docs/page.md", "# Page\n")
    tree.write("data.json", "{}\n")
    tree.passes("spdx")
