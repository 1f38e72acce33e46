// The 3D view on the export node, and the upload button of the loader. three.js and three-vrm load only when there is something to show.
import { app } from "../../scripts/app.js";
import { api } from "../../scripts/api.js";

const TEXT = {
  en: {
    empty: "Run the workflow to see your avatar here.",
    loading: "Loading…",
    failed: "The avatar cannot be shown: ",
    pose: "Pose",
    idle: "Idle motion",
    springs: "Spring bones",
    frame: "Reset view",
    stage: "3D view of the avatar. Drag to turn, wheel to zoom.",
    upload: "upload .vrm or .glb",
    poses: { rest: "Standing", "t-pose": "T-pose", wave: "Wave", cheer: "Cheer", walk: "Walk", think: "Think" },
  },
  zh: {
    empty: "运行工作流后，形象会显示在这里。",
    loading: "加载中…",
    failed: "无法显示形象：",
    pose: "姿势",
    idle: "待机动作",
    springs: "弹簧骨骼",
    frame: "重置视角",
    stage: "形象的三维视图。拖动旋转，滚轮缩放。",
    upload: "上传 .vrm 或 .glb",
    poses: { rest: "站立", "t-pose": "T 字", wave: "挥手", cheer: "欢呼", walk: "行走", think: "思考" },
  },
};

function text() {
  const locale = String(app.extensionManager?.setting?.get?.("Comfy.Locale") ?? navigator.language);
  return locale.startsWith("zh") ? TEXT.zh : TEXT.en;
}

let library = null;

/** The bundled three.js and three-vrm, once. */
function viewerLibrary() {
  library ??= import(new URL("./lib/three_vrm_viewer.mjs", import.meta.url).href);
  return library;
}

function addStyle() {
  const href = new URL("./avatar_viewer.css", import.meta.url).href;
  if (document.querySelector(`link[href="${href}"]`)) return;
  document.head.append(Object.assign(document.createElement("link"), { rel: "stylesheet", href }));
}

function element(tag, className, parent) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  parent?.append(made);
  return made;
}

/** The view with its controls. `show(url)` fetches and displays a file of this ComfyUI. */
class AvatarPanel {
  constructor() {
    addStyle();
    this.words = text();
    this.view = null;
    this.turn = 0;
    this.root = element("div", "chibi-viewer");
    this.stage = element("div", "chibi-viewer-stage", this.root);
    this.note = element("div", "chibi-viewer-note", this.stage);
    this.note.setAttribute("role", "status");
    this.note.textContent = this.words.empty;
    this.bar = element("div", "chibi-viewer-bar", this.root);
    this.sliders = element("div", "chibi-viewer-sliders", this.root);
    this.bar.hidden = this.sliders.hidden = true;
    for (const type of ["wheel", "contextmenu", "pointerdown", "keydown"]) {
      this.root.addEventListener(type, (event) => event.stopPropagation());
    }
    this.buildBar();
  }

  buildBar() {
    const { words, bar } = this;
    const label = element("label", "", bar);
    label.append(words.pose);
    this.pose = element("select", "chibi-viewer-pose", label);
    for (const [value, title] of Object.entries(words.poses)) this.pose.append(new Option(title, value));
    this.pose.addEventListener("change", () => this.view?.setPose(this.pose.value));
    this.idle = this.checkbox(words.idle, "chibi-viewer-idle", false, (on) => this.view?.setIdle(on));
    this.springs = this.checkbox(words.springs, "chibi-viewer-springs", true, (on) => this.view?.setSprings(on));
    const frame = element("button", "chibi-viewer-frame", bar);
    frame.type = "button";
    frame.textContent = words.frame;
    frame.addEventListener("click", () => this.view?.avatar && this.view.frame());
  }

  checkbox(title, className, checked, changed) {
    const label = element("label", "", this.bar);
    const box = element("input", className, label);
    box.type = "checkbox";
    box.checked = checked;
    box.addEventListener("change", () => changed(box.checked));
    label.append(title);
    return box;
  }

