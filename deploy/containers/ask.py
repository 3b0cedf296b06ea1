"""Prints what an address of this container answers; certificates are checked against the harness's authority.

Argument: the address. For `watchkeeper harness status`, which reaches a container that its network does not.
"""

import ssl
import sys
import urllib.request

TIMEOUT_S = 5
AUTHORITY = "/certs/ca.pem"


def main() -> int:
    """Ask once; raises what urllib raises."""
    context = ssl.create_default_context(cafile=AUTHORITY)
    with urllib.request.urlopen(sys.argv[1], timeout=TIMEOUT_S, context=context) as answer:
        sys.stdout.buffer.write(answer.read())
    return 0


if __name__ == "__main__":
    sys.exit(main())
