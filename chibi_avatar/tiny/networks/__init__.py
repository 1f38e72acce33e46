"""The architectures: plain torch, no ComfyUI. Parameter names are those that ComfyUI's or Hugging Face's loaders expect."""
