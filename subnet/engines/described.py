"""What every engine knows of its model once it is open, and what follows from that alone."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from subnet.engines.sampling import check_request


class Described(ABC):
    """A model's hash, its bounds, its end token and its chat format."""

    def __init__(
        self,
        model_sha256: str,
        *,
        vocabulary: int = 0,
        context: int = 0,
        end_token: int = -1,
        turn: tuple[list[int], list[int]] = ([], []),
    ) -> None:
        self._model_sha256 = model_sha256
        self._vocabulary = vocabulary
        self._context = context
        self._end_token = end_token
        self._before_prompt, self._after_prompt = turn

    @property
    def model_sha256(self) -> str:
        """Hash of the model that is really open."""
        return self._model_sha256

    @property
    def context(self) -> int:
        """Tokens that prompt and answer may have together."""
        return self._context

    @property
    def end_token(self) -> int:
        """Id of the token that ends an answer."""
        return self._end_token

    @abstractmethod
    async def tokenize(self, text: str) -> list[int]:
        """Return the token ids of plain `text`; control tokens spelled in it stay text."""

    async def chat(self, prompt: str) -> list[int]:
        """Return `prompt` as one turn of a user in the model's chat format, ready for an answer."""
        return [*self._before_prompt, *await self.tokenize(prompt), *self._after_prompt]

    def _check(self, prompt_ids: Sequence[int], answer_ids: Sequence[int], length: int) -> None:
        """Raise EngineRefused for ids that are no tokens, or too many of them."""
        check_request(
            prompt_ids, answer_ids, length, vocabulary=self._vocabulary, context=self._context
        )
