"""Take the picture of docs/how-to/app.md: ``python -m tests.parasim.app.picture docs/figures/app.png``."""

from __future__ import annotations

import base64
import sys
from pathlib import Path

from tests.parasim.app.serving import serving
from tests.parasim.app.test_page import start
from tests.parasim.browser import tab

WIDTH, HEIGHT = 1400, 1000


def take(path: Path) -> None:
    """Write what the page looks like in a window of a size, as PNG."""
    with serving() as app, tab() as browser:
        start(browser, app.address, WIDTH, HEIGHT)
        picture = browser.call("Page.captureScreenshot", format="png")["data"]
    path.write_bytes(base64.b64decode(picture))


if __name__ == "__main__":
    take(Path(sys.argv[1]))
