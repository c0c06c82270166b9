"""What a vault says once it serves: the ready file for programs, the banner for people.

The file is JSON: {"address", "metrics", "ca", "certificates": {name: {"certificate", "key"}}, "pid",
"workers": [pid]}. Certificates are there with `--dev` only. It is replaced whole whenever a worker was,
and removed when the vault stops.
"""

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

Certificates = Mapping[str, Mapping[str, str]]

_BANNER = """
Customer Vault for development is ready on {address} (metrics on http://{metrics}/metrics).
Its keys lie beside its data: never put real customers into it. Ctrl-C ends it.

In another terminal:

  export CVAULT_ADDRESS={address}
  export CVAULT_CA={ca}
  export CVAULT_CERTIFICATE={certificate}
  export CVAULT_KEY={key}

  cvault tokenize crm-1 email=ada@example.org name="Ada Lovelace"
  cvault detokenize --purpose support TOKEN

"""


@dataclass(frozen=True, slots=True)
class Ready:
    """How to connect, and which processes serve."""

    address: str
    metrics: str
    ca: str
    certificates: Certificates
    pid: int
    workers: Sequence[int]

    def write(self, path: Path) -> None:
        """Replaces the file at once, so that no reader sees half of it."""
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(descriptor, "w") as file:
            json.dump(asdict(self), file, indent=2)
            file.write("\n")
        Path(name).replace(path)

    def banner(self, principal: str) -> str:
        """What to type next, as `principal`."""
        files = self.certificates[principal]
        return _BANNER.format(address=self.address, metrics=self.metrics, ca=self.ca, **files)
