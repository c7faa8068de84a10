"""Every picture of paraSim, in one visual language (`parasim.figures.style`).

Pictures read result rows and compute nothing that those do not hold. Importing this package is cheap:
matplotlib is loaded when the first picture is drawn.
"""

from __future__ import annotations

from parasim.figures.line import draw_line
from parasim.figures.parity import draw_parity
from parasim.figures.runtime import draw_runtime

__all__ = ["draw_line", "draw_parity", "draw_runtime"]
