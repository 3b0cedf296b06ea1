"""The table of log line formats that are a pattern, in order of precedence: the narrow above the wide.

A row is a name, what it is in words, which lines belong to the record above, a line of it, and a regular expression
with named groups, in which `{name}` stands for a way of writing time (edge/timestamps.py) or a piece that many share.
What the groups mean is told in edge/line_format.py. Plain data.
"""

from __future__ import annotations

from typing import NamedTuple

from watchkeeper.edge.line_format import Continuation


class Row(NamedTuple):
    """One format: see the module's text."""

    name: str
    title: str
    continuation: Continuation
    example: str
    pattern: str


ROWS: tuple[Row, ...] = (
    Row(
        "bgl",
        "Blue Gene/L and its kin (CFDR)",
        Continuation.STACK,
        "- 1117838570 2005.06.03 R02-M1-N0-C:J12-U11 2005-06-03-15.42.50.363779 R02-M1-N0-C:J12-U11 RAS"
        " KERNEL INFO corrected",
        r"(?P<alert_label>\S+) \d{9,10} \d{4}\.\d\d\.\d\d (?P<host>\S+) {bgl} (?P<location>\S*) (?P<kind>\S+) "
        r"(?P<logger>\S+) (?P<level>[A-Z]+) ?(?P<body>.*)",
    ),
    Row(
        "thunderbird",
        "Thunderbird, Spirit, Liberty (CFDR)",
        Continuation.STACK,
        "- 1131566461 2005.11.09 dn228 Nov 9 12:01:01 dn228/dn228 crond(pam_unix)[2915]: session closed for user root",
        r"(?P<alert_label>\S+) (?P<epoch>\d{9,10}) \d{4}\.\d\d\.\d\d (?P<host>\S+) \S+ +\d+ \d\d:\d\d:\d\d "
        r"(?P<location>\S+) (?:(?P<app>[^\s\[\]:]+)(?:\[(?P<pid>\d+)\])?: )?(?P<body>.*)",
    ),
    Row(
        "hdfs",
        "Hadoop file system, short date",
        Continuation.HEADER,
        "081109 203615 148 INFO dfs.DataNode$PacketResponder: PacketResponder 1 for block blk_38 terminating",
        r"{digits} (?P<pid>\d+) (?P<level>[A-Z]+) (?P<logger>\S+?): ?(?P<body>.*)",
    ),
    Row(
        "syslog-5424",
        "syslog, RFC 5424",
        Continuation.STACK,
        '<165>1 2003-10-11T22:14:15.003Z host.example.com app 12 ID47 [example@32473 iut="3"] An application event',
        r"<(?P<priority>\d{1,3})>1 (?:-|{iso}) (?P<host>\S+) (?P<app>\S+) (?P<pid>\S+) (?P<event>\S+) (?:-|"
        r"(?P<structured>(?:\[(?:[^\]\"]|\"(?:[^\"\\]|\\.)*\")*\])+))(?: (?:\ufeff)?(?P<body>.*))?",
    ),
    Row(
        "haproxy",
        "HAProxy, HTTP log",
        Continuation.STACK,
        "Feb  6 12:14:14 host haproxy[14389]: 10.0.1.2:33317 [06/Feb/2009:12:14:14.655] in static/srv1"
        ' 10/0/30/69/109 200 2750 - - ---- 1/1/1/1/0 0/0 "GET /index.html HTTP/1.1"',
        r"{syslog} (?P<host>\S+) (?P<app>haproxy)\[(?P<pid>\d+)\]: (?P<client>\S+):\d+ \[[^\]]+\] "
        r'(?P<frontend>\S+) (?P<backend>\S+) \S+ (?P<status>\d{3}) (?P<bytes>\d+) .*"(?P<request>[^"]*)"',
    ),
    Row(
        "syslog",
        "syslog, RFC 3164",
        Continuation.STACK,
        "<34>Oct 11 22:14:15 mymachine su[231]: 'su root' failed for lonvick on /dev/pts/8",
        r"(?:<(?P<priority>\d{1,3})>)?{syslog} (?P<host>\S+) (?:"
        r"(?P<app>[^\s\[\]:]+|[^\[\]:]{1,48}(?=\[\d+\]))(?:\[(?P<pid>\d+)\])?: )?(?P<body>.*)",
    ),
    Row(
        "syslog-iso",
        "syslog with ISO 8601 time (rsyslog, systemd)",
        Continuation.STACK,
        "2024-01-02T03:04:05.123456+00:00 web1 sshd[812]: Accepted publickey for root",
        r"(?:<(?P<priority>\d{1,3})>)?{iso} (?!(?:{level-words})\b)(?P<host>[A-Za-z0-9][\w.-]*) "
        r"(?P<app>[\w./()@-]+)(?:\[(?P<pid>\d+)\])?: (?P<body>.*)",
    ),
    Row(
        "access",
        "Apache, nginx access log (common, combined)",
        Continuation.STACK,
        '127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] "GET /apache_pb.gif HTTP/1.0" 200 2326 "-" "Mozilla/4.08"',
        r'(?:(?P<vhost>\S+:\d+) )?(?P<client>\S+) (?P<ident>\S+) (?P<user>\S+|\"[^\"]*\") \[{clf}\] "'
        r'(?P<request>(?:[^"\\]|\\.)*)" (?P<status>\d{3}) (?P<bytes>\d+|-)(?: "(?P<referer>(?:[^"\\]|\\.)*)" "'
        r'(?P<agent>(?:[^"\\]|\\.)*)")?(?: (?P<more>.*))?',
    ),
    Row(
        "squid",
        "Squid access log",
        Continuation.STACK,
        "1286536309.450    921 192.168.0.68 TCP_MISS/200 507 POST http://rcv-srv37.example/x -"
        " DIRECT/1.2.3.4 text/html",
        r"{epoch} +(?P<elapsed_ms>\d+) (?P<client>\S+) (?P<cache>[A-Z_]+)/(?P<status>\d{3}) (?P<bytes>\d+) "
        r"(?P<request>\S+ \S+) (?P<more>.*)",
    ),
    Row(
        "nginx-error",
        "nginx error log",
        Continuation.HEADER,
        "2024/01/02 03:04:05 [error] 123#124: *7 connect() failed (111: Connection refused) while connecting"
        " to upstream",
        r"{slash} \[(?P<level>[a-z]+)\] (?P<pid>\d+)#(?P<thread>\d+): (?P<body>.*)",
    ),
    Row(
        "apache-error",
        "Apache error log",
        Continuation.HEADER,
        "[Sun Dec 04 04:47:44 2005] [error] mod_jk child workerEnv in error state 6",
        r"\[{ctime}\] \[(?:(?P<logger>\w*):)?(?P<level>[a-z]+\d?)\] (?:\[pid (?P<pid>\d+)(?::tid "
        r"(?P<thread>\d+))?\] )?(?:\[client (?P<client>[^\]]+)\] )?(?P<body>.*)",
    ),
    Row(
        "logcat",
        "Android logcat (threadtime)",
        Continuation.STACK,
        "03-17 16:13:38.811  1702  2395 D WindowManager: printFreezingDisplayLogs",
        r"(?:\d{4}-)?{month-day} +(?P<pid>\d+) +(?P<thread>\d+) (?P<level>[VDIWEFA]) "
        "(?P<logger>[^:]*?) *: ?(?P<body>.*)",
    ),
    Row(
        "klog",
        "Kubernetes klog, Google glog",
        Continuation.HEADER,
        "E0102 03:04:05.678901       1 controller.go:123] Failed to sync pod",
        r"(?P<level>[IWEFD]){glog} +(?P<thread>\d+) (?P<file>[^\s:]+):(?P<line>\d+)\] ?(?P<body>.*)",
    ),
    Row(
        "spark",
        "Spark and others with a two-digit year",
        Continuation.HEADER,
        "17/06/09 20:10:40 INFO executor.CoarseGrainedExecutorBackend: Registered signal handlers",
        r"{slash-short} (?P<level>[A-Z]+) +(?P<logger>[\w.$-]+): ?(?P<body>.*)",
    ),
    Row(
        "openstack",
        "OpenStack (oslo.log)",
        Continuation.HEADER,
        "2017-05-16 00:00:00.008 25746 INFO nova.osapi_compute.wsgi.server [req-38101a0b] 10.11.10.1 status: 200",
        r"(?:(?P<file>\S+\.log\S*) )?{iso} (?P<pid>\d+) {level} (?P<logger>[\w.-]+) (?P<body>.*)",
    ),
    Row(
        "elasticsearch",
        "Elasticsearch, Logstash, Kafka, other bracketed log4j2",
        Continuation.HEADER,
        "[2024-01-02T03:04:05,678][WARN ][o.e.n.Node               ] [node-1] initialized",
        r"\[{iso}\] ?\[{level} *\] ?\[(?P<logger>[^\]]*?) *\] ?(?P<body>.*)",
    ),
    Row(
        "zookeeper",
        "ZooKeeper (log4j with thread and line)",
        Continuation.HEADER,
        "2015-07-29 17:41:44,747 - INFO  [QuorumPeer[myid=1]/0:0:0:0:0:0:0:0:2181:FastLeaderElection@774] -"
        " Notification",
        r"{iso}(?: \[myid:\d*\])? - {level} +\[(?P<thread>.*?):(?P<logger>[\w$.]+)@(?P<line>\d+)\]"
        " - ?(?P<body>.*)",
    ),
    Row(
        "spring",
        "Spring Boot (logback)",
        Continuation.HEADER,
        "2024-01-02T03:04:05.678Z  INFO 1 --- [main] o.s.b.w.embedded.tomcat.TomcatWebServer  : Tomcat started",
        r"{iso} +{level} (?:(?P<pid>\d+) )?--- (?:\[(?P<app>[^\]]*)\] )?\[ *(?P<thread>[^\]]*)\] "
        r"(?P<logger>\S+) *: ?(?P<body>.*)",
    ),
    Row(
        "loguru",
        "loguru",
        Continuation.HEADER,
        "2024-01-02 03:04:05.678 | WARNING  | shop.cart:add:12 - stock is low",
        r"{iso} \| (?P<level>[A-Z]+) *\| (?P<logger>[^:]*):(?P<function>[^:]*):(?P<line>\d+) - ?(?P<body>.*)",
    ),
    Row(
        "windows-cbs",
        "Windows component servicing",
        Continuation.HEADER,
        "2016-09-28 04:30:30, Info                  CBS    Loaded Servicing Stack v6.1.7601.23505",
        r"{iso}, (?P<level>[A-Z][a-z]+) +(?P<logger>[A-Z]\w*) +(?P<body>.*)",
    ),
    Row(
        "postgresql",
        "PostgreSQL",
        Continuation.HEADER,
        '2024-01-02 03:04:05.678 UTC [4711] app@shop ERROR:  relation "carts" does not exist',
        r"{iso} \[(?P<pid>\d+)\](?: (?P<user>[^@\s]*)@(?P<database>\S*))? (?P<level>[A-Z]+\d?):  ?(?P<body>.*)",
    ),
    Row(
        "mysql",
        "MySQL, MariaDB error log",
        Continuation.HEADER,
        "2024-01-02T03:04:05.678901Z 0 [Warning] [MY-010068] [Server] CA certificate ca.pem is self signed.",
        r"{iso} +(?P<thread>\d+) \[(?P<level>[A-Za-z]+)\] (?:\[(?P<code>[A-Z]+-\d+)\] )?(?:\[(?P<logger>\w+)\]"
        " )?(?P<body>.*)",
    ),
    Row(
        "python",
        "Python logging (time - logger - level - message)",
        Continuation.HEADER,
        "2024-01-02 03:04:05,678 - shop.cart - ERROR - cannot reach redis",
        r"{iso} - (?P<logger>[^\s-][^-]*?) - {level} - ?(?P<body>.*)",
    ),
    Row(
        "log4j",
        "log4j, logback (time level [thread] logger: message)",
        Continuation.HEADER,
        "2015-10-18 18:01:47,978 INFO [main] org.apache.hadoop.mapreduce.v2.app.MRAppMaster: Created MRAppMaster",
        r"\[?{iso}\]?,? +\[?{level}\]? +[\[(](?P<thread>[^\[\]]*(?:\[[^\]]*\][^\[\]]*)*)[\])] (?:-"
        r" )?(?P<logger>{dotted-name})(?:@\d+|\(\d+\))?(?: ?[:-]| -) ?(?P<body>.*)",
    ),
    Row(
        "logback",
        "logback, log4j (time [thread] level logger - message)",
        Continuation.HEADER,
        "2024-01-02 03:04:05.678 [http-nio-8080-exec-1] INFO  c.e.shop.CartController - added item 7",
        r"{iso} ?\[(?P<thread>[^\]]*)\] {level} +(?P<logger>{dotted-name})(?: -|:) ?(?P<body>.*)",
    ),
    Row(
        "logback-time",
        "logback's own default (no date)",
        Continuation.HEADER,
        "03:04:05.678 [main] INFO  c.e.shop.CartController - added item 7",
        r"{time} \[(?P<thread>[^\]]*)\] {level} +(?P<logger>{dotted-name})(?: -|:) ?(?P<body>.*)",
    ),
    Row(
        "level-logger",
        "time, level, logger: message",
        Continuation.HEADER,
        "2024-01-02 03:04:05,678 INFO shop.cart: added item 7",
        r"\[?{iso}\]?,? +\[?{level}\]?:? +\[?(?P<logger>{dotted-name})\]?(?:: | - )(?P<body>.*)",
    ),
    Row(
        "rust",
        "Rust env_logger",
        Continuation.HEADER,
        "[2024-01-02T03:04:05Z INFO  shop::cart] added item 7",
        r"\[{iso} {level} +(?P<logger>[\w:]+)\] ?(?P<body>.*)",
    ),
    Row(
        "tomcat",
        "Tomcat, BIND (18-Oct-2015)",
        Continuation.HEADER,
        "18-Oct-2015 18:01:47.123 INFO [main] org.apache.catalina.startup.Catalina.start Server startup in 512 ms",
        r"{mail} (?P<level>[A-Z]+) \[(?P<thread>[^\]]*)\] (?P<logger>\S+) (?P<body>.*)",
    ),
    Row(
        "redis",
        "Redis, Valkey",
        Continuation.STACK,
        "812:M 02 Jan 2024 03:04:05.678 * Ready to accept connections tcp",
        r"(?P<pid>\d+):(?P<role>[XCSM]) {mail} (?P<level>[.*#-]) (?P<body>.*)",
    ),
    Row(
        "gin",
        "Gin (Go) requests",
        Continuation.STACK,
        '[GIN] 2024/01/02 - 03:04:05 | 200 |      1.2ms |       127.0.0.1 | GET      "/carts/7"',
        r"\[GIN\] (?P<year>\d{4})/(?P<month>\d\d)/(?P<day>\d\d) - (?P<hour>\d\d):(?P<minute>\d\d):"
        r"(?P<second>\d\d) \| *(?P<status>\d{3}) \| *(?P<elapsed>\S+) \| *(?P<client>\S+) \| *(?P<request>.*)",
    ),
    Row(
        "healthapp",
        "time|component|process|message",
        Continuation.STACK,
        "20171223-22:15:29:606|Step_LSC|30002312|onStandStepChanged 3579",
        r"{compact-colons}\|(?P<logger>[^|]*)\|(?P<pid>\d*)\|(?P<body>.*)",
    ),
    Row(
        "hpc",
        "High-performance cluster events",
        Continuation.STACK,
        "134681 node-246 unix.hw state_change.unavailable 1077804742 1 Component State Change: not available",
        r"(?P<id>\d+) (?P<host>\S+) (?P<logger>\S+) (?P<event>\S+) {epoch} (?P<flag>\d+) (?P<body>.*)",
    ),
    Row(
        "dmesg-time",
        "dmesg -T",
        Continuation.STACK,
        "[Tue Jan  2 03:04:05 2024] usb 1-1: new high-speed USB device number 2 using xhci_hcd",
        r"\[{ctime}\] (?P<body>.*)",
    ),
    Row(
        "dmesg",
        "dmesg (seconds since boot; no wall-clock time)",
        Continuation.STACK,
        "[    1.234567] usb 1-1: new high-speed USB device number 2 using xhci_hcd",
        r"(?:<(?P<priority>\d{1,3})>)?\[ *(?P<uptime_s>\d+\.\d{6})\] ?(?P<body>.*)",
    ),
    Row(
        "python-basic",
        "Python logging.basicConfig (level:logger:message), no time",
        Continuation.HEADER,
        "WARNING:shop.cart:stock is low",
        r"(?P<level>DEBUG|INFO|WARNING|ERROR|CRITICAL):(?P<logger>[\w.]+):(?P<body>.*)",
    ),
    Row(
        "level-first",
        "level, logger, message; no time",
        Continuation.HEADER,
        "INFO nova.compute.claims [req-a4498d64] Claim successful on node-1",
        r" {0,8}(?P<level>TRACE|DEBUG|INFO|WARN|WARNING|ERROR|CRITICAL|FATAL|AUDIT) +"
        r"(?P<logger>[A-Za-z_]\w*(?:\.\w+)+|[A-Za-z_]\w*(?= \[|: )):? ?(?P<body>.*)",
    ),
    Row(
        "iso",
        "a time first, then anything",
        Continuation.HEADER,
        "2024-01-02T03:04:05.678Z  INFO shop cart is ready",
        r"[\[(]?{iso}[\])]?[,:]?(?: +- +|\s*)(?P<text>.*)",
    ),
    Row(
        "slash",
        "a time as Go's logger writes it, then anything",
        Continuation.HEADER,
        "2024/01/02 03:04:05 listening on :8080",
        r"[\[(]?{slash}[\])]?[,:]?\s*(?P<text>.*)",
    ),
    Row(
        "short-date",
        "a short date first, then anything",
        Continuation.HEADER,
        "17/06/09 20:10:40 started",
        r"\[?{slash-short}\]?\s*(?P<text>.*)",
    ),
    Row(
        "ctime",
        "a C library time first, then anything",
        Continuation.HEADER,
        "Sun Dec 04 04:47:44 2005 restarted",
        r"\[?{ctime}\]?:?\s*(?P<text>.*)",
    ),
    Row(
        "dated",
        "18-Oct-2015 or 18 Oct 2015 first, then anything",
        Continuation.HEADER,
        "18 Oct 2015 18:01:47 service started",
        r"\[?{mail}\]?,?\s*(?P<text>.*)",
    ),
    Row(
        "dated-american",
        "10/18/2015, then anything",
        Continuation.HEADER,
        "10/18/2015 6:01:47 PM service started",
        r"\[?{american}\]?,?\s*(?P<text>.*)",
    ),
    Row(
        "dated-java",
        "java.util.logging",
        Continuation.HEADER,
        "Oct 18, 2015 6:01:47 PM org.example.Main main",
        r"{java}\s*(?P<text>.*)",
    ),
    Row(
        "dated-dotted",
        "18.10.2015, then anything",
        Continuation.HEADER,
        "18.10.2015 18:01:47 started",
        r"\[?{dotted}\]?\s*(?P<text>.*)",
    ),
    Row(
        "clf",
        "a bracketed access-log time first",
        Continuation.HEADER,
        "[10/Oct/2000:13:55:36 -0700] started",
        r"\[{clf}\]\s*(?P<text>.*)",
    ),
    Row(
        "iso-basic",
        "20240102T030405Z, then anything",
        Continuation.HEADER,
        "20240102T030405Z started",
        r"{iso-basic}\s*(?P<text>.*)",
    ),
    Row(
        "compact",
        "20240102 03:04:05, then anything",
        Continuation.HEADER,
        "20240102 03:04:05.678 started",
        r"\[?{compact-colons}\]?\s*(?P<text>.*)",
    ),
    Row(
        "month-day",
        "month and day, no year, then anything",
        Continuation.HEADER,
        "[10.30 16:49:06] chrome.exe - opened",
        r"\[?(?:{month-day-dotted})\]?\s*(?P<text>.*)",
    ),
    Row(
        "epoch",
        "Unix seconds, milliseconds, microseconds or nanoseconds first",
        Continuation.HEADER,
        "1700000000.123 started",
        r"\[?{epoch}\]?[,:]?\s+(?P<text>.*)",
    ),
    Row(
        "time",
        "a time of day first, no date",
        Continuation.HEADER,
        "03:04:05.678 listening",
        r"\[?{time}\]?[,:]?\s+(?P<text>.*)",
    ),
)
