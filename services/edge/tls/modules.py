"""``tls.client_auth.verifier.*`` and ``tls.leaf_cert_loader.*``, as modules."""

from __future__ import annotations

from pydantic import Field

from quantum.config.model import StrictModel
from quantum.modules.config import InlineModule
from quantum.modules.spec import ModuleSpec
from quantum.modules.trust import StorageReference


class LeafVerifier(StrictModel):
    """A client's certificate must be one of these."""

    leaf_certs_loaders: list[InlineModule("tls.leaf_cert_loader")] = Field(min_length=1)  # type: ignore[valid-type]


class FileLoader(StrictModel):
    """Certificates from PEM files."""

    files: list[str] = Field(min_length=1)


class FolderLoader(StrictModel):
    """Certificates from every .pem file below folders."""

    folders: list[str] = Field(min_length=1)


class PemLoader(StrictModel):
    """Certificates as PEM text in the configuration."""

    certificates: list[str] = Field(min_length=1)


class StorageLoader(StrictModel):
    """Certificates that the certs room keeps: keys are paths below its data directory."""

    storage: StorageReference = Field(default_factory=StorageReference)
    certificates: list[str] = Field(min_length=1)


def _loader(name: str, model: str, summary: str) -> ModuleSpec:
    return ModuleSpec(
        id=f"tls.leaf_cert_loader.{name}",
        room="edge",
        config=f"services.edge.tls.modules:{model}",
        implementation="services.edge.tls.leaves:leaves_of",
        summary=summary,
    )


MODULES: tuple[ModuleSpec, ...] = (
    ModuleSpec(
        id="tls.client_auth.verifier.leaf",
        room="edge",
        config="services.edge.tls.modules:LeafVerifier",
        implementation="services.edge.tls.leaves:leaves_of",
        summary="Clients with one of these certificates",
    ),
    _loader("file", "FileLoader", "Clients' certificates from PEM files"),
    _loader("folder", "FolderLoader", "Clients' certificates from folders"),
    _loader("pem", "PemLoader", "Clients' certificates in the configuration"),
    _loader("storage", "StorageLoader", "Clients' certificates that the certs room keeps"),
)
