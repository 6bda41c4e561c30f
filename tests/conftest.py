# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: the shoal authors
"""What system and interop tests share: helpers on the path, a time limit for each test, daemons as fixtures."""

import pathlib
import signal
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent / "system"))
sys.dont_write_bytecode = True

TIME_LIMIT = 150


class Overtime(Exception):
    pass


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item):
    """A test that hangs fails, and its fixtures still clean up."""

    def overtime(*unused):
        raise Overtime(f"{item.nodeid} took more than {TIME_LIMIT} s")

    before = signal.signal(signal.SIGALRM, overtime)
    signal.alarm(TIME_LIMIT)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture
def say(capsys):
    """Prints also when the test passes: seeds and figures belong into the log."""

    def out(text):
        with capsys.disabled():
            print(f"\n{text}", end=" ", flush=True)

    return out


@pytest.fixture
def folder():
    """An empty directory, gone after the test."""
    import shoal
    with shoal.temp_dir() as path:
        yield path


@pytest.fixture
def start(folder):
    """start(*options) starts a daemon; all are killed after the test."""
    import shoal
    daemons = []

    def begin(*options, **more):
        place = folder / f"daemon{len(daemons)}"
        place.mkdir()
        daemons.append(shoal.Daemon(place, *options, **more))
        return daemons[-1].start()

    yield begin
    for daemon in daemons:
        daemon.kill()


@pytest.fixture(scope="module")
def daemon():
    """One daemon for all tests of a file that do not disturb each other. It must outlive them."""
    import shoal
    with shoal.temp_dir() as path, shoal.Daemon(path) as running:
        yield running
        assert running.alive, running.log[-4000:]
        # An orderly end, so that a sanitizer can report leaks.
        assert running.stop() == 0, running.log[-4000:]
