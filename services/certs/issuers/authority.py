"""A certificate authority of our own: a root that people trust, an intermediate that signs.

The root lives ten years and signs nothing but intermediates. An intermediate lives a week and is
replaced long before its end, so that a stolen disk image goes stale. Both are made when first needed.
"""

from __future__ import annotations

import datetime
import ipaddress
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from quantum.clock import Clock
from services.certs.config import AuthorityConfig, KeyPairFiles
from services.certs.keeping.storage import Storage
from services.certs.material import (
    PrivateKey,
    certificate_pem,
    key_pem,
    make_key,
    read_key,
)
from services.certs.renewal import is_due

ROOT_LIFETIME = datetime.timedelta(days=3600)
"""Ten years, as Caddy's: people install a root once."""

_PURPOSES = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)
"""Servers, and proxies that present themselves to upstreams (``client_certificate_automate``)."""

BACKDATE = datetime.timedelta(seconds=60)
"""Certificates start this long ago: clients' clocks are not exact."""


@dataclass(frozen=True)
class Signer:
    """A CA certificate and its key."""

    certificate: x509.Certificate
    key: PrivateKey


class Authority:
    """One authority. Methods block (disk, key generation) and may be called from any thread."""

    def __init__(self, name: str, config: AuthorityConfig, storage: Storage, clock: Clock) -> None:
        self.name = name
        self.config = config
        self._storage = storage
        self._clock = clock
        self._lock = threading.Lock()
        self._root: Signer | None = None
        self._intermediate: Signer | None = None

    @property
    def display_name(self) -> str:
        """What people see in their trust stores."""
        return self.config.name or f"Quantum {self.name.capitalize()} Authority"

    @property
    def root_common_name(self) -> str:
        """The common name that a new root gets."""
        year = self._clock.now().year
        return self.config.root_common_name or f"{self.display_name} - {year} ECC Root"

    @property
    def intermediate_common_name(self) -> str:
        """The common name that new intermediates get."""
        return self.config.intermediate_common_name or f"{self.display_name} - ECC Intermediate"

    def root(self) -> Signer:
        """Return the root: from its files, else made now and kept. ValueError, OSError: unusable files."""
        with self._lock:
            return self._ensure_root()

    def intermediate(self) -> Signer:
        """Return an intermediate that is not about to end; a new one when it is."""
        with self._lock:
            return self._ensure_intermediate()

    def sign(
        self,
        key: CertificatePublicKeyTypes,
        names: str | Sequence[str],
        lifetime: float,
        *,
        with_root: bool = False,
    ) -> bytes:
        """Return a chain (PEM, without the root) that certifies ``key`` for names or IP addresses."""
        names = [names] if isinstance(names, str) else names
        signer = self.root() if with_root else self.intermediate()
        now = self._clock.now()
        end = min(
            now + datetime.timedelta(seconds=lifetime), signer.certificate.not_valid_after_utc
        )
        builder = _builder(x509.Name([]), signer.certificate.subject, key, now - BACKDATE, end)
        leaf = _sign(
            builder
            # RFC 5280 §4.2.1.6: with an empty subject the names are critical.
            .add_extension(
                x509.SubjectAlternativeName([general_name(name) for name in names]), critical=True
            )
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(sign_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(_PURPOSES), critical=False)
            .add_extension(_authority_of(signer.certificate), critical=False),
            signer.key,
        )
        chain = certificate_pem(leaf)
        return chain if with_root else chain + certificate_pem(signer.certificate)

    def has_issued(self, chain: bytes) -> bool:
        """Whether the last certificate of a chain was signed by the root."""
        return _is_issued_by(x509.load_pem_x509_certificates(chain)[-1], self.root().certificate)

    def _ensure_root(self) -> Signer:
        if self._root is None:
            if self.config.root is not None:
                self._root = _read_files(self.config.root)
            else:
                with self._storage.locked(*self._folder()):
                    self._root = self._read("root") or self._make_root()
        return self._root

    def _ensure_intermediate(self) -> Signer:
        if self.config.intermediate is not None:
            self._intermediate = self._intermediate or _read_files(self.config.intermediate)
            return self._intermediate
        if self._intermediate is None or self._is_due(self._intermediate):
            root = self._ensure_root()
            with self._storage.locked(*self._folder()):
                stored = self._read("intermediate")
                if (
                    stored is None
                    or self._is_due(stored)
                    or not _is_issued_by(stored.certificate, root.certificate)
                ):
                    stored = self._make_intermediate(root)
                self._intermediate = stored
        return self._intermediate

    def _is_due(self, signer: Signer) -> bool:
        certificate = signer.certificate
        return is_due(
            self._clock.now(),
            certificate.not_valid_before_utc,
            certificate.not_valid_after_utc,
            self.config.renewal_window_ratio,
        )

    def _make_root(self) -> Signer:
        key = make_key("p256")
        name = _common_name(self.root_common_name)
        now = self._clock.now()
        builder = _builder(name, name, key.public_key(), now - BACKDATE, now + ROOT_LIFETIME)
        root = _sign(
            builder.add_extension(
                x509.BasicConstraints(ca=True, path_length=1), critical=True
            ).add_extension(_usage(sign_certificates=True), critical=True),
            key,
        )
        return self._keep("root", Signer(root, key))

    def _make_intermediate(self, root: Signer) -> Signer:
        key = make_key("p256")
        now = self._clock.now()
        end = now + datetime.timedelta(seconds=self.config.intermediate_lifetime)
        builder = _builder(
            _common_name(self.intermediate_common_name),
            root.certificate.subject,
            key.public_key(),
            now - BACKDATE,
            min(end, root.certificate.not_valid_after_utc),
        )
        intermediate = _sign(
            builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(sign_certificates=True), critical=True)
            .add_extension(_authority_of(root.certificate), critical=False),
            root.key,
        )
        return self._keep("intermediate", Signer(intermediate, key))

    def _keep(self, role: str, signer: Signer) -> Signer:
        # The key goes first: a crash between the two leaves a key without certificate (made anew),
        # or a pair that does not match (``_read`` refuses it), never a certificate without its key.
        self._storage.write(key_pem(signer.key), *self._folder(), f"{role}.key")
        self._storage.write(certificate_pem(signer.certificate), *self._folder(), f"{role}.crt")
        return signer

    def _read(self, role: str) -> Signer | None:
        certificate = self._storage.read(*self._folder(), f"{role}.crt")
        key = self._storage.read(*self._folder(), f"{role}.key")
        if certificate is None or key is None:
            return None
        signer = Signer(x509.load_pem_x509_certificate(certificate), read_key(key))
        if signer.certificate.public_key() == signer.key.public_key():
            return signer
        if role == "root":  # people trust that certificate: replacing it is theirs to decide
            raise ValueError(f"root.key of authority {self.name!r} does not belong to its root.crt")
        return None

    def _folder(self) -> tuple[str, ...]:
        return "pki", "authorities", self.name


def _read_files(files: KeyPairFiles) -> Signer:
    certificate = x509.load_pem_x509_certificate(Path(files.certificate).read_bytes())
    key = read_key(Path(files.private_key).read_bytes())
    if certificate.public_key() != key.public_key():
        raise ValueError(f"{files.private_key} does not belong to {files.certificate}")
    return Signer(certificate, key)


def _is_issued_by(certificate: x509.Certificate, root: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(root)
    except Exception:  # noqa: BLE001 - any kind of mismatch means the same: make a new one
        return False
    return True


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: CertificatePublicKeyTypes,
    start: datetime.datetime,
    end: datetime.datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _sign(builder: x509.CertificateBuilder, key: PrivateKey) -> x509.Certificate:
    return builder.sign(
        key, None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    )


def _usage(*, sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not sign_certificates,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _authority_of(certificate: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    try:
        identifier = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:  # a root that somebody else made
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(certificate.public_key())  # type: ignore[arg-type]
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)


def general_name(name: str) -> x509.GeneralName:
    """Return the SAN entry of a DNS name, wildcard or IP address."""
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _common_name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
