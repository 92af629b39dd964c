"""The rows of docs/faults.md for what comes from outside a run: files, folders, data, models, words, terminals; see `rows`."""

from __future__ import annotations

from tests.faults.row import Row

HERE, TRAINING, CLI = "tests/faults/test_", "tests/training/test_", "tests/cli/test_"
CASES, SHARING = f"{HERE}cases.py::test_", "tests/sharing/test_sharing_"
PICTURES, IN_PLACE = "tests/data/test_picture_files.py::test_", "tests/sampling/test_in_place.py::test_"
WORDS, EXPORT, ARGUMENTS = (
    f"{CLI}cli_words.py::test_",
    f"{CLI}cli_export_more.py::test_",
    "tests/reversal/test_arguments.py::test_",
)
FOLDER, FINGERPRINT, RESUME = (f"{TRAINING}{name}.py::test_" for name in ("run_folder", "fingerprint", "resume"))

ROWS_OF_INPUTS = [
    Row(
        "a foreign repository around the command: filters, hooks, a monitor, attributes, secrets in the place of a commit",
        "no program is run, nothing but a commit is recorded; git itself runs each of them",
        11,
        (f"{FOLDER}nothing_of_a_repository", f"{FOLDER}what_is_no_commit", f"{CASES}no_command_runs"),
    ),
    Row(
        "a symbolic link in the place of any file or folder of a run or of results",
        "refused in a sentence; nothing where it leads is changed",
        29,
        (f"{CASES}training_refuses_a_link", f"{CASES}results_refuse_a_link", f"{CASES}a_file_of_results_is_no_link",
         f"{FOLDER}a_link_in_a_run"),
    ),
    Row(
        "config.json or model.json of a run: one bit flipped; edited, for every command that reads it",
        "a sentence that names the file, or nothing that is read from it has changed",
        458,
        (f"{CASES}a_flipped_bit_is_refused[400]", f"{CASES}every_command_refuses_an_edited", f"{CASES}a_file_that_training"),
    ),
    Row(
        "shared weights in float16, bfloat16, float64; in integers, booleans, complex numbers",
        "the samples of float32, to rounding; refused in a sentence",
        6,
        (f"{EXPORT}weights_of_another_precision", f"{EXPORT}weights_that_are_no_real"),
    ),
    Row(
        "shared folders: pickles, cut and foreign weights, descriptions of what cannot be or is huge, missing files",
        "refused in a sentence; no pickle is opened",
        69,
        (f"{SHARING}hostile.py::", f"{SHARING}diffusers.py::test_a_hostile_folder"),
    ),
    Row(
        "pictures: bombs, damaged headers, PostScript, empty files, text, a pipe, a link to nothing",
        "one sentence that names the file; no program is run, nobody waits",
        9,
        (f"{PICTURES}a_picture_that_does_harm", f"{PICTURES}the_same_of_a_format", f"{PICTURES}a_pipe_or_a_link"),
    ),
    Row(
        "damaged pictures of seven formats: bytes exchanged, the end cut off",
        "a picture, or one sentence that names the file",
        2100,
        (f"{PICTURES}random_damage",),
    ),
    Row(
        "YAML: a key that is given twice",
        "refused in a sentence",
        4,
        (f"{WORDS}a_key_that_is_given_twice",),
    ),
    Row(
        "YAML: integers and floats of YAML 1.1 (1:30, 1_000, 0b11, 017), in a file and on the command line",
        "the numbers of YAML 1.2 or texts; refused where a number is wanted",
        28,
        (f"{WORDS}integers_are_those", f"{WORDS}numbers_of_yaml_1_1", f"{WORDS}an_option_that_takes",
         f"{WORDS}they_stay_texts"),
    ),
    Row(
        "JSON of our own: 100,000 brackets, deep objects, endless digits, no text, empty, a list, other fields, too long",
        "one sentence that names the file, or it is left out with a warning",
        78,
        (f"{HERE}own_json.py::test_a_reader", f"{HERE}own_json.py::test_a_folder_nothing",
         f"{HERE}own_json.py::test_the_bounds", f"{EXPORT}a_damaged_comparison", f"{EXPORT}a_deep_file"),
    ),
    Row(
        "SIGTERM, SIGINT, SIGHUP to a process, again and again until it has ended",
        "the code of the first one, one sentence, no traceback",
        3,
        (f"{HERE}signalled.py::test_signals_until",),
    ),
    Row(
        "python -OO; python -m, with and without it",
        "the commands work without docstrings and assertions",
        3,
        (f"{HERE}streams.py::test_a_python_without", f"{CLI}cli_entry.py::test_the_package_runs"),
    ),
    Row(
        "every command with its standard streams closed; a refusal with each of them closed",
        "the usual exit code; the results are whole, and no word is in them",
        18,
        (f"{HERE}streams.py::test_all_streams_closed", f"{HERE}streams.py::test_a_refusal_with",
         f"{HERE}streams.py::test_a_stream_that_is_missing"),
    ),
    Row(
        "every command on an ascii terminal",
        "exit code 0, the results are whole",
        13,
        (f"{CLI}files_before_words.py::test_an_ascii",),
    ),
    Row(
        "every command into a pipe that nobody reads: its standard output, its standard error",
        "exit code 0; every file is there before the first word",
        26,
        (f"{CLI}files_before_words.py::test_the_files_are_there", f"{HERE}streams.py::test_the_standard_error"),
    ),
    Row(
        "every command on a full disk, at three sizes; its standard output on one; its lock in the way of another's",
        "one sentence that names the file or the stream, exit code 2; no file is half written; the same command then ends well",
        29,
        (f"{HERE}full_disk_commands.py::", f"{HERE}streams.py::test_words_for_which"),
    ),
    Row(
        "other data on resume: rows replaced or exchanged, one number moved by a unit in its last place, other labels",
        "refused in a sentence; the run is as it was",
        1201,
        (f"{CASES}every_row_is_in_the_digest", f"{CASES}a_run_goes_on_with_its_own_rows_alone[200]",
         f"{RESUME}going_on_with_other_data"),
    ),
    Row(
        "another process, network, objective, optimizer, schedule or setting that decides the weights, on resume",
        "the first difference is named; no file changes",
        23,
        (f"{FINGERPRINT}another_run_is_refused", f"{RESUME}going_on_otherwise", f"{FOLDER}another_configuration"),
    ),
    Row(
        "other settings of saving and reporting on resume",
        "the run goes on to the same weights",
        10,
        (f"{CASES}what_decides_no_weight", f"{FINGERPRINT}what_decides_nothing", f"{RESUME}what_decides_nothing",
         f"{FOLDER}what_decides_nothing"),
    ),
    Row(
        "a model that writes into the state, the level or a condition: sampling, training (compiled too), likelihoods",
        "refused in a sentence that says what to write instead",
        38,
        tuple(f"{IN_PLACE}{name}" for name in (
            "every_form", "a_write_at_some", "a_function", "the_default_rule", "a_write_into_a_condition", "training_refuses",
            "the_loss_of_learned", "a_level_for_each", "likelihoods", "the_kit")),
    ),
    Row(
        "a model that answers in another shape or dtype, in integers or complex numbers",
        "refused in a sentence at its first call",
        12,
        (f"{ARGUMENTS}the_model_s_answer",),
    ),
    Row(
        "weights, samples, log-probabilities that are not finite, in every command",
        "one sentence, exit code 3; no results are written",
        29,
        (f"{HERE}not_finite_results.py::",),
    ),
    Row(
        "models of which no step was made, or some or all were skipped",
        "a warning, in Python and on the command line",
        6,
        tuple(f"tests/model/test_untrained.py::test_{name}" for name in (
            "a_model_without", "python_shows", "skipped_steps", "a_run_of_which", "the_command_line")),
    ),
    Row(
        "the horizon of every process in single precision",
        "inside",
        5,
        (f"{ARGUMENTS}the_horizon_in_single",),
    ),
    Row(
        "swapped and wrong arguments in Python: processes, denoisers, networks, methods, steps, shapes, classes, data",
        "one sentence that says what to write instead",
        85,
        (f"{ARGUMENTS}a_mistake", "tests/sampling/test_sampler.py::test_swapped", "tests/model/test_model.py::test_a_wrong_argument",
         f"{TRAINING}train_loop.py::test_bad_input", f"{CLI}natural_mistakes.py::test_typed_in_python"),
    ),
    Row(
        "mistakes on the command line: names, values, options, places",
        "exit code 2, one sentence; nothing written",
        113,
        (f"{CLI}natural_mistakes.py::test_typed_on_the", f"{CLI}cli_refusals.py::test_a_wrong_value",
         f"{CLI}cli_refusals.py::test_an_unknown_name"),
    ),
    Row(
        "a folder that holds something else, samples made otherwise, a command that is refused or fails",
        "one sentence that names the folder; what was there stays, and nothing is left behind",
        8,
        (f"{EXPORT}a_folder_that_exists", f"{CLI}cli_export.py::test_a_folder_in_use", f"{FOLDER}a_folder_of_something",
         f"{CLI}cli_refusals.py::test_a_folder_that_holds", f"{CLI}cli_refusals.py::test_samples_made",
         f"{CLI}files_before_words.py::test_a_refused", f"{CLI}files_before_words.py::test_a_failed"),
    ),
    Row(
        "processes that read the data: one is killed, one fails; SIGINT, SIGTERM to the group, SIGKILL to the run",
        "an error that names the file or the process; the run goes on to the undisturbed weights; no process is left",
        12,
        tuple(f"{TRAINING}workers.py::test_{name}" for name in (
            "a_killed_worker", "a_pipe_that_breaks", "an_error_of", "an_error_that", "a_program_ends", "workers_end")),
    ),
]  # fmt: skip
