from benchmarks.tables import head, number, show


def test_ratios_stand_first_and_units_are_told():
    text = show("pipeline", {"records_per_s": 150_000.4, "ack_p99_ms": 12.345, "ratio_to_drain3": 3.3})
    lines = [line.split() for line in text.splitlines()[1:]]
    assert lines == [
        ["ratio", "to", "drain3", "[x]", "3.3"],
        ["records", "[1/s]", "150,000"],
        ["ack", "p99", "[ms]", "12.3"],
    ]


def test_figures_of_several_things_are_one_table():
    text = show("decoders", {"logs": {"a_per_s": 10, "ratio": 2.0}, "spans": {"a_per_s": 20, "ratio": 4.0}})
    lines = [line.split() for line in text.splitlines()]
    assert lines[0] == ["decoders", "ratio", "[x]", "a", "[1/s]"]
    assert lines[2:] == [["logs", "2", "10"], ["spans", "4", "20"]]


def test_what_was_skipped_is_told_with_its_reason():
    assert "skipped: drain3: no network" in show(
        "patterns", {"kernel": "compiled", "skipped": {"drain3": "no network"}}
    )


def test_deeper_figures_are_told_with_their_path():
    text = show("patterns", {"quality": {"original": {"own": {"ga": 0.95}}}})
    assert "patterns, quality, original" in text
    assert "0.95" in text


def test_no_value_is_a_dash_not_a_number():
    assert number(float("nan")) == number(None) == "-"
    assert head("cpu_s_per_million") == "processor time [CPU s per million]"
    assert head("drain3_cpu_s_per_million") == "drain3 [CPU s per million]"
