#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: the shoal authors
"""Makes a C table of the scripts that Redis runs.

usage: embed.py OUTPUT COMMON SCRIPT...    a SCRIPT is NAME:FLAGS:PATH, in the order of enum redis_script
"""

import hashlib
import pathlib
import sys

HEAD = """/* Made by embed.py; the scripts are in src/store/scripts. */

#include "store/redis_script.h"

const struct redis_script_text redis_scripts[] = {
"""


def literal(line):
    """One line of text as a C string"""
    return '"' + line.replace("\\", "\\\\").replace('"', '\\"').replace("\t", "\\t") + '\\n"'


def entry(common, script):
    name, flags, path = script.split(":", 2)
    text = "#!lua" + (f" flags={flags}" if flags else "") + "\n" + common + pathlib.Path(path).read_text()
    body = "\n".join("\t\t" + literal(line) for line in text.removesuffix("\n").split("\n"))
    sha = hashlib.sha1(text.encode()).hexdigest()
    return f'\t{{\n\t\t"{name}",\n\t\t"{sha}",\n{body},\n\t}},\n'


def main():
    output, common, *scripts = sys.argv[1:]
    common = pathlib.Path(common).read_text()
    pathlib.Path(output).write_text(HEAD + "".join(entry(common, s) for s in scripts) + "};\n")


main()
