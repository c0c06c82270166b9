"""The command `cvault`: one module a command or group of commands.

- `main` assembles them; `exits` holds exit codes and errors, `output` what they print.
- `connection` gives online commands a client; `passphrase` reads the passphrase for offline ones.
- `stopped` keeps a vault from running; `copies` is shared by `backup` and `keycopies`.
- `importing` is the machinery behind `cvault import`.

Rules: starting up imports neither gRPC nor the catalog of field classes (`cvault --help` answers at
once), so commands import what they need when they run. Nothing is coloured or animated unless a
terminal is there to show it. Errors go to standard error and never hold a value.
"""
