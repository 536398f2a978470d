"""Settings of the site that `make book` builds; what Sphinx does not bring is in `book.py`."""

import sys
from pathlib import Path

import semlib

sys.path.insert(0, str(Path(__file__).parent))  # book.py

project = "semlib"
copyright = author = "the semlib authors"
version = release = semlib.__version__
language = "en"

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "numpydoc",
    "book",
]
exclude_patterns = ["_build"]
templates_path = ["_templates"]
myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3
suppress_warnings = ["mystnb.unknown_mime_type"]  # widgets: a site has no kernel

nb_execution_mode = "off"  # `make reproduce` executes
nb_output_stderr = "remove"  # progress bars
nb_merge_streams = True
nb_ipywidgets_js = {}  # nothing from a network

autodoc_default_options = {"members": True}
autodoc_member_order = "bysource"
autodoc_inherit_docstrings = False
numpydoc_show_class_members = False

html_theme = "sphinx_book_theme"
html_title = "semlib"
html_static_path = ["_static"]
html_css_files = ["book.css"]
html_math_renderer = "mathml"
html_show_search_summary = False  # needs a server; the site also opens as files
html_context = {"default_mode": "auto"}
html_theme_options = {"use_fullscreen_button": False, "show_toc_level": 2, "navbar_persistent": []}
