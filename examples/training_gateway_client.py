r"""A second client of the training gateway, written from its table of operations; it imports nothing of Watchkeeper.

    python training_gateway_client.py --http http://127.0.0.1:8080 --otlp http://127.0.0.1:4318 \
        --nats nats://127.0.0.1:4222

It sends telemetry of two workloads of its own, calls every operation over HTTP and, with `--nats` (needs nats-py), over
NATS, follows two trainings, and checks decisions, statuses, statistics and buckets. It prints a row for each check and
exits with 0 when all hold, 1 when one fails, 2 when a server is away. The default watchlist is empty afterwards.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

STATUSES = ("no model trained", "training", "completed", "training failed", "cancelled")
STAGES = ("fetching data", "train", "evaluate", "save")
STATISTICS = {
    "time_elapsed_s", "percentage_completed", "remaining_time_s", "current_epoch", "model_accuracy", "stage"
}  # fmt: skip
POLL_S = 0.1

Answer = dict[str, Any]
Item = dict[str, str]


class Away(Exception):
    """A server does not answer."""


class Http:
    """The operations over HTTP."""

    name = "HTTP"

    def __init__(self, url: str, token: str = "") -> None:
        self.url, self.token = url.rstrip("/"), token

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        headers = {"Accept": "application/json"} | ({"Authorization": f"Bearer {self.token}"} if self.token else {})
        data = None if body is None else json.dumps(body).encode()
        if data is not None:
            headers["Content-Type"] = "application/json"
        request = urllib.request.Request(f"{self.url}{path}", data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as refusal:
            return refusal.code, json.loads(refusal.read() or b"null")
        except urllib.error.URLError as error:
            raise Away(f"{self.url}: {error.reason}") from error

    def _good(self, method: str, path: str, body: Any = None) -> Any:
        status, answer = self.ask(method, path, body)
        require(status == 200, f"{method} {path} answered {status}: {answer}")
        return answer

    def train(self, items: list[Item]) -> Answer:
        return self._good("POST", "/model/train", {"items": items})

    def status(self) -> Answer:
        return self._good("GET", "/model/status")

    def report(self, body: Answer) -> Answer:
        return self._good("PUT", "/model/current_status", body)

    def parameters(self) -> list[Item]:
        return self._good("GET", "/model/training_parameters")["items"]

    def aggregation(self, cluster_id: str) -> list[Answer]:
        return self._good("GET", f"/workload_aggregation/{cluster_id}")["items"]

    def gpus(self) -> list[Answer]:
        return self._good("GET", "/gpu_info")["items"]

    def refuses(self, body: Any) -> str:
        status, answer = self.ask("POST", "/model/train", body)
        require(status == 400, f"answered {status}")
        return str(answer["detail"])


class Nats:
    """The operations over NATS request/reply."""

    name = "NATS"

    def __init__(self, url: str) -> None:
        from nats.aio.client import Client

        self._loop = asyncio.new_event_loop()
        self._client = Client()
        try:
            self._loop.run_until_complete(self._client.connect(url, allow_reconnect=False, connect_timeout=5))
        except Exception as error:
            raise Away(f"{url}: {error}") from error

    def ask(self, subject: str, body: Any = None) -> Any:
        data = b"" if body is None else json.dumps(body).encode()
        from nats.errors import Error

        try:
            reply = self._loop.run_until_complete(self._client.request(subject, data, timeout=60))
        except Error as error:
            raise Failed(f"{subject} is not answered: {error or type(error).__name__}") from error
        return json.loads(reply.data)

    def _good(self, subject: str, body: Any = None) -> Any:
        answer = self.ask(subject, body)
        require("error" not in answer, f"{subject} answered {answer}")
        return answer

    def train(self, items: list[Item]) -> Answer:
        return self._good("train_model", {"items": items})

    def status(self) -> Answer:
        return self._good("model_status")

    def report(self, body: Answer) -> Answer:
        return self._good("put_model_status", body)

    def parameters(self) -> list[Item]:
        return self._good("workload_parameters")["items"]

    def aggregation(self, cluster_id: str) -> list[Answer]:
        return self._good("workload_aggregation", {"cluster_id": cluster_id})["items"]

    def gpus(self) -> list[Answer]:
        return self._good("gpu_info")["items"]

    def refuses(self, body: Any) -> str:
        answer = self.ask("train_model", body)
        require(answer.get("error", {}).get("code") == "invalid_request", f"answered {answer}")
        return str(answer["error"]["message"])

    def bucket(self, name: str) -> dict[str, Any]:
        async def read() -> dict[str, Any]:
            kv = await self._client.jetstream().key_value(name)
            return {key: json.loads((await kv.get(key)).value or b"null") for key in await kv.keys()}

        return self._loop.run_until_complete(read())

    def close(self) -> None:
        self._loop.run_until_complete(self._client.close())
        self._loop.close()


class Failed(Exception):
    """A check does not hold."""


def require(holds: object, otherwise: str) -> None:
    if not holds:
        raise Failed(otherwise)


class Report:
    """The rows; one a check."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, str, str, str]] = []

    def check(self, what: str, transport: str, test: Callable[[], Any]) -> bool:
        try:
            said = test()
        except (Failed, KeyError, TypeError, ValueError, TimeoutError) as error:
            self.rows.append((what, transport, "FAILED", f"{type(error).__name__}: {error}"[:300]))
        else:
            self.rows.append((what, transport, "ok", str(said or "")[:100]))
        print("  ".join(text.ljust(width) for text, width in zip(self.rows[-1], (58, 9, 6, 0), strict=True)).rstrip())
        sys.stdout.flush()
        return self.rows[-1][2] == "ok"

    @property
    def failures(self) -> int:
        return sum(row[2] == "FAILED" for row in self.rows)


