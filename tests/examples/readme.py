# SPDX-License-Identifier: MIT
"""The blocks of README.md, for the tests that try them."""
import os
import pathlib
import re

SOURCE = pathlib.Path(os.environ.get("KIRIM_SOURCE", ".")).resolve()


def block(language):
    """The text of the one block in that language."""
    text = (SOURCE / "README.md").read_text(encoding="utf-8")
    found = re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert len(found) == 1, f"README.md has {len(found)} blocks of {language}"
    return found[0]
