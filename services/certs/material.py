"""A certificate chain with its key: parsed once, checked that they belong together."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes

from quantum.modules.selection import CertificateSelection

PrivateKey = CertificateIssuerPrivateKeyTypes

_ALGORITHMS = {
    "rsa": rsa.RSAPublicKey,
    "ecdsa": ec.EllipticCurvePublicKey,
    "ed25519": ed25519.Ed25519PublicKey,
}
_SPKI = serialization.PublicFormat.SubjectPublicKeyInfo


@dataclass(frozen=True)
class Material:
    """What a TLS server needs. ``chain`` is PEM, the leaf first; ``issuer`` the storage key of who signed."""

    chain: bytes
    key: bytes
    subjects: tuple[str, ...]
    not_before: datetime
    not_after: datetime
    fingerprint: str
    issuer: str
    tags: tuple[str, ...] = ()

    @classmethod
    def from_pem(
        cls, chain: bytes, key: bytes, issuer: str, tags: tuple[str, ...] = ()
    ) -> Material:
        """Parse PEM; ValueError says what is wrong with it, never quoting the key."""
        leaf = _read_leaf(chain)
        private = read_key(key)
        if _public(leaf.public_key()) != _public(private.public_key()):
            raise ValueError("the key does not belong to the first certificate of the chain")
        return cls(
            chain=chain,
            key=key,
            subjects=subjects_of(leaf),
            not_before=leaf.not_valid_before_utc,
            not_after=leaf.not_valid_after_utc,
            fingerprint=leaf.fingerprint(hashes.SHA256()).hex(),
            issuer=issuer,
            tags=tags,
        )

    def fits(self, wanted: CertificateSelection) -> bool:
        """Whether this is a certificate that a policy with ``certificate_selection`` means."""
        tags = set(self.tags)
        if not tags.issuperset(wanted.all_tags):
            return False
        if wanted.any_tag and tags.isdisjoint(wanted.any_tag):
            return False
        if not (wanted.serial_number or wanted.subject_organization or wanted.public_key_algorithm):
            return True
        leaf = _read_leaf(self.chain)
        kind = _ALGORITHMS.get(wanted.public_key_algorithm)
        return (
            (not wanted.serial_number or str(leaf.serial_number) in wanted.serial_number)
            and (not wanted.subject_organization or _is_of(leaf, wanted.subject_organization))
            and (kind is None or isinstance(leaf.public_key(), kind))
        )

    def covers(self, name: str) -> bool:
        """Whether a client that asked for ``name`` accepts this certificate (RFC 6125 §6.4.3)."""
        return name in self.subjects or wildcard_of(name) in self.subjects


def _is_of(leaf: x509.Certificate, organizations: tuple[str, ...]) -> bool:
    named = leaf.subject.get_attributes_for_oid(x509.NameOID.ORGANIZATION_NAME)
    return any(str(name.value) in organizations for name in named)


def wildcard_of(name: str) -> str:
    """Return the wildcard that covers ``name``: its first label replaced."""
    return "*." + name.partition(".")[2]


def _read_leaf(chain: bytes) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificates(chain)[0]
    except ValueError:
        raise ValueError("there is no readable PEM certificate in it") from None


def read_key(pem: bytes) -> PrivateKey:
    """Parse a private key in PEM; ValueError when it is none, encrypted, or of an odd kind."""
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except TypeError:
        raise ValueError("the key is encrypted: Quantum asks for no passwords") from None
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("there is no readable PEM private key in it") from None
    if not isinstance(
        key, ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey
    ):
        raise ValueError("the key is neither EC, Ed25519 nor RSA")
    return key


def make_key(kind: str) -> PrivateKey:
    """Make a private key of one of Caddy's key types."""
    if kind == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    if kind.startswith("rsa"):
        return rsa.generate_private_key(public_exponent=65537, key_size=int(kind[3:]))
    return ec.generate_private_key(ec.SECP384R1() if kind == "p384" else ec.SECP256R1())


def key_pem(key: PrivateKey) -> bytes:
    """Return a private key as unencrypted PKCS #8."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def certificate_pem(certificate: x509.Certificate) -> bytes:
    """Return a certificate as PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def subjects_of(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return the names and addresses of a certificate; the common name when it has no SAN."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        common = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        return tuple(str(name.value).lower() for name in common)
    dns = [name.lower() for name in names.get_values_for_type(x509.DNSName)]
    return (*dns, *(str(ip) for ip in names.get_values_for_type(x509.IPAddress)))


def _public(key: object) -> bytes:
    return key.public_bytes(serialization.Encoding.DER, _SPKI)  # type: ignore[attr-defined,no-any-return]
