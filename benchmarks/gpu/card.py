"""What the figures were measured on: the card, its driver and clock rates, and the versions of what ran on it."""

from __future__ import annotations

import platform
import re
import subprocess
from pathlib import Path

import torch

CLOCKS = {
    "clocks.sm": "SM clock, MHz",
    "clocks.max.sm": "largest SM clock, MHz",
    "clocks.mem": "memory clock, MHz",
    "power.draw": "power, W",
    "power.limit": "power limit, W",
    "temperature.gpu": "temperature, C",
}


def card(device: torch.device) -> dict[str, str]:
    """Facts by their names."""
    software = {"torch": torch.__version__, "python": platform.python_version()}
    if device.type != "cuda":
        return {"card": f"CPU, {cpu_name()}", "threads": str(torch.get_num_threads())} | software
    known = torch.cuda.get_device_properties(device)
    return {
        "card": known.name,
        "memory, GiB": f"{known.total_memory / 2**30:.0f}",
        "compute capability": f"{known.major}.{known.minor}",
        "driver": driver(),
        "CUDA of torch": str(torch.version.cuda),
        "cuDNN": str(torch.backends.cudnn.version()),
    } | software


def clocks(device: torch.device) -> dict[str, str]:
    """Clock rates, power and temperature at this moment, as nvidia-smi says; empty where it does not."""
    if device.type != "cuda":
        return {}
    line = smi(f"--query-gpu={','.join(CLOCKS)}", "--format=csv,noheader,nounits", *of(device))
    values = [value.strip() for value in line.split("\n")[0].split(",")]
    return dict(zip(CLOCKS.values(), values, strict=True)) if len(values) == len(CLOCKS) else {}


def driver() -> str:
    """The version of the driver; by the kernel's own word where there is no nvidia-smi."""
    asked = smi("--query-gpu=driver_version", "--format=csv,noheader").split("\n")[0].strip()
    if asked:
        return asked
    found = re.search(r"Module\s+([\d.]+)", text_of("/proc/driver/nvidia/version"))
    return found.group(1) if found else "unknown: there is no nvidia-smi"


def of(device: torch.device) -> list[str]:
    """The option that names this GPU of several; nothing where it cannot be named."""
    number = str(getattr(torch.cuda.get_device_properties(device), "uuid", ""))
    named = number if number.startswith(("GPU-", "MIG-")) else f"GPU-{number}"
    known = number and smi("--query-gpu=uuid", "--format=csv,noheader", "-i", named)
    return ["-i", named] if known else []


def smi(*arguments: str) -> str:
    """What nvidia-smi answers; nothing where it is missing, fails or takes long."""
    try:
        done = subprocess.run(
            ["nvidia-smi", *arguments], capture_output=True, text=True, timeout=10, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def cpu_name() -> str:
    """As the kernel calls it."""
    found = re.search(r"model name\s*:\s*(.+)", text_of("/proc/cpuinfo"))
    return found.group(1) if found else platform.processor()


def text_of(path: str) -> str:
    """The text of a file; nothing where there is none."""
    return Path(path).read_text(errors="replace") if Path(path).is_file() else ""
