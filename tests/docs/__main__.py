"""Write pages anew: ``python -m tests.docs [PAGE ...]``, all that are run or made if none is named."""

import sys
from pathlib import Path

from tests.docs.pages import DOCS, LONG, PAGES, rewritten
from tests.docs.reference import REFERENCES

named = [Path(name) for name in sys.argv[1:]]
for path in named or (*PAGES, *LONG):
    path.write_text(rewritten(path.read_text(encoding="utf-8")), encoding="utf-8")
if not named:
    for name, made in REFERENCES.items():
        (DOCS / "reference" / name).write_text(made(), encoding="utf-8")
