"""Read the features of a family from its table: the YAML file of its name in this folder.

A table holds `features`: each has a name (`feature`), defines how it is computed (`how`, a
sentence of `kyc_ml.features.kinds`), and has a unit, a description in both languages
(`en`, `zh`), a `source` and a `typology`. What several features share is written once: in
the group that lists them under `features`, or at the top of the file. Features that say one thing
in several ways, or move together, have one `group`, and are one reason; `groups.yaml` names it.

``for`` repeats a feature or a group for each of some words, the first one slowest. ``<p>``
stands for the word in a name or sentence, and for what the word means in a description:
7d is "the last 7 days". `words` at the top of a file define other words:
``[English, Chinese]``, or keys of which ``<p.key>`` is replaced.

``columns`` are row columns, computed before features read them; those at the top of a
file may be named in every file. What a configuration gives can be named everywhere: its
amounts, and in ``for`` its country lists and third-party items.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from itertools import product
from pathlib import Path
from typing import Any, Final, Literal

from kyc_ml.config import WINDOW, AmountsOfInterest, CountryList, read_packaged
from kyc_ml.errors import ConfigError, Faults, hint
from kyc_ml.features.how import Names, read_sentence
from kyc_ml.features.kinds import COLUMN_KINDS, KINDS
from kyc_ml.features.periods import period_of
from kyc_ml.features.spec import Direction, FeatureSpec
from kyc_ml.features.values import Listing

_GROUP: Final = frozenset({"for", "words", "columns", "features"})
_FEATURE: Final = frozenset(
    {
        "feature",
        "how",
        "unit",
        "en",
        "zh",
        "source",
        "typology",
        "monotone",
        "observation_units",
        "intermediate",
        "group",
    }
)
_REQUIRED: Final = frozenset({"how", "unit", "en", "zh", "source"})
_DIRECTIONS: Final[dict[str, Direction]] = {"-1": -1, "0": 0, "1": 1}
_Meanings = Mapping[str, list[tuple[str, Any]]]
"""Words that ``for`` may choose, by the name of their placeholder, and what each means."""
_PLACE: Final = re.compile(r"<([a-z_.]+)>")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Word:
    """Replacements of a placeholder: in a name, in a sentence, and in each language."""

    name: str
    how: str
    en: str
    zh: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scope:
    """Words, columns and fields that apply where a feature is declared."""

    family: str
    words: Mapping[str, _Word]
    names: Names
    given: Mapping[str, Any]
    """Fields that the groups around it set."""


@lru_cache(maxsize=8)  # a run declares its features several times
def read_families(
    families: tuple[str, ...],
    amounts: AmountsOfInterest,
    country_lists: tuple[CountryList, ...] = (),
    third_party_items: tuple[str, ...] = (),
) -> tuple[FeatureSpec, ...]:
    """Declare the features of families, in the order of their tables.

    Raises ConfigError if tables are wrong; the message lists the first fault of every entry, with
    the family and the feature.
    """
    words = dict(_amounts(amounts))
    items = [(item, item.replace("_", " ")) for item in third_party_items]
    brought: _Meanings = {
        "country_lists": [(each.name, [each.english, each.chinese]) for each in country_lists],
        "third_party_items": [(item, [said, said]) for item, said in items],
    }
    tables = {family: _table(family) for family in families}
    names = Names(
        columns={
            name: _fill(sentence, words, "how")
            for table in tables.values()
            for name, sentence in table.get("columns", {}).items()
        },
        listings={each.name: _listing(each) for each in country_lists},
        kinds=COLUMN_KINDS,
    )
    declared: list[FeatureSpec] = []
    faults = Faults("feature tables", ConfigError)
    for family, table in tables.items():
        scope = _Scope(family=family, words=words, names=names, given=_given(table))
        own = {place: [*known.items()] for place, known in table.get("words", {}).items()}
        _check_keys(table, named=f"{family}.yaml")
        for entry in table["features"]:
            try:
                declared.extend(_expand(entry, scope, {**brought, **own}))
            except (KeyError, ValueError) as error:
                faults.add(f"{family}.yaml: {error}")
    faults.raise_if_any()
    return tuple(declared)


@cache
def _table(family: str) -> dict[str, Any]:
    return read_packaged(Path(__file__).with_name(f"{family}.yaml"))


def _amounts(amounts: AmountsOfInterest) -> Iterator[tuple[str, _Word]]:
    """List the amounts that a configuration names, and two made of them."""
    given = {
        **amounts.model_dump(),
        "near_cash": amounts.near_share * amounts.cash_report,
        # `between` leaves its upper bound out, and a probe may be as large as the bound
        "above_probe": math.nextafter(amounts.probe, math.inf),
    }
    for name, amount in given.items():
        said = f"{amount:,.15g}"
        yield name, _Word(name=said, how=repr(amount), en=said, zh=said)


def _listing(countries: CountryList) -> Listing:
    return tuple(
        (stay.country, stay.since.isoformat(), stay.until.isoformat() if stay.until else None)
        for stay in countries.entries
    )


def _expand(entry: Mapping[str, Any], scope: _Scope, meanings: _Meanings) -> Iterator[FeatureSpec]:
    """Declare the features of an entry: of one feature or group, for each of its words."""
    _check_keys(entry, named=entry.get("feature", "a group"))
    for words in _grid(entry.get("for", {}), meanings):
        inner = replace(
            scope, words={**scope.words, **words}, given={**scope.given, **_given(entry)}
        )
        if own := entry.get("columns"):
            columns = {
                _fill(name, inner.words, "name"): _fill(sentence, inner.words, "how")
                for name, sentence in own.items()
            }
            names = replace(scope.names, columns={**scope.names.columns, **columns})
            inner = replace(inner, names=names)
        for each in entry.get("features", ()):
            yield from _expand(each, inner, meanings)
        if "feature" in entry:
            yield _declare(inner)


def _check_keys(entry: Mapping[str, Any], *, named: str) -> None:
    unknown = sorted(set(entry) - _FEATURE - _GROUP)
    if unknown:
        near = hint(unknown[0], _FEATURE | _GROUP)
        raise ConfigError(f"{named}: unknown key {', '.join(unknown)}{near}")


def _given(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of features that an entry sets, for itself or for those it holds."""
    return {key: value for key, value in entry.items() if key in _FEATURE}


