# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: the shoal authors
"""tools/install-packages installs exactly what is missing, and touches nothing where nothing is.

Its dpkg-query, apt-get, node and npm are stand-ins that write down how they were called.
"""

import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]

STAND_INS = {
    "dpkg-query": 'for last; do :; done; grep -qx "$last" "$FAKE/installed" && echo installed',
    "apt-get": 'echo "$DEBIAN_FRONTEND $*" >> "$FAKE/calls"; if [ -e "$FAKE/broken" ]; then echo "E: no such thing" >&2; exit 100; fi',
    "id": "echo 0",
}


class System:
    def __init__(self, root):
        self.root = root
        (root / "bin").mkdir()
        for name, body in STAND_INS.items():
            self.command(name, body)
        for name in ("node", "npm"):
            self.command(name, "exit 1")
        self.installed = set()

    def command(self, name, body):
        path = self.root / "bin" / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)

    def install(self, *groups):
        (self.root / "installed").write_text("".join(f"{p}\n" for p in sorted(self.installed)))
        (self.root / "calls").write_text("")
        env = {**os.environ, "PATH": f"{self.root / 'bin'}:{os.environ['PATH']}", "FAKE": str(self.root)}
        return subprocess.run([ROOT / "tools" / "install-packages", *groups], env=env, capture_output=True, text=True)

    @property
    def calls(self):
        return (self.root / "calls").read_text().splitlines()

    def install_all(self, *groups):
        """Installs, and remembers what apt-get was asked for."""
        assert self.install(*groups).returncode == 0
        asked = self.calls[1].split()
        self.installed |= set(asked[asked.index("--no-install-recommends") + 1:])


@pytest.fixture
def system(tmp_path):
    return System(tmp_path)


def test_nothing_missing_means_nothing_is_done(system):
    system.install_all("build", "test")
    result = system.install("build", "test")
    assert (result.returncode, result.stdout, result.stderr, system.calls) == (0, "", "", [])


def test_what_is_missing_is_installed_after_one_update(system):
    system.install_all("build")
    system.installed -= {"libuv1-dev", "meson"}
    result = system.install("build")
    assert result.returncode == 0
    assert result.stdout == "install-packages: installing meson libuv1-dev\n"
    assert system.calls == ["noninteractive update -qq",
                            "noninteractive install -y -qq --no-install-recommends meson libuv1-dev"]


def test_groups_are_apart(system):
    system.install_all("build")
    assert "libuv1-dev" in system.installed and "libcmocka-dev" not in system.installed
    system.install_all("test")
    assert "libcmocka-dev" in system.installed


def test_node_from_elsewhere_is_good_enough(system):
    system.command("node", "echo v20")
    system.command("npm", "echo 10")
    system.install_all("test")
    assert not system.installed & {"nodejs", "npm"}


def test_errors_are_shown(system):
    (system.root / "broken").touch()
    result = system.install("build")
    assert result.returncode != 0
    assert "E: no such thing" in result.stderr and "failed: apt-get update" in result.stderr


def test_an_unknown_group_or_none_is_refused(system):
    assert system.install("nonsense").returncode == 2
    assert system.install().returncode == 2
    assert system.calls == []
