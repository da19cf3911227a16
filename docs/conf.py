"""The documentation as a site: scripts/site builds it (Sphinx with MyST over these pages)."""

import os
import pathlib
import re
import subprocess

HERE = pathlib.Path(__file__).resolve().parent

project = "Tempera"
author = "The Tempera authors"
release = re.search(r"project\(tempera VERSION ([0-9.]+)", (HERE.parent / "CMakeLists.txt").read_text())[1]
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4
html_theme = "alabaster"
html_theme_options = {"description": "Boltzmann machines: train, measure, sample and look at them", "fixed_sidebar": True, "page_width": "1100px"}
html_title = f"Tempera {release}"
autodoc_member_order = "bysource"
# Pages link to files of the checkout, which are no pages.
suppress_warnings = ["myst.xref_missing", "myst.header"]

# Every option of every command, as the command itself tells.
generated = HERE / "generated"
generated.mkdir(exist_ok=True)
command = os.environ.get("TEMPERA", str(HERE.parent / "build/portable/apps/tempera"))
(generated / "commands.md").write_text(subprocess.run([command, "man", "--reference"], check=True, capture_output=True, text=True).stdout)
topics = [(name, subprocess.run([command, "help", name], check=True, capture_output=True, text=True).stdout) for name in ("files", "data", "methods", "errors")]
(generated / "topics.md").write_text("# Topics\n\nAs `tempera help TOPIC` prints them.\n" + "".join(f"\n## {name}\n\n```\n{text}```\n" for name, text in topics))
