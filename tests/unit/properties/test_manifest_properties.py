"""Whatever a registry sends is read whole or refused: no blob without a size."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ci_budget.core.layers.manifest import Manifest, parse_document
from ci_budget.errors import UnmeasuredError
from tests.unit.test_manifest import MANIFEST

KEYS = ["schemaVersion", "mediaType", "manifests", "layers", "config", "digest", "size", "platform"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
)


@given(JSON)
def test_whatever_a_registry_sends_is_read_or_refused(document: Any) -> None:
    for whole in (document, {**MANIFEST, "layers": document}, {**MANIFEST, "config": document}):
        try:
            found = parse_document(json.dumps(whole).encode())
        except UnmeasuredError:
            continue
        assert not isinstance(found, Manifest) or all(layer.size > 0 for layer in found.layers)
