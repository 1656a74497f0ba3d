# The documentation: Markdown through MyST, API pages from the docstrings.
from importlib.metadata import version as installed_version

project = "tfclass"
author = "The tfclass authors"
copyright = "2026, The tfclass authors"
version = release = installed_version("tfclass")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.mathjax"]
html_theme = "furo"
html_title = "tfclass"
myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "none"
napoleon_google_docstring = False
exclude_patterns = ["_build"]
# Each module lists its own references from [1]; on one page the labels would clash.
suppress_warnings = ["docutils", "ref.footnote", "ref.citation"]
