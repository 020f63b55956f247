"""Which certificates a ``certificate_selection`` means: pure."""

from __future__ import annotations

from collections.abc import Iterable

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from quantum.modules.selection import CertificateSelection
from services.certs.material import Material

_ALGORITHMS = {
    "rsa": rsa.RSAPublicKey,
    "ecdsa": ec.EllipticCurvePublicKey,
    "ed25519": ed25519.Ed25519PublicKey,
}


def select(selection: CertificateSelection, materials: Iterable[Material]) -> list[Material]:
    """Return those that fit, each once."""
    fitting = {m.fingerprint: m for m in materials if _fits(selection, m)}
    return list(fitting.values())


def _fits(wanted: CertificateSelection, material: Material) -> bool:
    tags = set(material.tags)
    if not tags.issuperset(wanted.all_tags) or (wanted.any_tag and tags.isdisjoint(wanted.any_tag)):
        return False
    if not (wanted.serial_number or wanted.subject_organization or wanted.public_key_algorithm):
        return True
    leaf = x509.load_pem_x509_certificates(material.chain)[0]
    return (
        (not wanted.serial_number or str(leaf.serial_number) in wanted.serial_number)
        and (not wanted.subject_organization or _is_of(leaf, wanted.subject_organization))
        and (
            not wanted.public_key_algorithm
            or isinstance(leaf.public_key(), _ALGORITHMS[wanted.public_key_algorithm])
        )
    )


def _is_of(leaf: x509.Certificate, organizations: tuple[str, ...]) -> bool:
    named = leaf.subject.get_attributes_for_oid(x509.NameOID.ORGANIZATION_NAME)
    return any(str(name.value) in organizations for name in named)
