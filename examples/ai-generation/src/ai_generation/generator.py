"""The local model: a Markov chain over the words of a small bundled corpus."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

ORDER = 2
State = tuple[str, ...]


@dataclass(frozen=True)
class MarkovModel:
    """What follows what in a corpus. The same model, prompt and seed always give the same text.

    :param name: the chain's order and the corpus' fingerprint; stored with each generation.
    :param followers: the words seen after each state, repeated as often as they were seen.
    :param openings: the states that begin a sentence.
    """

    name: str
    followers: Mapping[State, Sequence[str]]
    openings: Sequence[State]

    @classmethod
    def train(cls, corpus: str, order: int = ORDER) -> "MarkovModel":
        """Read a corpus into a chain of `order` words of context; ValueError if it is too short."""
        words = corpus.split()
        if len(words) <= order:
            raise ValueError(f"the corpus has {len(words)} words; order {order} needs more than that many")
        followers: dict[State, list[str]] = {}
        openings = [tuple(words[:order])]
        for at in range(len(words) - order):
            state = tuple(words[at : at + order])
            followers.setdefault(state, []).append(words[at + order])
            if at and words[at - 1].endswith("."):
                openings.append(state)
        return cls(f"markov-{order}-{hashlib.sha256(corpus.encode()).hexdigest()[:12]}", followers, openings)

    def generate(self, prompt: str, *, max_words: int, seed: int) -> str:
        """Continue `prompt` by 1 to `max_words` words.

        It starts after the prompt's last words where the corpus knows them, else with a sentence's opening,
        and ends with the first sentence that ends in its last quarter, so that it rarely breaks off.
        """
        if max_words < 1:
            raise ValueError(f"max_words is {max_words}; at least 1 word must be asked for")
        order = len(self.openings[0])
        state = tuple(prompt.split()[-order:])
        text: list[str] = []
        for step in range(max_words):
            if state not in self.followers:
                state = self.openings[_draw(seed, step, len(self.openings))]
                text.extend(state[: max_words - len(text)])
            else:
                choices = self.followers[state]
                text.append(choices[_draw(seed, step, len(choices))])
                state = (*state[1:], text[-1])
            if len(text) >= max_words or (len(text) > max_words * 3 // 4 and text[-1].endswith(".")):
                break
        return " ".join(text)


def _draw(seed: int, step: int, choices: int) -> int:
    """An index below `choices`: from a hash, to be the same on every Python version."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{step}".encode()).digest()[:8], "big") % choices


@cache
def bundled_model() -> MarkovModel:
    """The model of the corpus that ships with the service."""
    return MarkovModel.train(resources.files(__package__).joinpath("corpus.txt").read_text(encoding="utf-8"))
