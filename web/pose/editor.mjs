// The pose editor's picture and controls. It knows nothing of ComfyUI: the host gives it a place, a loader for presets, and is told
// of changes. The picture is SVG, so joints are real elements: they take the focus, have names, and follow any scaling of the page.
import * as g from "./geometry.mjs";

const SVG = "http://www.w3.org/2000/svg";
const HISTORY = 200;
// name, drawing on a 16 × 16 grid; a null starts a new group
const BUTTONS = [
  ["undo", "M6 3 2.5 6.5 6 10M3 6.5h6.5a3.75 3.75 0 0 1 0 7.5H7"],
  ["redo", "M10 3l3.5 3.5L10 10M13 6.5H6.5a3.75 3.75 0 0 0 0 7.5H9"],
  null,
  ["mirror", "M8 2v12M5.5 5 2 11h3.5zM10.5 5l3.5 6h-3.5z"],
  ["add", "M6 8a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5zM1.5 14c0-3 2-4.5 4.5-4.5s4.5 1.5 4.5 4.5M12.5 4v5M10 6.5h5"],
  ["remove", "M6 8a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5zM1.5 14c0-3 2-4.5 4.5-4.5s4.5 1.5 4.5 4.5M10 6.5h5"],
  ["restore", "M1.5 8C4 3.5 12 3.5 14.5 8 12 12.5 4 12.5 1.5 8zM8 10a2 2 0 1 0 0-4 2 2 0 0 0 0 4z"],
  null,
  ["hands", "M5 9V4M7.3 7.5V2.8M9.6 7.5V3.2M11.9 8.5V5v5a4 4 0 0 1-7.4 2l-2-3.2L4 8l1 1.5"],
  ["face", "M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12zM5.5 6.3v.9M10.5 6.3v.9M5.5 9.5q2.5 2.5 5 0"],
  ["fit", "M2 6V2h4M10 2h4v4M14 10v4h-4M6 14H2v-4"],
  null,
  ["import", "M8 10V2M5 5l3-3 3 3M2.5 10v4h11v-4"],
  ["export", "M8 2v8M5 7l3 3 3-3M2.5 10v4h11v-4"],
  ["take", "M1.5 8H9M6 5l3 3-3 3M10 2.5h4.5v11H10"],
];
const ENGLISH = {
  undo: "Undo (Ctrl+Z)", redo: "Redo (Ctrl+Y)", mirror: "Mirror the person", add: "Add a person", remove: "Remove the person",
  restore: "Bring back hidden points", hands: "Show or hide hands", face: "Show or hide the face", fit: "Show the whole canvas",
  import: "Import pose JSON", export: "Export pose JSON", take: "Take the connected pose", preset: "preset…", presetTip: "Replace the person by a preset",
  lock: "lock", lockTip: "Lock the proportions: limbs turn, they do not stretch (hold Alt to foreshorten)",
  ik: "IK", ikTip: "Dragging a hand or foot bends the whole limb", heads: "heads", headsTip: "Proportions in heads: 2 mascot, 2.5 chibi, 7 adult",
  canvasTip: "Width and height of the canvas in pixels", width: "Canvas width", height: "Canvas height",
  before: "Previous frame", after: "Next frame", application: "Pose. Tab to a joint, arrow keys move it, H hides it.",
  hint: "Drag joints · Alt foreshortens · right click or H hides · wheel zooms · drag the background to pan",
  unreadable: "This pose cannot be shown: ", connect: "Connect a pose and run the node once, then it can be taken over.", notAPose: " is not a pose: ",
};
const CHINESE = {
  undo: "撤销（Ctrl+Z）", redo: "重做（Ctrl+Y）", mirror: "左右镜像此人物", add: "添加人物", remove: "删除人物",
  restore: "恢复隐藏的点", hands: "显示或隐藏手部", face: "显示或隐藏面部", fit: "显示整个画布",
  import: "导入姿势 JSON", export: "导出姿势 JSON", take: "取用已连接的姿势", preset: "预设…", presetTip: "用预设替换此人物",
  lock: "锁定", lockTip: "锁定比例：肢体只转动、不伸缩（按住 Alt 可透视缩短）",
  ik: "IK", ikTip: "拖动手或脚时整条肢体随之弯曲", heads: "头身", headsTip: "头身比：2 为吉祥物，2.5 为 Q 版，7 为成人",
  canvasTip: "画布的宽和高（像素）", width: "画布宽度", height: "画布高度",
  before: "上一帧", after: "下一帧", application: "姿势。用 Tab 选择关节，方向键移动，H 隐藏。",
  hint: "拖动关节 · Alt 透视缩短 · 右键或 H 隐藏 · 滚轮缩放 · 拖动空白处平移",
  unreadable: "无法显示此姿势：", connect: "请先连接一个姿势并运行一次节点，然后即可取用。", notAPose: " 不是姿势文件：",
};

