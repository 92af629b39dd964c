"""How the machines compute a step. None of it changes what is computed, only speed, memory and the last bits."""

from __future__ import annotations

from dataclasses import dataclass

PRECISIONS = ("float32", "tf32", "bfloat16", "float16")
ENGINES = ("replicated", "sharded")


@dataclass(frozen=True)
class ComputeSettings:
    """How a step is computed.

    Attributes:
        precision: float32 (no TF32 anywhere), tf32, bfloat16 or float16 (autocast; weights, average, loss in float32).
        compile: whether the network goes through torch.compile.
        channels_last: whether pictures lie in memory with their channels last, as convolutions on GPUs like it.
        engine: with several processes: replicated (DDP, whole weights everywhere) or sharded (FSDP2, a share each).
        timeout: seconds after which a process that waits for another one gives up.
    """

    precision: str = "float32"
    compile: bool = False
    channels_last: bool = False
    engine: str = "replicated"
    timeout: float = 600.0

    def __post_init__(self) -> None:
        """Raises ValueError for a precision or an engine that nobody knows, or a timeout that is not positive."""
        for name, known in (("precision", PRECISIONS), ("engine", ENGINES)):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} is one of {', '.join(known)}, got {getattr(self, name)!r}; correct it")
        if not 0 < self.timeout < float("inf"):
            raise ValueError(f"timeout is a positive number of seconds, got {self.timeout}; 600 is usual")
