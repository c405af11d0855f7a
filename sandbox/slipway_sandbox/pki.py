"""The sandbox's own certificate authority and the server certificates it signs."""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from slipway_sandbox.layout import Layout, write_file

VALID = dt.timedelta(days=3650)
SYSTEM_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")


def _key_text(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _is_pair(certificate_file: Path, key_file: Path) -> bool:
    """Whether both are there and belong together: who wrote one may have been ended before the other."""
    try:
        certificate = x509.load_pem_x509_certificate(certificate_file.read_bytes())
        key = serialization.load_pem_private_key(key_file.read_bytes(), None)
    except (OSError, ValueError, TypeError):
        return False
    return bool(certificate.public_key() == key.public_key())


def ensure_authority(layout: Layout) -> None:
    """Make the authority once; its bundle with the system's authorities each time, as those may change."""
    certificate_file, key_file = layout.ca_file, layout.state / "pki/ca.key"
    if not _is_pair(certificate_file, key_file):
        key = ec.generate_private_key(ec.SECP256R1())
        now = dt.datetime.now(dt.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(_name("Slipway sandbox CA"))
            .issuer_name(_name("Slipway sandbox CA"))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + VALID)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(
                x509.KeyUsage(False, False, False, False, False, True, True, False, False), critical=True
            )
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        write_file(key_file, _key_text(key), 0o600)
        write_file(certificate_file, certificate.public_bytes(serialization.Encoding.PEM).decode())
    given = os.environ.get("SSL_CERT_FILE", "")
    system = (
        Path(given) if given and Path(given) != layout.ca_bundle and Path(given).is_file() else SYSTEM_BUNDLE
    )
    authorities = system.read_text() if system.is_file() else ""
    write_file(layout.ca_bundle, authorities.rstrip("\n") + "\n" + certificate_file.read_text())


def ensure_server_certificate(
    layout: Layout,
    folder: Path,
    common_name: str,
    addresses: list[str],
    names: list[str],
    owner: tuple[int, int],
) -> None:
    """A server's certificate in `folder`, tls.crt and tls.key (0600, `owner`'s); kept while the CA is."""
    certificate_file, key_file = folder / "tls.crt", folder / "tls.key"
    authority = x509.load_pem_x509_certificate(layout.ca_file.read_bytes())
    if _is_pair(certificate_file, key_file):
        try:
            x509.load_pem_x509_certificate(certificate_file.read_bytes()).verify_directly_issued_by(authority)
            return
        except Exception as error:  # InvalidSignature, ValueError, TypeError: another CA's; made anew below
            del error
    authority_key = serialization.load_pem_private_key((layout.state / "pki/ca.key").read_bytes(), None)
    assert isinstance(authority_key, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    now = dt.datetime.now(dt.UTC)
    alternatives: list[x509.GeneralName] = [
        x509.IPAddress(ipaddress.ip_address(address)) for address in addresses
    ]
    alternatives += [x509.DNSName(name) for name in names]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(_name(common_name))
        .issuer_name(authority.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + VALID - dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False
        )
        .sign(authority_key, hashes.SHA256())
    )
    write_file(key_file, _key_text(key), 0o600, owner)
    write_file(certificate_file, certificate.public_bytes(serialization.Encoding.PEM).decode(), 0o644, owner)
