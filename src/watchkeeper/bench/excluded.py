"""What is registered and not measured by the harness, each with the reason; the audit holds it to the registries."""

from __future__ import annotations

EXCLUDED: dict[str, str] = {
    "dataset:loghub_2k": "has no anomalies: template parsing is measured by `python -m benchmarks patterns`",
    "dataset:hadoop_raw_labelled": "three logs are missing, all of one class; ait_sequences has all of them",
    "dataset:k8s_failure_golden": "is synthetic",
    "dataset:prometheus_alert_rules": "has rules without truth: text of alerts, nothing to score",
    "dataset:genai2026_metrics": "has no labels: forecasts are measured by `python -m benchmarks metric_forecasts`",
    "dataset:tsb_ad_per_file_vus_pr": "holds published figures to stand beside, no telemetry",
}
