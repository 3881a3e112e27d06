"""Makes packages/data/src/sequences/sequence-cases.json with transformers and tokenizers: python tools/cases/make_sequence_cases.py

Conversations by chat templates, and words tokenised one by one, with the tiny tokenizers below packages/testing/fixtures/models.
"""
import json
import warnings
from pathlib import Path

from tokenizers import Tokenizer, pre_tokenizers
from transformers import PreTrainedTokenizerFast

ROOT = Path(__file__).parent.parent.parent / "packages"
MODELS = ROOT / "testing/fixtures/models"

TEMPLATES = {
    "tags": "{% for message in messages %}<|{{ message['role'] }}|>\n{{ message.content | trim }}"
    "{{ eos_token if message.role == 'assistant' }}\n{% endfor %}{% if add_generation_prompt %}<|assistant|>\n{% endif %}",
    "brackets": """{%- if messages[0]['role'] == 'system' %}
    {%- set system = messages[0]['content'] %}
    {%- set turns = messages[1:] %}
{%- else %}
    {%- set system = none %}
    {%- set turns = messages %}
{%- endif %}
{{- bos_token }}
{%- for turn in turns %}
    {%- if (turn['role'] == 'user') != (loop.index0 % 2 == 0) %}
        {{- raise_exception('turns must alternate') }}
    {%- endif %}
    {%- if turn.role == 'user' %}
        {%- if loop.first and system is not none %}
            {{- '[Q] ' ~ system ~ '\\n\\n' ~ turn.content + ' [/Q]' }}
        {%- else %}
            {{- '[Q] ' + turn.content + ' [/Q]' }}
        {%- endif %}
    {%- else %}
        {{- ' ' + turn['content'] | trim + eos_token }}
    {%- endif %}
{%- endfor %}
""",
    "namespace": """{% set ns = namespace(count=0) %}
{% for message in messages if message.role != 'system' %}
{% set ns.count = ns.count + 1 %}
{{ ns.count }}. {{ message.role | upper }}: {{ message.content.strip() | replace('\\n', ' / ') }}
{% if not loop.last %}
--
{% endif %}
{% endfor %}
{% if extra is defined %}{{ extra | tojson }} {{ extra.items() | length }}{% endif %}
{% if add_generation_prompt %}{{ ns.count + 1 }}. ASSISTANT: {% endif %}""",
}

CONVERSATIONS = [
    [
        {"role": "user", "content": "What is 2 + 2?"},
        {"role": "assistant", "content": " It is 4.\n"},
    ],
    [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Name a colour.\nAny."},
        {"role": "assistant", "content": "blau"},
        {"role": "user", "content": "Noch eine – größer!"},
        {"role": "assistant", "content": "grün 😀"},
    ],
    [{"role": "user", "content": '<b>tags</b> & "quotes"'}],
]

WORDS = [
    ["The", "headphones", "sound", "great", ",", "naïve", "café", "!"],
    ["Kühlschrank", "läuft", "2.5", "U.S.", "don't"],
    ["音質は", "😀", "x"],
    ["one"],
]


def chat_cases():
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(MODELS / "llama/tokenizer.json"),
        bos_token="<|begin_of_text|>",
        eos_token="<|end_of_text|>",
    )
    cases = []
    for name, template in TEMPLATES.items():
        for messages in CONVERSATIONS:
            for prompt in (False, True):
                for variables in (
                    ({}, {"extra": {"a": [1, True, None], "b": 'ä"<'}})
                    if name == "namespace"
                    else ({},)
                ):
                    text = tokenizer.apply_chat_template(
                        messages,
                        chat_template=template,
                        tokenize=False,
                        add_generation_prompt=prompt,
                        **variables
                    )
                    cases.append(
                        {
                            "template": name,
                            "messages": messages,
                            "addGenerationPrompt": prompt,
                            "variables": variables,
                            "text": text,
                        }
                    )
    return cases


def word_cases():
    cases = []
    for name in ("bert", "xlm-roberta", "deberta-v2", "t5", "gpt2"):
        tokenizer = Tokenizer.from_file(str(MODELS / name / "tokenizer.json"))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        if name == "gpt2":
            tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(
                add_prefix_space=True
            )  # what its users set for words
        for words in WORDS:
            encoded = tokenizer.encode(words, is_pretokenized=True)
            starts = [
                encoded.word_ids.index(w) if w in encoded.word_ids else -1
                for w in range(len(words))
            ]
            cases.append({"tokenizer": name, "words": words, "ids": encoded.ids, "starts": starts})
    return cases


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    path = ROOT / "data/src/sequences/sequence-cases.json"
    path.write_text(
        json.dumps(
            {"templates": TEMPLATES, "chats": chat_cases(), "words": word_cases()},
            ensure_ascii=False,
        )
        + "\n"
    )
    print(path, path.stat().st_size)
