"""What the site needs beside the pages: links into the repository lead to its files, which are no part of the site."""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath
from typing import Any

_LINK = re.compile(r"(?<!!)\[([^\]]*)\]\((?!\w+:|#)([^)\s#]+)(#[^)\s]*)?\)")


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Name files outside the site, such as an example, by their path in the repository instead of linking them."""
    folder = PurePosixPath(page.file.src_uri).parent

    def kept(link: re.Match[str]) -> str:
        target = os.path.normpath(PurePosixPath("docs") / folder / link[2])
        inside = Path(target).is_relative_to("docs") and Path(target).exists()
        if inside:
            return link[0]
        name = link[1].strip("`")
        return link[1] if name == target else f"{link[1]} (`{target}` in the repository)"

    return _LINK.sub(kept, markdown)
