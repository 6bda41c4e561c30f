# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: the shoal authors
"""What must hold of the tree itself."""

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def test_every_unit_test_is_registered():
    """A file which nobody builds passes for ever."""
    table = (ROOT / "tests/unit/meson.build").read_text().partition("unit_tests = {")[2].partition("}")[0]
    registered = re.findall(r"^  '(\w+)':", table, re.MULTILINE)
    assert sorted(registered) == sorted(p.stem.removeprefix("test_") for p in (ROOT / "tests/unit").glob("test_*.c"))


@pytest.mark.parametrize("folder", sorted(p.name for p in (ROOT / "src").iterdir()))
def test_every_folder_says_what_it_is_for(folder):
    lines = (ROOT / "src" / folder / "README.md").read_text().splitlines()
    assert 10 <= len(lines) <= 30


def test_ci_runs_what_everybody_runs():
    assert (ROOT / ".ci/run").read_text().splitlines()[-1] == 'exec "$(dirname "$0")/../test"'
