"""Who may reach a Dask cluster: whoever reaches its scheduler runs code as its owner."""

import argparse
import contextlib
import ipaddress
import os
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ...files import explain_errors

if TYPE_CHECKING:
    from distributed import Security

# Files of a folder of credentials, in PEM
CA = "ca.pem"  # the certificate that has signed the others
CERTIFICATE = "cert.pem"
KEY = "key.pem"  # secret: who reads it may use the cluster
FILES = (CA, CERTIFICATE, KEY)


def make_credentials(folder: str | Path) -> None:
    """Make credentials for a cluster of one's own: a key, and a certificate that it has signed.

    Scheduler, workers and client take the same files, which hold for a year. Nobody else may read
    them. They need the package ``cryptography``.

    Args:
        folder: which is made; all machines of the cluster must see it, or have a copy.

    Raises:
        FileExistsError: where the folder has credentials.
    """
    from distributed import Security

    folder = Path(folder).expanduser()
    made = Security.temporary()
    contents = {
        CA: made.tls_ca_file,
        CERTIFICATE: made.tls_scheduler_cert,
        KEY: made.tls_scheduler_key,
    }
    for name in FILES:
        if (folder / name).exists():
            raise FileExistsError(f"{folder / name} exists: take another folder, or remove it")
    with explain_errors(folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name, content in contents.items():
            handle = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w", encoding="ascii") as file:
                file.write(content)


def read_credentials(folder: str | Path) -> "Security":
    """Return what Dask takes as ``security``, of a folder with ca.pem, cert.pem and key.pem.

    Raises:
        ValueError: where one of these files is missing.
    """
    from distributed import Security

    folder = Path(folder).expanduser()
    check_credentials(folder)
    paths = {"tls_ca_file": str(folder / CA)}
    for role in ("client", "scheduler", "worker"):
        paths[f"tls_{role}_cert"] = str(folder / CERTIFICATE)
        paths[f"tls_{role}_key"] = str(folder / KEY)
    return Security(require_encryption=True, **paths)


def check_credentials(folder: Path) -> None:
    """Check that a folder has all files of credentials.

    Raises:
        ValueError: naming the first that is missing.
    """
    for name in FILES:
        if not (folder / name).is_file():
            raise ValueError(
                f"{folder}: it has no {name}; allowed are folders with {', '.join(FILES)}"
            )


def scheduler_address(text: str) -> str:
    """Return the address of a scheduler, for argparse: of this machine, or one that has TLS."""
    address = text if "://" in text else f"tcp://{text}"
    parts = urlsplit(address)
    port = None
    with contextlib.suppress(ValueError):  # of a number that is no port
        port = parts.port
    if parts.scheme not in ("tcp", "tls") or not parts.hostname or port is None:
        raise argparse.ArgumentTypeError(
            f"{text!r}: allowed are addresses such as tcp://127.0.0.1:8786"
        )
    if parts.scheme == "tcp" and not _is_this_machine(parts.hostname):
        raise argparse.ArgumentTypeError(
            f"{text!r}: whoever reaches this port runs code as you. Allowed are tcp:// on this "
            "machine, such as tcp://127.0.0.1:8786, and tls:// with --tls"
        )
    return address


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name
        return host == "localhost"
