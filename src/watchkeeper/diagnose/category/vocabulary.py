"""The field's own words for failures: patterns of log text and what each says about the category, as log-odds.

Plain data: weights are how many times likelier the words are when the category is at fault, as natural logarithms, set
by what the terms mean and not fitted to any data set. 1 = a hint, 2 = speaks for it, 3 = names it.
Terms: errno and strerror(3), the Linux kernel's and NVIDIA's driver messages (XID catalogue), gRPC and HTTP status
names, JVM and Python exceptions, Kubernetes reasons of containers, pods and nodes.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from watchkeeper.diagnose.base import Category


class Term(NamedTuple):
    """A name for people, the pattern, and what it says of categories."""

    name: str
    pattern: re.Pattern[str]
    says: tuple[tuple[Category, float], ...]


def _term(name: str, pattern: str, **says: float) -> Term:
    return Term(name, re.compile(pattern, re.IGNORECASE), tuple((Category[key], odds) for key, odds in says.items()))


TERMS = (
    _term(
        "GPU fault (XID, ECC, NVLink, lost from the bus)",
        r"\bxid\b|nvrm:|uncorrectable ecc|double.bit ecc|fallen off the bus|nvlink.{0,40}(error|fail|down)|"
        r"gpu.{0,20}lost",
        GPU=4.0,
    ),
    _term(
        "accelerator out of memory",
        r"cuda.{0,20}out of memory|\bhip\b.{0,20}out of memory|CUBLAS_STATUS_ALLOC_FAILED",
        MEMORY=3.0,
    ),
    _term(
        "accelerator library error",
        r"\bcuda error\b|cudnn error|\bnccl\b.{0,60}(error|timeout|abort|fail)",
        GPU=1.5,
        NETWORK=0.5,
    ),
    _term(
        "out of memory",
        r"out.?of.?memory|\boom.?kill|oomkilled|\boom\b|cannot allocate memory|enomem|memory (limit|"
        r"quota).{0,20}exceed|"
        r"java heap space|gc overhead limit|memorypressure|memoryerror|exit code 137|memory cgroup",
        MEMORY=3.5,
    ),
    _term(
        "no space left",
        r"no space left|enospc|disk.{0,12}full|disk quota|edquot|not enough space|insufficient (disk|storage)|"
        r"diskpressure|"
        r"ephemeral.storage|out of (disk|inodes)|no valid local director|could not find any valid local",
        DISK=3.5,
    ),
    _term(
        "storage device error",
        r"\bi/o error|input/output error|\beio\b|medium error|bad (block|sector)|uncorrectable sector|smart.{0,30}fail|"
        r"remount(ing|ed).{0,20}read.only|read-only file system|(nvme|ata|scsi).{0,40}(reset|timeout|abort|fail)",
        STORAGE_DEVICE=3.0,
        DISK=0.5,
    ),
    _term(
        "processor starved or throttled",
        r"cpu.{0,24}(throttl|starv|saturat|exhaust|pressure|limit)|soft lockup|load average.{0,20}high|rcu.{0,12}stall|"
        r"insufficient cpu",
        CPU=2.5,
    ),
    _term(
        "node not ready or down",
        r"node.{0,24}(not ?ready|unreachable|unhealthy|lost|down|cordon)|machine check|\bmce\b.{0,30}error|"
        r"kernel panic|"
        r"host (is )?(down|lost)|lost node|nodenotready|power (loss|outage|failure)|unexpected(ly)? (reboot|shutdown)|"
        r"failed (to connect|connecting) to node",
        HOST=3.0,
    ),
    _term(
        "no route or unreachable network",
        r"no route to host|network is unreachable|host.{0,6}unreachable|enetunreach|ehostunreach|link (is )?down|"
        r"forcibly closed|packet loss|network (partition|disconnect)|carrier lost",
        NETWORK=3.0,
        HOST=0.5,
    ),
    _term(
        "name resolution failed",
        r"\bdns\b|name resolution|unknown ?host|nxdomain|servfail|getaddrinfo|no such host|could not resolve",
        NETWORK=2.5,
        CHANGE=0.5,
    ),
    _term(
        "connection refused",
        r"connection refused|econnrefused|failed to connect|could not connect|connect(ion)? failed",
        DEPENDENCY=1.5,
        NETWORK=1.0,
        HOST=0.7,
    ),
    _term(
        "connection reset",
        r"connection (was )?reset|econnreset|broken pipe|epipe|connection (was )?(closed|lost|aborted)|"
        r"unexpected eof|premature (end|close)",
        NETWORK=1.5,
        DEPENDENCY=1.0,
    ),
    _term(
        "timeout",
        r"time[d]?.?out\b|etimedout|deadline.?exceeded|did not respond|no response",
        NETWORK=1.0,
        DEPENDENCY=1.0,
        CPU=0.3,
    ),
    _term(
        "dependency unavailable",
        r"\b(503|502|504)\b|service unavailable|bad gateway|gateway time|upstream.{0,30}(error|fail|unavail|unhealthy)|"
        r"\bunavailable\b|circuit.?breaker.{0,12}open|no healthy (upstream|endpoint)|"
        r"(database|redis|kafka|broker|cache).{0,30}(unavailable|down|not available|refused)",
        DEPENDENCY=2.0,
    ),
    _term(
        "pool or quota of a dependency exhausted",
        r"too many (connections|requests)|\b429\b|rate.?limit|quota exceeded|resource.?exhausted|"
        r"pool.{0,20}(exhaust|timeout|full)|"
        r"throttling ?exception",
        DEPENDENCY=1.5,
        EXTERNAL=1.0,
    ),
    _term(
        "certificate",
        r"certificate.{0,40}(expired|invalid|not yet valid|unknown|verify|error)|x509|ssl.?handshake|"
        r"tls.{0,12}(handshake|alert)|cert_",
        CHANGE=2.0,
        EXTERNAL=0.5,
    ),
    _term(
        "permission or credential",
        r"permission denied|eacces|eperm|access denied|\b(401|403)\b|unauthori[sz]ed|forbidden|authentication fail|"
        r"invalid (credential|token|password|api key)|login failed",
        CHANGE=2.0,
        DEPENDENCY=0.3,
    ),
    _term(
        "configuration",
        r"config(uration)?.{0,30}(invalid|missing|error|fail|not found|unknown|wrong|mismatch)|(invalid|missing|"
        r"unknown|bad).{0,20}"
        r"(config|setting|option|parameter|flag|environment variable|env var)|createcontainerconfigerror|"
        r"no such (option|flag)|"
        r"feature flag",
        CHANGE=2.5,
    ),
    _term(
        "image or rollout",
        r"imagepull|errimagepull|failed to pull image|rollout.{0,20}(fail|stuck|exceed)|progressdeadlineexceeded|"
        r"invalidimagename|manifest unknown|failedmount|version mismatch|incompatible version",
        CHANGE=3.0,
    ),
    _term(
        "cannot be scheduled",
        r"failedscheduling|unschedulable|0/\d+ nodes|didn.t match.{0,20}(selector|affinity)|taint",
        CHANGE=1.5,
        CPU=0.7,
        MEMORY=0.7,
        HOST=0.5,
    ),
    _term(
        "crash loop",
        r"crashloopbackoff|back-?off restarting|liveness probe failed|segfault|sigsegv|core dumped|exit code 1\b|"
        r"\bpanic:",
        APPLICATION=1.5,
        CHANGE=0.7,
    ),
    _term(
        "unhandled exception",
        r"nullpointer|null ?reference|traceback|typeerror|keyerror|attributeerror|indexerror|zerodivision|classcast|"
        r"illegal(state|argument)|index.?out.?of|unhandled|uncaught|undefined is not|assert(ion)? ?(error|fail)|"
        r"stack ?overflow|"
        r"nil pointer|runtimeexception|arithmeticexception|internal server error|\b500\b",
        APPLICATION=2.0,
    ),
    _term("deadlock or race", r"deadlock|lock wait|race condition|concurrentmodification", APPLICATION=1.5, DATA=0.5),
    _term(
        "bad data",
        r"(parse|parsing|decode|decoding|deseriali[sz]\w+|unmarshal|json|xml|schema|checksum|format).{0,24}"
        r"(error|fail|invalid|exception|mismatch|unexpected)|corrupt|malformed|integrity constraint|duplicate key|"
        r"constraint violation|data ?(loss|truncat)|invalid (utf|input|record|row|format)|numberformat|missing column|"
        r"\bnan (loss|value)|loss is nan",
        DATA=2.5,
    ),
    _term(
        "third party or outside traffic",
        r"third.?party|vendor|upstream provider|\bddos\b|traffic (spike|surge|flood)|external (api|service|provider)|"
        r"fiber cut|\bbgp\b|\bisp\b",
        EXTERNAL=2.0,
    ),
)
