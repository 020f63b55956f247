"""From a signing request to a certificate."""

from __future__ import annotations

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

from services.certs.acme_server.problems import AcmeProblem
from services.certs.acme_server.signed import RSA_BITS

MIN_CURVE_BITS = 256


def check_request(der: bytes, names: list[str]) -> CertificatePublicKeyTypes:
    """Return the key to certify; AcmeProblem unless the request is sound and for exactly ``names`` (§7.4)."""
    try:
        request = x509.load_der_x509_csr(der)
        is_sound = request.is_signature_valid
        key = request.public_key()
        found = _names(request)
    except (ValueError, UnsupportedAlgorithm, InvalidSignature, x509.DuplicateExtension):
        raise AcmeProblem("badCSR", "the signing request cannot be read") from None
    if not is_sound:
        raise AcmeProblem("badCSR", "the signature of the signing request does not hold")
    if not _is_strong(key):
        raise AcmeProblem("badCSR", "keys are P-256 and up, Ed25519, or RSA of 2048 to 4096 bits")
    if found != set(names):
        raise AcmeProblem("badCSR", "the signing request is not for the names of the order")
    return key


def _names(request: x509.CertificateSigningRequest) -> set[str]:
    common = request.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    found = {str(name.value).lower() for name in common if name.value}
    try:
        names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return found
    dns = names.get_values_for_type(x509.DNSName)
    addresses = names.get_values_for_type(x509.IPAddress)
    if len(list(names)) != len(dns) + len(addresses):
        raise AcmeProblem("badCSR", "only DNS names and IP addresses are certified")
    return found | {name.lower() for name in dns} | {str(address) for address in addresses}


def _is_strong(key: object) -> bool:
    if isinstance(key, rsa.RSAPublicKey):
        return key.key_size in RSA_BITS
    if isinstance(key, ec.EllipticCurvePublicKey):
        return key.curve.key_size >= MIN_CURVE_BITS
    return isinstance(key, ed25519.Ed25519PublicKey)
