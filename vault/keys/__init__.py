"""Keys: what holds root keys, and the keyring that they unlock.

- `provider`: the small protocol of a key provider, and what it can prove about destruction.
- `file_provider`: root keys in sealed files, the embedded default.
- `pkcs11_provider`, `aws_kms_provider`, `transit_provider`: root keys elsewhere, by a library each.
- `provider_child`: the short-lived process that runs a provider.
- `unlock`: has the child pipe the epoch key into guarded memory.
- `root_keys`: asks the child about root keys, and has it end them.
- `keyring`: wraps and unwraps customers' DEKs and the vault's own secrets under the epoch key.
"""
