"""The pack's own wire types. Everything else on the wires is ComfyUI's."""

from comfy_api.latest import io

ChibiCharacter = io.Custom("CHIBI_CHARACTER")
ChibiIdentity = io.Custom("CHIBI_IDENTITY")
ChibiIdentityAdapter = io.Custom("CHIBI_IDENTITY_ADAPTER")
ChibiAvatar = io.Custom("CHIBI_AVATAR")
ChibiViews = io.Custom("CHIBI_VIEWS")
PoseKeypoint = io.Custom("POSE_KEYPOINT")
