"""The words that masking knows, with what each means: the one list that the C kernel and the Python reference share.

General knowledge of how logs are written (units, months, top-level domains, names of technologies that hold digits),
the same for every system. A change here changes template ids, so `MASK_VERSION` rises with it. Holds no logic.
"""

from __future__ import annotations

MASK_VERSION = 1

KNOWN = 1 << 0  # a name that holds a digit and is not a value
VALUE = 1 << 1  # a word that is a value wherever it stands
TOP_DOMAIN = 1 << 2
REVERSED_DOMAIN = 1 << 3  # begins a package name rather than a host name
NOT_NAME = 1 << 4  # what follows `user` without being a name
CREDENTIAL = 1 << 5  # `<credential> for <name>`
MONTH = 1 << 6
DAY = 1 << 7
ZONE = 1 << 8
BYTES = 1 << 9
TIME_UNIT = 1 << 10
WIDE_DOMAIN = 1 << 11  # a top-level domain that makes a host name of two labels
USER = 1 << 12
FOR = 1 << 13
COMMERCIAL = 1 << 14  # `com`, which begins package names of applications

_LISTS: tuple[tuple[int, str], ...] = (
    (
        KNOWN,
        "ssh2 ipv4 ipv6 l1 l2 l3 utf-8 utf8 utf-16 http2 md5 sha1 sha256 sha512 log4j log4j2 s3 ec2 k8s oauth2 base64 "
        "h2 h264 x86 i18n win32 ext2 ext3 ext4 v4l2 mp3 mp4 x509 sqlite3 iso8601 rfc3339 p2p b2b i2c int32 int64 "
        "float32 float64 uint8 python3 boto3 urllib3 web3 neo4j redis6 gzip2 bzip2 lz4 http/1.0 http/1.1 http/2 pm2 "
        "socks4 socks5",
    ),
    (VALUE, "true false null none nil undefined root admin localhost"),
    (
        TOP_DOMAIN,
        "com net org edu gov mil cn hk tw jp kr uk de fr it nl br ru pl us ca au es se ch at be dk fi cz mx ar tr "
        "local internal cluster lan svc io",
    ),
    (WIDE_DOMAIN, "com net org edu"),
    (REVERSED_DOMAIN, "com org net io java javax edu cn de"),
    (COMMERCIAL, "com"),
    (
        NOT_NAME,
        "invalid illegal the a is was has not in from request unknown authentication name id data and or with to by "
        "logged does agent account session level space mode code time for on at input cpu process interface of can "
        "cannot had did may must will interaction profile settings service experience error requested",
    ),
    (CREDENTIAL, "password publickey none failures failure keyboard-interactive login credentials hostbased"),
    (MONTH, "jan feb mar apr may jun jul aug sep oct nov dec"),
    (DAY, "mon tue wed thu fri sat sun"),
    (ZONE, "utc gmt pdt pst edt est cdt cst mdt mst cest cet bst ist jst"),
    (BYTES, "b kb mb gb tb kib mib gib tib"),
    (TIME_UNIT, "s ms us ns sec secs second seconds min mins minute minutes"),
    (USER, "user"),
    (FOR, "for"),
)


def _gather() -> dict[bytes, int]:
    words: dict[bytes, int] = {}
    for meaning, text in _LISTS:
        for word in text.split():
            words[word.encode()] = words.get(word.encode(), 0) | meaning
    return words


WORDS: dict[bytes, int] = _gather()
WORD_BYTES_MAX = 23
