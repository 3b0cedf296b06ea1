# ruff: noqa: E501 - the sample lines are as long as they are
from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.edge.formats import FORMATS, TEXT, detect_format
from watchkeeper.edge.severity import severity_name
from watchkeeper.edge.timestamps import Clock


def ns(text: str) -> int:
    moment = datetime.fromisoformat(text).replace(tzinfo=UTC)
    return int((moment - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(microseconds=1)) * 1000


CLOCK = Clock(UTC, ns("2024-03-01T12:00:00"))

# format, line, time, severity, logger, body, some attributes
LINES = [
    ("hdfs", "081109 203615 148 INFO dfs.DataNode$PacketResponder: PacketResponder 1 for block blk_1 terminating",
     "2008-11-09T20:36:15", "info", "dfs.DataNode$PacketResponder", "PacketResponder 1 for block blk_1 terminating",
     {"process.pid": 148}),
    ("bgl", "KERNDTLB 1118536327 2005.06.11 R30-M0-N9-C:J16-U01 2005-06-11-17.32.07.581048 R30-M0-N9-C:J16-U01 RAS KERNEL "
     "FATAL data TLB error interrupt",
     "2005-06-11T17:32:07.581048", "fatal", "KERNEL", "data TLB error interrupt", {"alert_label": "KERNDTLB", "kind": "RAS"}),
    ("thunderbird", "- 1131566461 2005.11.09 tbird-admin1 Nov 10 04:01:01 local@tbird-admin1 postfix/postdrop[10896]: warning: unable",
     "2005-11-09T20:01:01", "warn", "", "warning: unable", {"appname": "postfix/postdrop", "process.pid": 10896}),
    ("syslog", "Jun 14 15:16:01 combo sshd(pam_unix)[19939]: authentication failure; logname= uid=0",
     "2023-06-14T15:16:01", "", "", "authentication failure; logname= uid=0", {"appname": "sshd(pam_unix)", "process.pid": 19939}),
    ("syslog", "Jul  1 09:00:55 calvisitor-10-105-160-95 kernel[0]: IOThunderboltSwitch<0>(0x0)::listenerCallback",
     "2023-07-01T09:00:55", "", "", "IOThunderboltSwitch<0>(0x0)::listenerCallback", {"appname": "kernel"}),
    ("syslog", "Jul  1 10:20:10 host Microsoft Word[14463]: objc[14463]: Class is implemented in both",
     "2023-07-01T10:20:10", "", "", "objc[14463]: Class is implemented in both", {"appname": "Microsoft Word", "process.pid": 14463}),
    ("syslog", "<11>Oct 11 22:14:15 mymachine app: it broke", "2023-10-11T22:14:15", "error", "", "it broke",
     {"syslog.facility": 1}),
    ("syslog", "Dec 10 06:55:46 LabSZ last message repeated 3 times", "2023-12-10T06:55:46", "", "",
     "last message repeated 3 times", {}),
    ("syslog-5424", '<34>1 2003-10-11T22:14:15.003Z mymachine.example.com su - ID47 - \ufeff\'su root\' failed',
     "2003-10-11T22:14:15.003", "error", "", "'su root' failed", {"appname": "su", "syslog.facility": 4}),
    ("syslog-5424", r'<165>1 2003-10-11T22:14:15Z host app 7 - [a@1 k="v\]\"x" q="2"][b@1 z=""] text here',
     "2003-10-11T22:14:15", "info", "", "text here", {"a@1.k": 'v]"x', "a@1.q": "2", "b@1.z": ""}),
    ("syslog-iso", "2024-01-02T03:04:05.123456+01:00 web1 sshd[812]: error: maximum authentication attempts exceeded",
     "2024-01-02T02:04:05.123456", "error", "", "error: maximum authentication attempts exceeded", {"appname": "sshd"}),
    ("access", '10.0.0.7 - - [02/Jan/2024:03:04:05 +0000] "POST /cart?id=7 HTTP/1.1" 503 12 "https://a.b/" "curl/8.5" "-" 0.120',
     "2024-01-02T03:04:05", "error", "", "POST /cart?id=7 HTTP/1.1 503",
     {"http.request.method": "POST", "url.original": "/cart?id=7", "http.response.status_code": 503,
      "http.request.header.referer": "https://a.b/", "user_agent.original": "curl/8.5"}),
    ("access", '::1 - - [02/Jan/2024:03:04:05 +0000] "\\x16\\x03\\x01" 400 -', "2024-01-02T03:04:05", "warn", "",
     "\\x16\\x03\\x01 400", {"http.response.status_code": 400}),
    ("nginx-error", "2024/01/02 03:04:05 [crit] 8#9: *7 open() failed", "2024-01-02T03:04:05", "error", "",
     "*7 open() failed", {"process.pid": 8}),
    ("apache-error", "[Thu Jun 09 06:07:04 2005] [notice] LDAP: Built with OpenLDAP LDAP SDK", "2005-06-09T06:07:04", "info",
     "", "LDAP: Built with OpenLDAP LDAP SDK", {}),
    ("apache-error", "[Fri Sep 09 10:42:29.902022 2011] [core:error] [pid 35708:tid 43] [client 72.15.99.187] File does not exist: /x",
     "2011-09-09T10:42:29.902022", "error", "core", "File does not exist: /x", {"client.address": "72.15.99.187", "process.pid": 35708}),
    ("logcat", "03-17 16:13:38.819  1702  8671 W PowerManagerService: acquire lock=233570404", "2023-03-17T16:13:38.819",
     "warn", "PowerManagerService", "acquire lock=233570404", {"process.pid": 1702, "thread.name": "8671"}),
    ("klog", "W0102 03:04:05.678901   12345 reflector.go:561] failed to list *v1.Node: forbidden", "2024-01-02T03:04:05.678901",
     "warn", "", "failed to list *v1.Node: forbidden", {"code.file.path": "reflector.go", "code.line.number": 561}),
    ("spark", "17/06/09 20:10:48 ERROR executor.Executor: Exception in task 0.0", "2017-06-09T20:10:48", "error",
     "executor.Executor", "Exception in task 0.0", {}),
    ("openstack", "nova-api.log.1.2017-05-16_13:53:08 2017-05-16 00:00:00.008 25746 INFO nova.osapi_compute.wsgi.server [req-3] ok",
     "2017-05-16T00:00:00.008", "info", "nova.osapi_compute.wsgi.server", "[req-3] ok", {"process.pid": 25746}),
    ("elasticsearch", "[2024-01-02T03:04:05,678][INFO ][o.e.n.Node               ] [node-1] started",
     "2024-01-02T03:04:05.678", "info", "o.e.n.Node", "[node-1] started", {}),
    ("zookeeper", "2015-07-29 19:04:29,071 - WARN  [SendWorker:188978561024:QuorumCnxManager$SendWorker@688] - Send worker leaving",
     "2015-07-29T19:04:29.071", "warn", "QuorumCnxManager$SendWorker", "Send worker leaving",
     {"thread.name": "SendWorker:188978561024", "code.line.number": 688}),
    ("spring", "2024-01-02T03:04:05.678+01:00 ERROR 1 --- [shop] [nio-8080-exec-1] c.e.shop.Cart  : boom", "2024-01-02T02:04:05.678",
     "error", "c.e.shop.Cart", "boom", {"process.pid": 1, "thread.name": "nio-8080-exec-1", "appname": "shop"}),
    ("loguru", "2024-01-02 03:04:05.678 | ERROR    | __main__:main:12 - it broke", "2024-01-02T03:04:05.678", "error",
     "__main__", "it broke", {"code.function.name": "main", "code.line.number": 12}),
    ("windows-cbs", "2016-09-28 04:30:30, Info                  CBS    Ending TrustedInstaller", "2016-09-28T04:30:30", "info",
     "CBS", "Ending TrustedInstaller", {}),
    ("postgresql", "2024-01-02 03:04:05.678 CET [4711] LOG:  checkpoint starting: time", "2024-01-02T02:04:05.678", "info", "",
     "checkpoint starting: time", {"process.pid": 4711}),
    ("mysql", "2024-01-02T03:04:05.678901Z 7 [ERROR] [MY-010119] [Server] Aborting", "2024-01-02T03:04:05.678901", "error",
     "Server", "Aborting", {"code": "MY-010119"}),
    ("python", "2024-01-02 03:04:05,678 - uvicorn.error - WARNING - slow", "2024-01-02T03:04:05.678", "warn", "uvicorn.error",
     "slow", {}),
    ("log4j", "2015-10-18 18:01:47,978 WARN [AsyncDispatcher event handler] org.apache.hadoop.X: Task failed", "2015-10-18T18:01:47.978",
     "warn", "org.apache.hadoop.X", "Task failed", {"thread.name": "AsyncDispatcher event handler"}),
    ("logback", "2024-01-02 03:04:05.678 [main] DEBUG c.e.App - hi", "2024-01-02T03:04:05.678", "debug", "c.e.App", "hi", {}),
    ("level-logger", "2024-01-02 03:04:05,678 ERROR shop.cart: cannot reach redis", "2024-01-02T03:04:05.678", "error",
     "shop.cart", "cannot reach redis", {}),
    ("rust", "[2024-01-02T03:04:05Z WARN  shop::cart] slow", "2024-01-02T03:04:05", "warn", "shop::cart", "slow", {}),
    ("redis", "1:M 02 Jan 2024 03:04:05.678 # WARNING overcommit_memory is set to 0", "2024-01-02T03:04:05.678", "warn", "",
     "WARNING overcommit_memory is set to 0", {"process.pid": 1, "role": "M"}),
    ("gin", '[GIN] 2024/01/02 - 03:04:05 | 500 |      1.2ms |       127.0.0.1 | GET      "/carts"', "2024-01-02T03:04:05",
     "error", "", 'GET      "/carts" 500', {"http.response.status_code": 500}),
    ("healthapp", "20171224-0:7:20:444|Step_LSC|30002312|onExtend:1514046080000", "2017-12-24T00:07:20.444", "", "Step_LSC",
     "onExtend:1514046080000", {}),
    ("hpc", "2557838 node-246 unix.hw net.niff.up 1084680778 1 NIFF: node node-246 detected", "2004-05-16T04:12:58", "", "unix.hw",
     "NIFF: node node-246 detected", {}),
    ("dmesg", "[    1.234567] usb 1-1: new device", None, "", "", "usb 1-1: new device", {"uptime_s": 1.234567}),
    ("python-basic", "ERROR:root:it broke", None, "error", "root", "it broke", {}),
    ("level-first", " INFO nova.compute.manager [-] [instance: 7] VM Stopped", None, "info", "nova.compute.manager",
     "[-] [instance: 7] VM Stopped", {}),
    ("iso", "2024-01-02T03:04:05.678Z\tERROR\tcould not start", "2024-01-02T03:04:05.678", "error", "", "could not start", {}),
    ("slash", "2024/01/02 03:04:05 http: TLS handshake error from 10.0.0.1", "2024-01-02T03:04:05", "", "",
     "http: TLS handshake error from 10.0.0.1", {}),
    ("month-day", "[10.30 16:49:06] chrome.exe - proxy:5070 close, 0 bytes sent", "2023-10-30T16:49:06", "", "",
     "chrome.exe - proxy:5070 close, 0 bytes sent", {}),
    ("epoch", "1700000000.5 worker started", "2023-11-14T22:13:20.5", "", "", "worker started", {}),
    ("time", "03:04:05.678 WARN slow", "2024-03-01T03:04:05.678", "warn", "", "slow", {}),
    ("dated-java", "Oct 18, 2015 6:01:47 PM org.example.Main main", "2015-10-18T18:01:47", "", "", "org.example.Main main", {}),
    ("logfmt", 'time="2024-01-02T03:04:05Z" level=error msg="cannot \\"open\\"" file=a.txt', "2024-01-02T03:04:05", "error", "",
     'cannot "open"', {"file": "a.txt"}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "line", "time", "severity", "logger", "body", "attributes"),
    LINES,
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_a_line_of_a_format_is_read_whole(name, line, time, severity, logger, body, attributes):
    assert detect_format([line], CLOCK).format.name == name
    record = FORMATS.get(name).parse(line, CLOCK)
    assert record is not None
    assert record.time_unix_ns == (ns(time) if time else 0)
    assert severity_name(record.severity_number) == severity
    assert (record.logger, record.body) == (logger, body)
    assert attributes.items() <= dict(record.attributes).items()


@pytest.mark.parametrize("name", list(FORMATS))
def test_each_format_reads_its_example_and_is_found_by_it(name):
    row = FORMATS.get(name)
    assert row.parse(row.example, CLOCK) is not None
    assert detect_format([row.example], CLOCK).format is row


def test_the_format_that_reads_most_lines_wins_and_indented_lines_do_not_count():
    trace = ["\tat a.b.C(C.java:1)"] * 50
    lines = ["17/06/09 20:10:48 ERROR executor.Executor: x", *trace, "17/06/09 20:10:49 INFO a.B: y", "stray text"]
    found = detect_format(lines, CLOCK)
    assert (found.format.name, found.lines, found.matched) == ("spark", 3, 2)


def test_text_without_any_header_is_text():
    assert detect_format(["something happened", "and then something else"], CLOCK).format is TEXT
    assert detect_format([], CLOCK).format is TEXT


def test_a_date_that_does_not_exist_is_no_header():
    assert FORMATS.get("spark").parse("17/13/45 20:10:48 ERROR executor.Executor: x", CLOCK) is None


@given(st.text(alphabet=st.characters(blacklist_characters="\n"), max_size=200))
def test_no_line_makes_any_format_fail(line):
    for name in FORMATS:
        record = FORMATS.get(name).parse(line, CLOCK)
        assert record is None or 0 <= record.time_unix_ns < 2**63


@given(st.sampled_from([row[1] for row in LINES]), st.integers(0, 200), st.text(max_size=5))
def test_a_damaged_line_makes_no_format_fail(line, position, noise):
    damaged = (line[:position] + noise + line[position + 1 :]).replace("\n", " ")
    for name in FORMATS:
        FORMATS.get(name).parse(damaged, CLOCK)
