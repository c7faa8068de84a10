"""One self-contained HTML page about a directory of results, to be sent to a colleague.

`record.py` notes in such a directory how it was made. `made.py` finds out what a directory holds; `runs.py`,
`sweeps.py`, `plans.py` and `trainings.py` turn it into a `Page` (`page.py`) with charts (`charts.py`) and, where
something can be moved, precomputed what-ifs (`whatif.py`). The page's looks are in `page.html`, `page.css` and
`page.js`.
"""
