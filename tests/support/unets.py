"""Random UNets of the SD1.5 and SDXL architectures, in diffusers and in ComfyUI with the same tensors."""

from __future__ import annotations

import torch


def diffusers_unet(family: str, narrow: int = 1):
    """A random diffusers UNet; ``narrow`` divides its channels."""
    from diffusers import UNet2DConditionModel

    torch.manual_seed(3)
    if family == "sd15":
        widths = tuple(width // narrow for width in (320, 640, 1280, 1280))
        return UNet2DConditionModel(
            sample_size=16, cross_attention_dim=768, attention_head_dim=8, block_out_channels=widths
        ).eval()
    return UNet2DConditionModel(
        sample_size=16,
        block_out_channels=tuple(width // narrow for width in (320, 640, 1280)),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        transformer_layers_per_block=[1, 2, 10],
        attention_head_dim=[width // narrow // 64 for width in (320, 640, 1280)],
        cross_attention_dim=2048,
        addition_embed_type="text_time",
        addition_time_embed_dim=256,
        projection_class_embeddings_input_dim=2816,
        use_linear_projection=True,
    ).eval()


def comfy_model(unet, family: str, narrow: int = 1, dtype: torch.dtype = torch.float32):
    """The same weights in ComfyUI's UNet, as a ModelPatcher. Tensors are shared, not copied, unless ``dtype`` is another."""
    import comfy.latent_formats
    import comfy.model_base
    import comfy.model_patcher
    import comfy.supported_models
    import comfy.utils

    config = {
        "image_size": 32, "in_channels": 4, "out_channels": 4, "model_channels": 320 // narrow, "num_res_blocks": [2] * (4 if family == "sd15" else 3),
        "num_heads": -1, "dtype": torch.float32, "use_spatial_transformer": True, "legacy": False, "context_dim": 768 if family == "sd15" else 2048,
    }  # fmt: skip
    if family == "sd15":
        config.update(
            channel_mult=(1, 2, 4, 4),
            num_heads=8,
            transformer_depth=[1, 1, 1, 1, 1, 1, 0, 0],
            transformer_depth_middle=1,
        )
        config.update(
            transformer_depth_output=[1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0],
            adm_in_channels=None,
            use_linear_in_transformer=False,
        )
        spec = comfy.supported_models.SD15(config)
        base = comfy.model_base.BaseModel
    else:
        config.update(
            channel_mult=(1, 2, 4),
            num_head_channels=64,
            transformer_depth=[0, 0, 2, 2, 10, 10],
            transformer_depth_middle=10,
        )
        config.update(
            transformer_depth_output=[0, 0, 0, 2, 2, 2, 10, 10, 10], adm_in_channels=2816, num_classes="sequential"
        )
        config.update(use_linear_in_transformer=True, use_temporal_attention=False)
        spec = comfy.supported_models.SDXL(config)
        base = comfy.model_base.SDXL
    if dtype != torch.float32:
        spec.set_inference_dtype(dtype, torch.float32)
    names = comfy.utils.unet_to_diffusers(config)
    weights = unet.state_dict()
    state = {names[key]: weights[key].to(dtype) for key in names if key in weights}
    with torch.device("meta"):
        model = base(spec)
    model.diffusion_model.load_state_dict(state, strict=False, assign=True)
    missing = [key for key, value in model.diffusion_model.state_dict().items() if value.is_meta]
    assert not missing, missing[:5]
    model.model_sampling = comfy.model_base.model_sampling(spec, comfy.model_base.ModelType.EPS)
    cpu = torch.device("cpu")
    return comfy.model_patcher.ModelPatcher(model.eval(), load_device=cpu, offload_device=cpu)


def predict(patcher, latent, timestep, context, y=None, side=0):
    """One UNet call on the patched model, with its LoRA in place, as the sampler calls it."""
    patcher.patch_model()
    try:
        options = {**patcher.model_options["transformer_options"], "cond_or_uncond": [side], "sigmas": torch.ones(1)}
        with torch.inference_mode():
            extra = {} if y is None else {"y": y}
            return patcher.model.diffusion_model(
                latent, timestep, context=context, transformer_options=options, **extra
            )
    finally:
        patcher.unpatch_model()
