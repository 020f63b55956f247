"""Which certificates a ``certificate_selection`` means."""

import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID

from quantum.errors import ConfigError
from quantum.modules.selection import CertificateSelection
from services.certs.material import Material, certificate_pem, key_pem, make_key


def certificate(serial: int, organization: str, kind: str, *tags: str) -> Material:
    key = make_key(kind)
    name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("a.test")]), critical=False)
        .sign(key, None if kind == "ed25519" else hashes.SHA256())
    )
    return Material.from_pem(certificate_pem(made), key_pem(key), "loaded", tags)


ALL = {
    "old": certificate(7, "Acme", "rsa2048", "site", "old"),
    "new": certificate(8, "Acme", "p256", "site"),
    "other": certificate(9, "Others", "ed25519"),
}


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({}, {"old", "new", "other"}),
        ({"any_tag": ["site", "else"]}, {"old", "new"}),
        ({"all_tags": ["site", "old"]}, {"old"}),
        ({"all_tags": ["site", "else"]}, set()),
        ({"any_tag": ["site"], "all_tags": ["old"]}, {"old"}),
        ({"serial_number": ["8", "09"]}, {"new", "other"}),
        ({"serial_number": [7]}, {"old"}),
        ({"subject_organization": ["Others"]}, {"other"}),
        ({"public_key_algorithm": "rsa"}, {"old"}),
        ({"public_key_algorithm": "ecdsa", "any_tag": ["site"]}, {"new"}),
        ({"public_key_algorithm": "ed25519", "subject_organization": ["Acme"]}, set()),
    ],
)
def test_all_that_is_given_must_fit(wanted, found) -> None:
    selection = CertificateSelection.parse(wanted)
    assert {name for name, one in ALL.items() if one.fits(selection)} == found


@pytest.mark.parametrize("serial", ["", "0x7", "seven", -1, 7.5, True])
def test_a_serial_number_is_decimal(serial) -> None:
    with pytest.raises(ConfigError, match="serial_number"):
        CertificateSelection.parse({"serial_number": [serial]})
