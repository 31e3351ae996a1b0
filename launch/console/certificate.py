"""A certificate for the console, signed by itself: an operator's own machines need nobody else to vouch."""

import datetime
import ipaddress
import os
import socket
import ssl
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from handrail.launch.console.access import LOOPBACK
from handrail.robot_env.errors import ConfigError

CERTIFICATE, KEY = "cert.pem", "key.pem"
DAYS = 825  # browsers refuse longer ones


def make(folder: Path, names: Sequence[str]) -> str:
    """Write `cert.pem` and `key.pem` (0600) into a folder, for these names and those of loopback.

    Returns:
        The certificate's SHA-256 fingerprint, as browsers show it.

    Raises:
        ConfigError: the folder has one already, or cannot be written, or a name is none.
    """
    names = tuple(dict.fromkeys((*(names or (socket.gethostname(),)), *LOOPBACK)))
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _signed(key, names)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder / KEY, _private(key), 0o600)
        try:
            _write(folder / CERTIFICATE, certificate.public_bytes(serialization.Encoding.PEM), 0o644)
        except OSError:
            (folder / KEY).unlink()  # the one beside it is of another key
            raise
    except FileExistsError as error:
        raise ConfigError(
            f"{error.filename} is there already; choose another folder=, or remove it"
        ) from error
    except OSError as error:
        raise ConfigError(f"folder={folder} cannot be written: {error}; choose another") from error
    return certificate.fingerprint(hashes.SHA256()).hex(":").upper()


def context(folder: Path) -> ssl.SSLContext:
    """What a server needs, from a folder that has both files.

    Raises:
        ConfigError: see `find`; or they cannot be read, or do not belong together.
    """
    find(folder)
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        made.load_cert_chain(folder / CERTIFICATE, folder / KEY)
    except OSError as error:  # of ssl too
        raise ConfigError(
            f"tls={folder}: {CERTIFICATE} and {KEY} cannot be used ({error}); "
            "`handrail console cert folder=…` makes a pair in another folder"
        ) from error
    return made


def names_of(folder: Path) -> tuple[str, ...]:
    """The names that the folder's certificate is for, without those of loopback.

    Raises:
        ConfigError: see `context`.
    """
    context(folder)
    found = x509.load_pem_x509_certificate((folder / CERTIFICATE).read_bytes())
    try:
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    kinds = (names.get_values_for_type(x509.DNSName), names.get_values_for_type(x509.IPAddress))
    return tuple(name for kind in kinds for name in map(str, kind) if name not in LOOPBACK)


def _signed(key: ec.EllipticCurvePrivateKey, names: Sequence[str]) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Handrail console")])
    now = datetime.datetime.now(datetime.UTC)
    try:
        alternatives = x509.SubjectAlternativeName([_name(each) for each in names])
    except ValueError as error:
        raise ConfigError(f"names={','.join(names)}: {error}; give host names or addresses") from error
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))  # a robot's clock may be a little behind
        .not_valid_after(now + datetime.timedelta(days=DAYS))
        .add_extension(alternatives, critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )


def _name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(path: Path, content: bytes, mode: int) -> None:
    """Write a new file; nothing is ever replaced, and nobody reads it before its mode is set."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


def find(folder: Path) -> Path:
    """A folder that has both files.

    Raises:
        ConfigError: it has not, or somebody else may read the key.
    """
    for name in (CERTIFICATE, KEY):
        if not (folder / name).is_file():
            raise ConfigError(
                f"tls={folder}: {name} is missing; `handrail console cert folder={folder}` makes one"
            )
    if (folder / KEY).stat().st_mode & 0o077:
        raise ConfigError(f"{folder / KEY} can be read by others; chmod 600 it")
    return folder
