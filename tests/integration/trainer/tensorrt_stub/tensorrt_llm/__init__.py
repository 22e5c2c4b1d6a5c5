"""Stands for TensorRT-LLM on a machine without a GPU: the same names, the prompt as the answer."""
