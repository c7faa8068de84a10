"""What protocols run on: actors on one clock, a server with its policies, and a proof that nothing was left over.

`world.py` is what all actors share; `site.py` is a client and what it can do, with `training.py` and `message.py`;
`server.py` receives, and `aggregation.py` decides when it aggregates whose updates; `aggregator.py` stands between a
region's clients and the server; `selection.py` decides who takes part; `shape.py` is what a protocol declares of
itself; `run.py` puts them together and proves the end. Around them, `simulate.py` goes from a scenario to a
`result.py`: `fleet.py` is its clients, `links.py` what they are connected by, `costs.py` how long their updates take,
`learner.py` what computes them, and `timeline.py` what happened.
"""
