"""Faults of conditions: columns of numbers, from the data to the samples."""

from __future__ import annotations

from tests.mutations.fault import Fault

COLUMNS, PROBE = "tests/conditions/test_columns.py", "tests/conditions/test_probe.py"
MODEL, EVALUATION = "tests/model/test_vector_condition.py", "tests/evaluation/test_conditional.py"
TABLES = "tests/data/test_table_file.py"

FAULTS = [
    Fault(
        "conditions-in-their-own-units",
        "ConditionColumns.context",
        "self.standardization.to_standard(rows.double().cpu())",
        "rows.double().cpu()",
        "Kilograms and horsepower reach the network as they are.",
        COLUMNS,
        "mean_zero",
    ),
    Fault(
        "the-mean-is-no-condition",
        "ConditionColumns.context",
        "torch.ones(len(z), 1, dtype=z.dtype)",
        "torch.zeros(len(z), 1, dtype=z.dtype)",
        "A sample under the mean of the conditions is one without a condition.",
        COLUMNS,
        "mean_zero",
    ),
    Fault(
        "the-first-row-for-all",
        "ConditionColumns._by_position",
        "rows.expand(n, columns)",
        "rows.reshape(-1, columns)[:1].expand(n, columns)",
        "All samples have the first one's condition.",
        MODEL,
        "row_for_each",
    ),
    Fault(
        "columns-in-the-order-that-they-came-in",
        "ConditionColumns._by_name",
        '_numbers(given[name], f"the condition {name!r}") for name in self.names',
        '_numbers(given[name], f"the condition {name!r}") for name in given',
        "{weight: 2800, power: 110} is a car of 2800 horsepower.",
        COLUMNS,
        "same_numbers",
    ),
    Fault(
        "all-conditions-dropped-together",
        "Batches._dropped",
        "own.get(name, together)",
        "together",
        "The share of the condition is that of the labels.",
        MODEL,
        "own_share",
    ),
    Fault(
        "a-condition-that-was-never-dropped-left-out",
        "ConditionColumns.refuse_none",
        "self.dropout == 0",
        "self.dropout < 0",
        "A model that has never seen a dropped condition samples without one.",
        MODEL,
        "always_needs",
    ),
    Fault(
        "the-probe-asks-the-zero-function",
        "_perturbed",
        "NOISE * noise",
        "0 * noise",
        "A new network, which is zero, ignores everything.",
        PROBE,
        "begin_as_zero",
    ),
    Fault(
        "the-split-looks-at-the-data-alone",
        "OwnData._rows",
        "a + b",
        "a",
        "A table whose one column has three values holds out whole values.",
        TABLES,
        "few_values",
    ),
    Fault(
        "samples-compared-without-their-conditions",
        "Evaluator.with_condition",
        "self.condition is None or x.ndim != 2",
        "True",
        "A model that ignores its condition is as good as one that heeds it.",
        EVALUATION,
        "as_good_as_real",
    ),
]