def _grid(loops: Mapping[str, Any], meanings: _Meanings) -> Iterator[dict[str, _Word]]:
    """List the combinations of the words that an entry is repeated for."""
    choices = []
    for place, chosen in loops.items():
        if isinstance(chosen, str):  # all words of that name; a configuration may give none
            if chosen not in meanings:
                raise ConfigError(f"for {place}: {chosen!r} names no words{hint(chosen, meanings)}")
            pairs = meanings[chosen]
        else:
            known = dict(meanings.get(place, ()))
            pairs = [(str(key), known.get(key)) for key in chosen]
        choices.append([dict(_meanings(place, key, meaning)) for key, meaning in pairs])
    for combined in product(*choices):
        yield {place: word for words in combined for place, word in words.items()}


def _meanings(place: str, key: str, meaning: Any) -> Iterator[tuple[str, _Word]]:  # noqa: ANN401
    """List what ``<place>`` and each ``<place.key>`` stand for when a word is chosen."""
    # a third-party item may be any text: quoted, it cannot break the sentence that names it
    how = key if re.fullmatch(r"\w+", key) else json.dumps(key, ensure_ascii=False)
    own = meaning if isinstance(meaning, dict) else {}
    words = [own["en"], own["zh"]] if "en" in own else meaning if isinstance(meaning, list) else key
    yield place, _word(key, words, how=how)
    for name, each in own.items():
        said = each[0] if isinstance(each, list) else str(each)
        yield f"{place}.{name}", _word(said, each if isinstance(each, list) else said, how=said)


def _word(key: str, words: list[str] | str, *, how: str) -> _Word:
    if isinstance(words, list):
        english, chinese = words
    elif WINDOW.fullmatch(words):
        english, chinese = period_of(words).english, period_of(words).chinese
    else:
        english = chinese = words
    return _Word(name=key, how=how, en=english, zh=chinese)


def _declare(scope: _Scope) -> FeatureSpec:
    given, words = scope.given, scope.words
    name = _fill(given["feature"], words, "name")
    missing = sorted(_REQUIRED - set(given))
    if missing:
        raise ConfigError(f"{name}: {', '.join(missing)} missing")
    try:
        how = read_sentence(_fill(given["how"], words, "how"), scope.names, KINDS)
        return FeatureSpec(
            name=name,
            family=scope.family,
            how=how,
            unit=_fill(given["unit"], words, "name"),
            description=_fill(given["en"], words, "en"),
            description_zh=_fill(given["zh"], words, "zh"),
            source=given["source"],
            typology=_fill(given.get("typology") or "", words, "name") or None,
            monotone=_DIRECTIONS[_fill(str(given.get("monotone", 0)), words, "name")],
            observation_units=tuple(
                _fill(given.get("observation_units", "fraud, risk"), words, "name").split(", ")
            ),
            intermediate=given.get("intermediate", False),
            kind="category" if how.is_text() else "number",
            group=_fill(given.get("group") or "", words, "name") or None,
        )
    except (KeyError, ValueError) as error:
        raise ConfigError(f"{name}: {error}") from error


def _fill(text: str, words: Mapping[str, _Word], side: Literal["name", "how", "en", "zh"]) -> str:
    """Replace the placeholders of a text."""

    def word(found: re.Match[str]) -> str:
        if found[1] not in words:
            msg = f"<{found[1]}> in {text!r} is not a known placeholder{hint(found[1], words)}"
            raise ConfigError(msg)
        return str(getattr(words[found[1]], side))

    return _PLACE.sub(word, text)
