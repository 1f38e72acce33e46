"""The text encoder: CLIP's text transformer, two layers of width 768, with a row for every token that the captions use and one for all others.

Parameter names are Hugging Face's ``CLIPTextModel``'s, which ComfyUI reads too; :func:`full_state` spreads the rows over CLIP's 49,408.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

VOCABULARY = 49408
START, END = 49406, 49407  # END also pads, as in SD1.x
LENGTH = 77
WIDTH, HEADS, LAYERS, INNER = 768, 12, 2, 1536

CONFIG = {
    "architectures": ["CLIPTextModel"],
    "attention_dropout": 0.0,
    "bos_token_id": START,
    "eos_token_id": END,
    "pad_token_id": END,
    "hidden_act": "quick_gelu",
    "hidden_size": WIDTH,
    "intermediate_size": INNER,
    "layer_norm_eps": 1e-05,
    "max_position_embeddings": LENGTH,
    "model_type": "clip_text_model",
    "num_attention_heads": HEADS,
    "num_hidden_layers": LAYERS,
    "projection_dim": WIDTH,
    "vocab_size": VOCABULARY,
}


class _Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (nn.Linear(WIDTH, WIDTH) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        b, n, _ = x.shape
        q, k, v = (part(x).view(b, n, HEADS, -1).transpose(1, 2) for part in (self.q_proj, self.k_proj, self.v_proj))
        out = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out_proj(out.transpose(1, 2).reshape(b, n, WIDTH))


class _Feed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(WIDTH, INNER), nn.Linear(INNER, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        x = self.fc1(x)
        return self.fc2(x * torch.sigmoid(1.702 * x))


class _Layer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer_norm1, self.layer_norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.self_attn, self.mlp = _Attention(), _Feed()

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.self_attn(self.layer_norm1(x))
        return x + self.mlp(self.layer_norm2(x))


class TextEncoder(nn.Module):
    """Rows (B, 77) int64, see :func:`rows_of`, → context (B, 77, 768). ``tokens`` are the CLIP ids that have a row, ascending."""

    def __init__(self, tokens: Tensor) -> None:
        super().__init__()
        self.register_buffer("tokens", tokens.to(torch.int32))
        self.token_embedding = nn.Embedding(len(tokens) + 1, WIDTH)
        self.position_embedding = nn.Embedding(LENGTH, WIDTH)
        self.layers = nn.ModuleList(_Layer() for _ in range(LAYERS))
        self.final_layer_norm = nn.LayerNorm(WIDTH)
        # far larger than CLIP's 0.02: what is added by untrained layers must not drown which word it is
        nn.init.normal_(self.token_embedding.weight, std=0.5)
        nn.init.normal_(self.position_embedding.weight, std=0.1)

    def grown(self, tokens: Tensor) -> TextEncoder:
        """A copy that has a row for each of ``tokens`` too; new ones are random, and told apart by whoever reads them."""
        union = torch.unique(torch.cat([self.tokens, tokens.to(self.tokens)]))
        out = TextEncoder(union)
        state = self.state_dict()
        table = out.token_embedding.weight.detach().clone()
        table[torch.searchsorted(union, self.tokens)] = self.token_embedding.weight[:-1].detach()
        table[-1] = self.token_embedding.weight[-1].detach()
        out.load_state_dict({**state, "tokens": union, "token_embedding.weight": table})
        return out.eval()

    @property
    def unknown(self) -> int:
        """The row of tokens that have none of their own."""
        return len(self.tokens)

    def rows_of(self, ids: Tensor) -> Tensor:
        """CLIP token ids of any shape → rows of the embedding table."""
        place = torch.searchsorted(self.tokens, ids.to(torch.int32).contiguous()).clamp(max=len(self.tokens) - 1)
        return torch.where(self.tokens[place] == ids, place, self.unknown)

    def forward(self, rows: Tensor) -> Tensor:
        x = self.token_embedding(rows) + self.position_embedding.weight
        for layer in self.layers:
            x = layer(x)
        return self.final_layer_norm(x)


def full_state(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A :class:`TextEncoder`'s state dict under Hugging Face's names, with CLIP's whole vocabulary; all in the given dtype."""
    tokens, rows = state["tokens"].long(), state["token_embedding.weight"]
    table = rows[-1:].repeat(VOCABULARY, 1)
    table[tokens] = rows[:-1]
    out = {
        "text_model.embeddings.token_embedding.weight": table,
        "text_model.embeddings.position_embedding.weight": state["position_embedding.weight"],
    }
    for key, value in state.items():
        if key.startswith("layers."):
            out[f"text_model.encoder.{key}"] = value
        elif key.startswith("final_layer_norm."):
            out[f"text_model.{key}"] = value
    return out
