"""The site has the pages of the repository that those of ``docs`` lead to, and their links lead on within it."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

OUTSIDE = (
    "README.md",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "models/streamspot-base.md",
    "experiments/shipped/README.md",
    "experiments/strangers/README.md",
)
"""Pages of the repository, in which they lie beside ``docs``."""

_FOLDER = "repository/"
_LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!\w+:|#)([^)#\s]+)([^)]*)\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages."""
    root = Path(config.docs_dir).parent
    for name in OUTSIDE:
        files.append(File.generated(config, _FOLDER + name, abs_src_path=str(root / name)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001 - as it is called
    """Let links lead where their targets lie in the site; text that leads to anything else is text alone."""
    source = page.file.src_uri
    folder = posixpath.dirname(source)
    lies = (
        folder.removeprefix(_FOLDER.rstrip("/")).lstrip("/")
        if source.startswith(_FOLDER)
        else f"docs/{folder}"
    )

    def led(link: re.Match[str]) -> str:
        picture, text, given, rest = link.groups()
        target = posixpath.normpath(posixpath.join(lies, given))
        for name in (target, f"{target}/README.md"):
            place = name.removeprefix("docs/") if name.startswith("docs/") else _FOLDER + name
            if files.get_file_from_path(place) is not None:
                return f"{picture}[{text}]({posixpath.relpath(place, folder or '.')}{rest})"
        return text

    return _LINK.sub(led, markdown)
