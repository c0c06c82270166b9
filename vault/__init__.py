"""Customer Vault: tokens for CRM systems, per-customer keys, deletion by shredding."""

__version__ = "0.1.0"
