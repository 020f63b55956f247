"""Which of the chains that an authority offers is served (``preferred_chains``)."""

from __future__ import annotations

from collections.abc import Sequence

from cryptography import x509

from services.certs.config import PreferredChains


def choose_chain(chains: Sequence[str], preferred: PreferredChains | None) -> str:
    """Return one of ``chains`` (PEM); the first, the authority's own choice, when none is preferred.

    Names are compared with the issuer of a chain's last certificate (``root_common_name``), or of any
    (``any_common_name``); the first name that fits wins. ``smallest`` counts bytes, among what fits.
    """
    if preferred is None:
        return chains[0]
    candidates = list(chains)
    if preferred.smallest:
        candidates.sort(key=len)
    for wanted, is_any in (
        *((name, False) for name in preferred.root_common_name),
        *((name, True) for name in preferred.any_common_name),
    ):
        for chain in candidates:
            issuers = _issuers(chain)
            if wanted in (issuers if is_any else issuers[-1:]):
                return chain
    return candidates[0] if preferred.smallest else chains[0]


def _issuers(chain: str) -> list[str]:
    found = []
    for certificate in x509.load_pem_x509_certificates(chain.encode()):
        names = certificate.issuer.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        found.append(str(names[0].value) if names else "")
    return found
