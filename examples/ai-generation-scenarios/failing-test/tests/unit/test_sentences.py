"""What readers expect of a text."""

from ai_generation.generator import bundled_model


def test_text_always_ends_with_its_sentence() -> None:
    text = bundled_model().generate("", max_words=5, seed=1)
    assert text.endswith("."), f"the text breaks off in the middle of a sentence: {text!r}"
