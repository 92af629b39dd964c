"""What the pages and docstrings say of faults, sentence by sentence, and the tests that would fail if it were not so.

`test_claims` keeps this complete: every sentence of the pages has its line here, every sentence here stands where it is said to
stand, and every test exists.
"""

from __future__ import annotations

FAULTS, TRAINING, CLI, SHARING = "tests/faults/test_", "tests/training/test_", "tests/cli/test_", "tests/sharing/test_"
SIGNALLED, NOT_FINITE, FULL = (
    f"{FAULTS}signalled.py::test_",
    f"{FAULTS}not_finite.py::test_",
    f"{FAULTS}full_disk.py::test_",
)
OBSERVING, LOOP, CHECKPOINT = (f"{TRAINING}{name}.py::test_" for name in ("observing", "train_loop", "checkpoint"))
DISTRIBUTED = f"{TRAINING}distributed.py::test_"
ENDS_WELL = f"{SIGNALLED}a_signal_ends_the_command_in_good_order"
WORKERS_END = f"{TRAINING}workers.py::test_workers_end_with_a_run_that_a_signal_to_its_group_ends"
UNTIL_GONE = f"{SIGNALLED}signals_until_the_process_is_gone"

Claims = dict[str, tuple[str, ...]]

TRAINING_FAULTS: Claims = {
    "What the exit code of `sde-diffusion train` (and of every other command) means:":
        (f"{SIGNALLED}the_codes_are_documented", f"{FAULTS}full_disk_commands.py::test_a_command_on_a_full_disk",
         f"{NOT_FINITE}the_command_ends_with_code_3", f"{FAULTS}out_of_memory.py::test_the_command_ends_with_code_4",
         f"{FAULTS}out_of_memory.py::test_the_command_that_samples_ends_with_code_4_too"),
    "129, 130 and 143 are 128 and the number of the signal, as in shells.": (ENDS_WELL,),
    "Codes 2 to 143 come with one sentence on the standard error.":
        (ENDS_WELL, UNTIL_GONE, f"{FAULTS}damaged.py::test_all_bad_is_a_sentence_and_code_2"),
    "In every case the same command goes on from what is on the disk, to the same bits as an undisturbed run.":
        (ENDS_WELL, f"{FAULTS}killed.py::test_killed_at_any_moment", f"{NOT_FINITE}a_row_rolls_the_run_back_and_stops_it",
         f"{FAULTS}out_of_memory.py::test_a_starved_step", f"{FULL}a_checkpoint_for_which_there_is_no_room"),
    "**Signals** are deferred to the end of the step, or of the save, that is under way.": (ENDS_WELL,),
    "Then the step is saved and the command ends.": (ENDS_WELL, f"{SIGNALLED}a_signal_at_any_moment"),
    "The first signal counts, and further ones are ignored until the process has ended.": (ENDS_WELL, UNTIL_GONE),
    "The message says up to which step the run is saved.": (ENDS_WELL, f"{SIGNALLED}a_signal_at_any_moment"),
    "A signal to the process and one to its group are the same: processes that read the data leave it to the run and end with it.":
        (ENDS_WELL, f"{SIGNALLED}the_real_command_in_its_group", WORKERS_END),
    "Under `nohup` SIGHUP stays ignored.": (f"{SIGNALLED}a_hang_up_that_is_ignored_stays_so",),
    "In Python, `train` leaves SIGTERM and SIGHUP as the host program has them, and defers them where that program has a handler.":
        (f"{SIGNALLED}outside_the_block_sigterm_is_what_it_was", f"{SIGNALLED}a_host_that_handles_sigterm_keeps_its_handler",
         f"{TRAINING}resume.py::test_an_interrupt_in_the_middle_of_a_step_waits_for_its_end"),
    "**A checkpoint** is a folder of safetensors and JSON, without pickles: `model.safetensors`, `ema.safetensors`, "
    "`optimizer.safetensors`, `state.json`, `power.safetensors` where power-function averages are tracked, and "
    "`objective.safetensors` where the objective learns.":
        (f"{TRAINING}learnt_objective.py::test_what_it_has_learnt_decides_the_steps_to_come",
         f"{TRAINING}checkpoint_readers.py::test_a_whole_checkpoint_is_read", f"{CHECKPOINT}a_missing_file_is_noticed",
         f"{FAULTS}hostile_files.py::test_hostile_files_are_refused_in_little_memory"),
    "`manifest.json` has the SHA-256 of each and is written last.":
        (f"{CHECKPOINT}all_is_on_the_disk_before_it_gets_its_name", f"{CHECKPOINT}a_flipped_bit_is_noticed"),
    "**Callbacks.** An error while pictures or the held-out loss are made, such as that of a full disk, is one warning, and the "
    "run goes on.": (f"{OBSERVING}an_error_is_one_warning_and_costs_nothing",
                     f"{CLI}cli_watch.py::test_a_picture_that_cannot_be_drawn_is_a_warning"),
    "An interrupt ends the command as at any other time, with the step saved ([progress](progress.md)).":
        (f"{OBSERVING}an_interrupt_of_a_look_leaves_the_step_saved", f"{DISTRIBUTED}an_interrupt_of_a_look_stops_both"),
    "**Not finite.** A step whose loss or gradient is not finite is skipped: it changes no parameter and no moment of Adam's.":
        (f"{LOOP}a_step_that_is_not_finite_changes_no_parameter", f"{LOOP}a_skipped_step_leaves_the_optimizer_alone"),
    "This is decided on the device.": ("tests/test_synchronisation.py::test_",),
    "While the last step was skipped, no checkpoint is written.":
        (f"{NOT_FINITE}a_long_row_does_not_push_good_checkpoints_out",),
    "It is written at the next synchronization with the device that finds a finite one.":
        (f"{NOT_FINITE}a_checkpoint_that_falls_due_in_a_row_is_saved_after_it",),
    "After `max_consecutive_skips` such steps in a row the model and its average return to the newest checkpoint, nothing is "
    "saved, and `FloatingPointError` (code 3) says so.":
        (f"{NOT_FINITE}a_row_rolls_the_run_back_and_stops_it", f"{NOT_FINITE}the_command_ends_with_code_3"),
    "This is noticed at the next synchronization, so perhaps a few steps later.": (f"{LOOP}a_few_in_a_row_stop_the_run",),
    "Without a checkpoint, or without a folder, the parameters are those of the last finite step.":
        (f"{NOT_FINITE}a_run_without_a_folder_keeps_its_parameters",
         f"{LOOP}a_run_that_never_was_finite_keeps_its_parameters"),
    "At the end of a run a warning says how many steps were skipped, and the run's report too.":
        ("tests/model/test_untrained.py::test_skipped_steps_are_summed_up",),
    "A run of which every step was skipped is untrained: its model says so when it is loaded or asked for samples.":
        ("tests/model/test_untrained.py::test_a_run_of_which_every_step_was_skipped_stays_untrained",),
    "Only a run that is interrupted between skipped steps saves among them; the number of skipped steps is saved too.":
        (f"{NOT_FINITE}a_row_goes_on_through_an_interruption",),
    "**Out of memory.** `torch.OutOfMemoryError` names `batch_size`.": (f"{FAULTS}out_of_memory.py::test_a_starved_step",),
    "That number decides the weights, so a smaller one is another run, in another folder.":
        (f"{TRAINING}resume.py::test_going_on_otherwise_is_refused",),
    "**Killed, or without room.** A checkpoint gets its name only when it is complete and on the disk.":
        (f"{CHECKPOINT}all_is_on_the_disk_before_it_gets_its_name",
         f"{FAULTS}killed.py::test_killed_before_each_change_of_the_disk"),
    "What an interrupted save left is deleted at the next start.": (f"{CHECKPOINT}orphans_are_swept_and_strangers_are_not",),
    "Damaged checkpoints are skipped with a warning, never deleted.":
        (f"{CHECKPOINT}all_bad_is_one_sentence_and_nothing_is_deleted", f"{CHECKPOINT}damaged_ones_are_set_aside_not_deleted"),
    "[faults.md](faults.md) counts the attempts to break this.":
        (f"{FAULTS}fault_table.py::test_the_page_is_that_of_a_run_in_which_all_passed",),
}  # fmt: skip

