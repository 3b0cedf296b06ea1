"""The public data sets that Watchkeeper is measured with: what they are, where they come from, their checksums.

A set is one file: a packing of files that lie in public repositories at the commits given. Many are for research only
or carry no licence, so none is part of Watchkeeper; `internal` means: measure with it, do not pass it on. Plain data.
"""

from __future__ import annotations

from dataclasses import dataclass

from watchkeeper.datasets.citations import citations_of
from watchkeeper.registry import Registry


@dataclass(frozen=True)
class Place:
    """Where files of a set come from: a GitHub repository, a commit (may be shortened, "" if not said), paths in it."""

    repository: str
    commit: str
    path: str

    def __str__(self) -> str:
        commit = f" @ {self.commit}" if self.commit else ""
        return f"{self.repository}{commit}{f': {self.path}' if self.path else ''}"


@dataclass(frozen=True)
class DataSet:
    """One data set: the packed `file`, its size and checksum, and what is known about it."""

    name: str
    file: str
    size_bytes: int
    sha256: str
    licence: str
    holds: str
    places: tuple[Place, ...]
    tasks: tuple[str, ...]

    def as_dict(self) -> dict[str, object]:
        """Give plain data for JSON."""
        return {
            "name": self.name,
            "file": self.file,
            "size_bytes": self.size_bytes,
            "sha256": self.sha256,
            "licence": self.licence,
            "cite": list(citations_of(self.name)),
            "holds": self.holds,
            "source": [str(place) for place in self.places],
            "tasks": list(self.tasks),
        }


