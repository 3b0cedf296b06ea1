"""What the masks make of lines of many kinds of system."""

from __future__ import annotations

import pytest

from watchkeeper.patterns.body import BODY_BYTES_MAX, LINE_BYTES_MAX
from watchkeeper.patterns.reference import mask

CASES = [
    ("", ""),
    ("   \t ", ""),
    ("no numbers here", "no numbers here"),
    ("  two   spaces\tand a tab  ", "two spaces and a tab"),
    ("took 12 ms", "took <*> ms"),
    ("temperature -3.5, load +0.7%", "temperature <*>, load <*>%"),
    (
        "Receiving block blk_-160 src: /10.250.10.6:40524 dest: /10.2.3.4:50010",
        "Receiving block <*> src: <*> dest: <*>",
    ),
    ("ask 10.0.0.1:50010 to delete blk_1 blk_22 blk_-3", "ask <*> to delete <*>"),
    ("ask 10.0.0.1:50010 to delete blk_1", "ask <*> to delete <*>"),
    ("[1, 2, 3] and [4]", "[<*>] and [<*>]"),
    ("time=0,0,17,0", "time=<*>"),
    ("GET https://example.com/a?b=1&c=2, next", "GET <*>, next"),
    ('10.1.1.1 "GET /v2/servers/detail HTTP/1.1" status: 200', '<*> "GET <*>" status: <*>'),
    ('"GET / HTTP/1.1" 200', '"GET <*>" <*>'),
    ("jk2_init() found nodes node-[40-63 70] and node-7", "jk2_init() found nodes node-<*> and node-<*>"),
    ("open through proxy 1.2.3.4:80 SOCKS5", "open through proxy <*> SOCKS5"),
    ("user=ann mode=fast retries=3", "user=<*> mode=<*> retries=<*>"),
    ("name='a b c' size=\"\"", "name='<*>' size=\"\""),
    ("ws=WorkSource{10113} next", "ws=<*> next"),
    ("bounds=Rect(0, 0 - 4, 5)", "bounds=Rect(<*>, <*> - <*>, <*>)"),
    ("if a == b then", "if a == b then"),
    ("logname= uid=0", "logname= uid=<*>"),
    ("Failed password for invalid user webmaster from 1.2.3.4 port 38926 ssh2", None),
    ("Failed password for root from 1.2.3.4 port 3 ssh2", "Failed password for <*> from <*> port <*> ssh2"),
    ("Failed password for uucp from 1.2.3.4 port 3 ssh2", "Failed password for <*> from <*> port <*> ssh2"),
    ("session closed for user cyrus", "session closed for user <*>"),
    ("check pass; user unknown", "check pass; user unknown"),
    ("connection at Sat Jun 11 03:28:22 2005", "connection at <*>"),
    ("status M Sat Jul  9 08:15:21 PDT 2005 done", "status M <*> done"),
    ("you may 5 times", "you may <*> times"),
    ("peer fe80::1a2b:3c4d is 00:1b:44:11:3a:b7", "peer <*> is <*>"),
    ("id 8f14e45f-ceea-467f-a0e6-d3b1f1e9c8aa", "id <*>"),
    ("key deadbeefcafe, word facade", "key <*>, word facade"),
    ("at 0x7fff5fbff8c0", "at <*>"),
    ("registered com.foo.Listener@1a2b3c", "registered com.foo.Listener@<*>"),
    ("mail to ann@example.com", "mail to <*>"),
    ("reached db.prod.example.com now", "reached <*> now"),
    ("java.net.NoRouteToHostException: no route", "java.net.NoRouteToHostException: no route"),
    ("Slf4jLogger started HttpServer2$QuotingFilter", "Slf4jLogger started HttpServer2$QuotingFilter"),
    ("IO80211AWDLPeerManager::setMode", "IO80211AWDLPeerManager::setMode"),
    ("free 5.2 KB of 3.0 GB", "free <*> of <*>"),
    ("lifetime <1 sec", "lifetime <*>"),
    ("lifetime 00:02", "lifetime <*>"),
    ("file C:\\Windows\\a.dll and /var/log/x.log: gone", "file <*> and <*>: gone"),
    ("Input/output error", "Input/output error"),
    ("privileged instruction........0", "privileged instruction........<*>"),
    ("enabled: true, nothing: null", "enabled: <*>, nothing: <*>"),
    ("\x1b[31mred\x1b[0m text", "red text"),
    ("größe 5 für ünï", "größe <*> für ünï"),
    ('{"event":"paid","order":4711,"ok":true}', '{"event":"paid","order":<*>,"ok":<*>}'),
]


@pytest.mark.parametrize(("line", "template"), [case for case in CASES if case[1] is not None])
def test_line_gives_template(line: str, template: str) -> None:
    assert mask(line.encode()).template.decode() == template


def test_a_traceback_gives_its_message_and_its_exception_without_frames() -> None:
    body = (
        "cannot charge order 17\nTraceback (most recent call last):\n"
        '  File "/srv/pay.py", line 31, in charge\n    raise Declined(card)\npay.Declined: card 4242 declined\n'
    )
    expected = "cannot charge order <*> ↵ Traceback (most recent call last): ↵ pay.Declined: card <*> declined"
    assert mask(body.encode()).template.decode() == expected


def test_java_frames_do_not_matter() -> None:
    one = "boom\njava.io.IOException: broken pipe\n\tat a.B.c(B.java:1)\n\tat a.D.e(D.java:2)\nCaused by: x"
    other = "boom\njava.io.IOException: broken pipe\n\tat q.B.c(B.java:9)\nCaused by: x"
    assert mask(one.encode()).template == mask(other.encode()).template


def test_spans_lie_where_the_values_stood() -> None:
    body = b"Received block blk_1 blk_2 of size 67 KB from user=ann at Sat Jun 11 03:28:22 2005"
    masked = mask(body)
    found = [body[start:end].decode() for start, end in masked.spans]
    assert found == ["blk_1 blk_2", "67 KB", "ann", "Sat Jun 11 03:28:22 2005"]
    assert masked.template.count(b"<*>") == len(found)


def test_long_lines_are_cut_at_whole_characters() -> None:
    body = ("ü" * LINE_BYTES_MAX).encode()
    template = mask(body).template
    assert len(template) == LINE_BYTES_MAX
    assert template.decode() == "ü" * (LINE_BYTES_MAX // 2)


def test_what_lies_beyond_the_limit_of_a_body_is_not_read() -> None:
    filler = "\n" * BODY_BYTES_MAX
    assert mask(b"first" + filler.encode() + b"second").template == b"first"


def test_masking_a_template_again_changes_nothing_for_common_lines() -> None:
    for line in ("took 12 ms", "user=ann", "session closed for user cyrus", "[1, 2, 3] of 7"):
        template = mask(line.encode()).template
        assert mask(template).template == template