function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "class") node.className = value;
    else node.setAttribute(key, value);
  }
  node.append(...children);
  return node;
}

function shape(tag, attributes) {
  const node = document.createElementNS(SVG, tag);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  return node;
}

/** ComfyUI leaves undo keys to text areas, and tells them by this property: the editor has a history of its own. */
function withOwnHistory(node) {
  Object.defineProperty(node, "type", { value: "textarea" });
  return node;
}

export class PoseEditor {
  /** `host`: {changed(text), presets() → Promise<names>, preset(name, heads, width, height) → Promise<frames JSON>, chinese} */
  constructor(host) {
    this.host = host;
    this.words = host.chinese ? CHINESE : ENGLISH;
    this.frames = [];
    this.index = 0;
    this.person = 0;
    this.past = [];
    this.future = [];
    this.view = null;
    this.incoming = null;
    this.text = "";
    this.root = withOwnHistory(element("div", { class: "chibi-pose", tabindex: "-1" }));
    this.#build();
    this.observer = new ResizeObserver(() => this.draw());
    this.observer.observe(this.root);
  }

  dispose() {
    this.observer.disconnect();
  }

  // -------------------------------------------------------------------------------------------- value

  get value() {
    return this.text;
  }

  /** Show pose JSON. Text that cannot be read is kept as it is, and the reason is shown. */
  set value(text) {
    if (text === this.text && this.frames.length) return;
    this.text = typeof text === "string" ? text : JSON.stringify(text);
    this.past = [];
    this.future = [];
    this.#load(this.text);
  }

