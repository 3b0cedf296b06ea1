"""Every setting and limit in one table: name with its unit, default, help.

A value comes from, in this order: the command line (`--set name=value`), the environment (`WATCHKEEPER_<NAME>`), a TOML
file (`watchkeeper.toml` in the home folder, or `--config`), the default. Does not know who uses a setting.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from watchkeeper.errors import SettingError

MIB = 2**20
GIB = 2**30
DAY_S = 86_400

Value = bool | int | float | str


@dataclass(frozen=True)
class Setting:
    """One setting: name (unit last), default (whose type is the setting's type), help, the least value allowed."""

    name: str
    default: Value
    help: str
    minimum: float | None = None
    maximum: float | None = None


def _home() -> str:
    base = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return str(Path(base) / "watchkeeper")


def _cache() -> str:
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return str(Path(base) / "watchkeeper" / "datasets")


PORT_MAX = 65_535

SETTINGS: tuple[Setting, ...] = (
    Setting("home", _home(), "Folder of all state: telemetry, metadata, models, certificates."),
    Setting("data", _cache(), "Folder of public data sets; `watchkeeper data fetch NAME` fills it."),
    Setting(
        "data_mirror",
        "",
        "Address or folder with the packed data sets; without it, files come from their public source.",
    ),
    Setting("bind", "127.0.0.1", "Address to listen on. Anything but loopback needs tokens or client certificates."),
    Setting("host_names", "", "Names besides localhost by which the page may be reached, comma-separated."),
    Setting("insecure", False, "Listen beyond loopback without authentication. Only for networks you trust entirely."),
    Setting("otlp_grpc_port", 4317, "Port of OTLP over gRPC; 0 takes a free one.", 0, PORT_MAX),
    Setting("otlp_http_port", 4318, "Port of OTLP over HTTP; 0 takes a free one.", 0, PORT_MAX),
    Setting("http_port", 8080, "Port of the page and the API; 0 takes a free one.", 0, PORT_MAX),
    Setting("tls_cert", "", "PEM file with the server's certificate chain; turns TLS on for the three ports."),
    Setting("tls_key", "", "PEM file with the server's private key."),
    Setting("tls_client_ca", "", "PEM file with the authority of client certificates; turns mutual TLS on for OTLP."),
    Setting("tls_crl", "", "PEM revocation list of that authority; read anew whenever it changes."),
    Setting(
        "sender_identity",
        "host.name,k8s.node.name",
        "Resource attributes that must name the sender's certificate, where it has one; empty checks none.",
    ),
    Setting("request_bytes_max", 16 * MIB, "Largest request body on the wire.", 1024),
    Setting("request_decompressed_bytes_max", 64 * MIB, "Largest request body once decompressed.", 1024),
    Setting(
        "queue_bytes_max",
        64 * MIB,
        "Requests that await the disk, all together; beyond it senders are told to retry.",
        1024,
    ),
    Setting(
        "hot_bytes_max",
        256 * MIB,
        "Telemetry in memory that is not in a segment or not judged yet; beyond it senders are told to retry.",
        MIB,
    ),
    Setting("retry_after_s", 1.0, "What a refused sender is told to wait.", 0.01),
    Setting("dedup_window_s", 600.0, "How long a batch is remembered, so that a retry of it is not stored twice.", 0),
    Setting(
        "disk_free_bytes_min", 512 * MIB, "Free space below which telemetry is refused until there is room again.", 0
    ),
    Setting(
        "wal_file_bytes_max", 64 * MIB, "Size at which a file of the write-ahead log is sealed into segments.", 4096
    ),
    Setting("wal_commit_delay_ms", 2.0, "How long a commit waits for more requests to share one fsync.", 0),
    Setting("segment_age_s", 60.0, "Age at which the newest telemetry is written to a segment.", 0.05),
    Setting("compact_bytes_min", 8 * MIB, "Segments smaller than this are merged with others of their hour.", 0),
    Setting("logs_days_max", 14.0, "Age at which logs are deleted.", 0),
    Setting("metrics_days_max", 30.0, "Age at which metric points are deleted.", 0),
    Setting("spans_days_max", 7.0, "Age at which spans are deleted.", 0),
    Setting("logs_bytes_max", 8 * GIB, "Size on disk at which the oldest logs are deleted.", 0),
    Setting("metrics_bytes_max", 4 * GIB, "Size on disk at which the oldest metric points are deleted.", 0),
    Setting("spans_bytes_max", 8 * GIB, "Size on disk at which the oldest spans are deleted.", 0),
    Setting("query_memory_bytes_max", 512 * MIB, "Memory that queries may use, all together.", 16 * MIB),
    Setting("query_timeout_s", 30.0, "Time after which a query is stopped.", 0.05),
    Setting("query_rows_max", 10_000, "Rows that one answer holds at the most.", 1),
    Setting("templates_max", 100_000, "Log patterns kept; the least recently seen go first.", 100),
    Setting("model_versions_max", 10, "Versions kept of each model, besides the active one and the one before it.", 2),
    Setting("model_online_every_s", 86_400.0, "How often what the detectors learn becomes a version; 0: never.", 0),
    Setting("detect_warmup_s", 600.0, "Telemetry of a service that is only learned from before anything is judged.", 0),
    Setting("detect_window_s", 10.0, "Length of the windows in which rates are counted.", 1),
    Setting("metric_warmup_s", 1800.0, "Metrics of a service that are only learned from before any is judged.", 0),
    Setting("metric_series_max", 100_000, "Metric series watched; those unheard for longest go first.", 100),
    Setting(
        "metric_alarms_max", 0.1, "Times a day that a service may cross its metric threshold before it rises.", 0.0
    ),
    Setting("metric_forecast_horizon_s", 86_400.0, "How near a limit (disk, memory) must be to be foretold.", 60),
    Setting("finding_close_s", 120.0, "Quiet time after which a finding is closed.", 1),
    Setting("findings_days_max", 90.0, "Age at which closed findings are deleted.", 0),
    Setting("incident_gap_s", 300.0, "Time between findings that may still become one incident.", 0),
    Setting("incident_hops_max", 2, "Dependencies that may lie between findings that become one incident.", 0, 10),
    Setting(
        "incident_coincidence_s",
        0.0,
        "Findings that begin within this time become one incident, whatever they are about; 0 turns it off.",
        0,
    ),
    Setting("incident_resolve_s", 300.0, "Quiet time after which an incident whose findings closed is resolved.", 1),
    Setting("incident_reopen_s", 1_800.0, "Time in which a finding that returns reopens its resolved incident.", 0),
    Setting(
        "incident_stale_s", 86_400.0, "Time after which an open finding that nobody tells of counts as closed.", 60
    ),
    Setting("incident_change_s", 1_800.0, "Changes this long before an incident stand in its timeline.", 0),
    Setting("incidents_days_max", 365.0, "Age at which resolved incidents and changes are deleted.", 0),
    Setting("cmdb_file", "", "CSV or JSON file of a configuration database, merged into the topology."),
    Setting("topology_days_max", 30.0, "Age at which the topology of an hour is deleted.", 0),
    Setting("public_url", "", "Address of the page as people reach it, for links in notifications."),
    Setting("notify_file", "", "TOML file of those who are to be notified of incidents."),
    Setting("notify_attempts_max", 10, "Attempts after which a notification is given up.", 1, 1000),
    Setting("notify_repeat_s", 600.0, "Time in which the same news of an incident is told once.", 0),
    Setting(
        "remote_write_url",
        "",
        "Receiver of Prometheus remote write that Watchkeeper's own metrics are sent to, if any.",
    ),
    Setting("remote_write_version", "1.0", "Version of its messages: 1.0, or 2.0 with 1.0 for who does not know it."),
    Setting("remote_write_interval_s", 15.0, "Time between the points of own metrics that are sent.", 0.05),
    Setting("remote_write_labels", "", "Labels on every own series, as cluster=eu,replica=a; job and instance too."),
    Setting("remote_write_token_file", "", "File with the bearer token for that receiver."),
    Setting("remote_write_username", "", "User name for it, where it asks for basic authentication."),
    Setting("remote_write_password_file", "", "File with the password of that user."),
    Setting("remote_write_ca", "", "PEM file of the authority that signed the receiver's certificate."),
    Setting("remote_write_cert", "", "PEM file with the client certificate for it."),
    Setting("remote_write_key", "", "PEM file with the private key of that certificate."),
    Setting("remote_write_timeout_s", 30.0, "How long that receiver may take to answer.", 0.05),
    Setting("remote_write_pause_s_max", 30.0, "Longest pause between attempts, unless it asks for more.", 0.01),
    Setting("remote_write_queue_max", 240, "Points in time that wait for that receiver; the oldest go.", 1),
    Setting("host_usage_max", 0.8, "Share of file descriptors or process ids in use at which doctor warns.", 0, 1),
    Setting("host_usage_critical_max", 0.95, "Share of them in use at which doctor fails the check.", 0, 1),
    Setting("host_disk_free_min", 0.1, "Share of a disk's bytes or inodes that is to be free.", 0, 1),
    Setting("host_memory_free_min", 0.05, "Share of memory that is to be available.", 0, 1),
    Setting("host_shm_bytes_min", 64 * MIB, "Shared memory that a machine with a GPU is to have at the least.", 0),
    Setting("host_open_files_min", 4096, "Files that a process is to be allowed to open.", 1),
    Setting("host_stuck_checks_max", 5, "Checks in a row that a driver's process may be in uninterruptible sleep.", 1),
    Setting("gpu_read_timeout_s", 10.0, "How long the GPU driver may take to answer before it counts as wedged.", 0.1),
    Setting("gpu_count_min", 0, "GPUs that this machine is to have; 0 takes what the PCI bus shows.", 0),
    Setting("gpu_margin_c_min", 10.0, "Degrees that a GPU is to stay below the temperature at which it slows.", 0),
    Setting("gpu_ecc_corrected_max", 50_000_000, "Mended memory errors since the driver was loaded.", 0),
    Setting("gpu_pages_retired_max", 63, "Retired memory pages at which a GPU is critical.", 1),
    Setting("gpu_pages_double_bit_max", 15, "Pages retired for double-bit errors that a GPU may have.", 0),
    Setting("gpu_pages_double_bit_week_max", 1, "Of these, in the last week, once there are more than it may have.", 0),
    Setting("gpu_throttle_rate_max", 0.6, "Throttle events a minute, over ten minutes, at which a GPU is critical.", 0),
    Setting("gpu_pcie_bit_errors_max", 1e-12, "Errors a bit that PCI Express may show; replays above it warn.", 0),
    Setting("gpu_nvlink_crc_rate_max", 100.0, "Checksum errors a second on the NVLinks of a GPU.", 0),
    Setting("gpu_nvlink_count_min", 0, "NVLinks that are to be up on each GPU; 0 takes those that exist.", 0),
    Setting("infiniband_ports_min", 0, "InfiniBand ports that are to be up; 0 takes those that exist.", 0),
    Setting("infiniband_rate_gbps_min", 0.0, "Rate that each InfiniBand port is to run at, in Gb/s; 0 asks none.", 0),
    Setting("training_range_s", 3_600.0, "How far back a training reads stored lines, where nothing else is asked.", 1),
    Setting("training_memory_bytes_max", 1_536 * MIB, "Memory of a training job; beyond it the job fails.", 256 * MIB),
    Setting("training_heartbeat_s", 120.0, "Silence after which a training job counts as dead.", 1),
    Setting(
        "training_resumptions_max", 3, "Times that a training job is taken up after its process was killed.", 0, 100
    ),
    Setting(
        "training_promote",
        "auto",
        "auto makes a trained model active where it is no worse than the one before it; ask leaves that to people.",
    ),
    Setting("log_kinds_file", "", "TOML file of kinds of logs: own ones, and which workloads a kind's model scores."),
    Setting(
        "training_false_alarms_max",
        0.05,
        "Share of normal lines of a form never seen before that a trained model may flag; it sets the threshold.",
        0.0,
        0.5,
    ),
    Setting("edge_to", "", "Address of the centre that an agent forwards to; `--to` of `watchkeeper edge`."),
    Setting("edge_ca", "", "PEM file of the authority that signed the centre's certificate."),
    Setting("edge_cert", "", "PEM file with the certificate by which an agent is known to the centre."),
    Setting("edge_key", "", "PEM file with the private key of that certificate."),
    Setting("edge_node_name", "", "Name of an agent's node; else that of its certificate, else the host's."),
    Setting(
        "edge_metrics_port", 8889, "Port of an agent's /metrics, /health and /ready; 0 takes a free one.", 0, PORT_MAX
    ),
    Setting("edge_batch_records_max", 1024, "Records at which an agent sends a batch.", 1),
    Setting("edge_batch_age_s", 10.0, "Time after which an agent sends a batch that is not full.", 0),
    Setting("edge_pause_s_max", 30.0, "Longest pause of an agent between attempts to reach the centre.", 0.01),
    Setting(
        "edge_spool_bytes_max", GIB, "Size on disk of what an agent keeps for the centre; then it refuses.", 65_536
    ),
    Setting(
        "edge_files_from_start", False, "Read log files from their start when an agent sees them for the first time."
    ),
    Setting("edge_host_interval_s", 10.0, "Time between an agent's readings of its host; 0 reads none.", 0),
    Setting(
        "edge_health_interval_s", 60.0, "Time between an agent's looks at GPUs and the kernel log; 0 looks at none.", 0
    ),
    Setting("infer_openai_url", "", "Address of an OpenAI-compatible server, for the models `openai:NAME`."),
    Setting("infer_openai_key_file", "", "File with its key; without one, the variable OPENAI_API_KEY has it."),
    Setting(
        "infer_timeout_s", 120.0, "How long an inference endpoint may take for a whole answer, or stay silent.", 0.05
    ),
    Setting("infer_attempts_max", 3, "Attempts at an inference endpoint that refuses for now or breaks off.", 1, 100),
    Setting("infer_pause_s_max", 30.0, "Longest pause between them; an endpoint that asks for more is given up.", 0),
    Setting("nats_url", "", "NATS servers that the training gateway answers on: nats://127.0.0.1:4222; empty: none."),
    Setting("nats_credentials", "", "File of NATS credentials (.creds)."),
    Setting("nats_ca", "", "PEM file of the authority that signed the NATS server's certificate."),
    Setting("nats_cert", "", "PEM file with the certificate by which Watchkeeper is known to NATS."),
    Setting("nats_key", "", "PEM file with the private key of that certificate."),
    Setting("nats_subject_prefix", "", "What stands before the subjects of the training gateway, such as `west.`."),
)

_BY_NAME: dict[str, Setting] = {setting.name: setting for setting in SETTINGS}


class Settings:
    """The values in force, each with where it came from; attributes are the names of SETTINGS.

    >>> Settings(chosen={"http_port": "9000"}, environment={}).integer("http_port")
    9000
    """

    def __init__(
        self,
        *,
        chosen: Mapping[str, Any] | None = None,
        environment: Mapping[str, str] | None = None,
        file: Path | None = None,
    ) -> None:
        environment = os.environ if environment is None else environment
        self._values: dict[str, Value] = {setting.name: setting.default for setting in SETTINGS}
        self._sources: dict[str, str] = dict.fromkeys(self._values, "default")
        self._take_all({k: v for k, v in chosen.items() if k == "home"} if chosen else {}, "command line")
        if "WATCHKEEPER_HOME" in environment and not (chosen and "home" in chosen):
            self._take("home", environment["WATCHKEEPER_HOME"], "WATCHKEEPER_HOME")
        self._take_all(self._read_file(file), "configuration file", keep_home=True)
        for name in _BY_NAME:
            key = f"WATCHKEEPER_{name.upper()}"
            if key in environment and not (name == "home" and chosen and "home" in chosen):
                self._take(name, environment[key], key)
        self._take_all(chosen or {}, "command line")

    def _read_file(self, file: Path | None) -> dict[str, Any]:
        path = file or Path(str(self._values["home"])) / "watchkeeper.toml"
        if not path.exists():
            if file is not None:
                raise SettingError(f"the configuration file {path} does not exist; create it or leave --config out")
            return {}
        try:
            return tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise SettingError(f"{path} is not valid TOML: {error}; mend that line") from error

    def _take_all(self, values: Mapping[str, Any], source: str, *, keep_home: bool = False) -> None:
        for name, value in values.items():
            if not (keep_home and name == "home"):
                self._take(name, value, source)

    def _take(self, name: str, value: Any, source: str) -> None:
        setting = _BY_NAME.get(name)
        if setting is None:
            near = difflib.get_close_matches(name, _BY_NAME, n=1)
            hint = f"did you mean {near[0]!r}?" if near else "`watchkeeper settings` lists all"
            raise SettingError(f"there is no setting {name!r} ({source}); {hint}")
        self._values[name] = _convert(setting, value, source)
        self._sources[name] = source

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["_values"][name]
        except KeyError:
            raise AttributeError(f"there is no setting {name!r}") from None

    def integer(self, name: str) -> int:
        """Give a whole-number setting."""
        return int(self._values[name])

    def number(self, name: str) -> float:
        """Give a numeric setting."""
        return float(self._values[name])

    def text(self, name: str) -> str:
        """Give a text setting."""
        return str(self._values[name])

    def flag(self, name: str) -> bool:
        """Give a yes-or-no setting."""
        return bool(self._values[name])

    def path(self, name: str) -> Path:
        """Give a setting that names a file or folder, with `~` expanded."""
        return Path(self.text(name)).expanduser()

    def table(self) -> list[dict[str, Any]]:
        """Give every setting as {name, value, default, source, help}, in the order of SETTINGS."""
        return [
            {
                "name": setting.name,
                "value": self._values[setting.name],
                "default": setting.default,
                "source": self._sources[setting.name],
                "help": setting.help,
            }
            for setting in SETTINGS
        ]


def _convert(setting: Setting, value: Any, source: str) -> Value:
    kind = type(setting.default)
    try:
        converted = _as_flag(value) if kind is bool else kind(value)
    except (TypeError, ValueError):
        raise SettingError(
            f"setting {setting.name} = {value!r} ({source}) is not {_KINDS[kind]}; the default is {setting.default!r}"
        ) from None
    if setting.minimum is not None and not float(converted) >= setting.minimum:
        raise SettingError(
            f"setting {setting.name} = {value!r} ({source}) is below the least allowed, {setting.minimum:g}"
        )
    if setting.maximum is not None and float(converted) > setting.maximum:
        raise SettingError(
            f"setting {setting.name} = {value!r} ({source}) is above the most allowed, {setting.maximum:g}"
        )
    return converted


_KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


def _as_flag(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    text = str(value).strip().lower()
    if text in {"1", "true", "yes", "on"}:
        return True
    if text in {"0", "false", "no", "off"}:
        return False
    raise ValueError(value)
