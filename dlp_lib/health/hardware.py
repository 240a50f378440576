"""Check PyTorch, what it computes on, and the memory of the machine."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator

from . import base
from .base import Finding

TORCH = """import torch, torchvision
torchvision.ops.nms(torch.zeros(1, 4), torch.zeros(1), 0.5)
versions = f"torch {torch.__version__}, torchvision {torchvision.__version__}"
print(f"{versions}, {torch.get_num_threads()} CPU thread(s)")"""
GPU = """import torch
torch.ones(2, device="cuda").sum().item()
print(torch.cuda.get_device_name())"""
MEMORY = "import psutil; print(psutil.virtual_memory().available)"
_LEAST_MEMORY = 2e9  # bytes
# What PyTorch says of a GPU that it does not count, so that notebooks take the CPU; and what helps.
_REMEDIES = {
    "not compiled": (
        "Install torch and torchvision again, with CUDA: https://pytorch.org/get-started"
    ),
    "driver": (
        "Update NVIDIA's driver, or install a PyTorch for an older CUDA: "
        "https://pytorch.org/get-started"
    ),
    "No CUDA GPUs": "Unset CUDA_VISIBLE_DEVICES, if it is set; otherwise restart the machine.",
}


def compute() -> Iterator[Finding]:
    """Check PyTorch, the GPU, and memory.

    PyTorch is started in a process of its own, as a broken one may end it.
    """
    torch = base.run(sys.executable, "-c", TORCH)
    if torch.works:
        yield Finding("ok", torch.text)
        yield _check_gpu()
    else:
        yield Finding("problem", f"PyTorch does not work: {torch.text}", _torch_remedy(torch.text))
    yield _check_memory()


def _torch_remedy(error: str) -> str:
    if "No module named" in error:
        return base.INSTALL
    return (
        f"Both from one source: {base.PIP} --force-reinstall torch torchvision "
        "(without a GPU: as in docs/INSTALL.md)"
    )


def _check_gpu() -> Finding:
    gpu = base.run(sys.executable, "-c", GPU)
    if gpu.works:
        return Finding("ok", f"GPU: {gpu.text}")
    nvidia_smi = shutil.which("nvidia-smi")
    if not nvidia_smi:
        return Finding("ok", "no NVIDIA GPU, and no other kind (Apple's, say) is used")
    card = base.run(nvidia_smi, "-L").text  # or why there is no answer
    for sign, remedy in _REMEDIES.items():
        if sign in gpu.text:
            return Finding("warning", f"notebooks take the CPU, not {card}: {gpu.text}", remedy)
    return Finding("problem", f"{card} fails: {gpu.text}", 'Set device = "cpu" in the notebooks.')


def _check_memory() -> Finding:
    memory = base.run(sys.executable, "-c", MEMORY)
    if not memory.works:
        return Finding("ok", f"free memory is not known: {memory.text}")
    available = int(memory.text)
    found = f"{available / 1e9:.1f} GB of memory are free"
    if available > _LEAST_MEMORY:
        return Finding("ok", found)
    return Finding("warning", found, "Close programs, and notebooks that are done.")
