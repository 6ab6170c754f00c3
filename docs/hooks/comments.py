"""Document the fields of a class by the comments behind them, as in `rate: int  # samples a second`."""

import io
import tokenize
from typing import Any

import griffe


class FieldComments(griffe.Extension):
    """List the annotated fields of a class among its attributes, each with its comment."""

    def on_class_members(self, *, cls: griffe.Class, **_: Any) -> None:
        """Add a section to the class's docstring: griffe calls this for each class, once it knows the members."""
        comments = {name: _comment(field.source) for name, field in cls.attributes.items() if _is_field(field)}
        lines = [f"    {name}: {comment}" for name, comment in comments.items() if comment]
        if cls.docstring is not None and lines and "Attributes:" not in cls.docstring.value:
            cls.docstring.value += "\n\nAttributes:\n" + "\n".join(lines)


def _is_field(attribute: griffe.Attribute) -> bool:
    return not (
        attribute.name.startswith("_")
        or attribute.annotation is None
        or "property" in attribute.labels
        or attribute.source.lstrip().startswith("self.")
    )


def _comment(source: str) -> str:
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    except (tokenize.TokenError, SyntaxError):
        return ""
    comments = [token.string.removeprefix("#").strip() for token in tokens if token.type == tokenize.COMMENT]
    text = comments[-1] if comments and not comments[-1].startswith("noqa") else ""
    return text[:1].upper() + text[1:] + ("" if not text or text.endswith(".") else ".")
