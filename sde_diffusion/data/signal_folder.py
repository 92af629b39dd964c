"""Signals of one's own: a folder of .npy or .wav files, one signal each, flat or with a sub-folder for each class."""

from __future__ import annotations

import warnings
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sde_diffusion.data.labels import Labels, class_labels
from sde_diffusion.data.own_data import Contents, OwnData

SUFFIXES = (".npy", ".wav")


@dataclass(frozen=True)
class SignalFolder(OwnData):
    """The signals root/**/*.npy and *.wav, (C, L) each, in the order of their names; hidden files are passed over.

    A file of shape (L,) has one channel. Integers of a .wav are divided by their largest magnitude. All signals have one
    shape; with `length` each is cut, or filled with zeros at its end, to that many numbers. Sub-folders of the root are
    classes. `held_out`, `seed`: the share of the files that is kept from training, and the key of the hash of their names
    that picks it.
    """

    root: str
    length: int | None = None
    held_out: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        if self.length is not None and self.length < 1:
            raise ValueError(f"length is a number of samples, at least 1, got {self.length}")

    @property
    def place(self) -> str:
        """The folder."""
        return self.root

    def read(self) -> Contents:
        """All signals, float32 (N, C, L)."""
        files, others = files_below(self.root, SUFFIXES)
        if not files:
            raise ValueError(f"{self.root!r} holds no {' or '.join(SUFFIXES)} files; name a folder of signals")
        signals, notes = self._signals(files)
        names = [file.relative_to(self.root).as_posix() for file in files]
        labels, about = _classes(names)
        items = tuple(name.encode("utf-8", "surrogateescape") for name in names)
        return Contents(signals, labels, items, (*notes, *about, *_passed_over(others)))

    def _signals(self, files: list[Path]) -> tuple[np.ndarray, list[str]]:
        read, faults = [], []
        for file in files:
            try:
                read.append(read_signal(file))
            except ValueError as error:
                faults.append(str(error))
        _refuse(faults, "remove or replace them")
        rates = sorted({rate for _, rate, _ in read if rate is not None})
        if len(rates) > 1:
            raise ValueError(f"{self.root!r} holds .wav files of {rates} samples a second; bring them to one rate")
        kinds = Counter(kind for *_, kind in read if kind is not None)
        notes = [f"the samples of {n} .wav files are {kind}, scaled to -1 to 1" for kind, n in kinds.items()]
        return self._of_one_shape(files, [signal for signal, *_ in read], notes)

    def _of_one_shape(
        self, files: list[Path], read: list[np.ndarray], notes: list[str]
    ) -> tuple[np.ndarray, list[str]]:
        if self.length is not None:
            lengths = [signal.shape[-1] for signal in read]
            read = [_fitted(signal, self.length) for signal in read]
            cut, filled = sum(n > self.length for n in lengths), sum(n < self.length for n in lengths)
            notes = [
                *notes,
                f"of {len(read)} signals {cut} are cut and {filled} filled with zeros to length {self.length}",
            ]
        usual = Counter(signal.shape for signal in read).most_common(1)[0][0]
        odd = [f"{str(f)!r} has {s.shape}" for f, s in zip(files, read, strict=True) if s.shape != usual]
        _refuse(odd, f"most have {usual}; signals (C, L) have one shape, and length=L cuts or fills them")
        return np.stack(read).astype(np.float32), notes


def read_signal(file: Path) -> tuple[np.ndarray, int | None, str | None]:
    """(C, L), the sampling rate, and the words for integers that were scaled. ValueError names a file that is no signal."""
    try:
        if not file.is_file():
            raise ValueError("it is no file")
        signal, rate, kind = (_wav if file.suffix.lower() == ".wav" else _npy)(file)
        if signal.ndim not in (1, 2) or signal.size == 0 or signal.dtype.kind not in "iuf":
            raise ValueError(f"it holds {signal.dtype} of shape {signal.shape}, not real numbers (L,) or (C, L)")
        if not np.isfinite(signal).all():
            raise ValueError("it holds NaN or infinite numbers")
    except Exception as error:  # what the readers raise for damage is of any kind
        words = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{str(file)!r} ({words})") from error
    return np.atleast_2d(signal), rate, kind


def files_below(root: str, suffixes: tuple[str, ...]) -> tuple[list[Path], list[Path]]:
    """The files of these suffixes below a folder, sorted by name, and all others; hidden ones are in neither."""
    folder = Path(root)
    if "\0" in root or not folder.is_dir():
        raise ValueError(f"{root!r} is no folder; name one")
    found = sorted(path for path in folder.rglob("*") if not path.is_dir())
    shown = [path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts)]
    taken = [path for path in shown if path.suffix.lower() in suffixes]
    return taken, [path for path in shown if path.suffix.lower() not in suffixes]


def _npy(file: Path) -> tuple[np.ndarray, None, None]:
    return np.load(file, allow_pickle=False), None, None


def _wav(file: Path) -> tuple[np.ndarray, int, str | None]:
    from scipy.io import wavfile

    with warnings.catch_warnings():
        warnings.simplefilter("error", wavfile.WavFileWarning)  # a file that ends early
        warnings.filterwarnings("ignore", "Chunk .non-data. not understood", wavfile.WavFileWarning)
        rate, signal = wavfile.read(file)
    channels_first = signal.T
    if signal.dtype.kind == "f":
        return channels_first, rate, None
    bits = 8 * signal.dtype.itemsize
    zero = 128.0 if signal.dtype == np.uint8 else 0.0
    return (channels_first - zero) / 2 ** (bits - 1), rate, f"{bits}-bit integers"


def _fitted(signal: np.ndarray, length: int) -> np.ndarray:
    """(C, L) cut or filled with zeros at its end to (C, length)."""
    return np.pad(signal[:, :length], ((0, 0), (0, max(0, length - signal.shape[1]))))


def _classes(names: list[str]) -> tuple[Labels | None, tuple[str, ...]]:
    """The classes by the first folder of each name; none where a file lies in no sub-folder, with a word on it."""
    flat = sum("/" not in name for name in names)
    if flat:
        mixed = f"{flat} of {len(names)} files lie in no sub-folder, so that the sub-folders are no classes"
        return None, (mixed,) if flat < len(names) else ()
    return class_labels([name.partition("/")[0] for name in names]), ()


def _passed_over(others: list[Path]) -> tuple[str, ...]:
    if not others:
        return ()
    kinds = Counter(path.suffix.lower() or "no suffix" for path in others).most_common()
    return (f"{len(others)} other files passed over: {', '.join(f'{n} {kind}' for kind, n in kinds)}",)


def _refuse(faults: list[str], remedy: str) -> None:
    """Raises one ValueError for all faults, which it names up to ten of."""
    if faults:
        more = f" and {len(faults) - 10} more" if len(faults) > 10 else ""
        raise ValueError(f"{len(faults)} files cannot be used: {', '.join(faults[:10])}{more}; {remedy}")
