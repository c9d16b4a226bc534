"""Sphinx' settings for the site; `making` copies this folder and adds what is made."""

from gso.commands.usage import version as _version
from making import signatures

project = "pygso"
author = "The pygso developers"
version = release = _version()
language = "en"
# Two hyphens are an option, and no dash.
smartquotes = False

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
# Docstrings write code between single backticks.
default_role = "code"
myst_heading_anchors = 3
# Papers of the repository begin where they like.
suppress_warnings = ["myst.header"]
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_use_type_comments = False
napoleon_use_rtype = False
napoleon_use_ivar = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 80
add_module_names = False
toc_object_entries = False

html_theme = "furo"
html_title = "pygso"
html_static_path = ["site.css"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False


def setup(app):
    """Let stubs say what the signatures of compiled functions are, before napoleon (500) reads."""
    app.connect("autodoc-process-signature", signatures.of_stub)
    app.connect("autodoc-process-docstring", signatures.plain_attribute, priority=100)