def send_logs(otlp: str, token: str, workload: Item, lines: int) -> None:
    """Send lines of a few patterns over OTLP/HTTP in JSON."""
    now = time.time_ns()
    patterns = (
        "accepted connection {0} from 10.0.0.{1}",
        "request {0} to /api/items/{1} took {2} ms",
        "cache hit for key item-{1}",
        "user {1} logged in",
        "wrote {2} bytes to segment {0}",
        "heartbeat {0} ok",
    )
    records = [
        {
            "timeUnixNano": str(now - (lines - number) * 10**6),
            "severityNumber": 9,
            "body": {"stringValue": patterns[number % len(patterns)].format(number, number % 17, number * 7 % 97)},
        }
        for number in range(lines)
    ]
    said = {
        "k8s.cluster.name": workload["cluster_id"],
        "k8s.namespace.name": workload["namespace"],
        "k8s.deployment.name": workload["deployment"],
        "service.name": workload["deployment"],
    }
    attributes = [{"key": key, "value": {"stringValue": value}} for key, value in said.items()]
    body = {"resourceLogs": [{"resource": {"attributes": attributes}, "scopeLogs": [{"logRecords": records}]}]}
    status, answer = Http(otlp, token).ask("POST", "/v1/logs", body)
    require(status == 200, f"OTLP answered {status}: {answer}")


def check_status(status: Answer) -> None:
    """Hold one status to the specification."""
    require(status["status"] in STATUSES, f"unknown status {status['status']!r}")
    told = status["statistics"]
    require(set(told) >= STATISTICS, f"statistics without {STATISTICS - set(told)}")
    require(0 <= told["percentage_completed"] <= 100, f"{told['percentage_completed']} %")
    require(status["stage"] == told["stage"], "the stage is told twice, differently")
    if status["status"] == "no model trained":
        require(status["stage"] is None, f"a stage without a training: {status['stage']}")
    else:
        require(status["stage"] in STAGES, f"unknown stage {status['stage']!r}")
    if status["status"] == "completed":
        require(status["stage"] == "save" and told["percentage_completed"] == 100, f"completed with {status['stage']}")


def follow(api: Http | Nats, timeout_s: float) -> str:
    """Follow a training to its end; each status is held to the specification, and none goes back."""
    end = time.monotonic() + timeout_s
    seen: list[Answer] = []
    while not seen or seen[-1]["status"] == "training":
        require(time.monotonic() < end, f"still training after {timeout_s:g} s: {seen[-1:]}")
        seen.append(api.status())
        check_status(seen[-1])
        time.sleep(POLL_S)
    last = seen[-1]
    require(last["status"] == "completed", f"{last['status']}: {last.get('reason')}")
    percentages = [each["statistics"]["percentage_completed"] for each in seen]
    require(percentages == sorted(percentages), f"the percentage went back: {percentages}")
    places = [STAGES.index(each["stage"]) for each in seen]
    require(places == sorted(places), "the stages went back")
    elapsed = [each["statistics"]["time_elapsed_s"] for each in seen]
    require(elapsed == sorted(elapsed) and elapsed[-1] > 0, "the time elapsed went back")
    accuracy = last["statistics"]["model_accuracy"]
    require(isinstance(accuracy, float) and 0 < accuracy <= 1, f"model_accuracy is {accuracy!r}")
    stages = ", ".join(dict.fromkeys(each["stage"] for each in seen))
    return f"{elapsed[-1]:.0f} s, accuracy {accuracy:.2f}; {stages}"


