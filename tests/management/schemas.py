"""Values made from the JSON schemas of an OpenAPI document, most of them right and some of them wrong."""

from hypothesis import strategies as st

ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=())),  # half a surrogate pair is a character, too
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)


def values(schema, doc, known):
    """Values of a schema; `known(schema)` may offer others that fit as well, such as ids that exist."""
    return st.one_of(*[_fitting(schema, doc, known)] * 9, ANYTHING)


def _fitting(schema, doc, known):
    if "$ref" in schema:
        return values(doc["components"]["schemas"][schema["$ref"].rpartition("/")[2]], doc, known)
    if "anyOf" in schema:
        return st.one_of(*(values(one, doc, known) for one in schema["anyOf"]))
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    return KINDS[schema["type"]](schema, doc, known) if "type" in schema else ANYTHING


def _string(schema, doc, known):
    made = st.text(max_size=schema.get("maxLength", 20), min_size=schema.get("minLength", 0))
    if "pattern" in schema:
        made = st.from_regex(schema["pattern"], fullmatch=True).filter(lambda text: len(text) < 300)
    return known | made


def _number(schema, doc, known):
    least, most = schema.get("minimum"), schema.get("maximum")
    if schema["type"] == "integer":
        return st.integers(least, most)
    return st.floats(least, most, allow_nan=False, allow_infinity=False)


def _object(schema, doc, known):
    offered = {name: values(one, doc, known) for name, one in schema.get("properties", {}).items()}
    needed = {name: offered.pop(name) for name in schema.get("required", []) if name in offered}
    return st.fixed_dictionaries(needed, optional=offered)


def _array(schema, doc, known):
    return st.lists(values(schema.get("items", {}), doc, known), max_size=min(3, schema.get("maxItems", 3)))


KINDS = {
    "string": _string,
    "integer": _number,
    "number": _number,
    "boolean": lambda *_: st.booleans(),
    "null": lambda *_: st.none(),
    "object": _object,
    "array": _array,
}
