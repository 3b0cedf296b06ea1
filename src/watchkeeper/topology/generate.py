"""Makes a CMDB as people keep it: names misspelt, owners unknown, entries stale, dependencies left out.

Enters: a number of services and a seed. Leaves: the entries with that noise, and the truth behind them, to measure how
well names are matched and for demonstrations. Random, but the same for the same seed.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from watchkeeper.topology.cmdb import CmdbEntry

MISSPELT, OWNER_UNKNOWN, STALE, DROPPED = 0.10, 0.05, 0.05, 0.03
NOW_UNIX_NS = 1_763_700_000 * 10**9
DAY_NS = 86_400 * 10**9

_DOMAINS = ("payments", "catalogue", "identity", "logistics", "search", "media", "billing", "support", "risk", "growth")
_THINGS = (
    "account", "address", "alert", "audit", "basket", "booking", "campaign", "cart", "checkout", "claim", "contact",
    "coupon", "currency", "customer", "delivery", "device", "discount", "document", "email", "event", "export", "feed",
    "fraud", "gateway", "geo", "image", "import", "index", "inventory", "invoice", "label", "ledger", "login", "mail",
    "menu", "notification", "offer", "order", "partner", "payment", "policy", "price", "product", "profile", "quote",
    "rating", "recommendation", "refund", "report", "review", "route", "seat", "session", "shipping", "station",
    "stock", "subscription", "tax", "ticket", "token", "train", "travel", "user", "voucher", "wallet", "warehouse",
)  # fmt: skip
_ROLES = ("service", "api", "worker", "gateway", "store", "proxy", "job", "frontend", "sync", "cache")
_LANGUAGES = ("java", "go", "python", "nodejs", "dotnet", "rust")
_SYSTEMS = ("kubernetes", "vm", "serverless")
_ENVIRONMENTS = ("production", "staging")
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class GeneratedCmdb:
    """A CMDB with noise and what it would be without. names: true names. misspelt: written name -> true name.

    unknown_owners, stale: true names. dropped: (caller, callee) left out. dependencies: the true ones.
    """

    entries: tuple[CmdbEntry, ...]
    names: tuple[str, ...]
    misspelt: dict[str, str]
    unknown_owners: frozenset[str]
    stale: frozenset[str]
    dropped: frozenset[tuple[str, str]]
    dependencies: dict[str, tuple[str, ...]]


def generate_cmdb(services: int, seed: int) -> GeneratedCmdb:
    """Make a CMDB of so many services, 1 .. 6,000; raises ValueError beyond.

    A tenth of the names is misspelt, each wherever it is written; see the constants for the rest.
    """
    source = random.Random(seed)
    names = _names(services, source)
    dependencies = {
        name: tuple(sorted(source.sample(names[place + 1 :], min(len(names) - place - 1, source.randint(0, 4)))))
        for place, name in enumerate(names)
    }
    written = {name: name for name in names}
    for name in source.sample(names, round(MISSPELT * services)):
        written[name] = _misspelt(name, source, set(written.values()))
    unknown = frozenset(source.sample(names, round(OWNER_UNKNOWN * services)))
    stale = frozenset(source.sample(names, round(STALE * services)))
    calls = [(caller, callee) for caller, callees in dependencies.items() for callee in callees]
    dropped = frozenset(source.sample(calls, round(DROPPED * len(calls))))
    entries = tuple(
        _entry(name, written, [one for one in dependencies[name] if (name, one) not in dropped], source)
        for name in names
    )
    noisy = tuple(
        replace(
            entry,
            owner="unknown" if name in unknown else entry.owner,
            last_updated_unix_ns=NOW_UNIX_NS - source.randint(400, 1500) * DAY_NS
            if name in stale
            else entry.last_updated_unix_ns,
        )
        for name, entry in zip(names, entries, strict=True)
    )
    misspelt = {text: name for name, text in written.items() if text != name}
    return GeneratedCmdb(noisy, tuple(names), misspelt, unknown, stale, dropped, dependencies)


def _names(services: int, source: random.Random) -> list[str]:
    every = [f"{thing}-{role}" for thing in _THINGS for role in _ROLES]
    every += [f"{domain}-{name}" for domain in _DOMAINS for name in every[: len(every)]]
    if not 1 <= services <= len(every):
        raise ValueError(f"{services} services cannot be made; choose 1 .. {len(every)}")
    return source.sample(every, services)


def _entry(name: str, written: dict[str, str], callees: list[str], source: random.Random) -> CmdbEntry:
    domain = source.choice(_DOMAINS)
    return CmdbEntry(
        written[name],
        domain,
        f"team-{domain}-{source.randint(1, 4)}",
        source.choice(_LANGUAGES),
        f"/etc/{domain}/{written[name]}.yaml",
        source.choice(_SYSTEMS),
        source.choice(_ENVIRONMENTS),
        tuple(written[one] for one in callees),
        NOW_UNIX_NS - source.randint(0, 300) * DAY_NS,
    )


def _misspelt(name: str, source: random.Random, taken: set[str]) -> str:
    """Give the name with one or two slips of the pen: a letter lost, doubled or wrong, two swapped, a separator."""
    while True:
        text = name
        for _ in range(source.choice((1, 1, 2))):
            text = _slip(text, source)
        if text != name and text not in taken:
            return text


def _slip(text: str, source: random.Random) -> str:
    at = source.randrange(len(text) - 1)
    kind = source.randrange(6)
    if kind == 0:
        return text[:at] + text[at + 1 :]
    if kind == 1:
        return text[: at + 1] + text[at:]
    if kind == 2:
        return text[:at] + source.choice(_LETTERS) + text[at + 1 :]
    if kind == 3:
        return text[:at] + text[at + 1] + text[at] + text[at + 2 :]
    if kind == 4:
        return text.replace("-", source.choice(("_", ".", "")), 1)
    return text.rpartition("-")[0] + "-" + source.choice(("svc", "srv", "app")) if "-" in text else text + "-svc"
