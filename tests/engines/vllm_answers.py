"""Run by an environment of its own, with vLLM: answers the requests in a JSON file, all at once.

    python vllm_answers.py REQUESTS ANSWERS

Nothing names the seed lock's processor here: vLLM must find it by its entry point.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from vllm import LLM, SamplingParams
from vllm.exceptions import VLLMValidationError


def main(requests: Path, answers: Path) -> None:
    """Write what the model answers, and what it says to requests it must refuse."""
    job = json.loads(requests.read_text())
    model = LLM(
        job["model"],
        dtype="float32",
        max_model_len=job["context"],
        max_num_seqs=job["at_once"],
        generation_config="vllm",
        enforce_eager=True,
    )

    def params(request: dict[str, Any]) -> SamplingParams:
        return SamplingParams(
            max_tokens=request["length"],
            temperature=request["temperature"],
            extra_args=request["lock"],
            seed=1,
            **request["more"],
        )

    made = model.generate(
        [{"prompt_token_ids": request["prompt"]} for request in job["asked"]],
        [params(request) for request in job["asked"]],
        use_tqdm=False,
    )
    refused = []
    for request in job["refused"]:
        try:
            model.generate([{"prompt_token_ids": request["prompt"]}], params(request))
            refused.append("")
        except VLLMValidationError as error:
            refused.append(str(error))
    found = {"answers": [list(one.outputs[0].token_ids) for one in made], "refused": refused}
    answers.write_text(json.dumps(found))


if __name__ == "__main__":  # vLLM starts this file again in its own processes
    main(Path(sys.argv[1]), Path(sys.argv[2]))