def decided(api: Http | Nats, items: list[Item], decision: str) -> str:
    """Submit a list and hold the answer to the decision that it must be."""
    answer = api.train(items)
    require(answer["decision"] == decision, f"decided {answer['decision']!r}, not {decision!r}")
    require(bool(answer["job_id"]) == (decision == "trained"), f"job id {answer['job_id']!r} with {decision}")
    return str(answer["job_id"])


def idle(api: Http | Nats, status: str) -> None:
    found = api.status()
    check_status(found)
    require(found["status"] == status, f"the status is {found['status']!r}, not {status!r}")


def submitted(api: Http | Nats, items: list[Item]) -> None:
    found = sorted(api.parameters(), key=str)
    require(found == sorted(items, key=str), f"the last submitted list is {found}")


def counted(api: Http | Nats, workloads: list[Item], lines: int) -> str:
    """Wait until the counts are those that were sent."""
    end = time.monotonic() + 35
    while True:
        found = {
            (each["namespace"], each["deployment"]): each["log_count"]
            for each in api.aggregation(workloads[0]["cluster_id"])
        }
        if all(found.get((each["namespace"], each["deployment"])) == lines for each in workloads):
            break
        require(time.monotonic() < end, f"counts are {found}")
        time.sleep(POLL_S)
    require(api.aggregation("no-such-cluster") == [], "a cluster that is not there has workloads")
    return f"{lines} lines each"


def gpus(api: Http | Nats) -> str:
    found = api.gpus()
    for each in found:
        require(isinstance(each["name"], str) and 0 <= each["allocatable"] <= each["capacity"], f"{each}")
    return f"{len(found)} GPU resources"


def reported(api: Http | Nats, look: Http | Nats) -> None:
    """Report as a remote trainer does, and see it in the status."""
    told = {"time_elapsed_s": 3.5, "percentage_completed": 25.0, "remaining_time_s": 10.0, "current_epoch": 2}
    api.report({"status": "training", "statistics": {**told, "stage": "train"}})
    found = look.status()
    check_status(found)
    require(found["status"] == "training" and found["stage"] == "train", f"{found}")
    for name, value in told.items():
        require(found["statistics"][name] == value, f"{name} is {found['statistics'][name]}")
    api.report({"status": "training failed", "statistics": {**told, "stage": "train"}})
    require(look.status()["status"] == "training failed", "a failed training is not told")


def settings(http: Http) -> str:
    """Put, read and delete settings; the secret is never given back."""
    status, before = http.ask("GET", "/ai/settings")
    require(status == 200, f"{status} {before}")
    store = {"url": "http://127.0.0.1:9/models", "access_key": "me", "secret_key": "a-secret-of-this-check"}
    put = {"gpu_runtime_class": "nvidia", "replicas": 2, "object_store": store}
    put["pretrained_models"] = {"workload": {"enabled": True, "threshold": 0.7}}
    status, answer = http.ask("PUT", "/ai/settings", put)
    require(status == 200, f"{status} {answer}")
    status, found = http.ask("GET", "/ai/settings")
    require((found["gpu_runtime_class"], found["replicas"]) == ("nvidia", 2), f"{found}")
    require(found["pretrained_models"]["workload"]["threshold"] == 0.7, f"{found}")
    require(store["secret_key"] not in json.dumps([answer, found]), "the secret is given back")
    require(found["object_store_state"]["state"] == "error", "an object store that is away is not told")
    status, _ = http.ask("DELETE", "/ai/settings?purge_model_training_data=false")
    require(status == 200, f"DELETE answered {status}")
    require(http.ask("GET", "/ai/settings")[1]["object_store"] is None, "the settings are still there")
    return "kept, told without the secret, deleted"


