"""Faults of the readers of one's own data, and of what a run knows of its data."""

from __future__ import annotations

from tests.mutations.fault import Fault

ARRAYS, TABLES, SIGNALS = (f"tests/data/test_{name}.py" for name in ("array_file", "table_file", "signal_folder"))
OWN = "tests/cli/test_own_data.py"

FAULTS = [
    Fault(
        "held-out-rows-trained-on",
        "OwnData._rows",
        'return {"train": (~apart).nonzero()[:, 0], "held_out": apart.nonzero()[:, 0]}',
        'return {"train": torch.arange(len(apart)), "held_out": apart.nonzero()[:, 0]}',
        "The held-out samples are among those that are trained on.",
        ARRAYS,
        "split_by_their_bytes",
    ),
    Fault(
        "numbers-nobody-looks-at",
        "checked_rows",
        "if not good.all():",
        "if False:",
        "NaN in a file is trained on.",
        ARRAYS,
        "one_sentence",
    ),
    Fault(
        "channels-left-behind",
        "_images",
        "np.moveaxis(values, -1, 1)",
        "values",
        "The rows of an image taken for its channels.",
        ARRAYS,
        "channels_first",
    ),
    Fault(
        "labels-of-other-rows",
        "OwnData.batch",
        "self._contents.labels[0][rows]",
        "self._contents.labels[0][indices]",
        "Labels by the place in the split, samples by the place in the file.",
        ARRAYS,
        "by_key_and_by_file",
    ),
    Fault(
        "years-as-numbers-of-classes",
        "labels_of_file",
        "values[-1] < 2 * len(values)",
        "values[-1] < 2000 * len(values)",
        "Two years become 2022 classes.",
        TABLES,
        "years_are_their_names",
    ),
    Fault(
        "cells-in-pythons-numbers",
        "_Cells.numbers",
        "isinstance(cell, str) and bool(_NUMBER.fullmatch(cell))",
        "isinstance(cell, str) and cell.replace('_', '').replace('.', '').isdigit()",
        "1_000 is read as a thousand.",
        TABLES,
        "names_file_column_and_row",
    ),
    Fault(
        "unsigned-sound-without-its-zero",
        "_wav",
        "128.0 if signal.dtype == np.uint8 else 0.0",
        "0.0",
        "Silence of an 8-bit sound becomes the value 1.",
        SIGNALS,
        "largest_magnitude",
    ),
    Fault(
        "other-data-measured-without-a-word",
        "_compare",
        "fits and model.digest_of(source, labels, given) == model.data_digest",
        "fits",
        "Measuring commands take any data of the shape.",
        OWN,
        "others_are_refused or are_a_warning",
    ),
    Fault(
        "samples-above-unseen",
        "ks_distance",
        "(shares[0] - shares[1]).abs().max()",
        "(shares[0] - shares[1]).max()",
        "Samples that are all too large are at no distance.",
        "tests/evaluation/test_columns.py",
        "in_the_units_of_the_table or that_of_scipy",
    ),
    Fault(
        "a-place-from-here",
        "RunConfig.as_dict",
        'parts["data"] = absolute(parts["data"])',
        "pass",
        "A run keeps a path that is another one from another folder.",
        OWN,
        "mlp_that_takes",
    ),
    Fault(
        "texts-of-a-list-as-numbers",
        "written",
        "written(item, text) for item in value",
        "written(item) for item in value",
        "A column called 2024 is looked up as a number.",
        OWN,
        "look_like_numbers",
    ),
]
