"""The runtime by itself, for `tests.bench.engine`: reads a count of streams per line, answers
with tokens per second. Runs in the model environment."""

import random
import sys
import time

import numpy
import openvino
import openvino_genai as genai

BLOCKS = 699
NEW, PROMPT = 64, 100


def main(gguf: str) -> None:
    scheduler = genai.SchedulerConfig()
    scheduler.num_kv_blocks = BLOCKS
    pipeline = genai.ContinuousBatchingPipeline(gguf, scheduler, "CPU")
    number = 0
    print("ready", flush=True)
    for line in sys.stdin:
        streams = int(line)
        handles = []
        for _ in range(streams):
            number += 1
            config = genai.GenerationConfig()
            config.eos_token_id = pipeline.get_config().eos_token_id
            config.max_new_tokens = config.min_new_tokens = NEW
            config.logprobs = 1
            ids = numpy.array([[random.randrange(1000, 40_000) for _ in range(PROMPT)]])
            handles.append(pipeline.add_request(number, openvino.Tensor(ids), config))
        started = time.perf_counter()
        tokens = 0
        while pipeline.has_non_finished_requests():
            pipeline.step()
            for handle in handles:
                while handle.can_read():
                    tokens += sum(len(each.generated_ids) for each in handle.read().values())
        print(tokens / (time.perf_counter() - started), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
