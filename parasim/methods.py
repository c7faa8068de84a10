"""What a method of one's own is made of.

A method is a shape in time (who computes, sends and waits when) x what is trained x what is sent. Begin from a shape
that there is, or write one: a class with its `Traits`, its `Params`, and the processes of its clients and its server.
`register` makes it known; `paraSim --import FILE` and the entry points `parasim.methods` bring it to the command line.
"""

from parasim_core.sim.engine.aggregation import AllExpected, Buffer, Immediate, Quorum
from parasim_core.sim.engine.run import Run
from parasim_core.sim.engine.shape import Params, Shape, Traits
from parasim_core.sim.engine.site import Site, Thread
from parasim_core.sim.engine.world import Process
from parasim_core.sim.protocols.buffered import Asynchronous, Buffered
from parasim_core.sim.protocols.cyclic import Cyclic
from parasim_core.sim.protocols.overlapped import Overlapped
from parasim_core.sim.protocols.overlapped_async import OverlappedAsync
from parasim_core.sim.protocols.synchronous import Synchronous
from parasim_core.sim.workload.methods import Method, Sends, Trains, register

__all__ = [
    "AllExpected",
    "Asynchronous",
    "Buffer",
    "Buffered",
    "Cyclic",
    "Immediate",
    "Method",
    "Overlapped",
    "OverlappedAsync",
    "Params",
    "Process",
    "Quorum",
    "Run",
    "Sends",
    "Shape",
    "Site",
    "Synchronous",
    "Thread",
    "Trains",
    "Traits",
    "register",
]
