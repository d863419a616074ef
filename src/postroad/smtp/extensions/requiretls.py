"""REQUIRETLS (RFC 8689): every hop must be protected; offered only inside TLS, never dropped."""

from postroad.errors import ParameterSyntaxError
from postroad.smtp.parameters import Extension, OnRefusal, Parameter, Traits
from postroad.smtp.states import Verb


def _parse(text: str | None) -> bool:
    if text is not None:
        raise ParameterSyntaxError("it takes no value")
    return True


def _encode(value: bool) -> None:
    return None


def _announce(traits: Traits) -> str | None:
    return "REQUIRETLS" if traits.tls else None


TLS_REQUIRED = Parameter(
    keyword="REQUIRETLS", command=Verb.MAIL, parse=_parse, encode=_encode, on_refusal=OnRefusal.KEEP, octets=11
)

REQUIRETLS = Extension(keyword="REQUIRETLS", rfc="RFC 8689", parameters=(TLS_REQUIRED,), announce=_announce)
