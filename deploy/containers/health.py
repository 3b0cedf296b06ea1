"""Says whether a container is healthy: exit status 0 when each address answers 200, and the shop's control, if asked.

Arguments: addresses, and the word `shop`, which counts only where the container runs a part of the shop. Certificates
are checked against the harness's authority. Uses nothing but the standard library.
"""

import json
import os
import ssl
import sys
import urllib.error
import urllib.request

TIMEOUT_S = 5
AUTHORITY = "/certs/ca.pem"
SHOP = "/var/lib/watchkeeper/shop/shop.json"


def main() -> int:
    """Ask each; what does not answer is told on the standard output."""
    wanted = sys.argv[1:]
    if "shop" in wanted:
        wanted.remove("shop")
        if os.environ.get("SHOP_SERVICES"):
            try:
                with open(SHOP, encoding="utf-8") as file:
                    wanted.append(json.load(file)["control"] + "/status")
            except OSError:
                print("the shop is not open")
                return 1
    for address in wanted:
        context = ssl.create_default_context(cafile=AUTHORITY) if address.startswith("https:") else None
        try:
            with urllib.request.urlopen(address, timeout=TIMEOUT_S, context=context) as answer:
                answer.read()
        except (urllib.error.URLError, OSError) as error:
            print(f"{address}: {error}")
            return 1
    print("healthy")
    return 0


if __name__ == "__main__":
    sys.exit(main())
