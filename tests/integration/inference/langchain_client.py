"""Run in the clients' environment: what langchain makes of the gateway, as JSON."""

import json
import sys

from langchain_openai import ChatOpenAI, OpenAI, OpenAIEmbeddings

url, key = sys.argv[1:]
schema = {
    "title": "Card",
    "type": "object",
    "properties": {"card": {"type": "string", "enum": ["lost", "stolen"]}},
    "required": ["card"],
    "additionalProperties": False,
}
chat = ChatOpenAI(model="support", base_url=url, api_key=key, max_retries=0, temperature=0)
text = OpenAI(model="support", base_url=url, api_key=key, max_retries=0, max_tokens=20)
vectors = OpenAIEmbeddings(
    model="support", base_url=url, api_key=key, check_embedding_ctx_length=False
)
answer = chat.invoke("Where is my card?")
told = {
    "answer": answer.content,
    "tokens": answer.usage_metadata["total_tokens"],
    "stream": "".join(chunk.content for chunk in chat.stream("Where is my card?")),
    "parsed": chat.with_structured_output(schema, method="json_schema").invoke("Which card?"),
    "completion": text.invoke("Where is my card?"),
    "embedding": vectors.embed_query("one two"),
}
print(json.dumps(told))
