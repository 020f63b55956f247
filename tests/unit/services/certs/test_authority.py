"""The local authority: what it signs, what it keeps."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest
from cryptography import x509

from quantum.testing.clock import ManualClock
from services.certs.config import AuthorityConfig
from services.certs.issuers.authority import Authority
from services.certs.keeping.storage import Storage
from services.certs.material import Material, key_pem, make_key


def make_authority(folder: Path, clock: ManualClock | None = None, **settings) -> Authority:
    config = AuthorityConfig.parse(settings)
    return Authority("local", config, Storage(folder), clock or ManualClock())


def sign(
    authority: Authority, name: str, lifetime: float = 3600, **options
) -> list[x509.Certificate]:
    chain = authority.sign(make_key("p256").public_key(), name, lifetime, **options)
    return x509.load_pem_x509_certificates(chain)


def test_files_are_closed_to_others(tmp_path):
    make_authority(tmp_path).intermediate()
    folder = tmp_path / "pki" / "authorities" / "local"
    names = {"root.crt", "root.key", "intermediate.crt", "intermediate.key"}
    assert names <= {f.name for f in folder.iterdir()}
    assert {f.stat().st_mode & 0o777 for f in folder.iterdir()} == {0o600}
    for made in (folder, folder.parent, folder.parent.parent):
        assert made.stat().st_mode & 0o777 == 0o700


def test_a_restart_keeps_the_root_and_the_intermediate(tmp_path):
    first, second = make_authority(tmp_path), make_authority(tmp_path)
    assert first.root().certificate == second.root().certificate
    assert first.intermediate().certificate == second.intermediate().certificate


async def test_intermediates_are_renewed_below_the_same_root(tmp_path):
    clock = ManualClock()
    authority = make_authority(tmp_path, clock)
    root, first = authority.root().certificate, authority.intermediate().certificate
    await clock.advance(5 * 86400)
    assert authority.intermediate().certificate == first
    await clock.advance(86400)
    second = authority.intermediate().certificate
    assert second != first
    assert authority.root().certificate == root
    second.verify_directly_issued_by(root)


def test_a_leaf_is_for_servers_and_for_proxies_and_its_chain_leads_to_the_root(tmp_path):
    authority = make_authority(tmp_path)
    leaf, intermediate = sign(authority, "a.test")
    leaf.verify_directly_issued_by(intermediate)
    intermediate.verify_directly_issued_by(authority.root().certificate)
    usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [
        x509.ExtendedKeyUsageOID.SERVER_AUTH,
        x509.ExtendedKeyUsageOID.CLIENT_AUTH,
    ]
    assert leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
    constraints = intermediate.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert (constraints.ca, constraints.path_length) == (True, 0)


def test_a_leaf_can_be_signed_by_the_root(tmp_path):
    authority = make_authority(tmp_path)
    (leaf,) = sign(authority, "::1", with_root=True)
    leaf.verify_directly_issued_by(authority.root().certificate)


def test_a_leaf_never_outlives_its_signer(tmp_path):
    authority = make_authority(tmp_path)
    leaf, intermediate = sign(authority, "a.test", lifetime=365 * 86400)
    assert leaf.not_valid_after_utc == intermediate.not_valid_after_utc


def test_names_of_the_authority_can_be_chosen(tmp_path):
    authority = make_authority(tmp_path, root_common_name="R", intermediate_common_name="I")
    assert authority.root().certificate.subject.rfc4514_string() == "CN=R"
    assert authority.intermediate().certificate.subject.rfc4514_string() == "CN=I"


def test_a_given_root_signs_and_nothing_is_written_over_it(tmp_path):
    made = make_authority(tmp_path / "elsewhere")
    made.root()
    folder = tmp_path / "elsewhere/pki/authorities/local"
    files = {"certificate": str(folder / "root.crt"), "private_key": str(folder / "root.key")}
    authority = make_authority(tmp_path / "here", root=files)
    _, intermediate = sign(authority, "a.test")
    intermediate.verify_directly_issued_by(made.root().certificate)
    assert not (tmp_path / "here/pki/authorities/local/root.crt").exists()


def test_a_root_whose_key_is_another_ones_is_not_replaced(tmp_path):
    make_authority(tmp_path).root()
    key = tmp_path / "pki/authorities/local/root.key"
    key.write_bytes(key_pem(make_key("p256")))
    before = key.read_bytes()
    with pytest.raises(ValueError, match="does not belong"):
        make_authority(tmp_path).root()
    assert key.read_bytes() == before


def test_a_torn_intermediate_is_made_anew(tmp_path):
    make_authority(tmp_path).intermediate()
    key = tmp_path / "pki/authorities/local/intermediate.key"
    key.write_bytes(key_pem(make_key("p256")))
    authority = make_authority(tmp_path)
    sign(authority, "a.test")[1].verify_directly_issued_by(authority.root().certificate)


def test_a_new_root_does_not_know_old_leaves(tmp_path):
    key = make_key("p256")
    chain = make_authority(tmp_path / "a").sign(key.public_key(), "a.test", 3600)
    assert make_authority(tmp_path / "a").has_issued(chain)
    assert not make_authority(tmp_path / "b").has_issued(chain)


@pytest.mark.parametrize("kind", ["p256", "p384", "ed25519", "rsa2048"])
def test_every_key_type_can_be_certified(tmp_path, kind):
    key = make_key(kind)
    chain = make_authority(tmp_path).sign(key.public_key(), "*.a.test", 60)
    material = Material.from_pem(chain, key_pem(key), "local")
    assert material.subjects == ("*.a.test",)
    assert material.covers("x.a.test")
    assert not material.covers("a.test")
    assert material.not_after - material.not_before == datetime.timedelta(seconds=120)


def test_material_refuses_a_key_of_somebody_else(tmp_path):
    chain = make_authority(tmp_path).sign(make_key("p256").public_key(), "a.test", 60)
    with pytest.raises(ValueError, match="does not belong"):
        Material.from_pem(chain, key_pem(make_key("p256")), "local")
    with pytest.raises(ValueError, match="no readable PEM private key"):
        Material.from_pem(chain, b"nonsense", "local")
    with pytest.raises(ValueError, match="no readable PEM certificate"):
        Material.from_pem(b"nonsense", key_pem(make_key("p256")), "local")
