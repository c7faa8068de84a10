"""What `torch.compile`, or fused kernels written by hand, leave of the operators between matrix products.

Few kernels read and write what they must. A chain of elementwise operators and reductions becomes one kernel. What it
makes stays in registers until something else needs it: a matrix product, which reads it from memory. What the backward
pass needs of it, it makes again from what the chain began with. Kernels of one pass read a tensor once between them,
as fused siblings do.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from parasim_core.calibration.devices.operators import Operator, Phase
from parasim_core.calibration.memory.allocations import Holding

MOST_READ = 4
"""A chain that reads more tensors than this is written to memory and begins anew, as TorchInductor does
(`realize_reads_threshold`)."""


@dataclass
class Fusion:
    """Follows which results are in memory, and which only in registers."""

    _roots: dict[Holding, frozenset[Holding]] = field(default_factory=dict)
    _phase_of: dict[Holding, Phase] = field(default_factory=dict)
    _bytes: dict[Holding, int] = field(default_factory=dict)
    _read: set[tuple[Holding, Phase]] = field(default_factory=set)
    _pending: int = 0

    def fuses(self, operands: Iterable[Holding], results: Iterable[Holding], phase: Phase) -> None:
        """Take an elementwise operator or a reduction into the open kernel.

        Parameters
        ----------
        operands, results : iterable of Holding
            What it reads and what it makes; a result that is there already is changed in place.
        phase : Phase
            When it runs.
        """
        began: set[Holding] = set()
        for operand in operands:
            if operand in self._roots and self._phase_of[operand] is phase:
                began |= self._roots[operand]
                continue
            for root in self._roots.get(operand, frozenset({operand})):
                self._pending += self._once(root, phase)
                began.add(root)
        for result in results:
            if result in began or result in self._bytes:
                self._pending += self._bytes.get(result, result.size)
                continue
            if len(began) > MOST_READ:
                self._pending += result.size
                continue
            self._roots[result], self._phase_of[result] = frozenset(began), phase
            self._bytes[result], result.size = result.size, 0

    def needs(self, operands: Iterable[Holding], phase: Phase) -> Operator | None:
        """Let something that is not fused read tensors: those in registers are written to memory first.

        Returns
        -------
        Operator or None
            The kernel that ends here, if anything is written.
        """
        written = 0
        for operand in operands:
            if self._roots.pop(operand, None) is not None:
                operand.size = self._bytes[operand]
                written += operand.size
        return self._kernel(written, phase) if written else None

    def ends(self, phase: Phase) -> Operator | None:
        """Close the kernel that is open at the end of a phase, if there is one."""
        return self._kernel(0, phase) if self._pending else None

    def _once(self, holding: Holding, phase: Phase) -> int:
        if (holding, phase) in self._read:
            return 0
        self._read.add((holding, phase))
        return self._bytes.get(holding, holding.size)

    def _kernel(self, written: int, phase: Phase) -> Operator:
        traffic, self._pending = self._pending + written, 0
        return Operator("fused", phase, "bfloat16", 0, traffic)
