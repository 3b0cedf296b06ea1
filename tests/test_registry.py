"""The registry: duplicates raise, unknown names suggest, lazy entries say what to install."""

import pytest

from watchkeeper.errors import DuplicateName, MissingExtra, UnknownName
from watchkeeper.registry import Lazy, Registry


def test_names_keep_their_order() -> None:
    registry = Registry[int]("number")
    registry.add("two", 2)
    registry.add("one", 1)
    assert list(registry) == ["two", "one"]
    assert len(registry) == 2
    assert "one" in registry


def test_a_duplicate_raises_and_changes_nothing() -> None:
    registry = Registry[int]("number")
    registry.add("one", 1)
    with pytest.raises(DuplicateName, match="already a number named 'one'"):
        registry.add("one", 2)
    assert registry.get("one") == 1


def test_an_unknown_name_suggests_the_nearest_or_lists_all() -> None:
    registry = Registry[int]("number")
    registry.add("seven", 7)
    with pytest.raises(UnknownName, match="did you mean 'seven'"):
        registry.get("sevn")
    with pytest.raises(UnknownName, match="there are: seven"):
        registry.get("zzz")


def test_a_lazy_entry_is_imported_when_asked_for() -> None:
    registry = Registry[type]("shape")
    registry.add("ordered", Lazy("collections:OrderedDict"))
    registry.add("tensor", Lazy("a_module_that_is_not_there:Tensor", extra="torch"))
    assert registry.get("ordered").__name__ == "OrderedDict"
    with pytest.raises(MissingExtra, match=r"pip install 'watchkeeper\[torch\]'"):
        registry.get("tensor")
