"""Names of changes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from entrasync.engine.changes import Action, canonical_line, canonical_text
from entrasync.entra.contracts import LinkChange, PropertyValue
from entrasync.state.rows import encode_properties, to_json, to_storable

VALUES: st.SearchStrategy[PropertyValue] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.text(),
    st.binary(),
    st.lists(st.text()).map(tuple),
    st.lists(st.binary()).map(tuple),
)


@given(
    properties=st.dictionaries(st.text(), VALUES),
    links=st.lists(st.builds(LinkChange, st.text(), st.booleans()), max_size=3),
)
def test_a_change_has_the_same_name_whether_its_properties_were_read_or_not(
    properties: dict[str, PropertyValue], links: list[LinkChange]
) -> None:
    stored = {key: to_storable(value) for key, value in properties.items()}
    text = encode_properties(properties)
    pairs = to_json(sorted((link.anchor, link.add) for link in links))

    assert canonical_text(Action.ADD, "User", "a", text, pairs) == canonical_line(
        Action.ADD, "User", "a", stored, links
    )
