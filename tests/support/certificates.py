"""Certificates for tests with TLS: an authority made on the spot by `openssl`, and what it signs.

``Authority(folder).issue("server")`` gives the paths of a certificate and its key, good for 127.0.0.1 and localhost.
"""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.support.servers import require

HERE: Final = ("DNS:localhost", "IP:127.0.0.1")
NOW: Final = ("20200101000000Z", "20491231000000Z")
PAST: Final = ("20200101000000Z", "20210101000000Z")
_KEY: Final = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
_CONFIG: Final = """
[ca]
default_ca = it
[it]
dir = {folder}
database = {folder}/index.txt
new_certs_dir = {folder}
rand_serial = yes
unique_subject = no
default_md = sha256
policy = any
copy_extensions = copy
[any]
commonName = supplied
"""


@dataclass(frozen=True, slots=True)
class Certificate:
    """The files of one certificate, in PEM."""

    certificate: Path
    key: Path


class Authority:
    """One that signs certificates. ``ca``: its own certificate, which clients are to trust."""

    def __init__(self, folder: Path, name: str = "beatd tests") -> None:
        self._folder = folder
        folder.mkdir(parents=True)
        (folder / "index.txt").touch()
        (folder / "openssl.cnf").write_text(_CONFIG.format(folder=folder))
        self.ca, self._key = folder / "ca.pem", folder / "ca.key"
        constraints = ("-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign")
        made = ("-keyout", str(self._key), "-out", str(self.ca), "-days", "3650", "-subj", f"/CN={name}")
        _openssl("req", "-x509", *_KEY, *made, *constraints)

    def issue(
        self, name: str, *, names: tuple[str, ...] = HERE, valid: tuple[str, str] = NOW, password: str = ""
    ) -> Certificate:
        """A certificate for hosts (`DNS:...`, `IP:...`), of a server or a client; with a password the key has it."""
        made = Certificate(self._folder / f"{name}.pem", self._folder / f"{name}.key")
        request = self._folder / f"{name}.csr"
        wanted = ("-subj", f"/CN={name}", "-addext", f"subjectAltName={','.join(names)}")
        _openssl("req", *_KEY, "-keyout", str(made.key), "-out", str(request), *wanted)
        signed_by = ("-config", str(self._folder / "openssl.cnf"), "-cert", str(self.ca), "-keyfile", str(self._key))
        times = ("-startdate", valid[0], "-enddate", valid[1])
        _openssl("ca", "-batch", "-notext", *signed_by, *times, "-in", str(request), "-out", str(made.certificate))
        if password:
            encrypted = ("-aes256", "-passout", f"pass:{password}", "-in", str(made.key), "-out", f"{made.key}.enc")
            _openssl("pkey", *encrypted)
            Path(f"{made.key}.enc").replace(made.key)
        return made


def _openssl(*words: str) -> None:
    program = require(shutil.which("openssl"), "openssl")
    done = subprocess.run([program, *words], capture_output=True, text=True, timeout=30, check=False)
    if done.returncode:
        raise RuntimeError(f"openssl {words[0]} ended with {done.returncode}:\n{done.stderr}")
