"""The local model."""

import pytest

from ai_generation.generator import MarkovModel, bundled_model

PROMPTS = ["", "The harbour master", "nothing the corpus knows", "well."]


@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize("max_words", [1, 2, 3, 40, 200])
def test_text_has_at_least_one_and_at_most_max_words(prompt: str, max_words: int) -> None:
    for seed in range(50):
        words = len(bundled_model().generate(prompt, max_words=max_words, seed=seed).split())
        assert 1 <= words <= max_words


def test_same_seed_gives_the_same_text() -> None:
    first, second = (bundled_model().generate("The lamp", max_words=60, seed=11) for _ in range(2))
    assert first == second


def test_other_seeds_give_other_texts() -> None:
    texts = {bundled_model().generate("The lamp", max_words=60, seed=seed) for seed in range(20)}
    assert len(texts) > 10


def test_prompt_is_continued_with_words_that_follow_it_in_the_corpus() -> None:
    model = MarkovModel.train("one two three. one two four. five six seven.")
    assert {model.generate("say one two", max_words=1, seed=seed) for seed in range(50)} == {
        "three.",
        "four.",
    }


def test_unknown_prompt_starts_a_sentence() -> None:
    model = MarkovModel.train("one two three. four five six. seven eight")
    openings = {model.generate("unheard of", max_words=2, seed=seed) for seed in range(50)}
    assert openings == {"one two", "four five"}


def test_every_word_comes_from_the_corpus() -> None:
    known = {word for words in bundled_model().followers.values() for word in words}
    known |= {word for state in bundled_model().openings for word in state}
    assert set(bundled_model().generate("", max_words=200, seed=3).split()) <= known


def test_text_ends_at_a_sentence_where_one_ends_in_its_last_quarter() -> None:
    whole = [bundled_model().generate("", max_words=80, seed=seed).endswith(".") for seed in range(100)]
    assert sum(whole) > 70


def test_model_name_changes_with_the_corpus() -> None:
    assert MarkovModel.train("a b c d").name != MarkovModel.train("a b c e").name


def test_corpus_without_enough_words_is_refused() -> None:
    with pytest.raises(ValueError, match="2 words"):
        MarkovModel.train("two words")


def test_no_words_cannot_be_asked_for() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        bundled_model().generate("", max_words=0, seed=1)
