"""Doctor on recorded machines: each state of the stack, its exit status in three styles, and the report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.host.conftest import NOW_NS, answer_of, healthy_gpu

from watchkeeper.errors import SettingError
from watchkeeper.host.check import Check, CheckStatus, Report, Verdict
from watchkeeper.host.exits import ExitStyle, exit_status, npd_line, requirements
from watchkeeper.host.visit import Outlook, machine_at

ALL = requirements("")


def examined(node, settings) -> Report:
    with Outlook(settings, node.root, machine=node.machine) as outlook:
        return outlook.report()[0]


def by_id(report: Report) -> dict[str, Check]:
    return {check.id: check for check in report.checks}


def status(report: Report, style: ExitStyle = ExitStyle.SEED, require: str = "") -> int:
    return exit_status(report, style, requirements(require))


def test_a_whole_gpu_machine_is_all_good(gpu_node, settings):
    report = examined(gpu_node, settings)
    assert [check.id for check in report.checks if check.status in {CheckStatus.WARN, CheckStatus.FAIL}] == []
    assert (report.verdict, status(report)) == (Verdict.OK, 0)
    assert [status(report, style) for style in ExitStyle] == [0, 0, 0]
    assert by_id(report)["gpu.driver"].observed == "driver 550.54.15, NVML 12.550.54.15"
    assert by_id(report)["cuda.match"].observed == "the driver serves CUDA up to 12.4, installed is 12.4"


def test_a_machine_without_a_gpu_is_a_state_of_its_own(node, settings):
    report = examined(node, settings)
    assert report.verdict is Verdict.NO_GPU
    assert by_id(report)["gpu.present"].status is CheckStatus.SKIPPED
    assert (status(report), status(report, ExitStyle.NAGIOS), status(report, ExitStyle.NPD)) == (1, 3, 2)
    assert status(report, require="driver,cuda,container,other") == 0
    assert npd_line(report, ALL) == "gpu.present: there is no NVIDIA GPU in this machine"


def test_a_virtual_machine_without_pass_through_is_told_from_a_missing_card(node, settings):
    node.file("/proc/cpuinfo", "processor : 0\nflags : fpu hypervisor\n")
    node.file("/sys/class/dmi/id/sys_vendor", "QEMU\n")
    check = by_id(examined(node, settings))["gpu.present"]
    assert check.reason == "this is a virtual machine under QEMU, and no GPU is passed through to it"
    assert check.absent


@pytest.mark.parametrize(
    ("driver", "module", "answer", "reason"),
    [
        ("", "", {"code": 12}, "the NVIDIA kernel module is not loaded"),
        ("nouveau", "", {"code": 12}, "held by nouveau"),
        ("vfio-pci", "", {"code": 12}, "set aside for virtual machines"),
        ("nvidia", "550.54.15", {"code": 12}, "its library libnvidia-ml.so.1 is missing"),
        ("nvidia", "550.54.15", {"code": 18}, "of different versions"),
        ("nvidia", "550.54.15", {"code": 10}, "wedged"),
        ("nvidia", "550.54.15", {"code": 999}, "does not answer as it should"),
        ("", "", {"code": 9}, "the NVIDIA kernel module is not loaded"),
    ],
)
def test_a_missing_driver_is_told_from_a_missing_card(node, settings, driver, module, answer, reason):
    node.gpus("0000:3b:00.0", driver=driver)
    if module:
        node.file("/sys/module/nvidia/version", module)
    else:
        (node.root / "sys/module/nvidia/version").unlink(missing_ok=True)
    node.nvml(answer)
    report = examined(node, settings)
    check = by_id(report)["gpu.driver"]
    assert check.status is CheckStatus.FAIL
    assert reason in check.reason
    assert check.actions
    assert (status(report), status(report, ExitStyle.NAGIOS), status(report, ExitStyle.NPD)) == (2, 2, 1)


def test_cuda_missing_is_3_and_the_first_failure_decides(gpu_node, settings):
    gpu_node.forget("nvcc --version")
    assert status(examined(gpu_node, settings)) == 3
    gpu_node.forget("podman --version")
    report = examined(gpu_node, settings)
    assert status(report) == 3
    assert status(report, require="container") == 4
    assert status(report, require="gpu,driver") == 0


@pytest.mark.parametrize(("release", "verdict"), [("12.3", "ok"), ("12.6", "warn"), ("13.0", "fail")])
def test_cuda_against_what_the_driver_serves(gpu_node, settings, release, verdict):
    gpu_node.answer("nvcc --version", f"Cuda compilation tools, release {release}, V{release}.1")
    assert by_id(examined(gpu_node, settings))["cuda.match"].status.value == verdict


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/usr/local/cuda/version.json", '{"cuda" : {"name" : "CUDA SDK", "version" : "12.2.1"}}'),
        ("/usr/local/cuda/lib64/libcudart.so.12.2.140", ""),
    ],
)
def test_a_cuda_runtime_without_nvcc_counts(gpu_node, settings, path, text):
    gpu_node.forget("nvcc --version")
    gpu_node.file(path, text)
    assert by_id(examined(gpu_node, settings))["cuda.toolkit"].observed == f"CUDA 12.2 ({path})"


def test_an_engine_whose_client_alone_answers_is_missing(node, settings):
    node.forget("podman --version")
    node.answer("docker --version", "Docker version 27.1.1, build 1")
    node.answer("docker info --format {{.ServerVersion}}", "", 1, "Cannot connect to the Docker daemon")
    report = examined(node, settings)
    check = by_id(report)["container.engine"]
    assert "its engine does not answer" in check.observed
    assert "Cannot connect" in check.evidence[0]
    assert status(report, require="container") == 4


def test_docker_answers_in_podmans_place(node, settings):
    node.forget("podman --version")
    node.answer("docker --version", "Docker version 27.1.1, build 1")
    node.answer("docker info --format {{.ServerVersion}}", "27.1.1")
    assert by_id(examined(node, settings))["container.engine"].observed == "docker 27.1.1, engine 27.1.1"


@pytest.mark.parametrize(
    ("change", "check", "reason"),
    [
        (lambda node: node.forget("nvidia-ctk --version"), "container.toolkit", "cannot be given the GPU"),
        (lambda node: node.answer("nvidia-ctk cdi list", "Found 0"), "container.cdi", "does not resolve"),
        (lambda node: (node.root / "dev/nvidia0").unlink(), "container.cdi", "of another driver version"),
        (
            lambda node: node.file("/etc/cdi/b.json", '{"hooks": [{"path": "/usr/bin/nvidia-cdi-hook"}]}'),
            "container.cdi",
            "of another driver version",
        ),
        (lambda node: node.answer("docker --version", "Docker version 27.1.1"), "container.runtime", "--gpus all"),
    ],
)
def test_the_container_toolkit(gpu_node, settings, change, check, reason):
    change(gpu_node)
    found = by_id(examined(gpu_node, settings))[check]
    assert found.status is CheckStatus.WARN
    assert reason in found.reason


@pytest.mark.parametrize("text", ["[]", "null", '{"runtimes": null, "features": []}', '{"runtimes": "nvidia"}', "{"])
def test_odd_settings_of_docker_name_no_runtime(gpu_node, settings, text):
    gpu_node.answer("docker --version", "Docker version 27.1.1")
    gpu_node.answer("nvidia-ctk --version", "")
    gpu_node.file("/etc/docker/daemon.json", text)
    report = by_id(examined(gpu_node, settings))
    assert report["container.runtime"].status is CheckStatus.WARN
    assert report["container.toolkit"].status is CheckStatus.OK


def test_a_card_that_nvml_does_not_show_and_one_that_is_expected(gpu_node, settings_with):
    gpu_node.nvml(answer_of(healthy_gpu(0)))
    report = examined(gpu_node, settings_with())
    assert "do not agree" in by_id(report)["gpu.present"].reason
    assert status(report) == 1
    gpu_node.nvml(answer_of(healthy_gpu(0), healthy_gpu(1)))
    report = examined(gpu_node, settings_with(gpu_count_min=8))
    assert by_id(report)["gpu.present"].reason == "8 GPUs are expected, and 2 are seen"


@pytest.mark.parametrize(
    ("change", "check", "verdict"),
    [
        (lambda node: node.space({"/": (100, 9)}), "system.disk", "warn"),
        (lambda node: node.space({"/": (100, 1)}), "system.disk", "fail"),
        (lambda node: node.file("/proc/meminfo", "MemTotal: 1000 kB\nMemAvailable: 40 kB\n"), "system.memory", "warn"),
        (lambda node: node.file("/proc/loadavg", "20 20 17 1/900 1"), "system.cpu", "warn"),
        (lambda node: node.space({"/": (100, 60), "/dev/shm": (2**26, 2**26)}), "system.shm", "warn"),
        (
            lambda node: node.file(
                "/proc/self/limits", "Max open files            1024                 1024      files\n"
            ),
            "system.ulimits",
            "warn",
        ),
        (
            lambda node: node.answer("timedatectl show --property=NTPSynchronized --value", "no"),
            "system.clock_sync",
            "warn",
        ),
        (lambda node: node.file("/proc/stat", "btime 1900000000\n"), "system.time", "fail"),
        (
            lambda node: node.file("/proc/net/tcp6", "  sl\n   0: 00000000000000000000000000000000:10DD 0:0 0A\n"),
            "system.ports",
            "warn",
        ),
        (lambda node: node.file("/proc/net/tcp", "  sl\n   0: 00000000:22B9 0:0 0A\n"), "system.ports", "warn"),
        (lambda node: node.file("/proc/sys/fs/file-nr", "800\t0\t1000\n"), "host.descriptors", "warn"),
        (lambda node: node.file("/proc/sys/fs/file-nr", "950\t0\t1000\n"), "host.descriptors", "fail"),
        (lambda node: node.file("/proc/sys/kernel/pid_max", "1000\n"), "host.pids", "warn"),
        (lambda node: node.kernel("Out of memory: Killed process 7 (x) total-vm:1kB"), "host.oom_kill", "fail"),
    ],
)
def test_the_computer_itself(node, settings, change, check, verdict):
    change(node)
    report = examined(node, settings)
    found = by_id(report)[check]
    assert found.status.value == verdict
    assert found.reason
    assert found.actions or check == "host.oom_kill"
    assert status(report, require="other") == (10 if verdict == "fail" else 0)
    assert status(report, ExitStyle.NAGIOS, "other") == (2 if verdict == "fail" else 1)


def test_what_cannot_be_told_is_unknown_and_never_an_error(tmp_path, settings):
    bare = tmp_path / "bare"
    bare.mkdir()
    with Outlook(settings, bare) as outlook:
        report, _ = outlook.report()
    found = by_id(report)
    assert found["system.cpu"].severity.value == "unknown"
    assert found["kernel.log"].severity.value == "unknown"
    assert found["system.ports"].severity.value == "unknown"
    assert {check.id for check in report.checks if check.status is CheckStatus.FAIL} == {"container.engine"}


def test_json_has_every_field_and_the_time_of_each_check(gpu_node, settings):
    data = json.loads(json.dumps(examined(gpu_node, settings).as_dict()))
    assert (data["schema_version"], data["host"], data["verdict"]) == (1, "gpu-node-17", "ok")
    assert data["started_at"] == "2027-01-15T10:00:00.000Z"
    wanted = {
        "id", "status", "severity", "device", "observed", "threshold", "source", "evidence", "reason", "actions",
        "duration_ms",
    }  # fmt: skip
    for check in data["checks"]:
        assert wanted <= check.keys()
        assert check["duration_ms"] >= 0
    took = {check["id"]: check["duration_ms"] for check in data["checks"]}
    for name in ("system.kernel", "gpu.temperature", "host.descriptors", "infiniband.ports"):
        assert took[name] > 0, name
    assert sum(took.values()) < data["duration_ms"]
    assert NOW_NS == 1_800_007_200 * 10**9


def test_the_time_of_a_run_includes_a_driver_that_does_not_answer(node, settings_with, fake_nvml, monkeypatch):
    monkeypatch.setenv("FAKE_NVML", "wedged")
    node.gpus("0000:3b:00.0")
    slow = settings_with(gpu_read_timeout_s=0.3)
    with Outlook(slow, node.root, str(fake_nvml), machine=node.machine) as outlook:
        report, _ = outlook.report()
    assert "wedged" in by_id(report)["gpu.driver"].reason
    assert report.duration_ms > 300


def test_a_wrong_requirement_or_root_says_what_there_is():
    with pytest.raises(SettingError, match="gpu, driver, cuda, container, other"):
        requirements("gpus")
    with pytest.raises(SettingError, match="not a folder"):
        machine_at(Path("/does/not/exist"))


def test_node_problem_detector_gets_one_short_line(gpu_node, settings):
    gpu_node.nvml({"code": 18, "text": "x" * 200})
    line = npd_line(examined(gpu_node, settings), ALL)
    assert line.startswith("gpu.driver: kernel module and library")
    assert len(line) <= 80