_SETS: tuple[DataSet, ...] = (
    DataSet(
        name="loghub_2k",
        file="loghub_2k.tar.xz",
        size_bytes=485_064,
        sha256="d55f9f04cabe2276b64c8fc16a360afb6c125b24aa946fcc3d994e53399c5407",
        licence="loghub (research, cite)",
        holds=(
            "8 systems (HDFS, BGL, Hadoop, Linux, OpenSSH, Spark, Zookeeper, Android) x 2,000 "
            "lines, raw + structured + templates; original and corrected labels"
        ),
        places=(Place("logpai/logparser", "db272234", "data/loghub_2k, data/loghub_2k_corrected"),),
        tasks=("patterns",),
    ),
    DataSet(
        name="hdfs_2pct_raw",
        file="hdfs_2pct_raw.tar",
        size_bytes=3_891_200,
        sha256="f6d8c850e592dfc0bf57cd115e78df37b1932f9fb6240f561665087f655199f6",
        licence="MIT; loghub",
        holds="222,579 raw lines with timestamps, 11,501 sessions (block ids), 350 anomalous",
        places=(Place("EvoTestOps/LogLead", "b40a56e5", "demo/samples"),),
        tasks=(
            "anomaly detection",
            "throughput",
        ),
    ),
    DataSet(
        name="hdfs_full_sequences",
        file="hdfs_full_sequences.tar.xz",
        size_bytes=1_177_964,
        sha256="504c29a9c6d7d087912430db64654461223a2660526366bdc4587ff8355f6ce3",
        licence="MIT; loghub",
        holds=(
            "575,059 sessions, 16,838 anomalous, 11.17 M event ids; normals first, so not in time "
            "order; `valid` is a subset, do not add it. Only 594 distinct count vectors: also "
            "report on de-duplicated ones"
        ),
        places=(Place("Aquariuaa/LightLog", "b9328763", ""),),
        tasks=("anomaly detection",),
    ),
    DataSet(
        name="bgl_100k_raw",
        file="bgl_100k_raw.tar.xz",
        size_bytes=932_156,
        sha256="d7e8dff23cd02685ccb29a927abb6fe357f56a80d23b4dd5bd21473e119f5088",
        licence="MIT; CFDR",
        holds="100,000 raw lines, 2,613 alerts with category (first two days)",
        places=(Place("Aquariuaa/LightLog", "b9328763", ""),),
        tasks=(
            "anomaly detection",
            "category",
            "throughput",
        ),
    ),
    DataSet(
        name="bgl_windows_distillog",
        file="bgl_windows_distillog.tar.xz",
        size_bytes=177_144,
        sha256="522df23f78e6024654817c6460aa83be5ddff98f195ff522840ac27a270fb085",
        licence="internal",
        holds=(
            "chronological_test.csv: 18,987 windows of 50 event ids = last 20 % of BGL in time "
            "order, 1,379 anomalous; random_train.csv overlaps it: never train on one and test on "
            "the other"
        ),
        places=(Place("ficstkeyfx/RefactorDistilLog", "8fd824fa", ""),),
        tasks=("anomaly detection",),
    ),
    DataSet(
        name="hadoop_raw_labelled",
        file="hadoop_raw_labelled.tar.xz",
        size_bytes=1_197_752,
        sha256="1d2ed06af99052feef58781be9edf92a76045b1ae4f36863411b2130a479eab7",
        licence="internal",
        holds=(
            "55 applications, 973 container logs, 176,185 lines; normal / machine down / network "
            "disconnection / disk full. Three logs are missing, all of one class (a leak): use "
            "ait_sequences for headline figures. Five labels are wrong, see logpai/loghub issue 56"
        ),
        places=(Place("zhangzhihong2610/GitCommit", "0dcbe385", "LogLLM/data/RawData/Hadoop"),),
        tasks=("failure category",),
    ),
    DataSet(
        name="ait_sequences",
        file="ait_sequences.tar.xz",
        size_bytes=857_188,
        sha256="b0a5bb1a46925a8940e7bda68ccd9010a5e0c87ac9efc277117986397802dcf1",
        licence="GPL-3",
        holds=(
            "event-id sequences: Hadoop complete (978 containers with application ids, by failure "
            "type), OpenStack (two sets), HDFS, BGL, Thunderbird train parts; templates"
        ),
        places=(Place("ait-aecid/anomaly-detection-log-datasets", "52966936", ""),),
        tasks=(
            "anomaly detection",
            "failure category",
        ),
    ),
    DataSet(
        name="openstack_mixed",
        file="openstack_mixed.tar.xz",
        size_bytes=446_948,
        sha256="ceb9010ce7be4ae76005f32a2b3de16de2475f9ad8d174f0654a1fd0165075fd",
        licence="GPL-3, none, GPL-3",
        holds=(
            "raw nova logs 43,776 lines; 6,000/500 sessions; failure data set DEPL/NET/STO: 1,076 + "
            "561 + 901 experiments with 6/4/4 failure classes"
        ),
        places=(
            Place("ParisaKalaki/openstack-logs", "953cfe41", ""),
            Place("hniu1/GraphLog", "ac1978bd", ""),
            Place("dessertlab/Failure-Dataset-OpenStack", "df5824e0", ""),
        ),
        tasks=(
            "failure category",
            "anomaly detection",
        ),
    ),
    DataSet(
        name="petshop",
        file="petshop.tar.xz",
        size_bytes=1_344_980,
        sha256="a77e7ae8fcb1b35f52ecbd58f6aa1991d2b159192bd15740164d9079bcd0e085",
        licence="CC-BY-4.0",
        holds=(
            "train issues of 5 traffic scenarios: 5-min latency/requests/availability metrics, call "
            "graph, target, root-cause node; fault-free periods (temporal_traffic has none)"
        ),
        places=(Place("amazon-science/petshop-root-cause-analysis", "1c5992dc", "dataset"),),
        tasks=(
            "localization",
            "specificity",
        ),
    ),
    DataSet(
        name="nezha_trainticket",
        file="nezha_trainticket.tar.xz",
        size_bytes=19_954_304,
        sha256="18523e148dc536484f325577c84cce0d0bc9962d7b45519772587886872bc5c2",
        licence="MIT",
        holds=(
            "45 faults on 46 pods (return 11, exception 13, CPU 7, delay 14): 1-min metrics all "
            "day, logs and traces in fault minutes; pod, type, code region"
        ),
        places=(Place("IntelligentDDS/Nezha", "d8140101", "rca_data/2023-01-{29,30}, construct_data"),),
        tasks=(
            "localization",
            "category",
            "detection",
            "report",
        ),
    ),
    DataSet(
        name="rcd_sockshop",
        file="rcd_sockshop.tar.xz",
        size_bytes=1_090_580,
        sha256="2a6c6ca163d259219033d799e75a9da957b4cb6cf3ac1e42275344e4456af41c",
        licence="internal",
        holds="50 faults (5 services x CPU/memory x 5), 38 metrics at 1 s; service + indicator",
        places=(Place("azamikram/rcd", "373882c6", "sock-shop-data"),),
        tasks=("localization (two levels)",),
    ),
    DataSet(
        name="changerca",
        file="changerca.tar.xz",
        size_bytes=4_155_560,
        sha256="e5f2db118854cb94fb4b825512f4bab33b42f221313b4be06d02bab599462255",
        licence="internal",
        holds=(
            "51 canary releases, 13 fault kinds; per-pod per-edge success/latency/CPU/memory, "
            "release plan; the faulty change"
        ),
        places=(Place("IntelligentDDS/ChangeRCA", "e33c328f", "data"),),
        tasks=("failure prevention",),
    ),
    DataSet(
        name="traceanomaly_trainticket",
        file="traceanomaly_trainticket.tar.xz",
        size_bytes=2_430_932,
        sha256="06b3677d4fac2ca6744f2de35aa5a4b87a18feba38325c5cbf0a34766d03bdd4",
        licence="internal",
        holds="labelled trace vectors (service times)",
        places=(Place("NetManAIOps/TraceAnomaly", "946e4479", "train_ticket/test_*.zip"),),
        tasks=("anomaly detection (traces)",),
    ),
    DataSet(
        name="itbench_sre",
        file="itbench_sre.jsonl.xz",
        size_bytes=36_852,
        sha256="2e6162206e97a448705ff1758730bc6e2e2d24b41e74b052d2dae5a5896ad00a",
        licence="Apache-2.0",
        holds=(
            "67 scenarios (65 with kubectl fixes, 36 with propagation chain), 30 fault kinds; "
            "alerts, entities, ground truth; no telemetry"
        ),
        places=(Place("itbench-hub/ITBench", "8949d5b2", ""),),
        tasks=(
            "report",
            "mitigation",
            "command",
            "execution",
        ),
    ),
    DataSet(
        name="holmesgpt_cases",
        file="holmesgpt_cases.jsonl.xz",
        size_bytes=442_748,
        sha256="c40d789abb83e6711ed63c4318d033065059740235fbc116aa073428f5bb42f6",
        licence="Apache-2.0",
        holds="105 cases: question, recorded kubectl/log/trace evidence, expected facts",
        places=(Place("robusta-dev/holmesgpt", "c1ee1d43", "tests/llm/fixtures"),),
        tasks=(
            "assisted questioning",
            "report",
        ),
    ),
    DataSet(
        name="k8s_ai_bench",
        file="k8s_ai_bench.jsonl.xz",
        size_bytes=24_572,
        sha256="42c8414fb2d6f092aff72e0beede4861bf86696e6392fbe5e8947f0823f7196a",
        licence="Apache-2.0",
        holds="56 tasks (prompt, manifests) + 1,200 scored runs of models",
        places=(Place("gke-labs/k8s-ai-bench", "ac9ac9c4", ""),),
        tasks=(
            "command",
            "script",
            "execution",
        ),
    ),
    DataSet(
        name="k8s_failure_golden",
        file="k8s_failure_golden.jsonl.xz",
        size_bytes=95_736,
        sha256="cab848f69e70829db5b0afe4e6819c5f87f8c11fec15deea5715798bbd3a3225",
        licence="MIT",
        holds="253 pod/event/object states with cause and checks; synthetic, never a headline",
        places=(Place("MoeSalah1999/kubectl_explain_failure", "7de9568a", ""),),
        tasks=(
            "category",
            "mitigation",
        ),
    ),
    DataSet(
        name="postmortems_355",
        file="postmortems_355.jsonl.xz",
        size_bytes=157_340,
        sha256="56d59d21726f912d934003fc71977c277420a79023a80126cb4ccce382561d7d",
        licence="internal",
        holds="249 cloud incidents: text, three-layer cause taxonomy, mitigation",
        places=(Place("IntelligentDDS/Post-mortems-Analysis", "161e7cc9", ""),),
        tasks=(
            "category",
            "report",
            "mitigation",
        ),
    ),
    DataSet(
        name="runbooks",
        file="runbooks.jsonl.xz",
        size_bytes=158_372,
        sha256="abab452b3b503bdd9575fc142e51f73380264f5c125fcf97e83fba265331592a",
        licence="Apache-2.0",
        holds="389 alert runbooks (Meaning/Impact/Diagnosis/Mitigation)",
        places=(
            Place("prometheus-operator/runbooks", "a685d14c", ""),
            Place("openshift/runbooks", "", ""),
        ),
        tasks=(
            "mitigation",
            "questioning",
        ),
    ),
    DataSet(
        name="prometheus_alert_rules",
        file="prometheus_alert_rules.tar.xz",
        size_bytes=76_412,
        sha256="01168e4a7bdbd448759d4d64f2bc4baf7d3358e96e774dca7c1b6675b4094b7e",
        licence="CC-BY-4.0",
        holds="1,155 alert rules",
        places=(Place("samber/awesome-prometheus-alerts", "a8533189", ""),),
        tasks=(
            "perception rules",
            "alert text",
        ),
    ),
    DataSet(
        name="nl2bash",
        file="nl2bash.tar.xz",
        size_bytes=353_284,
        sha256="f08b117fc4a76f489829b58699ec06e7aa083aab2936f6257ce2c98f196490a3",
        licence="MIT (data)",
        holds=(
            "12,607 request/command pairs; split so that neither text nor command skeleton is "
            "shared between train and test"
        ),
        places=(Place("TellinaTool/nl2bash", "466c5fe8", "data/bash"),),
        tasks=("command recommendation",),
    ),
    DataSet(
        name="opseval",
        file="opseval.jsonl.xz",
        size_bytes=215_832,
        sha256="3dd951e00ff9451a9f3c9d1ff0917c81be21dc83c285f796799c7521f83c730b",
        licence="conflicting: internal",
        holds="1,569 operations questions (multiple choice and open, English and Chinese)",
        places=(Place("NetManAIOps/OpsEval-Datasets", "e26d10a4", "data"),),
        tasks=("assisted questioning",),
    ),
    DataSet(
        name="nab",
        file="nab.tar.xz",
        size_bytes=1_012_748,
        sha256="834b7025855dc19697e4273de59ac1c4e468c975c1ed7fc19c7cd4da59e5b64e",
        licence="MIT",
        holds=("58 univariate series (365,551 points), 116 labelled windows, profiles, published scoreboard"),
        places=(Place("numenta/NAB", "ea702d75", "data, labels, config, results/final_results.json"),),
        tasks=("anomaly detection (metrics)",),
    ),
    DataSet(
        name="smd",
        file="smd.tar",
        size_bytes=11_683_840,
        sha256="fff0f1ba548d441a0b6c21ebb4e9e2ff94d785bac757b991214deb1fbf229763",
        licence="MIT",
        holds=(
            "5 server machines x 38 metrics, 1 min, about 23.7 k train + 23.7 k test each, labels "
            "and per-metric interpretation (arrays (38, T))"
        ),
        places=(Place("zhhlee/InterFusion", "8c85d511", "data/processed"),),
        tasks=(
            "anomaly detection (metrics)",
            "indicator localization",
        ),
    ),
    DataSet(
        name="asd",
        file="asd.tar",
        size_bytes=1_075_200,
        sha256="a7deda37109e19c32995fe14520400c4aa843800a48682cfccf2e0b6d2ca1990",
        licence="MIT",
        holds="8 application servers x 19 metrics, 8,640 train / 4,320 test",
        places=(Place("zhhlee/InterFusion", "8c85d511", ""),),
        tasks=(
            "anomaly detection (metrics): choose variants here",
            "report on smd",
        ),
    ),
    DataSet(
        name="tsb_ad_per_file_vus_pr",
        file="tsb_ad_per_file_vus_pr.tar.xz",
        size_bytes=134_256,
        sha256="cd2a6d29a44be58f15db44989dd19e7f7ea9d60db9b30e48bc10222837997994",
        licence="Apache-2.0",
        holds="VUS-PR per file of 32 univariate and 23 multivariate published detectors",
        places=(Place("TheDatumOrg/TSB-AD", "87630099", ""),),
        tasks=("reference figures (smd files and 17 nab files map exactly)",),
    ),
    DataSet(
        name="titan_gpu",
        file="titan_gpu.tar.xz",
        size_bytes=660_444,
        sha256="8b8a7efdcc93116ebe74a633c82c14ac7022d1ac1462442771af0d23fa0b9fcf",
        licence='none ("cite the SC20 paper"): internal',
        holds=("37,343 install records of 30,207 GPUs with cabinet/cage/slot/node, 6,367 real failures 2013-2019"),
        places=(Place("olcf/TitanGPULife", "f3303559", "data"),),
        tasks=(
            "failure prediction",
            "prevention",
        ),
    ),
    DataSet(
        name="backblaze_sample",
        file="backblaze_sample.parquet",
        size_bytes=1_652_630,
        sha256="863bd334333e7d7289ebfc90588cd78e3779a684eda54cfd83da414fe9971a4b",
        licence="Backblaze terms: internal",
        holds=(
            "27,835 drive-days, SMART, failure within 7 days; a hand-selected, biased subset: for "
            "the adapter, never a headline"
        ),
        places=(Place("lalmazanz/backblaze-disk-failure", "3edad8e8", ""),),
        tasks=("failure prediction (adapter)",),
    ),
    DataSet(
        name="cmapss_fd001",
        file="cmapss_fd001.tar.xz",
        size_bytes=1_429_260,
        sha256="3f5a8c0e46f62b811194aa4fed20aa7fff8b55f5bab622abc1d2427c98cbec91",
        licence="NASA public",
        holds="NASA turbofan FD001, run to failure",
        places=(Place("blopax3/cmapss_anomaly_detection", "b56311ea", ""),),
        tasks=("failure prediction (time to failure)",),
    ),
    DataSet(
        name="genai2026_metrics",
        file="genai2026_metrics.tar.xz",
        size_bytes=3_976_284,
        sha256="a618d804f1a9a1e95af3265e150cc716c952363c28142cc6f90e8629a2a0150a",
        licence="none (cite): internal",
        holds=(
            "GPU serving telemetry of 143 pods, 57 s step, 22.8 h: duty, memory, queries, queue, latency; no labels"
        ),
        places=(Place("alibaba/clusterdata", "7a6c496e", "cluster-trace-v2026-GenAI"),),
        tasks=(
            "forecasting",
            "false-alarm budget",
        ),
    ),
)

DATA_SETS: Registry[DataSet] = Registry("data set")
for _set in _SETS:
    DATA_SETS.add(_set.name, _set)