def mirrored(nats: Nats, workload: Item, status: str) -> str:
    """Wait until both buckets hold what the operations tell."""
    end = time.monotonic() + 35
    while True:
        found, counts = nats.bucket("modelTrainingStatus"), nats.bucket("aggregation")
        text = json.dumps(counts)
        if found.get("default", {}).get("status") == status and workload["namespace"] in text:
            return f"{len(counts)} keys in aggregation"
        require(time.monotonic() < end, f"modelTrainingStatus: {found}; aggregation: {text[:100]}")
        time.sleep(POLL_S)


def run(report: Report, http: Http, nats: Nats | None, chosen: argparse.Namespace) -> None:
    """All checks, in the order in which one needs the other."""
    otlp, otlp_token, timeout_s, lines = chosen.otlp, chosen.otlp_token, chosen.timeout, chosen.lines
    own = f"conformance-{secrets.token_hex(3)}"
    cart, pay = ({"cluster_id": "conformance", "namespace": own, "deployment": name} for name in ("cart", "pay"))
    second: Http | Nats = nats or http
    both: list[Http | Nats] = [http, *([nats] if nats else [])]
    for workload in (cart, pay):
        report.check(
            f"telemetry of {workload['deployment']} is taken",
            "OTLP",
            lambda w=workload: send_logs(otlp, otlp_token, w, lines),
        )
    report.check("an empty list resets", http.name, lambda: decided(http, [], "reset"))
    for api in both:
        report.check("without a model the status says so", api.name, lambda a=api: idle(a, "no model trained"))
    for api in both:
        report.check("log counts by workload", api.name, lambda a=api: counted(a, [cart, pay], lines))
        report.check("GPUs of the cluster", api.name, lambda a=api: gpus(a))
        report.check(
            "a remote trainer's report is told", api.name, lambda a=api: reported(a, second if a is http else http)
        )
        for bad in ({"items": [{"cluster_id": "x"}]}, [], {"items": 7}):
            report.check(f"{json.dumps(bad)} is refused with a reason", api.name, lambda a=api, b=bad: a.refuses(b))
    report.check("settings", http.name, lambda: settings(http))
    report.check("a new workload trains", http.name, lambda: decided(http, [cart], "trained"))
    for api in both:
        report.check("the submitted list is told", api.name, lambda a=api: submitted(a, [cart]))
    report.check("the training is followed to its end", http.name, lambda: follow(http, timeout_s))
    report.check("the same list again trains nothing", second.name, lambda: decided(second, [cart], "updated"))
    report.check("one more workload trains", second.name, lambda: decided(second, [cart, pay], "trained"))
    report.check("the training is followed to its end", second.name, lambda: follow(second, timeout_s))
    report.check("a removal only updates", http.name, lambda: decided(http, [pay], "updated"))
    report.check("the status after an update is completed", second.name, lambda: idle(second, "completed"))
    report.check("the submitted list is the smaller one", second.name, lambda: submitted(second, [pay]))
    report.check("decided against what was trained", second.name, lambda: decided(second, [cart, pay], "updated"))
    if nats is not None:
        report.check("both buckets hold the same", "JetStream", lambda: mirrored(nats, cart, "completed"))
    report.check("an empty list resets", second.name, lambda: decided(second, [], "reset"))
    for api in both:
        report.check("after a reset there is no model", api.name, lambda a=api: idle(a, "no model trained"))
        report.check("after a reset the list is empty", api.name, lambda a=api: submitted(a, []))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--http", default="http://127.0.0.1:8080", help="page and API")
    parser.add_argument("--otlp", default="http://127.0.0.1:4318", help="OTLP over HTTP")
    parser.add_argument("--nats", default="", help="NATS server; without it NATS is not checked")
    parser.add_argument("--token", default="", help="token of an admin, where tokens are set up")
    parser.add_argument("--otlp-token", default="", help="token that may send telemetry, where tokens are set up")
    parser.add_argument("--timeout", type=float, default=600.0, help="seconds that a training may take")
    parser.add_argument("--lines", type=int, default=1_500, help="log lines of each workload")
    chosen = parser.parse_args()
    report = Report()
    nats = None
    try:
        nats = Nats(chosen.nats) if chosen.nats else None
        run(report, Http(chosen.http, chosen.token), nats, chosen)
    except Away as error:
        print(f"no answer: {error}", file=sys.stderr)
        return 2
    finally:
        if nats is not None:
            nats.close()
    print(f"{len(report.rows)} checks, {report.failures} failed{'' if chosen.nats else '; NATS was not checked'}")
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
