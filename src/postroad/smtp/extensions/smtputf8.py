"""SMTPUTF8 (RFC 6531): addresses and header fields in UTF-8."""

from postroad.errors import ParameterSyntaxError
from postroad.smtp.parameters import Extension, OnRefusal, Parameter
from postroad.smtp.states import Verb


def _parse(text: str | None) -> bool:
    if text is not None:
        raise ParameterSyntaxError("it takes no value")
    return True


def _encode(value: bool) -> None:
    return None


#: Never dropped by itself: whether the mail needs it is for the one who holds the content to say.
UTF8 = Parameter(
    keyword="SMTPUTF8", command=Verb.MAIL, parse=_parse, encode=_encode, on_refusal=OnRefusal.KEEP, octets=10
)

SMTPUTF8 = Extension(keyword="SMTPUTF8", rfc="RFC 6531", parameters=(UTF8,))
