"""Memory of a GPU beside a step's tensors: cuBLAS's workspaces, what the allocator keeps, and CUDA's context."""

from __future__ import annotations

from dataclasses import dataclass

from parasim_core.calibration.devices.catalogue import CatalogueDevice
from parasim_core.calibration.memory.together import Together
from parasim_core.calibration.memory.trace import StepTrace

MIB = 2**20
WORKSPACE = {"h100": 32 * MIB, "h200": 32 * MIB, "b200": 32 * MIB}
"""Workspace of cuBLAS that PyTorch sets aside for every thread that multiplies: 32 MiB from Hopper on, else 8.125 MiB
(CUBLAS_WORKSPACE_CONFIG's default, ``:4096:2:16:8``)."""
OLDER_WORKSPACE = 8 * MIB + MIB // 8
THREADS = 2
"""The forward pass and autograd's own thread."""
CONTEXT = 500 * MIB
"""CUDA's context with the kernels of PyTorch and cuBLAS that a step loads: 400 to 600 MiB as `nvidia-smi` shows it."""


@dataclass(frozen=True)
class DevicePeak:
    """Memory at its highest, by who tells it [B].

    Attributes
    ----------
    allocated : int
        Of tensors and workspaces: ``torch.cuda.max_memory_allocated``.
    reserved : int
        What the caching allocator holds: ``max_memory_reserved``.
    device : int
        What the driver shows: ``nvidia-smi``.
    """

    allocated: int
    reserved: int
    device: int


def device_peak(trace: StepTrace, device: CatalogueDevice, together: Together | None = None) -> DevicePeak:
    """Predict what a step takes of a GPU's memory.

    Parameters
    ----------
    trace : StepTrace
        The step.
    device : CatalogueDevice
        Where it runs.
    together : Together, optional
        GPUs that take it together; one alone if None.
    """
    each = together or Together()
    tensors = max(each.on_each(peak).total for peak in trace.peaks)
    allocated = tensors + THREADS * WORKSPACE.get(device.name.split("-")[0], OLDER_WORKSPACE)
    reserved = allocated + max(0, trace.reserved - trace.peak.total)
    return DevicePeak(allocated, reserved, reserved + CONTEXT)