OUT_OF_MEMORY, FULL_COMMANDS = f"{FAULTS}out_of_memory.py::test_", f"{FAULTS}full_disk_commands.py::test_"
CODES: Claims = {
    "0 | done | the last checkpoint is that of the last step":
        (f"{FAULTS}streams.py::test_all_streams_closed", f"{TRAINING}resume.py::test_a_finished_run_is_not_trained_further"),
    "1 | a check failed (`check`), or a bug: a traceback | the last whole step, unless the error came in the middle of one":
        ("tests/testing/test_kit_doors.py::test_the_command_names_the_cause_and_ends_with_one",
         f"{OUT_OF_MEMORY}other_errors_are_not_taken_for_it",
         f"{TRAINING}resume.py::test_an_error_in_the_middle_of_a_step_saves_nothing_of_it"),
    "2 | refused: bad input, no room, files that are damaged or of another run, a folder in use | what was there before":
        (f"{CLI}natural_mistakes.py::test_typed_on_the_command_line", f"{FULL_COMMANDS}a_command_on_a_full_disk",
         f"{FAULTS}cases.py::test_every_command_refuses_an_edited_record",
         f"{FAULTS}damaged.py::test_all_bad_is_a_sentence_and_code_2",
         f"{FAULTS}two_runs.py::test_the_second_command_is_refused"),
    "3 | the numbers were not finite: in `train` the loss or its gradient for `training.max_consecutive_skips` steps in a row; in "
    "every command the weights that it read, or its samples, losses or log-probabilities | the last checkpoint before those steps; "
    "otherwise what was there before":
        (f"{NOT_FINITE}the_command_ends_with_code_3", f"{NOT_FINITE}a_row_rolls_the_run_back_and_stops_it",
         f"{FAULTS}not_finite_results.py::test_weights_are_looked_at_when_they_are_read",
         f"{FAULTS}not_finite_results.py::test_what_overflows_is_looked_at_when_it_leaves"),
    "4 | out of memory | the last checkpoint; the message names what to lower":
        (f"{OUT_OF_MEMORY}the_command_ends_with_code_4", f"{OUT_OF_MEMORY}the_command_that_samples_ends_with_code_4_too",
         f"{OUT_OF_MEMORY}a_starved_step"),
    "129 | SIGHUP: the terminal was closed | the last whole step": (ENDS_WELL, UNTIL_GONE),
    "130 | SIGINT, Ctrl-C | the last whole step": (ENDS_WELL, UNTIL_GONE),
    "143 | SIGTERM | the last whole step": (ENDS_WELL, UNTIL_GONE),
}  # fmt: skip
"""The rows of the table of exit codes in docs/training-faults.md."""

