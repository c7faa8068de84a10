"""One self-contained HTML page about a directory of results, to be sent to a colleague.

`record.py` notes in such a directory how it was made. `made.py` finds out what a directory holds and fills in the
template of its kind in ``templates/``, where the wording and the looks are; `runs.py`, `sweeps.py`, `plans.py` and
`trainings.py` read what goes into it, with charts from `parasim.figures` (`charts.py`) and, where something can be
moved, precomputed what-ifs (`whatif.py`).
"""
