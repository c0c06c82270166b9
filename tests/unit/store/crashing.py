"""A process that ends, as if killed, at one step of one commit.

Run as `python -m tests.unit.store.crashing <vault> <work> <step>`; prints what it got acknowledged before.
`<step>` is a step of the commit, or `lock` for inside the session.
"""

import os
import sys
from pathlib import Path

from tests.unit.store.samples import add_customer, shred_customer, sign
from vault.store.store import Store

EXIT = 9


def main() -> None:
    root, work, step = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    armed = False

    def die(reached: str) -> None:
        if armed and reached == step:
            os._exit(EXIT)

    store = Store.open(root, sign=sign, after_step=die, low_water_bytes=0, block_numbers=4)
    with store.write() as session:
        number = add_customer(session)
        session.commit()
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()
    armed = True
    with store.write() as session:
        if work == "shred":
            shred_customer(session, number)
        else:
            for _ in range(5):  # more than a block
                add_customer(session)
        if step == "lock":
            os._exit(EXIT)
        session.commit()
    raise AssertionError("the process should have ended")


if __name__ == "__main__":
    main()
