"""Topology files that extend others: ``extends = "vmware-to-azure"`` names the parent by its file's name without ending.

====================  =============================================================================================
part of a child       effect
====================  =============================================================================================
table                 merged into the parent's, key by key, at every depth
scalar or list        replaces the parent's
``[[links]]``         laid over the parent's link with the same (from, to, port, carries), key by key; any other is added
``removed = true``    in a component: it is dropped, and so are the parent's links that it ends; in a link: it is dropped
====================  =============================================================================================

A parent is looked for beside the child first, then among the topologies that are shipped.
"""

from __future__ import annotations

import importlib.resources
import tomllib
from collections.abc import Mapping
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from .errors import TopologyError

__all__ = ["merged", "resolved"]

Table = Mapping[str, Any]


def _is_removed(value: Any) -> bool:
    return isinstance(value, dict) and value.get("removed") is True


def _link_key(link: Any) -> tuple[Any, ...]:
    return tuple(link.get(key) for key in ("from", "to", "port", "carries")) if isinstance(link, dict) else (id(link),)


def _tables(parent: Table, child: Table) -> dict[str, Any]:
    result = dict(parent)
    for key, value in child.items():
        inherited = result.get(key)
        result[key] = _tables(inherited, value) if isinstance(value, dict) and isinstance(inherited, dict) else value
    return result


def merged(parent: Table, child: Table) -> dict[str, Any]:
    """A child's tables laid over its parent's."""
    result = _tables(parent, child)
    components = result.get("components")
    gone: set[str] = set()
    if isinstance(components, dict):
        gone = {name for name, table in components.items() if _is_removed(table)}
        result["components"] = {name: table for name, table in components.items() if name not in gone}
    inherited, own = parent.get("links", []), child.get("links", [])
    if isinstance(inherited, list) and isinstance(own, list):
        links = {_link_key(x): x for x in inherited if not (isinstance(x, dict) and gone & {x.get("from"), x.get("to")})}
        for link in own:
            key = _link_key(link)
            links[key] = {**links[key], **link} if key in links else link
        result["links"] = [link for link in links.values() if not _is_removed(link)]
    result.pop("extends", None)
    return result


def _find(name: str, folder: Path | None) -> Path | Traversable | None:
    shipped: Traversable = importlib.resources.files("siteproof.specs") / "topologies"
    for place in (folder, shipped):
        if place is not None and (place / f"{name}.toml").is_file():
            return place / f"{name}.toml"
    return None


def resolved(raw: Table, where: str, folder: Path | None = None) -> dict[str, Any]:
    """A topology with everything that it inherits, as one table; ``where`` names its file in messages.

    Raises:
        TopologyError: the parent is not found, is not TOML, or is its own ancestor.
    """
    chain = [dict(raw)]
    seen = {raw.get("id")}
    while "extends" in chain[-1]:
        name = chain[-1]["extends"]
        if not isinstance(name, str) or not name or Path(name).name != name:
            raise TopologyError(f"{where}: key 'extends' is {name!r}; the name of a topology expected")
        if name in seen:
            raise TopologyError(f"{where}: key 'extends' leads back to '{name}'; a topology cannot be its own ancestor")
        seen.add(name)
        file = _find(name, folder)
        if file is None:
            raise TopologyError(f"{where}: key 'extends' names '{name}', but there is no {name}.toml beside it or shipped")
        try:
            chain.append(tomllib.loads(file.read_text(encoding="utf-8")))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise TopologyError(f"{where}: '{name}', which it extends, is not valid TOML: {error}") from error
    result = chain.pop()
    while chain:
        result = merged(result, chain.pop())
    return result
