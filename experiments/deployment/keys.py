"""Temporary certificates and keys of a federation on this machine."""

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

LIFETIME = timedelta(days=30)
_OTHER_USES = (
    "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
    "encipher_only", "decipher_only",
)  # fmt: skip


def make_certificates(folder: Path) -> None:
    """Write ``ca.pem``, and ``server.pem`` with ``server.key``, valid only for this machine."""
    folder.mkdir(parents=True, exist_ok=True)
    ca_key, server_key = _new_key(), _new_key()
    authority = _certificate("flwr_gan test authority", ca_key, ca_key, None)
    server = _certificate("localhost", server_key, ca_key, authority)
    (folder / "ca.pem").write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    (folder / "server.pem").write_bytes(server.public_bytes(serialization.Encoding.PEM))
    _write_private(server_key, folder / "server.key", serialization.PrivateFormat.PKCS8)


def make_node_key(folder: Path, name: str) -> Path:
    """Write the private key of a node as ``NAME.key``; return its path.

    The public key is ``NAME.key.pub``, in OpenSSH format. It is an ECDSA key on P-384.
    """
    folder.mkdir(parents=True, exist_ok=True)
    key, path = _new_key(), folder / f"{name}.key"
    _write_private(key, path, serialization.PrivateFormat.OpenSSH)
    public = key.public_key().public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )
    Path(f"{path}.pub").write_bytes(public + b"\n")
    return path


def _new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP384R1())


def _write_private(
    key: ec.EllipticCurvePrivateKey, path: Path, form: serialization.PrivateFormat
) -> None:
    path.touch(mode=0o600)
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    )


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    signer: ec.EllipticCurvePrivateKey,
    authority: x509.Certificate | None,
) -> x509.Certificate:
    """Return a certificate of a key, signed by an authority or self-signed."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    places = [
        x509.DNSName("localhost"),
        x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
    ]
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    signed_by = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    signs = authority is None
    uses = x509.KeyUsage(
        digital_signature=not signs,
        key_cert_sign=signs,
        crl_sign=signs,
        **dict.fromkeys(_OTHER_USES, False),
    )
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if authority is None else authority.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.BasicConstraints(ca=signs, path_length=None), critical=True)
        .add_extension(uses, critical=True)
        .add_extension(x509.SubjectAlternativeName(places), critical=False)
        .add_extension(identifier, critical=False)
        .add_extension(signed_by, critical=False)
        .sign(signer, hashes.SHA256())
    )
