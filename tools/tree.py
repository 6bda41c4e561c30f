# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: the shoal authors
"""What the checks share: which files belong to the project, and C text without comments and strings."""

import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[1]

# A comment, a string, a character, or a directive with its continuation lines.
_HIDDEN = re.compile(
    r"""/\*.*?(?:\*/|\Z)
      | //[^\n]*
      | "(?:\\.|[^"\\\n])*"
      | '(?:\\.|[^'\\\n])*'
      | ^[ \t]*\#(?:\\\n|/\*.*?(?:\*/|\Z)|[^\n])*""",
    re.DOTALL | re.MULTILINE | re.VERBOSE)


def files(*suffixes):
    """Paths below ROOT, tracked or new, but not ignored; only those with one of the suffixes, if any is given."""
    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                            cwd=ROOT, check=True, capture_output=True, text=True).stdout
    paths = (pathlib.PurePosixPath(name) for name in sorted(set(listed.split("\0"))) if name)
    return [p for p in paths if (ROOT / p).is_file() and (not suffixes or p.suffix in suffixes)]


def read(path):
    return (ROOT / path).read_text(encoding="utf-8", errors="replace")


def blank(text):
    """C text in which comments, strings, characters and directives are blanks; lines stay where they are."""
    return _HIDDEN.sub(lambda match: re.sub(r"[^\n]", " ", match.group()), text)


def without_comments(text):
    """C text without its comments; strings and directives stay."""
    def hide(match):
        found = match.group()
        if found.startswith(("/*", "//")):
            return re.sub(r"[^\n]", " ", found)
        if found.lstrip().startswith("#"):
            return re.sub(r"/\*.*?(?:\*/|\Z)", lambda c: re.sub(r"[^\n]", " ", c.group()), found, flags=re.DOTALL)
        return found
    return _HIDDEN.sub(hide, text)
