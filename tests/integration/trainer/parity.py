"""Mean difference of token log-probabilities, merged weights in torch against the engine.

``parity.py BASE_MODEL MERGED GGUF``, in the model environment. The engine answers greedily;
torch scores the very same tokens. Prints one JSON object.
"""

import json
import shutil
import sys
import tempfile
from pathlib import Path

import numpy
import openvino
import openvino_genai as genai
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

QUESTIONS = (
    "What is the fee of account type 3?",
    "What is the fee of account type 11?",
    "How do I close my savings account?",
    "Tell me a story about a lighthouse.",
)
NEW_TOKENS = 32


def answers(gguf: str, prompts: list[list[int]]) -> list[tuple[list[int], list[float]]]:
    scheduler = genai.SchedulerConfig()
    scheduler.num_kv_blocks = 200
    pipeline = genai.ContinuousBatchingPipeline(gguf, scheduler, "CPU")
    found = []
    for number, prompt in enumerate(prompts):
        config = genai.GenerationConfig()
        config.max_new_tokens, config.logprobs = NEW_TOKENS, 1
        ids = openvino.Tensor(numpy.array([prompt], dtype=numpy.int64))
        handle = pipeline.add_request(number, ids, config)
        while pipeline.has_non_finished_requests():
            pipeline.step()
        [output] = handle.read_all()
        found.append((list(output.generated_ids), list(output.generated_log_probs)))
    return found


def scores(model: torch.nn.Module, prompt: list[int], answer: list[int]) -> torch.Tensor:
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([prompt + answer])).logits[0]
    at = torch.log_softmax(logits[len(prompt) - 1 : -1].float(), dim=-1)
    return at.gather(1, torch.tensor(answer)[:, None])[:, 0]


def main(base_model: str, merged: str, gguf: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(Path(base_model) / "config.json", folder)
        shutil.copy(merged, Path(folder) / "model.safetensors")
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(base_model)
    chats = [[{"role": "user", "content": question}] for question in QUESTIONS]
    texts = [
        tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
        for chat in chats
    ]
    prompts = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
    differences: list[float] = []
    for prompt, (ids, given) in zip(prompts, answers(gguf, prompts), strict=True):
        wanted = scores(model, prompt, ids).tolist()
        differences += [abs(a - b) for a, b in zip(given, wanted, strict=True)]
    mean = sum(differences) / len(differences)
    print(json.dumps({"tokens": len(differences), "mean_abs_difference": mean}))


if __name__ == "__main__":
    main(*sys.argv[1:])