  #load(text) {
    try {
      this.frames = g.readPose(text);
      this.say("");
    } catch (error) {
      this.frames = [];
      this.say(this.words.unreadable + error.message);
    }
    this.index = Math.min(this.index, Math.max(0, this.frames.length - 1));
    this.person = Math.min(this.person, Math.max(0, (this.frame?.people.length ?? 1) - 1));
    this.#heads();
    this.draw();
  }

  get frame() {
    return this.frames[this.index];
  }

  get chosen() {
    return this.frame?.people[this.person];
  }

  /** A message, or without one how to use the editor. */
  say(message) {
    this.status.textContent = message || this.words.hint;
    this.status.classList.toggle("chibi-pose-hint", !message);
  }

  /** Change the pose by `action` and remember how it was. */
  edit(action, byHand = true) {
    if (!this.frame) return;
    const before = g.writePose(this.frames);
    action();
    if (g.writePose(this.frames) === before) return;
    if (byHand && this.chosen) g.edited(this.chosen);
    this.#remember();
    this.#commit();
  }

  #remember() {
    this.past.push(this.text);
    if (this.past.length > HISTORY) this.past.shift();
    this.future = [];
  }

  #commit() {
    this.text = g.writePose(this.frames);
    this.#heads();
    this.draw();
    this.host.changed(this.text);
  }

  undo() {
    this.#travel(this.past, this.future);
  }

  redo() {
    this.#travel(this.future, this.past);
  }

  #travel(from, to) {
    if (!from.length) return;
    to.push(this.text);
    this.text = from.pop();
    this.#load(this.text);
    this.host.changed(this.text);
  }

  // -------------------------------------------------------------------------------------------- controls

  #build() {
    this.bar = element("div", { class: "chibi-pose-bar", role: "toolbar" });
    const words = this.words;
    const button = (name, tip, ...content) => {
      const made = withOwnHistory(element("button", { type: "button", title: tip, "aria-label": tip, "data-action": name }, ...content));
      made.addEventListener("click", () => this.act(name));
      return made;
    };
    let group = element("span", { class: "chibi-pose-group" });
    for (const entry of [...BUTTONS, null]) {
      if (entry) {
        const icon = shape("svg", { viewBox: "0 0 16 16", "aria-hidden": "true" });
        icon.append(shape("path", { d: entry[1] }));
        group.append(button(entry[0], words[entry[0]], icon));
      } else {
        this.bar.append(group);
        group = element("span", { class: "chibi-pose-group" });
      }
    }
    this.presets = element("select", { title: words.presetTip, "aria-label": words.presetTip }, element("option", { value: "" }, words.preset));
    this.presets.addEventListener("change", () => this.#usePreset(this.presets.value));
    this.presets.addEventListener("pointerdown", () => this.fillPresets());
    this.presets.addEventListener("focus", () => this.fillPresets());
    this.lock = element("input", { type: "checkbox", checked: "" });
    this.reach = element("input", { type: "checkbox", checked: "" });
    const number = (name, tip, attributes, changed) => {
      const made = element("input", { type: "number", "data-field": name, title: tip, "aria-label": tip, ...attributes });
      made.addEventListener("change", changed);
      return made;
    };
    this.heads = number("heads", words.headsTip, { min: "1.8", max: "7", step: "0.1" }, () => this.#setHeads(Number(this.heads.value)));
    const side = { min: "64", max: "16384", step: "8" };
    this.width = number("width", words.width, side, () => this.#setCanvas());
    this.height = number("height", words.height, side, () => this.#setCanvas());
    this.count = element("span", {});
    this.film = element("span", { class: "chibi-pose-group", hidden: "" }, button("before", words.before, "‹"), this.count, button("after", words.after, "›"));
    this.bar.append(
      withOwnHistory(this.presets),
      element("label", { title: words.lockTip }, this.lock, words.lock),
      element("label", { title: words.ikTip }, this.reach, words.ik),
      element("label", { title: words.headsTip }, this.heads, words.heads),
      element("span", { class: "chibi-pose-size", title: words.canvasTip }, this.width, "×", this.height),
      this.film,
    );
    this.svg = shape("svg", { class: "chibi-pose-view", role: "application", "aria-label": words.application });
    this.status = element("div", { class: "chibi-pose-status", role: "status" });
    this.say("");
    this.file = element("input", { type: "file", accept: ".json,application/json", hidden: "" });
    this.file.addEventListener("change", () => this.#importFile());
    this.root.append(this.bar, this.svg, this.status, this.file);
    this.svg.addEventListener("pointerdown", (event) => this.#down(event));
    this.svg.addEventListener("pointermove", (event) => this.#move(event));
    for (const name of ["pointerup", "pointercancel"]) this.svg.addEventListener(name, (event) => this.#up(event));
    this.svg.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    this.svg.addEventListener("contextmenu", (event) => this.#menu(event));
    this.root.addEventListener("keydown", (event) => this.#key(event));
    this.shown = { hands: true, face: false };
  }

  act(name) {
    const frame = this.frame;
    if (name === "undo") this.undo();
    else if (name === "redo") this.redo();
    else if (name === "import") this.file.click();
    else if (name === "export") this.#export();
    else if (name === "take" && this.incoming) this.replace(this.incoming);
    else if (name === "take") this.say(this.words.connect);
    else if (!frame) return;
    else if (name === "before" || name === "after") this.#turnTo(this.index + (name === "after" ? 1 : -1));
    else if (name === "restore" && this.chosen) this.edit(() => g.restorePoints(this.chosen));
    else if (name === "mirror" && this.chosen) this.edit(() => g.mirrorPerson(this.chosen, 2 * this.#middle(this.chosen)));
    else if (name === "add") this.#addPerson();
    else if (name === "remove" && this.chosen) {
      this.edit(() => frame.people.splice(this.person, 1), false);
      this.person = Math.max(0, this.person - 1);
      this.draw();
    } else if (name === "fit") {
      this.view = null;
      this.draw();
    } else if (name in this.shown) {
      this.shown[name] = !this.shown[name];
      this.draw();
    }
  }

  /** Another pose in place of the whole document; undo brings the old one back. */
  replace(text) {
    const frames = g.readPose(text);
    this.#remember();
    this.frames = frames;
    this.index = this.person = 0;
    this.#commit();
  }

  async fillPresets() {
    if (this.presets.length > 1) return;
    for (const item of await this.host.presets()) this.presets.append(element("option", { value: item.name }, item.label));
  }

  async #usePreset(name) {
    this.presets.value = "";
    if (!name || !this.frame) return;
    await this.loadPreset(name);
  }

  async loadPreset(name) {
    const heads = this.chosen?.tag.heads ?? (Number(this.heads.value) || 2.5);
    const made = g.readPose(await this.host.preset(name, heads, this.frame.width, this.frame.height))[0];
    this.edit(() => {
      if (this.chosen) {
        const dx = this.frame.people.length > 1 ? this.#middle(this.chosen) - this.#middle(made.people[0]) : 0;
        this.frame.people[this.person] = made.people[0];
        g.movePerson(this.chosen, dx, 0);
      } else this.frame.people.push(made.people[0]);
    }, false);
  }

  async #addPerson() {
    const before = this.frame.people.length;
    const source = this.chosen ? structuredClone(this.chosen) : null;
    if (!source) return this.loadPreset("standing");
    this.edit(() => {
      g.movePerson(source, 0.22 * this.frame.width * (this.#middle(source) > this.frame.width / 2 ? -1 : 1), 0);
      this.frame.people.push(source);
      this.person = before;
    });
  }

  #setHeads(heads) {
    if (!this.chosen || !(heads >= g.MIN_HEADS && heads <= g.MAX_HEADS)) return;
    this.edit(() => {
      this.frame.people[this.person] = g.reproportion(this.chosen, heads);
    }, false);
  }

  /** The canvas at another size; the people are scaled along and keep standing at its lower edge. */
  #setCanvas() {
    const sizes = [this.width, this.height].map((field) => Math.round(Number(field.value)));
    if (!this.frame || !sizes.every((v) => v >= 64 && v <= 16384)) return;
    this.edit(() => {
      for (const frame of this.frames) g.resizeCanvas(frame, ...sizes);
    }, false);
    this.view = null;
    this.draw();
  }

  #turnTo(index) {
    this.index = Math.min(Math.max(index, 0), this.frames.length - 1);
    this.person = Math.min(this.person, Math.max(0, this.frame.people.length - 1));
    this.#heads();
    this.draw();
  }

  #heads() {
    this.film.hidden = this.frames.length < 2;
    this.count.textContent = `${this.index + 1} / ${this.frames.length}`;
    if (this.frame) [this.width.value, this.height.value] = [this.frame.width, this.frame.height];
    if (this.chosen) this.heads.value = String(Math.round((g.buildOf(this.chosen)?.heads ?? 7) * 100) / 100);
  }

  #middle(person) {
    const xs = person.body.filter((p) => p[2] > 0).map((p) => p[0]);
    return xs.length ? (Math.min(...xs) + Math.max(...xs)) / 2 : this.frame.width / 2;
  }

  async #importFile() {
    const file = this.file.files[0];
    this.file.value = "";
    if (!file) return;
    try {
      this.replace(await file.text());
      this.say("");
    } catch (error) {
      this.say(file.name + this.words.notAPose + error.message);
    }
  }

  #export() {
    const link = element("a", { href: URL.createObjectURL(new Blob([this.text], { type: "application/json" })), download: "pose.json" });
    link.click();
    URL.revokeObjectURL(link.href);
  }

  // -------------------------------------------------------------------------------------------- picture

  background(url) {
    this.backdrop = url;
    this.draw();
  }

  #box() {
    return this.view ?? { x: 0, y: 0, width: this.frame.width, height: this.frame.height };
  }

  draw() {
    const focus = this.svg.contains(document.activeElement) ? document.activeElement.dataset.joint : null;
    this.svg.replaceChildren();
    const frame = this.frame;
    if (!frame) return;
    const box = this.#box();
    this.svg.setAttribute("viewBox", `${box.x} ${box.y} ${box.width} ${box.height}`);
    const unit = this.#pixel();
    this.svg.append(shape("rect", { class: "chibi-pose-canvas", x: 0, y: 0, width: frame.width, height: frame.height }));
    if (this.backdrop) {
      this.svg.append(shape("image", { href: this.backdrop, x: 0, y: 0, width: frame.width, height: frame.height, preserveAspectRatio: "none", opacity: 0.55 }));
    }
    frame.people.forEach((person, index) => this.#drawPerson(person, index, unit));
    for (const name of ["hands", "face"]) this.bar.querySelector(`[data-action=${name}]`).setAttribute("aria-pressed", String(this.shown[name]));
    this.bar.querySelector("[data-action=undo]").disabled = !this.past.length;
    this.bar.querySelector("[data-action=redo]").disabled = !this.future.length;
    if (focus) this.svg.querySelector(`[data-joint="${focus}"]`)?.focus({ preventScroll: true });
  }

  #drawPerson(person, index, unit) {
    const group = shape("g", { class: index === this.person ? "chibi-pose-chosen" : "chibi-pose-other", "data-person": index });
    const skull = g.skull(person);
    if (skull) group.append(shape("ellipse", { class: "chibi-pose-skull", cx: skull.x, cy: skull.y, rx: skull.wide, ry: skull.tall }));
    const line = (a, b, color, width) => {
      if (a[2] > 0 && b[2] > 0) {
        group.append(shape("line", { x1: a[0], y1: a[1], x2: b[0], y2: b[1], stroke: color, "stroke-width": width * unit, "stroke-linecap": "round" }));
      }
    };
    g.LIMBS.forEach(([a, b], i) => line(person.body[a], person.body[b], g.COLORS[i], 5));
    const dots = (points, label, part, color, radius) => points.forEach((p, i) => {
      if (p[2] <= 0) return;
      const title = typeof label === "function" ? label(i) : `${label} ${i}`;
      const attributes = { cx: p[0], cy: p[1], r: radius * unit, fill: typeof color === "function" ? color(i) : color };
      const dot = withOwnHistory(shape("circle", { ...attributes, "data-part": part, "data-index": i, "data-joint": `${index}.${part}.${i}`, role: "button", "aria-label": title }));
      if (part === "body") dot.setAttribute("tabindex", "0");
      dot.append(shape("title", {}));
      dot.firstChild.textContent = title;
      group.append(dot);
    });
    if (this.shown.hands) {
      for (const part of ["leftHand", "rightHand"]) {
        if (!person[part]) continue;
        g.FINGERS.forEach(([a, b], i) => line(person[part][a], person[part][b], `hsl(${i * 18} 100% 50%)`, 1.5));
        dots(person[part], part === "leftHand" ? "left hand" : "right hand", part, "#4060ff", 2.2);
      }
    }
    if (this.shown.face && person.face) dots(person.face, "face", "face", "#ffffff", 1.6);
    dots(person.body, (i) => g.NAMES[i], "body", (i) => g.COLORS[i], 5.5);
    this.svg.append(group);
  }

  /** Canvas pixels for one pixel of the element, before the page scales it. */
  #pixel() {
    const box = this.#box();
    const w = this.svg.clientWidth || 1, h = this.svg.clientHeight || 1;
    return Math.max(box.width / w, box.height / h);
  }

  #at(event) {
    const rect = this.svg.getBoundingClientRect(), box = this.#box();
    const scale = Math.min(rect.width / box.width, rect.height / box.height);
    return [
      box.x + box.width / 2 + (event.clientX - rect.left - rect.width / 2) / scale,
      box.y + box.height / 2 + (event.clientY - rect.top - rect.height / 2) / scale,
    ];
  }

  // -------------------------------------------------------------------------------------------- pointer and keys

  #down(event) {
    event.stopPropagation();
    if (!this.frame) return;
    this.root.focus({ preventScroll: true });
    const dot = event.target.closest?.("circle");
    const at = this.#at(event);
    this.svg.setPointerCapture(event.pointerId);
    if (!dot || event.button === 1) {
      this.drag = { pan: true, from: [event.clientX, event.clientY], box: { ...this.#box() } };
      return;
    }
    if (event.button !== 0) return;
    event.preventDefault();
    const [person, part, index] = dot.dataset.joint.split(".");
    this.person = Number(person);
    this.drag = { part, index: Number(index), before: this.text, start: g.copyFrames(this.frames), from: at, moved: false };
    this.#heads();
    this.draw();
    this.svg.querySelector(`[data-joint="${dot.dataset.joint}"]`)?.focus({ preventScroll: true });
  }

  #move(event) {
    if (!this.drag) return;
    event.stopPropagation();
    const drag = this.drag;
    if (drag.pan) {
      const rect = this.svg.getBoundingClientRect();
      const scale = Math.min(rect.width / drag.box.width, rect.height / drag.box.height);
      const [dx, dy] = [(event.clientX - drag.from[0]) / scale, (event.clientY - drag.from[1]) / scale];
      if (Math.hypot(dx, dy) * scale > 3) this.view = { ...drag.box, x: drag.box.x - dx, y: drag.box.y - dy };
      this.draw();
      return;
    }
    const [x, y] = this.#at(event);
    if (!drag.moved && Math.hypot(x - drag.from[0], y - drag.from[1]) < 1.5 * this.#pixel()) return;
    drag.moved = true;
    this.frames = g.copyFrames(drag.start);
    const point = this.chosen[drag.part][drag.index];
    this.#apply(drag.part, drag.index, point[0] + x - drag.from[0], point[1] + y - drag.from[1], event.altKey);
    this.draw();
  }

  #up(event) {
    if (!this.drag) return;
    event.stopPropagation();
    const drag = this.drag;
    this.drag = null;
    if (drag.pan || !drag.moved) return;
    g.edited(this.chosen);
    this.#remember();
    this.#commit();
  }

  #apply(part, index, x, y, free) {
    const person = this.chosen;
    if (part === "leftHand" || part === "rightHand") g.turnFinger(person[part], index, x, y);
    else if (part === "face") person.face[index].splice(0, 2, x, y);
    else if (index === 1) g.movePerson(person, x - person.body[1][0], y - person.body[1][1]);
    else if (!this.lock.checked) g.placeJoint(person, index, x, y);
    else if (this.reach.checked && !free) g.reachJoint(person, index, x, y);
    else g.turnJoint(person, index, x, y, free);
  }

  #menu(event) {
    event.preventDefault();
    event.stopPropagation();
    const dot = event.target.closest?.("circle");
    if (dot) this.hide(dot.dataset.joint);
  }

  /** Take a point out of the pose; undo brings it back. */
  hide(joint) {
    const [person, part, index] = joint.split(".");
    this.person = Number(person);
    this.edit(() => {
      this.chosen[part][Number(index)] = [0, 0, 0];
    });
  }

  #wheel(event) {
    event.preventDefault();
    event.stopPropagation();
    if (!this.frame) return;
    const box = this.#box(), [x, y] = this.#at(event);
    const k = Math.min(Math.max(Math.exp(event.deltaY * 0.0015), 0.5), 2);
    const width = Math.min(Math.max(box.width * k, 16), this.frame.width * 8), f = width / box.width;
    this.view = { x: x - (x - box.x) * f, y: y - (y - box.y) * f, width, height: box.height * f };
    this.draw();
  }

  #key(event) {
    if (event.target instanceof HTMLInputElement || event.target instanceof HTMLSelectElement) {
      event.stopPropagation();
      return;
    }
    const joint = event.target.dataset?.joint;
    const command = event.ctrlKey || event.metaKey;
    const step = event.shiftKey ? 10 : 1;
    const ways = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
    const key = event.key.toLowerCase();
    if (command && key === "z" && !event.shiftKey) this.undo();
    else if (command && (key === "y" || (key === "z" && event.shiftKey))) this.redo();
    else if (joint && event.key in ways && !command) {
      const [person, part, index] = joint.split(".");
      this.person = Number(person);
      this.edit(() => {
        const [x, y] = this.chosen[part][Number(index)];
        this.#apply(part, Number(index), x + ways[event.key][0], y + ways[event.key][1], event.altKey);
      });
    } else if (joint && (key === "h" || event.key === "Delete") && !command) this.hide(joint);
    else if (event.key === "Escape") document.activeElement?.blur();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
}
