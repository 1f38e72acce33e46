// Loading and posing VRM or GLB bytes. No DOM: it also runs in plain Node, where the tests use it.
import { Box3, LinearMipmapLinearFilter, Texture } from "three";
import { GLTFLoader } from "three/examples/jsm/loaders/GLTFLoader.js";
import { VRMLoaderPlugin, VRMUtils } from "@pixiv/three-vrm";

const WRAPS = { 33071: 1001, 33648: 1002, 10497: 1000 };

/** Decodes pictures straight from the file's bytes: ComfyUI's content policy forbids fetching blob: addresses. */
class EmbeddedTextures {
  constructor(parser) {
    this.parser = parser;
    this.name = "chibi_embedded_textures";
    this.cache = new Map();
  }

  loadTexture(index) {
    const definition = this.parser.json.textures[index];
    const source = definition.extensions?.EXT_texture_webp?.source ?? definition.source;
    const image = this.parser.json.images?.[source];
    if (image?.bufferView === undefined) return null;
    if (!this.cache.has(index)) this.cache.set(index, this.decode(definition, image));
    return this.cache.get(index);
  }

  async decode(definition, image) {
    const bytes = await this.parser.getDependency("bufferView", image.bufferView);
    const bitmap = await createImageBitmap(new Blob([bytes], { type: image.mimeType }), {
      colorSpaceConversion: "none",
      premultiplyAlpha: "none",
    });
    const texture = new Texture(bitmap);
    const sampler = this.parser.json.samplers?.[definition.sampler] ?? {};
    texture.name = definition.name ?? image.name ?? "";
    texture.flipY = false;
    texture.wrapS = WRAPS[sampler.wrapS] ?? 1000;
    texture.wrapT = WRAPS[sampler.wrapT] ?? 1000;
    texture.minFilter = LinearMipmapLinearFilter;
    texture.anisotropy = 4;
    texture.needsUpdate = true;
    this.parser.associations.set(texture, { textures: this.parser.json.textures.indexOf(definition) });
    return texture;
  }
}

/** Reads the bytes of a .vrm (1.0 or 0.x) or .glb. Resolves to { scene, vrm } with vrm null for a plain GLB; it faces +Z. */
export async function loadAvatar(bytes) {
  const loader = new GLTFLoader();
  loader.register((parser) => new EmbeddedTextures(parser));
  loader.register((parser) => new VRMLoaderPlugin(parser));
  const gltf = await loader.parseAsync(bytes, "");
  const vrm = gltf.userData.vrm ?? null;
  if (vrm) VRMUtils.rotateVRM0(vrm);
  gltf.scene.traverse((object) => {
    object.frustumCulled = false;
  });
  return { scene: vrm?.scene ?? gltf.scene, vrm };
}

/** Names of the expressions that change something, presets first in the file's order. */
export function expressionNames(vrm) {
  return (vrm?.expressionManager?.expressions ?? [])
    .filter((expression) => expression.binds.length > 0)
    .map((expression) => expression.expressionName);
}

const DEGREES = Math.PI / 180;

// Rotations in degrees about x, y, z of VRM 1.0 axes; the normalised rig of 0.x has x and z reversed.
export const POSES = {
  rest: { leftUpperArm: [0, 0, -68], rightUpperArm: [0, 0, 68], leftLowerArm: [0, -8, 0], rightLowerArm: [0, 8, 0] },
  "t-pose": {},
  wave: { leftUpperArm: [0, 0, -66], rightUpperArm: [0, 0, -14], rightLowerArm: [0, 0, -42], head: [0, 0, 6] },
  cheer: { leftUpperArm: [0, 0, 55], rightUpperArm: [0, 0, -55], leftLowerArm: [0, 0, 25], rightLowerArm: [0, 0, -25] },
  walk: {
    leftUpperArm: [28, 0, -66], rightUpperArm: [-28, 0, 66], leftUpperLeg: [-24, 0, 0], rightUpperLeg: [22, 0, 0],
    leftLowerLeg: [8, 0, 0], rightLowerLeg: [22, 0, 0],
  },
  think: { leftUpperArm: [0, 0, -66], rightUpperArm: [-30, 0, 50], rightLowerArm: [0, 100, 0], head: [6, 10, -8] },
};

/** Puts a named pose on the normalised rig. */
export function setPose(vrm, name) {
  if (!vrm?.humanoid) return;
  vrm.humanoid.resetNormalizedPose();
  const sign = vrm.meta?.metaVersion === "0" ? -1 : 1;
  for (const [bone, [x, y, z]] of Object.entries(POSES[name] ?? {})) {
    vrm.humanoid.getNormalizedBoneNode(bone)?.rotation.set(sign * x * DEGREES, y * DEGREES, sign * z * DEGREES);
  }
}

/** A gentle sway and, every few seconds, a blink: time in seconds. */
export function animateIdle(vrm, name, time) {
  if (!vrm?.humanoid) return;
  setPose(vrm, name);
  const sign = vrm.meta?.metaVersion === "0" ? -1 : 1;
  const turn = (bone, x, y, z) => {
    const node = vrm.humanoid.getNormalizedBoneNode(bone);
    if (node) node.rotation.set(node.rotation.x + sign * x, node.rotation.y + y, node.rotation.z + sign * z);
  };
  turn("spine", 0.02 * Math.sin(time * 1.7), 0.05 * Math.sin(time * 0.9), 0.03 * Math.sin(time * 1.1));
  turn("head", 0.04 * Math.sin(time * 1.3), 0.16 * Math.sin(time * 0.7), 0.05 * Math.sin(time * 1.1 + 1));
  turn("leftUpperArm", 0, 0, 0.05 * Math.sin(time * 1.7));
  turn("rightUpperArm", 0, 0, -0.05 * Math.sin(time * 1.7));
  const phase = time % 3.7;
  vrm.expressionManager?.setValue("blink", phase < 0.16 ? Math.sin((phase / 0.16) * Math.PI) : 0);
}

/** The box around what is drawn, in world units. */
export function boundsOf(scene) {
  scene.updateMatrixWorld(true);
  return new Box3().setFromObject(scene, true);
}

export { VRMUtils };
