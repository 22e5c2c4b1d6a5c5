"""The gateway asks an engine in the very words by which its model was trained and measured."""

import json
import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from infra.local.home import REPO
from infra.local.triton import VENV
from services.inference.domain.generation import Message
from services.inference.domain.prompt import render
from services.trainer.adapters.described import chat_of
from tests.unit.services.inference.fakes import CHAMPION

LLAMA_3 = (
    "{% set loop_messages = messages %}{% for message in loop_messages %}"
    "{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'"
    "+ message['content'] | trim + '<|eot_id|>' %}"
    "{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}"
    "{{ content }}{% endfor %}"
    "{% if add_generation_prompt %}"
    "{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
MISTRAL = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate') }}{% endif %}"
    "{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}"
    "{% else %}{{ message['content'] + eos_token }}{% endif %}{% endfor %}"
)
GEMMA = (
    "{{ bos_token }}{% for message in messages %}\n"
    "    {% set role = 'model' if message['role'] == 'assistant' else message['role'] %}\n"
    "{{ '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)
DATED = "{{ strftime_now('%Y') if strftime_now is defined else 'never' }}{{ bos_token }}"
TEMPLATES = {"llama 3": LLAMA_3, "mistral": MISTRAL, "gemma": GEMMA, "dated": DATED}
TOKENS = {"bos_token": "<s>", "eos_token": {"content": "</s>", "__type": "AddedToken"}}
MESSAGES = (
    Message("user", " What is <b>this</b>? "),
    Message("assistant", "It's “bold”."),
    Message("user", "Thanks"),
)
ASK = """
import json, sys
from transformers import AutoTokenizer
chat = json.loads(sys.argv[1])
for directory in sys.argv[2:]:
    tokenizer = AutoTokenizer.from_pretrained(directory, local_files_only=True)
    text = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    print(json.dumps([text, ids.count(tokenizer.bos_token_id)]))
"""


def base_model(home: Path, template: str) -> Path:
    """A tokenizer of words that puts a beginning before every text, unless told not to."""
    home.mkdir()
    special = [
        {
            "id": number,
            "content": token,
            "special": True,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
        }
        for number, token in enumerate(["<s>", "</s>"])
    ]
    single = [
        {"SpecialToken": {"id": "<s>", "type_id": 0}},
        {"Sequence": {"id": "A", "type_id": 0}},
    ]
    tokenizer = {
        "version": "1.0",
        "added_tokens": special,
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": single,
            "pair": single,
            "special_tokens": {"<s>": {"id": "<s>", "ids": [0], "tokens": ["<s>"]}},
        },
        "model": {"type": "WordLevel", "vocab": {"<s>": 0, "</s>": 1, "?": 2}, "unk_token": "?"},
    }
    (home / "tokenizer.json").write_text(json.dumps(tokenizer))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", **TOKENS}
    (home / "tokenizer_config.json").write_text(json.dumps(config))
    (home / "chat_template.jinja").write_text(template)
    return home


def test_the_gateway_renders_what_the_tokenizer_renders(tmp_path: Path) -> None:
    python = VENV / "bin" / "python"
    if not python.exists():
        pytest.skip("no model environment: `make setup` makes it")
    homes = [base_model(tmp_path / name, template) for name, template in TEMPLATES.items()]
    chat = [{"role": message.role, "content": message.content} for message in MESSAGES]

    told = subprocess.run(
        [python, "-c", ASK, json.dumps(chat), *homes],
        capture_output=True,
        text=True,
        check=True,
        cwd=REPO,
        timeout=120,
    ).stdout.splitlines()

    for home, line in zip(homes, told, strict=True):
        said = chat_of(home)
        engine = replace(
            CHAMPION.engine,
            chat_template=said.template,
            bos_token=said.bos_token,
            eos_token=said.eos_token,
        )
        release = replace(CHAMPION, engine=engine, prompt_template="")
        theirs, beginnings = json.loads(line)
        assert render(release, MESSAGES, datetime.now(UTC)) == theirs, home.name
        assert beginnings == 1, home.name
