"""Run in the clients' environment: what llama-index makes of the gateway, as JSON."""

import json
import sys

from llama_index.core.llms import ChatMessage
from llama_index.llms.openai_like import OpenAILike

url, key = sys.argv[1:]
chat = OpenAILike(model="support", api_base=url, api_key=key, is_chat_model=True, max_retries=0)
text = OpenAILike(model="support", api_base=url, api_key=key, is_chat_model=False, max_retries=0)
asked = [ChatMessage(role="user", content="Where is my card?")]
told = {
    "answer": chat.chat(asked).message.content,
    "stream": "".join(piece.delta or "" for piece in chat.stream_chat(asked)),
    "completion": text.complete("Where is my card?").text,
    "completion_stream": "".join(
        piece.delta or "" for piece in text.stream_complete("Where is my card?")
    ),
}
print(json.dumps(told))
