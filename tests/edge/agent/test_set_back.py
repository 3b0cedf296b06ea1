"""An agent that is set back to an older state, or copied, loses nothing that it acknowledges afterwards."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.edge.agent.near_centre import NearCentre
from tests.edge.agent.processes import Edge
from tests.receive.running import logs_request

from watchkeeper.edge.counts import Counts, LeftOut
from watchkeeper.edge.forwarder import Forwarder
from watchkeeper.edge.link import Answer, Centre, Link
from watchkeeper.edge.places import Places
from watchkeeper.edge.spool import Spool
from watchkeeper.errors import NewerFormat, SettingError, StoreError
from watchkeeper.signals.signal import Signal


@pytest.fixture
def centre(tmp_path: Path) -> Iterator[NearCentre]:
    # Only the place in the stream tells a batch that comes again.
    made = NearCentre(tmp_path / "centre", dedup_window_s=0.001)
    yield made
    made.stop()


def lines(count: int) -> list[str]:
    return sorted(f"line {number} end" for number in range(count))


def test_a_home_folder_that_is_put_back_or_copied_loses_nothing_and_doubles_nothing(
    tmp_path: Path, centre: NearCentre
) -> None:
    home, kept = tmp_path / "edge", tmp_path / "kept"
    edge = Edge(home, centre.url)
    assert edge.send(0, 100) == 200
    centre.wait_for(100)
    centre.stop()
    assert edge.send(100, 50) == 200, "this waits in the spool"
    edge.kill()
    shutil.copytree(home, kept)
    centre.start(dedup_window_s=0.001)
    edge.start()
    assert edge.send(150, 50) == 200
    assert centre.wait_for(200) == lines(200)
    assert edge.stop() == 0
    shutil.rmtree(home)
    kept.rename(home)
    edge.start()
    assert edge.send(200, 50) == 200
    assert centre.wait_for(250) == lines(250)
    assert edge.metric("watchkeeper_edge_forwarded_records_total", "logs") >= 100, (
        "what waited was sent again, and known"
    )
    assert edge.stop() == 0


class Part:
    """The spool and the forwarder of an agent, in this process."""

    def __init__(self, folder: Path, url: str) -> None:
        self.spool = Spool(folder / "spool", bytes_max=1 << 20, dedup_window_s=60)
        self.forwarder = Forwarder(
            self.spool, Link(Centre(url)), Counts(), folder, batch_records=100, batch_age_s=0.01, pause_max_s=0.1
        )

    def start(self) -> None:
        self.spool.start()
        self.forwarder.start()

    def send(self, first: int, count: int) -> None:
        for number in range(first, first + count):
            content = logs_request(1, body=f"number {number}").SerializeToString()
            assert self.spool.append(Signal.LOGS, "test", content, 1).result(10) is False

    def stop(self) -> None:
        self.forwarder.stop(0)
        self.spool.stop()


def test_an_agent_whose_memory_is_set_back_while_it_runs_begins_a_new_stream(
    tmp_path: Path, centre: NearCentre, caplog: pytest.LogCaptureFixture
) -> None:
    first = Part(tmp_path / "first", centre.url)
    memory = copy.deepcopy(first.forwarder._places)
    shutil.copytree(tmp_path / "first", tmp_path / "again")
    first.start()
    first.send(0, 5)
    centre.wait_for(5)
    first.stop()
    again = Part(tmp_path / "again", centre.url)
    memory._file = tmp_path / "again" / "places.json"
    again.forwarder._places = memory
    again.start()
    again.send(100, 3)
    found = centre.wait_for(8)
    assert found == [f"number {number} 0" for number in (0, 1, 100, 101, 102, 2, 3, 4)]
    assert "was set back to an older state" in caplog.text
    again.send(103, 1)
    assert len(centre.wait_for(9)) == 9
    again.stop()


def test_a_fault_of_ours_is_told_and_forwarding_goes_on(
    tmp_path: Path, centre: NearCentre, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = Part(tmp_path / "part", centre.url)
    plain, faults = part.forwarder._link.post, [ValueError("nobody thought of this")] * 3

    def post(signal: Signal, payload: bytes) -> Answer:
        if faults:
            raise faults.pop()
        return plain(signal, payload)

    monkeypatch.setattr(part.forwarder._link, "post", post)
    part.start()
    part.send(0, 3)
    assert len(centre.wait_for(3)) == 3
    part.stop()
    assert caplog.text.count("forwarding fails and is begun again") == 1


@pytest.mark.parametrize("token", ["wk_ingest_a\n", "wk_ingest_\u00e4"])
def test_a_token_that_no_header_can_hold_is_told_at_once(token: str) -> None:
    with pytest.raises(SettingError, match="--token"):
        Link(Centre("http://127.0.0.1:4318", token=token))


def test_entries_keep_the_stream_in_which_they_came(tmp_path: Path) -> None:
    file = tmp_path / "places.json"
    nothing = dict.fromkeys(Signal, LeftOut(0, 0))
    places = Places(file)
    for signal in Signal:
        places.open_stream(signal, 1)
    places.save(nothing)
    old, _ = places.stretch_of(Signal.LOGS, 1)
    later = Places(file)
    assert later.agent == places.agent
    later.open_stream(Signal.LOGS, 10)
    new, end = later.stretch_of(Signal.LOGS, 10)
    assert (later.stretch_of(Signal.LOGS, 9), end) == ((old, 9), None)
    assert new != old
    first = later.begin(Signal.LOGS, 9, LeftOut(0, 0))
    later.save(nothing)
    assert Places(file).get(Signal.LOGS) == first, "a batch that was begun has the same position after a kill"
    later.put(Signal.LOGS, first._replace(done=9))
    assert later.begin(Signal.LOGS, 10, LeftOut(0, 0)).position > first.position
    later.put(Signal.LOGS, first._replace(done=10))
    later.save(nothing)
    assert Places(file).stretch_of(Signal.LOGS, 1) == (new, None), "what is settled is forgotten"


def test_places_of_the_first_form_are_read_and_damaged_ones_are_told(tmp_path: Path) -> None:
    file = tmp_path / "places.json"
    row = '{"done": 4, "upto": 6, "dropped": 1, "refused": 2}'
    rows = ", ".join(f'"{signal.value}": {row}' for signal in Signal)
    file.write_text(f'{{"schema_version": 1, "stream": "abc", "places": {{{rows}}}, "left_out": {{{rows}}}}}')
    places = Places(file)
    assert places.stretch_of(Signal.LOGS, 6) == ("abc/logs", None)
    assert places.get(Signal.LOGS) == (4, 6, 6, (1, 2))
    file.write_text(file.read_text().replace('"schema_version": 1', '"schema_version": 99'))
    with pytest.raises(NewerFormat):
        Places(file)
    file.write_text("{")
    with pytest.raises(StoreError, match="begin anew"):
        Places(file)
