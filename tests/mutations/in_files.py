"""Faults of files, processes and the reading of what others wrote."""

from __future__ import annotations

from tests.mutations.fault import Fault

FULL, JSON = "tests/faults/test_full_disk_commands.py", "tests/faults/test_own_json.py"
STREAMS, FOLDER = "tests/faults/test_streams.py", "tests/training/test_run_folder.py"
WORDS, SIGNALS = "tests/cli/test_cli_words.py", "tests/faults/test_signalled.py"

FAULTS = [
    Fault(
        "json-of-any-depth",
        "parse_json",
        "depth > deepest",
        "depth < 0",
        "A file of deep lists is taken, and whoever walks it overflows the stack.",
        JSON,
        "a_reader_says or the_bounds",
    ),
    Fault(
        "a-lock-on-a-file-that-is-gone",
        "_acquire",
        "path.exists() and path.stat().st_ino == before",
        "True",
        "Two runs hold two files of one name: another removed the first between its opening and its locking.",
        FULL,
        "removes_meanwhile",
    ),
    Fault(
        "the-lock-stays-after-a-failed-start",
        "locked",
        "new and [entry.name for entry in folder.iterdir()] == [path.name]",
        "False",
        "A start on a full disk leaves a folder with an empty lock.",
        FULL,
        "lock_is_left",
    ),
    Fault(
        "closed-streams-stay-closed",
        "open_closed_streams",
        "getattr(sys, name) is None",
        "False",
        "With its output closed a command fails at its first word.",
        STREAMS,
        "a_stream_that_is_missing",
    ),
    Fault(
        "a-lost-reader-ends-the-command",
        "say",
        "error.errno not in _GONE",
        "True",
        "A command whose output nobody reads any more ends with an error.",
        "tests/report/test_report.py",
        "closed_pipe",
    ),
    Fault(
        "another-environment-without-a-word",
        "_changes",
        "old[name] != new[name]",
        "old[name] is None",
        "A run goes on under another torch, and nobody says that its last bits may differ.",
        FOLDER,
        "another_environment",
    ),
    Fault(
        "half-past-one-is-ninety",
        "_refuse",
        "_OLD.fullmatch(one.strip())",
        "_OLD.fullmatch(one.strip() + ' ')",
        "`1:30` becomes 90 where an option takes a number.",
        WORDS,
        "refuses_them",
    ),
    Fault(
        "a-hang-up-is-no-signal",
        "_obey",
        "HungUp",
        "Terminated",
        "A closed terminal is taken for SIGTERM: another exit code.",
        SIGNALS,
        "a_hang_up_is_one",
    ),
]
