"""The same protocols on real machines: `paraSim live` and `paraSim agent`.

A *conductor* runs a scenario's protocol, unchanged, on the wall-clock (`wall_clock.py`): whatever a simulation would
predict is done by *agents*, one per client, and the run goes on when they say so. An agent (`agent.py`) computes and
communicates at once, as two threads; what it learns is `paraSim train`'s own code (`trainee.py`). The conductor is the
server, too: updates and aggregates travel between it and the agents over gRPC (`wire.py`), on connections of their own,
at the pace that the scenario's links allow (`pacing.py`). `link.py` is the conductor's end of an agent, `network.py`
what the protocol takes for its network, `learner.py` what it takes for what computes, `conductor.py` the whole.
"""
