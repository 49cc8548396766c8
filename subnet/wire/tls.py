"""TLS without authorities: a miner publishes its key on the chain, and a validator pins it.

What is published (and stored by the chain beside the axon) is one algorithm byte and the bare
public key: 1 and the 32 bytes of an Ed25519 key, or 2 and the 64 bytes X, Y of a P-256 point. The
chain gives the byte no meaning; these are the values that others use. Names, dates and issuers of
certificates count for nothing here. `cryptography` is imported where it is used.
"""

from __future__ import annotations

import datetime
import functools
import os
import ssl
import tempfile
from pathlib import Path
from typing import Any, ClassVar, Final

ED25519: Final = 1
P256: Final = 2
KEY_LENGTHS: Final = {ED25519: 32, P256: 64}
NO_KEY: Final = b"\0"
"""Published to withdraw a key: the chain has no call that removes one."""


class KeyUnusable(ValueError):
    """A certificate or key that cannot be published, pinned or served; the text says why."""


class WrongKey(ssl.SSLCertVerificationError):
    """Whoever answered does not hold the key that the miner published."""


def server_context(certificate: Path, key: Path | None = None) -> tuple[ssl.SSLContext, bytes]:
    """What to serve with, and what to publish, of PEM files; `key` None: both are in one file.

    Raises KeyUnusable, also for a private key that others on this machine can read; OSError.
    """
    from cryptography import x509

    private = key or certificate
    if private.stat().st_mode & 0o077:
        raise KeyUnusable(f"{private} can be read by others; run: chmod 600 {private}")
    try:
        found = x509.load_pem_x509_certificates(certificate.read_bytes())[0]
    except ValueError as error:
        raise KeyUnusable(f"{certificate} holds no PEM certificate") from error
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    try:
        # An encrypted key fails, instead of asking a terminal for its password.
        context.load_cert_chain(certificate, key, password=lambda: "")
    except ssl.SSLError as error:
        raise KeyUnusable(
            f"{private} holds no unencrypted private key of the certificate in {certificate}"
        ) from error
    return context, _published(found)


def ensure_certificate(path: Path) -> None:
    """Make a key and a certificate for it at `path`, both in one file of mode 0600, if none is."""
    if path.exists():
        return
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "subnet miner")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.datetime(2020, 1, 1))
        .not_valid_after(datetime.datetime(9999, 12, 31, 23, 59, 59))
        .sign(key, None)
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    # mkstemp makes it 0600 from the start, and the rename makes it appear whole.
    handle, temporary = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(handle, "wb") as file:
        file.write(private + certificate.public_bytes(pem))
    os.replace(temporary, path)


@functools.lru_cache(maxsize=4096)
def pinned_context(published: bytes) -> ssl.SSLContext:
    """A client's context that talks only to the holder of the published key.

    The key is checked when the handshake ends, before a byte of a request is sent. Raises
    KeyUnusable for what is no key.
    """
    if KEY_LENGTHS.get(published[0] if published else 0) != len(published) - 1:
        raise KeyUnusable("the published key is none that can be pinned")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.sslobject_class = type("Pinned", (_Pinned,), {"published": published})
    return context


class _Pinned(ssl.SSLObject):
    """One connection's TLS: the handshake fails unless the peer proved the published key."""

    published: ClassVar[bytes]

    def do_handshake(self) -> None:
        """Raise as ssl does while more bytes are needed, and WrongKey at the end."""
        super().do_handshake()
        der = self.getpeercert(binary_form=True)
        if der is None or _published_of(der) != self.published:
            raise WrongKey(1, "the TLS key is not the one published on the chain")


def _published_of(der: bytes) -> bytes | None:
    from cryptography import x509

    try:
        return _published(x509.load_der_x509_certificate(der))
    except ValueError:
        return None


def _published(certificate: Any) -> bytes:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    try:
        key = certificate.public_key()
    except UnsupportedAlgorithm as error:
        raise KeyUnusable("the certificate's key is of an unknown kind") from error
    if isinstance(key, Ed25519PublicKey):
        return bytes([ED25519]) + key.public_bytes(Encoding.Raw, PublicFormat.Raw)
    if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
        point = key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        return bytes([P256]) + point[1:]
    raise KeyUnusable("the certificate's key is neither Ed25519 nor P-256: the chain has no room")
