"""The rows of docs/faults.md: what is injected, what is expected, the tests that do it, and how often.

A test that counts attempts of its own is worth as many as it makes; any other is one attempt. `attempts` was fixed before
the run; `table` refuses to write another number.
"""

from __future__ import annotations

from tests.faults.row import Row
from tests.faults.rows_of_inputs import ROWS_OF_INPUTS

HERE, TRAINING, CLI = "tests/faults/test_", "tests/training/test_", "tests/cli/test_"
REPORT = "tests/report/test_"

ROWS = [
    Row(
        "SIGKILL at a random moment of training and saving, moments fixed by a seed; restart",
        "the newest checkpoint verifies and has the weights of the undisturbed run; no acknowledged step lost; orphans swept",
        100,
        (f"{HERE}killed.py::test_killed_at_any_moment[100]",),
    ),
    Row(
        "SIGKILL before each single change of the disk, in two saves with their prunings, and in an empty folder",
        "the same",
        42,
        (f"{HERE}killed.py::test_killed_before_each_change_of_the_disk", f"{HERE}killed.py::test_killed_at_the_very_start"),
    ),
    Row(
        "SIGKILL before each single change of the disk in two steps with snapshots, and at random moments of such a run",
        "every snapshot verifies and has the averages of the undisturbed run; the run that goes on leaves all of them",
        87,
        (f"{HERE}killed_snapshots.py::test_killed_before", f"{HERE}killed_snapshots.py::test_killed_at_any_moment[50]"),
    ),
    Row(
        "power cut: the order of synchronisation and renaming is watched",
        "every file is on the disk before the checkpoint gets its name",
        1,
        (f"{TRAINING}checkpoint.py::test_all_is_on_the_disk_before_it_gets_its_name",),
    ),
    Row(
        "each file of the newest checkpoint truncated at 0, 1, 50, 99.9%",
        "refused in a sentence, the one before is found with a warning, nothing deleted",
        20,
        (f"{TRAINING}checkpoint.py::test_a_truncated_file_is_noticed",),
    ),
    Row(
        "one random bit of the newest checkpoint flipped",
        "the same",
        1000,
        (f"{HERE}damaged.py::test_one_flipped_bit_of_the_newest_checkpoint[1000]",),
    ),
    Row(
        "a file of it missing (the manifest too), exchanged, or something else in its place",
        "the same",
        7,
        (
            f"{TRAINING}checkpoint.py::test_a_missing_file_is_noticed",
            f"{TRAINING}checkpoint.py::test_a_file_or_an_empty_folder_in_its_place",
            f"{TRAINING}checkpoint.py::test_exchanged_checkpoints",
        ),
    ),
    Row(
        "all checkpoints bad, for train and for sample: manifests missing, weights truncated, folders empty, files there",
        "one sentence, exit code 2, nothing deleted, nothing begun anew",
        10,
        (
            f"{HERE}damaged.py::test_all_bad_is_a_sentence_and_code_2",
            f"{TRAINING}checkpoint.py::test_all_bad_is_one_sentence",
            f"{TRAINING}checkpoint.py::test_a_run_whose_checkpoints_are_all_bad",
        ),
    ),
    Row(
        "a file beside the checkpoints (configuration, versions, reports, model, lock) truncated, or one bit of it flipped",
        "the run goes on to the same weights, or one sentence names the file",
        349,
        (
            f"{HERE}damaged.py::test_one_flipped_bit_beside_the_checkpoints[300]",
            f"{HERE}damaged.py::test_a_truncated_file_beside",
            f"{HERE}damaged.py::test_a_report_leaves_out",
        ),
    ),
    Row(
        "killed in the middle of every step k of a short run, closed after every step, killed after every save; resume",
        "bit-equal weights, average, moments, counters, reports; the same samples, labels and generators in each step",
        25,
        (
            f"{HERE}resumed.py::test_killed_in_every_step",
            f"{TRAINING}resume.py::test_closed_after_any_step",
            f"{TRAINING}resume.py::test_killed_after_any_save",
        ),
    ),
    Row(
        "any single tensor or counter of a checkpoint dropped",
        "the run ends with other weights or is refused: the row above can fail",
        108,
        (
            f"{HERE}resumed.py::test_every_single_number_of_a_checkpoint_is_needed",
            f"{TRAINING}resume.py::test_each_item_is_needed",
        ),
    ),
    Row(
        "SIGTERM, SIGINT, SIGHUP, twice, mixed, to the process and to its group, in a step and during a save",
        "the step under way is saved, exit code 143, 130 or 129, the same command then ends with the undisturbed weights",
        36,
        (f"{HERE}signalled.py::test_a_signal_ends_the_command",),
    ),
    Row(
        "the same from outside at a random moment, one to three times; to the group of a real process with a helper",
        "the same",
        62,
        (f"{HERE}signalled.py::test_a_signal_at_any_moment[60]", f"{HERE}signalled.py::test_the_real_command"),
    ),
    Row(
        "disk full (RLIMIT_FSIZE; ENOSPC at each synchronisation) at checkpoints, reports and the first file",
        "an error that names the file; never said to be saved; old checkpoints as they were, nothing half written",
        17,
        (
            f"{HERE}full_disk.py::test_a_checkpoint_for_which_there_is_no_room",
            f"{HERE}full_disk.py::test_the_disk_is_full",
            f"{HERE}full_disk.py::test_reports_for_which",
            f"{HERE}full_disk.py::test_a_run_stops_when",
            f"{HERE}full_disk.py::test_the_command_without_room",
            f"{HERE}full_disk.py::test_a_full_disk_is_told",
        ),
    ),
    Row(
        "a read-only folder (without the superuser's rights), something else in the place of a file or folder",
        "an error that names it; the checkpoints as they were, nothing half written",
        7,
        (f"{HERE}full_disk.py::test_a_read_only", f"{HERE}full_disk.py::test_the_command_in_a_read_only",
         f"{HERE}full_disk.py::test_checkpoints_that_may", f"{HERE}full_disk.py::test_something_else"),
    ),
    Row(
        "NaN or infinity in the loss, or in the gradient alone, for one step",
        "no parameter and no moment changes, the run goes on",
        9,
        (f"{TRAINING}train_loop.py::test_a_step_that_is_not_finite", f"{TRAINING}train_loop.py::test_a_skipped_step"),
    ),
    Row(
        "the same for as many steps in a row as `max_consecutive_skips`",
        "rolled back, in memory and on the disk, to the checkpoint before; exit code 3; without the fault the run goes on "
        "to the weights of the one that never had it",
        55,
        (f"{HERE}not_finite.py::",  f"{TRAINING}train_loop.py::test_a_run_that_never_was_finite"),
    ),
    Row(
        "out of memory in a step, forward and backward, in four kinds of error; in sampling",
        "one sentence that names batch_size, exit code 4, checkpoints intact, the run goes on from them",
        14,
        (f"{HERE}out_of_memory.py::",),
    ),
    Row(
        "safetensors as weights, as average and as optimizer: a 1e12 header, a deep one, 2^40 shapes, overlaps",
        "refused in a sentence, at most 48 MiB beyond a good checkpoint",
        21,
        (f"{HERE}hostile_files.py::test_hostile_files_are_refused_in_little_memory",),
    ),
    Row(
        "whole checkpoints with moments, counters or weights of another kind",
        "refused in a sentence, in as little memory",
        16,
        (f"{HERE}hostile_files.py::test_counters_and_moments", f"{TRAINING}checkpoint.py::test_weights_of_another_model",
         f"{TRAINING}checkpoint.py::test_moments_of_another_model"),
    ),
    Row(
        "YAML: alias bombs, depth 5000, Python tags, texts and numbers as long as may be, unknown keys, wrong types",
        "refused in a sentence within 1 s; nothing written",
        42,
        (f"{HERE}hostile_words.py::test_a_configuration_is_refused", f"{CLI}cli_refusals.py::test_a_hostile_configuration",
         f"{CLI}cli_refusals.py::test_a_bomb_on_the_command_line"),
    ),
    Row(
        "1e-4 and its spellings in YAML",
        "a float",
        9,
        (f"{HERE}hostile_words.py::test_a_small_float", f"{CLI}cli_words.py::test_numbers_are_those_of_yaml_1_2"),
    ),
    Row(
        "run names: ../x, absolute, NUL, 300 characters and others; a symbolic link in the run's place",
        "refused in a sentence; nothing written",
        27,
        (f"{CLI}cli_refusals.py::test_a_run_name_that",),
    ),
    Row(
        "<script>, </script>, U+2028, javascript:, quotes and Markdown in all texts of a page; a run's folder named so",
        "inert: no tag, attribute or address of theirs in the parsed page, which forbids itself all but its own pictures",
        12,
        (f"{REPORT}report.py::test_a_page_says_evil_words", f"{REPORT}report.py::test_the_page_forbids",
         f"{HERE}hostile_words.py::test_the_page_of_a_run", f"{HERE}hostile_words.py::test_a_dollar"),
    ),
    Row(
        "two runs in one folder: the second later, or both in the same millisecond, of one configuration and of two",
        "one trains, the other is refused in a sentence; the folder's configuration is that of the one that trains",
        27,
        (f"{HERE}two_runs.py::test_a_second_run", f"{HERE}two_runs.py::test_the_second_command",
         f"{HERE}two_runs.py::test_two_commands_at_once[the same run-12]",
         f"{HERE}two_runs.py::test_two_commands_at_once[another run-12]", f"{HERE}two_runs.py::test_the_lock_ends"),
    ),
    Row(
        "two processes stopped and gone on with by one; by two again (whole weights and shares)",
        "the losses and the weights of the undisturbed run, to the order of float32 additions (2e-5)",
        5,
        (f"{TRAINING}distributed.py::test_an_interrupt_of_one", f"{TRAINING}distributed.py::test_two_processes_go_on"),
    ),
    Row(
        "SIGKILL to one of two processes, under torchrun --max-restarts 1",
        "one restart, and the end of the undisturbed run",
        1,
        (f"{TRAINING}distributed.py::test_a_killed_process",),
    ),
    Row(
        "SIGKILL in every step of runs that read picture files, tar shards (0 and 2 workers) and streams, as one process and as two",
        "the losses, weights, moments and counters of the undisturbed run, bit for bit (whole weights and shares)",
        216,
        (f"{HERE}killed_reading.py::test_killed_in_every_step",),
    ),
    Row(
        "checkpoints in shares: both processes killed, 2 to 1 and 1 to 2 processes, damage of every file, pickles, another model",
        "the bits of whole checkpoints; the curve of one process; refused in a sentence before anything is read, nothing unpickled",
        12,
        (f"{HERE}shares.py::",),
    ),
    Row(
        "one of two processes hangs",
        "an error within its timeout",
        1,
        (f"{TRAINING}distributed.py::test_a_hanging_process",),
    ),
    Row(
        "NaN in the loss of one of two processes (whole weights and shares)",
        "skipped by both, nothing changes",
        2,
        (f"{TRAINING}distributed.py::test_what_is_not_finite_on_one",),
    ),
    Row(
        "a callback fails; it is interrupted, alone and in one of two processes",
        "a warning, and the undisturbed weights; the last whole step saved, the usual exit code",
        4,
        (f"{TRAINING}distributed.py::test_observers_of_two", f"{TRAINING}distributed.py::test_an_interrupt_of_a_look"),
    ),
    Row(
        "a job of sampling interrupted, a stored chunk of it truncated, its weights exchanged, a chunk missing",
        "whole chunks are taken, the others drawn again, the samples of the undisturbed job; or one sentence",
        4,
        (f"{CLI}generate_job.py::test_an_interrupted_job", f"{CLI}generate_job.py::test_chunks_of_other",
         f"{CLI}generate_job.py::test_a_chunk_that_nobody", f"{CLI}generate_job.py::test_the_last_chunk"),
    ),
    *ROWS_OF_INPUTS,
]  # fmt: skip
