"""Whom to cite for each data set: the paper that it was published with, and the one that recorded the data.

Enters: the name of a set of the catalogue. Leaves: lines of text. A set without a paper is cited by its repository,
which the catalogue tells; of those it is said that they have none. Plain data.
"""

from __future__ import annotations

_LOGHUB = "Zhu et al., Loghub: A Large Collection of System Log Datasets for AI-driven Log Analytics, ISSRE 2023"
_HDFS = "Xu et al., Detecting Large-Scale System Problems by Mining Console Logs, SOSP 2009"
_BGL = "Oliner and Stearley, What Supercomputers Say: A Study of Five System Logs, DSN 2007"
_HADOOP = "Lin et al., Log Clustering Based Problem Identification for Online Service Systems, ICSE-SEIP 2016"
_INTERFUSION = (
    "Li et al., Multivariate Time Series Anomaly Detection and Interpretation using Hierarchical Inter-Metric and "
    "Temporal Embedding, KDD 2021"
)
NO_PAPER = "no paper; name the repository"

CITATIONS: dict[str, tuple[str, ...]] = {
    "loghub_2k": (_LOGHUB,),
    "hdfs_2pct_raw": (_HDFS, _LOGHUB),
    "hdfs_full_sequences": (_HDFS, _LOGHUB),
    "bgl_100k_raw": (_BGL,),
    "bgl_windows_distillog": (_BGL,),
    "hadoop_raw_labelled": (_HADOOP, _LOGHUB),
    "ait_sequences": (
        "Landauer, Skopik and Wurzenberger, A Critical Review of Common Log Data Sets Used for Evaluation of "
        "Sequence-Based Anomaly Detection Techniques, FSE 2024",
    ),
    "openstack_mixed": (
        "Cotroneo et al., Enhancing the Analysis of Software Failures in Cloud Computing Systems with Deep Learning, "
        "Journal of Systems and Software 181, 2021 (the failures; the raw lines have no paper)",
    ),
    "petshop": (
        "Hardt et al., The PetShop Dataset: Finding Causes of Performance Issues across Microservices, CLeaR 2024",
    ),
    "nezha_trainticket": (
        "Yu et al., Nezha: Interpretable Fine-Grained Root Causes Analysis for Microservices on Multi-modal "
        "Observability Data, ESEC/FSE 2023",
    ),
    "rcd_sockshop": (
        "Ikram et al., Root Cause Analysis of Failures in Microservices through Causal Discovery, NeurIPS 2022",
    ),
    "changerca": ("Yu et al., ChangeRCA: Finding Root Causes from Software Changes in Large Online Systems, FSE 2024",),
    "traceanomaly_trainticket": (
        "Liu et al., Unsupervised Detection of Microservice Trace Anomalies through Service-Level Deep Bayesian "
        "Networks, ISSRE 2020",
    ),
    "itbench_sre": (
        "Jha et al., ITBench: Evaluating AI Agents across Diverse Real-World IT Automation Tasks, ICML 2025",
    ),
    "holmesgpt_cases": (NO_PAPER,),
    "k8s_ai_bench": (NO_PAPER,),
    "k8s_failure_golden": (NO_PAPER,),
    "postmortems_355": (
        "Li et al., Going through the Life Cycle of Faults in Clouds: Guidelines on Fault Handling, ISSRE 2022",
    ),
    "runbooks": (NO_PAPER,),
    "prometheus_alert_rules": (NO_PAPER,),
    "nl2bash": (
        "Lin et al., NL2Bash: A Corpus and Semantic Parser for Natural Language Interface to the Linux Operating "
        "System, LREC 2018",
    ),
    "opseval": (
        "Liu et al., OpsEval: A Comprehensive IT Operations Benchmark Suite for Large Language Models, "
        "arXiv 2310.07637, 2024",
    ),
    "nab": (
        "Lavin and Ahmad, Evaluating Real-Time Anomaly Detection Algorithms - the Numenta Anomaly Benchmark, "
        "ICMLA 2015",
    ),
    "smd": (
        "Su et al., Robust Anomaly Detection for Multivariate Time Series through Stochastic Recurrent Neural "
        "Network, KDD 2019",
        _INTERFUSION,
    ),
    "asd": (_INTERFUSION,),
    "tsb_ad_per_file_vus_pr": (
        "Liu and Paparrizos, The Elephant in the Room: Towards A Reliable Time-Series Anomaly Detection Benchmark, "
        "NeurIPS 2024",
    ),
    "titan_gpu": (
        "Ostrouchov et al., GPU Lifetimes on Titan Supercomputer: Survival Analysis and Reliability, SC 2020",
    ),
    "backblaze_sample": ("Backblaze, Hard Drive Data and Stats; name Backblaze as the source",),
    "cmapss_fd001": (
        "Saxena et al., Damage Propagation Modeling for Aircraft Engine Run-to-Failure Simulation, PHM 2008",
    ),
    "genai2026_metrics": (NO_PAPER,),
}


def citations_of(name: str) -> tuple[str, ...]:
    """Give whom to cite for a set; its repository for one that is not listed."""
    return CITATIONS.get(name, (NO_PAPER,))
