"""The files of all-MiniLM-L6-v2: `model.onnx`, `model.onnx.data`, `tokenizer.json` and `SHA256SUMS`."""
