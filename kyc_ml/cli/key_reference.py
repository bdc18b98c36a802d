"""Which keys each kind of configuration file takes: looked up, and as a page."""

from dataclasses import replace
from typing import Final

from kyc_ml import config
from kyc_ml.errors import ConfigError, hint

KINDS: Final = {
    "run": "Run configuration: `--config`, such as configs/fraud.yaml",
    "source": "Source mapping: `--source`, such as configs/sources/synthetic.yaml",
    "tiers": "Tier policy: `tiers:` of a run configuration, such as configs/tiers/risk.yaml",
    "rating": "Rating card: `rating:` of a run configuration, such as configs/rating/customer.yaml",
    "overrides": "Overrides entered for single customers: `--overrides`",
    "limits": "Limits of a night: `--limits`, such as configs/limits.yaml",
    "alerts": "Rules and routes of alerts: `--alerts`, such as configs/alerts.yaml",
    "playbooks": "Playbooks of incidents: `--playbooks`, such as configs/playbooks.yaml",
    "validation": "Validation policy: configs/validation.yaml",
}
_NEAR: Final[dict[str, type[config.Section]]] = {
    "run": config.RunConfig,
    "source": config.SourceMapping,
    "limits": config.LimitsConfig,
    "alerts": config.AlertsConfig,
}


def run_keys(name: str | None, *, kind: str) -> list[config.SectionKeys]:
    """Look up a section, such as ``tuning`` with all its keys, or a key, such as ``model.refit``.

    None gives the keys of the file itself.

    Raises ConfigError if the kind of file or the key is unknown; the nearest is suggested.
    """
    if kind not in KINDS:
        msg = f"--file must be one of {', '.join(KINDS)}, got {kind!r}{hint(kind, KINDS)}"
        raise ConfigError(msg)
    tables = _tables(kind)
    if name is None:
        return tables[:1]
    return [
        table
        for table in tables
        if any(path == name or path.startswith((f"{name}.", f"{name}[")) for path in table.paths)
    ] or _key_named(name, tables, kind=kind)


def run_key_page() -> str:
    """Write all keys of all kinds of files as Markdown."""
    # imported here: only the page needs what a template imports
    from kyc_ml.display import template_environment

    environment = template_environment().overlay(autoescape=False)
    chapters = {title: _tables(kind) for kind, title in KINDS.items()}
    page = environment.get_template("keys.md.j2")
    return page.render(chapters=chapters, say_places=say_places).removesuffix("\n")


def say_places(table: config.SectionKeys) -> str:
    """Name a section by its places, and by its method if others are allowed there."""
    places = ", ".join(path for path in table.paths if path) or "the file itself"
    return f"{places} with method {table.method}" if table.method else places


def _tables(kind: str) -> list[config.SectionKeys]:
    section = _section_of(kind)
    if kind == "tiers":  # it includes a rating card, which has its own chapter
        return config.list_keys(section, apart=[_section_of("rating")])
    return config.list_keys(section)


def _section_of(kind: str) -> type[config.Section]:
    if kind in _NEAR:
        return _NEAR[kind]
    match kind:  # only what is asked for: these are in packages that are slow to import
        case "rating":
            from kyc_ml.decision import Scorecard

            return Scorecard
        case "tiers":
            from kyc_ml.decision import TierPolicy

            return TierPolicy
        case "overrides":
            from kyc_ml.decision import OverrideBook

            return OverrideBook
        case "playbooks":
            from kyc_ml.monitoring import Playbooks

            return Playbooks
    from kyc_ml.validation import ValidationPolicy

    return ValidationPolicy


def _key_named(
    name: str, tables: list[config.SectionKeys], *, kind: str
) -> list[config.SectionKeys]:
    place, _, last = name.rpartition(".")
    found = [
        replace(table, keys=(key,))
        for table in tables
        if place in table.paths
        for key in table.keys
        if key.name == last
    ]
    if found:
        return found
    known = [path for table in tables for path in table.paths if path]
    known += [".".join(filter(None, (p, k.name))) for t in tables for p in t.paths for k in t.keys]
    other = "" if kind != "run" else "; other kinds of files: --file " + ", ".join(list(KINDS)[1:])
    msg = f"{name!r} is not a key of a {kind} file{_near(name, known)}; see kyc-ml config{other}"
    raise ConfigError(msg)


def _near(name: str, known: list[str]) -> str:
    """Suggest a whole path, or where a bare name belongs."""
    full = [each for each in known if each.rpartition(".")[2] == name]
    return f" (did you mean {' or '.join(map(repr, full[:3]))}?)" if full else hint(name, known)