  async show(url) {
    const turn = ++this.turn;
    this.say(this.words.loading);
    try {
      const [{ AvatarView }, bytes] = await Promise.all([viewerLibrary(), fetchBytes(url)]);
      if (turn !== this.turn) return;
      if (!this.view) {
        this.view = new AvatarView(this.stage);
        this.view.canvas.setAttribute("aria-label", this.words.stage);
      }
      const facts = await this.view.show(bytes);
      if (turn !== this.turn || !facts) return;
      this.view.setSprings(this.springs.checked);
      this.view.setPose(this.pose.value);
      this.view.setIdle(this.idle.checked);
      this.fillSliders(facts.expressions);
      this.bar.hidden = false;
      this.root.dataset.version = facts.version;
      this.root.dataset.springs = String(facts.springs);
      this.say("");
    } catch (error) {
      if (turn === this.turn) this.say(this.words.failed + (error?.message ?? error), "error");
    }
  }

  fillSliders(names) {
    this.sliders.replaceChildren();
    for (const name of names) {
      const label = element("label", "", this.sliders);
      element("span", "", label).textContent = name;
      label.title = name;
      const slider = element("input", "", label);
      Object.assign(slider, { type: "range", min: "0", max: "1", step: "0.01", value: "0" });
      slider.dataset.expression = name;
      slider.setAttribute("aria-label", name);
      slider.addEventListener("input", () => this.view?.setExpression(name, Number(slider.value)));
    }
    this.sliders.hidden = names.length === 0;
  }

  say(message, kind = "") {
    this.note.textContent = message;
    this.note.dataset.kind = kind;
  }

  dispose() {
    this.turn++;
    this.view?.dispose();
    this.view = null;
  }
}

async function fetchBytes(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${response.status} ${response.statusText}`);
  return response.arrayBuffer();
}

/** The file to show among those a node wrote: the first VRM, else the first GLB. */
function chooseFile(output) {
  const files = output?.["3d"] ?? [];
  return files.find((file) => file.filename?.endsWith(".vrm")) ?? files.find((file) => file.filename?.endsWith(".glb"));
}

function addViewer(node) {
  const panel = new AvatarPanel();
  const widget = node.addDOMWidget("viewer", "chibi_avatar_viewer", panel.root, {
    serialize: false,
    hideOnZoom: false,
    getMinHeight: () => 360,
    getValue: () => "",
    setValue: () => {},
  });
  widget.serialize = false;
  const { onExecuted, onRemoved } = node;
  node.onExecuted = function (output) {
    onExecuted?.apply(this, arguments);
    const file = chooseFile(output);
    if (!file) return;
    const query = new URLSearchParams({ filename: file.filename, subfolder: file.subfolder ?? "", type: file.type ?? "output" });
    panel.show(api.apiURL(`/view?${query}`));
  };
  node.onRemoved = function () {
    onRemoved?.apply(this, arguments);
    panel.dispose();
  };
  node.chibiAvatarPanel = panel;
  if (node.size[0] < 360) node.setSize([360, node.size[1]]);
}

function addUpload(node) {
  const combo = node.widgets?.find((widget) => widget.name === "file");
  if (!combo) return;
  const picker = Object.assign(document.createElement("input"), { type: "file", accept: ".vrm,.glb" });
  picker.addEventListener("change", async () => {
    const [file] = picker.files;
    picker.value = "";
    if (!file) return;
    const form = new FormData();
    form.append("image", file);
    form.append("subfolder", "3d");
    const response = await api.fetchApi("/upload/image", { method: "POST", body: form });
    if (!response.ok) {
      app.extensionManager.toast.add({ severity: "error", summary: `${file.name}: ${response.status} ${response.statusText}`, life: 6000 });
      return;
    }
    const saved = await response.json();
    const value = [saved.subfolder, saved.name].filter(Boolean).join("/");
    if (!combo.options.values.includes(value)) combo.options.values.push(value);
    combo.value = value;
    combo.callback?.(value);
    app.rootGraph?.setDirtyCanvas?.(true, true);
  });
  // not in the prompt, and not among the values a workflow file keeps
  const button = node.addWidget("button", text().upload, null, () => picker.click(), { serialize: false });
  button.serialize = false;
}

app.registerExtension({
  name: "chibi_avatar.avatar_viewer",
  nodeCreated(node) {
    if (node.comfyClass === "ChibiAvatarExport") addViewer(node);
    if (node.comfyClass === "ChibiAvatarLoad") addUpload(node);
  },
});
