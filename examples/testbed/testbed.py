"""Run a scenario live over links with delay, loss and little room for queues, on one Linux machine, as root.

    python examples/testbed/testbed.py --up 20 --down 50 --delay 20 --control cubic -- \
        validate live examples/testbed/two.yaml --dry

Every client gets a network namespace of its own, the conductor another one. A relay, which is this process, carries
packets between their TUN devices: it gives each client's link a rate in either direction [Mbit/s, of IP packets], a
one-way delay [ms], a share of packets that it loses, and a queue [ms] behind which packets are dropped. So real TCP
meets the links of which `transport:` is the model, on every kernel: `netem` is not needed. All after ``--`` is a
command of paraSim, to which `--agents`, `--token`, `--authority` and `--no-shaping` are added. Nothing is left behind.
"""

from __future__ import annotations

import argparse
import ctypes
import fcntl
import heapq
import os
import random
import secrets
import select
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path

CLIENT, SERVER = "parasim-client-{}", "parasim-server"
PORT = 7600
LARGEST_PACKET = 1 << 16
_TUN, _NO_HEADER, _SET_INTERFACE = 0x0001, 0x1000, 0x400454CA
_NEW_NETWORK = 0x40000000


@dataclass
class Direction:
    """One direction of a client's link.

    Attributes
    ----------
    source, target : int
        Descriptors of the TUN devices.
    rate : float
        [B/s].
    delay, queue : float
        One way, and the longest that a packet may wait [s].
    loss : float
        Share of packets.
    """

    source: int
    target: int
    rate: float
    delay: float
    queue: float
    loss: float
    free_at: float = 0.0

    def arrival(self, size: int, now: float, draws: random.Random) -> float | None:
        """When a packet that comes in now is on the other side [s]; None if it is dropped."""
        begins = max(self.free_at, now)
        if begins - now > self.queue or draws.random() < self.loss:
            return None
        self.free_at = begins + size / self.rate
        return self.free_at + self.delay


def relay(directions: Sequence[Direction], over: threading.Event) -> None:
    """Carry packets until it is over."""
    by_source = {direction.source: direction for direction in directions}
    draws, numbers = random.Random(1), count()
    waiting: list[tuple[float, int, int, bytes]] = []
    while not over.is_set():
        until = waiting[0][0] - time.monotonic() if waiting else 0.2
        ready, _, _ = select.select(by_source, (), (), max(0.0, min(until, 0.2)))
        for source in ready:
            with suppress(BlockingIOError):
                while packet := os.read(source, LARGEST_PACKET):
                    direction = by_source[source]
                    arrival = direction.arrival(len(packet), time.monotonic(), draws)
                    if arrival is not None:
                        heapq.heappush(waiting, (arrival, next(numbers), direction.target, packet))
        now = time.monotonic()
        while waiting and waiting[0][0] <= now:
            _, _, target, packet = heapq.heappop(waiting)
            with suppress(OSError):
                os.write(target, packet)


def ip(*arguments: str) -> None:
    """Run `ip`."""
    subprocess.run(["ip", *arguments], check=True)


@contextmanager
def namespace(name: str) -> Iterator[str]:
    """Make a network namespace."""
    ip("netns", "add", name)
    try:
        ip("-n", name, "link", "set", "lo", "up")
        yield name
    finally:
        subprocess.run(["ip", "netns", "del", name], check=False)


def tun(space: str, device: str, address: str, peer: str, control: str) -> int:
    """Make a TUN device in a namespace, over which an algorithm controls TCP; return its descriptor."""
    libc = ctypes.CDLL(None, use_errno=True)
    with Path("/proc/self/ns/net").open() as home, Path("/run/netns", space).open() as there:
        if libc.setns(there.fileno(), _NEW_NETWORK):
            raise OSError(ctypes.get_errno(), f"cannot enter {space}")
        try:
            descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
            fcntl.ioctl(descriptor, _SET_INTERFACE, struct.pack("16sH", device.encode(), _TUN | _NO_HEADER))
        finally:
            libc.setns(home.fileno(), _NEW_NETWORK)
    ip("-n", space, "address", "add", address, "peer", peer, "dev", device)
    ip("-n", space, "link", "set", "dev", device, "up", "txqueuelen", "1000")
    ip("-n", space, "route", "replace", peer, "dev", device, "congctl", control)
    return descriptor


def certificate(folder: Path, addresses: Sequence[str]) -> tuple[Path, Path]:
    """Make a certificate for some addresses, and its key."""
    key, made = folder / "key.pem", folder / "certificate.pem"
    names = ",".join(f"IP:{address}" for address in addresses)
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "7", "-subj", "/CN=testbed"]
    subprocess.run(
        [*command, "-addext", f"subjectAltName={names}", "-keyout", key, "-out", made], check=True, stderr=-3
    )
    return made, key


def main() -> int:
    """Build it, run the command in it, and take it down."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=2)
    parser.add_argument("--up", type=float, default=20.0, help="rate of uplinks [Mbit/s]")
    parser.add_argument("--down", type=float, default=50.0, help="rate of downlinks [Mbit/s]")
    parser.add_argument("--delay", type=float, default=20.0, help="one way [ms]")
    parser.add_argument("--loss", type=float, default=0.0, help="share of packets [%%]")
    parser.add_argument("--queue", type=float, default=400.0, help="longest wait of a packet [ms]")
    parser.add_argument("--control", default="cubic", help="congestion control: cubic, bbr or reno")
    parser.add_argument("command", nargs="+", help="a command of paraSim, such as live FILE --dry")
    given = parser.parse_args()
    if os.geteuid():
        parser.error("needs root: it makes network namespaces")
    paraSim = [sys.executable, "-m", "parasim"]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (folder / "token").write_text(secrets.token_urlsafe(32))
        server = stack.enter_context(namespace(SERVER))
        directions, agents = [], []
        addresses = [f"10.77.{number}.2" for number in range(given.clients)]
        made, key = certificate(folder, addresses)
        for number, address in enumerate(addresses):
            space = stack.enter_context(namespace(CLIENT.format(number)))
            across = f"10.77.{number}.1"
            there = tun(space, "access", address, across, given.control)
            here = tun(server, f"access{number}", across, address, given.control)
            shape = given.delay / 1e3, given.queue / 1e3, given.loss / 100
            directions.append(Direction(there, here, given.up * 1e6 / 8, *shape))
            directions.append(Direction(here, there, given.down * 1e6 / 8, *shape))
            listen = ["agent", "--listen", f"{address}:{PORT}", "--token", str(folder / "token")]
            dry = ["--dry"] if "--dry" in given.command else []
            agents.append(
                subprocess.Popen(
                    ["ip", "netns", "exec", space, *paraSim, *listen, "--certificate", made, "--key", key, *dry]
                )
            )
        over = threading.Event()
        carrying = threading.Thread(target=relay, args=(directions, over))
        carrying.start()
        try:
            named = ["--agents", ",".join(f"{address}:{PORT}" for address in addresses), "--no-shaping"]
            secret = ["--token", str(folder / "token"), "--authority", str(made)]
            run = ["ip", "netns", "exec", server, *paraSim, *given.command, *named, *secret]
            return subprocess.run(run, check=False).returncode
        finally:
            for agent in agents:
                agent.send_signal(signal.SIGTERM)
                agent.wait()
            over.set()
            carrying.join()


if __name__ == "__main__":
    sys.exit(main())
