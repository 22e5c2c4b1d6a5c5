"""Engines of TensorRT-LLM: which image has what, what fits which GPU, commands, repositories."""
