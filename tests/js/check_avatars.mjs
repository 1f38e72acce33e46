// node check_avatars.mjs FILE... (with NODE_PATH at the npm packages): one JSON object per file, from the Khronos validator and the viewer's own
// three-vrm: bones, expressions, springs; what blink and smile move; 600 frames of spring bones while the head shakes.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

globalThis.self = globalThis;
globalThis.createImageBitmap = async () => ({ width: 1, height: 1, close() {} });

const { animateIdle, expressionNames, loadAvatar, setPose } = await import("../../web/lib/three_vrm_viewer.mjs");
const files = process.argv.slice(2);
const validator = createRequire(import.meta.url)("gltf-validator"); // require looks into NODE_PATH, import does not

/** How much the morph targets that are switched on move the vertices: the largest step in metres, and how many vertices move. */
function moved(scene) {
  let largest = 0;
  let count = 0;
  scene.traverse((mesh) => {
    if (!mesh.isMesh || !mesh.morphTargetInfluences) return;
    const targets = mesh.geometry.morphAttributes.position ?? [];
    const used = mesh.morphTargetInfluences.map((weight, i) => [weight, targets[i]]).filter(([weight]) => weight > 0);
    if (used.length === 0) return;
    for (let v = 0; v < targets[0].count; v++) {
      const step = [0, 0, 0];
      for (const [weight, target] of used) {
        step[0] += weight * target.getX(v);
        step[1] += weight * target.getY(v);
        step[2] += weight * target.getZ(v);
      }
      const length = Math.hypot(...step);
      largest = Math.max(largest, length);
      if (length > 1e-5) count++;
    }
  });
  return { largest, count };
}

/** Where each picture on the meshes is shifted to: one "u v" for every material with a picture. */
function shifts(scene) {
  const found = [];
  scene.traverse((mesh) => {
    for (const material of mesh.isMesh ? [mesh.material].flat() : []) {
      if (material.map) found.push(`${material.map.offset.x.toFixed(4)} ${material.map.offset.y.toFixed(4)}`);
    }
  });
  return found;
}

function simulate(vrm, frames) {
  const result = { frames, finite: true, inHead: 0, inBody: 0, drift: 0 };
  const head = vrm.humanoid.getRawBoneNode("head");
  const manager = vrm.springBoneManager;
  if (!manager || manager.joints.size === 0) return result;
  const Vector3 = vrm.scene.position.constructor;
  const direction = new Vector3();
  const tail = new Vector3();
  const start = new Map();
  vrm.scene.updateMatrixWorld(true);
  manager.setInitState();
  manager.reset();
  for (let frame = 0; frame < frames; frame++) {
    const time = frame / 60;
    animateIdle(vrm, "rest", time);
    const shake = Math.min(1, Math.max(0, (frames * 0.6 - frame) / 60)); // six seconds of shaking, then one to calm down
    vrm.humanoid.getNormalizedBoneNode("head").rotation.y += shake * 0.5 * Math.sin(time * 6);
    vrm.scene.position.x = shake * 0.1 * Math.sin(time * 4);
    vrm.update(1 / 60);
    vrm.scene.updateMatrixWorld(true);
    for (const joint of manager.joints) {
      if (!joint.child) continue;
      tail.setFromMatrixPosition(joint.child.matrixWorld);
      if (![tail.x, tail.y, tail.z].every(Number.isFinite)) result.finite = false;
      for (const group of joint.colliderGroups) {
        for (const collider of group.colliders) {
          const distance = collider.shape.calculateCollision(collider.colliderMatrix ?? collider.matrixWorld, tail, 0, direction);
          const place = collider.parent === head ? "inHead" : "inBody";
          if (distance < -result[place]) {
            result[place] = -distance;
            result[`${place}At`] = `${joint.bone.name} in ${collider.parent?.name}, frame ${frame}`;
          }
        }
      }
      if (frame === frames - 60) start.set(joint, tail.clone());
      if (frame === frames - 1) result.drift = Math.max(result.drift, start.get(joint).distanceTo(tail));
    }
  }
  return result;
}

for (const file of files) {
  const bytes = readFileSync(file);
  const report = { file };
  const found = await validator.validateBytes(new Uint8Array(bytes), { maxIssues: 50 });
  report.errors = found.issues.numErrors;
  report.messages = found.issues.messages.filter((m) => m.severity === 0).map((m) => `${m.code} ${m.pointer}: ${m.message}`).slice(0, 9);
  report.warnings = [...new Set(found.issues.messages.filter((m) => m.severity === 1).map((m) => m.code))];
  report.triangles = found.info?.totalTriangleCount;
  try {
    const started = performance.now();
    const { vrm, scene } = await loadAvatar(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
    report.milliseconds = Math.round(performance.now() - started);
    if (vrm) {
      report.version = vrm.meta.metaVersion;
      report.bones = Object.keys(vrm.humanoid.humanBones).length;
      report.expressions = expressionNames(vrm);
      report.springs = vrm.springBoneManager?.joints.size ?? 0;
      report.colliders = vrm.springBoneManager?.colliders?.length ?? 0;
      report.author = vrm.meta.authors?.[0] ?? vrm.meta.author;
      report.moved = {};
      report.shifted = {};
      const rest = shifts(scene);
      for (const name of ["blink", ...report.expressions.filter((n) => n !== "blink")]) {
        vrm.expressionManager.setValue(name, 1);
        vrm.expressionManager.update();
        report.moved[name] = moved(scene);
        report.shifted[name] = shifts(scene).filter((place, i) => place !== rest[i]);
        vrm.expressionManager.setValue(name, 0);
      }
      vrm.expressionManager.update();
      setPose(vrm, "rest");
      vrm.update(0);
      scene.updateMatrixWorld(true);
      const height = (bone) => vrm.humanoid.getRawBoneNode(bone).matrixWorld.elements;
      report.handsBelowShoulders = height("leftHand")[13] < height("leftUpperArm")[13] && height("rightHand")[13] < height("rightUpperArm")[13];
      report.leftIsPlusX = height("leftUpperArm")[12] > height("rightUpperArm")[12];
      report.simulation = simulate(vrm, 600);
    }
  } catch (error) {
    report.failed = String(error?.stack ?? error).slice(0, 2000);
  }
  process.stdout.write(JSON.stringify(report) + "\n");
}
