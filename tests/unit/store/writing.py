"""A process that creates and shreds customers as fast as it can and prints the numbers it got.

Run as `python -m tests.unit.store.writing <vault> <sessions>`.
"""

import sys
from pathlib import Path

from tests.unit.store.samples import add_customer, shred_customer, sign
from vault.store.store import Store


def main() -> None:
    with Store.open(Path(sys.argv[1]), sign=sign, low_water_bytes=0, block_numbers=7) as store:
        for turn in range(int(sys.argv[2])):
            with store.write() as session:
                numbers = [add_customer(session, values=1) for _ in range(3)]
                if turn % 3 == 0:
                    shred_customer(session, numbers[0])
                session.commit()
            with store.keyring() as keys, store.snapshot() as snapshot:
                assert len(list(snapshot.customers())) >= len(numbers)
                assert keys.count_deks() > 0
            sys.stdout.write(" ".join(map(str, numbers)) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
