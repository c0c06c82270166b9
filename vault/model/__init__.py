"""The words of the vault as types: frozen, and ignorant of protobuf, LMDB and gRPC.

- `ids`: numbers and names of things (customers, values, domains, epochs), tokens' parts.
- `secret`: the type that guards plaintext from logs and pickles.
- `access`: reveal levels, actions, denials and decisions.
- `requests`: what the use cases take and give; `issued`: of issued tokens; `columns`: entries of an import.
"""
