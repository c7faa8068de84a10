"""What protocols run on: actors on one clock, a server with its policies, and a proof that nothing was left over.

`world.py` is what all actors share; `training.py`, `thread.py` and `site.py` are what a client can do; `server.py`
receives, and `aggregation.py` decides when it aggregates whose updates; `selection.py` decides who takes part;
`shape.py` is what a protocol declares of itself; `run.py` puts them together and proves the end.
"""
