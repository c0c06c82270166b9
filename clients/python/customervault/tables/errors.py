"""What a table job can run into besides the vault's own errors."""

from customervault.errors import VaultError


class TableError(VaultError):
    """The job cannot be carried out as it was asked for; nothing was sent for what it names."""

    default_reason = "USAGE"


class BrokenInputError(VaultError):
    """The end of a record cannot be found, so nothing after it can be trusted."""

    default_reason = "RECORD_TOO_LARGE"
