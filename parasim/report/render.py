"""How a page becomes HTML: `page.html`, `page.css` and `page.js` filled in."""

from __future__ import annotations

from itertools import count
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from parasim.report.charts import css_fill, inlined
from parasim.report.page import Page

_FOLDER = Path(__file__).parent


def render(page: Page) -> str:
    """Turn a page into one HTML file without any reference to another.

    Returns
    -------
    str
        Everything that comes from outside (names, sentences, scenarios) is escaped.
    """
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    numbers = count()
    environment.filters["fill"] = css_fill
    environment.filters["inlined"] = lambda svg: Markup(inlined(svg, f"p{next(numbers)}"))
    # The two files are paraSim's own; nothing else enters the page unescaped but the charts, which escape themselves.
    style, script = (Markup((_FOLDER / name).read_text(encoding="utf-8")) for name in ("page.css", "page.js"))
    return environment.get_template("page.html").render(page=page, style=style, script=script)
