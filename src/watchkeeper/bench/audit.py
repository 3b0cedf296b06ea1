"""The audit: everything that is registered is measured in the full suite, or left out with a reason.

Enters: the catalogue of the harness and the registries of the product. Leaves: complaints, none when all is well. Reads
no data: it looks at what would be planned if every data set were here.
"""

from __future__ import annotations

from watchkeeper.bench.cells import PLAIN, fits
from watchkeeper.bench.discover import Catalogue
from watchkeeper.bench.excluded import EXCLUDED
from watchkeeper.datasets.catalogue import DATA_SETS
from watchkeeper.diagnose.rank.registry import RANKERS

WANTED = (
    "failure-prevention",
    "failure-prediction",
    "anomaly-detection",
    "localization",
    "category",
    "report",
    "questioning",
    "mitigation",
    "command",
    "script",
    "automatic-execution",
)
"""The tasks of AIOps that the harness is to cover (taxonomy of arXiv 2507.12472)."""
STAGES = ("failure perception", "root cause analysis", "assisted remediation")


def audit(known: Catalogue) -> list[str]:
    """Give what is neither measured nor excluded with a reason, and exclusions that are not true."""
    complaints: list[str] = []
    data = [known.data.get(name) for name in known.data]
    models = [known.models.get(name) for name in known.models]
    complaints += [
        f"the task {name} is neither measured nor excluded"
        for name in WANTED
        if name not in known.tasks and f"task:{name}" not in EXCLUDED
    ]
    for name in known.tasks:
        mine = [each for each in data if each.task == name]
        if not mine and f"task:{name}" not in EXCLUDED:
            complaints.append(f"the task {name} has no data set")
        complaints += [f"the task {name} has no data set in the quick suite"] * (
            bool(mine) and not any(each.quick for each in mine)
        )
        if known.tasks.get(name).stage not in STAGES:
            complaints.append(f"the task {name} is of no known stage")
    for each in data:
        asked = [model for model in models if fits(model, each)]
        if not any(model.trivial for model in asked):
            complaints.append(f"no trivial baseline answers the data set {each.task}/{each.name}")
        if not any(not model.trivial for model in asked):
            complaints.append(f"no model but baselines answers the data set {each.task}/{each.name}")
    for model in models:
        if not any(fits(model, each) for each in data):
            complaints.append(f"the model {model.name} answers no data set")
    if PLAIN not in known.enhancements:
        complaints.append("the enhancement none is missing")
    return complaints + _uncovered(known)


def product() -> list[str]:
    """Name what the product registers and the harness must measure."""
    return [*(f"ranker:{name}" for name in RANKERS), *(f"dataset:{name}" for name in DATA_SETS)]


def _uncovered(known: Catalogue) -> list[str]:
    covered = {f"task:{name}" for name in known.tasks}
    covered |= {name for each in known.models for name in known.models.get(each).covers}
    for each in known.data:
        data = known.data.get(each)
        covered |= {*data.covers, *(f"dataset:{name}" for name in data.sources)}
    names = product()
    complaints = [f"{each} is neither measured nor excluded" for each in names if each not in covered | set(EXCLUDED)]
    complaints += [f"{each} is measured and excluded" for each in EXCLUDED if each in covered]
    complaints += [
        f"{each} is excluded and does not exist"
        for each in EXCLUDED
        if each not in names and not each.startswith(("detect.", "task:"))
    ]
    return complaints + [f"{each} is excluded without a reason" for each, why in EXCLUDED.items() if not why.strip()]
