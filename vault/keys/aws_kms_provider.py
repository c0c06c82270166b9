"""Root keys in AWS KMS: symmetric keys of one region, made by AWS and never given out.

    <directory>/<root key id>.aws-kms.json
             {"version": 1, "arn": text, "created_ms": n, "destruction_ms": n or null}
    wrapped  the CiphertextBlob of Encrypt, its encryption context {"customervault": hex of the context}

The file beside remembers which key the id means: AWS forgets a key, its alias and its tags together, and an
alias can be removed or point elsewhere. It holds nothing secret. Without it, on another machine, the alias
`alias/<prefix>/<root key id>` leads to the key as long as it exists.

AWS destroys no key at once: `destroy` schedules the deletion. From `DeletionDate` on it is destroyed once
AWS does not know the remembered ARN any more. Until then anyone with kms:CancelKeyDeletion can call it off.
"""

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError

from vault.config import AwsKmsSettings
from vault.errors import InvalidRequestError, KeyUnavailableError
from vault.keys.provider import (
    Assurance,
    Destruction,
    KeyDescription,
    KeyState,
    nothing_to_destroy,
    now_ms,
    require_https,
    require_settings,
)
from vault.store.files import write_durably

_STATES = {
    "Enabled": KeyState.ACTIVE,
    "Disabled": KeyState.DISABLED,
    "PendingDeletion": KeyState.PENDING_DESTRUCTION,
}
_DENIED = {
    "AccessDeniedException",
    "UnrecognizedClientException",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "ExpiredTokenException",
    "IncompleteSignature",
    "MissingAuthenticationToken",
}
_NOT_OPENED = {"InvalidCiphertextException", "IncorrectKeyException"}
_LEAST_DAYS, _MOST_DAYS = 7, 30
_RETENTION = (
    "AWS offers no way to restore a key after its deletion date; what AWS itself retains, and for how long, "
    "is known to AWS only"
)


@dataclass(frozen=True, slots=True)
class _Record:
    """The file about one root key."""

    arn: str
    created_ms: int
    destruction_ms: int | None = None