TABLE = f"{FAULTS}fault_table.py::test_"
OPENING: Claims = {
    "Written by `python -m tests.faults.table`, which injects each of them; what the exit codes mean stands in "
    "[training-faults.md](training-faults.md).":
        (f"{TABLE}the_page_is_that_of_a_run_in_which_all_passed", f"{TABLE}attempts_are_counted",
         f"{SIGNALLED}the_codes_are_documented"),
    "The number of attempts is fixed beforehand, in `tests/faults/rows.py`, as are their moments, by a seed.":
        (f"{TABLE}the_page_is_that_of_a_run_in_which_all_passed", f"{TABLE}every_test_of_a_row_exists"),
    "Everyday tests make fewer of the long rows' attempts.": (f"{TABLE}attempts_of_every_day_are_a_part_of_all",),
}  # fmt: skip
"""The words above the table of docs/faults.md."""

CLOSING: Claims = {
    "Processes that read the data (`workers`) are the run's own children: they leave signals to it, and end with it.":
        (WORKERS_END,),
    "Pages are parsed, not rendered: there was no browser where this was written.":
        (f"{FAULTS}hostile_words.py::test_the_page_of_a_run_with_an_evil_name_is_inert",),
    "A kill of a process is not a power cut; for that the order of the calls to the system is watched.":
        (f"{CHECKPOINT}all_is_on_the_disk_before_it_gets_its_name",),
    "Several processes are two, over gloo on one machine.": (f"{DISTRIBUTED}two_processes_go_on_where_two_stopped",),
}  # fmt: skip
"""The words below the table of docs/faults.md; the rows of the table name their tests in `rows`."""

