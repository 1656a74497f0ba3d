# The documentation: Markdown through MyST, API pages from the docstrings.
import sys
from importlib.metadata import version as installed_version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

project = "tfclass"
author = "The tfclass authors"
copyright = "2026, The tfclass authors"
version = release = installed_version("tfclass")

extensions = [
    *("myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.mathjax"),
    *("generated", "questions"),
]
html_theme = "furo"
html_title = "tfclass"
myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
myst_heading_anchors = 3
# Quotes alone: options begin with two dashes.
smartquotes_action = "q"
autodoc_member_order = "bysource"
autodoc_typehints = "none"
napoleon_google_docstring = False
napoleon_use_ivar = True
exclude_patterns = ["_build"]
# The tutorial is run with each build; one that fails stops it.
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 600
# Each module lists its own references from [1]; on one page the labels would clash.
suppress_warnings = ["docutils", "ref.footnote", "ref.citation"]


def setup(app):
    # Fields of named tuples are described under Attributes; Python's own text for them says nothing.
    def skip(_app, _what, _name, member, skipped, _options):
        return skipped or str(getattr(member, "__doc__", "")).startswith("Alias for field number")

    app.connect("autodoc-skip-member", skip)