class AwsKmsProvider:
    """Key provider `aws-kms`."""

    name = "aws-kms"
    assurance = Assurance.SERVICE_ATTESTED

    def __init__(self, settings: AwsKmsSettings, directory: Path) -> None:
        require_settings("aws_kms", region=settings.region)
        if settings.endpoint:
            require_https(settings.endpoint, "keys.aws_kms.endpoint")
        if not _LEAST_DAYS <= settings.deletion_days <= _MOST_DAYS:
            raise InvalidRequestError(f"keys.aws_kms.deletion_days: {_LEAST_DAYS} to {_MOST_DAYS}")
        self._settings = settings
        self._directory = directory
        self._session: boto3.Session | None = None  # made at first use, for a wrong profile is an error then
        self._where = f"AWS KMS, region {settings.region}"

    def create(self, root_key_id: str) -> None:
        """Makes a key, remembers its ARN, then names it.

        A crash right after CreateKey leaves a key that nothing uses, tagged with the id; a repeated create
        makes another.
        """
        seen = self.describe(root_key_id)
        if seen.state is not KeyState.ACTIVE:
            seen.require(KeyState.MISSING, self._where)
            if self._record(root_key_id) is not None:
                raise KeyUnavailableError(
                    f"root key {root_key_id} was made but is unknown to {self._where} now"
                )
            with self._kms("CreateKey") as kms:
                made = kms.create_key(
                    Description=f"Customer Vault root key {root_key_id}",
                    KeySpec="SYMMETRIC_DEFAULT",
                    KeyUsage="ENCRYPT_DECRYPT",
                    MultiRegion=False,
                    Tags=[{"TagKey": "customervault-root-key", "TagValue": root_key_id}],
                )
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._remember(root_key_id, _Record(made["KeyMetadata"]["Arn"], now_ms()))
        if self._alias_target(root_key_id) is None:
            with self._kms("CreateAlias") as kms:
                kms.create_alias(AliasName=self._alias(root_key_id), TargetKeyId=self._key(root_key_id))

    def wrap(self, root_key_id: str, key: bytes, context: bytes) -> bytes:
        """Encrypt."""
        self.describe(root_key_id).require(KeyState.ACTIVE, self._where)
        with self._kms("Encrypt") as kms:
            sealed: bytes = kms.encrypt(
                KeyId=self._key(root_key_id), Plaintext=key, EncryptionContext=_bound(context)
            )["CiphertextBlob"]
        return sealed

    def unwrap(self, root_key_id: str, wrapped: bytes, context: bytes) -> bytes:
        """Decrypt, by this key only."""
        self.describe(root_key_id).require(KeyState.ACTIVE, self._where)
        with self._kms("Decrypt") as kms:
            opened: bytes = kms.decrypt(
                KeyId=self._key(root_key_id), CiphertextBlob=wrapped, EncryptionContext=_bound(context)
            )["Plaintext"]
        return opened

    def disable(self, root_key_id: str) -> None:
        """DisableKey."""
        seen = self.describe(root_key_id)
        if seen.state is not KeyState.DISABLED:
            seen.require(KeyState.ACTIVE, self._where)
            with self._kms("DisableKey") as kms:
                kms.disable_key(KeyId=self._key(root_key_id))

    def enable(self, root_key_id: str) -> None:
        """EnableKey."""
        seen = self.describe(root_key_id)
        if seen.state is not KeyState.ACTIVE:
            seen.require(KeyState.DISABLED, self._where)
            with self._kms("EnableKey") as kms:
                kms.enable_key(KeyId=self._key(root_key_id))

    def destroy(self, root_key_id: str) -> Destruction:
        """ScheduleKeyDeletion; a deletion that is scheduled keeps its date."""
        seen = self.describe(root_key_id)
        if seen.state is KeyState.MISSING:
            return nothing_to_destroy(seen, self.assurance)
        if seen.state in (KeyState.ACTIVE, KeyState.DISABLED):
            with self._kms("ScheduleKeyDeletion") as kms:
                kms.schedule_key_deletion(
                    KeyId=self._key(root_key_id), PendingWindowInDays=self._settings.deletion_days
                )
            seen = self.describe(root_key_id)
        if seen.state is KeyState.PENDING_DESTRUCTION and seen.destruction_ms is not None:
            record = self._record(root_key_id) or _Record(self._arn(root_key_id), now_ms())
            self._remember(root_key_id, _Record(record.arn, record.created_ms, seen.destruction_ms))
        effective_ms = seen.observed_ms if seen.state is KeyState.DESTROYED else seen.destruction_ms
        return Destruction(root_key_id, seen.evidence, self.assurance, effective_ms, _RETENTION, backups_ms=0)

    def describe(self, root_key_id: str) -> KeyDescription:
        """DescribeKey, by the remembered ARN, else by the alias."""
        record = self._record(root_key_id)
        metadata = self._metadata(record.arn if record else self._alias(root_key_id))
        if metadata is not None:
            state = _STATES.get(metadata["KeyState"])
            if state is None:
                raise KeyUnavailableError(f"root key {root_key_id} cannot be used now in {self._where}")
            due_ms = _milliseconds(metadata.get("DeletionDate"))
            evidence = f"{metadata['Arn']} is {metadata['KeyState']} in {self._where}"
            if due_ms is not None:
                evidence += f", deletion date {metadata['DeletionDate'].isoformat()}"
            return KeyDescription(root_key_id, state, evidence, _RETENTION, now_ms(), due_ms)
        seen_ms = now_ms()
        if record is None:
            evidence = f"{self._alias(root_key_id)} is unknown to {self._where}"
            return KeyDescription(root_key_id, KeyState.MISSING, evidence, _RETENTION, seen_ms)
        due_ms = record.destruction_ms
        gone = due_ms is not None and seen_ms >= due_ms
        evidence = f"{record.arn} is unknown to {self._where}"
        state = KeyState.DESTROYED if gone else KeyState.MISSING
        return KeyDescription(root_key_id, state, evidence, _RETENTION, seen_ms, due_ms)

    def _metadata(self, key: str) -> dict[str, Any] | None:
        with self._kms("DescribeKey") as kms:
            try:
                found: dict[str, Any] = kms.describe_key(KeyId=key)["KeyMetadata"]
            except kms.exceptions.NotFoundException:
                return None
        if found.get("Origin", "AWS_KMS") != "AWS_KMS" or found.get("MultiRegion", False):
            raise KeyUnavailableError(f"{found['Arn']} has copies outside of this region's KMS")
        return found

    def _alias(self, root_key_id: str) -> str:
        return f"alias/{self._settings.alias_prefix}/{root_key_id}"

    def _alias_target(self, root_key_id: str) -> str | None:
        metadata = self._metadata(self._alias(root_key_id))
        return str(metadata["Arn"]) if metadata else None

    def _arn(self, root_key_id: str) -> str:
        record = self._record(root_key_id)
        arn = record.arn if record else self._alias_target(root_key_id)
        if arn is None:
            raise KeyUnavailableError(f"root key {root_key_id} is not in {self._where}")
        return arn

    def _key(self, root_key_id: str) -> str:
        """The key's own id, the last part of `arn:aws:kms:<region>:<account>:key/<id>`."""
        return self._arn(root_key_id).rpartition("/")[2]

    def _path(self, root_key_id: str) -> Path:
        return self._directory / f"{root_key_id}.aws-kms.json"

    def _record(self, root_key_id: str) -> _Record | None:
        path = self._path(root_key_id)
        if not path.exists():
            return None
        try:
            document = json.loads(path.read_text())
            record = _Record(document["arn"], document["created_ms"], document["destruction_ms"])
            region = record.arn.split(":")[3]
        except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            raise KeyUnavailableError(f"the file {path} is damaged") from error
        if region != self._settings.region:
            raise KeyUnavailableError(f"root key {root_key_id} is in region {region}, not in {self._where}")
        return record

    def _remember(self, root_key_id: str, record: _Record) -> None:
        content = json.dumps({"version": 1} | asdict(record), indent=2)
        write_durably(self._path(root_key_id), content.encode())

    @contextmanager
    def _kms(self, operation: str) -> Iterator[Any]:
        """A client for one operation, whose errors become ours."""
        patience = Config(connect_timeout=5, read_timeout=10, retries={"mode": "standard", "max_attempts": 3})
        try:
            if self._session is None:
                self._session = boto3.Session()
            client = self._session.client(
                "kms",
                region_name=self._settings.region,
                endpoint_url=self._settings.endpoint or None,
                config=patience,
            )
        except (BotoCoreError, ValueError) as error:
            raise KeyUnavailableError(f"{self._where}: the settings or AWS profile do not fit") from error
        try:
            yield client
        except ClientError as error:
            raise KeyUnavailableError(self._said(operation, error)) from error
        except (NoCredentialsError, PartialCredentialsError) as error:
            raise KeyUnavailableError(f"{self._where}: there are no AWS credentials") from error
        except BotoCoreError as error:
            raise KeyUnavailableError(f"{self._where} cannot be reached ({type(error).__name__})") from error
        finally:
            client.close()

    def _said(self, operation: str, error: ClientError) -> str:
        code = error.response.get("Error", {}).get("Code", "")
        if code in _NOT_OPENED:
            return "the root key does not open this keyring"
        if code in _DENIED:
            return f"{self._where} denies {operation} to these credentials ({code})"
        return f"{self._where} failed at {operation} ({code})"


def _bound(context: bytes) -> dict[str, str]:
    return {"customervault": context.hex()}


def _milliseconds(moment: datetime | None) -> int | None:
    return None if moment is None else math.ceil(moment.timestamp() * 1000)
