"""Who may do what with an avatar: the licence fields of VRM 1.0 and 0.x, strict by default, and reading them from a
file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from .model import AvatarError

VRM1_LICENCE_URL = "https://vrm.dev/licenses/1.0/"
AVATAR_PERMISSION = ("onlyAuthor", "onlySeparatelyLicensedPerson", "everyone")
COMMERCIAL_USAGE = ("personalNonProfit", "personalProfit", "corporation")
CREDIT_NOTATION = ("required", "unnecessary")
MODIFICATION = ("prohibited", "allowModification", "allowModificationRedistribution")

_CONTROL = re.compile(r"[\x00-\x1f\x7f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


@dataclass(frozen=True)
class Licence:
    """What is written into an exported file. The defaults give away nothing."""

    name: str = "Chibi avatar"
    version: str = "1.0"
    authors: tuple[str, ...] = ("Anonymous",)
    contact: str = ""
    reference: str = ""
    copyright: str = ""
    avatar_permission: str = "onlyAuthor"
    commercial_usage: str = "personalNonProfit"
    credit_notation: str = "required"
    modification: str = "prohibited"
    allow_redistribution: bool = False
    allow_violence: bool = False
    allow_sexual: bool = False
    allow_politics_or_religion: bool = False
    allow_antisocial_or_hate: bool = False
    other_licence_url: str = ""
    third_party_licences: str = ""

    def __post_init__(self) -> None:
        for name, options in _OPTIONS.items():
            if getattr(self, name) not in options:
                raise AvatarError(
                    f"licence: {name} is one of {', '.join(options)}; got {str(getattr(self, name))[:40]!r}"
                )
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, str):
                object.__setattr__(self, item.name, _clean(value))
        object.__setattr__(self, "authors", tuple(filter(None, map(_clean, self.authors))) or ("Anonymous",))
        object.__setattr__(self, "name", self.name or "Chibi avatar")

    def to_vrm1(self) -> dict[str, Any]:
        """The ``meta`` object of VRMC_vrm 1.0 (without the thumbnail)."""
        meta: dict[str, Any] = {
            "name": self.name,
            "version": self.version,
            "authors": list(self.authors),
            "licenseUrl": VRM1_LICENCE_URL,
            "avatarPermission": self.avatar_permission,
            "commercialUsage": self.commercial_usage,
            "creditNotation": self.credit_notation,
            "modification": self.modification,
            "allowRedistribution": self.allow_redistribution,
            "allowExcessivelyViolentUsage": self.allow_violence,
            "allowExcessivelySexualUsage": self.allow_sexual,
            "allowPoliticalOrReligiousUsage": self.allow_politics_or_religion,
            "allowAntisocialOrHateUsage": self.allow_antisocial_or_hate,
        }
        optional = {
            "copyrightInformation": self.copyright,
            "contactInformation": self.contact,
            "thirdPartyLicenses": self.third_party_licences,
            "otherLicenseUrl": self.other_licence_url,
        }
        meta.update({key: value for key, value in optional.items() if value})
        if self.reference:
            meta["references"] = [self.reference]
        return meta

    def to_vrm0(self) -> dict[str, Any]:
        """The ``meta`` object of VRM 0.x (without the thumbnail). Where 0.x has fewer choices, the stricter one is
        written."""
        return {
            "title": self.name,
            "version": self.version,
            "author": ", ".join(self.authors),
            "contactInformation": self.contact,
            "reference": self.reference,
            "allowedUserName": {
                "onlyAuthor": "OnlyAuthor",
                "onlySeparatelyLicensedPerson": "ExplicitlyLicensedPerson",
                "everyone": "Everyone",
            }[self.avatar_permission],
            "violentUssageName": "Allow" if self.allow_violence else "Disallow",
            "sexualUssageName": "Allow" if self.allow_sexual else "Disallow",
            "commercialUssageName": "Allow" if self.commercial_usage == "corporation" else "Disallow",
            "otherPermissionUrl": "",
            "licenseName": "Other" if self.other_licence_url else "Redistribution_Prohibited",
            "otherLicenseUrl": self.other_licence_url,
        }


_OPTIONS = {
    "avatar_permission": AVATAR_PERMISSION,
    "commercial_usage": COMMERCIAL_USAGE,
    "credit_notation": CREDIT_NOTATION,
    "modification": MODIFICATION,
}


def _clean(text: str) -> str:
    return _CONTROL.sub(" ", text).strip()[:1000]


@dataclass(frozen=True)
class Terms:
    """What a user's own file says about itself: readable lines, and whether it forbids changing it."""

    lines: tuple[str, ...]
    forbids_modification: bool


_VRM0_FREE_TO_CHANGE = ("CC0", "CC_BY", "CC_BY_NC", "CC_BY_SA", "CC_BY_NC_SA", "Other")


def read_terms(document: Mapping[str, Any]) -> Terms:
    """The licence of a parsed glTF document: VRM 1.0, VRM 0.x, or the bare ``asset.copyright`` of a GLB.

    A VRM that gives no leave to change it forbids it, whatever it says instead: an unknown word, a list, nothing.
    """
    extensions = document.get("extensions")
    extensions = extensions if isinstance(extensions, Mapping) else {}
    for key, names, gate in (
        ("VRMC_vrm", _VRM1_LINES, lambda meta: meta.get("modification") not in MODIFICATION[1:]),
        ("VRM", _VRM0_LINES, lambda meta: meta.get("licenseName") not in _VRM0_FREE_TO_CHANGE),
    ):
        if key in extensions:
            extension = extensions[key]
            meta = extension.get("meta") if isinstance(extension, Mapping) else None
            meta = meta if isinstance(meta, Mapping) else {}
            lines = [
                f"{label}: {_shown(meta[name])}"
                for name, label in names.items()
                if meta.get(name) not in (None, "", [])
            ]
            return Terms(tuple(lines) or ("the file states no licence",), gate(meta))
    asset = document.get("asset")
    notice = asset.get("copyright") if isinstance(asset, Mapping) else None
    return Terms((f"copyright: {_shown(notice)}",) if notice else ("the file states no licence",), False)


def _shown(value: Any) -> str:
    if isinstance(value, list):
        value = ", ".join(str(item) for item in value[:10])
    return _clean(str(value))[:200]


_VRM1_LINES = {
    "name": "name",
    "authors": "authors",
    "copyrightInformation": "copyright",
    "licenseUrl": "licence",
    "otherLicenseUrl": "other licence",
    "avatarPermission": "who may use it",
    "commercialUsage": "commercial use",
    "modification": "modification",
    "allowRedistribution": "redistribution",
    "creditNotation": "credit",
}
_VRM0_LINES = {
    "title": "name",
    "author": "author",
    "licenseName": "licence",
    "otherLicenseUrl": "other licence",
    "allowedUserName": "who may use it",
    "commercialUssageName": "commercial use",
}