STREAMS = f"{FAULTS}streams.py::test_"
ATOMIC, LOCK, TERMINAL, PLAIN = (f"sde_diffusion/io/{name}.py" for name in ("atomic", "lock", "terminal", "plain"))
DOCSTRINGS: dict[tuple[str, str], tuple[str, ...]] = {
    (ATOMIC, "Write a file so that a reader, or the next start after a crash, finds the old content or the new."):
        (f"{FAULTS}full_disk_commands.py::test_a_command_on_a_full_disk", f"{FULL}a_full_disk_is_told"),
    (ATOMIC, "Write a file that nobody has written before, in full or not at all; False when another was first."):
        (f"{FULL}a_file_is_created_once",),
    (LOCK, "A block that fails in a new folder before it has written anything leaves no lock and no folder."):
        (f"{FAULTS}full_disk_commands.py::test_a_lock_is_left_where_something_else_is",
         f"{FULL}the_command_without_room_at_its_start"),
    (LOCK, "another holder may remove it between its opening and its locking"):
        (f"{FAULTS}full_disk_commands.py::test_a_lock_that_another_run_removes_meanwhile_is_not_held",),
    (TERMINAL, "When the reader of a pipe, or the terminal, is gone, the rest of the output is dropped."):
        (f"{STREAMS}the_standard_error_without_a_reader", f"{CLI}files_before_words.py::test_the_files_are_there"),
    (TERMINAL, "A terminal that cannot show a character gets a question mark in its place."):
        (f"{CLI}files_before_words.py::test_an_ascii_terminal_loses_nothing",),
    (TERMINAL, "Raises OSError, with the name of the stream, for a full disk behind it."):
        (f"{STREAMS}words_for_which_there_is_no_room",),
    (TERMINAL, "Point each standard stream of the process that is closed (`>&-`) at nothing."): (f"{STREAMS}all_streams_closed",),
    (PLAIN, "Raises ValueError for one of more bytes, deeper lists and mappings, or no JSON at all."):
        (f"{FAULTS}own_json.py::test_a_reader_says_one_sentence_or_goes_on",
         f"{FAULTS}own_json.py::test_the_bounds_are_those_that_are_said"),
    ("sde_diffusion/cli/yaml_text.py", "`1e-4` is a float, `1:30` and `1_000` are texts, `0o17` is 15."):
        (f"{CLI}cli_words.py::test_numbers_are_those_of_yaml_1_2", f"{CLI}cli_words.py::test_integers_are_those_of_yaml_1_2",
         f"{CLI}cli_words.py::test_numbers_of_yaml_1_1_are_texts"),
    ("sde_diffusion/cli/yaml_text.py", "None of them belongs in a configuration, and a key is given once."):
        (f"{FAULTS}hostile_words.py::test_a_configuration_is_refused_within_a_second",
         f"{CLI}cli_words.py::test_a_key_that_is_given_twice_is_refused"),
    ("sde_diffusion/cli/options.py", "The parser falls back on YAML 1.1 for a text in the place of a number, and `1:30` would be 90."):
        (f"{CLI}cli_words.py::test_an_option_that_takes_a_number_refuses_them",),
    ("sde_diffusion/cli/results_folder.py", "`made.json` and the folder are removed again if they are new, so that the corrected "
     "command is not refused."): (f"{CLI}files_before_words.py::test_a_refused_command_leaves_nothing_behind",),
    ("sde_diffusion/io/git.py", "No git command is run"): (f"{TRAINING}run_folder.py::test_nothing_of_a_repository_runs",),
    ("sde_diffusion/training/run_folder.py", "a warning names what of it may change the last bits of the weights"):
        (f"{TRAINING}run_folder.py::test_another_environment_is_a_warning",),
    ("sde_diffusion/training/signals.py", "with `to_the_end` until the process ends"): (UNTIL_GONE,),
    ("sde_diffusion/training/settings.py", "the rest only says when to report, to save and to give up"):
        (f"{TRAINING}resume.py::test_what_decides_nothing_may_change",
         f"{TRAINING}run_folder.py::test_what_decides_nothing_may_change_in_the_configuration"),
    ("sde_diffusion/training/store.py", "What is refused has changed no file."):
        (f"{TRAINING}resume.py::test_going_on_with_other_data_is_refused",
         f"{TRAINING}run_folder.py::test_another_configuration_is_refused"),
    ("sde_diffusion/training/checkpoints/checkpoint.py", "Raises OSError of one sentence, and leaves nothing behind, when it cannot "
     "be written; earlier checkpoints stay."): (f"{FULL}a_checkpoint_for_which_there_is_no_room",
                                                f"{FULL}the_disk_is_full_at_any_file_of_a_checkpoint"),
    ("sde_diffusion/training/checkpoints/manifest.py", "No file format of ours notices a flipped bit; a digest does."):
        (f"{FAULTS}damaged.py::test_one_flipped_bit_of_the_newest_checkpoint",),
    ("sde_diffusion/sharing/safe_load.py", "so that a description of a huge network costs nothing"):
        (f"{SHARING}sharing_hostile.py::test_descriptions_of_what_cannot_be",),
    ("sde_diffusion/sharing/safe_load.py", "an OSError, also for what safetensors says of a full disk"):
        (f"{FAULTS}full_disk_commands.py::test_a_command_on_a_full_disk",),
    ("sde_diffusion/sharing/pretrained.py", "Opening one runs nothing in it"):
        (f"{SHARING}sharing_hostile.py::test_pickles_are_refused_and_not_opened",),
    ("sde_diffusion/cli/generate_job.py", "Chunks that `folder` already holds are not made again."):
        (f"{CLI}generate_job.py::test_an_interrupted_job_goes_on",),
}  # fmt: skip
