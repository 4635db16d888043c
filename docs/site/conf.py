"""Sphinx configuration of the documentation site; `make docs` builds it.

No intersphinx: the site builds without the network.
"""

project = "linuxvhd.azure"
copyright = "The linuxvhd.azure contributors"
title = html_title = html_short_title = "linuxvhd.azure"

extensions = ["myst_parser", "sphinx_antsibull_ext"]
source_suffix = {".rst": "restructuredtext", ".md": "markdown"}
myst_heading_anchors = 3
highlight_language = "YAML+Jinja"
pygments_style = "ansible"
html_theme = "sphinx_ansible_theme"
html_show_sphinx = False
html_copy_source = False
display_version = False
default_role = "any"
