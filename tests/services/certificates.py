"""Certificates for a server, a client and a stranger, created for each server."""

import datetime
import ipaddress
import ssl
from pathlib import Path

import attrs
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from services import ports

_DAY = datetime.timedelta(days=1)


@attrs.frozen(kw_only=True)
class Certificates:
    """PEM files. The server's is for 127.0.0.1 and localhost; keys lie beside, mode 600."""

    ca: Path
    client: Path
    client_key: Path
    stranger: Path
    """A client's certificate of another authority, which the server does not trust."""
    stranger_key: Path
    other_ca: Path
    """The other authority: a client that trusts only this one must refuse the server."""

    def context(self) -> ssl.SSLContext:
        """Return the TLS context of a client."""
        context = ssl.create_default_context(cafile=str(self.ca))
        context.load_cert_chain(self.client, self.client_key)
        return context


@attrs.frozen
class Authority:
    """A certificate authority with a self-signed certificate."""

    name: str
    folder: Path
    lax: bool = False
    """Without key identifiers and critical extensions, which newer Pythons require."""
    key: ec.EllipticCurvePrivateKey = attrs.field(
        factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )

    def certify(self, name: str, kind: x509.ObjectIdentifier | None = None) -> tuple[Path, Path]:
        """Write `name.pem` and `name.key`; without a `kind`, the authority's own."""
        ours = kind is None
        key = self.key if ours else ec.generate_private_key(ec.SECP256R1())
        builder = _builder(_named(name), _named(self.name), key.public_key())
        more = [] if self.lax else _identifiers(key.public_key(), self.key.public_key())
        for extension, critical in more + (_authority() if ours else _leaf(kind)):
            builder = builder.add_extension(extension, critical=critical and not self.lax)
        pem, private = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        certificate = builder.sign(self.key, hashes.SHA256())
        pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        private.touch(mode=0o600)
        private.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return pem, private


def certificates(folder: Path, *, lax: bool = False) -> Certificates:
    """Create all of them in `folder`: `ca.pem`, `server.pem`, `server.key`, `client.pem`, ..."""
    ours, other = Authority("ca", folder, lax), Authority("other-ca", folder)
    ca, _ = ours.certify("ca")
    other_ca, _ = other.certify("other-ca")
    ours.certify("server", ExtendedKeyUsageOID.SERVER_AUTH)
    client, client_key = ours.certify("client", ExtendedKeyUsageOID.CLIENT_AUTH)
    stranger, stranger_key = other.certify("stranger", ExtendedKeyUsageOID.CLIENT_AUTH)
    return Certificates(
        ca=ca,
        client=client,
        client_key=client_key,
        stranger=stranger,
        stranger_key=stranger_key,
        other_ca=other_ca,
    )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _DAY)
        .not_valid_after(now + _DAY)
    )


def _identifiers(
    key: ec.EllipticCurvePublicKey, issuer_key: ec.EllipticCurvePublicKey
) -> list[tuple[x509.ExtensionType, bool]]:
    """Return the key identifiers that newer Pythons require."""
    return [
        (x509.SubjectKeyIdentifier.from_public_key(key), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), False),
    ]


def _authority() -> list[tuple[x509.ExtensionType, bool]]:
    usage = dict.fromkeys(
        (
            "digital_signature",
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    return [
        (x509.BasicConstraints(ca=True, path_length=0), True),
        (x509.KeyUsage(key_cert_sign=True, crl_sign=True, **usage), True),
    ]


def _leaf(kind: x509.ObjectIdentifier) -> list[tuple[x509.ExtensionType, bool]]:
    address = x509.IPAddress(ipaddress.ip_address(ports.LOOPBACK))
    return [
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (x509.ExtendedKeyUsage([kind]), False),
        (x509.SubjectAlternativeName([address, x509.DNSName("localhost")]), False),
    ]
