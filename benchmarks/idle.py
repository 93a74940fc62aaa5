"""What an idle client costs: resident bytes of the server for each that has joined and is quiet.

python -m benchmarks.idle [--clients 2000]
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.programs import Parley, resident, stop
from benchmarks.start import Client


def main() -> int:
    """Measure and print. Return 1 if it was over ``--at-most``."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--clients", type=int, default=2000)
    parser.add_argument("--at-most", type=float, default=2000.0, help="bytes")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="parley-idle-") as place:
        server = Parley(Path(place))
        clients: list[Client] = []

        def join(count: int) -> int:
            """Join that many more, and return what the server takes once all is quiet."""
            for _ in range(count):
                client = Client(server.port)
                client.send(purpose="join", nick=f"n{len(clients)}", id=1, time=0, bot=True)
                client.until("welcome")
                clients.append(client)
            time.sleep(3)
            return resident(server.pid)

        try:
            before = join(300)  # so that what is needed once is there
            each = (join(options.clients) - before) / options.clients
        finally:
            stop(server.process, 9)
    print(f"{each:.0f} resident bytes for each of {options.clients} idle clients")
    return 0 if each <= options.at_most else 1


if __name__ == "__main__":
    sys.exit(main())
