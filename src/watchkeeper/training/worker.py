"""The process that trains: `python -m watchkeeper.training.worker JOBFOLDER`; the server begins it (process.py).

Enters: job.json and the frozen data of the folder. Leaves: a model and result.json, or fault.json and exit status 1;
an error that nobody foresaw ends it with its traceback in the log. What a kind of job does is in a module of its own,
imported once the process has been made small and polite. Writes nothing outside of its folder.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from watchkeeper.errors import WatchkeeperError
from watchkeeper.training.job_folder import JobFolder
from watchkeeper.training.process import be_polite, hold_lifeline, peak_memory_bytes
from watchkeeper.training.reporter import Reporter

KINDS: Mapping[str, str] = {"logs": "watchkeeper.training.log_job"}
"""The module of each kind; its `run(folder, job, reporter)` gives the content of result.json."""
EXIT_FAULT = 1

Run = Callable[[JobFolder, Mapping[str, Any], Reporter], dict[str, Any]]


def main(path: Path) -> int:
    """Do the job of a folder; gives the exit status."""
    folder = JobFolder(path)
    job = folder.read("job")
    if job is None:
        return _fault(folder, f"{path}/job.json is missing or damaged")
    refused = be_polite(memory_bytes_max=int(job["memory_bytes_max"]))
    with Reporter(folder) as reporter:
        for each in refused:
            reporter.say(f"could not be set: {each}")
        try:
            result = _run_of(str(job["spec"]["kind"]))(folder, job, reporter)
        except MemoryError:
            return _fault(folder, f"out of memory at {peak_memory_bytes() >> 20} MiB")
        except RuntimeError as error:
            # torch has no type of its own for memory that the processor's allocator is refused.
            if "memory" not in str(error):
                raise
            return _fault(folder, f"out of memory at {peak_memory_bytes() >> 20} MiB: {str(error).splitlines()[0]}")
        except (WatchkeeperError, OSError) as error:
            return _fault(folder, str(error))
        reporter.say(f"done; the most memory it held is {peak_memory_bytes() >> 20} MiB")
    folder.write("result", {"schema_version": 1, **result})
    return 0


def _run_of(kind: str) -> Run:
    run: Run = importlib.import_module(KINDS[kind]).run
    return run


def _fault(folder: JobFolder, reason: str) -> int:
    folder.write("fault", {"reason": reason})
    return EXIT_FAULT


if __name__ == "__main__":
    hold_lifeline()
    sys.exit(main(Path(sys.argv[1])))
