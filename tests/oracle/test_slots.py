# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: the shoal authors
"""The table of slots against slot_model.py: every node and every balancer has to compute the same one."""

import os
import pathlib
import random
import subprocess

import pytest

import slot_model


def ours(members):
    build = pathlib.Path(os.environ.get("SHOAL_BUILD", pathlib.Path(__file__).parents[2] / "build" / "gcc"))
    words = [f"{node}:{weight}" for node, weight in members]
    ended = subprocess.run([build / "tests" / "oracle" / "slot_pipe", *words], stdout=subprocess.PIPE, text=True, check=True)
    return ended.stdout.split()


def test_siphash_of_the_paper():
    """Appendix A: key 00..0f, input 00..0e."""
    assert slot_model.siphash(bytes(range(16)), bytes(range(15))) == 0xA129CA6149BE45E5


@pytest.mark.parametrize("seed", range(6))
def test_tables(seed):
    rng = random.Random(seed)
    nodes = rng.sample(range(1, 65536), seed) if seed < 5 else [1, 0xFFFFFFFF]
    members = {node: rng.choice([1, 1, 2, 5]) for node in nodes}
    listed = list(members.items())
    rng.shuffle(listed)
    assert ours(listed) == [str(node) for node in slot_model.table(members)]


@pytest.mark.parametrize("members", [[(0, 1)], [(1, 0)], [(1, 17)], [(3, 1), (3, 2)]])
def test_refused(members):
    assert ours(members) == ["refused"]
