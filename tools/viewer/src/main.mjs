// The 3D view: a canvas with an orbiting camera, drawn only while something moves.
import { AmbientLight, Clock, Color, DirectionalLight, PerspectiveCamera, Scene, SRGBColorSpace, Vector3, WebGLRenderer } from "three";
import { OrbitControls } from "three/examples/jsm/controls/OrbitControls.js";
import { animateIdle, boundsOf, expressionNames, loadAvatar, POSES, setPose, VRMUtils } from "./vrm_file.mjs";

export { animateIdle, boundsOf, expressionNames, loadAvatar, POSES, setPose };

const SETTLE_SECONDS = 2.5;

/** A view inside `parent`. Draws on demand: it stops 2.5 s after the last change unless idle motion is on. */
export class AvatarView {
  constructor(parent) {
    this.renderer = new WebGLRenderer({ antialias: true, alpha: true, preserveDrawingBuffer: true });
    this.renderer.outputColorSpace = SRGBColorSpace;
    this.canvas = this.renderer.domElement;
    this.canvas.tabIndex = 0;
    parent.append(this.canvas);
    this.parent = parent;
    this.scene = new Scene();
    const key = new DirectionalLight(new Color("#fff6ee"), 2.2);
    key.position.set(-0.6, 1.2, 1.6);
    this.scene.add(key, new AmbientLight(new Color("#ffffff"), 1.4));
    this.camera = new PerspectiveCamera(24, 1, 0.01, 100);
    this.controls = new OrbitControls(this.camera, this.canvas);
    this.controls.enableDamping = true;
    this.controls.addEventListener("change", () => this.wake());
    this.clock = new Clock();
    this.pose = "rest";
    this.idle = false;
    this.springs = true;
    this.avatar = null;
    this.frames = 0;
    this.until = 0;
    this.time = 0;
    this.running = false;
    this.disposed = false;
    this.tick = this.tick.bind(this);
    this.observer = new ResizeObserver(() => this.resize());
    this.observer.observe(parent);
    this.resize();
  }

  /** Shows the avatar in `bytes`. Resolves to { version, expressions, springs, triangles }. */
  async show(bytes) {
    const loaded = await loadAvatar(bytes);
    if (this.disposed) {
      VRMUtils.deepDispose(loaded.scene);
      return null;
    }
    this.clear();
    this.avatar = loaded;
    this.scene.add(loaded.scene);
    this.frame();
    this.setPose(this.pose);
    this.resetSprings();
    let triangles = 0;
    loaded.scene.traverse((object) => {
      if (object.isMesh) triangles += (object.geometry.index?.count ?? object.geometry.attributes.position.count) / 3;
    });
    this.wake();
    return {
      version: loaded.vrm ? (loaded.vrm.meta?.metaVersion === "0" ? "VRM 0.x" : "VRM 1.0") : "GLB",
      expressions: expressionNames(loaded.vrm),
      springs: loaded.vrm?.springBoneManager?.joints.size ?? 0,
      triangles: Math.round(triangles),
    };
  }

  clear() {
    if (!this.avatar) return;
    this.scene.remove(this.avatar.scene);
    VRMUtils.deepDispose(this.avatar.scene);
    this.avatar = null;
  }

  /** Puts the whole figure into view, from slightly above. */
  frame() {
    const box = boundsOf(this.avatar.scene);
    const size = box.getSize(new Vector3());
    const target = box.getCenter(new Vector3());
    const reach = Math.max(size.y, size.x * 0.8) / 2 / Math.tan((this.camera.fov / 2) * (Math.PI / 180));
    this.controls.target.copy(target);
    this.camera.position.set(target.x, target.y + size.y * 0.08, target.z + reach * 1.15 + size.z / 2);
    this.camera.near = reach / 100;
    this.camera.far = reach * 100;
    this.camera.updateProjectionMatrix();
    this.controls.update();
    this.wake();
  }

  setExpression(name, value) {
    this.avatar?.vrm?.expressionManager?.setValue(name, value);
    this.wake();
  }

  setPose(name) {
    this.pose = name;
    setPose(this.avatar?.vrm, name);
    this.wake();
  }

  setIdle(on) {
    this.idle = on;
    if (!on) {
      this.avatar?.vrm?.expressionManager?.setValue("blink", 0);
      this.setPose(this.pose);
    }
    this.wake();
  }

  setSprings(on) {
    this.springs = on;
    if (!on) this.resetSprings();
    this.wake();
  }

  resetSprings() {
    this.avatar?.vrm?.springBoneManager?.reset();
  }

  resize() {
    const width = Math.max(1, Math.round(this.parent.clientWidth));
    const height = Math.max(1, Math.round(this.parent.clientHeight));
    this.renderer.setPixelRatio(Math.min(globalThis.devicePixelRatio || 1, 2));
    this.renderer.setSize(width, height, false);
    this.camera.aspect = width / height;
    this.camera.updateProjectionMatrix();
    this.wake();
  }

  wake() {
    this.until = performance.now() + SETTLE_SECONDS * 1000;
    if (this.running || this.disposed) return;
    this.running = true;
    this.clock.getDelta();
    requestAnimationFrame(this.tick);
  }

  tick(now) {
    if (this.disposed) return;
    const step = Math.min(this.clock.getDelta(), 0.05);
    this.step(step);
    if (this.idle || now < this.until) requestAnimationFrame(this.tick);
    else this.running = false;
  }

  /** Advances by `seconds` and draws. */
  step(seconds) {
    this.advance(seconds);
    this.controls.update();
    this.renderer.render(this.scene, this.camera);
    this.frames += 1;
  }

  /** Moves pose, face and springs on by `seconds` without drawing. */
  advance(seconds) {
    this.time += seconds;
    const vrm = this.avatar?.vrm;
    if (vrm) {
      if (this.idle) animateIdle(vrm, this.pose, this.time);
      vrm.humanoid.update();
      vrm.lookAt?.update(seconds);
      vrm.expressionManager?.update();
      vrm.nodeConstraintManager?.update();
      if (this.springs) vrm.springBoneManager?.update(seconds);
      for (const material of vrm.materials ?? []) material.update?.(seconds);
    }
  }

  dispose() {
    if (this.disposed) return;
    this.disposed = true;
    this.observer.disconnect();
    this.controls.dispose();
    this.clear();
    this.renderer.dispose();
    this.renderer.forceContextLoss();
    this.canvas.remove();
  }
}
